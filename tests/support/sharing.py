"""How the tests are shared out where several processes of pytest run them (pytest-xdist, -n).

`--dist=loadgroup` would do it by marks, but pytest-xdist 3.8 does not see them under pytest 9.2
(its issue 1386).
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Tests of one group run in one process, one after the other; of two groups, perhaps side by side.
GROUPS = {
    # Kills and timeouts, each with processes of its own: never two at once.
    "kills": (
        "tests/hpo/run/test_failures.py",
        "tests/hpo/run/test_kill.py",
        "tests/hpo/run/test_owners.py",
        "tests/hpo/run/executors/test_attempts.py",
        "tests/hpo/run/executors/test_shared.py",
        "tests/hpo/run/executors/test_slurm.py",
    ),
    # Clusters on this machine, and figures of time.
    "clusters": (
        "tests/contracts/test_executors.py",
        "tests/hpo/integrations/test_ray.py",
        "tests/hpo/run/test_overlap.py",
        "tests/hpo/run/executors/test_dask_cluster.py",
        "tests/hpo/run/executors/test_handshake.py",
        "tests/hpo/run/executors/test_mpi.py",
    ),
    # One browser, and the runs that it shows.
    "browser": (
        "tests/hpo/integrations/test_optuna_export.py",
        "tests/hpo/report/test_report.py",
    ),
    # One kernel.
    "notebooks": ("tests/docs/test_notebooks.py",),
    # One folder of compiled code.
    "numba": ("tests/qsvr/test_numba.py",),
    # One folder of embeddings.
    "leap": ("tests/qsvr/samplers/dwave/",),
}


class GroupScheduling(LoadScopeScheduling):
    """The largest group first; the tests of no group one by one, to whoever is free."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        paths = [path for group in GROUPS.values() for path in group]
        if gone := [path for path in paths if not (config.rootpath / path).exists()]:
            raise pytest.UsageError(f"tests/support/sharing.py groups what is not there: {gone}")

    def _split_scope(self, nodeid: str) -> str:
        found = (name for name, paths in GROUPS.items() if nodeid.startswith(paths))
        return next(found, nodeid)
