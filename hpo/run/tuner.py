"""`Tuner`: a scheduler, a trainer, workers and a journal, wired together.

The tuner owns no decision. It writes each decision and each report to the journal before it takes
effect, so that a run that was killed at any moment goes on where it was:

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
import pickle
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import InterruptedRunError, JournalError, TrainerError, UsageError
from hpo.loop import Scheduler, drive
from hpo.predictors import CurvePredictor, Forecaster
from hpo.run.baseline import HyperbandBaseline
from hpo.run.checkpoints import CheckpointStore, default_directory
from hpo.run.executors import check_executor, make_pool
from hpo.run.executors.pools import ExecutorPool, ExecutorSource, InlinePool, WorkerPool
from hpo.run.journal import Header, Journal, JournalContent, read_journal
from hpo.run.overlap import RESUMED
from hpo.run.progress import NoProgress, Progress
from hpo.run.recorder import PredictCall, RunRecorder, signals_stop
from hpo.run.replay import replay
from hpo.run.results import Results
from hpo.run.runner import JobRunner, Policy
from hpo.run.spec import RunSpec
from hpo.trainers import NamedTrainer, Trainer, as_trainer
from hpo.trainers.base import describe
from hpo.trial import Job

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuner:
    """Runs a search.

    Parameters
    ----------
    trainer : Trainer, callable or str
        What trains a configuration: a `Trainer`, a function with the signature of
        `Trainer.train`, or a name (``"FILE.py:trainer"``). It has to be picklable for worker
        processes; a name always is.
    scheduler : Scheduler
        What decides, fresh from its constructor.
    journal : Path or None
        New file for the journal; None keeps none, and the run cannot be resumed.
    executor : "process", "inline", "dask", "mpi", "ray", Executor or callable
        Worker processes of our own; this process; an engine (``docs/engines.md``); any
        `concurrent.futures.Executor`; or a function that builds one, so that it can be built again
        when it breaks.
    n_workers : int or None
        Trials to train at the same time. 1 for "inline". None: as many as the engine's cluster
        has, 1 on this machine.
    executor_options : Mapping
        What the engine is told (`hpo.run.executors.options.ExecutorOptions`): devices, address, ...
    predictor : CurvePredictor, Forecaster, str or None
        What predicts learning curves for schedulers that ask; None takes the default.
    max_retries : int
        Further attempts for a job that failed, each from the trial's last checkpoint.
    timeout : float or None
        Seconds that one training job (a segment of a trial) may take; then its worker is killed.
        Not for "inline".
    predict_timeout : float or None
        Seconds that a prediction may take; then its round goes on as plain Hyperband, visibly.
        Not for "inline".
    checkpoint_dir : Path or None
        Directory for checkpoints; default: beside the journal, or a temporary directory that is
        deleted at the end where there is no journal.
    progress : Progress or None
        What shows the run to the user; default: nothing.
    spec : RunSpec or None
        What the run was built from, written to the journal so that ``hpo resume`` needs no more
        than that. `from_spec` sets it.

    Notes
    -----
    With ``executor="inline"`` a run repeats exactly, and so does a run that was killed and resumed.
    With several workers configurations and curves repeat; which decisions may depend on the order
    in which jobs finish stands in `hpo.run.executors.pools`.
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
    progress: Progress = field(default_factory=NoProgress)
    spec: RunSpec | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.n_workers is not None:
            _check_at_least("n_workers", self.n_workers, 1)
        _check_at_least("max_retries", self.max_retries, 0)
        _check_seconds("timeout", self.timeout)
        _check_seconds("predict_timeout", self.predict_timeout)
        limits = (self.timeout, self.predict_timeout)
        _check_executor(self.executor, self.executor_options)
        if self.executor == "inline":
            _check_inline(self.n_workers, limited=limits != (None, None))

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
        """Go on with a run that was stopped or killed, to its end.

        Parameters
        ----------
        journal : Path
            Its journal.
        trainer, scheduler : optional
            Needed where the run was not built from a `RunSpec`: as given when it began.
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
            If a setting is wrong.
        """
        journal = Path(journal)
        store = Path(settings.get("checkpoint_dir") or default_directory(journal))
        CheckpointStore(store).restore_journal(journal)
        header = read_journal(journal).header
        if header.spec:
            spec = RunSpec.from_json(header.spec)
            tuner = cls.from_spec(spec, journal=journal, **settings)
            _warn_if_changed(spec, tuner.spec)
        elif trainer is None or scheduler is None:
            raise JournalError(
                f"journal {journal} was started from Python objects; resume it from Python with "
                "Tuner.resume(journal, trainer, scheduler) and the same objects"
            )
        else:
            tuner = cls(trainer, scheduler, journal=journal, **settings)
        return tuner._resume()

    def run(self) -> Results:
        """Run the search from its beginning to its end.

        Returns
        -------
        Results

        Raises
        ------
        UsageError
            If the journal or the checkpoint directory exists already, or the trainer cannot be
            imported or sent to workers. Nothing has been written then.
        InterruptedRunError
            On Ctrl-C or SIGTERM, after everything has been stopped in good order.
        """
        trainer = self._checked_trainer()
        with contextlib.ExitStack() as stack:
            if self.journal is None:
                store = self._loose_store(stack)
                return self._go(trainer, self._pool(store, stack), store)
            Journal.check_new(self.journal)
            store = self._store(self.journal)
            store.check_unused()
            pool = self._pool(store, stack)  # before anything is written: it may be out of reach
            spec = {} if self.spec is None else self.spec.to_json()
            journal = stack.enter_context(Journal.create(self.journal, spec))
            try:
                store.create(journal.header)
            except UsageError:
                journal.path.unlink()  # just made, and empty
                raise
            return self._go(trainer, pool, store, journal)

    def _resume(self) -> Results:
        trainer = self._checked_trainer()
        if self.journal is None:
            raise UsageError("journal must be given to resume")
        journal, content = Journal.open(self.journal)
        with contextlib.ExitStack() as stack:
            stack.enter_context(journal)
            pending = replay(content, self.scheduler)
            store = self._store(self.journal)
            kept = store.adopt(journal.header)
            if not kept and content.reports():
                _log.warning("%s was gone: trials will be trained from the beginning", store.root)
            pool = self._pool(store, stack)
            journal.append("note", {"what": RESUMED, "checkpoints": kept})
            return self._go(trainer, pool, store, journal, pending, content)

    def _go(
        self,
        trainer: Trainer,
        pool: WorkerPool,
        store: CheckpointStore,
        journal: Journal | None = None,
        pending: Sequence[Job] = (),
        before: JournalContent | None = None,
    ) -> Results:
        recorder = RunRecorder(self.scheduler, journal, self.progress, self.plan, before)
        runner = JobRunner(
            trainer,
            pool,
            PredictCall.of(self.predictor, self.scheduler),
            store,
            Policy(self.max_retries, self.timeout, self.predict_timeout),
            recorder.note,
            background=not isinstance(pool, InlinePool),
        )
        try:
            with self.progress, signals_stop(runner):
                for job in pending:
                    runner.submit(job)
                drive(self.scheduler, runner, recorder)
                recorder.note_overlap(runner.overlap())
                recorder.show()
        except InterruptedRunError as stop:
            raise InterruptedRunError(stop.signum, self.journal) from None
        return self._results(recorder)

    def _results(self, recorder: RunRecorder) -> Results:
        summary = self.scheduler.summary()
        return Results.of(summary, recorder.reports, recorder.notes, self.plan, finished=True)

    @property
    def plan(self) -> HyperbandBaseline | None:
        """Plain Hyperband with the run's settings, where they are known."""
        return None if self.spec is None else self.spec.plan()

    def _checked_trainer(self) -> Trainer:
        _check_unguarded()
        trainer = as_trainer(self.trainer)
        if self.executor != "inline" and not isinstance(trainer, NamedTrainer):
            try:
                pickle.dumps(trainer)
            except Exception as error:  # noqa: BLE001 - pickle raises whatever the object does
                raise TrainerError(
                    f"trainer cannot be sent to worker processes ({describe(error)}); define it at "
                    "the top of a file and pass 'FILE.py:name', or use executor='inline'"
                ) from None
        return trainer

    def _store(self, journal: Path) -> CheckpointStore:
        return CheckpointStore(Path(self.checkpoint_dir or default_directory(Path(journal))))

    def _loose_store(self, stack: contextlib.ExitStack) -> CheckpointStore:
        """Return the checkpoints of a run without a journal."""
        if self.checkpoint_dir is None:
            return CheckpointStore(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        store = CheckpointStore(Path(self.checkpoint_dir))
        store.check_unused()
        store.create(Header("", {}, time.time()))
        return store

    def _pool(self, store: CheckpointStore, stack: contextlib.ExitStack) -> WorkerPool:
        """Build the workers, which end with the stack."""
        pool: WorkerPool
        if isinstance(self.executor, str):
            pool = make_pool(
                self.executor, self.n_workers, log_dir=store.root, options=self.executor_options
            )
        else:
            pool = ExecutorPool(self.executor, self.n_workers or 1)
        stack.callback(pool.close)
        return pool


def _warn_if_changed(before: RunSpec, now: RunSpec | None) -> None:
    if now is not None and now.fingerprint != before.fingerprint:
        _log.warning("%s has changed since the run began", now.trainer.rpartition(":")[0])


def _check_at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be an integer of at least {least}, got {value!r}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise UsageError(f"{name} must be a positive number of seconds or None, got {value!r}")


def _check_unguarded() -> None:
    """Refuse to start a run while a worker imports the main script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "this script starts a run when it is imported, which its workers do; put the call "
            "under: if __name__ == '__main__':"
        )


def _check_executor(executor: object, options: Mapping[str, Any]) -> None:
    if isinstance(executor, str):
        check_executor(executor, options)
    elif not isinstance(executor, Executor) and not callable(executor):
        raise UsageError(
            "executor must be an engine's name, an Executor or a function that builds one, got "
            f"{type(executor).__name__}"
        )
    elif options:
        raise UsageError(f"executor_options are for engines given by name, got {dict(options)!r}")


def _check_inline(n_workers: int | None, *, limited: bool) -> None:
    if n_workers not in (1, None) or limited:
        raise UsageError(
            "executor 'inline' runs one job after the other in this process and cannot stop it: "
            f"n_workers must be 1 (got {n_workers}) and timeouts None; use 'process'"
        )
