"""Proposals from forecasts: they find good regions, in spaces of every kind, each point once."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.searchers import (
    CurveSearcher,
    LearningSearcher,
    ListCandidates,
    ListSearcher,
    RandomSearcher,
)
from hpo.space import SearchSpace
from hpo.space.encoding import ConfigEncoder
from hpo.surrogates import Mixed, Surface, Trees
from hpo.trial import Curve

SPACE = SearchSpace.from_dict(
    {
        "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        "layers": {"type": "int", "low": 1, "high": 8},
        "act": ["relu", "tanh", "gelu"],
        "name": "constant",
    }
)


def loss_of(config):
    good = {"relu": 0.0, "tanh": 0.3, "gelu": 0.6}[config["act"]]
    return (np.log10(config["lr"]) + 3) ** 2 / 4 + (config["layers"] - 5) ** 2 / 16 + good


def tried(count, seed=0):
    rng = np.random.default_rng(seed)
    configs = [SPACE.sample(rng) for _ in range(count)]
    return [Curve(i, config, (loss_of(config),)) for i, config in enumerate(configs)]


@pytest.mark.parametrize("model", [Surface(), Trees(), Mixed()], ids=lambda m: type(m).__name__)
def test_proposals_are_far_better_than_chance(model):
    curves = tried(40)
    found = CurveSearcher(SPACE, random_share=0.0, surface=model).suggest(
        curves, 20, max_resource=1, seed=1
    )
    at_random = np.median([loss_of(SPACE.sample(np.random.default_rng(s))) for s in range(300)])
    assert np.median([loss_of(config) for config in found]) < 0.4 * at_random


def test_a_searcher_that_learns_is_told_from_one_that_does_not():
    assert isinstance(CurveSearcher(SPACE), LearningSearcher)
    assert not isinstance(RandomSearcher(SPACE), LearningSearcher)
    assert not isinstance(ListSearcher([{}]), LearningSearcher)


def test_the_same_question_has_the_same_answer():
    curves = tried(20)
    first, second = (
        CurveSearcher(SPACE).suggest(curves, 8, max_resource=9, seed=4) for _ in range(2)
    )
    assert first == second
    assert first != CurveSearcher(SPACE).suggest(curves, 8, max_resource=9, seed=5)


def test_configurations_are_plain_values_of_the_space():
    for config in CurveSearcher(SPACE).suggest(tried(20), 30, max_resource=9, seed=0):
        assert set(config) == set(SPACE.domains)
        assert type(config["layers"]) is int
        assert type(config["lr"]) is float
        SPACE.to_features(config)  # complains where a value is not in its domain


def test_rows_of_a_list_are_proposed_once_as_often_as_they_stand_there():
    configs = [{"x": i // 2} for i in range(30)]  # each value twice
    searcher = CurveSearcher(ListCandidates(configs))
    curves = [Curve(i, {"x": i}, (float(i),)) for i in range(5)]
    found = searcher.suggest(curves, 100, max_resource=9, seed=0)
    values = sorted(config["x"] for config in found)
    assert values == sorted([i // 2 for i in range(30) if i not in (0, 2, 4, 6, 8)])


def test_nothing_is_left_of_a_list_that_was_tried():
    curves = [Curve(i, {"x": i}, (1.0,)) for i in range(4)]
    searcher = CurveSearcher([{"x": i} for i in range(4)])
    assert searcher.suggest(curves, 3, max_resource=9, seed=0) == []
    assert sorted(searcher.propose(i)["x"] for i in range(4)) == [0, 1, 2, 3]
    assert searcher.propose(4) is None


def test_half_known_trials_count_less():
    x = np.linspace(0, 1, 30)[:, None]
    mean = np.where(x[:, 0] > 0.5, 0.0, 1.0)  # the right half looks better,
    std = np.where(x[:, 0] > 0.5, 3.0, 0.0)  # but nothing is sure about it
    rng = np.random.default_rng(0)
    unsure = Surface().fit(x, mean, std, rng).sample(x, 400, rng).std(axis=0)
    assert unsure[25] > 3 * unsure[5]


def test_more_trials_than_the_surface_takes_are_sampled():
    rng = np.random.default_rng(0)
    x = rng.random((600, 2))
    mean = np.sum((x - 0.3) ** 2, axis=1)
    draws = Surface(max_points=60).fit(x, mean, np.zeros(600), rng).sample(x, 5, rng)
    assert np.median(mean[np.argmin(draws, axis=1)]) < 0.05


def test_the_encoder_tells_kinds_of_values_apart():
    configs = [
        {"lr": 1e-4, "n": 2, "opt": "sgd", "momentum": 0.9, "flag": True},
        {"lr": 1e-1, "n": 4, "opt": "adam", "flag": False},
        {"lr": 1e-2, "n": 3, "opt": "sgd", "momentum": 0.5, "flag": True},
    ]
    features = ConfigEncoder.of(configs)(configs)
    expected = [
        [0, 0, 1, 0, 1, 1, 1, 0],
        [1, 1, 0, 1, 0, 0, 0, 1],
        [2 / 3, 0.5, 1, 0, 1, 0, 1, 0],
    ]
    np.testing.assert_allclose(features, expected)


def test_what_is_the_same_everywhere_has_no_feature():
    configs = [{"a": 1, "b": "x"}] * 3
    assert ConfigEncoder.of(configs)(configs).shape == (3, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"random_share": 1.5}, r"random_share must be a number in \[0, 1\], got 1.5"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        CurveSearcher(SPACE, **settings)
