"""Early stopping, mixed precision and several processes, in the trainer that all models share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpo.errors import CheckpointError
from hpo.examples import mlp
from hpo.examples.settings import training_loader
from hpo.trainers import Generators, Segment, TorchrunTrainer, TorchTrainer, run_segment
from hpo.trainers.objective import Objective
from hpo.trainers.torch.precision import Precision

CONFIG = {**mlp.DEFAULTS, "data": "wine"}


# -- early stopping -----------------------------------------------------------------------------


def scripted(losses, calls=None):
    """Return a trainer whose epochs give these losses."""

    def build(config, generators):
        run = mlp.build(config, generators)
        counter = torch.nn.Parameter(torch.zeros(()), requires_grad=False)
        run.model.register_parameter("epoch", counter)

        def evaluate():
            if calls is not None:
                calls.append(1)
            counter.add_(1)
            return losses[int(counter) - 1]

        return replace(run, evaluate=evaluate)

    return TorchTrainer(build)


LOSSES = [5.0, 4.0, 4.5, 4.0, 4.2, 1.0, 0.5]


def test_stops_after_patience_epochs_without_a_new_lowest_loss(tmp_path) -> None:
    calls = []
    trainer = scripted(LOSSES, calls)
    metrics = trainer.train({**CONFIG, "patience": 3}, 0, 7, tmp_path / "c")
    assert list(metrics.losses) == [5.0, 4.0, 4.5, 4.0, 4.2, 4.2, 4.2]
    assert metrics.extra["trained"] == [1.0] * 5 + [0.0] * 2
    assert len(calls) == 5
    patient = scripted(LOSSES).train({**CONFIG, "patience": 4}, 0, 7, tmp_path / "d")
    assert list(patient.losses) == LOSSES


def test_stopped_trial_resumes_alike(tmp_path) -> None:
    config = {**CONFIG, "patience": 3}
    whole = scripted(LOSSES).train(config, 0, 7, tmp_path / "whole")
    pieces = [
        scripted(LOSSES).train(config, n, n + 1, tmp_path / "pieces").losses[0] for n in range(7)
    ]
    assert pieces == whole.losses


def test_bad_patience(tmp_path) -> None:
    outcome = run_segment(
        mlp.trainer, Segment({**CONFIG, "patience": 0}, 0, 1, tmp_path / "t" / "c")
    )
    assert "patience must be an integer of at least 1 or None, got 0" in outcome.reason


# -- precision ----------------------------------------------------------------------------------


def test_bfloat16_learns_and_resumes(tmp_path) -> None:
    config = {**CONFIG, "precision": "bfloat16"}
    half = mlp.trainer.train(config, 0, 4, tmp_path / "c").losses
    assert half[-1] < 0.5 * mlp.trivial_score("wine")["loss"]
    assert half != mlp.trainer.train(CONFIG, 0, 4, tmp_path / "full").losses
    again = [mlp.trainer.train(config, n, n + 1, tmp_path / "d").losses[0] for n in range(4)]
    assert again == half


@pytest.mark.parametrize(
    ("name", "message"),
    [("int8", "precision must be one of float32"), ("float16", "'float16' needs a GPU")],
)
def test_bad_precision(name, message) -> None:
    with pytest.raises(ValueError, match=message):
        Precision(name, "cpu")


# -- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "batches"), [(9, [4, 4]), (10, [4, 4, 2]), (1, [1])])
def test_no_batch_of_one_sample_is_left_over(n, batches) -> None:
    data = torch.utils.data.TensorDataset(torch.arange(n), torch.arange(n))
    loader = training_loader(data, 4, Generators.seeded(0))
    assert [len(inputs) for inputs, _ in loader] == batches


# -- several processes --------------------------------------------------------------------------


GROUP = """
    from hpo import TorchTrainer, current_trial
    from hpo.examples import mlp

    def named(config, generators):
        run = mlp.build(config, generators)
        curve = iter((0.2, 0.9, 0.3, 0.4))
        run.evaluate, run.patience = lambda: {"accuracy": next(curve)}, 2
        return run

    def trainer(config, start, stop, checkpoint):
        whole, pieces = (checkpoint.with_name(name) for name in ("whole", "pieces"))
        losses = list(mlp.trainer.train(config, 0, 3, whole).losses)
        losses += mlp.trainer.train(config, 0, 1, pieces).losses
        losses += mlp.trainer.train(config, 1, 3, pieces).losses
        best = TorchTrainer(named, keep="best")
        found = best.train(config, start, stop, checkpoint.with_name("named")).losses
        return {**found, "loss": losses, "trial": [current_trial().trial_id] * 6}
"""


@pytest.fixture
def imports(environment, monkeypatch):
    """Let the processes of a group import this source."""
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])


@pytest.mark.slow
def test_two_processes(tmp_path, imports) -> None:
    """Two processes train one model; pieces equal one go; a lone process cannot go on."""
    (tmp_path / "group.py").write_text(textwrap.dedent(GROUP))
    pair = TorchrunTrainer(f"{tmp_path / 'group.py'}:trainer", processes=2)
    accuracy = Objective("accuracy", "max")
    place = Segment(CONFIG, 0, 6, tmp_path / "c", trial_id=7, objective=accuracy)
    outcome = run_segment(pair, place)
    assert outcome.reason == ""
    # The accuracy is the only metric of a trainer that waits for it, and stops early.
    assert outcome.losses == (-0.2, -0.9, -0.3, -0.4, -0.4, -0.4)
    assert outcome.extra["trained"] == (1, 1, 1, 1, 0, 0)
    assert outcome.extra["trial"] == (7,) * 6
    losses = outcome.extra["loss"]
    assert losses[:3] == losses[3:]
    assert losses[2] < min(losses[0], 0.8 * mlp.trivial_score("wine")["loss"])  # six steps
    state = torch.load(tmp_path / "whole", weights_only=True)
    ranks = state["session"]["random"]["ranks"]
    assert len(ranks) == 2
    assert not torch.equal(ranks[0]["global torch"], ranks[1]["global torch"])
    with pytest.raises(CheckpointError, match="written by 2 processes"):
        mlp.trainer.train(CONFIG, 3, 4, tmp_path / "whole")


@pytest.mark.slow
def test_failure_in_a_process_is_told(tmp_path, imports) -> None:
    group = TorchrunTrainer("hpo.examples.mlp:trainer", processes=1)
    outcome = run_segment(group, Segment({**CONFIG, "data": "moon"}, 0, 1, tmp_path / "t" / "c"))
    assert "torchrun ended with exit code 1: ValueError: data must be one of" in outcome.reason


LONELY = """
    import sys
    from pathlib import Path
    from hpo.trainers import TorchrunTrainer
    TorchrunTrainer(sys.argv[1] + ":trainer", processes=1).train({}, 0, 1, Path(sys.argv[2]))
"""
SLEEPER = """
    import os, time
    from pathlib import Path
    def trainer(config, start, stop, checkpoint):
        (checkpoint.parent / "pid").write_text(str(os.getpid()))
        time.sleep(1000)
"""


@pytest.mark.slow
def test_processes_end_with_the_trial_that_started_them(tmp_path, environment) -> None:
    (tmp_path / "sleeper.py").write_text(textwrap.dedent(SLEEPER))
    command = [sys.executable, "-c", textwrap.dedent(LONELY)]
    command += [str(tmp_path / "sleeper.py"), str(tmp_path / "c")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as parent:
        pid = int(_wait_for(tmp_path / "pid"))
        parent.send_signal(signal.SIGKILL)
    for _ in range(1000):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the process trains on though nobody waits for it")


def _wait_for(path: Path) -> str:
    for _ in range(2000):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    pytest.fail(f"{path} did not come")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": 0}, "processes must be an integer of at least 1, got 0"),
        ({"processes": 2, "backend": "mpi"}, "backend must be 'gloo' .* got 'mpi'"),
    ],
)
def test_bad_torchrun_settings(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        TorchrunTrainer("hpo.examples.mlp:trainer", **settings)
