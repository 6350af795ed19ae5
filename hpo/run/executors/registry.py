"""Executors by name, and the options that each takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import UsageError, usage_checked
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.pools import ExecutorPool, InlinePool, ProcessPool, WorkerPool
from hpo.searchers.installed import Catalogue

_DEVICES = ("devices", "device_variable", "threads")
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "process": _DEVICES,
    "inline": (),
    "dask": (*_DEVICES, "address", "scheduler_file", "patience"),
    "mpi": (*_DEVICES, "patience"),
    "ray": (*_DEVICES, "address", "patience"),
    "shared": ("threads", "patience"),
}

EXECUTORS = tuple(_OPTIONS)
"""Names of the executors of this package."""
CATALOGUE = Catalogue(
    "executor",
    "hpo.run.executors",
    dict.fromkeys(EXECUTORS),
    {
        "process": "Worker processes on this machine",
        "inline": "This process, one segment at a time; repeats bit for bit",
        "dask": "Workers of a Dask cluster",
        "mpi": "Processes of an MPI program",
        "ray": "Workers of a Ray cluster",
        "shared": "Processes that join the search by themselves",
    },
)
"""Those of installed packages too: each a function that builds a `concurrent.futures.Executor`."""


def check_executor(name: str, options: Mapping[str, Any]) -> ExecutorOptions:
    """Check the name of an executor and its options without starting anything.

    Raises
    ------
    UsageError
        If there is no such executor, or it has no such option.
    """
    if name not in CATALOGUE.names():
        known = ", ".join(repr(each) for each in CATALOGUE.names())
        raise UsageError(f"executor must be {known}, an Executor or a function, got {name!r}")
    return ExecutorOptions.read(name, _OPTIONS.get(name, ()), options)


def make_pool(  # noqa: PLR0911 - one for each executor
    name: str,
    n_workers: int | None,
    *,
    log_dir: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> WorkerPool:
    """Build the pool of workers of an executor.

    Parameters
    ----------
    name : str
        One of `EXECUTORS`.
    n_workers : int or None
        Segments to run at the same time; None takes all workers of a cluster, 1 on this machine.
    log_dir : Path or None, default=None
        Directory for the output of workers on this machine; for "shared", that of the checkpoints,
        in which processes meet.
    options : Mapping, default=None
        See `hpo.run.executors.options.ExecutorOptions`.

    Raises
    ------
    UsageError
        If the name or an option is invalid, a package is missing, or no cluster answers.
    """
    checked = check_executor(name, options or {})
    match name:
        case "dask":
            from hpo.run.executors.dask import dask_pool

            return dask_pool(n_workers, checked, log_dir)
        case "mpi":
            from hpo.run.executors.mpi import mpi_pool

            return mpi_pool(n_workers, checked)
        case "ray":
            from hpo.run.executors.ray import ray_pool

            return ray_pool(n_workers, checked)
        case "shared":
            from hpo.run.executors.shared import SharedPool

            if n_workers is None or log_dir is None:
                raise UsageError(
                    "executor 'shared' needs n_workers (--workers), the maximum number of "
                    "processes that train at the same time, got None; give it"
                )
            return SharedPool(
                n_workers, log_dir, threads=checked.threads, patience=checked.patience
            )
        case "inline":
            return InlinePool()
        case _ if name not in EXECUTORS:
            return ExecutorPool(usage_checked(CATALOGUE.get, name), n_workers or 1)
    count = 1 if n_workers is None else n_workers
    devices = checked.devices
    environments = None if devices is None else [devices.of(number) for number in range(count)]
    return ProcessPool(count, threads=checked.threads, log_dir=log_dir, environments=environments)
