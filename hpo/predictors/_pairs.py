"""Learning curves of unequal lengths as one regression problem.

Each row is a pair of lengths t_a < t_b of one curve, both on a geometric grid. With
``z = log(loss - base)``, the base a little below the lowest loss seen, the target is
``(z(t_b) - z(t_a)) / sqrt(log(t_b / t_a))``: zero if the loss stays constant, and of about the same
spread for all lengths. So pairs of short lengths, of which there are many early in a search, train
the model for long ones.
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


def lengths_up_to(max_resource: int) -> tuple[int, ...]:
    """Return the geometric grid of curve lengths: 1, 2, 3, 4, 6, ... up to `max_resource`."""
    lengths = [1]
    while lengths[-1] < max_resource:
        lengths.append(next_length(lengths[-1], max_resource, _GROWTH))
    return tuple(lengths)


@dataclass(frozen=True)
class Pairs:
    """Rows of the regression problem.

    Attributes
    ----------
    trial : ndarray of shape (n_rows,)
        Index of the curve.
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
        """Return the given rows."""
        return Pairs(self.trial[rows], self.start[rows], self.stop[rows])


class CurveSet:
    """Curves of unequal lengths as arrays.

    Parameters
    ----------
    curves : sequence of Curve
        One or more, each with at least one loss, all finite.
    gap : float
        Distance of the base below the lowest loss, as a fraction of the distance from there to the
        median of the last losses.

    Attributes
    ----------
    base : float
        Subtracted from every loss before the logarithm.
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
        # The lower bounds keep the logarithm finite if all losses are equal.
        width = max(float(np.median(lasts) - lowest), 1e-6 * abs(lowest), 1e-12)
        self.base = float(lowest - gap * width)
        self._z = np.log(losses - self.base)  # (n_curves, longest); infinite past the end
        self._lowest = np.minimum.accumulate(self._z, axis=1)
        self._best = float(self._z.min())
        self.last: FloatArray = self._z[np.arange(len(curves)), self.lengths - 1]

    def pairs(self, max_resource: int) -> Pairs:
        """Return every pair of lengths of the grid."""
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
        """Return one row per curve: from its last unit to `target` units."""
        stop = np.maximum(self.lengths, target)
        return Pairs(np.arange(len(self.lengths)), self.lengths, stop)

    def growth(self, pairs: Pairs) -> FloatArray:
        """Return the target of the regression, of shape (n_rows,)."""
        change = self._z[pairs.trial, pairs.stop - 1] - self._z[pairs.trial, pairs.start - 1]
        return np.asarray(change / pairs.horizon)

    def features(self, pairs: Pairs) -> FloatArray:
        """Return the features of the curve at t_a, of shape (n_rows, 7).

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
