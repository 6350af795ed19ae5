"""Checks of parameters: each error names the parameter, its owner, the rule and the value."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["check_choice", "check_integer", "check_real"]


def check_real(
    owner: str,
    name: str,
    value: Any,
    *,
    low: float = 0.0,
    high: float = np.inf,
    strict: bool = False,
    hint: str = "",
) -> float:
    """Return value as a float within [low, high), or (low, high) if ``strict``."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not (value > low if strict else value >= low) or not value < high:
        rule = f"a finite number {'>' if strict else '>='} {low:g}"
        rule += f" and < {high:g}" if np.isfinite(high) else ""
        raise ValueError(f"{name} of {owner} must be {rule}; got {value!r}.{hint and ' ' + hint}")
    return float(value)


def check_integer(
    owner: str, name: str, value: Any, *, low: int, high: int | None = None, hint: str = ""
) -> int:
    """Return value as an int within [low, high]."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        rule = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
        raise ValueError(f"{name} of {owner} must be {rule}; got {value!r}.{hint and ' ' + hint}")
    return int(value)


def check_choice(owner: str, name: str, value: Any, choices: Iterable[str]) -> str:
    """Return value if it is one of the choices."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} of {owner} must be one of {choices}; got {value!r}.")
    return value
