"""Every example in a docstring of either package runs and prints what it says."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import hpo
import qsvr

PACKAGES = ("qsvr", "hpo")
MODULES = [
    name
    for package in (qsvr, hpo)
    for name in (
        package.__name__,
        *(each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")),
    )
    if not name.endswith("__main__")
]
# Modules whose docstring must hold an example: the parts that a user meets.
CENTRAL = {
    "qsvr",
    "qsvr.estimators.svr",
    "qsvr.problem.kernels",
    "qsvr.problem.encoding",
    "qsvr.problem.dual",
    "qsvr.problem.qubo",
    "qsvr.model.intercept",
    "qsvr.samplers.structured.annealer",
    "qsvr.samplers.factory",
    "hpo.trial",
    "hpo.brackets",
    "hpo.space.search_space",
    "hpo.simulation.simulator",
    "hpo.simulation.synthetic",
    "hpo.run.journal",
    "hpo.run.tuner",
    "hpo.trainers.base",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in PACKAGES:
            raise
        pytest.skip(f"{name} needs {error.name}, which is not installed")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0 or name not in CENTRAL


def test_the_central_modules_exist():
    assert set(MODULES) >= CENTRAL
