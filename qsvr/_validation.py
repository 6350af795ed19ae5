"""Checks of parameters: each error names the parameter, its owner, the rule and the value."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = [
    "MAX_INTEGER",
    "check_boolean",
    "check_choice",
    "check_integer",
    "check_real",
    "float_of",
    "level_outside",
    "shown",
]

# Largest integer parameter: 32 bits, as in libsvm.
MAX_INTEGER = 2**31 - 1
_MAX_SHOWN = 200


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
    """Return value as a float within [low, high), or (low, high) if ``strict``.

    An integer beyond the largest float counts as infinite.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    number = float_of(value) if is_number else np.nan
    if not (number > low if strict else number >= low) or not number < high:
        rule = f"a finite number {'>' if strict else '>='} {low:g}"
        rule += f" and < {high:g}" if np.isfinite(high) else ""
        raise ValueError(
            f"{name} of {owner} must be {rule}; got {shown(value)}.{hint and ' ' + hint}"
        )
    return number


def check_integer(
    owner: str, name: str, value: Any, *, low: int, high: int = MAX_INTEGER, hint: str = ""
) -> int:
    """Return value as an int within [low, high]."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
    if not is_integer or value < low or value > high:
        least = f"an integer >= {low}" if low > -MAX_INTEGER else "an integer"
        rule = f"{least} and < 2**31" if is_integer and value > high else least
        rule = rule if high == MAX_INTEGER else f"an integer from {low} to {high}"
        raise ValueError(
            f"{name} of {owner} must be {rule}; got {shown(value)}.{hint and ' ' + hint}"
        )
    return int(value)


def check_boolean(owner: str, name: str, value: Any) -> bool:
    """Return value if it is a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} of {owner} must be True or False; got {shown(value)}.")
    return bool(value)


def check_choice(owner: str, name: str, value: Any, choices: Iterable[str]) -> str:
    """Return value if it is one of the choices."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} of {owner} must be one of {choices}; got {shown(value)}.")
    return value


def shown(value: Any) -> str:
    """Return the repr of a value for an error message, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        text = f"an {type(value).__name__} of {value.bit_length()} bits"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def float_of(value: Any) -> float:
    """Return a real number as a float; integers beyond the largest float become infinite."""
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def level_outside() -> int:
    """Return the ``stacklevel`` with which a warning names the first line outside this package.

    The depth of the call stack depends on whether a model is fitted alone, in an ensemble or in a
    path.
    """
    level, frame = 1, sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("qsvr."):
        level, frame = level + 1, frame.f_back
    return level
