"""What only a GPU can show; skipped without CUDA. ``pytest -m gpu`` runs these alone."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpo import ListSearcher, RandomSearch, Tuner
from hpo.trainers import TorchrunTrainer
from hpo.trainers.torch.random_state import isolated_random

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


def test_a_trial_on_the_cpu_does_not_open_the_gpu(tmp_path, environment):
    """Where each process would take hundreds of megabytes."""
    program = (
        "import sys, pathlib, torch\n"
        "from hpo.examples.mlp import DEFAULTS, trainer\n"
        "torch.manual_seed(7)\n"
        "config, place = {**DEFAULTS, 'data': 'wine'}, pathlib.Path(sys.argv[1])\n"
        "trainer.train(config, 0, 1, place)\n"
        "trainer.train(config, 1, 2, place)\n"
        "print(torch.cuda.is_initialized())\n"
        "drawn = torch.rand(3, device='cuda')\n"
        "torch.manual_seed(7)\n"
        "print(torch.equal(drawn, torch.rand(3, device='cuda')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "c")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "True"]


def test_a_trial_gives_the_generators_back(tmp_path):
    cnn = importlib.import_module("hpo.examples.cnn")
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    cnn.trainer.train({**cnn.DEFAULTS, "device": "cuda"}, 0, 1, tmp_path / "c")
    assert torch.equal(before, torch.cuda.get_rng_state())


def test_a_state_of_more_devices_is_restored_on_those_that_are_here():
    torch.rand(1, device="cuda")
    with isolated_random(0) as state:
        saved = state.state_dict()
        drawn = torch.rand(3, device="cuda")
        state.load_state_dict({**saved, "global cuda": saved["global cuda"] * 3})
        assert torch.equal(drawn, torch.rand(3, device="cuda"))


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_workers_share_the_gpu(executor, tmp_path):
    """Their curves are those of one process, and the device is free again at the end."""
    cnn = importlib.import_module("hpo.examples.cnn")
    configs = [{**cnn.DEFAULTS, "lr": lr, "device": "cuda"} for lr in (0.01, 0.02, 0.05, 0.1)]
    several = {"n_workers": 2, "executor_options": {"devices": "0,0"}}
    results = Tuner(
        cnn.trainer, RandomSearch(ListSearcher(configs), max_resource=2, n_trials=4),
        executor=executor, journal=tmp_path / "run.jsonl",
        **(several if executor == "process" else {}),
    ).run()  # fmt: skip
    assert results.finished
    assert {span.device for span in results.spans if span.kind == "train"} <= {"0", ""}
    for trial in results.trials:
        alone = cnn.trainer.train(trial.config, 0, 2, tmp_path / f"alone-{trial.trial_id}").losses
        assert list(alone) == pytest.approx(list(trial.losses), rel=0.05)
    pids = {span.pid for span in results.spans if span.pid not in (None, os.getpid())}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
