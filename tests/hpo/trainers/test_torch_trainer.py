"""TorchTrainer: ten epochs in one go and in ten pieces give the same bits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.errors import CheckpointError
from hpo.trainers import Segment, TorchRun, TorchTrainer, run_segment

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

CONFIG = {"lr": 0.05, "optimizer": "sgd", "schedule": "none"}
OPTIMIZERS = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr, amsgrad=True),
    "adamw": lambda p, lr: torch.optim.AdamW(p, lr=lr),
    "rmsprop": lambda p, lr: torch.optim.RMSprop(p, lr=lr, momentum=0.5),
    "adagrad": lambda p, lr: torch.optim.Adagrad(p, lr=lr),
    "nadam": lambda p, lr: torch.optim.NAdam(p, lr=lr),
}
SCHEDULES = {
    "none": lambda o: None,
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5),
    "multistep": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5, 5], 0.5),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
    "onecycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, factor=0.5),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda e: 0.9**e),
}


def build(config, generators) -> TorchRun:
    """A network that uses every kind of randomness: dropout, shuffling, noise of all libraries."""
    inputs = torch.randn(64, 5, generator=torch.Generator().manual_seed(3))
    targets = inputs[:, :1] ** 2
    model = nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1)
    )
    optimizer = OPTIMIZERS[config["optimizer"]](model.parameters(), config["lr"])

    def loss(outputs, wanted):
        noise = generators.numpy.normal() + generators.python.random()
        noise += np.random.rand() + random.random()  # noqa: NPY002 - careless user code
        return nn.functional.mse_loss(outputs, wanted + 0.01 * noise)

    def evaluate():
        return {"loss": nn.functional.mse_loss(model(inputs), targets).item(), "unit": 1.0}

    data = torch.utils.data.TensorDataset(inputs, targets)
    return TorchRun(
        model=model,
        optimizer=optimizer,
        evaluate=evaluate,
        train_loader=torch.utils.data.DataLoader(
            data, 16, shuffle=True, generator=generators.torch
        ),
        loss_function=loss,
        lr_scheduler=SCHEDULES[config["schedule"]](optimizer),
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads wait for each other longer than such a small network takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def disturb() -> None:
    """Use the global generators, as other code in the process may between two segments."""
    torch.rand(3)
    np.random.rand(3)  # noqa: NPY002
    random.random()


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [(name, "none") for name in OPTIMIZERS] + [("sgd", name) for name in SCHEDULES],
)
def test_pieces_equal_one_go(tmp_path: Path, optimizer: str, schedule: str) -> None:
    config = CONFIG | {"optimizer": optimizer, "schedule": schedule}
    whole = TorchTrainer(build, seed=1).train(config, 0, 10, tmp_path / "whole")
    pieces = []
    for epoch in range(10):
        disturb()
        part = TorchTrainer(build, seed=1).train(config, epoch, epoch + 1, tmp_path / "pieces")
        pieces += part.losses
    assert pieces == whole.losses
    assert len(set(whole.losses)) == 10
    assert list(whole.extra["unit"]) == [1.0] * 10


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_loaders_without_a_generator_of_their_own(tmp_path: Path, workers: int) -> None:
    def own(config, generators):
        run = build(config, generators)
        data = run.train_loader.dataset
        run.train_loader = torch.utils.data.DataLoader(data, 32, shuffle=True, num_workers=workers)
        return run

    epochs = 3 if workers else 6
    trainer = TorchTrainer(own)
    whole = trainer.train(CONFIG, 0, epochs, tmp_path / "whole").losses
    pieces = [trainer.train(CONFIG, i, i + 1, tmp_path / "p").losses[0] for i in range(epochs)]
    assert pieces == whole


def test_global_generators_are_given_back(tmp_path: Path) -> None:
    def draws():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()  # noqa: NPY002

    def seed():
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        np.random.standard_normal()  # leaves a cached number behind  # noqa: NPY002
        random.seed(5)

    seed()
    expected = draws()
    seed()
    TorchTrainer(build).train(CONFIG, 0, 1, tmp_path / "c")
    assert draws() == expected


def test_finished_segment_is_not_trained_again(tmp_path: Path) -> None:
    calls = []

    def counting(config, generators):
        calls.append(1)
        return build(config, generators)

    trainer = TorchTrainer(counting)
    first = trainer.train(CONFIG, 0, 4, tmp_path / "c").losses
    assert trainer.train(CONFIG, 0, 4, tmp_path / "c").losses == first
    assert trainer.train(CONFIG, 1, 3, tmp_path / "c").losses == first[1:3]
    assert len(calls) == 1


def test_segment_goes_on_from_its_last_epoch_after_an_exception(tmp_path: Path) -> None:
    epochs = []

    def failing(config, generators):
        run = build(config, generators)
        evaluate = run.evaluate

        def once():
            epochs.append(1)
            if len(epochs) == 4:
                raise RuntimeError("out of memory")
            return evaluate()

        run.evaluate = once
        return run

    whole = TorchTrainer(build).train(CONFIG, 0, 6, tmp_path / "whole").losses
    with pytest.raises(RuntimeError, match="out of memory"):
        TorchTrainer(failing).train(CONFIG, 0, 6, tmp_path / "c")
    assert TorchTrainer(failing).train(CONFIG, 0, 6, tmp_path / "c").losses == whole
    assert len(epochs) == 7  # only the epoch in flight was repeated


def test_lost_checkpoint_is_trained_again_with_a_warning(tmp_path: Path, caplog) -> None:
    whole = TorchTrainer(build).train(CONFIG, 0, 4, tmp_path / "whole").losses
    assert TorchTrainer(build).train(CONFIG, 2, 4, tmp_path / "c").losses == whole[2:]
    assert "training them again" in caplog.text


def test_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    TorchTrainer(build).train(CONFIG, 0, 1, tmp_path / "c")
    with pytest.raises(CheckpointError, match="belongs to configuration"):
        TorchTrainer(build).train(CONFIG | {"lr": 0.1}, 1, 2, tmp_path / "c")


def test_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"format": 1, "x": Evil()}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        TorchTrainer(build).train(CONFIG, 0, 1, tmp_path / "c")
    assert not (tmp_path / "owned").exists()


def test_persistent_loader_workers_are_refused(tmp_path: Path) -> None:
    def persistent(config, generators):
        run = build(config, generators)
        run.train_loader = torch.utils.data.DataLoader(
            run.train_loader.dataset, num_workers=1, persistent_workers=True
        )
        return run

    with pytest.raises(ValueError, match="persistent_workers=False"):
        TorchTrainer(persistent).train(CONFIG, 0, 1, tmp_path / "c")


FULL_DISK = """
import resource, sys, json, torch
from pathlib import Path
sys.path.insert(0, {here!r})
from test_torch_trainer import CONFIG, build
from hpo.trainers import Segment, TorchTrainer, run_segment

torch.set_num_threads(1)
path = Path({path!r})
first = run_segment(TorchTrainer(build), Segment(CONFIG, 0, 2, path))
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
second = run_segment(TorchTrainer(build), Segment(CONFIG, 2, 4, path))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert path.read_bytes() == before
third = run_segment(TorchTrainer(build), Segment(CONFIG, 2, 4, path))
names = sorted(p.name for p in path.parent.iterdir())
print(json.dumps([first.reason, second.reason, third.reason, names]))
"""


@pytest.mark.slow
def test_full_disk_leaves_the_old_checkpoint(tmp_path: Path, environment) -> None:
    """The limit on file sizes stands for a full disk: writes fail, here with EFBIG."""
    import json

    code = FULL_DISK.format(here=str(Path(__file__).parent), path=str(tmp_path / "checkpoint"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    first, second, third, names = json.loads(done.stdout)
    assert (first, third) == ("", "")
    assert second.startswith("OSError: [Errno 27] File too large")
    assert names == ["checkpoint"]  # no temporary file, and no error.txt: it is no trial's fault


def test_results_are_plain_numbers(tmp_path: Path) -> None:
    outcome = run_segment(TorchTrainer(build), Segment(CONFIG, 0, 2, tmp_path / "c"))
    assert outcome.reason == ""
    assert {type(loss) for loss in outcome.losses} == {float}
