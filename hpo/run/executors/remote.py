"""What happens in a worker process of an engine that starts its processes itself.

Our own processes are set up when they start (`hpo.run.executors.process`).  Dask, MPI and Ray start theirs, so
each call carries a `WorkerSetup`, and the first one in a process takes effect.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

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
            msg = (
                f"devices: this worker has no local rank (none of {', '.join(_LOCAL_RANK)} is "
                "set); give each worker its device where you start it"
            )
            raise UsageError(msg)
        return int(found) - (socket.gethostname() == self.leader)


def prepared(setup: WorkerSetup, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Set the process up if that has not been done, then work."""
    setup.apply()
    return work(*args, **kwargs)
