"""Best value so far: one definition for progress displays, figures and pages.

Before the first trial is complete, the best value so far is the best finite value that any trial
has reported after any unit. From the first complete trial on, it is the best last value of the
complete trials, which is that of `hpo.trial.best_of`. These are two phases: a value of the first
may be better than the values of the second. Within a phase the best value never gets worse.

>>> from hpo.trial import TrainReport, TrialStatus, TrialSummary
>>> trial = TrialSummary(0, {}, 0, 0, TrialStatus.COMPLETED, (0.9, 0.4, 0.5))
>>> best = BestSoFar([trial])
>>> best.after(TrainReport(0, 0, 2, (0.9, 0.4)))
BestValue(loss=0.4, complete=False, trial_id=0)
>>> best.after(TrainReport(0, 2, 3, (0.5,)))
BestValue(loss=0.5, complete=True, trial_id=0)
>>> best_so_far([trial])
BestValue(loss=0.5, complete=True, trial_id=0)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpo.trainers.objective import Objective
from hpo.trial import (
    Report,
    TrainReport,
    TrialStatus,
    TrialSummary,
    finite_or_worst,
)

PHASES = {
    False: "best so far, no trial complete",
    True: "best complete trial so far",
}
"""What the best value so far is called in each phase, by whether a trial is complete."""


@dataclass(frozen=True)
class HistoryPoint:
    """State of a run after one training report, or at its end.

    Attributes
    ----------
    epochs : int
        Resource units trained so far.
    seconds : float
        Seconds since the first report of the run.
    best : float
        Best value of the objective so far (see `hpo.run.history`); infinity (minus infinity if it
        is maximised) before the first finite value.
    complete : bool
        Phase: whether a trial is complete. If so, `best` is the best last value of the complete
        trials; otherwise it is the best value of any trial after any unit.
    """

    epochs: int
    seconds: float
    best: float
    complete: bool = True


@dataclass(frozen=True)
class BestValue:
    """Best value so far.

    Attributes
    ----------
    loss : float
        As minimised (see `hpo.trainers.objective.Objective.value`); infinity before the first
        finite value.
    complete : bool
        Phase: whether it is that of a complete trial.
    trial_id : int or None
        The trial that has reached it; None before the first finite value.
    """

    loss: float = math.inf
    complete: bool = False
    trial_id: int | None = None

    @property
    def phase(self) -> str:
        """What the value is called: a value of `PHASES`."""
        return PHASES[self.complete]

    def better(self, loss: float, trial_id: int, *, complete: bool) -> BestValue:
        """Return the best value after a trial has reported one more loss.

        Parameters
        ----------
        loss : float
            The loss; NaN and infinite ones are ignored.
        trial_id : int
            The trial.
        complete : bool
            Whether it is the last loss of a complete trial.
        """
        if not math.isfinite(loss) or (self.complete and not complete):
            return self
        if self.complete == complete and (loss, trial_id) >= self._key:
            return self
        return BestValue(loss, complete, trial_id)

    @property
    def _key(self) -> tuple[float, float]:
        return self.loss, math.inf if self.trial_id is None else self.trial_id


def best_so_far(trials: Iterable[TrialSummary]) -> BestValue:
    """Return the best value so far of trials in their present state.

    Parameters
    ----------
    trials : iterable of TrialSummary
        All trials, those that failed included: what they reported before counts in the first phase.
    """
    trials = tuple(trials)
    best = BestValue()
    for trial in trials:
        if trial.status is TrialStatus.COMPLETED:
            best = best.better(trial.last_loss, trial.trial_id, complete=True)
    if not best.complete:
        for trial in trials:
            best = best.better(trial.best_loss, trial.trial_id, complete=False)
    return best


class BestSoFar:
    """Finds the best value so far after each report.

    Parameters
    ----------
    trials : iterable of TrialSummary
        Final state of all trials, which says which of them were trained to the end.
    """

    def __init__(self, trials: Iterable[TrialSummary]) -> None:
        self._ends = {
            trial.trial_id: len(trial.losses)
            for trial in trials
            if trial.status is TrialStatus.COMPLETED
        }
        self._last: dict[int, float] = {}
        self.best = BestValue()

    def after(self, report: TrainReport) -> BestValue:
        """Return the best value after a report."""
        trial = report.trial_id
        lowest = min(map(finite_or_worst, report.losses), default=math.inf)
        self.best = self.best.better(lowest, trial, complete=False)
        if report.losses:  # else training had ended by itself: the last loss stays
            self._last[trial] = finite_or_worst(report.losses[-1])
        if report.stop >= self._ends.get(trial, math.inf):
            last = self._last.get(trial, math.inf)
            self.best = self.best.better(last, trial, complete=True)
        return self.best


def history(
    reports: Sequence[tuple[float, Report]],
    trials: Sequence[TrialSummary],
    objective: Objective,
    seconds: float = 0.0,
) -> list[HistoryPoint]:
    """Return the best value so far after each training report.

    Parameters
    ----------
    reports : sequence of (float, Report)
        Reports with their times, in order.
    trials : sequence of TrialSummary
        Final state of all trials. Segments of them that a limit has cut, which have no report, have
        a point of their own at the end.
    objective : Objective
        What is optimised.
    seconds : float
        Duration of the run, if it is known.
    """
    points: list[HistoryPoint] = []
    epochs, best = 0, BestSoFar(trials)
    known: dict[int, int] = {}  # units of each trial
    for time, report in reports:
        if isinstance(report, TrainReport):
            epochs += len(report.losses)
            now = best.after(report)
            value = objective.value(now.loss)
            points.append(HistoryPoint(epochs, time - reports[0][0], value, now.complete))
            known[report.trial_id] = report.start + len(report.losses)
    parts = [
        TrainReport(trial.trial_id, done, len(trial.losses), trial.losses[done:])
        for trial in trials
        if trial.status is TrialStatus.RUNNING
        and (done := known.get(trial.trial_id, 0)) < len(trial.losses)
    ]
    if parts:  # it is not known when they ended: with the run, at the latest
        epochs += sum(len(part.losses) for part in parts)
        now = [best.after(part) for part in parts][-1]
        ended = max(seconds, points[-1].seconds if points else 0.0)
        points.append(HistoryPoint(epochs, ended, objective.value(now.loss), now.complete))
    return points
