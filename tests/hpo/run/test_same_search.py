"""The same search on every executor, at 1, 2 and 8 workers: the same trials, decisions and best."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

from hpo.run.executors import make_pool
from hpo.run.results import Results
from hpo.run.tuner import Tuner

SWIFT = {"scheduler": "swift-hyperband", "reduction_factor": 2}
LEAN = {**SWIFT, "scheduler_options": {"min_curves": 3, "train_ahead": False}}
AHEAD = {**SWIFT, "scheduler_options": {"min_curves": 3}}
RAY = pytest.param(
    "ray",
    marks=(
        pytest.mark.ray,
        pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed"),
    ),
)


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """A cluster of two processes with four threads each."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=4,
        dashboard_address="127.0.0.1:0",
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def ray_of_8() -> Iterator[None]:
    import ray

    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def decisions(results: Results) -> list[tuple[Any, ...]]:
    """Return what was decided, whatever the order in which brackets took their turn."""
    return sorted(
        (e.kind, e.bracket, e.rung, e.resource, e.kept, e.dropped) for e in results.events
    )


def search(workshop, settings: dict[str, Any], **how: Any) -> Results:
    return Tuner.from_spec(workshop.spec(**(settings | how))).run()


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2, 8])
@pytest.mark.parametrize("executor", ["process", "dask", RAY])
def test_same_search(executor, n_workers, workshop, outcome_of, request) -> None:
    how: dict[str, Any] = {"executor": executor, "n_workers": n_workers}
    if executor == "dask":
        how["executor_options"] = {"address": request.getfixturevalue("dask_address")}
    if executor == "ray":
        request.getfixturevalue("ray_of_8")
    reference = search(workshop, LEAN)
    assert len(decisions(reference)) > 5
    results = search(workshop, LEAN, **how)
    assert outcome_of(results) == outcome_of(reference)  # to the last epoch
    assert decisions(results) == decisions(reference)
    assert results.best == reference.best


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "given"), [(None, 8), (3, 3)])
def test_a_cluster_is_used_as_far_as_asked_for(asked, given, dask_address) -> None:
    pool = make_pool("dask", asked, options={"address": dask_address})
    try:
        assert pool.n_workers == pool.free == given
    finally:
        pool.close()


@pytest.mark.slow
def test_training_ahead_changes_epochs_only(workshop, dask_address) -> None:
    """With idle workers trials are trained ahead of a decision; the decision stays the same."""
    reference = search(workshop, LEAN)
    where = {"address": dask_address}
    results = search(workshop, AHEAD, executor="dask", n_workers=8, executor_options=where)
    assert decisions(results) == decisions(reference)
    assert results.best == reference.best
    assert results.epochs >= reference.epochs
    for trial, lean in zip(results.trials, reference.trials, strict=True):
        assert (trial.config, trial.losses[: len(lean.losses)]) == (lean.config, lean.losses)


@pytest.mark.slow
def test_swift_asha_repeats_on_one_worker(workshop, outcome_of, dask_address) -> None:
    settings = {"scheduler": "swift-asha", "max_resource": 9}
    reference = search(workshop, settings)
    how: dict[str, Any] = {"executor": "dask", "executor_options": {"address": dask_address}}
    one = search(workshop, settings, n_workers=1, **how)
    assert reference.overlap.predictions > 1
    assert outcome_of(one) == outcome_of(reference)
    eight = search(workshop, settings, n_workers=8, **how)
    assert eight.epochs > reference.epochs
    assert eight.best is not None


@pytest.mark.slow
def test_asha_repeats_on_one_worker_only(workshop, outcome_of, dask_address) -> None:
    """Its decisions are taken in the order in which losses come in."""
    reference = search(workshop, {"scheduler": "asha"})
    where = {"address": dask_address}
    one, eight = (
        search(
            workshop, {"scheduler": "asha"}, executor="dask", n_workers=n, executor_options=where
        )
        for n in (1, 8)
    )
    assert outcome_of(one) == outcome_of(reference)
    assert [trial.config for trial in eight.trials] == [t.config for t in reference.trials]
    curves = {trial.trial_id: trial.losses for trial in reference.trials}
    for trial in eight.trials:  # curves are the same as far as both were trained
        both = min(len(trial.losses), len(curves[trial.trial_id]))
        assert trial.losses[:both] == curves[trial.trial_id][:both]
