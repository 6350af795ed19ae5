"""Executors by name: our own worker processes, Dask, MPI and Ray, behind one `WorkerPool`.

All of them train the same segments, from the same checkpoints, and turn every failure into a plain
`hpo.trainers.base.Outcome`. ``docs/guide/executors.md`` compares them.

>>> from hpo.run.executors import make_pool
>>> pool = make_pool("inline", 1)
>>> pool.n_workers
1

Names are imported when first used: a worker process imports `hpo.run.executors.process` and no
other executor.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.run.executors.registry import EXECUTORS, check_executor, make_pool

__all__ = ["EXECUTORS", "check_executor", "make_pool"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("hpo.run.executors.registry"), name)
