"""How the tests are shared out where several processes of pytest run them (pytest-xdist, -n).

`--dist=loadgroup` would do it by marks, but pytest-xdist 3.8 does not see them under pytest 9.2
(its issue 1386).
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

# Tests of one group run in one process, one after the other; of two groups, perhaps side by side.
GROUPS = {
    # Kills, timeouts and figures of time, each with processes of its own: never two at once.
    "processes": (
        "tests/contracts/test_executors.py",
        "tests/hpo/integrations/test_ray.py",
        "tests/hpo/running/test_dask_cluster.py",
        "tests/hpo/running/test_failures.py",
        "tests/hpo/running/test_kill.py",
        "tests/hpo/running/test_mpi.py",
        "tests/hpo/running/test_overlap.py",
        "tests/hpo/running/test_slurm.py",
    ),
    # One browser, and the runs that it shows.
    "browser": (
        "tests/hpo/integrations/test_optuna_export.py",
        "tests/hpo/integrations/test_report.py",
    ),
    # One folder of embeddings.
    "leap": ("tests/integration/leap/",),
}


class GroupScheduling(LoadScopeScheduling):
    """The largest group first; the tests of no group one by one, to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        found = (name for name, paths in GROUPS.items() if nodeid.startswith(paths))
        return next(found, nodeid)
