"""Tuples of arrays that the compiled loops of the structured annealer work on.

Code that numba has kept on disk finds a field by its place. If fields of one type change places,
`_lanes` has to be compiled again, which a change of its own file brings about.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Batch", "Block", "Levels", "Plan", "Sweep"]

Array = NDArray[Any]


class Levels(NamedTuple):
    """What one level of each sample weighs, each (n_samples,) float32."""

    up: Array  # change of b per level above zero
    down: Array  # and below
    cost_up: Array  # linear energy per level above zero
    cost_down: Array  # and below
    low: Array  # lowest level
    high: Array  # highest level
    table: Array | None  # (2 * top + 1,) values in units of a mean step; None where steps are even
    top: np.float32  # highest level


class Batch(NamedTuple):
    """State of 64 reads."""

    field: Array  # (n_samples, LANES), K b - y
    x: Array  # (n_samples, LANES), signed levels
    rng: Array  # (LANES,) uint32, none of them 0


class Plan(NamedTuple):
    """What each sweep does."""

    beta: Array  # (n_sweeps,) float32, inverse temperature
    reach: Array  # (n_sweeps,) uint32, longest level change proposed
    first: int  # index of the first sweep
    proposals: int  # pair proposals per sample and sweep
    heat_every: int  # sweeps from one heat bath to the next
    even: bool  # one level weighs the same in every coefficient


class Sweep(NamedTuple):
    """One sweep of a `Plan`."""

    beta: Any  # float32
    reach: Any  # uint32
    proposals: int
    even: bool


class Block(NamedTuple):
    """Working memory of the block being visited."""

    kernel: Array  # (size, size)
    local: Array  # (size, LANES), fields of the members
    moved: Array  # (size, LANES), change of b of the members
    work: Array  # (n_rows, LANES)
    weights: Array  # (candidate levels, LANES)
