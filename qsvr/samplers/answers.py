"""Checks of the answers of samplers, the same for all kinds of samplers.

`read_answer` returns the reads that are readable, in the order of our variables, and describes all
faults of the answer. The caller decides what to do about them: a local sampler raises a
`SamplerError`, a service a `ServiceError`, and both keep the reads.

>>> import dimod
>>> odd = dimod.SampleSet.from_samples([{0: 1, 1: 0}, {0: 1, 1: 7}], energy=0, vartype="INTEGER")
>>> reads = read_answer(odd, range(2))
>>> reads.values.tolist()
[[1, 0]]
>>> len(reads.faults)
2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import BoolArray, IntArray

__all__ = ["Reads", "read_answer", "whole_levels"]

_MOST_OCCURRENCES = 1_000_000  # of one sample: no solver takes so many reads
_TOLERANCE = 1e-6  # of a level that a service returns as a floating-point number


@dataclass(frozen=True, eq=False)
class Reads:
    """The readable reads of an answer.

    Attributes
    ----------
    values : ndarray of shape (n_reads, n_labels)
        Bits, or levels, one row per read.
    labels : tuple of int
        Variables of the columns: all that were requested, unless a part was allowed.
    rows : ndarray of shape (n_reads,)
        Row of the sample set behind each read.
    faults : tuple of str
        Faults of the answer; empty for a valid one.
    """

    values: NDArray[np.int64]
    labels: tuple[int, ...]
    rows: IntArray
    faults: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.rows.size


def read_answer(
    sample_set: Any,
    labels: Sequence[int],
    *,
    top: int | None = None,
    limit: int | None = None,
    is_part_enough: bool = False,
) -> Reads:
    """Return the reads of a sample set, with its faults.

    Parameters
    ----------
    sample_set : dimod.SampleSet
        The answer, which may be any object if the sampler is at fault.
    labels : sequence of int
        The variables, in the order of the columns to return.
    top : int, default=None
        The values are levels from 0 to this one. By default they are bits, or spins, which are
        returned as bits.
    limit : int, default=None
        Maximum number of reads for one sample of the set.
    is_part_enough : bool, default=False
        Whether reads without a value for some variables are accepted.
    """
    faults: list[str] = []
    nothing = Reads(np.empty((0, len(labels)), np.int64), tuple(labels), np.empty(0, np.int64))
    record, variables = getattr(sample_set, "record", None), getattr(sample_set, "variables", None)
    names = getattr(getattr(record, "dtype", None), "names", None) or ()
    if record is None or variables is None or not {"sample", "num_occurrences"} <= set(names):
        return _with(nothing, [f"a {type(sample_set).__name__} instead of a sample set"])
    known, columns = _columns(list(variables), labels, faults, is_part_enough=is_part_enough)
    if not known:
        return _with(nothing, faults)
    numbers = _numbers(np.asarray(record.sample)[:, columns])
    vartype = str(getattr(getattr(sample_set, "vartype", None), "name", "unknown"))
    if top is not None:
        values, is_good = whole_levels(numbers, top)
        _note(faults, is_good, f"have levels that are not whole numbers from 0 to {top}")
    else:
        low = -1 if vartype == "SPIN" else 0
        if vartype not in ("SPIN", "BINARY"):
            faults.append(f"variables of the kind {vartype} instead of BINARY or SPIN")
        is_good = np.asarray(((numbers == low) | (numbers == 1)).all(axis=1))
        values = (numbers > 0).astype(np.int64)
        _note(faults, is_good, f"have values other than {low} and 1")
    occurrences = _occurrences(np.asarray(record.num_occurrences), faults)
    counts = np.where(is_good, occurrences, 0)
    if limit is not None:
        counts = np.minimum(counts, max(limit, 1))
    rows = np.repeat(np.arange(counts.size), counts)
    return Reads(values[rows], known, rows, tuple(faults))


def whole_levels(numbers: NDArray[Any], top: int) -> tuple[NDArray[np.int64], BoolArray]:
    """Return numbers as levels, and a mask of the rows that are valid.

    Parameters
    ----------
    numbers : ndarray of shape (n_rows, n_variables)
    top : int
        The highest level.
    """
    with np.errstate(invalid="ignore"):
        near = np.round(np.where(np.isfinite(numbers), numbers, -1.0))
        is_level = (np.abs(numbers - near) <= _TOLERANCE) & (near >= 0) & (near <= top)
    return np.where(is_level, near, 0).astype(np.int64), np.asarray(is_level.all(axis=1))


def _with(reads: Reads, faults: Sequence[str]) -> Reads:
    return Reads(reads.values, reads.labels, reads.rows, tuple(faults))


def _note(faults: list[str], is_good: BoolArray, what: str) -> None:
    if not is_good.all():
        faults.append(f"{(~is_good).sum()} of {is_good.size} samples {what}")


def _columns(
    variables: list[Any], labels: Sequence[int], faults: list[str], *, is_part_enough: bool
) -> tuple[tuple[int, ...], list[int]]:
    """Return the labels that have values, and their columns; empty if they are not usable."""
    position: dict[Any, int] = {}
    for i, label in enumerate(variables):
        is_number = isinstance(label, str) and label.strip().isdecimal()
        position.setdefault(int(label) if is_number else label, i)
    if any(isinstance(label, str) for label in variables):
        faults.append("variables named by text instead of numbers")
    known = tuple(label for label in labels if label in position)
    if len(known) < len(labels):
        missing = next(label for label in labels if label not in position)
        faults.append(
            f"no value for {len(labels) - len(known)} of {len(labels)} variables, such as {missing}"
        )
        if not is_part_enough:
            return (), []
    elif len(variables) > len(labels) and not is_part_enough:
        faults.append(f"values for {len(variables)} variables instead of {len(labels)}")
    return known, [position[label] for label in known]


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as numbers, with NaN for other values."""
    if array.dtype.kind in "biuf":
        return array
    result = np.full(array.shape, np.nan)
    if array.dtype.kind == "O":
        for place, value in np.ndenumerate(array):
            if isinstance(value, int | float | np.integer | np.floating):
                result[place] = min(max(value, -1e300), 1e300)  # a longer integer is no float
    return result


def _occurrences(array: NDArray[Any], faults: list[str]) -> IntArray:
    """Return the number of reads of each row; 1 if that number is invalid."""
    numbers = _numbers(array)
    is_good = (numbers >= 0) & (numbers <= _MOST_OCCURRENCES) & (numbers == np.floor(numbers))
    _note(faults, is_good, "have a number of occurrences that no sample can have")
    return np.where(is_good, numbers, 1).astype(np.int64)
