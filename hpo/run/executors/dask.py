"""Dask: a cluster on this machine, or one that runs anywhere (Slurm through dask-jobqueue)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import ExecutorLostError, UsageError, import_optional
from hpo.run.executors.handshake import Greeter, Question, Reply, raise_refused, refusal
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.remote import ClusterPool, WorkerSetup
from hpo.trainers.base import Trainer
from hpo.trainers.sending import main_left_alone

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SEE_EVERY = 0.02
_LEAST = 1.0
"""Seconds that a scheduler has to answer, however long its file was waited for."""

_LOOK_EVERY = 5.0
"""Seconds between two looks whether there are workers, while a call runs."""

_FIRST = 1000
"""Priority of the handshake before calls that wait."""

_DEATHS = 1
"""Worker deaths that a call survives on our own cluster before Dask reports it as failed."""

_RESTART = "60s"
"""Time that a worker has to restart before it is replaced; Dask's 15 s are short on a busy
machine."""

_HOLD = 60.0
"""Seconds for which a call waits for a worker of its own."""

_HEAL_EVERY = 2.0
"""Seconds between two checks for workers to replace."""


def dask_pool(n_workers: int | None, options: ExecutorOptions, log_dir: Path | None) -> ClusterPool:
    """Build a pool on Dask.

    Parameters
    ----------
    n_workers : int or None
        Segments at the same time; None takes the threads of the cluster, or 1 without a cluster.
    options : ExecutorOptions
        ``address`` or ``scheduler_file`` of a cluster; without them one is started on this machine.
    log_dir : Path or None
        Directory for the output of workers on this machine.
    """
    if options.address or options.scheduler_file:
        first = _Remote(options)
        spare = [first]  # connected already; after it broke, connect anew
        threads = first.count()
        there = threads if n_workers is None else n_workers
        return ClusterPool(lambda: spare.pop() if spare else _Remote(options), there)
    count = 1 if n_workers is None else n_workers
    return ClusterPool(lambda: _Local(count, options, log_dir), count)


class _Client:
    """A connection to a Dask scheduler.

    Dask's client sends to the scheduler every 10 ms at most. Releasing a result at once would make
    the next call wait for that long, so results are kept until then, and released along with it.
    """

    def __init__(self, client: Any, setup: WorkerSetup, place: str, patience: float) -> None:
        self._client = client
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(_quiet_client())
        self._setup = setup
        self._place = place
        self._finished: list[Any] = []
        self._refused: set[str] = set()  # addresses of workers that came late and cannot be used
        cloudpickle = import_optional("cloudpickle", "executor 'dask'", "dask")
        self._greeter = Greeter("dask", patience, cloudpickle.dumps)

    def call(self, work: Callable[[], T]) -> T:
        """Run a call on the cluster."""
        parcel = self._greeter.parcel(partial(self._setup.run, work))
        while True:
            with self._losses():
                kind, result = self._answer(parcel)
            if kind == "done":
                done: T = result
                return done
            self._refuse(result)

    def _answer(self, parcel: tuple[str, dict[str, Any]]) -> Reply:
        """Send a call to a worker that has not refused any, and wait for the reply."""
        future, allowed = self._sent(parcel)
        missed = time.monotonic()
        while True:
            done = future.done()
            try:
                # A finished call is not looked after any more, however long its reply travels.
                reply: Reply = future.result(timeout=None if done else _LOOK_EVERY)
            except TimeoutError:
                if done:
                    raise  # of the call itself
                if future.done():  # at this moment
                    continue
                there = self._there() - self._refused
                if there:
                    missed = time.monotonic()
                elif time.monotonic() - missed > self._greeter.patience:
                    _log.warning("Dask at %s has no worker; waiting for one", self._place)
                    missed = time.monotonic()
                if there and allowed and there.isdisjoint(allowed):
                    future, allowed = self._sent(parcel)
            else:
                self._finished.append(future)
                return reply

    def _sent(self, parcel: tuple[str, dict[str, Any]]) -> tuple[Any, list[str]]:
        """Submit a call; also return the workers that may run it, none for all."""
        allowed = sorted(self._there() - self._refused) if self._refused else []
        future = self._client.submit(eval, *parcel, pure=False, workers=allowed or None)
        self._finished.clear()
        return future, allowed

    def _there(self) -> set[str]:
        """Return the addresses of the workers."""
        return set(self._client.nthreads())

    def _refuse(self, reply: dict[str, str]) -> None:
        """Send nothing more to a worker that came late and cannot be used."""
        if not reply["name"] or self._there() <= {*self._refused, reply["name"]}:
            raise_refused([reply], "dask")
        if reply["name"] not in self._refused:
            _log.warning("%s; nothing more is sent to it", refusal(reply, "dask"))
        self._refused.add(reply["name"])

    @contextlib.contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except (CancelledError, asyncio.CancelledError, OSError, RuntimeError) as error:
            comm = self._client.scheduler_comm
            if self._client.status != "running" or comm is None or comm.closed():
                raise ExecutorLostError(
                    f"the Dask scheduler is gone ({type(error).__name__})"
                ) from error
            raise

    def greet(self, trainer: Trainer, root: Path) -> None:
        """Check all workers that are there; a later one is checked with its first call."""
        with self._losses():
            self._greeter.greet(trainer, root, self._ask)

    def _ask(self, question: Question) -> tuple[list[Reply], list[str]]:
        asked = {
            self._client.submit(
                eval, *question.parcel(), workers=[worker], priority=_FIRST, pure=False
            ): worker
            for worker in sorted(self._there())
        }
        end = time.monotonic() + self._greeter.patience
        while time.monotonic() < end and not all(future.done() for future in asked):
            time.sleep(_SEE_EVERY)
        replies = [future.result() for future in asked if future.done()]
        unanswered = [worker for future, worker in asked.items() if not future.done()]
        for future in asked:
            future.release()
        return replies, unanswered

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
        self._quiet.close()


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep tracebacks of Dask's client out of the output; its errors are raised as well."""
    loggers = [logging.getLogger(f"distributed.{name}") for name in ("client", "batched")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Remote(_Client):
    """A cluster that was started elsewhere."""

    def __init__(self, options: ExecutorOptions) -> None:
        if options.devices is not None:
            raise UsageError(
                "executor option devices sets up workers that are started here; those of a running "
                "Dask cluster get theirs where you start them: "
                "CUDA_VISIBLE_DEVICES=0 dask worker ..., or dask cuda worker"
            )
        place = options.address or options.scheduler_file
        client = _connect(options, place)
        super().__init__(client, WorkerSetup(options.threads), place, options.patience)

    def count(self) -> int:
        """Return the threads of the cluster, waiting for the first."""
        try:
            self._client.wait_for_workers(1, timeout=self._greeter.patience)
        except TimeoutError:
            self.close()
            raise UsageError(
                f"the Dask cluster at {self._place} has no worker after {self._greeter.patience:g} "
                "s; start some (dask worker ADDRESS), or wait longer for workers that have to wait "
                "in a queue (--executor-option patience=3600)"
            ) from None
        return sum(self._client.nthreads().values())


def _connect(options: ExecutorOptions, place: str) -> Any:
    distributed = import_optional("distributed", "executor 'dask'", "dask")
    end = time.monotonic() + options.patience
    address = options.address or _written_address(Path(options.scheduler_file), end)
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in this one
            thread.submit(asyncio.run, _ask_scheduler(address, end)).result()
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {place} within patience={options.patience:g} s "
            f"({type(error).__name__}); start it first, or correct the address"
        ) from None
    left = max(_LEAST, end - time.monotonic())
    return distributed.Client(address=address, timeout=left, set_as_default=False)


async def _ask_scheduler(address: str, end: float) -> None:
    """Ask a scheduler for its name: a client of Dask may wait for ever, and leaves tracebacks."""
    from distributed import Security
    from distributed.core import rpc

    security = Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    left = max(_LEAST, end - time.monotonic())
    scheduler = rpc(address, timeout=left, connection_args=security)  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait_for(scheduler.identity(), left)
    finally:
        await scheduler.close_rpc()  # type: ignore[no-untyped-call]


def _written_address(file: Path, end: float) -> str:
    """Return the address in a scheduler's file, waiting for the file until a moment."""
    begun = time.monotonic()
    while True:
        problem = "does not exist"
        try:
            return str(json.loads(file.read_text())["address"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            problem = f"holds no address ({type(error).__name__})"
        if time.monotonic() > end:
            raise UsageError(
                f"executor option scheduler_file must be the file of a running Dask scheduler, got "
                f"{str(file)!r}, which {problem} after patience={end - begun:.3g} s; start it "
                f"first: dask scheduler --scheduler-file {file}"
            )
        time.sleep(_SEE_EVERY)


class _Local(_Client):
    """A cluster on this machine: one process per worker, which is restarted when it dies."""

    def __init__(self, n_workers: int, options: ExecutorOptions, log_dir: Path | None) -> None:
        distributed = import_optional("distributed", "executor 'dask'", "dask")
        if options.devices is not None:
            options.devices.check(n_workers)
        host = {
            "host": "127.0.0.1",
            "protocol": "tcp://",
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",  # of its status pages; by default all interfaces
        }
        scheduler = {
            **host,
            "allowed_failures": _DEATHS,
            "port": 0,
            "protocol": ["tcp://", "inproc://"],  # for the workers; for the client, without sockets
            "host": ["127.0.0.1", None],
        }
        import dask

        self._settings = contextlib.ExitStack()
        self._settings.enter_context(main_left_alone())  # by workers, whenever they start
        self._settings.enter_context(
            dask.config.set({"distributed.deploy.lost-worker-timeout": _RESTART})
        )
        with warnings.catch_warnings():
            # without a network; the address is a name within this process
            warnings.filterwarnings("ignore", "Couldn't detect a suitable IP", RuntimeWarning)
            self._cluster = distributed.SpecCluster(
                scheduler={"cls": distributed.Scheduler, "options": scheduler},
                workers={
                    number: {"cls": distributed.Nanny, "options": host | _worker(number, options)}
                    for number in range(n_workers)
                },
                silence_logs="CRITICAL",
            )
        here = self._cluster.scheduler.listeners[-1].contact_address
        client = distributed.Client(here, loop=self._cluster.loop, set_as_default=False)
        setup = WorkerSetup(options.threads, log_dir)
        super().__init__(client, setup, "this machine", options.patience)
        self._calls = 0
        self._counting = threading.Lock()
        self._closed = threading.Event()
        self._healer = threading.Thread(target=self._heal, args=(n_workers,), daemon=True)
        self._healer.start()

    def call(self, work: Callable[[], T]) -> T:
        """Run a call on a worker of its own.

        While a worker starts again, Dask would give two calls to the other one, and count its death
        as that of both.
        """
        end = time.monotonic() + _HOLD
        while not self._takes(time.monotonic() > end):
            time.sleep(_SEE_EVERY)
        try:
            return super().call(work)
        finally:
            with self._counting:
                self._calls -= 1

    def _takes(self, is_late: bool) -> bool:
        """Count one more call if there is a worker for it, or it has waited long enough."""
        with self._counting:
            there = len(self._cluster.scheduler.workers)
            if self._calls < there or is_late or self._closed.is_set():
                self._calls += 1
                return True
            return False

    def _heal(self, n_workers: int) -> None:
        """Replace workers that could not be started again; Dask drops them."""
        while not self._closed.wait(_HEAL_EVERY):
            if len(self._cluster.workers) < n_workers:
                self._cluster.scale(n_workers)

    def close(self) -> None:
        """Disconnect and end the workers."""
        self._closed.set()
        self._healer.join()
        super().close()
        self._cluster.close()
        self._settings.close()


def _worker(number: int, options: ExecutorOptions) -> dict[str, Any]:
    environment = {} if options.devices is None else options.devices.of(number)
    return {
        "nthreads": 1,
        "env": environment,
        "memory_limit": 0,  # as for our own processes: a trainer may use what there is
        "silence_logs": "CRITICAL",
    }
