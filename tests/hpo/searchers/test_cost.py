"""What proposing costs: no kind of hyperparameter takes much longer than a real number.

Function calls are counted, which is the same on every machine.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from calls import calls_during
from hpo.searchers import SpaceCandidates, make_searcher
from hpo.space import SearchSpace

UNIT = {"type": "float", "low": 1.0, "high": 2.0}
OTHERS = {
    "scipy": {"type": "scipy", "name": "loguniform", "args": [1.0, 2.0], "kwds": {}},
    "discrete": {"type": "scipy", "name": "poisson", "args": [20.0], "kwds": {}},
    "int": {"type": "int", "low": 1, "high": 1000, "log": True},
    "step": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.01},
    "choice": {"type": "categorical", "choices": list("abcd")},
    "condition": {**UNIT, "when": {"k": "a"}},
}


def calls_of(work):
    """Count calls of functions, those of C included."""
    _, python, n_c = calls_during(work)
    return sum(python.values()) + n_c


def space_with(other):
    return SearchSpace.from_dict({"x": UNIT, "y": UNIT, "other": other, "k": ["a", "b"]})


def forecast_of(space):
    """Return the search for candidates that each forecast makes."""
    candidates = SpaceCandidates(space)
    tried = [candidates.first(trial) for trial in range(30)]

    def work():
        candidates.features(candidates.some(tried, 1000, np.random.default_rng(0)))

    work()  # imports and caches
    return work


@pytest.mark.parametrize("kind", OTHERS)
def test_no_space_costs_more_than_twice_a_real_number(kind):
    plain = calls_of(forecast_of(space_with(UNIT)))
    assert calls_of(forecast_of(space_with(OTHERS[kind]))) <= 2 * plain


def test_a_distribution_is_built_once(monkeypatch):
    space = space_with(OTHERS["scipy"])
    searcher = make_searcher("random", space)
    built = 0
    original = stats.loguniform.freeze

    def counted(*args, **kwds):
        nonlocal built
        built += 1
        return original(*args, **kwds)

    monkeypatch.setattr(stats.loguniform, "freeze", counted)
    again = SearchSpace.from_dict(space.to_dict())
    for trial in range(50):
        config = searcher.propose(trial)
        again.validate(config)
        again.to_features(config)
    assert built <= 1


def test_whole_numbers_of_a_distribution_are_whole():
    space = SearchSpace.from_dict({"n": stats.randint(1, 9)})
    for config in [
        space.sample(np.random.default_rng(0)),
        *space.samples(np.random.default_rng(0), 5),
    ]:
        assert type(config["n"]) is int
        space.validate(config)
