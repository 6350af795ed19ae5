"""Which trial to train next, by draws from forecasts of final losses.

The policy behind the recommended `SwiftHyperband` and `SwiftASHA`.  Every trial is frozen after a
few units and may thaw at any time.  A forecast gives the distribution of each trial's final loss
and proposes new configurations with a draw of theirs; then, for each free worker, one draw of every
trial's final loss is taken, and the trial with the lowest draw goes on to the next length of a
geometric grid, or the proposal starts, whichever is lower (Thompson sampling).  A trial that has
next to no chance to be the best never wins a draw, which is all the stopping there is.

This module is pure arithmetic: it sees numbers and returns choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.trial import Config, PredictReport, Proposal


@dataclass(frozen=True)
class Candidate:
    """An unfinished trial, as the policy sees it.

    Attributes
    ----------
    trial_id : int
        Which.
    units : int
        Units trained.
    stop : int
        Where its next job would end.
    """

    trial_id: int
    units: int
    stop: int


@dataclass(frozen=True)
class Choice:
    """What to train next: a trial that there is, or a new configuration.

    Attributes
    ----------
    trial_id : int or None
        The trial; None for a new one.
    stop : int
        Units after the job.
    config : Config or None
        Of a new trial; None leaves it to the searcher.
    """

    trial_id: int | None
    stop: int
    config: Config | None = None


class Draws:
    """One forecast, and the draws that are taken from it.

    Parameters
    ----------
    trials : sequence of int
        Trials that the forecast is about.
    report : PredictReport
        The forecast.
    seed : int
        Of the draws.
    greedy : float
        Share of the choices among trials that go by their expected loss, with no draw.
    blind : bool
        Whether there was no model: last losses stand in for forecasts.
    """

    def __init__(
        self,
        trials: Sequence[int],
        report: PredictReport,
        seed: int,
        *,
        greedy: float = 0.0,
        blind: bool = False,
    ) -> None:
        self._mean = dict(zip(trials, report.predictions, strict=True))
        self._std = dict(zip(trials, report.stds, strict=True))
        self._proposals = list(reversed(report.proposals))
        self._rng = np.random.default_rng(seed)
        self._greedy = greedy
        self.blind = blind

    def knows(self, trial_id: int) -> bool:
        """Tell whether the forecast is about this trial."""
        return trial_id in self._mean

    def mean(self, trial_id: int) -> float:
        """Return the expected final loss of a trial, in the forecast's scale."""
        return self._mean[trial_id]

    @property
    def n_proposals(self) -> int:
        """Proposals that are left."""
        return len(self._proposals)

    def lowest(self, candidates: Sequence[Candidate]) -> tuple[Candidate | None, float]:
        """Draw every trial's final loss, or take what is expected; return the winner and it."""
        if not candidates:
            return None, np.inf
        mean = np.array([self._mean[each.trial_id] for each in candidates])
        std = np.array([self._std[each.trial_id] for each in candidates])
        noise = self._rng.standard_normal(len(candidates))
        drawn = mean if self._rng.random() < self._greedy else mean + std * noise
        place = int(np.argmin(drawn))
        return candidates[place], float(drawn[place])

    def anyone(self) -> float:
        """Draw the final loss of a trial taken at random: what a new one may come to."""
        trial = list(self._mean)[int(self._rng.integers(len(self._mean)))]
        return float(self._mean[trial] + self._std[trial] * self._rng.standard_normal())

    def next_proposal(self, below: float) -> Proposal | None:
        """Return the next proposal if its draw is below another; one that is not is used up."""
        if not self._proposals:
            return None
        proposal = self._proposals.pop()
        return proposal if proposal.draw < below else None
