"""Configurations that are tried first: completed, checked, each once."""

from __future__ import annotations

import numpy as np
import pytest

from hpo import RandomSearcher, SearchSpace, make_searcher
from hpo.searchers import ListSearcher, with_initial

SPACE = SearchSpace.from_dict(
    {
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"opt": "sgd"}},
        "opt": ["adam", "sgd", "lion"],
        "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
        "units": [[32], [64, 32]],
        "layers": {"type": "int", "low": 1, "high": 4},
        "fixed": 7,
    }
)


def first_of(config, searcher=None):
    return with_initial(searcher or RandomSearcher(SPACE, seed=1), [config]).propose(0)


def test_the_searcher_completes_what_is_missing():
    own = RandomSearcher(SPACE, seed=1).propose(0)
    config = first_of({"lr": 0.01})
    assert config == {**own, "lr": 0.01}
    grid = make_searcher("grid", SPACE, points=2)
    assert first_of({"lr": 0.01}, grid) == {**grid.propose(0), "lr": 0.01}


@pytest.mark.parametrize("seed", range(10))
def test_a_parent_gets_a_value_with_which_the_given_child_is_there(seed):
    config = first_of({"momentum": 0.5}, RandomSearcher(SPACE, seed=seed))
    SPACE.validate(config)
    assert (config["opt"], config["momentum"]) == ("sgd", 0.5)
    SPACE.validate(first_of({"opt": "sgd"}, RandomSearcher(SPACE, seed=seed)))
    assert "momentum" not in first_of({"opt": "adam"}, RandomSearcher(SPACE, seed=seed))


def test_values_get_the_types_of_the_space():
    config = first_of({"layers": np.float64(3.0), "lr": np.float32(0.0625), "units": [64, 32]})
    assert (config["layers"], config["lr"], config["units"]) == (3, 0.0625, (64, 32))
    assert list(map(type, (config["layers"], config["lr"]))) == [int, float]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rate": 0.1}, r"initial\[1\] names 'rate', which .* not; it has momentum, opt, lr"),
        ({"lr": 3.0}, r"initial\[1\]: 'lr' must lie in its domain .* got 3.0; change the value"),
        ({"opt": "adam", "momentum": 0.1}, r"gives 'momentum'.*other values of 'opt'; got opt="),
        (0.1, r"initial\[1\] must be a mapping .* got float; give a dict"),
    ],
)
def test_what_does_not_fit_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        with_initial(RandomSearcher(SPACE, seed=0), [{}, config])


def test_equal_ones_are_tried_once_unless_duplicates_are_allowed():
    space = SearchSpace.from_dict({"a": [1, 2], "b": [1, 2]})
    given = [{"a": 1, "b": 1}, {"a": 1.0, "b": 1}, {"a": 1}, {"a": 1}]
    searcher = with_initial(RandomSearcher(space, seed=0), given)
    assert [searcher.propose(0), searcher.propose(1)] == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]
    assert {searcher.propose(trial)["a"] for trial in (2, 3)} == {2}
    assert searcher.propose(4) is None
    repeating = with_initial(RandomSearcher(space, seed=0, allow_duplicates=True), given[:2])
    assert repeating.propose(0) == repeating.propose(1) == {"a": 1, "b": 1}


def test_without_a_space_configurations_are_taken_as_they_are():
    searcher = with_initial(ListSearcher([{"x": 1}, {"x": 2}]), [{"y": np.int64(5)}])
    assert [searcher.propose(trial) for trial in range(4)] == [{"y": 5}, {"x": 1}, {"x": 2}, None]
