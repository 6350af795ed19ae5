"""The dual's gradient, optimality gap and relaxation against finite differences and libsvm."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, make_friedman1, make_regression
from sklearn.metrics.pairwise import linear_kernel, polynomial_kernel, rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from qsvr import SVRDual


def _scaled(X, y):
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std()


def _problems():
    diabetes = _scaled(*(part[:60] for part in load_diabetes(return_X_y=True)))
    friedman = _scaled(*make_friedman1(50, noise=1.0, random_state=0))
    linear = _scaled(*make_regression(40, 4, noise=5.0, random_state=0))
    return {
        "diabetes, rbf": (rbf_kernel(diabetes[0], gamma=0.1), diabetes[1], 1.0),
        "friedman1, narrow rbf": (rbf_kernel(friedman[0], gamma=0.5), friedman[1], 10.0),
        "linear": (linear_kernel(linear[0]), linear[1], 0.1),
        "poly": (polynomial_kernel(linear[0], degree=2, coef0=1.0), linear[1], 0.2),
    }


PROBLEMS = _problems()
EPSILON = 0.1


@pytest.fixture(params=PROBLEMS.values(), ids=PROBLEMS)
def libsvm(request):
    """Return (K, y, C, libsvm's b, its offset), solved to high accuracy."""
    K, y, C = request.param
    svr = SVR(kernel="precomputed", C=C, epsilon=EPSILON, tol=1e-9).fit(K, y)
    b = np.zeros(y.size)
    b[svr.support_] = svr.dual_coef_[0]
    return K, y, C, b, float(svr.intercept_[0])


def test_gradient_equals_finite_differences(any_small_qubo):
    dual, encoding = any_small_qubo.dual, any_small_qubo.encoding
    rng = np.random.default_rng(0)
    z = encoding.offset + encoding.width * rng.random(encoding.offset.shape)
    step = 1e-5
    expected = np.empty_like(z)
    for index in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[index] += step
        down[index] -= step
        expected[index] = (dual.energy(up) - dual.energy(down)) / (2 * step)
    np.testing.assert_allclose(dual.gradient(z), expected, atol=1e-8)


def test_energy_and_gradient_take_many_points_at_once(any_small_qubo):
    dual = any_small_qubo.dual
    points = np.random.default_rng(0).random((3, 5, 2, dual.n_samples))
    energies, gradients = dual.energy(points), dual.gradient(points)
    assert energies.shape == (3, 5)
    for index in np.ndindex(3, 5):
        assert energies[index] == pytest.approx(float(dual.energy(points[index])), rel=1e-12)
        np.testing.assert_allclose(gradients[index], dual.gradient(points[index]), rtol=1e-12)


def test_kkt_gap_is_zero_at_a_known_solution():
    """With K = I and no penalty the minimum is a = clip(y - epsilon, 0, C), coordinate-wise."""
    y = np.array([2.0, 0.5, 0.05, -0.05, -0.6, -3.0])
    C = np.array([1.0, 1.0, 1.0, 0.3, 0.3, 0.3])
    dual = SVRDual(np.eye(6), y, 0.1, C)
    solution = np.stack([np.clip(y - 0.1, 0, C), np.clip(-y - 0.1, 0, C)])
    assert dual.kkt_gap(solution) == pytest.approx(0.0, abs=1e-12)
    moved = solution.copy()
    moved[0, 1] += 0.25  # free: gradient 0.25, and it can fall
    assert dual.kkt_gap(moved) == pytest.approx(0.25, abs=1e-12)
    at_zero = np.zeros((2, 6))  # the largest |y| - epsilon can rise
    assert dual.kkt_gap(at_zero) == pytest.approx(2.9, abs=1e-12)


def test_kkt_gap_is_zero_only_at_the_relaxation(make_dual):
    for seed in range(5):
        dual = make_dual(15, seed)
        solution = dual.relax(rtol=1e-14).coefficients
        assert dual.kkt_gap(solution) < 1e-6
        rng = np.random.default_rng(seed)
        for _ in range(50):
            assert dual.kkt_gap(rng.random((2, 15)) * dual.C) > 1e-3


def test_relaxation_reaches_libsvm_where_y_is_centred_by_its_offset(libsvm):
    """Then sum(b) = 0 is optimal without the constraint, whatever the penalty."""
    K, y, C, b, offset = libsvm
    for penalty in (0.1, 2.0, 10.0):
        dual = SVRDual(K, y - offset, EPSILON, np.full(y.size, C), penalty)
        best = float(dual.energy(np.stack([np.maximum(b, 0), np.maximum(-b, 0)])))
        found = dual.relax(rtol=1e-7)
        assert found.energy == pytest.approx(best, rel=1e-5)
        assert found.bound <= best + 1e-12 * abs(best)
        assert found.bound == pytest.approx(best, rel=1e-5)


def test_relaxation_reaches_libsvm_at_a_large_equality_penalty(libsvm):
    """The penalised optimum lies below libsvm's by offset**2 / (4 * penalty), to first order."""
    K, y, C, b, offset = libsvm
    coefficients = np.stack([np.maximum(b, 0), np.maximum(-b, 0)])
    best = float(SVRDual(K, y, EPSILON, np.full(y.size, C)).energy(coefficients))
    penalty = max(1e6 * offset**2 / abs(best), 10.0 * float(np.trace(K)) / y.size)
    dual = SVRDual(K, y, EPSILON, np.full(y.size, C), penalty)
    found = dual.relax(rtol=1e-6)
    assert found.energy == pytest.approx(best, rel=1e-5)
    assert found.energy <= best + 1e-5 * abs(best)


@pytest.mark.parametrize("overlap_penalty", [0.0, 0.5])
@pytest.mark.parametrize("n_samples", [3, 12, 40])
def test_bound_is_below_random_feasible_points(make_dual, n_samples, overlap_penalty):
    dual = make_dual(n_samples, overlap_penalty=overlap_penalty)
    relaxation = dual.relax()
    assert relaxation.bound <= relaxation.energy
    assert relaxation.bound >= relaxation.energy - 1e-5 * abs(relaxation.energy)
    rng = np.random.default_rng(0)
    near = relaxation.coefficients + rng.normal(scale=0.02, size=(3000, 2, n_samples))
    anywhere = rng.random((3000, 2, n_samples)) * dual.C
    corners = rng.integers(0, 2, (3000, 2, n_samples)) * dual.C
    for points in (near, anywhere, corners):
        assert dual.energy(np.clip(points, 0.0, dual.C)).min() >= relaxation.bound


def test_bound_holds_for_a_solver_that_was_stopped_early(make_dual):
    dual = make_dual(30)
    best, early = dual.relax(rtol=1e-9), dual.relax(max_iter=3)
    assert early.energy > best.energy
    assert early.bound <= best.bound + 1e-9


def test_bound_holds_for_all_bit_strings(any_small_qubo, all_bits):
    """Indefinite kernels, windows and unequal C included."""
    qubo = any_small_qubo
    encoding = qubo.encoding
    relaxation = qubo.dual.relax(encoding.offset, encoding.offset + encoding.width)
    minimum = qubo.energies(all_bits(qubo.n_variables)).min()
    assert relaxation.bound <= minimum + 1e-12 * abs(minimum)
    assert (relaxation.coefficients >= encoding.offset).all()
    assert (relaxation.coefficients <= encoding.offset + encoding.width).all()


@pytest.mark.parametrize("seed", range(5))
def test_bound_holds_for_an_indefinite_kernel(all_bits, seed):
    """Enumeration of the corners: a concave direction has its minimum there."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(7, 2))
    K = np.tanh(0.9 * X @ X.T - 1.5)
    assert np.linalg.eigvalsh(K)[0] < -0.1
    dual = SVRDual(K, rng.normal(size=7), 0.05, rng.uniform(0.5, 2.0, 7))
    corners = all_bits(14).reshape(-1, 2, 7) * dual.C
    assert dual.smallest_curvature == pytest.approx(np.linalg.eigvalsh(K)[0], rel=1e-8)
    assert dual.relax().bound <= dual.energy(corners).min()


def test_curvature_of_a_semidefinite_kernel_is_zero():
    x = np.arange(5.0)
    assert SVRDual(np.outer(x, x), x, 0.1, np.ones(5)).smallest_curvature == 0.0
