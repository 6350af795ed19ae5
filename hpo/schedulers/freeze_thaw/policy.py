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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.surrogates.acquisition import improvement_zscore, margins
from hpo.trial import Config, ForecastReport, Proposal


@dataclass(frozen=True)
class Candidate:
    """An unfinished trial that may be resumed.

    Attributes
    ----------
    trial_id : int
    units : int
        Units trained.
    stop : int
        Units after its next job.
    """

    trial_id: int
    units: int
    stop: int


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
    trials : sequence of int
        Trials of the forecast.
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
        trials: Sequence[int],
        report: ForecastReport,
        seed: int,
        *,
        incumbent: float = -np.inf,
        improvement_fraction: float = 0.0,
        is_fallback: bool = False,
    ) -> None:
        self._mean = dict(zip(trials, report.predictions, strict=True))
        self._std = dict(zip(trials, report.stds, strict=True))
        self._proposals = list(reversed(report.proposals))
        self._rng = np.random.default_rng(seed)
        self._incumbent = incumbent
        self._improvement_fraction = improvement_fraction
        self.is_fallback = is_fallback

    def __contains__(self, trial_id: int) -> bool:
        """Return whether the trial has a forecast."""
        return trial_id in self._mean

    def mean(self, trial_id: int) -> float:
        """Return the forecast final loss of a trial, in the forecast's scale."""
        return self._mean[trial_id]

    @property
    def n_proposals(self) -> int:
        """Number of remaining proposals."""
        return len(self._proposals)

    def draws_improvement(self) -> bool:
        """Draw whether the next choice is made by the probability of improvement."""
        return not self.is_fallback and bool(self._rng.random() < self._improvement_fraction)

    def most_likely_to_improve(
        self, candidates: Sequence[Candidate], *, proposals: bool, unmodelled: bool = False
    ) -> Candidate | Proposal | None:
        """Return what most likely improves on the incumbent by a margin; removes a proposal.

        Parameters
        ----------
        candidates : sequence of Candidate
            Trials that may be resumed.
        proposals : bool
            Whether a proposal may start.
        unmodelled : bool
            Whether a configuration without a prediction may start. Its final loss is distributed as
            those of all trials together; if it is the most likely one, the answer is None.
        """
        proposed = self._proposals if proposals else []
        if not candidates and not proposed:
            return None
        mean = [self._mean[candidate.trial_id] for candidate in candidates]
        std = [self._std[candidate.trial_id] for candidate in candidates]
        mean += [proposal.mean for proposal in proposed]
        std += [proposal.std for proposal in proposed]
        if unmodelled:
            means, stds = np.array(list(self._mean.values())), np.array(list(self._std.values()))
            mean.append(float(means.mean()))
            std.append(float(np.sqrt(means.var() + np.mean(stds**2))))
        margin = margins(1, self._rng)
        zscores = improvement_zscore(np.array(mean), np.array(std), self._incumbent, margin)
        place = int(np.argmax(zscores[0]))
        if place < len(candidates):
            return candidates[place]
        place -= len(candidates)
        return self._proposals.pop(place) if place < len(proposed) else None

    def sample_lowest(self, candidates: Sequence[Candidate]) -> tuple[Candidate | None, float]:
        """Sample every trial's final loss; return the lowest trial and its sample."""
        if not candidates:
            return None, np.inf
        mean = np.array([self._mean[candidate.trial_id] for candidate in candidates])
        std = np.array([self._std[candidate.trial_id] for candidate in candidates])
        samples = mean + std * self._rng.standard_normal(len(candidates))
        place = int(np.argmin(samples))
        return candidates[place], float(samples[place])

    def sample_unmodelled(self) -> float:
        """Sample the final loss of a configuration without a prediction: that of a random trial."""
        trial = list(self._mean)[int(self._rng.integers(len(self._mean)))]
        return float(self._mean[trial] + self._std[trial] * self._rng.standard_normal())

    def next_proposal(self, below: float) -> Proposal | None:
        """Remove the next proposal; return it if its sample is below a loss."""
        if not self._proposals:
            return None
        proposal = self._proposals.pop()
        return proposal if proposal.draw < below else None


def sampled_choice(
    sampler: ForecastSampler,
    candidates: Sequence[Candidate],
    new: Callable[[float], Choice | None] | None,
) -> Choice | None:
    """Return the trial, or the new one, with the lowest sample of its final loss.

    Parameters
    ----------
    sampler : ForecastSampler
        Samples the latest forecast.
    candidates : sequence of Candidate
        Trials that may be resumed.
    new : callable or None
        ``new(loss)`` returns a new trial whose sample is below a loss; None if none may start.
    """
    while True:
        best, loss = sampler.sample_lowest(candidates)
        started = None if new is None else new(loss)
        if started is not None:
            return started
        if best is not None:
            return Choice(best.trial_id, best.stop)
        if new is None or not sampler.n_proposals:
            return None  # otherwise the next proposal may have a finite sample
