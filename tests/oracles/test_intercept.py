"""Offsets: libsvm's own, and brute-force minimisation of the epsilon-insensitive loss."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_regression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from qsvr.model.intercept import kkt_intercept, primal_intercept


def _data(X, y, n=60):
    return StandardScaler().fit_transform(X[:n]), (y[:n] - 3.0) / y[:n].std()


DATA = {
    "diabetes": (_data(*load_diabetes(return_X_y=True)), 1.0),
    "friedman1": (_data(*make_friedman1(60, random_state=0)), 10.0),
    "friedman2": (_data(*make_friedman2(60, random_state=0)), 100.0),
    "linear": (_data(*make_regression(60, 4, noise=5.0, random_state=0)), 0.3),
    "no free vector": (_data(*load_diabetes(return_X_y=True)), 1e-4),
    "weighted": (_data(*make_friedman1(60, random_state=1)), 1.0),
}


@pytest.mark.parametrize("name", DATA)
def test_kkt_intercept_is_libsvms(name):
    """From libsvm's own dual coefficients, to 1e-6."""
    (X, y), C = DATA[name]
    epsilon, gamma = 0.1, 0.1
    weight = np.random.default_rng(0).uniform(0.2, 2.0, y.size) if name == "weighted" else None
    svr = SVR(kernel="rbf", gamma=gamma, C=C, epsilon=epsilon).fit(X, y, sample_weight=weight)
    b = np.zeros(y.size)
    b[svr.support_] = svr.dual_coef_[0]
    box = np.full(y.size, C) if weight is None else C * weight
    free = (np.abs(b) > 1e-9 * box) & (np.abs(b) < box * (1 - 1e-9))
    assert free.any() == (name != "no free vector")
    residual = y - rbf_kernel(X, gamma=gamma) @ b
    found = kkt_intercept(residual, b, box, epsilon)
    assert found == pytest.approx(float(svr.intercept_[0]), abs=1e-6)


def test_kkt_intercept_adds_epsilon_on_the_lower_side():
    """One free a at y - f = offset + epsilon, one free a-hat at offset - epsilon."""
    residual = np.array([2.0 + 0.1, 2.0 - 0.1, 7.0])
    b, C = np.array([0.5, -0.5, 1.0]), np.ones(3)
    assert kkt_intercept(residual, b, C, 0.1) == pytest.approx(2.0, abs=1e-12)
    assert kkt_intercept(residual[:1], b[:1], C[:1], 0.1) == pytest.approx(2.0, abs=1e-12)
    assert kkt_intercept(residual[1:2], b[1:2], C[1:2], 0.1) == pytest.approx(2.0, abs=1e-12)


def test_kkt_intercept_without_free_vectors_is_the_middle_of_what_is_allowed():
    # b = 0 at residual 1: offset in [0.9, 1.1]; b = C at residual 2: offset <= 1.9;
    # b = -C at residual 0: offset >= 0.1.
    residual, C = np.array([1.0, 2.0, 0.0]), np.ones(3)
    b = np.array([0.0, 1.0, -1.0])
    assert kkt_intercept(residual, b, C, 0.1) == pytest.approx(1.0, abs=1e-12)
    # Only b = C: nothing bounds it from below, so the training loss decides.
    all_up = np.ones(3)
    expected = primal_intercept(residual, 0.1, C)
    assert kkt_intercept(residual, all_up, C, 0.1) == expected


def _loss(offset, residual, epsilon, weights):
    return float(weights @ np.maximum(np.abs(residual - offset) - epsilon, 0.0))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_samples", [1, 2, 7, 40])
def test_primal_intercept_minimises_the_loss(n_samples, weighted, epsilon):
    for seed in range(10):
        rng = np.random.default_rng([seed, n_samples])
        residual = rng.normal(scale=2.0, size=n_samples) + 10.0
        weights = rng.uniform(0.1, 3.0, n_samples) if weighted else np.ones(n_samples)
        found = primal_intercept(residual, epsilon, weights)
        reached = _loss(found, residual, epsilon, weights)
        kinks = np.concatenate([residual - epsilon, residual + epsilon])
        best = min(_loss(c, residual, epsilon, weights) for c in kinks)
        assert reached <= best + 1e-10
        if n_samples > 1:
            bounds = (residual.min() - 1.0, residual.max() + 1.0)
            search = minimize_scalar(
                _loss, bounds=bounds, args=(residual, epsilon, weights), method="bounded"
            )
            assert reached <= search.fun + 1e-10


def test_primal_intercept_is_the_middle_of_an_optimal_interval():
    even = np.array([0.0, 1.0, 4.0, 9.0])
    assert primal_intercept(even, 0.0, np.ones(4)) == pytest.approx(2.5)
    assert primal_intercept(np.array([1.0, 2.0]), 3.0, np.ones(2)) == pytest.approx(1.5)
    assert primal_intercept(np.array([5.0, 1.0]), 0.0, np.array([1.0, 3.0])) == pytest.approx(1.0)
