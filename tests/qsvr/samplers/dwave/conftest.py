"""A service to test against: the one on loopback, or, with the marker ``leap``, the real one."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

import fake_sapi
from fake_solvers import hybrid_solvers, qpu_solver


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def _close():
    from qsvr.samplers.factory import _close_all

    _close_all()


@pytest.fixture
def api(monkeypatch, cache_dir):
    """The server's state, with the environment pointing at it and every client closed after.

    A fault that the test asked for and that never happened fails it.
    """
    state = fake_sapi.FakeSolverAPI([qpu_solver(), *hybrid_solvers()])
    for name in [name for name in os.environ if name.startswith("DWAVE_")]:
        monkeypatch.delenv(name)
    with fake_sapi.serve(state) as url:
        monkeypatch.setenv("DWAVE_API_ENDPOINT", url)
        monkeypatch.setenv("DWAVE_API_TOKEN", fake_sapi.TOKEN)
        monkeypatch.setenv("QSVR_CACHE_DIR", str(cache_dir))
        yield state
        _close()
    state.check_faults()


@pytest.fixture(params=["loopback", pytest.param("leap", marks=pytest.mark.leap)])
def service(request):
    """The same tests on loopback and, opted in, on the real service."""
    if request.param == "loopback":
        yield request.getfixturevalue("api")
        return
    if os.environ.get("QSVR_TEST_LEAP") != "1" or not os.environ.get("DWAVE_API_TOKEN"):
        pytest.skip("set DWAVE_API_TOKEN and QSVR_TEST_LEAP=1 to spend time on the real service")
    yield None
    _close()


@pytest.fixture(scope="session")
def data():
    X, y = make_friedman1(18, random_state=0)
    return X, y


@pytest.fixture
def options():
    """Options that make retries quick."""
    return {"retry_delay": 0.001, "timeout": 30}


def is_better_than_the_mean(model, X, y):
    return np.mean((model.predict(X) - y) ** 2) < np.var(y)
