"""MPI: rank 0 leads, every other rank trains (`mpi4py.futures`).

    mpiexec -n 9 python -m mpi4py.futures -m hpo run FILE.py:trainer --executor mpi ...

MPI gives up as a whole when a process dies. The journal keeps what was finished, and the same
command with ``hpo resume JOURNAL`` goes on.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from hpo.errors import UsageError, import_optional
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.pools import ExecutorPool
from hpo.run.executors.remote import WorkerSetup

P = ParamSpec("P")
T = TypeVar("T")

LAUNCH = "mpiexec -n N python -m mpi4py.futures -m hpo"


def mpi_pool(n_workers: int | None, options: ExecutorOptions) -> ExecutorPool:
    """Build a pool on the MPI processes that this one was started with.

    Parameters
    ----------
    n_workers : int or None
        Segments at the same time; None takes every rank but this one.
    options : ExecutorOptions
        ``devices`` are those of each machine, given to its ranks in their order.

    Raises
    ------
    UsageError
        If there are no other ranks, or fewer than `n_workers`.
    """
    ranks = _other_ranks()
    if n_workers is not None and n_workers > ranks:
        raise UsageError(
            f"n_workers must be at most {ranks}, the MPI processes beside the leading one, got "
            f"{n_workers}; start more: mpiexec -n {n_workers + 1}"
        )
    setup = WorkerSetup(options.threads, None, options.devices, socket.gethostname())
    return ExecutorPool(lambda: _MpiExecutor(setup), n_workers or ranks)


def _other_ranks() -> int:
    """Return the number of ranks that wait for work."""
    import_optional("mpi4py", "executor 'mpi'", "mpi")
    ranks = 0
    if "mpi4py.futures" in sys.orig_argv:
        from mpi4py import MPI

        ranks = int(MPI.COMM_WORLD.Get_size()) - 1
    if ranks < 1:
        raise UsageError(
            "executor 'mpi' needs the other MPI processes as workers (rank 0 leads): start it "
            f"with {LAUNCH} ..., N being one more than the workers"
        )
    return ranks


class _MpiExecutor(Executor):
    """The shared pool of ranks, each set up before its first call."""

    def __init__(self, setup: WorkerSetup) -> None:
        from mpi4py.futures import MPIPoolExecutor

        self._pool: Any = MPIPoolExecutor()
        self._setup = setup

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call."""
        future: Future[T] = self._pool.submit(self._setup.run, fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the ranks stay for the next executor."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
