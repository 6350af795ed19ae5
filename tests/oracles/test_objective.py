"""The training objective against libsvm, and averages against all other prefixes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.datasets import make_friedman1
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import scale
from sklearn.svm import SVR

from qsvr.problem import (
    SVRDual,
    loss_gap,
    lowest_average,
    primal_intercept,
    training_objective,
)

EPSILON, GAMMA = 0.1, 0.2


def problem(C, n=40, seed=0):
    X, y = make_friedman1(n, noise=1.0, random_state=seed)
    X, y = scale(X), scale(y)
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    svr = SVR(C=C, epsilon=EPSILON, gamma=GAMMA, tol=1e-8).fit(X, y, weights)
    b = np.zeros(n)
    b[svr.support_] = svr.dual_coef_[0]
    return rbf_kernel(X, gamma=GAMMA), y, C * weights, b


def by_definition(K, y, C, b):
    def loss(offset):
        return float(C @ np.maximum(np.abs(y - b @ K - offset) - EPSILON, 0.0))

    offset = primal_intercept((y - b @ K)[None], EPSILON, C)[0]
    best = minimize_scalar(loss, bounds=(offset - 2, offset + 2), method="bounded")
    assert loss(offset) <= best.fun + 1e-9
    return 0.5 * b @ K @ b + loss(offset)


@pytest.mark.parametrize("C", [1.0, 10.0, 100.0])
def test_it_is_that_of_the_definition_and_never_below_minus_the_duals_energy(C):
    K, y, C, optimum = problem(C)
    rng = np.random.default_rng(0)
    b = np.stack([optimum, np.zeros_like(y), *rng.uniform(-C, C, (3, y.size))])
    found = training_objective(b, b @ K, y, epsilon=EPSILON, C=C)
    expected = [by_definition(K, y, C, each) for each in b]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    energy = 0.5 * optimum @ K @ optimum - optimum @ y + EPSILON * np.abs(optimum).sum()
    assert found.min() >= -energy * (1 - 1e-6)
    assert found[0] == pytest.approx(-energy, rel=1e-5)  # both are equal at the optimum alone


def test_the_lowest_average_is_lowest_and_never_worse_than_the_best():
    K, y, C, optimum = problem(10.0)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(12, y.size)) * np.geomspace(1.0, 8, 12)[:, None]
    b = np.clip(optimum + noise, -C, C)
    weights = rng.uniform(0.8, 1.2, 12)
    weights[3] = 0.0
    chosen, objective = lowest_average(weights, b, b @ K, y, epsilon=EPSILON, C=C)
    assert chosen.sum() == pytest.approx(1.0)
    taken = np.flatnonzero(chosen)
    assert 1 < taken.size < 11
    np.testing.assert_allclose(chosen[taken] / chosen[taken[0]], weights[taken] / weights[taken[0]])
    average = chosen @ b
    assert objective == pytest.approx(by_definition(K, y, C, average))
    own = training_objective(b, b @ K, y, epsilon=EPSILON, C=C)
    order = [i for i in np.argsort(own) if weights[i] > 0]
    prefixes = [np.average(b[order[:k]], axis=0, weights=weights[order[:k]]) for k in range(1, 12)]
    assert objective == pytest.approx(min(by_definition(K, y, C, each) for each in prefixes))
    assert objective <= own[order].min()


def test_one_solution_takes_all():
    K, y, C, optimum = problem(1.0)
    weights = np.array([0.0, 2.0])
    b = np.stack([np.zeros_like(y), optimum])
    chosen, _ = lowest_average(weights, b, b @ K, y, epsilon=EPSILON, C=C)
    np.testing.assert_array_equal(chosen, [0.0, 1.0])


def test_the_gap_is_a_mean_loss_in_standard_deviations():
    K, y, C, optimum = problem(10.0)
    dual = SVRDual(K, y, EPSILON, C, 2.0)
    least = training_objective(optimum[None], optimum @ K[None], y, epsilon=EPSILON, C=C)[0]
    assert loss_gap(dual, least) == pytest.approx(0.0, abs=1e-3)
    expected = 0.2 - loss_gap(dual, least + 1e-9)
    assert loss_gap(dual, least + 0.2 * C.sum() * y.std()) == pytest.approx(expected, abs=2e-3)
    assert loss_gap(SVRDual(K, np.ones_like(y), EPSILON, C), 1.0) == 0.0
