"""Counting function calls: a cost that is the same on every machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def calls_during(work: Callable[[], T]) -> tuple[T, Counter[str], int]:
    """Return the result of a call, the calls of Python functions by name, and those of C."""
    python: Counter[str] = Counter()
    n_c = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal n_c
        if event == "call":
            python[frame.f_code.co_name] += 1
        n_c += event == "c_call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(before)
    return result, python, n_c
