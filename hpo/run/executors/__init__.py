"""Engines by name: our own worker processes, Dask, MPI and Ray, behind one `WorkerPool`.

All of them train the same segments, from the same checkpoints, and turn every accident into a plain
`hpo.trainers.base.Outcome`. What they differ in stands in ``docs/engines.md``.

>>> from hpo.run.executors import make_pool
>>> pool = make_pool("inline", 1)
>>> pool.n_workers
1
"""

from hpo.run.executors.registry import EXECUTORS, check_executor, make_pool

__all__ = ["EXECUTORS", "check_executor", "make_pool"]
