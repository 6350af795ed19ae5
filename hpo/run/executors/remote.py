"""What happens in a worker process of an engine that starts its processes itself.

Our own processes are set up when they start (`hpo.run.executors.process`). Dask, MPI and Ray
start theirs, so each call carries a `WorkerSetup`, and the first one in a process takes effect.
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
from hpo.run.executors.process import limit_threads, print_to

P = ParamSpec("P")
T = TypeVar("T")

_LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")

_done: set[WorkerSetup] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class WorkerSetup:
    """How a worker process is set up before it trains.

    Attributes
    ----------
    threads : int
        Threads that numerical libraries may use.
    log_dir : Path or None
        Directory for what the process prints (``worker-<process id>.log``); None leaves it alone.
    devices : Devices or None
        Devices of each machine, given to its processes by their local rank; None gives none.
    leader : str
        Host whose first local rank is the leading process, which does not train.
    """

    threads: int = 1
    log_dir: Path | None = None
    devices: Devices | None = None
    leader: str = ""

    def apply(self) -> None:
        """Set this process up, once."""
        with _lock:
            if self in _done:
                return
            if self.log_dir is not None:
                print_to(self.log_dir / f"worker-{os.getpid()}.log")
            if self.devices is not None:
                os.environ.update(self.devices.of(self._rank()))
            limit_threads(self.threads)
            _done.add(self)

    def _rank(self) -> int:
        """Return the number of this worker among those of its machine."""
        found = next((os.environ[name] for name in _LOCAL_RANK if name in os.environ), None)
        if found is None:
            raise UsageError(
                f"devices: this worker has no local rank (none of {', '.join(_LOCAL_RANK)} is "
                "set); give each worker its device where you start it"
            )
        return int(found) - (socket.gethostname() == self.leader)


def prepared(setup: WorkerSetup, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Set the process up if that has not been done, then work."""
    setup.apply()
    return work(*args, **kwargs)


class Engine(Protocol):
    """Runs calls on machines of its own."""

    def call(self, work: Callable[[], T]) -> T:
        """Run a picklable call somewhere and wait for its result.

        Raises
        ------
        ExecutorLostError
            If the engine as a whole is gone.
        Exception
            Whatever else: it concerns this call only.
        """
        ...

    def close(self) -> None:
        """Disconnect, ending what was started here; calls that still wait raise."""
        ...


class CallingExecutor(Executor):
    """Hands each call to an engine in a thread of its own, which waits for the result.

    Results arrive in these threads, not in an engine's event loop, so that whoever takes them may
    call the engine again.

    Parameters
    ----------
    engine : Engine
        Runs the calls; closed with this executor.
    n_workers : int
        Calls that wait at the same time.
    """

    def __init__(self, engine: Engine, n_workers: int) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="engine-call")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call."""
        return self._threads.submit(self._engine.call, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the engine; calls that were not finished are lost."""
        if wait and not cancel_futures:
            self._threads.shutdown(wait=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.close()
