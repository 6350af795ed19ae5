"""Libraries that a trainer imports, found in its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.trainers import FunctionTrainer, NamedTrainer
from hpo.trainers.imports import imported_libraries

SOURCE = """
from __future__ import annotations
import json, numpy.linalg
from typing import TYPE_CHECKING
from sklearn.svm import SVR
from . import nothing
from helper import thing
import no_such_library
raise SystemExit("this file must not be executed")
if TYPE_CHECKING:
    import matplotlib
else:
    try:
        import click
    except ImportError:
        pass

def train(*_):
    import rich
"""


def test_imports_at_the_top_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text("from threadpoolctl import threadpool_limits\n")
    found = imported_libraries(NamedTrainer(f"{tmp_path / 'work.py'}:train"))
    assert [name for name in found if "pytest" not in name] == [
        "numpy.linalg",
        "sklearn.svm",
        "click",
        "threadpoolctl",
    ]


def test_imports_of_an_example_by_module() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    found = imported_libraries(NamedTrainer("hpo.examples.mlp:trainer"))
    assert found.index("torch") < found.index("sklearn.datasets")


def test_imports_of_an_object() -> None:
    found = imported_libraries(FunctionTrainer(test_imports_of_an_object))
    assert "pytest" in found


@pytest.mark.parametrize("name", ["gone.py:train", "no.such.module:train", "sys:exit"])
def test_no_source(name: str) -> None:
    assert [each for each in imported_libraries(NamedTrainer(name)) if "pytest" not in each] == []
