"""Export to a plain scikit-learn predictor that needs nothing of this package."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.metrics.pairwise import laplacian_kernel
from sklearn.svm import SVR

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["to_svr"]


def to_svr(model: QSVR) -> SVR:
    """Return a fitted `sklearn.svm.SVR` that predicts what a fitted `QSVR` predicts.

    It can be pickled, converted or deployed like any SVR. The laplacian kernel, which SVR does not
    have, becomes a callable.

    Parameters
    ----------
    model : QSVR
        A fitted model.

    Returns
    -------
    sklearn.svm.SVR
    """
    kernel = model._kernel
    function: Any = kernel.function
    if function == "laplacian":
        function = partial(laplacian_kernel, gamma=kernel.gamma)
    svr = SVR(
        kernel=function,
        degree=int(kernel.degree),
        gamma=kernel.gamma,
        coef0=kernel.coef0,
        C=float(np.abs(model.dual_coef_).max(initial=1.0)),
        epsilon=model.epsilon,
    )
    _fit_frame(svr, model)
    _fill(svr, model)
    return svr


def _fit_frame(svr: SVR, model: QSVR) -> None:
    """Fit on data of the right shape, so that every private attribute of the version exists."""
    n_support, n_features = model.support_.size, model.n_features_in_
    if svr.kernel == "precomputed":
        svr.fit(np.eye(n_features), np.arange(float(n_features)))
    elif n_support == 0:
        is_sparse = sparse.issparse(model.support_vectors_)
        rows = sparse.csr_matrix((2, n_features)) if is_sparse else np.zeros((2, n_features))
        svr.fit(rows, np.zeros(2))
    else:
        svr.fit(model.support_vectors_, np.arange(float(n_support)))


def _fill(svr: SVR, model: QSVR) -> None:
    """Overwrite the fitted state with ours: the public attributes and libsvm's private copies."""
    precomputed = svr.kernel == "precomputed"
    support = model.support_ if precomputed else np.arange(model.support_.size, dtype=np.int32)
    svr.support_ = support
    if not precomputed:
        svr.support_vectors_ = np.empty((0, 0)) if callable(svr.kernel) else model.support_vectors_
    sparse_input = sparse.issparse(model.support_vectors_) and not callable(svr.kernel)
    coefficients = sparse.csr_matrix(model.dual_coef_) if sparse_input else model.dual_coef_
    svr._n_support = np.array([model.support_.size, 0], dtype=np.int32)
    svr.dual_coef_ = svr._dual_coef_ = coefficients
    svr.intercept_ = svr._intercept_ = model.intercept_.astype(np.float64)
    svr.n_features_in_ = model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        svr.feature_names_in_ = model.feature_names_in_
