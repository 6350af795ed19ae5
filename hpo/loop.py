"""The loop that connects a scheduler with a runner of its jobs.

A scheduler decides and runs nothing; a runner runs jobs and decides nothing; a recorder writes down
what passes between them *before* it takes effect. `drive` connects the three.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, runtime_checkable

from hpo.trial import Config, Decision, Done, Job, Report, SchedulerSummary, Wait


class Scheduler(Protocol):
    """Decides which trials are trained, how far, and which are stopped.

    A scheduler has no access to a clock, a file or a model. It is deterministic: the same sequence
    of calls, with the same reports, gives the same decisions.
    """

    def ask(self) -> Decision:
        """Return the next job, `Wait` if a report is needed first, or `Done`.

        A `PredictJob` or `ForecastJob` that is ready comes before any `TrainJob`. `Wait` and `Done`
        draw no random numbers and change nothing, except that the first `Done` may stop the trials
        that still wait. `Done` is returned only when no job is outstanding.
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


@runtime_checkable
class WorkerAware(Protocol):
    """A scheduler whose budget depends on the number of workers."""

    @property
    def budget(self) -> object:
        """What the search will spend; as text it says how that comes about."""
        ...

    def expect_workers(self, n_workers: int) -> None:
        """Take note of the number of workers of the run, before the first `ask`.

        Parameters
        ----------
        n_workers : int
            At least 1.
        """
        ...


@runtime_checkable
class RetriesTrials(Protocol):
    """A scheduler that takes failed trials back."""

    def retry(self, trial_ids: Sequence[int]) -> None:
        """Take failed trials back: each is trained again, from the units that it has.

        What was decided without them stays. They are compared with the trials that were trained
        meanwhile, as if they came late, and go on or stop. The scheduler may have been `Done`.

        Parameters
        ----------
        trial_ids : sequence of int
            Trials whose last report is a `TrainFailure`, ascending.

        Raises
        ------
        ValueError
            If one of them did not fail so.
        """
        ...


@runtime_checkable
class TakesInitial(Protocol):
    """A scheduler that tries given configurations before those of its searcher."""

    @property
    def space(self) -> object:
        """The `hpo.SearchSpace` of its searcher; None if it has none."""
        ...

    def enqueue(self, configs: Sequence[Config]) -> None:
        """Try these configurations first, before the first `ask`.

        Parameters
        ----------
        configs : sequence of Config
            Complete or in part (see `hpo.searchers.with_initial`).

        Raises
        ------
        ValueError
            If one does not fit the search space.
        RuntimeError
            If the search has begun.
        """
        ...


@runtime_checkable
class Extendable(Protocol):
    """A scheduler whose search goes on beyond the end for which it was built."""

    def extend(self, **settings: Any) -> None:
        """Go on: as if the search had been built with larger values of some settings.

        The scheduler may have been `Done`. What was decided stays.

        Parameters
        ----------
        **settings
            Settings of the constructor, each with a value larger than the present one.

        Raises
        ------
        ValueError
            If a setting cannot be extended, or its value is not larger. Nothing has changed then.
        """
        ...


@runtime_checkable
class RetiresTrials(Protocol):
    """A scheduler that states which trials it will not train any more."""

    def retired(self) -> AbstractSet[int]:
        """Return the trials that get no further job: stopped, completed, or with a loss of NaN.

        A trial whose training failed is none of them, since `RetriesTrials.retry` can take it back.
        The set grows with the reports. Only `retry`, `Extendable.extend` and a limit on trials that
        is raised take trials out of it, since they reopen a search that was over. As long as
        nothing has changed the same object is returned.
        """
        ...


@runtime_checkable
class LimitsTrials(Protocol):
    """A scheduler that starts no more trials than it is allowed to."""

    @property
    def trials_withheld(self) -> bool:
        """Whether the limit keeps it from starting a trial that it would start otherwise."""
        ...

    def limit_trials(self, n_trials: int | None) -> None:
        """Limit the number of trials of the search from now on.

        Trials that have begun are compared with each other, trained and stopped as if the searcher
        had no more configurations. A limit that is raised or taken away lets the others start; the
        scheduler may have been `Done`.

        Parameters
        ----------
        n_trials : int or None
            Trials in all, at least 1; None for no limit.
        """
        ...


def expect_workers(scheduler: Scheduler, n_workers: int) -> None:
    """Tell a scheduler the number of workers if it is `WorkerAware`, before its first `ask`.

    Parameters
    ----------
    scheduler : Scheduler
    n_workers : int
        At least 1.
    """
    if isinstance(scheduler, WorkerAware):
        scheduler.expect_workers(n_workers)


class Runner(Protocol):
    """Runs jobs somewhere."""

    def submit(self, job: Job) -> None:
        """Accept a job without blocking; it starts in the next `wait` with a free worker."""
        ...

    def wait(self) -> Sequence[Report]:
        """Block until at least one report is available; return all that are."""
        ...

    @property
    def free(self) -> int:
        """Number of further training jobs that may be submitted now."""
        ...


class Recorder(Protocol):
    """Records each decision and each report before it takes effect."""

    def decided(self, job: Job) -> None:
        """Record a job before it is submitted."""
        ...

    def reported(self, report: Report) -> None:
        """Record a report before the scheduler receives it."""
        ...


class NullRecorder:
    """A recorder that records nothing.

    See Also
    --------
    hpo.loop.drive : The loop that calls a recorder.

    Examples
    --------
    >>> from hpo.loop import NullRecorder
    >>> from hpo.trial import PredictFailure
    >>> NullRecorder().reported(PredictFailure(0, "no model"))
    """

    def decided(self, job: Job) -> None:
        """Ignore the job."""

    def reported(self, report: Report) -> None:
        """Ignore the report."""


def drive(scheduler: Scheduler, runner: Runner, recorder: Recorder | None = None) -> None:
    """Run the search to its end.

    Parameters
    ----------
    scheduler : Scheduler
        Decides. Jobs submitted to `runner` before (resume) may be outstanding.
    runner : Runner
        Runs the jobs.
    recorder : Recorder, default=None
        Records decisions and reports. Default: nothing is recorded.
    """
    recorder = NullRecorder() if recorder is None else recorder
    while not _submit_all(scheduler, runner, recorder):
        for report in runner.wait():
            recorder.reported(report)
            scheduler.tell(report)


def _submit_all(scheduler: Scheduler, runner: Runner, recorder: Recorder) -> bool:
    """Submit jobs while a worker is free; return whether the search is over.

    A `PredictJob` or `ForecastJob` occupies no worker, but is requested only while one is free: it
    becomes ready through a report, which frees a worker, and is then returned first.
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
