"""The chance to improve ranks as the normal distribution says, and margins span two decades."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from hpo.surrogates import (
    BentScale,
    LogScale,
    expected_improvement,
    improvement_zscore,
    margins,
)


def test_ranks_as_the_probability_to_be_below_the_goal():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 1, 50), rng.uniform(0.1, 2, 50)
    margin = np.array([0.01, 0.5])
    found = improvement_zscore(mean, std, -0.3, margin)
    for row, by in zip(found, margin, strict=True):
        probability = norm.cdf(-0.3 - by, loc=mean, scale=std)
        np.testing.assert_allclose(norm.cdf(row), probability)


def test_a_small_margin_prefers_the_sure_and_a_large_one_the_unsure():
    mean, std = np.array([-0.1, 0.2]), np.array([0.05, 1.0])
    small, large = improvement_zscore(mean, std, 0.0, np.array([0.01, 1.0]))
    assert np.argmax(small) == 0
    assert np.argmax(large) == 1


def test_what_is_known_for_certain_has_no_chance_above_its_goal():
    certain = improvement_zscore(np.array([0.0]), np.array([0.0]), 0.0, np.array([0.01]))
    assert certain[0, 0] < -1e6


def test_margins_are_even_in_their_logarithm():
    drawn = np.log10(margins(4000, np.random.default_rng(1)))
    assert drawn.min() >= -2
    assert drawn.max() <= 0
    assert abs(drawn.mean() + 1) < 0.05


@pytest.mark.parametrize("scale", [LogScale(-0.5), BentScale(1.0, 0.5, 0.3, 2.0)], ids=str)
@pytest.mark.parametrize("n_points", [1, 40])
def test_the_expected_improvement_is_that_of_a_simulation(scale, n_points):
    rng = np.random.default_rng(n_points)
    mean, std = rng.normal(1.0, 0.7, n_points), rng.uniform(0.05, 0.8, n_points)
    incumbent = 0.3
    lowest = (mean + std * rng.standard_normal((200_000, n_points))).min(axis=1)
    goal = scale.to_loss(np.array([incumbent]))[0]
    gains = np.maximum(goal - scale.to_loss(lowest), 0.0)
    found = expected_improvement(mean, std, incumbent, scale)
    error = gains.std() / np.sqrt(len(gains))
    assert found == pytest.approx(gains.mean(), abs=4 * error + 1e-4 * gains.mean())


def test_only_trials_that_the_remaining_epochs_complete_may_improve():
    mean, std, costs = np.array([0.0, -0.5, 0.1]), np.full(3, 0.2), np.array([3, 10, 4])
    scale = BentScale(0.0, 1.0)

    def of(budget):
        return expected_improvement(mean, std, 0.0, scale, costs=costs, budget=budget)

    def whole(*which):
        return expected_improvement(mean[list(which)], std[list(which)], 0.0, scale)

    assert of(2) == 0.0
    assert of(3) == pytest.approx(whole(0))
    assert of(9) == pytest.approx(whole(0, 2))
    assert of(10) == pytest.approx(whole(1), rel=1e-3)
    assert of(17) == pytest.approx(whole(0, 1, 2), rel=1e-3)
    assert expected_improvement(np.empty(0), np.empty(0), 0.0, scale) == 0.0


def test_certain_losses_improve_by_their_distance_or_not_at_all():
    scale = BentScale(0.0, 2.0)
    certain = np.zeros(1)
    assert expected_improvement(np.array([-0.5]), certain, 0.0, scale) == pytest.approx(1, rel=1e-2)
    assert expected_improvement(np.array([0.5]), certain, 0.0, scale) == pytest.approx(0, abs=1e-9)


def test_without_an_incumbent_there_is_nothing_to_improve_on():
    with pytest.raises(ValueError, match="incumbent must be a finite loss"):
        expected_improvement(np.zeros(1), np.ones(1), np.inf, LogScale())
