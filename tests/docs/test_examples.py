"""The trainer without a framework that the documentation points to."""

from __future__ import annotations

import numpy as np
import pytest

from hpo import SearchSpace
from hpo.trainers import load_trainer


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
