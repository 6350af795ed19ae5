"""Every example in a docstring of qsvr runs and prints what it says."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import qsvr

MODULES = [
    "qsvr",
    *(module.name for module in pkgutil.walk_packages(qsvr.__path__, prefix="qsvr.")),
]
# Modules whose docstring must hold an example: the parts that a user meets.
CENTRAL = {
    "qsvr",
    "qsvr.estimator",
    "qsvr.kernels",
    "qsvr.encoding",
    "qsvr.dual",
    "qsvr.qubo",
    "qsvr.intercept",
    "qsvr.samplers.structured",
    "qsvr.samplers.factory",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name not in CENTRAL


def test_the_central_modules_exist():
    assert set(MODULES) >= CENTRAL
