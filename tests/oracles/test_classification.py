"""The dual of classification: enumeration, libsvm, and the same problem in other boxes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_moons
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qsvr import QSVC, QSVR, FixedPointEncoding, SVRDual, SVRQubo, get_sampler
from qsvr.model import kkt_intercept
from qsvr.problem import Conditions, duality_gap, primal_intercept, training_objective
from qsvr.solve import DirectSolver, RefinementSolver


def problem(n=40, seed=0):
    X, y = make_moons(n, noise=0.2, random_state=seed)
    return rbf_kernel(X, gamma=1.0), np.where(y > 0, 1.0, -1.0)


def objective_by_definition(b, K, y, C, offset):
    """1/2 b'Kb + sum of C_n * hinge, as in every textbook."""
    return 0.5 * b @ K @ b + C @ np.maximum(1.0 - y * (K @ b + offset), 0.0)


def test_forty_samples_of_three_bits_are_120_variables():
    K, y = problem(40)
    dual = SVRDual.of_labels(K, y, np.ones(40))
    assert SVRQubo(dual, FixedPointEncoding.for_box(dual.box, 3)).n_variables == 120
    X, labels = make_moons(40, random_state=0)
    (posed,) = QSVC(n_bits=3).make_problems(X, labels)
    assert posed.n_variables == posed.to_bqm().num_variables == 120
    assert QSVR(n_bits=3).make_problem(X, labels).n_variables == 240
    np.testing.assert_array_equal(posed.qubo.dual.lower, np.where(labels > 0, 0.0, -1.0))
    np.testing.assert_array_equal(posed.qubo.dual.upper, np.where(labels > 0, 1.0, 0.0))


@pytest.mark.parametrize("sampler", ["structured", "sa", "tabu", "relax-round", "exact"])
@pytest.mark.parametrize(("n", "n_bits"), [(16, 1), (8, 2), (5, 3)])
def test_samplers_find_the_minimum_of_all_codes(n, n_bits, sampler):
    """Enumerated from the textbook's dual: sum a - 1/2 a'(yy'K)a over all a, with the penalty."""
    K, y = problem(n, seed=n)
    C = np.linspace(0.5, 2.0, n)
    levels = np.arange(2**n_bits) / (2**n_bits - 1)
    a = C * np.stack(np.meshgrid(*[levels] * n, indexing="ij"), axis=-1).reshape(-1, n)
    b = a * y
    penalty = 1.5
    energies = 0.5 * ((b @ K) * b).sum(axis=1) - a.sum(axis=1) + penalty * b.sum(axis=1) ** 2
    dual = SVRDual.of_labels(K, y, C, equality_penalty=penalty)
    encoding = FixedPointEncoding.for_box(dual.box, n_bits)
    found = DirectSolver(get_sampler(sampler), 64).solve(dual, encoding, n_solutions=1, seed=0)
    assert found.energies[0] == pytest.approx(energies.min(), rel=1e-9)
    np.testing.assert_allclose(found.b[0], b[np.argmin(energies)], atol=1e-9)
    assert dual.bound <= energies.min() + 1e-9


def test_objective_intercept_and_conditions_are_those_of_the_hinge_loss():
    K, y = problem(30)
    rng = np.random.default_rng(0)
    C = rng.uniform(0.2, 3.0, 30)
    dual = SVRDual.of_labels(K, y, C)
    b = y * rng.uniform(0.0, C)
    outputs = dual.outputs(b[None])
    (offset,) = primal_intercept(y - outputs, 0.0, dual.box)

    def objective(c):
        return objective_by_definition(b, K, y, C, c[0])

    starts = (-1.0, 0.0, 1.0)
    by_search = min(minimize(objective, [c], method="Nelder-Mead").fun for c in starts)
    assert objective_by_definition(b, K, y, C, offset) == pytest.approx(by_search, rel=1e-5)
    (value,) = training_objective(b[None], outputs, y, epsilon=0.0, C=dual.box)
    assert value == pytest.approx(objective_by_definition(b, K, y, C, offset), rel=1e-12)


def test_refinement_reaches_libsvms_optimum():
    K, y = problem(60)
    C = np.where(y > 0, 1.0, 4.0)
    svc = SVC(kernel="precomputed", C=1.0, class_weight={-1: 4.0}, tol=1e-8).fit(K, y)
    optimum = np.zeros(60)
    optimum[svc.support_] = svc.dual_coef_[0]
    dual = SVRDual.of_labels(K, y, C, equality_penalty=2.0)
    assert Conditions.of(K @ optimum - y, optimum, dual.box, 0.0).gap < 1e-6
    assert kkt_intercept(y - K @ optimum, optimum, dual.box, 0.0) == pytest.approx(
        svc.intercept_[0], abs=1e-5
    )
    encoding = FixedPointEncoding.for_box(dual.box, 3)
    solver = RefinementSolver(DirectSolver(get_sampler(), 32), n_refinements=30, tol=1e-4)
    found = solver.solve(dual, encoding, n_solutions=1, seed=0)
    assert np.abs(found.b[0].sum()) < 1e-3
    np.testing.assert_allclose(found.b[0], optimum, atol=0.02)
    conditions = Conditions.of(K @ found.b[0] - y, found.b[0], dual.box, 0.0)
    gap = duality_gap(K @ found.b[0] - y + conditions.offset, found.b[0], dual.box, 0.0)
    energy = 0.5 * optimum @ K @ optimum - np.abs(optimum).sum()
    assert 0.0 <= gap < 1e-3 * abs(energy)


@pytest.mark.parametrize("settings", [{"n_bits": 8}, {"n_bits": 2, "n_refinements": 15}])
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_wine])
def test_accuracy_agrees_with_libsvm(load, settings):
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:90], order[90:]
    svc = SVC(C=5.0).fit(X[train], y[train])
    model = QSVC(C=5.0, random_state=0, **settings).fit(X[train], y[train])
    assert svc.score(X[test], y[test]) > 0.9
    agree = (model.predict(X[test]) == svc.predict(X[test])).mean()
    assert agree > 0.985
    assert model.score(X[test], y[test]) == pytest.approx(svc.score(X[test], y[test]), abs=0.005)


def test_decomposition_at_120_variables_is_the_same_model():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    svc = SVC(C=1.0).fit(X[:300], y[:300])
    model = QSVC(C=1.0, max_variables=120, random_state=0).fit(X[:300], y[:300])
    assert model.sampler_info_[0]["working_size"] == 40  # samples of three bits
    assert model.n_iter_[0] > 1
    assert model.sampler_info_[0]["sampler_share"] == 1.0
    np.testing.assert_allclose(
        model.decision_function(X[300:]), svc.decision_function(X[300:]), atol=0.02
    )
    np.testing.assert_array_equal(model.predict(X[300:]), svc.predict(X[300:]))
    b, expected = np.zeros(300), np.zeros(300)
    b[model.support_], expected[svc.support_] = model.dual_coef_[0], svc.dual_coef_[0]
    np.testing.assert_allclose(b, expected, atol=0.05)


def test_many_rows_finish_by_descent_as_in_regression():
    X, y = make_moons(700, noise=0.25, random_state=0)
    svc = SVC(C=1.0).fit(X[:600], y[:600])
    model = QSVC(C=1.0, random_state=0).fit(X[:600], y[:600])
    assert model.sampler_info_[0]["n_descents"] > 0
    assert 0.0 < model.sampler_info_[0]["sampler_share"] < 1.0
    np.testing.assert_allclose(
        model.decision_function(X[600:]), svc.decision_function(X[600:]), atol=0.02
    )


@pytest.mark.parametrize("overlap_penalty", [0.0, 0.7])
def test_regression_is_the_same_to_the_bit_by_boxes_of_two_rows(overlap_penalty):
    """C for both sides at once, or side by side: one problem, one solution, to the bit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    K, y, C = rbf_kernel(X), rng.normal(size=30), rng.uniform(0.5, 2.0, 30)
    solved = []
    for box in (C, np.stack([C, C])):
        dual = SVRDual(K, y, 0.1, box, 2.0, overlap_penalty)
        encoding = FixedPointEncoding.for_box(box, 3)
        solver = RefinementSolver(DirectSolver(get_sampler(), 16), n_refinements=4)
        found = solver.solve(dual, encoding, n_solutions=5, seed=0)
        objective = training_objective(found.b, dual.outputs(found.b), y, epsilon=0.1, C=dual.box)
        solved.append((found.coefficients, found.energies, dual.bound, objective))
    for one, two in zip(*solved, strict=True):
        np.testing.assert_array_equal(one, two)
