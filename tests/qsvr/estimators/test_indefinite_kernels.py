"""Noisy, indefinite kernels: a warning, or a positive semi-definite matrix in their place."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics.pairwise import rbf_kernel

from friedman import GAMMA, X_NEW, Y_NEW, X, Y, make_model
from qsvr import IndefiniteKernelWarning, QSVREnsemble
from qsvr.problem import KERNEL_NAMES, Spectrum


def measured(A, B, noise=0.1):
    """Return a kernel as a quantum device measures it: with symmetric noise per pair of samples."""
    K = rbf_kernel(A, B, gamma=GAMMA)
    keys = np.round(1e6 * (A.sum(axis=1)[:, None] + B.sum(axis=1)[None, :])).astype(np.int64)
    same = (A[:, None, :] == B[None, :, :]).all(axis=2)
    rng = np.sin(keys * 12.9898) * 43758.5453
    return np.where(same, 1.0, K + noise * 2.0 * (rng - np.floor(rng) - 0.5))


K = measured(X, X)
LOWEST = np.linalg.eigvalsh(K)[0]


def clipped(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def test_the_kernel_of_these_tests_is_indefinite():
    assert LOWEST < -0.1
    np.testing.assert_allclose(K, K.T, atol=1e-15)


def test_a_warning_names_the_eigenvalue_and_the_remedy():
    with pytest.warns(IndefiniteKernelWarning, match=rf"{LOWEST:.4g}, .*psd='clip' or psd='shift'"):
        model = make_model(kernel=measured).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X_NEW), make_quiet(measured).predict(X_NEW))


def make_quiet(kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_model(kernel=kernel).fit(X, Y)


@pytest.mark.parametrize("kernel", sorted(set(KERNEL_NAMES) - {"precomputed", "sigmoid"}))
@pytest.mark.filterwarnings("error::qsvr.IndefiniteKernelWarning")
@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
def test_rounding_does_not_warn(kernel):
    twice = np.vstack([X, X])
    model = make_model(kernel=kernel, num_reads=2, gamma=0.01, coef0=1.0)
    model.fit(twice, np.append(Y, Y))
    single = rbf_kernel(twice).astype(np.float32).astype(float)  # computed in single precision
    model.set_params(kernel="precomputed").fit(single, np.append(Y, Y))


def test_clip_solves_the_dual_of_the_clipped_matrix():
    model = make_model(kernel=measured, psd="clip").fit(X, Y)
    by_hand = make_model(kernel="precomputed").fit(clipped(K), Y)
    assert model.energy_ == pytest.approx(by_hand.energy_, rel=1e-9)
    assert model.relaxation_bound_ == pytest.approx(by_hand.relaxation_bound_, rel=1e-6)
    assert model.energy_ >= model.relaxation_bound_
    # Training rows are predicted as by the clipped matrix.
    np.testing.assert_allclose(model.predict(X), by_hand.predict(clipped(K)), atol=1e-9)


def test_new_rows_are_projected_as_training_rows_are():
    model = make_model(kernel=measured, psd="clip").fit(X, Y)
    values, vectors = np.linalg.eigh(K)
    kept = vectors[:, values >= 0.0]
    rows = measured(X_NEW, X) @ kept @ kept.T
    by_hand = make_model(kernel="precomputed").fit(clipped(K), Y)
    np.testing.assert_allclose(model.predict(X_NEW), by_hand.predict(rows), atol=1e-9)
    std = by_hand.predict(rows, return_std=True)[1]
    np.testing.assert_allclose(model.predict(X_NEW, return_std=True)[1], std, rtol=1e-6)


def test_shift_changes_the_training_diagonal_only():
    model = make_model(kernel=measured, psd="shift").fit(X, Y)
    by_hand = make_model(kernel="precomputed").fit(K - LOWEST * np.eye(len(X)), Y)
    assert model.energy_ == pytest.approx(by_hand.energy_, rel=1e-9)
    np.testing.assert_allclose(model.dual_coef_, by_hand.dual_coef_, atol=1e-9)
    np.testing.assert_allclose(model.predict(X_NEW), by_hand.predict(measured(X_NEW, X)), atol=1e-9)


@pytest.mark.parametrize("psd", ["clip", "shift"])
@pytest.mark.parametrize("n_refinements", [0, 8])
@pytest.mark.parametrize("parameters", [{}, {"combination": "mse", "combination_fraction": 0.2}])
def test_the_dual_is_convex_and_predicts(psd, n_refinements, parameters):
    model = make_model(kernel=measured, psd=psd, n_refinements=n_refinements, C=3.0, **parameters)
    model.fit(X, Y)
    if n_refinements:
        assert model.energy_ - model.relaxation_bound_ < 0.02 * abs(model.relaxation_bound_)
    assert model.score(X_NEW, Y_NEW) > (0.3 if psd == "clip" else 0.15)


@pytest.mark.parametrize("psd", ["clip", "shift"])
@pytest.mark.parametrize("kernel", ["callable", "precomputed", "sigmoid"])
def test_the_fitted_kernel_gives_the_prediction(psd, kernel):
    rows, new = X, X_NEW
    parameters = {"kernel": measured}
    if kernel == "precomputed":
        parameters, rows, new = {"kernel": "precomputed"}, K, measured(X_NEW, X)
    elif kernel == "sigmoid":
        parameters = {"kernel": "sigmoid", "gamma": 0.02, "coef0": -0.5}
    model = make_model(**{**parameters, "psd": psd}).fit(rows, Y)
    matrix = model.kernel_matrix(new)
    assert matrix.shape == (len(new), model.n_support_[0])
    expected = model.predict(new)
    np.testing.assert_allclose(
        matrix @ model.dual_coef_[0] + model.intercept_, expected, atol=1e-12
    )
    np.testing.assert_allclose(model.to_svr().predict(new), expected, atol=1e-8)
    if kernel != "callable":
        restored = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(restored.predict(new), expected)


def test_the_fitted_kernel_without_support_vectors():
    model = make_model().fit(X, np.zeros(len(X)))
    assert model.kernel_matrix(X_NEW).shape == (len(X_NEW), 0)


@pytest.mark.parametrize("psd", ["clip", "shift"])
def test_a_semi_definite_kernel_is_left_as_it_is(psd):
    expected = make_model().fit(X, Y)
    model = make_model(psd=psd).fit(X, Y)
    np.testing.assert_allclose(model.predict(X_NEW), expected.predict(X_NEW), atol=1e-9)
    np.testing.assert_array_equal(model.support_, expected.support_)


def test_an_expensive_kernel_is_measured_once_for_training():
    calls = []

    def kernel(A, B):
        calls.append((len(A), len(B)))
        return measured(A, B)

    make_model(kernel=kernel, psd="clip").fit(X, Y)
    assert calls == [(len(X), len(X))]


def test_samples_without_weight_take_no_part():
    weight = (np.arange(len(X)) % 3 > 0).astype(float)
    used = np.flatnonzero(weight)
    model = make_model(kernel=measured, psd="clip").fit(X, Y, sample_weight=weight)
    expected = make_model(kernel=measured, psd="clip").fit(X[used], Y[used])
    np.testing.assert_allclose(model.predict(X_NEW), expected.predict(X_NEW), atol=1e-9)


def test_working_sets_have_no_matrix_to_correct():
    with pytest.raises(ValueError, match=r"psd of QSVR must be None.*working sets.*max_variables"):
        make_model(kernel=measured, psd="clip", max_variables=60).fit(X, Y)


def test_an_ensemble_corrects_each_member():
    member = make_model(kernel="precomputed", psd="clip")
    ensemble = QSVREnsemble(member, n_estimators=3, max_samples=15, random_state=0).fit(K, Y)
    assert ensemble.score(K, Y) > 0.5
    assert clone(ensemble).estimator.psd == "clip"


def test_a_spectrum_without_negative_values_changes_nothing():
    matrix = rbf_kernel(X[:5])
    for method in ("clip", "shift"):
        spectrum = Spectrum.of(matrix, method)
        np.testing.assert_array_equal(spectrum.applied(matrix, np.arange(5)), matrix)
        np.testing.assert_array_equal(spectrum.predicting(np.ones((2, 5))), np.ones((2, 5)))
