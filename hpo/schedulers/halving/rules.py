"""What a round does with its trials, beside training them all: the rule of a halving scheduler.

A rule says how many trials are fully trained without question, where the others halt for a
decision, and which of them go on, given their predicted losses at the round's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from scipy.special import ndtr

from hpo._typing import BoolArray, FloatArray


@dataclass(frozen=True)
class RoundView:
    """What a rule may know when it decides.

    Attributes
    ----------
    n_next : int
        Trials that the next round needs.
    full : ndarray of shape (n_full,)
        Finite losses of the trials that were fully trained in this round; at least one.
    mean, std : ndarray of shape (n_waiting,)
        Predicted losses of the waiting trials at the round's end, and their standard deviations.
    """

    n_next: int
    full: FloatArray
    mean: FloatArray
    std: FloatArray


class RoundRule(Protocol):
    """How a round spends less than full training."""

    @property
    def together(self) -> bool:
        """Whether one prediction serves all waiting trials of a round, or each gets its own."""
        ...

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the decision points of a round from `start` to `stop` units, all below `stop`.

        Parameters
        ----------
        start, stop : int
            Resource units.
        """
        ...

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return how many trials are trained without question, given the curves there are.

        Parameters
        ----------
        n_next : int
            Trials that the next round needs.
        n_curves : int
            Full curves of this rung so far.
        """
        ...

    def keep(self, view: RoundView) -> BoolArray:
        """Return which of the waiting trials go on.

        Parameters
        ----------
        view : RoundView
        """
        ...


@dataclass(frozen=True)
class SwiftRule:
    """Swift-Hyperband's: one decision a round, against a quantile of the fully trained losses.

    Attributes
    ----------
    full_fraction : float
        k: at least ``k * n_next`` trials are fully trained without question.
    min_curves : int
        Full curves that train a predictor at least.
    decision_fraction : float
        Where in the round the decision falls, in (0, 1).
    quantile : float
        A waiting trial goes on when its prediction is below this quantile.
    ties : {"stable", "heapsort"}
        Order of equal predictions, which are common: far from its training curves, a kernel model
        predicts its intercept, to the last bit. ``"stable"``: as they entered the round.
        ``"heapsort"``: as numpy's heapsort leaves them, the same on every machine; with it the
        published epochs come out. (The reference took numpy's default sort, whose order of equal
        numbers depends on the processor.)
    """

    full_fraction: float = 0.5
    min_curves: int = 15
    decision_fraction: float = 0.5
    quantile: float = 0.25
    ties: Literal["stable", "heapsort"] = "stable"
    together: bool = True

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the one decision point, none where it is the round's end."""
        point = start + _ceil((stop - start) * self.decision_fraction)
        return (point,) if point < stop else ()

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return how many trials are trained without question."""
        return max(_ceil(self.full_fraction * n_next), self.min_curves - n_curves)

    def keep(self, view: RoundView) -> BoolArray:
        """Keep what beats the quantile, or the best predicted until n_next are fully trained."""
        chosen = view.mean < np.quantile(view.full, self.quantile)
        missing = view.n_next - len(view.full)
        if np.count_nonzero(chosen) < missing:
            chosen[np.argsort(view.mean, kind=self.ties)[:missing]] = True
        return np.asarray(chosen)


@dataclass(frozen=True)
class ProbabilityRule:
    """Fast-Hyperband's: after each unit, stop what is unlikely to make the cut.

    Attributes
    ----------
    threshold : float
        A trial stops when the probability that its loss makes the cut is below this.
    min_curves : int
        Full curves that train a predictor at least.
    """

    threshold: float = 0.05
    min_curves: int = 15
    together: bool = False

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return every unit of the round but the last."""
        return tuple(range(start + 1, stop))

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return how many trials are trained without question: enough to know the cut."""
        return max(n_next, self.min_curves - n_curves)

    def keep(self, view: RoundView) -> BoolArray:
        """Keep what may yet be among the best `n_next`, for normally distributed predictions."""
        cut = np.sort(view.full)[min(view.n_next, len(view.full)) - 1]
        spread = np.maximum(view.std, np.finfo(float).tiny)
        return np.asarray(ndtr((cut - view.mean) / spread) >= self.threshold)


@dataclass(frozen=True)
class EarlyRule:
    """Several decisions a round: a trial goes on while it may yet be among the best.

    Attributes
    ----------
    fractions : tuple of float
        Where in the round decisions fall, rising, each in (0, 1).
    least_chance : float
        Probability to be among the best `n_next` below which a trial is dropped, in (0, 1).
    n_draws : int
        Joint draws of all losses from which the probabilities are taken.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    fractions: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75)
    least_chance: float = 0.2
    n_draws: int = 500
    seed: int = 0
    together: bool = True

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise((0.0, *self.fractions, 1.0)))
        if not self.fractions or not rising:
            raise ValueError(f"decision_fractions must rise within (0, 1), got {self.fractions!r}")
        if not 0 < self.least_chance < 1:
            raise ValueError(f"least_chance must lie in (0, 1), got {self.least_chance!r}")

    def points(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the decision points, each once, those at the round's end left out."""
        points = {start + _ceil((stop - start) * fraction) for fraction in self.fractions}
        return tuple(sorted(point for point in points if point < stop))

    def n_full(self, n_next: int, n_curves: int) -> int:
        """Return how many trials are trained without question: one, to learn from."""
        return max(min(n_next, 1), 1 - n_curves)

    def keep(self, view: RoundView) -> BoolArray:
        """Keep what is likely enough to be among the best `n_next`, and as many as are needed."""
        rng = np.random.default_rng([self.seed, len(view.mean), view.n_next])
        noise = rng.standard_normal((self.n_draws, len(view.mean)))
        finite = np.isfinite(view.mean)
        mean = np.where(finite, view.mean, np.finfo(float).max)
        drawn = mean + noise * np.where(finite, view.std, 0.0)  # (n_draws, n_waiting)
        known = np.broadcast_to(view.full, (self.n_draws, len(view.full)))
        everyone = np.sort(np.hstack([drawn, known]), axis=1)
        cut = everyone[:, min(view.n_next, everyone.shape[1]) - 1]
        chance = np.mean(drawn <= cut[:, None], axis=0)
        chosen = (chance >= self.least_chance) & finite
        missing = view.n_next - len(view.full)
        if np.count_nonzero(chosen) < missing:
            chosen[np.lexsort((view.mean, -chance))[:missing]] = True
        return np.asarray(chosen)


def _ceil(value: float) -> int:
    """Round up, forgiving the rounding error of a product such as 0.1 * 30."""
    return int(np.ceil(value - 1e-9))
