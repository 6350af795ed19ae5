"""Calls to the worker processes of Dask, MPI and Ray.

Our own processes are set up when they start (`hpo.run.executors.process`). Dask, MPI and Ray start
theirs, so each call carries a `WorkerSetup`, and the first one in a process takes effect.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from hpo.errors import UsageError
from hpo.run.executors.options import Devices
from hpo.run.executors.pools import ExecutorPool
from hpo.run.executors.process import limit_threads, print_to
from hpo.trainers.base import Trainer

P = ParamSpec("P")
T = TypeVar("T")

_LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")

_done: set[WorkerSetup] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class WorkerSetup:
    """Setup of a worker process before it trains.

    Attributes
    ----------
    threads : int, default=1
        Number of threads of numerical libraries.
    log_dir : Path or None, default=None
        Directory for the output of the process (``worker-<process id>.log``); None leaves the
        output as it is.
    devices : Devices or None, default=None
        Devices of each machine, assigned to its processes by their local rank.
    leader : str, default=""
        Host whose first local rank is the leading process, which does not train.
    """

    threads: int = 1
    log_dir: Path | None = None
    devices: Devices | None = None
    leader: str = ""

    def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Set this process up, unless that has been done, and call `work`."""
        with _lock:
            if self not in _done:
                if self.log_dir is not None:
                    print_to(self.log_dir / f"worker-{os.getpid()}.log")
                if self.devices is not None:
                    os.environ.update(self.devices.of(self._rank()))
                limit_threads(self.threads)
                _done.add(self)
        return work(*args, **kwargs)

    def _rank(self) -> int:
        """Return the number of this worker among those of its machine."""
        found = next((os.environ[name] for name in _LOCAL_RANK if name in os.environ), None)
        if found is None:
            raise UsageError(
                f"devices: this worker has no local rank (none of {', '.join(_LOCAL_RANK)} is "
                "set); give each worker its device where you start it"
            )
        return int(found) - (socket.gethostname() == self.leader)


class Cluster(Protocol):
    """A connection to a cluster that runs calls."""

    def call(self, work: Callable[[], T]) -> T:
        """Run a picklable call on a worker and wait for its result.

        Raises
        ------
        ExecutorLostError
            If the cluster as a whole is lost.
        Exception
            Any other exception concerns this call only.
        """
        ...

    def greet(self, trainer: Trainer, root: Path) -> None:
        """Check the workers (see `hpo.run.executors.handshake`).

        Raises
        ------
        UsageError
            If a worker cannot be used.
        """
        ...

    def close(self) -> None:
        """Disconnect and end whatever was started here; calls that still wait raise."""
        ...


class CallingExecutor(Executor):
    """Runs each call on a cluster, from a thread of its own that waits for the result.

    Results arrive in these threads, not in the event loop of the cluster's client, so that a
    callback may call the cluster again.

    Parameters
    ----------
    cluster : Cluster
        Connection to the cluster; closed with this executor.
    n_workers : int
        Number of calls that wait at the same time.
    """

    def __init__(self, cluster: Cluster, n_workers: int) -> None:
        self._cluster = cluster
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="cluster-call")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call."""
        return self._threads.submit(self._cluster.call, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the connection; unfinished calls are lost."""
        if wait and not cancel_futures:
            self._threads.shutdown(wait=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._cluster.close()


class ClusterPool(ExecutorPool):
    """A pool on the workers of a cluster, which are checked before they train.

    Parameters
    ----------
    connect : callable
        Connects to the cluster; called again after that was lost.
    n_workers : int
        Number of segments to run at the same time.
    """

    def __init__(self, connect: Callable[[], Cluster], n_workers: int) -> None:
        self._connect = connect
        self._cluster: Cluster | None = None
        self._run: tuple[Trainer, Path] | None = None
        super().__init__(self._connected, n_workers)

    def _connected(self) -> Executor:
        self._cluster = self._connect()
        if self._run is not None:
            self._greet(self._cluster, *self._run)
        return CallingExecutor(self._cluster, self.n_workers)

    def check_workers(self, trainer: Trainer, root: Path) -> None:
        """Check the workers now, and each one that comes later with its first call."""
        self._run = trainer, root
        if self._cluster is not None:
            self._greet(self._cluster, trainer, root)

    @staticmethod
    def _greet(cluster: Cluster, trainer: Trainer, root: Path) -> None:
        try:
            cluster.greet(trainer, root)
        except BaseException:
            cluster.close()
            raise
