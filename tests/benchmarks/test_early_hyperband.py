"""Hyperband with several decisions in every round, which the curve benchmarks compare with."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.predictors import make_predictor
from hpo.schedulers import Hyperband
from hpo.simulation import CurveTable, simulate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def early():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("_early_hyperband")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def falling():
    """200 noisy power laws of 27 units whose order changes with time."""
    rng = np.random.default_rng(0)
    units = np.arange(1, 28)
    level = rng.uniform(0, 1, (200, 1))
    losses = level + rng.uniform(0.5, 2, (200, 1)) * units ** -rng.uniform(0.3, 1.5, (200, 1))
    losses += rng.normal(0, 0.01, losses.shape)
    return CurveTable(tuple({"level": float(value)} for value in level[:, 0]), losses)


@pytest.mark.parametrize("predictor", ["last-value", "pooled"])
def test_early_decisions_save_a_fifth_at_least(early, falling, predictor):
    settings = {"regressor": "ridge"} if predictor == "pooled" else {}
    result = simulate(
        lambda s: early.early_hyperband(s, max_resource=27, reduction_factor=2, seed=0),
        falling,
        predictor=make_predictor(predictor, **settings),
    )
    plain = simulate(lambda s: Hyperband(s, max_resource=27), falling)
    decisions = [event for event in result.summary.events if event.kind == "decision"]
    assert len(decisions) > 10
    assert result.summary.epochs < 0.8 * plain.summary.epochs
    median = float(np.median(falling.losses[:, -1]))
    assert result.summary.best.last_loss < 0.5 * (median + plain.summary.best.last_loss)


@pytest.mark.parametrize("n_workers", [2, 7, 30])
def test_decisions_do_not_depend_on_the_number_of_workers(early, falling, n_workers):
    def decided(n_workers):
        summary = simulate(
            lambda s: early.early_hyperband(s, max_resource=27, reduction_factor=2, seed=0),
            falling,
            n_workers=n_workers,
            predictor=make_predictor("last-value"),
            epoch_times=np.random.default_rng(n_workers).uniform(0.1, 3, len(falling)),
        ).summary
        return sorted((e.bracket, e.rung, e.resource, e.kept, e.dropped) for e in summary.events)

    assert decided(n_workers) == decided(1)
