"""Which engines there are, and what each can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import UsageError
from hpo.run.executors.options import ExecutorOptions
from hpo.run.executors.pools import InlinePool, ProcessPool, WorkerPool

Build = Callable[[int | None, ExecutorOptions, Path | None], WorkerPool]


@dataclass(frozen=True)
class _Kind:
    build: Build
    options: tuple[str, ...]


def _inline(*_: object) -> WorkerPool:
    return InlinePool()


def _process(n_workers: int | None, options: ExecutorOptions, log_dir: Path | None) -> WorkerPool:
    count = 1 if n_workers is None else n_workers
    environments: list[dict[str, str]] = [{}] * count
    if options.devices is not None:
        environments = [options.devices.of(number) for number in range(count)]
    return ProcessPool(count, threads=options.threads, log_dir=log_dir, environments=environments)


def _dask(n_workers: int | None, options: ExecutorOptions, log_dir: Path | None) -> WorkerPool:
    from hpo.run.executors.dask import dask_pool

    return dask_pool(n_workers, options, log_dir)


def _mpi(n_workers: int | None, options: ExecutorOptions, _: Path | None) -> WorkerPool:
    from hpo.run.executors.mpi import mpi_pool

    return mpi_pool(n_workers, options)


def _ray(n_workers: int | None, options: ExecutorOptions, _: Path | None) -> WorkerPool:
    from hpo.run.executors.ray import ray_pool

    return ray_pool(n_workers, options)


_DEVICES = ("devices", "device_variable", "threads")
_KINDS = {
    "process": _Kind(_process, _DEVICES),
    "inline": _Kind(_inline, ()),
    "dask": _Kind(_dask, (*_DEVICES, "address", "scheduler_file", "patience")),
    "mpi": _Kind(_mpi, _DEVICES),
    "ray": _Kind(_ray, (*_DEVICES, "address")),
}

EXECUTORS = tuple(_KINDS)
"""Names of the engines."""


def check_executor(name: str, options: Mapping[str, Any]) -> ExecutorOptions:
    """Check a name and its options without starting anything.

    Raises
    ------
    UsageError
        If there is no such engine, or it has no such option.
    """
    if name not in _KINDS:
        known = ", ".join(repr(each) for each in EXECUTORS)
        raise UsageError(f"executor must be {known}, an Executor or a function, got {name!r}")
    return ExecutorOptions.read(name, _KINDS[name].options, options)


def make_pool(
    name: str,
    n_workers: int | None,
    *,
    log_dir: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> WorkerPool:
    """Build the pool of an engine.

    Parameters
    ----------
    name : str
        One of `EXECUTORS`.
    n_workers : int or None
        Segments to run at the same time; None takes what the engine offers (1 on this machine).
    log_dir : Path or None
        Where workers on this machine print to.
    options : Mapping, optional
        See `hpo.run.executors.options.ExecutorOptions`.

    Raises
    ------
    UsageError
        If the name or an option is refused, a package is missing, or no cluster answers.
    """
    checked = check_executor(name, options or {})
    return _KINDS[name].build(n_workers, checked, log_dir)
