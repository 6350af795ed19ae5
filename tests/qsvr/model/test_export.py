"""A fitted QSVR as scikit-learn's SVR."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVR

from friedman import (
    GAMMA,
    NAMED,
    X_NEW,
    X,
    Y,
    make_by_name,
    make_model,
)


def _exported(model, new):
    """Export, pickle the export, and compare what both predict."""
    expected = model.predict(new)
    svr = model.to_svr()
    assert type(svr) is SVR
    restored = pickle.loads(pickle.dumps(svr))
    for predictor in (svr, restored):
        np.testing.assert_allclose(predictor.predict(new), expected, atol=1e-10)
    return svr


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_export_predicts_the_same(name):
    model = make_by_name(name).fit(X, Y)
    svr = _exported(model, X_NEW)
    np.testing.assert_array_equal(svr.dual_coef_, model.dual_coef_)
    np.testing.assert_array_equal(svr.intercept_, model.intercept_)
    if name == "linear":
        np.testing.assert_allclose(svr.coef_, model.coef_)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_export_of_a_sparse_fit(name):
    dense, new = np.where(X < 0.5, 0.0, X), np.where(X_NEW < 0.5, 0.0, X_NEW)
    model = make_by_name(name).fit(sparse.csr_matrix(dense), Y)
    _exported(model, sparse.csr_matrix(new))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_export_of_a_callable_kernel(form):
    _exported(make_model(kernel=NAMED["rbf"]).fit(form(X), Y), form(X_NEW))


def test_export_of_a_precomputed_kernel():
    model = make_model(kernel="precomputed").fit(rbf_kernel(X, gamma=GAMMA), Y)
    assert model.support_.size < len(X)  # columns are selected
    _exported(model, rbf_kernel(X_NEW, X, gamma=GAMMA))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "laplacian", "precomputed"])
def test_export_of_a_model_without_support_vectors(kernel, form):
    rows = rbf_kernel(X) if kernel == "precomputed" else form(X)
    model = make_model(kernel=kernel).fit(rows, np.full(len(X), 3.0))
    assert model.support_.size == 0
    svr = _exported(model, rows[:5])
    np.testing.assert_array_equal(svr.predict(rows[:5]), 3.0)


def test_export_of_gamma_zero_and_of_feature_names():
    frames = pytest.importorskip("pandas")
    _exported(make_model(gamma=0.0, C=0.1).fit(X, Y), X_NEW)
    frame = frames.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    model = make_model().fit(frame, Y)
    assert model.to_svr().feature_names_in_.tolist() == list(frame.columns)
    np.testing.assert_allclose(model.to_svr().predict(frame), model.predict(frame))


def test_export_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        make_model().to_svr()
