"""Each target model learns, runs by one command, and resumes to the last bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from hpo.cli import main
from hpo.examples import MODELS, space_path
from hpo.run.results import Results
from hpo.space import SearchSpace
from hpo.trainers import Segment, run_segment

# Epochs, and the largest loss as a share of the trivial predictor's (class frequencies; for MLPF
# by kind of element, with the measured momentum).
MARGINS = {"cnn": (4, 0.1), "lstm": (5, 0.9), "mlp": (5, 0.3), "mlpf": (10, 0.75)}


@pytest.mark.slow
def test_learns(name, model, tmp_path) -> None:
    epochs, margin = MARGINS[name]
    metrics = model.trainer.train(dict(model.DEFAULTS), 0, epochs, tmp_path / "c")
    trivial = model.trivial_score()
    assert metrics.losses[-1] < margin * trivial["loss"]
    assert metrics.extra["accuracy"][-1] > trivial["accuracy"] + 0.1
    if name == "mlpf":
        assert metrics.losses[9] < 0.75 * metrics.losses[0]  # improves over ten epochs
        assert min(metrics.losses[5:]) < min(metrics.losses[:5])
        assert metrics.extra["momentum_loss"][-1] < trivial["momentum_loss"]
        assert metrics.extra["class_loss"][-1] < 0.75 * trivial["class_loss"]


def test_resumed_equals_uninterrupted(model, small_data, tmp_path) -> None:
    config = {**model.DEFAULTS, "data": small_data}
    whole = model.trainer.train(config, 0, 4, tmp_path / "whole")
    pieces = []
    for start, stop in ((0, 1), (1, 3), (3, 4)):
        torch.rand(3)  # other code in the process, between two segments
        random.random()
        np.random.rand(3)  # noqa: NPY002
        pieces += model.trainer.train(config, start, stop, tmp_path / "pieces").losses
    assert pieces == whole.losses
    assert len(set(pieces)) == 4
    left, right = (torch.load(tmp_path / n, weights_only=True) for n in ("whole", "pieces"))
    for key, weights in left["session"]["model"].items():
        assert torch.equal(weights, right["session"]["model"][key])


def test_every_corner_of_the_space_trains(name, model, small_data, tmp_path) -> None:
    space = SearchSpace.from_toml(space_path(name))
    assert set(space.domains) == set(model.DEFAULTS)
    corners = [{k: d.grid(2)[end] for k, d in space.domains.items()} for end in (0, -1)]
    for number, corner in enumerate(corners):
        segment = Segment({**corner, "data": small_data}, 0, 1, tmp_path / str(number) / "c")
        assert run_segment(model.trainer, segment).reason == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_one_command(name, model, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    args = ["run", f"hpo.examples.{name}:trainer", "--max-resource", "2", "--quiet"]
    # With one worker the search does not depend on the order of reports.
    args += ["--workers", "1"] if name == "mlpf" else ["--executor", "inline"]
    if trials := {"lstm": 1, "mlpf": 2}.get(name):  # their epochs take a second
        args += ["--max-trials", str(trials)]
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert not caught.value.code, capsys.readouterr().err
    results = Results.from_journal(tmp_path / f"{name}-swift-asha.jsonl")
    assert results.best is not None
    assert results.best.last_loss < model.trivial_score()["loss"]


def test_unknown_data_is_named(model, tmp_path) -> None:
    segment = Segment({**model.DEFAULTS, "data": "moon"}, 0, 1, tmp_path / "trial" / "checkpoint")
    outcome = run_segment(model.trainer, segment)
    assert "data must be one of" in outcome.reason
    assert "'moon'" in outcome.reason


def test_space_path_names_the_models() -> None:
    with pytest.raises(ValueError, match="model must be one of cnn, lstm, mlp, mlpf; got 'gan'"):
        space_path("gan")
