"""Importing the package is quick, and loads nothing that a user may not need."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import qsvr

SOURCE = str(Path(qsvr.__file__).parents[1])


def _run(code):
    """Run code in a fresh interpreter and return what it prints."""
    path = os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_takes_under_a_second_and_a_half():
    """Of processor time: how long it waits for one says nothing about the package."""
    times = []
    for _ in range(3):
        before = sum(os.times()[2:4])  # user and system, of children
        _run("import qsvr")
        times.append(sum(os.times()[2:4]) - before)
    assert min(times) < 1.5


def test_import_loads_no_heavy_module_and_no_room_a_compiler_or_a_service():
    rooms = ["estimators", "inspection", "model", "solve", "samplers", "problem"]
    imports = "; ".join(f"import qsvr.{room}" for room in rooms)
    show = "print(*sys.modules)"
    package, every_room = _run(f"import qsvr, sys; {show}; {imports}; {show}").splitlines()
    loaded = set(package.split())
    assert "qsvr" in loaded
    heavy = {"dwave.system", "dwave.cloud", "torch", "numba", "sklearn", "dimod", "matplotlib"}
    assert not loaded & heavy
    loaded = set(every_room.split())
    assert {f"qsvr.{room}" for room in rooms} <= loaded
    assert not loaded & {"dwave.system", "dwave.cloud", "torch", "numba", "matplotlib"}


LOCAL_FITS = {
    "one QUBO": "QSVR(num_reads=2)",
    "a dimod sampler": "QSVR(sampler='sa', num_reads=2)",
    "refinement": "QSVR(num_reads=2, n_refinements=2)",
    "decomposition": "QSVR(num_reads=2, max_variables=18)",
    "ensemble": "QSVREnsemble(QSVR(num_reads=2), n_estimators=2, max_samples=4)",
}


@pytest.mark.slow
def test_fit_connects_to_nothing():
    """One process for all: what a fit loads stays loaded."""
    fits = "".join(
        f"{model}.fit(X, X[:, 0]).predict(X); print(*sys.modules)\n"
        for model in LOCAL_FITS.values()
    )
    printed = _run(
        "import sys, numpy as np; from qsvr import QSVR, QSVREnsemble\n"
        f"X = np.arange(8.0)[:, None]\n{fits}"
    )
    for name, line in zip(LOCAL_FITS, printed.splitlines(), strict=True):
        loaded = set(line.split())
        assert "qsvr.estimators.svr" in loaded, name
        assert not loaded & {"dwave.system", "dwave.cloud", "torch", "matplotlib", "hpo"}, name
        assert not [each for each in loaded if each.startswith("qsvr.samplers.dwave")], name


def test_every_public_name_resolves():
    assert len(set(qsvr.__all__)) == len(qsvr.__all__)
    for name in qsvr.__all__:
        assert getattr(qsvr, name) is not None
        assert name in dir(qsvr)
    with pytest.raises(AttributeError, match="module 'qsvr' has no attribute 'Nonsense'"):
        qsvr.Nonsense  # noqa: B018


@pytest.mark.parametrize("name", qsvr.__all__)
def test_a_public_name_is_that_of_its_module(name):
    value = getattr(qsvr, name)
    if hasattr(value, "__module__"):
        assert getattr(import_module(value.__module__), name) is value
        assert name in import_module(value.__module__).__all__


@pytest.mark.slow
def test_star_import_gives_the_public_names():
    printed = _run("from qsvr import *; print(*sorted(n for n in dir() if n[0] != '_'))")
    assert set(printed.split()) == set(qsvr.__all__)
