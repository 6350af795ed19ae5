"""The models, small data for them, and one thread."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads wait for each other longer than such small networks take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["cnn", "lstm", "mlp", "mlpf"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(name: str) -> ModuleType:
    return importlib.import_module(f"hpo.examples.{name}")


@pytest.fixture
def small_data(name: str, tmp_path: Path) -> str:
    """Name data on which an epoch takes a fraction of a second."""
    if name == "lstm":
        from babi_files import write_babi
        from hpo.examples.babi import positional_reasoning

        for seed, part in enumerate(("train", "test")):
            write_babi(tmp_path / f"qa_{part}.txt", positional_reasoning(20, seed))
        return f"babi:{tmp_path / 'qa'}"
    return {"cnn": "digits", "mlp": "wine", "mlpf": "simulated:24"}[name]


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of a program that is to import this source."""
    source = str(Path(__file__).parents[3])
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]),
        "COLUMNS": "200",
    }
