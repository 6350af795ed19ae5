"""A raylet that dies, on a real cluster of Ray: no verdict on any trial."""

from __future__ import annotations

import threading
import time

import pytest

from hpo.errors import ExecutorBrokenError
from hpo.run.journal import read_journal
from hpo.run.tuner import Tuner

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    quiet = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=quiet)
    cluster.add_node(num_cpus=2)
    yield cluster
    import ray

    ray.shutdown()
    cluster.shutdown()


def test_a_dead_raylet_ends_the_run_without_a_verdict(workshop, cluster, outcome_of) -> None:
    workshop.slow(0.2)
    spec = workshop.spec(
        executor="ray",
        executor_options={"address": cluster.address},
        n_workers=3,
        max_retries=0,
    )

    def kill_soon():
        while workshop.epochs() < 10:
            time.sleep(0.05)
        for process in cluster.head_node.all_processes["raylet"]:
            process.process.kill()

    killer = threading.Thread(target=kill_soon, daemon=True)
    killer.start()
    with pytest.raises(ExecutorBrokenError) as stopped:
        Tuner.from_spec(spec, journal=workshop.journal).run()
    killer.join()
    assert stopped.value.results.epochs > 0
    assert not [
        entry
        for entry in read_journal(workshop.journal).entries
        if entry.data.get("type") == "TrainFailure"
    ]
    workshop.slow(0.001)
    results = Tuner.resume(workshop.journal, executor="inline", n_workers=1, executor_options={})
    reference = Tuner.from_spec(workshop.spec()).run()
    assert outcome_of(results) == outcome_of(reference)
