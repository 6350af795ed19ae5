"""Weights of the solutions against values worked out by hand."""

from __future__ import annotations

from math import cosh, exp, log

import numpy as np
import pytest

from qsvr.model.combination import COMBINATIONS, combination_weights

# Targets of variance 1; squared errors 0.25, 1 and 4 relative to it.
Y = np.array([1.0, -1.0])
PREDICTIONS = np.array([[1.5, -0.5], [2.0, -2.0], [3.0, -3.0]])
ENERGIES = np.array([-2.0, -3.0, -1.0])


def _normalised(values):
    return np.asarray(values) / np.sum(values)


def _log_cosh(error):
    return log(cosh(error))


EXPECTED = {
    "best": [0.0, 1.0, 0.0],
    "mean": [1 / 3, 1 / 3, 1 / 3],
    # excesses 1, 0, 2; their mean is the temperature 1
    "boltzmann": _normalised([exp(-1.0), 1.0, exp(-2.0)]),
    "mse": _normalised([4.0, 1.0, 0.25]),
    "mse-softmax": _normalised([exp(-0.25), exp(-1.0), exp(-4.0)]),
    "r2": [1.0, 0.0, 0.0],
    "r2-softmax": _normalised([exp(0.75), exp(0.0), exp(-3.0)]),
    "log-cosh": _normalised([1 / _log_cosh(0.5), 1 / _log_cosh(1.0), 1 / _log_cosh(2.0)]),
    "log-cosh-softmax": _normalised([1 / cosh(0.5), 1 / cosh(1.0), 1 / cosh(2.0)]),
}


def test_every_combination_has_a_hand_computed_value():
    assert set(EXPECTED) == set(COMBINATIONS)


@pytest.mark.parametrize("method", COMBINATIONS)
def test_weights_by_hand(method):
    weights = combination_weights(method, ENERGIES, PREDICTIONS, Y)
    np.testing.assert_allclose(weights, EXPECTED[method], rtol=1e-12)


@pytest.mark.parametrize("method", COMBINATIONS)
def test_weights_lie_on_the_simplex_and_do_not_depend_on_units(method):
    rng = np.random.default_rng(0)
    energies, predictions, y = rng.normal(size=6), rng.normal(size=(6, 9)), rng.normal(size=9)
    weights = combination_weights(method, energies, predictions, y)
    assert weights.shape == (6,)
    assert (weights >= 0.0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    scaled = combination_weights(method, 1e6 * energies, 1e3 * predictions, 1e3 * y)
    np.testing.assert_allclose(scaled, weights, rtol=1e-9)


@pytest.mark.parametrize("method", COMBINATIONS)
def test_one_solution_takes_all(method):
    weights = combination_weights(method, ENERGIES[:1], PREDICTIONS[:1], Y)
    assert weights.tolist() == [1.0]


@pytest.mark.parametrize("method", COMBINATIONS)
def test_degenerate_scores_give_finite_weights(method):
    """Constant targets, equal energies, and a solution without error."""
    constant = combination_weights(method, np.zeros(2), np.array([[1.0, 1.0], [2.0, 2.0]]), Y * 0)
    perfect = combination_weights(method, np.zeros(2), np.array([[1.0, -1.0], [2.0, -2.0]]), Y)
    for weights in (constant, perfect):
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    if method in {"mse", "log-cosh", "r2"}:
        assert perfect[0] > perfect[1]
    # Where the targets are constant, errors are taken as they are.
    by_hand = {"mse": [1.0, 0.25], "log-cosh": [1 / _log_cosh(1.0), 1 / _log_cosh(2.0)]}
    if method in by_hand:
        np.testing.assert_allclose(constant, _normalised(by_hand[method]))


def test_r2_without_any_positive_score_falls_back_to_the_mean():
    weights = combination_weights("r2", ENERGIES, PREDICTIONS * 10, Y)
    np.testing.assert_allclose(weights, 1 / 3)


def test_log_cosh_does_not_overflow():
    weights = combination_weights("log-cosh", np.zeros(2), np.array([[1e3, 0.0], [2e3, 0.0]]), Y)
    # log cosh(x) is |x| - log 2 for large x, and the other term is log cosh(1) for both
    errors = [(x - 1 - log(2) + _log_cosh(1.0)) / 2 for x in (1e3, 2e3)]
    np.testing.assert_allclose(weights, _normalised([1 / e for e in errors]), rtol=1e-12)
