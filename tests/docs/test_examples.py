"""The trainer without a framework, and the script, that the documentation points to."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from hpo import ScriptTrainer, SearchSpace
from hpo.trainers import Segment, load_trainer, run_segment


@pytest.fixture(scope="module")
def trainer(root):
    return load_trainer(f"{root / 'examples' / 'digits_numpy.py'}:trainer")


CONFIG = {"lr": 0.2, "momentum": 0.5, "hidden": 32, "batch_size": 32}


def test_it_learns_digits(trainer, tmp_path):
    """Guessing one of ten digits has a loss of log(10) = 2.3."""
    losses = trainer.train(CONFIG, 0, 6, tmp_path / "checkpoint")
    assert losses[-1] < 0.4 < losses[0] < np.log(10)


def test_stopping_and_going_on_changes_nothing(trainer, tmp_path):
    whole = trainer.train(CONFIG, 0, 5, tmp_path / "whole")
    parts = [
        loss
        for start, stop in ((0, 1), (1, 3), (3, 5))
        for loss in trainer.train(CONFIG, start, stop, tmp_path / "parts")
    ]
    assert parts == whole


def test_a_checkpoint_of_another_epoch_changes_nothing(trainer, tmp_path):
    """As after a job whose report never came, or after the checkpoint was lost."""
    whole = trainer.train(CONFIG, 0, 4, tmp_path / "checkpoint")
    assert trainer.train(CONFIG, 1, 3, tmp_path / "checkpoint") == whole[1:3]
    assert trainer.train(CONFIG, 1, 3, tmp_path / "lost") == whole[1:3]


def test_its_space_fits_it(root, trainer, tmp_path):
    space = SearchSpace.from_toml(root / "examples" / "digits_numpy_space.toml")
    config = space.sample(np.random.default_rng(0))
    assert len(trainer.train(config, 0, 1, tmp_path / "checkpoint")) == 1


def test_the_script_is_tuned_by_the_command_that_it_names(root, tmp_path):
    text = (root / "examples" / "digits_script.py").read_text("utf-8")
    command = re.search(r'--script "(.*?)"', text, re.DOTALL)[1].replace("\\\n", " ")
    metric = re.search(r"--metric (\w+)", text)[1]
    command = command.replace("python ", f"{sys.executable} ", 1)
    trainer = ScriptTrainer(command, metric=metric, epoch="epoch", directory=root)
    space = SearchSpace.from_toml(root / "examples" / "digits_script_space.toml")
    trainer.check_space(space)
    config = space.sample(np.random.default_rng(0)) | {"rate": 0.01}
    place = tmp_path / "trial" / "checkpoint"
    outcomes = [run_segment(trainer, Segment(config, *units, place)) for units in ((0, 1), (1, 6))]
    assert [each.reason for each in outcomes] == ["", ""]
    losses = outcomes[0].losses + outcomes[1].losses
    assert losses[-1] < 0.5 < losses[0] < np.log(10)
    assert outcomes[1].extra["accuracy"][-1] > 0.85
