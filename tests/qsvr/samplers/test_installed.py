"""Samplers by the name under which an installed package offers them.

The package is `coin_toss` in tests/support, with entry points as pip writes them.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback

import numpy as np
import pytest
from sklearn.base import clone

from coin_toss import CoinToss
from qsvr import (
    QSVR,
    SAMPLER_NAMES,
    QSVREnsemble,
    SamplerError,
    get_sampler,
    sampler_names,
)

X = np.linspace(0.0, 1.0, 5)[:, None]
Y = np.sin(5 * X[:, 0])


def test_an_installed_packages_sampler_is_there_by_name():
    assert type(get_sampler("coin-toss")) is CoinToss
    model = QSVR(sampler="coin-toss", sampler_options={"bias": 0.3}, random_state=0).fit(X, Y)
    assert model.sampler_info_["sampler"] == "coin-toss"
    again = pickle.loads(pickle.dumps(clone(model))).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_an_ensemble_takes_it_too():
    members = QSVR(sampler="coin-toss-dimod", random_state=0)
    assert len(QSVREnsemble(members, n_estimators=2, random_state=0).fit(X, Y).estimators_) == 2


def test_names_are_listed_and_our_own_come_first():
    names = sampler_names()
    assert names[: len(SAMPLER_NAMES)] == SAMPLER_NAMES
    assert {"coin-toss", "coin-toss-dimod"} <= set(names)
    assert len(names) == len(set(names))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ValueError, match="not known") as raised:
        get_sampler("no-such-sampler")
    for name in sampler_names():
        assert repr(name) in str(raised.value)
    assert "qsvr.samplers" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("coin-toss-broken", RuntimeError, "the coin is lost"),
        ("coin-toss-missing", ValueError, "coin_toss_that_is_not_there"),
    ],
)
def test_what_fails_to_open_says_why(name, error, message):
    with pytest.raises(error, match=message):
        get_sampler(name)


def test_a_token_in_an_error_of_the_package_is_taken_out(monkeypatch):
    secret = "DEV-0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("DWAVE_API_TOKEN", secret)
    with pytest.raises(SamplerError, match="refused") as raised:
        get_sampler("coin-toss-token")
    assert secret not in "".join(traceback.format_exception(raised.value))


def test_clashing_names_are_refused_and_ours_cannot_be_taken(tmp_path):
    """In a process of its own, where two more packages are installed."""
    for package in ("heads", "tails"):
        (tmp_path / f"{package}.py").write_text("from coin_toss import CoinToss\n")
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = f"[qsvr.samplers]\nflip = {package}:CoinToss\nsa = {package}:CoinToss\n"
        (folder / "entry_points.txt").write_text(entries)
    program = (
        "import sys, warnings; sys.path[:0] = sys.argv[1:]\n"
        "from qsvr import get_sampler\n"
        "try:\n    get_sampler('flip')\n"
        "except ValueError as error:\n    print(error)\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    print(type(get_sampler('sa')).__name__, told[0].category.__name__, told[0].message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *sys.path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert "more than one installed package" in first
    assert "heads:CoinToss" in first
    assert "tails:CoinToss" in first
    assert second.startswith("DimodSampler SamplerWarning")
    assert "not used" in second


def test_a_missing_optional_package_is_named():
    program = (
        "import sys; sys.modules['openjij'] = sys.modules['simulated_bifurcation'] = None\n"
        "sys.path[:0] = sys.argv[1:]\n"
        "from qsvr import get_sampler\n"
        "for name in ('openjij-sa', 'openjij-sqa', 'simulated-bifurcation'):\n"
        "    try:\n        get_sampler(name)\n"
        "    except ImportError as error:\n        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *sys.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.count('pip install ".[openjij]"') == 2
    assert done.stdout.count('pip install ".[bifurcation]"') == 1
