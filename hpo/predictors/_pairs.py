"""Learning curves of unequal lengths as one regression problem.

Each row is a piece of a trial's curve, from unit t_a to unit t_b, both on a geometric grid of
lengths. With ``z = log(loss - base)``, the base a little below the lowest loss seen, the target is
``(z(t_b) - z(t_a)) / sqrt(log(t_b / t_a))``: zero where the loss stays what it is, and of about the
same spread whatever the lengths. So short pieces, of which there are many from the first minutes
on, teach the model what long ones will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo._typing import FloatArray, IntArray
from hpo.brackets import next_length
from hpo.predictors.forecaster import check_curves
from hpo.trial import Curve

_GROWTH = 1.5


def lengths_up_to(max_resource: int, growth: float = _GROWTH) -> tuple[int, ...]:
    """Return the geometric grid of curve lengths: 1, 2, 3, 4, 6, ... up to `max_resource`.

    Parameters
    ----------
    max_resource : int
        The last one.
    growth : float
        From one length to the next, above 1; at least one unit.
    """
    lengths = [1]
    while lengths[-1] < max_resource:
        lengths.append(next_length(lengths[-1], max_resource, growth))
    return tuple(lengths)


@dataclass(frozen=True)
class Pairs:
    """Rows of the regression problem.

    Attributes
    ----------
    trial : ndarray of shape (n_rows,)
        Position of the curve.
    start, stop : ndarray of shape (n_rows,)
        t_a and t_b.
    """

    trial: IntArray
    start: IntArray
    stop: IntArray

    def __len__(self) -> int:
        return len(self.trial)

    @property
    def horizon(self) -> FloatArray:
        """Square root of the logarithm of t_b / t_a."""
        return np.asarray(np.sqrt(np.log(self.stop / self.start)))

    def take(self, rows: IntArray) -> Pairs:
        """Return some of the rows."""
        return Pairs(self.trial[rows], self.start[rows], self.stop[rows])


class CurveSet:
    """Curves of unequal lengths as arrays.

    Parameters
    ----------
    curves : sequence of Curve
        One or more, each of one finite loss at least.
    gap : float
        How far below the lowest loss the base lies, as a share of the distance from there to the
        median of the last losses.

    Attributes
    ----------
    base : float
        What is taken off every loss before the logarithm.
    lengths : ndarray of shape (n_curves,)
        Units of each curve.
    last : ndarray of shape (n_curves,)
        Logarithm of the last loss above the base.

    Raises
    ------
    ValueError
        If there is no curve, or one is empty or not finite.
    """

    def __init__(self, curves: Sequence[Curve], gap: float = 0.1) -> None:
        check_curves(curves)
        self.lengths = np.array([len(curve.losses) for curve in curves])
        losses = np.full((len(curves), int(self.lengths.max())), np.inf)
        for row, curve in zip(losses, curves, strict=True):
            row[: len(curve.losses)] = curve.losses
        lasts = losses[np.arange(len(curves)), self.lengths - 1]
        lowest = losses.min()
        # The floor keeps the logarithm finite where all losses are equal.
        width = max(float(np.median(lasts) - lowest), 1e-6 * abs(lowest), 1e-12)
        self.base = float(lowest - gap * width)
        self._z = np.log(losses - self.base)  # (n_curves, longest); infinite past the end
        self._lowest = np.minimum.accumulate(self._z, axis=1)
        self._best = float(self._z.min())
        self.last: FloatArray = self._z[np.arange(len(curves)), self.lengths - 1]

    def pairs(self, max_resource: int) -> Pairs:
        """Return every piece between two lengths of the grid."""
        grid = lengths_up_to(max_resource)
        parts = []
        for place, at in enumerate(grid):
            for end in grid[place + 1 :]:
                trials = np.flatnonzero(self.lengths >= end)
                parts.append((trials, np.full(len(trials), at), np.full(len(trials), end)))
        if not parts:
            nothing = np.empty(0, dtype=np.intp)
            return Pairs(nothing, nothing, nothing)
        trial, start, stop = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Pairs(trial, start, stop)

    def to_end(self, target: int) -> Pairs:
        """Return one row a curve: from its last unit to `target` units."""
        stop = np.maximum(self.lengths, target)
        return Pairs(np.arange(len(self.lengths)), self.lengths, stop)

    def growth(self, pairs: Pairs) -> FloatArray:
        """Return the target of the regression, of shape (n_rows,)."""
        change = self._z[pairs.trial, pairs.stop - 1] - self._z[pairs.trial, pairs.start - 1]
        return np.asarray(change / pairs.horizon)

    def features(self, pairs: Pairs) -> FloatArray:
        """Return what a regressor sees of the curve at t_a, of shape (n_rows, 7).

        Log loss; its distance to the curve's and to the search's minimum; the slopes over the last
        half and the last step; log t_a; log t_b / t_a.
        """
        trial, start = pairs.trial, pairs.start
        here = self._z[trial, start - 1]
        half = self._z[trial, np.maximum(start // 2, 1) - 1]
        before = self._z[trial, np.maximum(start - 2, 0)]
        columns = (
            here,
            here - self._lowest[trial, start - 1],
            here - self._best,
            here - half,
            here - before,
            np.log(start),
            np.log(pairs.stop / start),
        )
        return np.column_stack(columns)
