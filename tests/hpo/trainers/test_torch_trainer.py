"""TorchTrainer: ten epochs in one go and in ten pieces give the same bits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo import (
    ASHA,
    ListSearcher,
    RandomSearcher,
    SearchSpace,
    TorchrunTrainer,
    Tuner,
    make_scheduler,
)
from hpo.errors import CheckpointError
from hpo.trainers import Segment, TorchRun, TorchTrainer, run_segment
from hpo.trainers.objective import Objective

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


@pytest.mark.parametrize("objective", ["score", None])
def test_metrics_without_a_loss_are_enough(tmp_path: Path, objective: str | None) -> None:
    """`evaluate` returns the objective alone, also where a trial stops early and resumes."""

    def scored(config, generators):
        run = build(config | {"schedule": "plateau"}, generators)
        loss = run.evaluate
        run.evaluate = lambda: {"score": -loss()["loss"]}
        run.patience = 2 if objective else None  # it adds the metric "trained"
        return run

    space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.01, "high": 0.02}})
    scheduler = make_scheduler("hyperband", RandomSearcher(space, seed=0), max_resource=9)
    settings = {"objective": objective, "mode": "max", "executor": "inline"}
    trainer = TorchTrainer(lambda config, drawn: scored(CONFIG | config, drawn), keep="best")
    folder = tmp_path / "models"
    results = Tuner(trainer, scheduler, checkpoint_dir=folder, **settings).run()
    assert results.objective.name == "score"
    assert results.best.value < 0
    assert set(results.best.metrics) == ({"trained"} if objective else set())
    best = results.best.best_epoch
    assert results.best.values[best - 1] == max(results.best.values)
    assert isinstance(results.best.load(), nn.Module)


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


# -- the model of a checkpoint ------------------------------------------------------------------


def losses_by(unit_losses):
    """Return a `build` whose evaluation gives these losses, one after the other."""

    def made(config, generators):
        run = build(config, generators)
        # Four batches an epoch.
        run.evaluate = lambda: unit_losses[int(run.model[1].num_batches_tracked) // 4 - 1]
        return run

    return made


def weights_of(trainer, checkpoint, which=None):
    return [p.detach().clone() for p in trainer.load(checkpoint, which).parameters()]


def same_weights(left, right) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_load_gives_the_trained_model(tmp_path: Path) -> None:
    trainer = TorchTrainer(build, seed=1)
    losses = trainer.train(CONFIG, 0, 3, tmp_path / "checkpoint").losses
    model = trainer.load(tmp_path / "checkpoint")
    assert not model.training
    inputs = torch.randn(64, 5, generator=torch.Generator().manual_seed(3))
    loss = nn.functional.mse_loss(model(inputs), inputs[:, :1] ** 2).item()
    assert loss == losses[-1]
    before = torch.get_rng_state()
    trainer.load(tmp_path / "checkpoint")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("pieces", [1, 6])
@pytest.mark.parametrize("every", [1, 4])
def test_the_best_epochs_weights_are_kept(tmp_path: Path, pieces: int, every: int) -> None:
    made = losses_by([3.0, 1.0, float("nan"), 0.5, 2.0, 0.7])
    reference = {}
    for epoch in range(1, 7):
        path = tmp_path / f"reference-{epoch}"
        TorchTrainer(made).train(CONFIG, 0, epoch, path)
        reference[epoch] = weights_of(TorchTrainer(made), path)
    trainer = TorchTrainer(made, checkpoint_every=every, keep="best")
    place = tmp_path / "trial" / "checkpoint"
    place.parent.mkdir()
    for start in range(0, 6, 6 // pieces):
        trainer.train(CONFIG, start, start + 6 // pieces, place)
    assert same_weights(weights_of(trainer, place), reference[4])
    assert same_weights(weights_of(trainer, place, "best"), reference[4])
    assert same_weights(weights_of(trainer, place, "last"), reference[6])
    assert not same_weights(reference[4], reference[6])
    assert sorted(p.name for p in place.parent.iterdir()) == [
        "checkpoint",
        "checkpoint.epoch-00004",
    ]
    with pytest.raises(ValueError, match=r"epoch 2, which .* has those of \[4, 6\].*keep='best'"):
        trainer.load(place, 2)


def test_the_weights_of_all_epochs_are_kept(tmp_path: Path) -> None:
    trainer = TorchTrainer(build, keep="all")
    trainer.train(CONFIG, 0, 2, tmp_path / "checkpoint")
    trainer.train(CONFIG, 2, 4, tmp_path / "checkpoint")
    for epoch in range(1, 5):
        TorchTrainer(build).train(CONFIG, 0, epoch, tmp_path / str(epoch))
        reference = weights_of(TorchTrainer(build), tmp_path / str(epoch))
        assert same_weights(weights_of(trainer, tmp_path / "checkpoint", epoch), reference)
    for wrong in (0, 5, "first", True):
        with pytest.raises(ValueError, match="which must be 'last', 'best' or an epoch of 1 to 4"):
            trainer.load(tmp_path / "checkpoint", wrong)


def test_weights_are_there_whenever_the_process_is_killed(tmp_path: Path, monkeypatch) -> None:
    """Whatever call is the last one, the checkpoint's best epoch has its weights."""
    made = losses_by([1.0, 2.0, 0.5, 3.0])
    place = tmp_path / "checkpoint"
    trainer = TorchTrainer(made, keep="best")
    reference = []
    for epoch in (1, 3):
        TorchTrainer(made).train(CONFIG, 0, epoch, tmp_path / f"r{epoch}")
        reference.append(weights_of(TorchTrainer(made), tmp_path / f"r{epoch}"))
    calls = [0]

    class Killed(BaseException):
        pass

    def limited(function):
        def call(*args, **kwargs):
            calls[0] -= 1
            if calls[0] < 0:
                raise Killed
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", limited(Path.replace))
        patch.setattr(Path, "unlink", limited(Path.unlink))
        for n_calls in range(12):
            for old in tmp_path.glob("checkpoint*"):
                os.remove(old)  # noqa: PTH107 - not the calls that are counted
            calls[0] = n_calls
            try:
                trainer.train(CONFIG, 0, 4, place)
            except Killed:
                calls[0] = 10**6
            if place.exists():
                found = weights_of(trainer, place, "best")
                assert any(same_weights(found, each) for each in reference)
            calls[0] = 10**6
            trainer.train(CONFIG, 0, 4, place)
            assert same_weights(weights_of(trainer, place), reference[1])


def test_what_load_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must be 'last', 'best' or 'all', got 'some'"):
        TorchTrainer(build, keep="some")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        TorchTrainer(build).load(tmp_path / "none")
    TorchTrainer(build).train(CONFIG, 0, 1, tmp_path / "checkpoint")

    def wider(config, generators):
        run = build(config, generators)
        run.model[4] = nn.Linear(8, 2)
        return run

    with pytest.raises(CheckpointError, match="does not fit the model that build makes"):
        TorchTrainer(wider).load(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        TorchTrainer(build).load(tmp_path / "checkpoint")


def test_the_best_model_of_a_search(tmp_path: Path) -> None:
    """43 small trials leave one checkpoint, whose model has the best trial's loss."""
    inputs = torch.randn(64, 5, generator=torch.Generator().manual_seed(3))
    configs = [CONFIG | {"lr": 0.003 * (i + 1), "optimizer": "adam"} for i in range(43)]
    scheduler = ASHA(ListSearcher(configs), max_resource=4, reduction_factor=2, n_trials=43)
    trainer = TorchTrainer(build, keep="best")
    results = Tuner(trainer, scheduler, executor="inline", checkpoint_dir=tmp_path / "c").run()
    best = results.best
    for which, loss in (("last", best.losses[-1]), ("best", min(best.losses))):
        model = best.load(which=which)
        assert nn.functional.mse_loss(model(inputs), inputs[:, :1] ** 2).item() == loss
    again = TorchTrainer(build).load(results.best_checkpoint)
    assert same_weights(again.parameters(), best.load(which="last").parameters())
    assert len(results.trials) == 43
    files = set((tmp_path / "c").rglob("checkpoint*"))
    assert {path.parent for path in files} == {results.best_checkpoint.parent}
    assert len(files) <= 2


def test_torchrun_loads_in_this_process(tmp_path: Path) -> None:
    from hpo.examples import cnn

    trainer = TorchrunTrainer("hpo.examples.cnn:trainer", processes=2)
    assert isinstance(cnn.trainer, TorchTrainer)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        trainer.load(tmp_path / "none", which="last")


@pytest.mark.parametrize("named", [True, False])
def test_the_best_epoch_is_the_objectives(tmp_path: Path, named: bool) -> None:
    """A run that maximises the accuracy keeps the weights of its best epoch, and waits for it."""
    curve = [0.1, 0.7, 0.4, 0.9, 0.2, 0.3, 0.4, 0.5]

    def made(config, generators):
        run = build(config, generators)
        epochs = iter(curve)
        run.evaluate = lambda: {"loss": 1.0, "accuracy": next(epochs)} if named else next(epochs)
        run.patience = 3
        return run

    trainer, place = TorchTrainer(made, keep="best"), tmp_path / "trial" / "checkpoint"
    segment = Segment(CONFIG, 0, 8, place, objective=Objective("accuracy", "max"))
    outcome = run_segment(trainer, segment)
    assert outcome.losses == (-0.1, -0.7, -0.4, -0.9, -0.2, -0.3, -0.4, -0.4)
    assert outcome.extra["trained"] == (1, 1, 1, 1, 1, 1, 1, 0)
    TorchTrainer(build).train(CONFIG, 0, 4, tmp_path / "reference")
    reference = weights_of(TorchTrainer(build), tmp_path / "reference")
    assert same_weights(weights_of(trainer, place), reference)
