"""Checks of parameters: each error names the parameter, its owner, the rule and the value."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from qsvr._typing import FloatArray

__all__ = [
    "check_choice",
    "check_integer",
    "check_real",
    "checked_weight",
    "accepts_sparse",
    "random_state_of",
    "validated",
]


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
        raise ValueError(f"{name} of {owner} must be {rule}; got {value!r}.{_spaced(hint)}")
    return float(value)


def check_integer(
    owner: str, name: str, value: Any, *, low: int, high: int | None = None, hint: str = ""
) -> int:
    """Return value as an int within [low, high]."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        rule = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
        raise ValueError(f"{name} of {owner} must be {rule}; got {value!r}.{_spaced(hint)}")
    return int(value)


def check_choice(owner: str, name: str, value: Any, choices: Iterable[str]) -> str:
    """Return value if it is one of the choices."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} of {owner} must be one of {choices}; got {value!r}.")
    return value


def _spaced(hint: str) -> str:
    return f" {hint}" if hint else ""


def checked_weight(sample_weight: ArrayLike | None, X: Any) -> FloatArray:
    """Return sample weights, ones by default; at least two must be positive and none negative."""
    weight = np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64))
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative; its smallest value is {weight.min()}. Use 0 to "
            "leave a sample out."
        )
    if np.count_nonzero(weight) < 2:
        raise ValueError(
            f"sample_weight is positive for {np.count_nonzero(weight)} of {weight.size} samples; "
            "at least 2 must take part."
        )
    return weight


def accepts_sparse(kernel: object) -> str | bool:
    """Return which sparse format a kernel's input may have; a precomputed matrix has none."""
    return False if kernel == "precomputed" else "csr"


def validated(model: Any, X: ArrayLike, y: ArrayLike, kernel: object) -> tuple[Any, FloatArray]:
    """Return training data as scikit-learn's conventions want them, at least two samples."""
    X, y = validate_data(
        model, X, y, accept_sparse=accepts_sparse(kernel), dtype=np.float64, y_numeric=True,
        ensure_min_samples=2, accept_large_sparse=kernel != "laplacian",
    )  # fmt: skip
    return X, np.asarray(y, dtype=np.float64)


def random_state_of(value: int | np.random.RandomState | None) -> np.random.RandomState:
    """Return a generator of our own for None, and never numpy's global one."""
    if value is None:
        return np.random.RandomState()
    state: np.random.RandomState = check_random_state(value)
    return state
