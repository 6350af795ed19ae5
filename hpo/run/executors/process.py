"""A worker process whose death affects nothing but the job that it ran.

`concurrent.futures.ProcessPoolExecutor` breaks as a whole when one of its processes dies, and does
not say which job caused it. So each worker here is an executor with a single process: a crash, a
hang or a failed import concerns exactly the job that ran there, and only that process is started
again.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from hpo.trainers.base import Outcome, Segment, Trainer, describe, run_segment
from hpo.trainers.loading import NamedTrainer, load_trainer

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PR_SET_PDEATHSIG = 1
_PATIENCE = 5.0
"""Seconds to wait for an idle process to exit."""


class _TrackingContext(SpawnContext):
    """The "spawn" start method, with a reference to the process that it started last."""

    last: SpawnProcess | None = None

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        self.last = SpawnProcess(*args, **kwargs)
        return self.last


class Worker:
    """A process that runs one segment at a time, started when first needed and after a crash.

    Parameters
    ----------
    threads : int
        Number of threads of numerical libraries in the process.
    log : Path or None
        File for the output of the process; None leaves it on the terminal.
    environment : Mapping, optional
        Environment variables of the process, such as its device.
    """

    def __init__(
        self, threads: int, log: Path | None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._init_args = (os.getpid(), threads, log, dict(environment or {}))
        self._threads = threads
        self._context = _TrackingContext()
        self._executor: ProcessPoolExecutor | None = None
        self._ready: Future[None] | None = None
        self._lock = threading.Lock()
        self._current: Future[Outcome] | None = None
        self._timer: threading.Timer | None = None
        self._timed_out: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a segment runs."""
        return self._current is not None

    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Run a segment; the future never carries an exception.

        Parameters
        ----------
        trainer : Trainer
            Picklable.
        segment : Segment
            Segment to train.
        timeout : float or None
            Seconds after which the process is killed, counted from when it has started and
            imported the trainer.
        """
        outer: Future[Outcome] = Future()
        self._current, self._timed_out = outer, None
        with _interrupts_blocked():
            try:
                inner = self._process(trainer).submit(run_segment, trainer, segment)
            except BrokenExecutor:  # it died while it was idle
                self._discard()
                inner = self._process(trainer).submit(run_segment, trainer, segment)
        inner.add_done_callback(lambda done: self._finish(done, outer))
        if timeout is not None and self._ready is not None:
            self._ready.add_done_callback(lambda _: self._start_timer(outer, timeout))
        return outer

    def _process(self, trainer: Trainer) -> ProcessPoolExecutor:
        """Return the process, which is started if there is none."""
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                1, self._context, initializer=_start_worker, initargs=self._init_args
            )
            self._ready = self._executor.submit(_prepare, trainer, self._threads)
        return self._executor

    def _finish(self, inner: Future[Outcome], outer: Future[Outcome]) -> None:
        """Turn the end of the segment or the process into an outcome (in the executor's thread)."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        outcome = self._outcome(inner)
        self._current = None  # only now may another segment come
        outer.set_result(outcome)

    def _outcome(self, inner: Future[Outcome]) -> Outcome:
        if inner.cancelled():
            return Outcome(reason="cancelled")
        error = inner.exception()
        if error is None:
            return inner.result()
        if not isinstance(error, BrokenExecutor):
            return Outcome(reason=describe(error))
        ending = _ending(self._context.last)
        self._discard()
        if self._timed_out is not None:
            return Outcome(reason=f"timed out: no result after {self._timed_out:g} s")
        return Outcome(reason=f"worker process {ending}")

    def _start_timer(self, outer: Future[Outcome], timeout: float) -> None:
        with self._lock:
            if self._current is outer:
                self._timer = threading.Timer(timeout, self._expire, (outer, timeout))
                self._timer.daemon = True
                self._timer.start()

    def _expire(self, outer: Future[Outcome], timeout: float) -> None:
        with self._lock:
            if self._current is outer:
                self._timed_out = timeout
                self._kill()

    def _kill(self) -> None:
        if self._context.last is not None:
            with contextlib.suppress(ValueError, OSError):
                self._context.last.kill()

    def _discard(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        self._executor = self._ready = None

    def close(self) -> None:
        """End the process: at once if a segment runs, else when it exits."""
        executor = self._executor
        if executor is None:
            return
        executor.shutdown(wait=False, cancel_futures=True)
        if not self.busy and self._context.last is not None:
            self._context.last.join(_PATIENCE)
        self._kill()  # busy, or kept alive by a thread of the trainer
        executor.shutdown(wait=True)
        self._executor = None


def _ending(process: SpawnProcess | None) -> str:
    """Describe how a process ended."""
    if process is None:
        return "did not start"
    process.join(10)
    code = process.exitcode
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"ended with exit code {code}"
    known = {each.value: each.name for each in signal.Signals}
    return f"was killed by signal {-code} ({known.get(-code, 'unknown')})"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in processes that are started here: it reaches the whole group."""
    resource_tracker.ensure_running()  # it would unblock the signal if it started in between
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(
    parent: int, threads: int, log: Path | None, environment: Mapping[str, str]
) -> None:
    """Set a worker process up: no Ctrl-C, death with the parent, few threads, a log file."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(OSError, AttributeError):  # the kernel kills it with its parent
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    limit_threads(threads)
    if log is not None:
        print_to(log)


def limit_threads(threads: int) -> None:
    """Limit the threads of numerical libraries in this process, imported already or later."""
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def print_to(log: Path) -> None:
    """Redirect the output of this process to a file; it would disturb the progress display."""
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _prepare(trainer: Trainer, threads: int) -> None:
    """Import the trainer; an error here is raised again, and reported, in the segment."""
    with contextlib.suppress(Exception):
        if isinstance(trainer, NamedTrainer):
            load_trainer(trainer.name)
    limit_threads(threads)
