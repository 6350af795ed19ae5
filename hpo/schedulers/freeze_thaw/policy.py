"""Which trial to train next, by what is believed of final losses.

The policy behind the recommended `SwiftHyperband` and `SwiftASHA`. Every trial is frozen after a
few units and may thaw at any time. A forecast gives the distribution of each trial's final loss
and proposes new configurations, with what is believed of theirs. Each free worker then takes what
is likeliest to beat the incumbent by a margin that is drawn anew each time (see
`hpo.surrogates.acquisition`), be it a trial, which goes on to the next length of a geometric grid,
or a proposal, which starts. A share of the choices goes by a draw of every final loss instead, the
lowest of which wins (Thompson sampling), so that nothing is ruled out for good by one wrong
forecast.

This module is pure arithmetic: it sees numbers and returns choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.surrogates.acquisition import improvement_zscore, margins
from hpo.trial import Config, ForecastReport, Proposal


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


class ForecastSampler:
    """One forecast, and the choices that are made by it.

    Parameters
    ----------
    trials : sequence of int
        Trials that the forecast is about.
    report : ForecastReport
        The forecast.
    seed : int
        Of the draws.
    incumbent : float
        The final loss to beat, in the forecast's scale.
    improve : float
        Share of the choices that go by the chance to improve, not by a draw.
    blind : bool
        Whether there was no model: last losses stand in for forecasts.
    """

    def __init__(
        self,
        trials: Sequence[int],
        report: ForecastReport,
        seed: int,
        *,
        incumbent: float = -np.inf,
        improve: float = 0.0,
        blind: bool = False,
    ) -> None:
        self._mean = dict(zip(trials, report.predictions, strict=True))
        self._std = dict(zip(trials, report.stds, strict=True))
        self._proposals = list(reversed(report.proposals))
        self._rng = np.random.default_rng(seed)
        self._incumbent = incumbent
        self._improve = improve
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

    def improves(self) -> bool:
        """Draw whether this choice goes by the chance to improve."""
        return not self.blind and bool(self._rng.random() < self._improve)

    def likeliest(
        self, candidates: Sequence[Candidate], *, new: bool, anyone: bool = False
    ) -> Candidate | Proposal | None:
        """Return what is likeliest to beat the incumbent by a margin; a proposal is used up.

        Parameters
        ----------
        candidates : sequence of Candidate
            Trials that may go on.
        new : bool
            Whether a proposal may start.
        anyone : bool
            Whether a trial taken at random may start, which is expected to come to what those so
            far are expected to; where that is likeliest, the answer is None.
        """
        proposals = self._proposals if new else []
        if not candidates and not proposals:
            return None
        mean = [self._mean[each.trial_id] for each in candidates]
        std = [self._std[each.trial_id] for each in candidates]
        mean += [each.mean for each in proposals]
        std += [each.std for each in proposals]
        if anyone:
            means, stds = np.array(list(self._mean.values())), np.array(list(self._std.values()))
            mean.append(float(means.mean()))
            std.append(float(np.sqrt(means.var() + np.mean(stds**2))))
        margin = margins(1, self._rng)
        chances = improvement_zscore(np.array(mean), np.array(std), self._incumbent, margin)
        place = int(np.argmax(chances[0]))
        if place < len(candidates):
            return candidates[place]
        place -= len(candidates)
        return self._proposals.pop(place) if place < len(proposals) else None

    def lowest(self, candidates: Sequence[Candidate]) -> tuple[Candidate | None, float]:
        """Draw every trial's final loss; return the winner and its draw."""
        if not candidates:
            return None, np.inf
        mean = np.array([self._mean[each.trial_id] for each in candidates])
        std = np.array([self._std[each.trial_id] for each in candidates])
        drawn = mean + std * self._rng.standard_normal(len(candidates))
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


def drawn_choice(
    draws: ForecastSampler,
    candidates: Sequence[Candidate],
    new: Callable[[float], Choice | None] | None,
) -> Choice | None:
    """Return the trial, or the new one, with the lowest draw.

    Parameters
    ----------
    draws : ForecastSampler
        From the latest forecast.
    candidates : sequence of Candidate
        Trials that may go on.
    new : callable or None
        ``new(loss)`` is a new trial whose draw is below a loss; None where none may start.
    """
    while True:
        best, loss = draws.lowest(candidates)
        started = None if new is None else new(loss)
        if started is not None:
            return started
        if best is not None:
            return Choice(best.trial_id, best.stop)
        if new is None or not draws.n_proposals:
            return None  # else the proposal was used up by its draw, and the next one may do
