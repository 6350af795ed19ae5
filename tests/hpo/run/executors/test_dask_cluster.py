"""A Dask cluster of separate processes, which loses a node, then its scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import ExecutorBrokenError
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from waiting import wait_until

pytestmark = pytest.mark.slow


class Cluster:
    """One scheduler and two workers without a nanny: what is killed stays dead."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.file = root / "scheduler.json"
        self._environment = environment
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        self.workers = [
            self._start("worker", "--no-nanny", "--nthreads", "1", "--name", str(i))
            for i in range(2)
        ]

    def _start(self, part: str, *args: str) -> subprocess.Popen[bytes]:
        where = ["--scheduler-file", str(self.file), "--dashboard-address", "127.0.0.1:0"]
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{part}", *where, *args],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def options(self) -> dict[str, Any]:
        wait_until(self.file.exists, "the scheduler to start")
        return {"scheduler_file": str(self.file)}

    def wait_for_workers(self) -> None:
        """Wait until both workers are there: otherwise one may train all."""
        from distributed import Client

        with Client(scheduler_file=str(self.file), set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=100)

    def close(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path, environment) -> Iterator[Cluster]:
    made = Cluster(tmp_path, environment)
    yield made
    made.close()


def kill_at(workshop, moment: int, pid: int) -> threading.Thread:
    """Kill a process when so many epochs have been trained, before the run can end."""
    workshop.allow(moment)

    def work() -> None:
        try:
            workshop.reach(moment)
            os.kill(pid, signal.SIGKILL)
        finally:
            workshop.allow(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_lost_node_and_lost_scheduler(make_workshop, cluster, outcome_of) -> None:
    calm, node, scheduler = (make_workshop(name) for name in ("calm", "node", "scheduler"))
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    dask = {"executor": "dask", "executor_options": cluster.options()}

    # a node: the other one takes over its job, from its checkpoint
    cluster.wait_for_workers()
    killer = kill_at(node, 20, cluster.workers[0].pid)
    results = Tuner.from_spec(node.spec(**dask, n_workers=2), journal=node.journal).run()
    killer.join(60)
    assert cluster.workers[0].wait(60) == -signal.SIGKILL
    assert node.trace()[-1][-1] == cluster.workers[1].pid
    assert outcome_of(results) == outcome_of(reference)
    assert len({pid for *_, pid in node.trace()}) == 2
    assert node.repeated() <= 1

    # the scheduler: the run ends, keeps what was finished, and goes on elsewhere
    patient = {**dask["executor_options"], "patience": 5.0}
    retries = {"max_retries": 0, "n_workers": None}  # no job is blamed for it
    spec = scheduler.spec(**{**dask, "executor_options": patient}, **retries)
    killer = kill_at(scheduler, 20, cluster.scheduler.pid)
    with pytest.raises(ExecutorBrokenError, match="cannot be built again"):
        Tuner.from_spec(spec, journal=scheduler.journal).run()
    killer.join(60)
    for process in cluster.workers:  # nothing trains on when the run is resumed
        process.kill()
        process.wait()
    finished = Results.from_journal(scheduler.journal).epochs
    assert 0 < finished < reference.epochs
    resumed = Tuner.resume(scheduler.journal, executor="process", executor_options={}, n_workers=2)
    assert outcome_of(resumed) == outcome_of(reference)
    assert scheduler.repeated() <= 1


def test_cluster_without_workers_is_said(workshop, tmp_path: Path, environment) -> None:
    cluster = Cluster(tmp_path, environment)
    for process in cluster.workers:
        process.kill()
        process.wait()
    try:
        options = {**cluster.options(), "patience": 5.0}
        done = workshop.cli(
            *workshop.run_args(executor="dask"),
            *(f"--executor-option={name}={json.dumps(value)}" for name, value in options.items()),
        )
    finally:
        cluster.close()
    assert done.returncode == 2
    assert "has no worker after 5 s" in done.stderr
    assert not workshop.journal.exists()
