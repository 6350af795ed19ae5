"""Tuples of arrays that the compiled loops of the structured annealer work on.

Code that numba has kept on disk finds a field by its place. If fields of one type change places,
`_lanes` has to be compiled again, which a change of its own file brings about.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Batch", "Levels", "Memory", "Plan"]

Array = NDArray[Any]


class Levels(NamedTuple):
    """What one level weighs where it weighs the same in every sample.

    A weight is six numbers: the change of b per level above zero and below, the linear energy per
    level above zero and below, and the lowest and the highest level.
    """

    weight: tuple[np.float32, ...]
    table: Array | None  # (2 * top + 1,) values in units of a mean step; None where steps are even
    top: np.float32  # highest level


class Batch(NamedTuple):
    """State of the reads in the lanes."""

    field: Array  # (n_rows, n_lanes), K b - y; an even number of rows
    x: Array  # (n_samples, n_lanes), signed levels
    rng: Array  # (n_lanes,) uint32, none of them 0
    b: Array  # (n_padded, n_lanes), b at the start; a multiple of 4 rows
    everyone: Array  # (n_padded,), samples of these rows


class Plan(NamedTuple):
    """What each sweep does."""

    beta: Array  # (n_sweeps,) float32, inverse temperature
    reach: Array  # (n_sweeps,) uint32, longest level change proposed
    first: int  # index of the first sweep
    proposals: int  # pair proposals per sample and sweep
    heat_every: int  # sweeps from one heat bath to the next


class Memory(NamedTuple):
    """Working memory of the block being visited."""

    kernel: Array  # (size, size)
    local: Array  # (size, n_lanes), fields of the members
    moved: Array  # (size, n_lanes), change of b of the members
    work: Array  # (n_rows, n_lanes)
    weights: Array  # (candidate levels, n_lanes)
