"""`Tuner` runs a search: it connects a scheduler, a trainer, workers and a journal.

The tuner makes no decisions. It writes each decision and each report to the journal before it takes
effect, so that a run can be resumed after it was killed at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from hpo.errors import (
    AllTrialsFailedWarning,
    InterruptedRunError,
    JournalError,
    MachineError,
    MissingPackageError,
    StoppedRunError,
    TrainerError,
    UsageError,
)
from hpo.loop import Scheduler, WorkerAware
from hpo.predictors import CurvePredictor, Forecaster
from hpo.run.baseline import HyperbandBaseline
from hpo.run.callbacks import Callback, check_callbacks, drive_with_callbacks, show_results
from hpo.run.checkpoints import CheckpointStore, default_directory
from hpo.run.deadline import Moment, seconds_until
from hpo.run.executors.pools import ExecutorSource
from hpo.run.going_on import begin, extended, retry_trials
from hpo.run.interrupts import interrupts_ignored, signals_stop
from hpo.run.journal import Entry, Header, Journal, JournalContent, read_header
from hpo.run.limits import (
    Bounds,
    LimitReachedError,
    Limits,
    check_at_least,
    check_seconds,
    with_parts,
)
from hpo.run.machine import machine_errors_named
from hpo.run.models import ModelStore
from hpo.run.objective import resumed_with
from hpo.run.overlap import RESUMED
from hpo.run.progress import Progress
from hpo.run.recorder import LEADER, RunRecorder
from hpo.run.removal import RemovingRunner, discarded_without_objective, removed_before
from hpo.run.replay import WORKERS, replay
from hpo.run.results import Results
from hpo.run.runner import JobRunner, Policy
from hpo.run.salvage import salvage_journal
from hpo.run.spec import RunSpec
from hpo.run.state import state_note
from hpo.run.workers import Workers, WorkerSettings
from hpo.text import visible
from hpo.trainers import Trainer
from hpo.trainers.objective import Objective
from hpo.trial import Config, Done, Job, TrialStatus

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuner:
    """Run a search.

    Parameters
    ----------
    trainer : Trainer, callable or str
        A `Trainer`, a function with the signature of `Trainer.train`, or a name such as
        ``"FILE.py:trainer"``. Objects that pickle cannot send to worker processes are sent by
        cloudpickle if it is installed.
    scheduler : Scheduler
        Scheduler in the state in which its constructor leaves it.
    journal : Path or None, default=None
        New file for the journal. A run without a journal cannot be resumed.
    executor : {"process", "inline", "dask", "mpi", "ray", "shared"}, Executor or callable, \
default="process"
        Where trials are trained: in worker processes of this machine, in this process, on a
        cluster, or in processes that join the search by themselves (`hpo.run.work`). Any
        `concurrent.futures.Executor` works too. A function that builds one lets the tuner replace
        an executor that breaks.
    n_workers : int or None, default=1
        Number of trials that are trained at the same time; 1 for "inline". None takes all workers
        of a cluster, and 1 on this machine.
    executor_options : Mapping, default={}
        Options of the executor, such as ``devices`` and ``address`` (see
        `hpo.run.executors.options.ExecutorOptions`).
    predictor : CurvePredictor, Forecaster, str or None, default=None
        Predictor of learning curves, for schedulers that use one. None takes the scheduler's
        default.
    max_retries : int, default=1
        Number of further attempts of a segment that failed, each from the trial's last checkpoint.
    timeout : float or None, default=None
        Time limit of a segment, in seconds. Its worker is then killed. Not for "inline".
    predict_timeout : float or None, default=None
        Time limit of a prediction, in seconds. The round is then decided as in plain Hyperband,
        and this is reported. Not for "inline".
    deadline : float, timedelta, datetime, str or None, default=None
        Time before which the run stops cleanly: seconds or a duration from the start, a
        moment, or text (see `hpo.run.deadline.seconds_until`). Segments that are not expected to
        end in time are shortened or not started. Segments that run at the deadline are ended
        (finished first with "inline"), and `InterruptedRunError` is raised. The deadline is not
        part of the run: give another one to `resume`.
    max_lost : int or None, default=None
        Number of segments in a row that may be lost with their workers or the executor before the
        run ends with `ExecutorBrokenError`. None: 10, or 3 per worker if that is more.
    checkpoint_dir : Path or None, default=None
        Directory for checkpoints. None takes a directory beside the journal or, without a journal,
        a temporary directory that is deleted at the end.
    progress : Progress, default=Progress()
        Display of the run. The default shows nothing.
    spec : RunSpec or None, default=None
        Specification that the run was built from. `from_spec` sets it.
    initial : sequence of Config, default=()
        Configurations that are tried first, by every scheduler. If one names some of the
        hyperparameters only, the searcher completes it.
    warm_start : Path or sequence of Path, default=()
        Journals of earlier searches. Forecasts learn from their trials, and their best
        configurations are tried first, after `initial`. Their spaces may differ in part.
    callbacks : sequence of Callback, default=()
        Objects that are called during the search and may stop a trial or the search.
    objective : str or None, default=None
        Name of the metric to optimise, of those that the trainer returns. None takes the only one,
        or the one called ``"loss"``. If the trainer returns plain numbers, it is their name.
    mode : {"min", "max"}, default="min"
        Whether lower or higher values of the objective are better.
    keep_checkpoints : bool, default=False
        Whether to keep the checkpoints of all trials. By default a checkpoint is deleted when the
        scheduler will not train its trial further; those of the best trial and of failed trials are
        kept. A trial that is trained further without its checkpoint starts from the beginning.

    Raises
    ------
    UsageError
        If a setting is invalid.

    See Also
    --------
    RunSpec : Settings of a run as names and numbers.
    Results : What `run` and `resume` return.
    Callback : Base class of callbacks.

    Notes
    -----
    With ``executor="inline"`` or a single worker, a run repeats bit for bit, also if it was killed
    and resumed. With several workers, configurations and curves repeat; decisions may depend on the
    order in which segments end (see the guide of executors).

    Examples
    --------
    >>> from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
    >>> def train(config, start, stop, checkpoint):
    ...     return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    >>> scheduler = make_scheduler("hyperband", RandomSearcher(space, seed=0), max_resource=9)
    >>> results = Tuner(train, scheduler, executor="inline").run()
    >>> round(results.best.config["lr"], 1)
    0.4
    """

    trainer: Any
    scheduler: Scheduler
    _: dataclasses.KW_ONLY
    journal: Path | None = None
    executor: str | ExecutorSource = "process"
    n_workers: int | None = 1
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    predictor: CurvePredictor | Forecaster | str | None = None
    max_retries: int = 1
    timeout: float | None = None
    predict_timeout: float | None = None
    deadline: Moment | None = None
    max_lost: int | None = None
    checkpoint_dir: Path | None = None
    progress: Progress = field(default_factory=Progress)
    spec: RunSpec | None = None
    initial: Sequence[Config] = ()
    warm_start: Path | str | Sequence[Path | str] = ()
    callbacks: Sequence[Callback] = ()
    objective: str | None = None
    mode: Literal["min", "max"] = "min"
    keep_checkpoints: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        if not hasattr(self.scheduler, "ask"):
            raise UsageError(
                f"scheduler must be a Scheduler, got {type(self.scheduler).__name__}; "
                "make_scheduler(NAME, make_searcher(NAME, space), max_resource=R) builds one"
            )
        Objective.of(self.objective, self.mode)
        if self.n_workers is not None:
            check_at_least("n_workers", self.n_workers, 1)
        check_at_least("max_retries", self.max_retries, 0)
        if self.max_lost is not None:
            check_at_least("max_lost", self.max_lost, 1)
        check_seconds("timeout", self.timeout)
        check_seconds("predict_timeout", self.predict_timeout)
        if self.deadline is not None:
            seconds_until(self.deadline)
        check_callbacks(self.callbacks)
        limits = (self.timeout, self.predict_timeout)
        _ = self._settings  # checks them
        if self.executor == "shared" and self.journal is None:
            raise UsageError(
                "executor 'shared' needs a journal, by which other processes find the search; name "
                "a file on a file system that all of them see"
            )
        if self.executor == "inline" and (
            self.n_workers not in (1, None) or limits != (None, None)
        ):
            raise UsageError(
                "executor 'inline' runs one job after the other in this process and cannot stop "
                f"it: n_workers must be 1 (got {self.n_workers}) and timeouts None; use 'process'"
            )

    @classmethod
    def from_spec(cls, spec: RunSpec, **settings: Any) -> Tuner:
        """Build a tuner from plain values.

        Parameters
        ----------
        spec : RunSpec
            The run.
        **settings
            Further parameters of `Tuner` (``journal``, ``progress``, ...).
        """
        trainer, spec = spec.resolved(settings.get("checkpoint_dir"))
        given = {
            "executor": spec.executor,
            "n_workers": spec.n_workers,
            "executor_options": spec.executor_options,
            "max_retries": spec.max_retries,
            "timeout": spec.timeout,
            "predict_timeout": spec.predict_timeout,
            "max_lost": spec.max_lost,
            "predictor": spec.build_predictor(),
            "checkpoint_dir": Path(spec.checkpoint_dir) if spec.checkpoint_dir else None,
            "objective": spec.objective,
            "mode": spec.mode,
            "keep_checkpoints": spec.keep_checkpoints,
        }
        return cls(spec.trainer or trainer, spec.build_scheduler(), spec=spec, **(given | settings))

    @classmethod
    def resume(  # noqa: PLR0913 - the limits of `run` and what only a resumed run needs
        cls,
        journal: Path,
        trainer: Any = None,
        scheduler: Scheduler | None = None,
        *,
        salvage: bool = False,
        retry_failed: bool = False,
        extend: Mapping[str, Any] | None = None,
        max_time: float | timedelta | str | None = None,
        max_epochs: int | None = None,
        max_trials: int | None = None,
        target: float | None = None,
        **settings: Any,
    ) -> Results:
        """Resume a run that was stopped or killed, and run it to its end or a limit.

        Parameters
        ----------
        journal : Path
            Journal of the run. A journal of an older format is replaced by its translation.
        trainer, scheduler : default=None
            The objects that the run began with, if it was not built from a `RunSpec`; otherwise
            None.
        salvage : bool, default=False
            Whether to continue from the lines before the damage if the journal is damaged. The
            damaged file is kept (``NAME.damaged-1``). Trials that the lost lines are about are
            trained from the beginning, and their checkpoints are kept (``trial-00003.damaged-1``).
        retry_failed : bool, default=False
            Whether to train failed trials again, each from the last units that it reported. A trial
            whose loss is NaN or infinite has not failed in this sense.
        extend : Mapping, default=None
            Settings of the scheduler with larger values, with which a search continues beyond its
            end: ``max_resource`` (Swift-ASHA, ASHA), ``budget_fraction`` or ``max_epochs``
            (Swift-ASHA), ``iterations`` (all forms of Hyperband), ``n_trials`` (ASHA, random
            search, early stopping).
        max_time, max_epochs, max_trials, target : default=None
            Limits as in `run`; those of earlier sessions no longer apply. `max_epochs` and
            `max_trials` count all sessions of the run.
        **settings
            Further parameters of `Tuner`.

        Returns
        -------
        Results

        Raises
        ------
        JournalError
            If the journal cannot be used (see `hpo.run.journal`), or belongs to another run.
        UsageError
            If a setting is invalid, if `trainer` or `scheduler` is given and the journal names its
            own, or if the scheduler cannot take failed trials back or be extended so.
        InterruptedRunError, MachineError, ExecutorBrokenError, CallbackError
            As `run`.
        """
        limits = Limits(max_time, max_epochs, max_trials, target)
        journal = Path(journal)
        store = Path(settings.get("checkpoint_dir") or default_directory(journal))
        CheckpointStore(store).restore_journal(journal)
        if salvage and (aside := salvage_journal(journal, settings.get("checkpoint_dir"))):
            _log.warning("%s was damaged; it is kept as %s", journal, aside)
        tuner = cls._of_journal(journal, trainer, scheduler, settings)
        with machine_errors_named():
            return tuner._resume(limits, extend or {}, retry_failed=retry_failed)  # noqa: SLF001

    @classmethod
    def _of_journal(
        cls, journal: Path, trainer: Any, scheduler: Scheduler | None, settings: Mapping[str, Any]
    ) -> Tuner:
        """Build the tuner that resumes a run (see `resume`)."""
        header = read_header(journal)
        settings = resumed_with(header.objective, settings)
        if header.spec:
            if trainer is not None or scheduler is not None:
                raise UsageError(
                    f"journal {journal} names its trainer and scheduler, which a resumed run "
                    "keeps; leave trainer and scheduler out"
                )
            spec = RunSpec.from_json(header.spec, journal)
            try:
                tuner = cls.from_spec(spec, journal=journal, **settings)
            except (JournalError, TrainerError, MissingPackageError):
                raise
            except UsageError as error:
                raise UsageError(f"{error} (to resume line 1 of journal {journal})") from error
            if tuner.spec is not None and tuner.spec.fingerprint != spec.fingerprint:
                file = tuner.spec.trainer.rpartition(":")[0] or "the script"
                _log.warning("%s has changed since the run began", visible(file))
            return tuner
        if trainer is None or scheduler is None:
            raise JournalError(
                f"journal {journal} was started from Python objects, which it cannot name; resume "
                "it from Python (a notebook: run the cell of the trainer first) with "
                "Tuner.resume(journal, trainer, scheduler) and the same objects"
            )
        return cls(trainer, scheduler, journal=journal, **settings)

    def run(
        self,
        *,
        max_time: float | timedelta | str | None = None,
        max_epochs: int | None = None,
        max_trials: int | None = None,
        target: float | None = None,
    ) -> Results:
        """Run the search to its end, or to the first limit that it reaches.

        Parameters
        ----------
        max_time : float, timedelta, str or None, default=None
            Time of this call in seconds, or as text such as ``"55m"`` or ``"01:30:00"``. Segments
            that are not expected to end in time are not started; segments that still run then are
            ended (finished first with "inline").
        max_epochs : int or None, default=None
            Number of resource units to train in total. A segment that is too long is trained in
            part.
        max_trials : int or None, default=None
            Number of trials to start in total. The scheduler compares, trains and stops them as if
            there were no further configurations.
        target : float or None, default=None
            Value of the objective at which to stop: the run ends as soon as a value at least as
            good is reported after any epoch.

        Returns
        -------
        Results
            If a limit has ended the run, ``stopped_by`` names it and ``finished`` is False;
            `resume` continues the run.

        Raises
        ------
        UsageError
            If the journal or the checkpoint directory exists already, or the trainer cannot be
            imported or sent to workers. Nothing has been written in this case.
        InterruptedRunError
            On Ctrl-C, a notebook's stop button, SIGTERM or a batch system's signal, or at the
            deadline, after the run was stopped cleanly. Its attribute ``results`` has the
            results so far.
        MachineError
            If the machine fails rather than a trial: a full disk, a read-only file system, too
            little memory in this process. No trial is recorded as failed. Correct the cause and
            resume.
        ExecutorBrokenError
            If no worker is left, or `max_lost` segments in a row were lost.
        CallbackError
            If a callback fails, after the run was stopped cleanly.

        Warns
        -----
        AllTrialsFailedWarning
            If no trial ended with a finite loss.
        """
        limits = Limits(max_time, max_epochs, max_trials, target)
        with machine_errors_named():
            return self._run(limits)

    def _run(self, limits: Limits) -> Results:
        bounds = limits.begun(self.scheduler, self.deadline)
        trainer = self._settings.checked(self.trainer)
        with contextlib.ExitStack() as stack:
            if self.journal is None:
                if self.checkpoint_dir is None:
                    directory = stack.enter_context(tempfile.TemporaryDirectory())
                    store = CheckpointStore(Path(directory).absolute())
                else:
                    store = CheckpointStore(Path(self.checkpoint_dir).absolute())
                    store.check_unused()
                notes = begin(self.scheduler, self.initial, self.warm_start, self._objective)
                workers = self._workers(trainer, store, stack, notes)
                self._check_workers(workers, store)
                if self.checkpoint_dir is not None:
                    store.create(Header("", {}, time.time(), self._objective))
                return self._go(workers, store, bounds, notes=notes)
            Journal.check_new(self.journal)
            store = self._store(self.journal)
            store.check_unused()
            notes = begin(self.scheduler, self.initial, self.warm_start, self._objective)
            workers = self._workers(trainer, store, stack, notes)
            self._check_workers(workers, store)  # before anything is written
            spec = {} if self.spec is None else self.spec.to_json()
            journal = stack.enter_context(
                Journal.create(self.journal, spec, self._objective, notes)
            )
            try:
                store.create(journal.header)
            except UsageError:
                journal.close()
                journal.path.unlink()  # just made, and empty
                raise
            self.progress.announce(f"Journal: {visible(self.journal)}")
            with discarded_without_objective(journal, store):
                return self._go(workers, store, bounds, journal, notes=notes)

    def _resume(self, limits: Limits, extend: Mapping[str, Any], *, retry_failed: bool) -> Results:
        bounds = limits.begun(self.scheduler, self.deadline)
        trainer = self._settings.checked(self.trainer)
        if self.journal is None:
            raise UsageError("journal must be given to resume")
        if self.initial or self.warm_start:
            raise UsageError("initial and warm_start are for the start of a search; leave them out")
        journal, content = Journal.open(self.journal)
        with contextlib.ExitStack() as stack:
            stack.enter_context(journal)
            store = self._store(self.journal)
            workers = self._workers(trainer, store, stack, content.notes())
            pending = replay(content, self.scheduler)  # while they start
            self._check_workers(workers, store)
            kept = store.adopt(journal.header)
            if not kept and content.reports():
                gone = visible(store.root)
                _log.warning("%s was gone: trials will be trained from the beginning", gone)
            resumed = {"what": RESUMED, "checkpoints": kept}
            journal.append("note", resumed)
            line = Entry("note", resumed, time.time(), len(content.entries) + 2)
            content = replace(content, entries=(*content.entries, line))
            if retry_failed:
                retry_trials(self.scheduler, journal, content)
            tuner = self._extended(journal, content, extend)
            return tuner._go(workers, store, bounds, journal, pending, content)  # noqa: SLF001

    def _go(
        self,
        workers: Workers,
        store: CheckpointStore,
        bounds: Bounds,
        journal: Journal | None = None,
        pending: Sequence[Job] = (),
        before: JournalContent | None = None,
        notes: Sequence[Mapping[str, Any]] = (),
    ) -> Results:
        objective = self._objective
        recorder = RunRecorder(
            self.scheduler, journal, self.progress, self.baseline, before, objective
        )
        recorder.notes += notes  # which a new journal has from its beginning
        if journal is not None:
            executor = self.executor if isinstance(self.executor, str) else "executor"
            n_workers = workers.pool.n_workers
            place = {"host": socket.gethostname(), "pid": os.getpid()}
            recorder.note({"what": LEADER, **place, "executor": executor, "n_workers": n_workers})
        self._expect_workers(workers.pool.n_workers, recorder)
        store.removed = removed_before(recorder.notes)
        runner = self._runner(workers, store, bounds, recorder)
        removing = RemovingRunner(
            runner, self.scheduler, store, recorder.note, keep=self.keep_checkpoints
        )
        try:
            with self.progress, signals_stop(runner):
                if before is not None:
                    runner.resubmit(pending, before)
                with _shown_at_end(recorder):
                    limit = self._searched(runner, removing, recorder, bounds.limits)
                if not limit:
                    removing.finish()
                self.progress.conclude(f"stopped by {limit}" if limit else "finished")
                recorder.finish(runner.overlap())
            self._write_state(recorder, finished=not limit)
            if not limit:
                store.tidy()
        except KeyboardInterrupt as stop:  # cleanly, or the second one, which stops at once
            interrupted = None
            while interrupted is None:
                with contextlib.suppress(KeyboardInterrupt):  # one more, before they are ignored
                    interrupted = self._interrupted(stop, recorder, store)
            raise interrupted from None
        except StoppedRunError as error:
            if not isinstance(error, MachineError):  # its journal may be what cannot be written
                self._write_state(recorder, finished=False)
            error.results = self._results(recorder, store, finished=False)
            show_results(self.callbacks, error.results)
            raise
        results = self._results(recorder, store, finished=not limit)
        workers.pool.end()
        show_results(self.callbacks, results)
        if results.incumbent is None and results.finished:
            warnings.warn(results.no_best_text, AllTrialsFailedWarning, stacklevel=4)
        return results

    def _runner(
        self, workers: Workers, store: CheckpointStore, bounds: Bounds, recorder: RunRecorder
    ) -> JobRunner:
        """Return the runner of the jobs, which the display follows."""
        policy = Policy(
            self.max_retries,
            self.timeout,
            self.predict_timeout,
            self.max_lost,
            objective=self._objective,
        ).within(bounds, self.scheduler.summary().epochs)
        parts = (workers.trainer, workers.pool, workers.model, store, policy)
        runner = JobRunner(*parts, recorder.note, recorder.notes)
        runner.idle = recorder.idle
        self.progress.follow(runner.activity, bounds, getattr(self.scheduler, "n_trials", None))
        return runner

    def _interrupted(
        self, stop: KeyboardInterrupt, recorder: RunRecorder, store: CheckpointStore
    ) -> InterruptedRunError:
        """Return the error of an interrupt, with the results; further ones are ignored."""
        with interrupts_ignored():
            signum: int = signal.SIGINT
            if isinstance(stop, InterruptedRunError):
                signum = stop.signum
                self._write_state(recorder, finished=False)
            results = self._results(recorder, store, finished=False)
            show_results(self.callbacks, results)
            return InterruptedRunError(signum, self.journal, results)

    def _searched(
        self,
        runner: JobRunner,
        removing: RemovingRunner,
        recorder: RunRecorder,
        limits: Limits,
    ) -> str:
        """Run the search; return the name of the limit that ended it, empty for none."""
        if (note := limits.begin(self.scheduler, recorder.notes)) is not None:
            recorder.note(note)
        objective = self._objective
        summary = with_parts(self.scheduler.summary(), recorder.notes, objective)
        if limits.is_reached(summary, objective) and not self._is_over(runner, recorder):
            runner.end("target")
        try:
            drive_with_callbacks(self.scheduler, removing, recorder, self.callbacks)
            limit = "max_trials" if limits.withholds_trials(self.scheduler) else ""
        except LimitReachedError as reached:
            limit = reached.by
        if limit:
            recorder.note(limits.stop_note(limit))
        return limit

    def _is_over(self, runner: JobRunner, recorder: RunRecorder) -> bool:
        """Return whether nothing is left of a search; its next job is decided if there is one."""
        if any(trial.status is TrialStatus.RUNNING for trial in self.scheduler.summary().trials):
            return False
        decision = self.scheduler.ask()
        if isinstance(decision, Job):
            recorder.decided(decision)
            runner.submit(decision)
        return isinstance(decision, Done)

    def _results(self, recorder: RunRecorder, store: CheckpointStore, *, finished: bool) -> Results:
        is_temporary = self.journal is None and self.checkpoint_dir is None
        return Results.of(
            self.scheduler.summary(),
            recorder.reports,
            recorder.notes,
            self.baseline,
            finished=finished,
            objective=self._objective,
            models=ModelStore(None if is_temporary else store.root, self.trainer),
            space=getattr(self.scheduler, "space", None),
            spans=recorder.timeline.spans,
        )

    def _write_state(self, recorder: RunRecorder, *, finished: bool) -> None:
        """Write down what became of the trials, where the journal alone cannot tell."""
        if self.journal is not None and self.spec is None:
            recorder.note(state_note(self.scheduler.summary(), finished=finished))

    def _extended(
        self, journal: Journal, content: JournalContent, extend: Mapping[str, Any]
    ) -> Tuner:
        """Let the search go on beyond its end, and return the tuner with its settings."""
        notes = content.notes()
        if extend:
            notes.append(extended(self.scheduler, extend))
            journal.append("note", notes[-1])
        return self if self.spec is None else replace(self, spec=self.spec.extended(notes))

    def _expect_workers(self, n_workers: int, recorder: RunRecorder) -> None:
        """Tell a new search the number of its workers, by which it may set its budget."""
        scheduler = self.scheduler
        if not isinstance(scheduler, WorkerAware):
            return
        known = any(note.get("what") == WORKERS for note in recorder.notes)
        if not (known or scheduler.summary().trials):
            recorder.note({"what": WORKERS, "n_workers": n_workers})
            scheduler.expect_workers(n_workers)
        self.progress.announce(f"Budget: {scheduler.budget}")

    def _check_workers(self, workers: Workers, store: CheckpointStore) -> None:
        """Wait until workers can train, or raise their error."""
        with self.progress.starting():
            workers.pool.check_workers(workers.trainer, store.root)

    @property
    def _objective(self) -> Objective:
        return Objective.of(self.objective, self.mode)

    @property
    def baseline(self) -> HyperbandBaseline | None:
        """Plain Hyperband with the settings of the run; None if they are not known."""
        return None if self.spec is None else self.spec.baseline()

    @property
    def _settings(self) -> WorkerSettings:
        return WorkerSettings(self.executor, self.n_workers, self.executor_options)

    def _store(self, journal: Path) -> CheckpointStore:
        place = Path(self.checkpoint_dir or default_directory(Path(journal)))
        return CheckpointStore(place.absolute())  # workers may run in other folders

    def _workers(
        self,
        trainer: Trainer,
        store: CheckpointStore,
        stack: contextlib.ExitStack,
        notes: Sequence[Mapping[str, Any]],
    ) -> Workers:
        forecasts = (self.predictor, self.scheduler)
        return self._settings.started(trainer, store.root, forecasts, notes, stack)


@contextlib.contextmanager
def _shown_at_end(recorder: RunRecorder) -> Iterator[None]:
    """Show the last state of a search that is interrupted; one that ends is shown later."""
    try:
        yield
    except (InterruptedRunError, StoppedRunError):
        with contextlib.suppress(OSError, MemoryError):  # the error itself is what counts
            recorder.show()
        raise
