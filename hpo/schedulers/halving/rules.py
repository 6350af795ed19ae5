"""Rules that save training within a round of successive halving.

A rule states how many trials of a round are trained to its end unconditionally, at which decision
points the others pause, and which of those continue, given predictions of their losses at the end
of the round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from hpo._typing import BoolArray, FloatArray


@dataclass(frozen=True)
class RoundView:
    """Information on a round that a rule decides by.

    Attributes
    ----------
    n_next : int
        Number of trials that the next round needs.
    full : ndarray of shape (n_full,)
        Finite losses of the trials of this round that were trained in full; at least one.
    mean, std : ndarray of shape (n_paused,)
        Predicted losses of the paused trials at the end of the round, and standard deviations.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.schedulers.halving import RoundView, SwiftRule
    >>> view = RoundView(
    ...     n_next=2,
    ...     full=np.array([0.3, 0.4]),
    ...     mean=np.array([0.2, 0.35, 0.6]),
    ...     std=np.array([0.1, 0.1, 0.1]),
    ... )
    >>> SwiftRule().keep(view)
    array([ True, False, False])
    """

    n_next: int
    full: FloatArray
    mean: FloatArray
    std: FloatArray


class RoundRule(Protocol):
    """Decides which trials of a round need not be trained to its end."""

    @property
    def together(self) -> bool:
        """Whether all paused trials of a round share one prediction, or each has its own."""
        ...

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the decision points of a round, ascending, between `start` and `stop`.

        Parameters
        ----------
        start, stop : int
            Resource of a trial at the beginning and at the end of the round.
        """
        ...

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return how many trials are trained to the end of the round unconditionally.

        Parameters
        ----------
        n_next : int
            Number of trials that the next round needs.
        n_curves : int
            Number of curves of this length that train the predictor already.
        """
        ...

    def keep(self, view: RoundView) -> BoolArray:
        """Return a mask of the paused trials that continue.

        Parameters
        ----------
        view : RoundView
            Losses and predictions of the round.
        """
        ...


@dataclass(frozen=True)
class FullTraining:
    """Rule of plain successive halving: train all trials of a round to its end.

    Examples
    --------
    >>> from hpo.schedulers.halving import FullTraining
    >>> FullTraining().points(4, 8)
    ()
    """

    together: bool = True

    def points(self, start: int, stop: int) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's
        """Return no decision points."""
        return ()

    def n_full(self, n_next: int, n_curves: int) -> int:  # noqa: ARG002 - the protocol's
        """Return 0: no curves are needed, since nothing is predicted."""
        return 0

    def keep(self, view: RoundView) -> BoolArray:
        """Keep all trials."""
        return np.ones(len(view.mean), dtype=bool)


@dataclass(frozen=True)
class SwiftRule:
    """Rule of Swift-Hyperband: one decision per round, by a quantile of the full trainings' losses.

    Attributes
    ----------
    full_fraction : float, default=0.5
        k: at least ``k * n_next`` trials are trained in full.
    min_curves : int, default=15
        Minimum number of full curves that train a predictor.
    decision_fraction : float, default=0.5
        Position of the decision point within the round, in (0, 1).
    quantile : float, default=0.25
        A paused trial continues if its prediction is below this quantile.
    ties : {"stable", "heapsort"}, default="stable"
        Order of equal predictions, which are common: far from its training curves, a kernel model
        predicts its intercept, to the last bit. ``"stable"``: as they entered the round.
        ``"heapsort"``: as numpy's heapsort leaves them, the same on every machine; it reproduces
        the published epochs. (The reference implementation used numpy's default sort, whose order
        of equal numbers depends on the processor.)

    See Also
    --------
    hpo.SwiftHyperband : The scheduler with this rule.
    hpo.schedulers.halving.ProbabilityRule : The rule of `hpo.FastHyperband`.

    Examples
    --------
    >>> from hpo.schedulers.halving import SwiftRule
    >>> rule = SwiftRule(full_fraction=0.25, min_curves=8)
    >>> rule.points(4, 8), rule.n_full(n_next=4, n_curves=0), rule.n_full(n_next=4, n_curves=8)
    ((6,), 8, 1)
    """

    full_fraction: float = 0.5
    min_curves: int = 15
    decision_fraction: float = 0.5
    quantile: float = 0.25
    ties: Literal["stable", "heapsort"] = "stable"
    together: bool = True

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the decision point, or none if it coincides with the end of the round."""
        point = start + _ceil((stop - start) * self.decision_fraction)
        return (point,) if point < stop else ()

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return a fraction of `n_next`, or more if the predictor lacks curves."""
        return max(_ceil(self.full_fraction * n_next), self.min_curves - n_curves)

    def keep(self, view: RoundView) -> BoolArray:
        """Keep trials below the quantile, or the best predicted ones up to `n_next` in total."""
        chosen = view.mean < np.quantile(view.full, self.quantile)
        missing = view.n_next - len(view.full)
        if np.count_nonzero(chosen) < missing:
            chosen[np.argsort(view.mean, kind=self.ties)[:missing]] = True
        return np.asarray(chosen)


@dataclass(frozen=True)
class ProbabilityRule:
    """Rule of Fast-Hyperband: after each unit, stop trials that are unlikely to make the cut.

    Attributes
    ----------
    threshold : float, default=0.05
        A trial stops if the probability that its loss makes the cut is below this.
    min_curves : int, default=15
        Minimum number of full curves that train a predictor.

    See Also
    --------
    hpo.FastHyperband : The scheduler with this rule.
    hpo.schedulers.halving.SwiftRule : The rule of `hpo.SwiftHyperband`.

    Examples
    --------
    >>> from hpo.schedulers.halving import ProbabilityRule
    >>> rule = ProbabilityRule(threshold=0.1, min_curves=3)
    >>> rule.points(4, 8), rule.n_full(n_next=4, n_curves=0)
    ((5, 6, 7), 4)
    """

    threshold: float = 0.05
    min_curves: int = 15
    together: bool = False

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return every unit of the round but the last."""
        return tuple(range(start + 1, stop))

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return `n_next`, which defines the cut, or more if the predictor lacks curves."""
        return max(n_next, self.min_curves - n_curves)

    def keep(self, view: RoundView) -> BoolArray:
        """Keep trials that may be among the best `n_next`, for normally distributed predictions."""
        cut = np.sort(view.full)[min(view.n_next, len(view.full)) - 1]
        spread = np.maximum(view.std, np.finfo(float).tiny)
        from scipy.special import ndtr

        return np.asarray(ndtr((cut - view.mean) / spread) >= self.threshold)


def _ceil(value: float) -> int:
    """Round up, tolerating the rounding error of a product such as 0.1 * 30."""
    return int(np.ceil(value - 1e-9))
