"""Curves that `benchmarks/recorded.py` records: complete, repeatable, and kept once recorded."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.simulation.datasets import read_table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def tasks():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("_recorded_tasks")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def recorded(tasks):
    return importlib.import_module("recorded")


def test_a_curve_has_a_finite_loss_for_every_unit_and_repeats_itself(tasks):
    recording = tasks.RECORDINGS["boosting_diabetes"]
    config = {**recording.configs(1)[0], "max_depth": 1, "learning_rate": 0.02}
    losses = recording.losses(config, 3)
    assert len(losses) == tasks.N_UNITS
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert losses == recording.losses(config, 3)


def test_a_training_that_diverges_has_the_worst_loss_from_there_on(tasks):
    def diverging(config, seed):
        yield 0.5
        yield float("nan")
        raise ValueError("Solver produced non-finite parameter weights")

    losses = tasks.Recording({}, diverging).losses({}, 0)
    assert losses[0] == 0.5
    assert set(losses[1:]) == {1e6}


def test_any_other_error_is_not_taken_for_divergence(tasks):
    def broken(config, seed):
        yield 0.5
        raise ValueError("batch_size must be at least 1")

    with pytest.raises(ValueError, match="batch_size"):
        tasks.Recording({}, broken).losses({}, 0)


def test_more_rows_begin_with_the_same_configurations(tasks):
    for recording in tasks.RECORDINGS.values():
        assert recording.configs(5)[:3] == recording.configs(3)


@pytest.mark.slow
def test_a_table_is_recorded_once_and_again_for_other_configurations(recorded, tmp_path, capsys):
    kind = "boosting_friedman"
    path = recorded.record(kind, 2, tmp_path, 1)
    kept = path.read_bytes()
    assert recorded.record(kind, 2, tmp_path, 1).read_bytes() == kept
    assert capsys.readouterr().out.count("training") == 1
    longer = recorded.record(kind, 3, tmp_path, 1).read_bytes()
    assert longer.startswith(kept)
    assert read_table(path).losses.shape == (3, 50)
