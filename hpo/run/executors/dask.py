"""Dask: a cluster on this machine, or one that runs anywhere (Slurm through dask-jobqueue)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import ExecutorLostError, UsageError, import_optional
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.pools import ExecutorPool
from hpo.run.executors.remote import CallingExecutor, WorkerSetup
from hpo.trainers.sending import main_left_alone

T = TypeVar("T")

_DEATHS = 1
"""Worker deaths that a call survives on our own cluster before Dask reports it as failed."""

_RESTART = "60s"
"""Time that a worker has to restart before it is replaced; Dask's 15 s are short on a busy
machine."""

_HEAL_EVERY = 2.0
"""Seconds between two checks for workers to replace."""


def dask_pool(
    n_workers: int | None, options: ExecutorOptions, log_dir: Path | None
) -> ExecutorPool:
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
        there = first.count() if n_workers is None else n_workers
        return ExecutorPool(
            lambda: CallingExecutor(spare.pop() if spare else _Remote(options), there), there
        )
    count = 1 if n_workers is None else n_workers
    return ExecutorPool(lambda: CallingExecutor(_Local(count, options, log_dir), count), count)


class _Client:
    """A connection to a Dask scheduler.

    Dask's client sends to the scheduler every 10 ms at most. Releasing a result at once would make
    the next call wait for that long, so results are kept until then, and released along with it.
    """

    def __init__(self, client: Any, setup: WorkerSetup) -> None:
        self._client = client
        self._setup = setup
        self._finished: list[Any] = []

    def call(self, work: Callable[[], T]) -> T:
        """Run a call on the cluster."""
        try:
            future = self._client.submit(self._setup.run, work, pure=False)
            self._finished.clear()
            result: T = future.result()
            self._finished.append(future)
        except (CancelledError, asyncio.CancelledError, OSError, RuntimeError) as error:
            comm = self._client.scheduler_comm
            if self._client.status != "running" or comm is None or comm.closed():
                raise ExecutorLostError(
                    f"the Dask scheduler is gone ({type(error).__name__})"
                ) from error
            raise
        return result

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


class _Remote(_Client):
    """A cluster that was started elsewhere."""

    def __init__(self, options: ExecutorOptions) -> None:
        if options.devices is not None:
            raise UsageError(
                "executor option devices sets up workers that are started here; those of a running "
                "Dask cluster get theirs where you start them: "
                "CUDA_VISIBLE_DEVICES=0 dask worker ..., or dask cuda worker"
            )
        self._place = options.address or options.scheduler_file
        self._patience = options.patience
        super().__init__(_connect(options, self._place), WorkerSetup(options.threads))

    def count(self) -> int:
        """Return the threads of the cluster, waiting for the first."""
        try:
            self._client.wait_for_workers(1, timeout=self._patience)
        except TimeoutError:
            self.close()
            raise UsageError(
                f"the Dask cluster at {self._place} has no worker after {self._patience:g} s; "
                "start some (dask worker ADDRESS), or say how many will come with --workers"
            ) from None
        return sum(self._client.nthreads().values())


def _connect(options: ExecutorOptions, place: str) -> Any:
    distributed = import_optional("distributed", "executor 'dask'", "dask")
    where = (
        {"scheduler_file": options.scheduler_file}
        if options.scheduler_file
        else {"address": options.address}
    )
    try:
        return distributed.Client(**where, timeout=options.patience, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {place} ({type(error).__name__}); start it first"
        ) from error


class _Local(_Client):
    """A cluster on this machine: one process a worker, each started again when it dies."""

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
        super().__init__(client, WorkerSetup(options.threads, log_dir))
        self._closed = threading.Event()
        self._healer = threading.Thread(target=self._heal, args=(n_workers,), daemon=True)
        self._healer.start()

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
