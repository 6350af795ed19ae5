"""What only a GPU can show; skipped without CUDA. ``pytest -m gpu`` runs these alone."""

from __future__ import annotations

import importlib

import pytest
import torch

from hpo.trainers import TorchrunTrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU_MODELS = {"cnn": (4, 0.1), "mlpf": (10, 0.75)}  # epochs, share of the trivial loss


@pytest.fixture
def deterministic(monkeypatch):
    """Have CUDA give the same bits every time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["cnn", "lstm", "mlp", "mlpf"])
def test_resumed_equals_uninterrupted(model, small_data, precision, deterministic, tmp_path):
    config = {**model.DEFAULTS, "data": small_data, "device": "cuda", "precision": precision}
    whole = model.trainer.train(config, 0, 4, tmp_path / "whole").losses
    pieces = [
        *model.trainer.train(config, 0, 1, tmp_path / "pieces").losses,
        *model.trainer.train(config, 1, 4, tmp_path / "pieces").losses,
    ]
    assert pieces == whole


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", list(GPU_MODELS))
def test_learns(name, model, precision, tmp_path):
    epochs, margin = GPU_MODELS[name]
    config = {**model.DEFAULTS, "device": "cuda", "precision": precision}
    losses = model.trainer.train(config, 0, epochs, tmp_path / "c").losses
    assert losses[-1] < margin * model.trivial_score()["loss"]


def test_cpu_and_gpu_agree(tmp_path):
    """The same trial, without dropout, to rounding: the same batches from the same generators."""
    mlp = importlib.import_module("hpo.examples.mlp")
    config = {**mlp.DEFAULTS, "max_dropout": 0.0}
    on_cpu = mlp.trainer.train(config, 0, 2, tmp_path / "cpu").losses
    on_gpu = mlp.trainer.train({**config, "device": "cuda"}, 0, 2, tmp_path / "gpu").losses
    assert list(on_gpu) == pytest.approx(list(on_cpu), rel=1e-2)


def test_every_gpu_in_one_trial(tmp_path, environment, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    mlp = importlib.import_module("hpo.examples.mlp")
    group = TorchrunTrainer("hpo.examples.mlp:trainer", torch.cuda.device_count(), "nccl")
    config = {**mlp.DEFAULTS, "device": "cuda"}
    whole = group.train(config, 0, 3, tmp_path / "c").losses
    assert whole[-1] < 0.5 * mlp.trivial_score()["loss"]
