"""Trainers by name, and what is said about names that lead nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import TrainerError
from hpo.trainers import FunctionTrainer, NamedTrainer, as_trainer, load_trainer

GOOD = """
from dataclasses import dataclass
import helper

def function(config, start, stop, checkpoint):
    return [helper.LOSS] * (stop - start)

@dataclass
class Thing:
    loss: float = 2.0
    def train(self, config, start, stop, checkpoint):
        return [self.loss] * (stop - start)

thing = Thing(3.0)

def factory():
    return Thing(4.0)

number = 5
def useless():
    return 6
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("LOSS = 1.0\n")
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    ("name", "loss"), [("function", 1.0), ("Thing", 2.0), ("thing", 3.0), ("factory", 4.0)]
)
def test_every_form_trains(file: Path, tmp_path: Path, name: str, loss: float) -> None:
    trainer = NamedTrainer(f"{file}:{name}")
    assert list(trainer.train({}, 0, 2, tmp_path / "c")) == [loss] * 2
    assert len(trainer.fingerprint()) == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py:train", "none.py does not exist"),
        ("good.py", "FILE.py:name"),
        ("good.py:", "FILE.py:name"),
        ("good.py:absent", "defines no 'absent'"),
        ("good.py:number", "must be an object with a train method"),
        ("good.py:useless", "gave int, which has no train method"),
        ("bad_syntax.py:train", "SyntaxError"),
        ("bad_import.py:train", "ModuleNotFoundError: No module named 'nowhere'"),
        ("bad_exit.py:train", "SystemExit"),
        ("no.such.module:train", "No module named"),
    ],
)
def test_messages(file: Path, monkeypatch, name: str, message: str) -> None:
    monkeypatch.chdir(file.parent)
    Path("bad_syntax.py").write_text("def (:\n")
    Path("bad_import.py").write_text("import nowhere\n")
    Path("bad_exit.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(TrainerError, match=message) as caught:
        load_trainer(name)
    assert "\n" not in str(caught.value)


def test_a_missing_library_that_an_extra_installs_is_named(file: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (file.parent / "with_torch.py").write_text("import torch\n")
    with pytest.raises(TrainerError, match=r"pip install .*\[torch\]"):
        load_trainer(f"{file.parent / 'with_torch.py'}:train")


def test_objects_and_functions() -> None:
    assert isinstance(as_trainer(lambda *_: [1.0]), FunctionTrainer)
    with pytest.raises(TrainerError, match="got int"):
        as_trainer(3)


def test_relative_names_become_absolute(file: Path, monkeypatch) -> None:
    monkeypatch.chdir(file.parent)
    assert as_trainer("good.py:thing") == NamedTrainer(f"{file.resolve()}:thing")


@pytest.mark.parametrize("function", [lambda config: 0.0, lambda: 0.0, lambda *, config: [0.0]])
def test_a_function_of_other_arguments_is_refused_before_trials_fail(function) -> None:
    with pytest.raises(TrainerError, match=r"must take \(config, start, stop, checkpoint\)"):
        as_trainer(function)


def test_a_script_in_place_of_a_trainer_is_sent_to_the_right_option() -> None:
    with pytest.raises(TrainerError, match=r"got 'train.py'; a script .* --script"):
        as_trainer("train.py")
