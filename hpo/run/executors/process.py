"""A worker process whose death affects nothing but the job that it ran.

`concurrent.futures.ProcessPoolExecutor` breaks as a whole when one of its processes dies, and does
not say which job caused it. So each worker here is an executor with a single process: a crash, a
hang or a failed import concerns exactly the job that ran there, and only that process is started
again.

A worker leads a session of its own, which is ended as a whole: the worker is asked to stop, and is
killed after a moment, and what its trainer has started is ended by its guardian
(`hpo.run.executors.guardian`), also when the worker or this process was killed.

On Linux the processes are forked from a server that has imported the trainer's libraries
(`hpo.run.executors.forkserver`), elsewhere each is a new interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any, Generic, ParamSpec, TypeVar

from hpo.errors import TrainerError
from hpo.run.executors.attempts import run_attempt
from hpo.run.executors.forkserver import THREAD_VARIABLES, ForkServer, parent_of_workers
from hpo.run.executors.guardian import GRACE, guardian, lead_session, members
from hpo.run.executors.signals import GROUP_SIGNALS, ignore_group_signals
from hpo.trainers import failures
from hpo.trainers.base import Outcome, Segment, Trainer, failed_call
from hpo.trainers.failures import Log, printed
from hpo.trainers.loading import NamedTrainer
from hpo.trainers.sending import SentTrainer, main_left_alone

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_PATIENCE = 5.0
"""Seconds to wait for an idle process to exit."""

_PAUSE = 0.02

_NOT_STARTED = (BrokenExecutor, EOFError, ConnectionError)
"""Errors of a process that died, with its server or alone, before it received its work."""


class _SpawnContext(SpawnContext):
    """The "spawn" start method, with a reference to the process that it started last."""

    last: SpawnProcess | None = None

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name or None

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        self.last = SpawnProcess(*args, **{"name": self._process_name, **kwargs})
        return self.last


@dataclass(frozen=True)
class ProcessSetup:
    """Setup of a process before it works.

    Attributes
    ----------
    threads : int, default=1
        Number of threads of numerical libraries in the process.
    log : Path or None, default=None
        File for the output of the process, opened with its first job; None leaves the output on
        the terminal.
    environment : Mapping, default={}
        Environment variables of the process, such as its device.
    name : str, default=""
        Name of the process in the journal; empty for the one that Python gives it.
    """

    threads: int = 1
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


Preparation = Callable[[], Callable[[], R]]
"""Returns what a process calls first; called when the process is started."""


class OwnProcess(Generic[R]):
    """A process of ours that runs one call at a time and is started again after a crash.

    It makes a first call, its preparation, before any other.

    Parameters
    ----------
    setup : ProcessSetup
    server : ForkServer or None, default=None
        Server to fork the process from; None starts a new interpreter.
    """

    def __init__(self, setup: ProcessSetup, server: ForkServer | None = None) -> None:
        self._setup = setup
        self._context = _SpawnContext(setup.name) if server is None else server.context(setup.name)
        self._starting = threading.Lock()  # held while a process is started or called
        self._closed = threading.Event()
        self._lock = threading.Lock()  # of what follows; never held while an executor is called
        self._current: tuple[ProcessPoolExecutor, Future[R]] | None = None  # with its preparation
        self.generation = 0
        """Number of processes started so far."""

    def start(self, preparation: Preparation[R]) -> Future[R]:
        """Start the process if there is none; return the result of its preparation."""
        with self._starting:
            return self._started(preparation)[1]

    def _started(self, preparation: Preparation[R]) -> tuple[ProcessPoolExecutor, Future[R]]:
        """Return the executor of the process, started if there is none, and its preparation."""
        if (current := self._current) is not None:
            return current
        if self._closed.is_set():
            raise RuntimeError("the process was closed")
        environment = {**os.environ, **self._setup.environment}
        setup = (self._setup.threads, self._setup.log is not None, environment)
        with interrupts_blocked():  # in the resource tracker, too, which this may start
            executor = ProcessPoolExecutor(
                1, self._context, initializer=_start_process, initargs=(os.getpid(), *setup)
            )
        current = executor, _call(executor, preparation())
        with self._lock:
            self.generation += 1
            self._current = current
        if self._closed.is_set():  # meanwhile
            executor.shutdown(wait=False, cancel_futures=True)
            self.kill()
        return current

    def submit(
        self,
        preparation: Preparation[R],
        work: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[Future[R], Future[T]]:
        """Call ``work(*args, **kwargs)`` in the process; a new one replaces one that died idle.

        Returns
        -------
        tuple of Future
            Results of the preparation and of the call.
        """
        with self._starting:
            for last_try in (False, True):
                try:
                    executor, prepared = self._started(preparation)
                    return prepared, _call(executor, work, *args, **kwargs)
                except BrokenExecutor:
                    if last_try:
                        raise
                    self.discard()
        raise AssertionError  # not reached

    @property
    def preparing(self) -> bool:
        """Whether there is a process that has not ended its preparation."""
        current = self._current
        return current is not None and not current[1].done()

    @property
    def latest(self) -> BaseProcess | None:
        """The process started last."""
        return self._context.last

    def kill(self, process: BaseProcess | None = None) -> None:
        """End the process, by SIGKILL after a moment; its call raises `BrokenExecutor`.

        Parameters
        ----------
        process : Process or None, default=None
            Which one; None is the latest.
        """
        process = process or self.latest
        if process is None:
            return
        with contextlib.suppress(ValueError, OSError):
            if process.pid is not None and process.exitcode is None:  # it was started
                _ask_to_stop(process)
                killer = threading.Timer(GRACE, _kill, (process,))
                killer.daemon = True
                killer.start()

    def ending(self) -> str:
        """Describe how the process ended."""
        return _ending(self._context.last)

    def discard(self, generation: int | None = None) -> None:
        """Forget a process that died or is being killed.

        Parameters
        ----------
        generation : int or None, default=None
            Which one; another that was started since stays. None is the latest.
        """
        with self._lock:
            if self._current is None or generation not in (None, self.generation):
                return
            (executor, _), self._current = self._current, None
        # In another thread: this one may be the executor's own, which from Python 3.12 on holds the
        # lock that is needed here while it reports the end of the process.
        threading.Thread(target=executor.shutdown, kwargs={"wait": False}, daemon=True).start()

    def release(self) -> None:
        """Let the process exit when it has nothing to do."""
        self._closed.set()
        if (current := self._current) is not None:
            current[0].shutdown(wait=False, cancel_futures=True)

    def close(self, *, patience: float = 0.0) -> None:
        """End the process, which has `patience` seconds to exit by itself."""
        self.release()
        current = self._current
        if current is not None and patience:
            self._join(patience)
        self.kill()  # busy, or kept alive by a thread of the trainer, or discarded and not ended
        self._join(_PATIENCE)  # its server, which knows how it ended, may end next
        if current is not None and self._context.last is not None:
            _wait_for_session(self._context.last.pid)
        self._current = None

    def _join(self, seconds: float) -> None:
        if self._context.last is not None:
            with contextlib.suppress(ValueError, AssertionError):  # closed, or never started
                self._context.last.join(seconds)


def _call(
    executor: Executor, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> Future[T]:
    with interrupts_blocked(), main_left_alone():
        return executor.submit(work, *args, **kwargs)


class Worker:
    """A process that runs one segment at a time.

    It is started by `start`, or when first needed, and again after a crash.

    Parameters
    ----------
    setup : ProcessSetup
    server : ForkServer or None, default=None
        Server to fork the process from; None starts a new interpreter.
    """

    def __init__(self, setup: ProcessSetup, server: ForkServer | None = None) -> None:
        self._setup = setup
        self._process: OwnProcess[str] = OwnProcess(setup, server)
        self._busy = False
        self._lock = threading.Lock()
        self._limited: Future[Outcome] | None = None  # what a time limit may still end
        self._timed_out: float | None = None
        self._patient_until: float | None = None  # once it begins to end
        self._output = Log(None)

    @property
    def busy(self) -> bool:
        """Whether a segment runs."""
        return self._busy

    def start(self, trainer: Trainer) -> Future[str]:
        """Start the process if there is none.

        Parameters
        ----------
        trainer : Trainer
            Picklable; imported as soon as the process is up.

        Returns
        -------
        Future
            With the error of that import as text, empty if there was none.
        """
        return self._process.start(lambda: self._preparation(trainer))

    def _preparation(self, trainer: Trainer) -> Callable[[], str]:
        return partial(_prepare, trainer, self._setup.threads)

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
        self._busy, self._limited, self._timed_out = True, outer, None
        self._output = Log(self._setup.log)
        known = trainer.reminder() if isinstance(trainer, SentTrainer) else trainer
        try:
            ready, inner = self._process.submit(
                lambda: self._preparation(trainer), _run, self._setup.log, known, segment
            )
        except _NOT_STARTED as error:
            self._busy = False
            reason = f"worker process could not be started ({type(error).__name__})"
            outer.set_result(Outcome(reason=reason, cause="lost"))
            return outer
        inner.add_done_callback(lambda done: self._finish(done, outer))
        if timeout is not None:
            expire = partial(self._expire, outer, timeout)
            ready.add_done_callback(lambda _: call_after(timeout, inner, expire))
        return outer

    def _finish(self, inner: Future[Outcome], outer: Future[Outcome]) -> None:
        """Turn the end of the segment or the process into an outcome (in the executor's thread)."""
        with self._lock:
            self._limited = None
        outcome = self._outcome(inner)
        self._busy = False  # only now may another segment come
        outer.set_result(outcome)

    def _outcome(self, inner: Future[Outcome]) -> Outcome:
        if inner.cancelled():
            return Outcome(reason="cancelled")
        error = inner.exception()
        if not isinstance(error, BrokenExecutor):
            if self._timed_out is not None:  # the process is being killed all the same
                self._process.discard()
            return inner.result() if error is None else failed_call(error)
        ending = self._process.ending()
        self._process.discard()
        if self._timed_out is not None:
            return Outcome(reason=f"timed out: no result after {self._timed_out:g} s")
        reason = f"worker process {ending}{printed(self._output.tail())}"
        return Outcome(reason=reason, cause="lost")

    def _expire(self, outer: Future[Outcome], timeout: float) -> None:
        with self._lock:
            if self._limited is outer:  # else another segment may run by now
                self._timed_out = timeout
                self._process.kill()

    def check_import(self, trainer: NamedTrainer | SentTrainer) -> None:
        """Wait until the process has imported the trainer.

        Raises
        ------
        TrainerError
            If it cannot be imported, or the process died or could not be started.
        """
        try:
            error = self.start(trainer).result()
        except _NOT_STARTED:
            what = "load trainer"
            if isinstance(trainer, NamedTrainer):
                what = f"import trainer from {trainer.name.rpartition(':')[0]}"
            error = f"cannot {what}: worker process {self._process.ending()}"
            self._process.discard()
        if error:
            raise TrainerError(error)

    def interrupt(self) -> None:
        """Begin to end the process: at once if it trains or imports, else when it exits."""
        self._patient_until = time.monotonic()
        if self.busy or self._process.preparing:
            self._process.kill()
        else:
            self._process.release()
            self._patient_until += _PATIENCE

    def close(self) -> None:
        """End the process (see `interrupt`)."""
        if self._patient_until is None:
            self.interrupt()
        patience = (self._patient_until or 0.0) - time.monotonic()
        self._process.close(patience=max(0.0, patience))


def call_after(seconds: float, future: Future[Any], work: Callable[[], None]) -> None:
    """Call `work` after `seconds` in a thread, unless the future has a result by then."""
    timer = threading.Timer(seconds, lambda: None if future.done() else work())
    timer.daemon = True
    timer.start()
    future.add_done_callback(lambda _: timer.cancel())


def _ask_to_stop(process: BaseProcess) -> None:
    """Send SIGTERM to the session of a process, or to itself where it has none (yet)."""
    if process.pid is not None and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGTERM)
            return
    process.terminate()


def _kill(process: BaseProcess) -> None:
    with contextlib.suppress(ValueError, OSError):
        if process.exitcode is None:
            process.kill()


def _wait_for_session(leader: int | None) -> None:
    """Wait until the guardian of a process that has ended has ended all of its session."""
    if leader is None or not hasattr(os, "killpg"):
        return
    end = time.monotonic() + 2 * GRACE
    with contextlib.suppress(OSError):  # there is no such group any more
        while time.monotonic() < end:
            os.killpg(leader, 0)
            if not members(leader):  # but perhaps processes that nobody has waited for
                return
            time.sleep(_PAUSE)


def _ending(process: BaseProcess | None) -> str:
    """Describe how a process ended."""
    if process is None or process.pid is None:
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
def interrupts_blocked() -> Iterator[None]:
    """Block, in processes that are started here, signals that reach the whole group.

    Where signals cannot be blocked (Windows), a process ignores them once it is set up.
    """
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    resource_tracker.ensure_running()  # as it starts, it unblocks Ctrl-C
    signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_early_output: IO[bytes] | None = None  # what a worker printed before its first segment


def _start_process(
    parent: int,
    threads: int,
    keep_output: bool,
    environment: Mapping[str, str],
) -> None:
    """Set a process up: no Ctrl-C or its like, death with the parent, few threads, its output."""
    os.environ.clear()  # of the server, if there is one
    os.environ.update(environment)
    ignore_group_signals()
    if sys.platform != "win32" and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    lead_session(parent)
    if parent_of_workers() is None:
        guardian().start()
    elif sys.platform == "linux":  # the kernel kills it with its parent, sooner than the guardian
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != (parent_of_workers() or parent):
        os._exit(1)
    if parent_of_workers() is not None and "numpy" in sys.modules:
        # Forks would all draw the numbers that a trainer draws from the unseeded global generator.
        sys.modules["numpy"].random.seed()
    limit_threads(threads)
    if keep_output:
        global _early_output  # noqa: PLW0603 - of this process
        early: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - until the first segment
        _early_output = early
        _print_into(early.fileno())


def _run(log: Path | None, trainer: Trainer, segment: Segment) -> Outcome:
    """Run a segment in a worker; its log is opened with the first one."""
    global _early_output  # noqa: PLW0603 - of this process
    if log is not None and _early_output is not None:
        print_to(log)
        with _early_output as early:
            early.seek(0)
            for chunk in iter(lambda: early.read(1 << 16), b""):
                os.write(1, chunk)
        _early_output = None
    return run_attempt(trainer, segment)


def limit_threads(threads: int) -> None:
    """Limit the threads of numerical libraries in this process, imported already or later."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def print_to(log: Path) -> None:
    """Redirect the output of this process to a file; it would disturb the progress display."""
    failures.own_log = log
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    _print_into(handle)
    os.close(handle)


def _print_into(handle: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _prepare(trainer: Trainer, threads: int) -> str:
    """Import the trainer; return the error, which is raised again in the segment."""
    guardian().start()
    error = ""
    if isinstance(trainer, NamedTrainer | SentTrainer):
        try:
            trainer.load()
        except Exception as problem:  # noqa: BLE001 - whatever an import raises
            error = str(problem)
    limit_threads(threads)
    return error
