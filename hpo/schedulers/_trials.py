"""State that every scheduler keeps: trials, outstanding jobs, reports and events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hpo.searchers.base import Searcher
from hpo.searchers.distinct import config_key
from hpo.trial import (
    Config,
    Curve,
    Event,
    ForecastJob,
    ForecastReport,
    ModelJob,
    ModelReport,
    PredictFailure,
    Proposal,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    TrialSummary,
    best_of,
    finite_or_worst,
    not_finite,
    same,
)

_ModelJob = TypeVar("_ModelJob", bound=ModelJob)


# The garbage collector visits every list and every dictionary, in pauses that grow with the search,
# but no slots and no tuple of numbers.
@dataclass(slots=True)
class _Trial:
    config: Config
    bracket: int
    rung: int = 0
    status: TrialStatus = TrialStatus.WAITING
    losses: tuple[float, ...] = ()
    reason: str = ""
    job: TrainJob | None = None
    failure: TrainFailure | None = None
    last: TrainReport | None = None  # by which the trial ended, as its training ended by itself
    summary: TrialSummary | None = None  # of the present state, created when needed
    was_waiting: bool = False  # when `stop_waiting` stopped it


class TrialStore:
    """Trials and jobs of one search; checks every report against the jobs handed out."""

    def __init__(self) -> None:
        self._trials: list[_Trial] = []
        self._predictions: dict[int, ModelJob] = {}
        self._answered: dict[int, ModelReport] = {}
        self._n_running = 0
        self._next_job_id = 0
        self._n_proposed = 0  # numbers that `next_config` asked a searcher for
        self._tried: set[str] = set()  # keys of the configurations of the first trials
        self._n_keyed = 0  # and their number
        self._stop_reason = ""  # of trials that wait, see `stop_waiting`; empty while they may run
        self._retired: frozenset[int] | None = None  # of the present state, found when needed
        self.epochs = 0
        self.events: list[Event] = []

    # -- trials ------------------------------------------------------------------------------

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self._trials)

    @property
    def n_outstanding(self) -> int:
        """Number of jobs that were handed out and not reported."""
        return self._n_running + len(self._predictions)

    @property
    def n_predicting(self) -> int:
        """Number of predictions among the outstanding jobs."""
        return len(self._predictions)

    def add(self, config: Config, bracket: int = 0) -> int:
        """Add a trial and return its number."""
        self._trials.append(_Trial(config, bracket))
        return len(self._trials) - 1

    def next_config(self, searcher: Searcher) -> Config | None:
        """Return the searcher's next configuration that no trial has, None if there are no more.

        For a scheduler that has configurations from elsewhere too. A searcher that allows
        duplicates is asked once, for the number of the new trial.
        """
        if getattr(searcher, "allow_duplicates", True):
            return searcher.propose(self.n_trials)
        tried = self._keys()
        while (config := searcher.propose(self._n_proposed)) is not None:
            self._n_proposed += 1
            if config_key(config) not in tried:
                return config
        return None

    def new_proposals(
        self, proposals: Iterable[Proposal], searcher: Searcher
    ) -> Iterator[Proposal]:
        """Yield the proposals whose configurations no trial has, unless duplicates are allowed.

        Trials were started since the proposals were asked for.
        """
        if getattr(searcher, "allow_duplicates", True):
            yield from proposals
            return
        known = set(self._keys())
        for proposal in proposals:
            key = config_key(proposal.config)
            if key not in known:
                known.add(key)
                yield proposal

    def _keys(self) -> set[str]:
        """Return the keys of the configurations of all trials."""
        for trial in self._trials[self._n_keyed :]:
            self._tried.add(config_key(trial.config))
        self._n_keyed = len(self._trials)
        return self._tried

    def resource(self, trial_id: int) -> int:
        """Return the number of units that the trial was trained."""
        return len(self._trials[trial_id].losses)

    def ended(self, trial_id: int) -> bool:
        """Return whether the trial's training ended by itself."""
        return self._trials[trial_id].last is not None

    def reached(self, trial_id: int, resource: int) -> bool:
        """Return whether the trial has a loss that counts after `resource` units."""
        return self.ended(trial_id) or self.resource(trial_id) >= resource

    def loss(self, trial_id: int, resource: int) -> float:
        """Return the loss after `resource` units, infinity if it is unknown or not finite.

        The last loss of a trial whose training ended by itself counts for all units after it.
        """
        losses = self._trials[trial_id].losses
        if self.ended(trial_id):
            resource = min(resource, len(losses))
        return finite_or_worst(losses[resource - 1]) if 0 < resource <= len(losses) else math.inf

    def curve(self, trial_id: int, length: int) -> Curve | None:
        """Return the first `length` losses, None if there are fewer or not all are finite.

        The last loss of a trial whose training ended by itself is repeated.
        """
        trial = self._trials[trial_id]
        losses = trial.losses[:length]
        if trial.last is not None:
            losses += losses[-1:] * (length - len(losses))
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

    def rung(self, trial_id: int) -> int:
        """Return the last rung that the trial entered."""
        return self._trials[trial_id].rung

    def failed(self, trial_id: int) -> bool:
        """Return whether the trial failed for good."""
        return self._trials[trial_id].status is TrialStatus.FAILED

    def complete_at(self, trial_id: int, resource: int) -> bool:
        """Return whether the trial is complete as it was trained for so many units."""
        trial = self._trials[trial_id]
        complete = trial.status is TrialStatus.COMPLETED and trial.last is None
        return complete and len(trial.losses) == resource

    def running(self, trial_id: int) -> bool:
        """Return whether a job of the trial is outstanding."""
        return self._trials[trial_id].job is not None

    def start(self, trial_id: int, stop: int, rung: int) -> TrainJob:
        """Hand out the job that trains the trial up to `stop` units."""
        trial = self._settled(self._trials[trial_id])
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
        """Stop the trial for good; one that failed, or is complete by itself, stays so."""
        self._end(trial_id, TrialStatus.STOPPED, reason)

    def stop_waiting(self, reason: str = "not among the best after {units} units") -> None:
        """Stop all trials that wait, until `resume_waiting`.

        This takes no time, however many they are: each is marked when its state is asked for.

        Parameters
        ----------
        reason : str, optional
            Reason, in which ``{units}`` stands for the units of the trial.
        """
        self._stop_reason = reason
        self._retired = None

    def retry(self, trial_id: int) -> None:
        """Take a trial back whose training failed: it waits to be trained further.

        Raises
        ------
        ValueError
            If it did not fail so.
        """
        trial = self._trials[trial_id] if 0 <= trial_id < len(self._trials) else None
        if trial is None or trial.status is not TrialStatus.FAILED or trial.failure is None:
            state = "unknown" if trial is None else f"{trial.status} {trial.reason}".strip()
            raise ValueError(
                f"retry takes trials whose training failed, got trial {trial_id}: {state}"
            )
        trial.failure = None
        self._set(trial, TrialStatus.WAITING)

    def reopen(self, trial_id: int) -> None:
        """Let a trial wait again that was stopped or is complete."""
        trial = self._trials[trial_id]
        if trial.status in (TrialStatus.STOPPED, TrialStatus.COMPLETED):
            self._set(trial, TrialStatus.WAITING)

    def resume_waiting(self) -> None:
        """Let the trials wait again that `stop_waiting` stopped."""
        self._stop_reason = ""
        for trial in self._trials:
            if trial.was_waiting:
                trial.was_waiting = False
                self._set(trial, TrialStatus.WAITING)

    def _settled(self, trial: _Trial) -> _Trial:
        """Return the trial, marked as stopped if `stop_waiting` stopped it."""
        if self._stop_reason and trial.status is TrialStatus.WAITING:
            reason = self._stop_reason.format(units=len(trial.losses))
            self._set(trial, TrialStatus.STOPPED, reason)
            trial.was_waiting = True
        return trial

    def complete(self, trial_id: int) -> None:
        """Mark the trial as trained to the end."""
        self._end(trial_id, TrialStatus.COMPLETED, "")

    def _end(self, trial_id: int, status: TrialStatus, reason: str) -> None:
        trial = self._trials[trial_id]
        if trial.status is not TrialStatus.FAILED and trial.last is None:
            self._set(trial, status, reason)

    def _set(self, trial: _Trial, status: TrialStatus, reason: str = "") -> None:
        if trial.status.over or status.over:
            self._retired = None
        trial.status, trial.reason, trial.summary = status, reason, None

    def retired(self) -> frozenset[int]:
        """Return the trials that get no further job (see `hpo.loop.RetiresTrials`)."""
        if self._retired is None:
            self._retired = frozenset(i for i, t in enumerate(self._trials) if self._is_retired(t))
        return self._retired

    def _is_retired(self, trial: _Trial) -> bool:
        if trial.job is not None or not self._settled(trial).status.over:
            return False
        return trial.status is not TrialStatus.FAILED or trial.failure is None

    # -- training reports --------------------------------------------------------------------

    def receive(self, report: TrainReport | TrainFailure) -> bool:
        """Take in a training report; return False if it is a duplicate.

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
            why = "no job of it is outstanding" if job is None else f"its job is {job}"
            raise ValueError(_unknown(report, why))
        reason = ""
        if isinstance(report, TrainFailure):
            trial.failure = report
            reason = f"{report.reason} (units {report.start} to {report.stop})"
        else:
            if why := _why_incomplete(report):
                raise ValueError(_unknown(report, why))
            trial.losses += tuple(map(float, report.losses))
            self.epochs += len(report.losses)
            if not math.isfinite(finite_or_worst(trial.losses[-1])):
                reason = not_finite("loss", trial.losses[-1], len(trial.losses))
        trial.job = trial.summary = None
        self._n_running -= 1
        if trial.status is TrialStatus.RUNNING:
            self._set(trial, TrialStatus.FAILED if reason else TrialStatus.WAITING, reason)
        else:
            self._retired = None  # it was stopped while its job was outstanding
        if isinstance(report, TrainReport) and report.finished:
            trial.last = report
            if not reason:
                self._set(trial, TrialStatus.COMPLETED)
        return True

    @staticmethod
    def _is_duplicate(trial: _Trial, report: TrainReport | TrainFailure) -> bool:
        if isinstance(report, TrainFailure):
            return report == trial.failure
        if report.finished:
            return trial.last is not None and same(trial.last, report)
        losses = trial.losses[report.start : report.stop]
        earlier = TrainReport(report.trial_id, report.start, report.stop, losses)
        return report.stop > report.start and same(earlier, report)

    # -- predictions -------------------------------------------------------------------------

    def next_job_id(self) -> int:
        """Return a number for the next prediction."""
        self._next_job_id += 1
        return self._next_job_id - 1

    def predict(self, job: _ModelJob) -> _ModelJob:
        """Hand out a prediction."""
        self._predictions[job.job_id] = job
        return job

    def answer(self, report: ModelReport) -> ModelJob | None:
        """Take in a report on a prediction; return its job, None if it is a duplicate.

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

    # -- summary -----------------------------------------------------------------------------

    def summary(self) -> SchedulerSummary:
        """Return the state as a frozen value."""
        trials = tuple(self._summary_of(i, trial) for i, trial in enumerate(self._trials))
        return SchedulerSummary(trials, best_of(trials), self.epochs, tuple(self.events))

    def _summary_of(self, trial_id: int, trial: _Trial) -> TrialSummary:
        self._settled(trial)
        if trial.summary is None:
            trial.summary = TrialSummary(
                trial_id=trial_id,
                config=trial.config,
                bracket=trial.bracket,
                rung=trial.rung,
                status=trial.status,
                losses=trial.losses,
                reason=trial.reason,
            )
        return trial.summary


def mix_seed(*numbers: int) -> int:
    """Return a seed that depends on all of the numbers, which are not negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _why_incomplete(report: TrainReport) -> str:
    """Return what losses a report lacks, empty if it has those of its job."""
    n_units = report.stop - report.start
    if not report.finished:
        return "" if len(report.losses) == n_units else f"needs {n_units} losses, one a unit"
    least = 1 if report.start == 0 else 0
    if least <= len(report.losses) <= n_units:
        return ""
    return f"needs {least} to {n_units} losses, since training ended by itself"


def _unknown(report: object, why: str) -> str:
    """Return the message of the error about a report that fits no job."""
    return f"the report fits no job: {why}; got {report}"
