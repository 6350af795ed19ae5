"""One worker process that can be lost without losing anything else.

`concurrent.futures.ProcessPoolExecutor` breaks as a whole when one of its processes dies, and does
not tell which job killed it. So each worker here is an executor of its own with a single process:
a death, a hang or an import that fails concerns exactly the job that ran there, and only that
process is started again.
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
"""Seconds that an idle process has to end in good order."""


class _TrackingContext(SpawnContext):
    """The "spawn" start method, remembering the process that it started last."""

    last: SpawnProcess | None = None

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        self.last = SpawnProcess(*args, **kwargs)
        return self.last


class Worker:
    """A process that runs one segment at a time, started when first needed and after a death.

    Parameters
    ----------
    threads : int
        Threads that numerical libraries may use in the process.
    log : Path or None
        File that takes what the process prints; None leaves it on the terminal.
    environment : Mapping, optional
        Environment variables of the process, such as the device that is its own.
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
            What to train.
        timeout : float or None
            Seconds after which the process is killed, counted from when it is up and has imported
            the trainer.
        """
        outer: Future[Outcome] = Future()
        self._current, self._timed_out = outer, None
        inner = self._start_segment(trainer, segment)
        inner.add_done_callback(lambda done: self._finish(done, outer))
        if timeout is not None and self._ready is not None:
            self._ready.add_done_callback(lambda _: self._start_timer(outer, timeout))
        return outer

    def _start_segment(self, trainer: Trainer, segment: Segment) -> Future[Outcome]:
        """Submit to the process; it may have died idle, in which case another is started."""
        with _interrupts_blocked():
            try:
                return self._running(trainer).submit(run_segment, trainer, segment)
            except BrokenExecutor:
                self._discard()
                return self._running(trainer).submit(run_segment, trainer, segment)

    def _running(self, trainer: Trainer) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                1, self._context, initializer=_start_worker, initargs=self._init_args
            )
            self._ready = self._executor.submit(_prepare, trainer, self._threads)
        return self._executor

    def _finish(self, inner: Future[Outcome], outer: Future[Outcome]) -> None:
        """Turn whatever became of the process into an outcome (called in executor's thread)."""
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
        """End the process: at once if a segment runs, else in good order."""
        executor = self._executor
        if executor is None:
            return
        executor.shutdown(wait=False, cancel_futures=True)
        if not self.busy and self._context.last is not None:
            self._context.last.join(_PATIENCE)
        self._kill()  # busy, or kept alive by a thread that the trainer left behind
        executor.shutdown(wait=True)
        self._executor = None


def _ending(process: SpawnProcess | None) -> str:
    """Say how a process ended."""
    if process is None:
        return "did not start"
    process.join(10)
    code = process.exitcode
    if code is None:
        return "stopped answering"
    if code < 0:
        return f"was killed by signal {-code} ({_signal_name(-code)})"
    return f"ended with exit code {code}"


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return "unknown"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes with Ctrl-C blocked: it is sent to the whole group, and is ours to handle."""
    resource_tracker.ensure_running()  # it would unblock the signal if it started in between
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(
    parent: int, threads: int, log: Path | None, environment: Mapping[str, str]
) -> None:
    """Set a worker process up: no Ctrl-C, no life without the parent, few threads, own log."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _die_with(parent)
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


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent, so that no orphan trains on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def print_to(log: Path) -> None:
    """Send what the trainer prints to a file; it would tear the progress display."""
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
    """Import the trainer; what goes wrong here shows again, with its reason, in the segment."""
    with contextlib.suppress(Exception):
        if isinstance(trainer, NamedTrainer):
            load_trainer(trainer.name)
    limit_threads(threads)
