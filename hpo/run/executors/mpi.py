"""MPI: rank 0 leads, every other rank trains (`mpi4py.futures`).

    mpiexec -n 9 python -m mpi4py.futures -m hpo run FILE.py:trainer --executor mpi ...

MPI gives up as a whole when a process dies. The journal keeps what was finished, and the same
command with ``hpo resume JOURNAL`` goes on.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import UsageError, import_optional
from hpo.run.executors.handshake import Greeter, Question, Reply, raise_refused
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.remote import ClusterPool, WorkerSetup
from hpo.trainers.base import Trainer

T = TypeVar("T")

_PAUSE = 0.1
"""Seconds that a rank is busy with a question, in which the others get theirs."""

LAUNCH = "mpiexec -n N python -m mpi4py.futures -m hpo"


def mpi_pool(n_workers: int | None, options: ExecutorOptions) -> ClusterPool:
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
    return ClusterPool(lambda: _Mpi(options, ranks), n_workers or ranks)


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


class _Mpi:
    """The shared pool of ranks."""

    def __init__(self, options: ExecutorOptions, ranks: int) -> None:
        from mpi4py.futures import MPIPoolExecutor

        self._pool: Any = MPIPoolExecutor()
        self._ranks = ranks
        self._setup = WorkerSetup(options.threads, None, options.devices, socket.gethostname())
        self._greeter = Greeter("mpi", options.patience)

    def call(self, work: Callable[[], T]) -> T:
        """Run a call on an idle rank."""
        parcel = self._greeter.parcel(partial(self._setup.run, work))
        kind, result = self._pool.submit(eval, *parcel).result()
        if kind == "refused":
            raise_refused([result], "mpi")
        done: T = result
        return done

    def greet(self, trainer: Trainer, root: Path) -> None:
        """Check every rank."""
        self._greeter.greet(trainer, root, self._ask)

    def _ask(self, question: Question) -> tuple[list[Reply], list[str]]:
        """Ask as many times as there are ranks: each is busy for a moment, so each is asked."""
        replies: dict[str, Reply] = {}
        end = time.monotonic() + self._greeter.patience
        while len(replies) < self._ranks and (left := end - time.monotonic()) > 0:
            parcel = question.parcel(pause=_PAUSE)
            futures = [self._pool.submit(eval, *parcel) for _ in range(self._ranks)]
            for future in wait(futures, left).done:
                reply: Reply = future.result()
                replies[reply[1]["name"]] = reply
            if any(kind == "refused" for kind, _ in replies.values()):
                break
        missing = {f"rank {number}" for number in range(1, self._ranks + 1)} - set(replies)
        return list(replies.values()), sorted(missing)

    def close(self) -> None:
        """Take no more calls; the ranks stay for the next executor."""
        self._pool.shutdown(wait=False, cancel_futures=True)
