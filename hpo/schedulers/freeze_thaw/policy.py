"""The choice of what to train next, from forecasts of final losses.

A freeze-thaw scheduler pauses every trial after a few units and may resume it at any time. A
forecast gives the distribution of each trial's final loss and proposes new configurations, with
predictions of theirs. Each free worker gets the trial or proposal with the highest probability of
improving on the incumbent by a margin that is drawn for each choice (see
`hpo.surrogates.acquisition`); a trial is trained to the next length of a geometric sequence. A
fraction of the choices is made by Thompson sampling instead: every final loss is sampled, and the
lowest wins, so that no trial is excluded by one wrong forecast.

This module is pure arithmetic: numbers in, choices out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpo._typing import BoolArray, FloatArray
from hpo.schedulers.freeze_thaw.arrays import Int64Array
from hpo.schedulers.freeze_thaw.options import GROWTH
from hpo.surrogates.acquisition import improvement_zscore, margins
from hpo.trial import Config, ForecastReport, Proposal

_MILESTONES = (0.5, 1.0)
"""Fractions of the budget by which the most promising trial is completed."""
_RESERVE = 0.05
"""A trial is completed before less than this fraction of the budget is left to a milestone."""
_EARLIEST, _LATEST = 2.0, 0.7
"""A trial is completed while the other workers have work for between these multiples of its time,
since its epochs may be slower than theirs."""


@dataclass(frozen=True)
class Candidates:
    """Unfinished trials that may be resumed.

    Attributes
    ----------
    trials : ndarray of int, shape (n_candidates,)
        Their numbers.
    cost : ndarray of int, shape (n_candidates,)
        Units of the next job of each.
    stop : ndarray of int, shape (n_candidates,)
        Units after it.
    mean, std : ndarray of shape (n_candidates,)
        Forecast final losses and their standard deviations.
    """

    trials: Int64Array
    cost: Int64Array
    stop: Int64Array
    mean: FloatArray
    std: FloatArray

    def __len__(self) -> int:
        return len(self.trials)

    def take(self, which: BoolArray) -> Candidates:
        """Return some of them.

        Parameters
        ----------
        which : ndarray of bool, shape (n_candidates,)
        """
        return Candidates(
            self.trials[which],
            self.cost[which],
            self.stop[which],
            self.mean[which],
            self.std[which],
        )

    def choice(self, place: int) -> Choice:
        """Return the job of the candidate at a place."""
        return Choice(int(self.trials[place]), int(self.stop[place]))


@dataclass(frozen=True)
class Choice:
    """What to train next: an existing trial or a new configuration.

    Attributes
    ----------
    trial_id : int or None
        The trial; None for a new one.
    stop : int
        Units after the job.
    config : Config or None
        Configuration of a new trial; None takes the searcher's next one.
    """

    trial_id: int | None
    stop: int
    config: Config | None = None


class ForecastSampler:
    """Chooses trials and proposals by the distributions of one forecast.

    Parameters
    ----------
    report : ForecastReport
        The forecast.
    seed : int
        Seed of the random number generator.
    incumbent : float
        The final loss to improve on, in the forecast's scale.
    improvement_fraction : float
        Fraction of choices made by the probability of improvement.
    is_fallback : bool
        Whether last losses replace a forecast that failed.
    """

    def __init__(
        self,
        report: ForecastReport,
        seed: int,
        *,
        incumbent: float = -np.inf,
        improvement_fraction: float = 0.0,
        is_fallback: bool = False,
    ) -> None:
        self._mean = np.array(report.predictions, dtype=float)
        self._std = np.array(report.stds, dtype=float)
        self._proposals = list(reversed(report.proposals))
        self._rng = np.random.default_rng(seed)
        self._incumbent = incumbent
        self._improvement_fraction = improvement_fraction
        self.is_fallback = is_fallback

    @property
    def n_proposals(self) -> int:
        """Number of remaining proposals."""
        return len(self._proposals)

    def draws_improvement(self) -> bool:
        """Draw whether the next choice is made by the probability of improvement."""
        return not self.is_fallback and bool(self._rng.random() < self._improvement_fraction)

    def most_likely_to_improve(
        self, candidates: Candidates, *, proposals: bool, unmodelled: bool = False
    ) -> Choice | Proposal | None:
        """Return what most likely improves on the incumbent by a margin; removes a proposal.

        Parameters
        ----------
        candidates : Candidates
            Trials that may be resumed.
        proposals : bool
            Whether a proposal may start.
        unmodelled : bool
            Whether a configuration without a prediction may start. Its final loss is distributed as
            those of all trials together; if it is the most likely one, the answer is None.
        """
        proposed = self._proposals if proposals else []
        if not len(candidates) and not proposed:
            return None
        mean = [candidates.mean, np.array([proposal.mean for proposal in proposed], dtype=float)]
        std = [candidates.std, np.array([proposal.std for proposal in proposed], dtype=float)]
        if unmodelled:
            mean.append(np.array([self._mean.mean()]))
            std.append(np.array([np.sqrt(self._mean.var() + np.mean(self._std**2))]))
        margin = margins(1, self._rng)
        means, stds = np.concatenate(mean), np.concatenate(std)
        place = int(np.argmax(improvement_zscore(means, stds, self._incumbent, margin)[0]))
        if place < len(candidates):
            return candidates.choice(place)
        place -= len(candidates)
        return self._proposals.pop(place) if place < len(proposed) else None

    def sample_lowest(self, candidates: Candidates) -> tuple[Choice | None, float]:
        """Sample every trial's final loss; return the job of the lowest and its sample."""
        if not len(candidates):
            return None, np.inf
        noise = self._rng.standard_normal(len(candidates))
        samples = candidates.mean + candidates.std * noise
        place = int(np.argmin(samples))
        return candidates.choice(place), float(samples[place])

    def sample_unmodelled(self) -> float:
        """Sample the final loss of a configuration without a prediction: that of a random trial."""
        place = int(self._rng.integers(len(self._mean)))
        return float(self._mean[place] + self._std[place] * self._rng.standard_normal())

    def next_proposal(self, below: float) -> Proposal | None:
        """Remove the next proposal; return it if its sample is below a loss."""
        if not self._proposals:
            return None
        proposal = self._proposals.pop()
        return proposal if proposal.draw < below else None


def next_lengths(units: Int64Array, max_resource: int) -> Int64Array:
    """Return the next length of each trial (see `hpo.brackets.next_length`).

    Parameters
    ----------
    units : ndarray of int, shape (n_trials,)
        Units trained.
    max_resource : int
    """
    grown = np.rint(units * GROWTH).astype(np.int64)
    return np.asarray(np.minimum(np.maximum(units + 1, grown), max_resource))


def sampled_choice(
    sampler: ForecastSampler,
    candidates: Candidates,
    new: Callable[[float], Choice | None] | None,
) -> Choice | None:
    """Return the trial, or the new one, with the lowest sample of its final loss.

    Parameters
    ----------
    sampler : ForecastSampler
        Samples the latest forecast.
    candidates : Candidates
        Trials that may be resumed.
    new : callable or None
        ``new(loss)`` returns a new trial whose sample is below a loss; None if none may start.
    """
    while True:
        best, loss = sampler.sample_lowest(candidates)
        started = None if new is None else new(loss)
        if started is not None:
            return started
        if best is not None or new is None or not sampler.n_proposals:
            return best  # without it the next proposal may have a finite sample


def due_for_completion(
    candidates: Candidates,
    costs: Int64Array,
    mean_to_beat: float,
    *,
    budget: int,
    remaining: int,
    n_running: int,
) -> int | None:
    """Return the place of the most promising trial if it is to be completed now.

    Parameters
    ----------
    candidates : Candidates
    costs : ndarray of int, shape (n_candidates,)
        Epochs that complete each.
    mean_to_beat : float
        Lowest forecast mean of completed and scheduled trials; infinity without one.
    budget, remaining : int
        Epochs of the search, and those that no job has taken.
    n_running : int
        Number of outstanding jobs.
    """
    affordable = np.flatnonzero(costs <= remaining)
    if not len(affordable):
        return None
    place = int(affordable[np.argmin(candidates.mean[affordable])])
    if candidates.mean[place] >= mean_to_beat:
        return None
    spent = budget - remaining
    cost = int(costs[place])
    ends = (round(fraction * budget) for fraction in _MILESTONES)
    spare = min(end - spent - cost for end in ends if end - spent >= cost)
    step = int(candidates.cost.max())
    # The others go on meanwhile: this trial must not be the last one for long.
    meanwhile = n_running * cost
    if spare >= max(_RESERVE * budget, step, _EARLIEST * meanwhile):
        return None
    if spare < _LATEST * meanwhile and mean_to_beat < math.inf:
        return None
    return place
