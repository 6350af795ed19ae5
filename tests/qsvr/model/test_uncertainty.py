"""Standard deviations: their scale, their shape, and the left-out estimate behind them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from qsvr import QSVR
from qsvr.model.uncertainty import left_out_residuals
from qsvr.problem.data import TrainingData
from qsvr.problem.kernels import Kernel

SETTING = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}


def data(n=40, seed=0):
    X, y = make_friedman1(n, noise=1.0, random_state=seed)
    return minmax_scale(X), minmax_scale(y)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"n_refinements": 6}, {"max_variables": 120}, {"combination_fraction": 0.25}],
)
def test_coverage_is_near_nominal_on_new_data(parameters):
    X, y = data(400)
    model = QSVR(**SETTING, **parameters, random_state=0).fit(X[:60], y[:60])
    mean, std = model.predict(X[60:], return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X[60:]))
    assert (std > 0).all()
    covered = np.mean(np.abs(y[60:] - mean) <= 1.645 * std)
    assert 0.8 <= covered <= 0.98


def test_the_scale_follows_the_units():
    X, y = data()
    _, one = QSVR(**SETTING, n_refinements=0, random_state=0).fit(X, y).predict(X, return_std=True)
    model = QSVR(C=1e3, epsilon=50.0, gamma=0.3, n_refinements=0, random_state=0).fit(X, 1e3 * y)
    std = model.predict(X, return_std=True)[1] / 1e3
    assert std.mean() == pytest.approx(one.mean(), rel=0.05)
    np.testing.assert_allclose(std, one, rtol=0.25)  # rounding changes which solutions are found


def test_left_out_residuals_agree_with_leaving_out():
    X, y = data()
    model = QSVR(**SETTING, n_refinements=15, random_state=0).fit(X, y)
    errors = [
        y[n] - SVR(**SETTING).fit(np.delete(X, n, 0), np.delete(y, n)).predict(X[n : n + 1])[0]
        for n in range(len(y))
    ]
    training = np.sqrt(np.mean((y - model.predict(X)) ** 2))
    actual = np.sqrt(np.mean(np.square(errors)))
    assert training < actual
    assert model._spread.tau == pytest.approx(actual, rel=0.15)


def test_left_out_residuals_are_those_of_the_spans():
    """Each support vector moves by b S^2; S is its distance from the others' affine hull."""
    X, y = data()
    K = rbf_kernel(X, gamma=0.3)
    rows, C = np.arange(len(y)), np.linspace(0.5, 2.0, len(y))
    share = np.random.default_rng(0).choice([-1.0, -0.6, 0.0, 0.3, 1.0], len(y))
    b, residuals = share * C, np.linspace(-1.0, 1.0, len(y))
    training = TrainingData(Kernel("rbf", 0.3, 3, 0.0), X, y, 0.0, rows, rows, 100.0)
    found = left_out_residuals(residuals, b, C, training)

    free = np.flatnonzero((share != 0.0) & (np.abs(share) < 1.0))
    expected = residuals.copy()
    for n in np.flatnonzero(share):
        others = free[free != n]
        edge = np.ones((1, len(others)))
        system = np.block([[K[np.ix_(others, others)], edge.T], [edge, np.zeros((1, 1))]])
        weights = np.linalg.solve(system, np.append(K[others, n], 1.0))[:-1]
        away = np.append(weights, -1.0)
        places = np.append(others, n)
        expected[n] += b[n] * (away @ K[np.ix_(places, places)] @ away)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_left_out_residuals_where_every_support_vector_is_at_its_bound():
    """Nothing is left to span: S is the distance from the origin."""
    X, y = data(8)
    rows, C = np.arange(8), np.ones(8)
    b = np.array([1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0])
    X *= np.linspace(0.1, 2.0, 8)[:, None]
    training = TrainingData(Kernel("linear", 0.3, 3, 0.0), X, y, 0.0, rows, rows, 100.0)
    found = left_out_residuals(np.zeros(8), b, C, training)
    np.testing.assert_allclose(found, b * (X**2).sum(axis=1))


def test_solutions_that_agree_give_the_residuals_scale():
    X, y = data()
    model = QSVR(**SETTING, n_solutions=1, random_state=0).fit(X, y)
    _, std = model.predict(X, return_std=True)
    np.testing.assert_array_equal(std, model._spread.tau)


def test_without_support_vectors():
    X, _ = data(10)
    mean, std = QSVR(random_state=0).fit(X, np.full(10, 2.0)).predict(X, return_std=True)
    np.testing.assert_array_equal(mean, 2.0)
    np.testing.assert_array_equal(std, 0.0)


def test_a_precomputed_kernel_gives_the_same():
    X, y = data()
    K = rbf_kernel(X, gamma=0.3)
    a = QSVR(kernel="precomputed", C=1.0, epsilon=0.05, n_refinements=0, random_state=0).fit(K, y)
    b = QSVR(**SETTING, n_refinements=0, random_state=0).fit(X, y)
    np.testing.assert_allclose(
        a.predict(K[:5], return_std=True)[1], b.predict(X[:5], return_std=True)[1], rtol=1e-6
    )


def test_prediction_holds_a_part_of_the_kernel_at_a_time():
    """40,000 rows times 200 support vectors are 64 MB, twice for the standard deviations."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    model = QSVR(C=10, epsilon=0.01, random_state=0).fit(X, np.sin(2 * X[:, 0]) + X[:, 1])
    many = rng.normal(size=(40_000, 3))
    tracemalloc.start()
    prediction, std = model.predict(many, return_std=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
    few = np.concatenate([many[:50], many[-50:]])
    expected, expected_std = model.predict(few, return_std=True)
    at = np.r_[0:50, -50:0]
    np.testing.assert_allclose(prediction[at], expected, rtol=1e-12)
    np.testing.assert_allclose(std[at], expected_std, rtol=1e-12)
