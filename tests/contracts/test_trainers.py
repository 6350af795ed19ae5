"""What every trainer promises: segments are absolute, and a retry or a restart changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpo.trainers import (
    FunctionTrainer,
    NamedTrainer,
    ScriptTrainer,
    Segment,
    TorchRun,
    TorchTrainer,
    Trainer,
    run_segment,
)

CONFIG = {"lr": 0.05}


def _function(config, start, stop, checkpoint):
    return [config["lr"] / (unit + 1) for unit in range(start, stop)]


def _torch() -> Trainer:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(1)

    def build(config, generators):
        model = torch.nn.Linear(2, 1)
        inputs = torch.tensor(generators.numpy.normal(size=(8, 2)), dtype=torch.float32)
        data = torch.utils.data.TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))
        return TorchRun(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=config["lr"]),
            evaluate=lambda: torch.nn.functional.mse_loss(model(inputs), data.tensors[1]).item(),
            train_loader=torch.utils.data.DataLoader(data, 4, shuffle=True),
            loss_function=torch.nn.functional.mse_loss,
        )

    return TorchTrainer(build)


def _named(tmp_path: Path) -> Trainer:
    path = tmp_path / "named.py"
    path.write_text(
        "def train(config, start, stop, checkpoint):\n"
        "    return [config['lr'] / (unit + 1) for unit in range(start, stop)]\n"
    )
    return NamedTrainer(f"{path}:train")


SCRIPT = """
import json, sys
from pathlib import Path
lr, stop, place = float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
done = json.loads(place.read_text()) if place.exists() else 0
with open(sys.argv[4], "w") as metrics:
    for unit in range(done, stop):
        print(json.dumps({"loss": lr / (unit + 1), "epoch": unit + 1}), file=metrics)
place.write_text(json.dumps(stop))
"""


def _script(tmp_path: Path, command: str) -> Trainer:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return ScriptTrainer(f"{{python}} -I -S {path} {command}", epoch="epoch")


TRAINERS: dict[str, Callable[[Path], Trainer]] = {
    "function": lambda _: FunctionTrainer(_function),
    "named": _named,
    "torch": lambda _: _torch(),
    "script that resumes": lambda place: _script(place, "{lr} {stop} {checkpoint} {metrics}"),
    "script from epoch 0": lambda place: _script(place, "{lr} {stop} {metrics}.done {metrics}"),
}


@pytest.fixture(params=list(TRAINERS))
def trainer(request: pytest.FixtureRequest, tmp_path: Path) -> Trainer:
    return TRAINERS[request.param](tmp_path)


def losses(trainer: Trainer, start: int, stop: int, place: Path) -> tuple[float, ...]:
    outcome = run_segment(trainer, Segment(CONFIG, start, stop, place / "checkpoint"))
    assert outcome.reason == ""
    assert len(outcome.losses) == stop - start
    assert np.isfinite(outcome.losses).all()
    return outcome.losses


def test_pieces_equal_one_go(trainer: Trainer, tmp_path: Path) -> None:
    whole = losses(trainer, 0, 7, tmp_path / "whole")
    cuts = [0, 1, 3, 4, 7]
    pairs = itertools.pairwise(cuts)
    parts = [losses(trainer, start, stop, tmp_path / "parts") for start, stop in pairs]
    assert sum(parts, ()) == whole


def test_repeated_segment_gives_the_same(trainer: Trainer, tmp_path: Path) -> None:
    first = losses(trainer, 0, 3, tmp_path)
    assert losses(trainer, 0, 3, tmp_path) == first
    later = losses(trainer, 3, 5, tmp_path)
    assert losses(trainer, 3, 5, tmp_path) == later


def test_trials_do_not_touch_each_other(trainer: Trainer, tmp_path: Path) -> None:
    alone = losses(trainer, 0, 4, tmp_path / "alone")
    first = losses(trainer, 0, 2, tmp_path / "a")
    losses(trainer, 0, 4, tmp_path / "b")
    assert first + losses(trainer, 2, 4, tmp_path / "a") == alone
