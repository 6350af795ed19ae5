"""Adapter between a scheduler, which asks for segments of training, and a tuner that owns the loop.

Ray starts trials at any time, trains them unit by unit and asks after each unit what to do. The
conductor turns units into reports, keeps the outstanding jobs, and answers at once what needs no
training: predictions, and segments whose losses are known already. It does not depend on Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hpo.loop import NullRecorder, Recorder, Scheduler
from hpo.trial import (
    Config,
    Decision,
    Done,
    Job,
    ModelJob,
    ModelReport,
    Report,
    TrainFailure,
    TrainJob,
    TrainReport,
    Wait,
)


class NotYetError(Exception):
    """The scheduler needs a further trial, which Ray has not started yet."""


class Arrivals:
    """A searcher that proposes the configurations of Ray's trials in their order.

    Attributes
    ----------
    configs : list of Config
        Configurations of the trials so far.
    closed : bool
        Whether there will be no further trials.
    """

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.closed = False

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None if there is none.

        Raises
        ------
        NotYetError
            If it has not been started yet.
        """
        if trial_id < len(self.configs):
            return self.configs[trial_id]
        if self.closed:
            return None
        raise NotYetError


class Conductor:
    """Keeps the jobs of a scheduler while another program trains.

    Parameters
    ----------
    scheduler : Scheduler
        Scheduler whose searcher is `arrivals`.
    arrivals : Arrivals
        Trials so far.
    predict : callable
        Runs a `PredictJob` or `ForecastJob`; must not raise.
    recorder : Recorder, optional
        Records every job and report first.

    Attributes
    ----------
    jobs : dict of int to TrainJob
        Outstanding job of each trial, in the order in which they were decided.
    losses : dict of int to list of float
        Known loss after each unit.
    done : bool
        Whether the search is over.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        arrivals: Arrivals,
        predict: Callable[[ModelJob], ModelReport],
        recorder: Recorder | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._arrivals = arrivals
        self._predict = predict
        self._recorder = NullRecorder() if recorder is None else recorder
        self._ended: set[int] = set()  # trained as far as they ever will be
        self._failed: dict[int, str] = {}
        self._over: set[int] = set()
        self.jobs: dict[int, TrainJob] = {}
        self.losses: dict[int, list[float]] = {}
        self.done = False

    def arrive(self, config: Config) -> int:
        """Add a new trial and return its number."""
        self._arrivals.configs.append(config)
        number = len(self._arrivals.configs) - 1
        self.losses[number] = []
        return number

    def close(self) -> None:
        """Record that there will be no further trial."""
        self._arrivals.closed = True

    def result(self, trial: int, unit: int, loss: float) -> None:
        """Record the `loss` of a `trial` after `unit` units.

        A unit that is known already (from a trial that was restarted) is ignored; missing units
        get the loss of the next one.
        """
        known = self.losses[trial]
        known.extend([loss] * (unit - len(known)))

    def finish(self, trial: int) -> None:
        """Record that a trial ended by itself: its last loss counts from now on."""
        if self.losses[trial]:
            self._ended.add(trial)
        else:
            self.fail(trial, "ended without a result")

    def fail(self, trial: int, reason: str) -> None:
        """Record that a trial failed for a final `reason`."""
        self._failed[trial] = reason

    def is_over(self, trial: int) -> bool:
        """Return whether the trial was stopped, completed or failed."""
        return trial in self._over

    def resume(self, pending: Sequence[Job]) -> None:
        """Take over `pending` jobs, decided in an earlier process and not reported."""
        for job in pending:
            if isinstance(job, ModelJob):
                self._report(self._predict(job))
            else:
                self.jobs[job.trial_id] = job
        self._look()

    def settle(self) -> None:
        """Report all known losses and ask for decisions until there is nothing to do."""
        self._answer_all()
        while (decision := self._asked()) is not None:
            if isinstance(decision, ModelJob):
                self._recorder.decided(decision)
                self._report(self._predict(decision))
            elif isinstance(decision, TrainJob):
                self._recorder.decided(decision)
                self.jobs[decision.trial_id] = decision
            self._answer_all()
        self._look()

    def _asked(self) -> Decision | None:
        """Return the scheduler's next job, None if there is none now."""
        try:
            decision = self._scheduler.ask()
        except NotYetError:
            return None
        self.done = isinstance(decision, Done)
        return None if isinstance(decision, Wait | Done) else decision

    def _answer_all(self) -> None:
        for job in list(self.jobs.values()):
            report = self._answer(job)
            if report is not None:
                del self.jobs[job.trial_id]
                self._report(report)

    def _answer(self, job: TrainJob) -> TrainReport | TrainFailure | None:
        """Return the report of a job, None if it has to be trained."""
        trial, known = job.trial_id, self.losses[job.trial_id]
        if trial in self._failed:
            return TrainFailure(trial, job.start, job.stop, self._failed[trial])
        if len(known) < job.stop and trial not in self._ended:
            return None
        losses = tuple(known[job.start : job.stop])
        return TrainReport(trial, job.start, job.stop, losses, len(losses) < job.stop - job.start)

    def _report(self, report: Report) -> None:
        self._recorder.reported(report)
        self._scheduler.tell(report)

    def _look(self) -> None:
        trials = self._scheduler.summary().trials
        self._over.update(trial.trial_id for trial in trials if trial.status.over)
