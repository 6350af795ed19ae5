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
    """State of LANES reads."""

    field: Array  # (n_rows, LANES), K b - y; an even number of rows
    x: Array  # (n_samples, LANES), signed levels
    rng: Array  # (LANES,) uint32, none of them 0


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
    local: Array  # (size, LANES), fields of the members
    moved: Array  # (size, LANES), change of b of the members
    work: Array  # (n_rows, LANES)
    weights: Array  # (candidate levels, LANES)
