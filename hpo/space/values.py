"""Values of a hyperparameter: their plain forms, and when two of them are the same.

A value is a number, a text, a boolean, None, or a tuple of values. numpy's scalars become Python's,
lists and arrays become tuples, so that a value is the same object kind in a trainer, in a journal
and after its replay.

>>> plain_value(np.int64(3)), plain_value(np.array([64, 32])), plain_value([1, [2, 3]])
(3, (64, 32), (1, (2, 3)))
>>> equal((1, 2), [1, 2]), equal((1,), (True,))
(True, False)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hpo.brackets import MAX_INTEGER, brief

Scalar = float | int | str | bool | None
Choice = Scalar | tuple[Any, ...]
"""A scalar or a tuple of choices."""


def plain_value(value: Any) -> Any:
    """Return numpy's scalars as Python's, and lists and arrays as tuples; others as they are."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(plain_value, value))
    return value.item() if isinstance(value, np.generic) else value


def key_of(value: Any) -> Any:
    """Return a key that equal values share: 1 is 1.0, but not True; a list is its tuple."""
    if isinstance(value, list | tuple):
        return tuple(map(key_of, value))
    return isinstance(value, bool | np.bool_), value


def equal(left: Any, right: Any) -> bool:
    """Return whether `left` and `right` are the same; 1 is 1.0, but not True."""
    if isinstance(left, list | tuple | np.ndarray) or isinstance(right, list | tuple | np.ndarray):
        return bool(key_of(plain_value(left)) == key_of(plain_value(right)))
    booleans = bool, np.bool_
    return isinstance(left, booleans) == isinstance(right, booleans) and bool(left == right)


def among(value: Any, values: Iterable[Any]) -> bool:
    """Return whether `value` is one of `values`."""
    return any(equal(value, each) for each in values)


def check_value(owner: str, value: object) -> None:
    """Check that a plain value can be written to a journal and read back.

    Raises
    ------
    ValueError
        If it is of another type, NaN, or an integer of more than 64 bits.
    """
    if isinstance(value, tuple):
        for each in value:
            check_value(f"each value within {owner}", each)
        return
    if value is not None and not isinstance(value, float | int | str):
        raise ValueError(
            f"{owner} must be a number, string, boolean, None or a tuple of them, got "
            f"{brief(value)}{_hint(value)}"
        )
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{owner} must equal itself, got nan; use a text such as 'nan'")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(
            f"{owner} must have at most 64 bits if it is an integer, got {brief(value)}; use a text"
        )


def _hint(value: object) -> str:
    if isinstance(value, set | frozenset):
        return "; a set has no order, write a list"
    if hasattr(value, "rvs"):
        return "; give a distribution that scipy.stats names, frozen, as in stats.uniform(0, 1)"
    return ""
