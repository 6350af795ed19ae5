"""The one loop that connects a scheduler with whatever runs its jobs.

A scheduler decides and never runs; a runner runs and never decides; a recorder writes down what
passes between them *before* it takes effect. `drive` is the wiring, and all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpo.trial import Decision, Done, Job, Report, SchedulerSummary, Wait


class Scheduler(Protocol):
    """Decides what to train, for how long, and what to stop. Sees no clock, file or model.

    A scheduler is deterministic: the same reports in the same places between the same asks give
    the same decisions.
    """

    def ask(self) -> Decision:
        """Return the next job, `Wait` where a report has to come first, or `Done`.

        A `PredictJob` or `ForecastJob` that is ready comes before any `TrainJob`. `Wait` and `Done`
        change nothing and draw no random numbers. `Done` comes only when no job is outstanding.
        """
        ...

    def tell(self, report: Report) -> None:
        """Take in a report. An exact duplicate is ignored.

        Raises
        ------
        ValueError
            If no job that was handed out fits the report.
        """
        ...

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        ...


class Runner(Protocol):
    """Runs jobs somewhere."""

    def submit(self, job: Job) -> None:
        """Accept a job without blocking; it starts in the next `wait` with a free worker."""
        ...

    def wait(self) -> Sequence[Report]:
        """Block until at least one report is there, and return all that are."""
        ...

    @property
    def free(self) -> int:
        """How many more training jobs may be submitted now."""
        ...


class Recorder(Protocol):
    """Hears of each decision and report before it takes effect."""

    def decided(self, job: Job) -> None:
        """Record a job before it is submitted."""
        ...

    def reported(self, report: Report) -> None:
        """Record a report before the scheduler is told."""
        ...


class NullRecorder:
    """A recorder that records nothing."""

    def decided(self, job: Job) -> None:
        """Ignore the job."""

    def reported(self, report: Report) -> None:
        """Ignore the report."""


def drive(scheduler: Scheduler, runner: Runner, recorder: Recorder | None = None) -> None:
    """Run the search to its end.

    Parameters
    ----------
    scheduler : Scheduler
        Decides. May have jobs outstanding that were submitted to `runner` before (resume).
    runner : Runner
        Runs.
    recorder : Recorder, optional
        Hears of everything first. Default: nobody.
    """
    recorder = NullRecorder() if recorder is None else recorder
    while not _submit_all(scheduler, runner, recorder):
        for report in runner.wait():
            recorder.reported(report)
            scheduler.tell(report)


def _submit_all(scheduler: Scheduler, runner: Runner, recorder: Recorder) -> bool:
    """Submit jobs while a worker is free; return whether the search is over.

    A `PredictJob` or `ForecastJob` takes no worker, but is asked for only while one is free: it
    becomes ready through a report, which frees a worker, and comes first then.
    """
    while runner.free > 0:
        decision = scheduler.ask()
        if isinstance(decision, Done):
            return True
        if isinstance(decision, Wait):
            return False
        recorder.decided(decision)
        runner.submit(decision)
    return False
