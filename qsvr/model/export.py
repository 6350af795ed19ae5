"""Export to a plain scikit-learn predictor that does not need this package."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics.pairwise import laplacian_kernel
from sklearn.svm import SVR

from qsvr._typing import FloatArray
from qsvr.problem import Kernel

__all__ = ["to_svr"]


def to_svr(
    kernel: Kernel,
    support: NDArray[np.int32],
    support_vectors: Any,
    dual_coef: FloatArray,
    intercept: FloatArray,
    *,
    epsilon: float,
    n_features: int,
) -> SVR:
    """Return a fitted `sklearn.svm.SVR` with the given coefficients.

    It can be pickled, converted or deployed like any SVR. The laplacian kernel, which SVR does not
    have, becomes a callable.

    Parameters
    ----------
    kernel : Kernel
    support : ndarray of shape (n_SV,)
        Indices of the support vectors.
    support_vectors : ndarray or sparse matrix of shape (n_SV, n_features)
        Empty for a precomputed kernel.
    dual_coef : ndarray of shape (1, n_SV)
    intercept : ndarray of shape (1,)
    epsilon : float
    n_features : int
        Number of features; of training samples for a precomputed kernel.

    Returns
    -------
    sklearn.svm.SVR
    """
    function: Any = kernel.function
    if function == "laplacian":
        function = partial(laplacian_kernel, gamma=kernel.gamma)
    svr = SVR(
        kernel=function,
        degree=int(kernel.degree),
        gamma=kernel.gamma,
        coef0=kernel.coef0,
        C=float(np.abs(dual_coef).max(initial=1.0)),
        epsilon=epsilon,
    )
    is_sparse = sparse.issparse(support_vectors)
    # Fit on data of the right shape, so that every private attribute of the version exists.
    if function == "precomputed":
        svr.fit(np.eye(n_features), np.arange(float(n_features)))
    elif support.size == 0:
        rows = sparse.csr_matrix((2, n_features)) if is_sparse else np.zeros((2, n_features))
        svr.fit(rows, np.zeros(2))
    else:
        svr.fit(support_vectors, np.arange(float(support.size)))
    # Then replace the fitted state: the public attributes and libsvm's private copies.
    if function == "precomputed":
        svr.support_ = support
    else:
        svr.support_ = np.arange(support.size, dtype=np.int32)
        svr.support_vectors_ = np.empty((0, 0)) if callable(function) else support_vectors
    sparse_coefficients = is_sparse and not callable(function)
    coefficients = sparse.csr_matrix(dual_coef) if sparse_coefficients else dual_coef
    svr._n_support = np.array([support.size, 0], dtype=np.int32)
    svr.dual_coef_ = svr._dual_coef_ = coefficients
    svr.intercept_ = svr._intercept_ = intercept.astype(np.float64)
    svr.n_features_in_ = n_features
    return svr
