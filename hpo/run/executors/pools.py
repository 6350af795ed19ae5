"""Pools of workers: this process, worker processes, or any executor.

Every pool has the same interface (`WorkerPool`) and turns every failure into a plain
`hpo.trainers.base.Outcome`: a trainer that raises, a worker that dies or hangs, an exception that
cannot be pickled.

Reproducibility: `InlinePool` runs one segment after the other, so a run repeats bit for bit, and a
run on a single worker of any other pool takes the same decisions. With several workers the *order*
in which segments finish varies. Curves do not depend on it, nor do the decisions of random search,
successive halving, Hyperband, Swift- and Fast-Hyperband, which wait for the losses that they
compare. Two things do: which trials Swift-Hyperband trains ahead of a decision on idle workers,
so the epochs spent, and all decisions of ASHA and Swift-ASHA. The journal records what was
decided when.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpo.errors import ExecutorBrokenError, ExecutorLostError, UsageError
from hpo.run.executors.attempts import run_attempt
from hpo.run.executors.forkserver import ForkServer
from hpo.run.executors.guardian import guardian
from hpo.run.executors.process import ProcessSetup, Worker, interrupts_blocked
from hpo.trainers.base import Outcome, Segment, Trainer, describe, failed_call
from hpo.trainers.imports import imported_libraries
from hpo.trainers.loading import NamedTrainer
from hpo.trainers.sending import SentTrainer

_PRELOADED = ("hpo.run.executors.process", "threadpoolctl")
"""What every worker imports."""

ExecutorSource = Executor | Callable[[], Executor]


class WorkerPool(ABC):
    """Runs segments on a number of workers.

    Attributes
    ----------
    n_workers : int
        Maximum number of segments that run at the same time.

    Examples
    --------
    One that trains in the calling thread:

    >>> from concurrent.futures import Future
    >>> from hpo.run.executors.pools import WorkerPool
    >>> from hpo.trainers import run_segment
    >>> class Here(WorkerPool):
    ...     n_workers = free = 1
    ...     def submit(self, trainer, segment, timeout):
    ...         future = Future()
    ...         future.set_result(run_segment(trainer, segment))
    ...         return future
    ...     def close(self):
    ...         pass
    >>> Here().n_waiting
    0
    """

    n_workers: int

    @property
    @abstractmethod
    def free(self) -> int:
        """Number of segments that can be started now."""

    @property
    def n_waiting(self) -> int:
        """Number of segments that were submitted and wait for a worker."""
        return 0

    def start(self, trainer: Trainer) -> None:  # noqa: B027 - most workers need no start
        """Start the workers before there is a segment; returns at once.

        Parameters
        ----------
        trainer : Trainer
            What they will train.
        """

    def check_workers(self, trainer: Trainer, root: Path) -> None:  # noqa: B027 - as `start`
        """Wait until workers can train, before anything is written.

        Parameters
        ----------
        trainer : Trainer
            Has to be imported by them.
        root : Path
            Folder of the checkpoints, which they have to read and write.

        Raises
        ------
        TrainerError
            If a worker cannot import the trainer.
        UsageError
            If a worker cannot be used for another reason, or none answers in time.
        """

    @abstractmethod
    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Start a segment.

        The future's result is an `Outcome` whatever the trainer or the worker does; it raises
        `ExecutorBrokenError` only if nothing can run any more.

        Parameters
        ----------
        trainer : Trainer
        segment : Segment
        timeout : float or None
            Time limit in seconds.
        """

    def end(self) -> None:  # noqa: B027 - as `start`
        """Tell workers that do not end with this pool that the search is over."""

    @abstractmethod
    def close(self) -> None:
        """Stop the workers, killing running segments where that is possible."""


class InlinePool(WorkerPool):
    """Runs segments in the calling thread, one by one.

    It cannot stop a hanging trainer, so a timeout is refused.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo import FunctionTrainer
    >>> from hpo.run.executors.pools import InlinePool
    >>> from hpo.trainers import Segment
    >>> trainer = FunctionTrainer(lambda config, start, stop, checkpoint: [0.5] * (stop - start))
    >>> job = Segment({"lr": 0.1}, start=0, stop=2, checkpoint=Path("unused"))
    >>> InlinePool().submit(trainer, job, timeout=None).result().losses
    (0.5, 0.5)
    """

    n_workers = 1
    free = 1

    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Run the segment now and return a finished future.

        Raises
        ------
        UsageError
            If there is a timeout.
        """
        if timeout is not None:
            raise UsageError(
                f"timeout={timeout:g} needs worker processes: the inline executor cannot stop a "
                "hanging trainer; use executor='process' or no timeout"
            )
        future: Future[Outcome] = Future()
        future.set_result(run_attempt(trainer, segment))
        return future

    def close(self) -> None:
        """End what watches over this process."""
        guardian().retire()


class ProcessPool(WorkerPool):
    """Worker processes; the death of one does not affect the others.

    Parameters
    ----------
    n_workers : int
        Number of processes.
    threads : int, default=1
        Number of threads of numerical libraries in each; 1 keeps curves independent of the
        number of cores.
    log_dir : Path or None, default=None
        Directory for the output of the workers (``worker-0.log``, ...); None leaves it on the
        terminal.
    environments : sequence of Mapping, default=None
        Environment variables of each worker, such as its device.
    label : str, default=""
        What the names of the logs begin with, after ``worker-``.

    Examples
    --------
    >>> from hpo.run.executors.pools import ProcessPool
    >>> pool = ProcessPool(2)
    >>> pool.free
    2
    >>> pool.close()
    """

    def __init__(
        self,
        n_workers: int,
        *,
        threads: int = 1,
        log_dir: Path | None = None,
        environments: Sequence[Mapping[str, str]] | None = None,
        label: str = "",
    ) -> None:
        self.n_workers = n_workers
        names = [f"worker-{label}{number}.log" for number in range(n_workers)]
        logs = [None if log_dir is None else log_dir / name for name in names]
        self._setups = [
            # The number is that of the log. Members of a search that share a host have labels, and
            # the names that Python gives.
            ProcessSetup(threads, log, environment, name="" if label else f"worker {number}")
            for number, (log, environment) in enumerate(
                zip(logs, environments or [{}] * n_workers, strict=True)
            )
        ]
        self._server: ForkServer | None = None
        self._starter: threading.Thread | None = None
        self._workers: list[Worker] = []

    def start(self, trainer: Trainer) -> None:
        """Start all processes, which import the trainer; returns at once.

        Parameters
        ----------
        trainer : Trainer
            The libraries that its source imports are imported once, in the process from which
            the workers are forked (see `hpo.run.executors.forkserver`).
        """
        if self._workers:
            return
        if ForkServer.available():
            self._server = ForkServer([*_PRELOADED, *imported_libraries(trainer)])
            with interrupts_blocked():
                self._server.start()
        self._workers = [Worker(setup, self._server) for setup in self._setups]
        self._starter = threading.Thread(target=self._start_all, args=(trainer,), daemon=True)
        self._starter.start()

    def _start_all(self, trainer: Trainer) -> None:
        for worker in self._workers:
            with contextlib.suppress(Exception):  # its first job starts it again, or says why not
                worker.start(trainer)

    def check_workers(self, trainer: Trainer, root: Path) -> None:  # noqa: ARG002 - on this disk
        """Wait until the first worker has imported the trainer."""
        if isinstance(trainer, NamedTrainer | SentTrainer):
            self._workers[0].check_import(trainer)

    @property
    def free(self) -> int:
        """Number of idle workers."""
        return self.n_workers - sum(worker.busy for worker in self._workers)

    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Start a segment on an idle worker, which is killed when the timeout expires."""
        self.start(trainer)
        worker = next(worker for worker in self._workers if not worker.busy)
        return worker.submit(trainer, segment, timeout)

    def close(self) -> None:
        """End all processes, with those that their trainers have started."""
        if self._server is not None and self._server.unused:
            self._server.close()  # it may import for long
        for worker in self._workers:
            worker.interrupt()  # all of them have the same time to end
        for worker in self._workers:
            worker.close()
        if self._server is not None:
            self._server.close()
        if self._starter is not None:
            self._starter.join()


_UNWANTED = Outcome(reason="the executor was closed", cause="executor")


@dataclass
class _Generation:
    """An executor from its start until it breaks."""

    executor: Executor
    alone: bool | None = None  # once broken: whether a single job was running, which broke it


@dataclass
class _Task:
    trainer: Trainer
    segment: Segment
    timeout: float | None
    outer: Future[Outcome] = field(default_factory=Future)
    generation: _Generation | None = None
    suspect: bool = False
    abandoned: bool = False


class ExecutorPool(WorkerPool):
    """Runs segments on any `concurrent.futures.Executor` (Dask's, mpi4py's, loky's, ...).

    If the executor breaks (`BrokenExecutor`) and a function to build it was given, it is built
    again, and the jobs that were running are run again *one at a time*: a job that breaks the
    executor while it runs alone has failed, the others are not affected.

    A job past its timeout is abandoned, and not retried since it may still be running: an executor
    cannot stop it. Its worker counts as occupied until the job ends; if all workers are occupied,
    the run ends with `ExecutorBrokenError`. `ProcessPool` kills hanging workers instead.

    Parameters
    ----------
    executor : Executor or callable
        An executor, which the caller has to shut down, or a function without arguments that builds
        one (called again after it broke).
    n_workers : int
        Number of segments to run at the same time.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from hpo.run.executors.pools import ExecutorPool
    >>> pool = ExecutorPool(ThreadPoolExecutor(2), n_workers=2)
    >>> pool.free
    2
    >>> pool.close()
    """

    def __init__(self, executor: ExecutorSource, n_workers: int) -> None:
        self.n_workers = n_workers
        self._source = executor
        self._generation = _Generation(self._build())
        self._lock = threading.RLock()
        self._running: list[_Task] = []
        self._suspects: deque[_Task] = deque()
        self._abandoned = 0
        self._closed = False
        self._numbers = itertools.count()

    def _build(self) -> Executor:
        return self._source if isinstance(self._source, Executor) else self._source()

    @property
    def free(self) -> int:
        """Number of segments that can be started now: none while suspects are run one by one."""
        with self._lock:
            if self._suspects or any(task.suspect for task in self._running):
                return 0
            return max(0, self.n_workers - len(self._running) - self._abandoned)

    @property
    def n_waiting(self) -> int:
        """Number of suspects that wait for their turn."""
        return len(self._suspects)

    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Start a segment."""
        task = _Task(trainer, segment, timeout)
        with self._lock:
            self._start(task)
        return task.outer

    def _start(self, task: _Task) -> None:
        self._running.append(task)
        try:
            inner = self._submitted(task)
        except ExecutorBrokenError as error:
            self._running.remove(task)
            task.outer.set_exception(error)
            return
        if task.timeout is not None:
            timer = threading.Timer(task.timeout, self._expire, (task,))
            timer.daemon = True
            timer.start()
            inner.add_done_callback(lambda _: timer.cancel())
        inner.add_done_callback(lambda done: self._end(task, done))

    def _submitted(self, task: _Task) -> Future[Outcome]:
        """Submit, building the executor again if it broke while it was idle."""
        for last_try in (False, True):
            task.generation = self._generation
            try:
                call_id = f"{id(self):x}-{next(self._numbers)}"
                segment = replace(task.segment, call_id=call_id)
                return self._generation.executor.submit(run_attempt, task.trainer, segment)
            except (BrokenExecutor, RuntimeError) as error:
                if last_try:
                    raise _broken(error) from None
                self._rebuild(error)
        raise AssertionError  # not reached

    def _rebuild(self, error: BaseException) -> None:
        if isinstance(self._source, Executor):
            raise _broken(error) from None
        self._generation.executor.shutdown(wait=False)
        try:
            self._generation = _Generation(self._build())
        except Exception as failed:
            raise ExecutorBrokenError(
                "the executor broke and cannot be built again "
                f"({failed if isinstance(failed, UsageError) else describe(failed)})"
            ) from failed

    def _end(self, task: _Task, inner: Future[Outcome]) -> None:
        """Process a result in one of the executor's threads, or its end in another thread.

        From Python 3.12 on, `ProcessPoolExecutor` holds a lock while it reports that it broke. To
        submit or to shut it down takes that lock too, within ours.
        """
        if not inner.cancelled() and isinstance(inner.exception(), BrokenExecutor):
            threading.Thread(target=self._finish, args=(task, inner), daemon=True).start()
        else:
            self._finish(task, inner)

    def _finish(self, task: _Task, inner: Future[Outcome]) -> None:
        with self._lock:
            if task.abandoned:
                self._abandoned -= 1
                return
            outcome = _UNWANTED if self._closed else self._outcome(task, inner)
            self._running.remove(task)
            if outcome is None:
                task.suspect = True
                self._suspects.append(task)
            self._next_suspect()
        if outcome is not None:
            task.outer.set_result(outcome)

    def _outcome(self, task: _Task, inner: Future[Outcome]) -> Outcome | None:
        """Return the outcome, or None if the executor broke and the task is only a suspect."""
        try:
            return inner.result()
        except ExecutorLostError:
            if task.generation is not None:
                task.generation.alone = False  # to be built again; no job broke it
            return None
        except BrokenExecutor as error:
            generation = task.generation
            if generation is not None and generation.alone is None:
                generation.alone = len(self._running) == 1
            if generation is None or generation.alone:
                return Outcome(reason=f"worker died ({type(error).__name__})", cause="lost")
            return None
        except CancelledError:
            return Outcome(reason="cancelled by the executor", cause="executor")
        except Exception as error:  # noqa: BLE001 - executors report lost workers by their own types
            return failed_call(error.with_traceback(None))

    def _next_suspect(self) -> None:
        if not self._suspects or self._running or self._closed:
            return
        task = self._suspects.popleft()
        try:
            if self._generation.alone is not None:
                self._rebuild(BrokenExecutor("a worker died"))
        except ExecutorBrokenError as error:
            task.outer.set_exception(error)
        else:
            self._start(task)

    def _expire(self, task: _Task) -> None:
        with self._lock:
            if task not in self._running:
                return
            self._running.remove(task)
            task.abandoned = True
            self._abandoned += 1
            self._next_suspect()
        reason = f"timed out: no result after {task.timeout:g} s; its worker may still be busy"
        task.outer.set_result(Outcome(reason=reason, retry=False))

    def close(self) -> None:
        """Shut the executor down if it was built here."""
        self._closed = True
        if not isinstance(self._source, Executor):
            self._generation.executor.shutdown(wait=False)


def _broken(error: BaseException) -> ExecutorBrokenError:
    msg = (
        f"the executor broke and cannot be used any more ({describe(error)}); pass a function that "
        "builds it, e.g. executor=lambda: ProcessPoolExecutor(4), so that it can be built again"
    )
    return ExecutorBrokenError(msg)
