"""`Tuner` connects a scheduler, a trainer, workers and a journal.

The tuner takes no decision. It writes each decision and each report to the journal before it takes
effect, so that a run that was killed at any moment can be resumed:

>>> from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
>>> def train(config, start, stop, checkpoint):
...     return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
>>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
>>> scheduler = make_scheduler(
...     "hyperband", RandomSearcher(space, seed=0), max_resource=9, reduction_factor=3, seed=0
... )
>>> results = Tuner(train, scheduler, executor="inline").run()
>>> results.best.trial_id == min(results.trials, key=lambda t: t.last_loss).trial_id
True
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import InterruptedRunError, JournalError, UsageError
from hpo.loop import Scheduler, WorkerAware, drive
from hpo.predictors import CurvePredictor, Forecaster
from hpo.run.baseline import HyperbandBaseline
from hpo.run.checkpoints import CheckpointStore, default_directory
from hpo.run.executors import check_executor, make_pool
from hpo.run.executors.pools import (
    ExecutorPool,
    ExecutorSource,
    InlinePool,
    ProcessPool,
    WorkerPool,
)
from hpo.run.forecasting import ModelRunner, model_runner
from hpo.run.journal import Header, Journal, JournalContent, read_header
from hpo.run.overlap import RESUMED
from hpo.run.progress import Progress
from hpo.run.recorder import RunRecorder
from hpo.run.replay import WORKERS, replay
from hpo.run.results import Results
from hpo.run.runner import JobRunner, Policy, signals_stop
from hpo.run.spec import RunSpec
from hpo.text import visible
from hpo.trainers import NamedTrainer, Trainer, as_trainer
from hpo.trainers.loading import named_trainer
from hpo.trainers.sending import sendable
from hpo.trial import Job

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuner:
    """Runs a search.

    Parameters
    ----------
    trainer : Trainer, callable or str
        A `Trainer`, a function with the signature of `Trainer.train`, or a name
        (``"FILE.py:trainer"``). What pickle cannot send to worker processes is sent by
        cloudpickle, where it is installed (`hpo.trainers.sending`); a name always can be.
    scheduler : Scheduler
        Scheduler, fresh from its constructor.
    journal : Path or None
        New file for the journal; without one the run cannot be resumed.
    executor : "process", "inline", "dask", "mpi", "ray", Executor or callable
        Worker processes; this process; a distributed executor (``docs/executors.md``); any
        `concurrent.futures.Executor`; or a function that builds one, so that it can be built again
        when it breaks.
    n_workers : int or None
        Number of trials to train at the same time; 1 for "inline". None takes all workers of a
        cluster, 1 on this machine.
    executor_options : Mapping
        Devices, address, ... (see `hpo.run.executors.options.ExecutorOptions`).
    predictor : CurvePredictor, Forecaster, str or None
        Predictor of learning curves, for schedulers that use one; None takes the default.
    max_retries : int
        Further attempts of a job that failed, each from the trial's last checkpoint.
    timeout : float or None
        Time limit of a training job (a segment of a trial), in seconds; its worker is killed
        then. Not for "inline".
    predict_timeout : float or None
        Time limit of a prediction, in seconds; after it the round is decided as plain Hyperband,
        which is reported. Not for "inline".
    checkpoint_dir : Path or None
        Directory for checkpoints; default: beside the journal or, without a journal, a temporary
        directory that is deleted at the end.
    progress : Progress
        Display of the run; default: none.
    spec : RunSpec or None
        Specification that the run was built from, written to the journal for ``hpo resume``.
        `from_spec` sets it.

    Raises
    ------
    UsageError
        If a setting is invalid.

    Notes
    -----
    With ``executor="inline"`` or a single worker a run is reproducible bit for bit, and so is a run
    that was killed and resumed. With several workers configurations and curves are reproducible;
    `hpo.run.executors.pools` says which decisions may depend on the order in which jobs finish.
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
    checkpoint_dir: Path | None = None
    progress: Progress = field(default_factory=Progress)
    spec: RunSpec | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.n_workers is not None:
            _check_at_least("n_workers", self.n_workers, 1)
        _check_at_least("max_retries", self.max_retries, 0)
        _check_seconds("timeout", self.timeout)
        _check_seconds("predict_timeout", self.predict_timeout)
        limits = (self.timeout, self.predict_timeout)
        if isinstance(self.executor, str):
            check_executor(self.executor, self.executor_options)
        elif not isinstance(self.executor, Executor) and not callable(self.executor):
            raise UsageError(
                "executor must be the name of one, an Executor or a function that builds one, got "
                f"{type(self.executor).__name__}"
            )
        elif self.executor_options:
            raise UsageError(
                "executor_options are for executors given by name, got "
                f"{dict(self.executor_options)!r}"
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
        trainer = NamedTrainer(spec.trainer).resolved()
        place = settings.get("checkpoint_dir") or spec.checkpoint_dir
        spec = dataclasses.replace(
            spec,
            trainer=trainer.name,
            fingerprint=trainer.fingerprint(),
            checkpoint_dir=str(Path(place).resolve()) if place else "",
        )
        given = {
            "executor": spec.executor,
            "n_workers": spec.n_workers,
            "executor_options": spec.executor_options,
            "max_retries": spec.max_retries,
            "timeout": spec.timeout,
            "predict_timeout": spec.predict_timeout,
            "predictor": spec.build_predictor(),
            "checkpoint_dir": Path(spec.checkpoint_dir) if spec.checkpoint_dir else None,
        }
        return cls(spec.trainer, spec.build_scheduler(), spec=spec, **(given | settings))

    @classmethod
    def resume(
        cls, journal: Path, trainer: Any = None, scheduler: Scheduler | None = None, **settings: Any
    ) -> Results:
        """Resume a run that was stopped or killed, and run it to its end.

        Parameters
        ----------
        journal : Path
            Its journal; one of an older format is replaced by its translation.
        trainer, scheduler : optional
            As given when the run began; needed if it was not built from a `RunSpec`.
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
            If a setting is invalid.
        """
        journal = Path(journal)
        store = Path(settings.get("checkpoint_dir") or default_directory(journal))
        CheckpointStore(store).restore_journal(journal)
        header = read_header(journal)
        if header.spec:
            spec = RunSpec.from_json(header.spec)
            tuner = cls.from_spec(spec, journal=journal, **settings)
            if tuner.spec is not None and tuner.spec.fingerprint != spec.fingerprint:
                file = tuner.spec.trainer.rpartition(":")[0]
                _log.warning("%s has changed since the run began", visible(file))
        elif trainer is None or scheduler is None:
            raise JournalError(
                f"journal {journal} was started from Python objects, which it cannot name; resume "
                "it from Python (a notebook: run the cell of the trainer first) with "
                "Tuner.resume(journal, trainer, scheduler) and the same objects"
            )
        else:
            tuner = cls(trainer, scheduler, journal=journal, **settings)
        return tuner._resume()

    def run(self) -> Results:
        """Run the search.

        Returns
        -------
        Results

        Raises
        ------
        UsageError
            If the journal or the checkpoint directory exists already, or the trainer cannot be
            imported or sent to workers. Nothing has been written then.
        InterruptedRunError
            On Ctrl-C or SIGTERM, after the run was stopped in good order.
        """
        trainer = self._checked_trainer()
        with contextlib.ExitStack() as stack:
            if self.journal is None:
                if self.checkpoint_dir is None:
                    directory = stack.enter_context(tempfile.TemporaryDirectory())
                    store = CheckpointStore(Path(directory).absolute())
                else:
                    store = CheckpointStore(Path(self.checkpoint_dir).absolute())
                    store.check_unused()
                workers = self._workers(trainer, store, stack)
                workers.check_import()
                if self.checkpoint_dir is not None:
                    store.create(Header("", {}, time.time()))
                return self._go(workers, store)
            Journal.check_new(self.journal)
            store = self._store(self.journal)
            store.check_unused()
            workers = self._workers(trainer, store, stack)
            workers.check_import()  # before anything is written
            spec = {} if self.spec is None else self.spec.to_json()
            journal = stack.enter_context(Journal.create(self.journal, spec))
            try:
                store.create(journal.header)
            except UsageError:
                journal.close()
                journal.path.unlink()  # just made, and empty
                raise
            return self._go(workers, store, journal)

    def _resume(self) -> Results:
        trainer = self._checked_trainer()
        if self.journal is None:
            raise UsageError("journal must be given to resume")
        journal, content = Journal.open(self.journal)
        with contextlib.ExitStack() as stack:
            stack.enter_context(journal)
            store = self._store(self.journal)
            workers = self._workers(trainer, store, stack)
            pending = replay(content, self.scheduler)  # while they start
            workers.check_import()
            kept = store.adopt(journal.header)
            if not kept and content.reports():
                gone = visible(store.root)
                _log.warning("%s was gone: trials will be trained from the beginning", gone)
            journal.append("note", {"what": RESUMED, "checkpoints": kept})
            return self._go(workers, store, journal, pending, content)

    def _go(
        self,
        workers: _Workers,
        store: CheckpointStore,
        journal: Journal | None = None,
        pending: Sequence[Job] = (),
        before: JournalContent | None = None,
    ) -> Results:
        recorder = RunRecorder(self.scheduler, journal, self.progress, self.baseline, before)
        self._expect_workers(workers.pool.n_workers, recorder)
        runner = JobRunner(
            workers.trainer,
            workers.pool,
            workers.model,
            store,
            Policy(self.max_retries, self.timeout, self.predict_timeout),
            recorder.note,
        )
        try:
            with self.progress, signals_stop(runner):
                for job in pending:
                    runner.submit(job)
                drive(self.scheduler, runner, recorder)
                recorder.finish(runner.overlap())
            store.tidy()
        except InterruptedRunError as stop:
            raise InterruptedRunError(stop.signum, self.journal) from None
        summary = self.scheduler.summary()
        return Results.of(summary, recorder.reports, recorder.notes, self.baseline, finished=True)

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

    @property
    def baseline(self) -> HyperbandBaseline | None:
        """Plain Hyperband with the settings of the run; None if they are not known."""
        return None if self.spec is None else self.spec.baseline()

    def _checked_trainer(self) -> Trainer:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise UsageError(
                "this script starts a run when it is imported, which its workers do; put the call "
                "under: if __name__ == '__main__':"
            )
        if self.executor == "process" and isinstance(self.trainer, str):
            return named_trainer(self.trainer)  # the first worker imports it, see `run`
        trainer = as_trainer(self.trainer)
        if self.executor == "inline":
            return trainer
        return sendable(trainer, checked=self.executor == "process")

    def _store(self, journal: Path) -> CheckpointStore:
        place = Path(self.checkpoint_dir or default_directory(Path(journal)))
        return CheckpointStore(place.absolute())  # workers may run in other folders

    def _workers(
        self, trainer: Trainer, store: CheckpointStore, stack: contextlib.ExitStack
    ) -> _Workers:
        """Start the workers and what forecasts, which are closed with the stack."""
        pool: WorkerPool
        if isinstance(self.executor, str):
            pool = make_pool(
                self.executor, self.n_workers, log_dir=store.root, options=self.executor_options
            )
        else:
            pool = ExecutorPool(self.executor, self.n_workers or 1)
        stack.callback(pool.close)
        if isinstance(pool, ProcessPool):
            pool.start(trainer)
        background = not isinstance(pool, InlinePool)
        model = model_runner(self.predictor, self.scheduler, background=background)
        stack.callback(model.close)
        return _Workers(trainer, pool, model)


@dataclass(frozen=True)
class _Workers:
    """What a run is made with."""

    trainer: Trainer
    pool: WorkerPool
    model: ModelRunner

    def check_import(self) -> None:
        """Wait until the first worker process has imported the trainer, or raise its error."""
        if isinstance(self.pool, ProcessPool):
            self.pool.check_import(self.trainer)


def _check_at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be an integer of at least {least}, got {value!r}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= threading.TIMEOUT_MAX:
        raise UsageError(
            f"{name} must be a positive number of seconds, finite, or None for no limit, got "
            f"{value!r}"
        )
