"""The chance to improve ranks as the normal distribution says, and margins span two decades."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from hpo.surrogates import improvement_zscore, margins


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
