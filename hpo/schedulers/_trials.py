"""Book-keeping that every scheduler shares: trials, outstanding jobs, reports and events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.trial import (
    Config,
    Curve,
    Event,
    ForecastJob,
    ForecastReport,
    ModelJob,
    ModelReport,
    PredictFailure,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    TrialSummary,
    best_of,
    finite_or_worst,
    same,
)


@dataclass
class _Trial:
    config: Config
    bracket: int
    rung: int = 0
    status: TrialStatus = TrialStatus.WAITING
    losses: list[float] = field(default_factory=list)
    reason: str = ""
    job: TrainJob | None = None
    failure: TrainFailure | None = None
    view: TrialSummary | None = None  # of the present state, made when asked for


class TrialStore:
    """Trials and jobs of one search; checks every report against what was handed out."""

    def __init__(self) -> None:
        self._trials: list[_Trial] = []
        self._predictions: dict[int, ModelJob] = {}
        self._answered: dict[int, ModelReport] = {}
        self._n_running = 0
        self._next_job_id = 0
        self.epochs = 0
        self.events: list[Event] = []

    # -- trials ------------------------------------------------------------------------------

    @property
    def n_trials(self) -> int:
        """Trials so far."""
        return len(self._trials)

    @property
    def n_outstanding(self) -> int:
        """Jobs that were handed out and not reported."""
        return self._n_running + len(self._predictions)

    @property
    def n_predicting(self) -> int:
        """Predictions among the outstanding jobs."""
        return len(self._predictions)

    def add(self, config: Config, bracket: int = 0) -> int:
        """Add a trial and return its number."""
        self._trials.append(_Trial(config, bracket))
        return len(self._trials) - 1

    def resource(self, trial_id: int) -> int:
        """Return how many units the trial was trained."""
        return len(self._trials[trial_id].losses)

    def loss(self, trial_id: int, resource: int) -> float:
        """Return the loss after `resource` units, infinity where it is not finite or unknown."""
        losses = self._trials[trial_id].losses
        return finite_or_worst(losses[resource - 1]) if 0 < resource <= len(losses) else math.inf

    def curve(self, trial_id: int, length: int) -> Curve | None:
        """Return the first `length` losses, None where there are fewer or not all are finite."""
        trial = self._trials[trial_id]
        losses = tuple(trial.losses[:length])
        if len(losses) < length or not all(map(math.isfinite, losses)):
            return None
        return Curve(trial_id, trial.config, losses)

    def without_loss(self) -> tuple[Curve, ...]:
        """Return the trials that run and have no loss yet, as empty curves."""
        return tuple(
            Curve(number, trial.config, ())
            for number, trial in enumerate(self._trials)
            if trial.job is not None and not trial.losses
        )

    def bracket(self, trial_id: int) -> int:
        """Return the bracket that the trial belongs to."""
        return self._trials[trial_id].bracket

    def failed(self, trial_id: int) -> bool:
        """Tell whether the trial failed for good."""
        return self._trials[trial_id].status is TrialStatus.FAILED

    def stopped(self, trial_id: int) -> bool:
        """Tell whether the trial was given up."""
        return self._trials[trial_id].status is TrialStatus.STOPPED

    def running(self, trial_id: int) -> bool:
        """Tell whether a job of the trial is out."""
        return self._trials[trial_id].job is not None

    def start(self, trial_id: int, stop: int, rung: int) -> TrainJob:
        """Hand out the job that trains the trial up to `stop` units."""
        trial = self._trials[trial_id]
        if trial.job is not None or trial.status.over:
            raise RuntimeError(f"trial {trial_id} is {trial.status} and cannot be trained further")
        trial.job = TrainJob(
            trial_id, trial.config, len(trial.losses), stop, bracket=trial.bracket, rung=rung
        )
        trial.rung = rung
        self._n_running += 1
        self._set(trial, TrialStatus.RUNNING)
        return trial.job

    def stop(self, trial_id: int, reason: str) -> None:
        """Give the trial up for good; one that failed keeps its own reason."""
        self._end(trial_id, TrialStatus.STOPPED, reason)

    def complete(self, trial_id: int) -> None:
        """Mark the trial as trained as far as its bracket goes."""
        self._end(trial_id, TrialStatus.COMPLETED, "")

    def _end(self, trial_id: int, status: TrialStatus, reason: str) -> None:
        trial = self._trials[trial_id]
        if trial.status is not TrialStatus.FAILED:
            self._set(trial, status, reason)

    @staticmethod
    def _set(trial: _Trial, status: TrialStatus, reason: str = "") -> None:
        trial.status, trial.reason, trial.view = status, reason, None

    # -- training reports --------------------------------------------------------------------

    def receive(self, report: TrainReport | TrainFailure) -> bool:
        """Take in a training report; return False where it is a duplicate.

        Raises
        ------
        ValueError
            If no job fits it.
        """
        if not 0 <= report.trial_id < len(self._trials):
            raise ValueError(_unknown(report, "no such trial was started"))
        trial = self._trials[report.trial_id]
        job = trial.job
        if job is None or (job.start, job.stop) != (report.start, report.stop):
            if self._is_duplicate(trial, report):
                return False
            out = "no job of it is outstanding" if job is None else f"its job is {job}"
            raise ValueError(_unknown(report, out))
        if isinstance(report, TrainReport):
            self._finish(trial, report)
        else:
            trial.failure = report
            self._close(trial, f"{report.reason} (units {report.start} to {report.stop})")
        return True

    def _finish(self, trial: _Trial, report: TrainReport) -> None:
        if len(report.losses) != report.stop - report.start:
            msg = f"needs {report.stop - report.start} losses, one a unit"
            raise ValueError(_unknown(report, msg))
        trial.losses.extend(float(loss) for loss in report.losses)
        self.epochs += len(report.losses)
        last = trial.losses[-1]
        worst = not math.isfinite(finite_or_worst(last))
        self._close(trial, f"loss is {last} after {report.stop} units" if worst else "")

    def _close(self, trial: _Trial, reason: str) -> None:
        """End the outstanding job; a reason means that the trial failed."""
        trial.job = None
        trial.view = None
        self._n_running -= 1
        if trial.status is TrialStatus.RUNNING:
            self._set(trial, TrialStatus.FAILED if reason else TrialStatus.WAITING, reason)

    @staticmethod
    def _is_duplicate(trial: _Trial, report: TrainReport | TrainFailure) -> bool:
        if isinstance(report, TrainFailure):
            return report == trial.failure
        known = tuple(trial.losses[report.start : report.stop])
        told = TrainReport(report.trial_id, report.start, report.stop, known)
        return report.stop > report.start and same(told, report)

    # -- predictions -------------------------------------------------------------------------

    def next_job_id(self) -> int:
        """Return a number for the next prediction."""
        self._next_job_id += 1
        return self._next_job_id - 1

    def predict(self, job: ModelJob) -> ModelJob:
        """Hand out a prediction."""
        self._predictions[job.job_id] = job
        return job

    def answer(self, report: ModelReport) -> ModelJob | None:
        """Take in a prediction's report; return its job, None where it is a duplicate.

        Raises
        ------
        ValueError
            If no job fits it.
        """
        job = self._predictions.get(report.job_id)
        if job is None:
            known = self._answered.get(report.job_id)
            if known is not None and same(known, report):
                return None
            raise ValueError(_unknown(report, "no such prediction is outstanding"))
        if not isinstance(report, PredictFailure):
            is_forecast = isinstance(job, ForecastJob)
            if isinstance(report, ForecastReport) is not is_forecast:
                raise ValueError(_unknown(report, f"its job is a {type(job).__name__}"))
            n_curves = len(job.curves if isinstance(job, ForecastJob) else job.query)
            if {len(report.predictions), len(report.stds)} != {n_curves}:
                raise ValueError(_unknown(report, f"needs {n_curves} predictions and stds"))
        del self._predictions[report.job_id]
        self._answered[report.job_id] = report
        return job

    # -- the whole ---------------------------------------------------------------------------

    def summary(self) -> SchedulerSummary:
        """Return the state as a frozen value."""
        trials = tuple(self._view(i, trial) for i, trial in enumerate(self._trials))
        return SchedulerSummary(trials, _best(trials), self.epochs, tuple(self.events))

    @staticmethod
    def _view(trial_id: int, trial: _Trial) -> TrialSummary:
        if trial.view is None:
            trial.view = TrialSummary(
                trial_id=trial_id,
                config=trial.config,
                bracket=trial.bracket,
                rung=trial.rung,
                status=trial.status,
                losses=tuple(trial.losses),
                reason=trial.reason,
            )
        return trial.view


def _best(trials: Sequence[TrialSummary]) -> TrialSummary | None:
    """Return the best completed trial; before there is one, the best of all that did not fail."""
    completed = [trial for trial in trials if trial.status is TrialStatus.COMPLETED]
    alive = [trial for trial in trials if trial.status is not TrialStatus.FAILED]
    return best_of(completed) or best_of(alive)


def _unknown(report: object, why: str) -> str:
    return f"the report fits no job: {why}; got {report}"
