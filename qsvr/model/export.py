"""Export to plain scikit-learn predictors that do not need this package."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics.pairwise import laplacian_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import SVC, SVR

from qsvr._typing import FloatArray
from qsvr.problem import Kernel

__all__ = ["one_vs_rest", "to_svc", "to_svr"]


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

    It can be pickled, converted and deployed like any SVR. The laplacian kernel, which SVR does not
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
    svr = SVR(**_parameters(kernel, dual_coef), epsilon=epsilon)
    function: Any = svr.kernel
    is_sparse = sparse.issparse(support_vectors)
    # Fit on data of the right shape, so that every private attribute of the version exists.
    if function == "precomputed":
        svr.fit(np.eye(n_features), np.arange(float(n_features)))
    elif support.size == 0:
        rows = sparse.csr_matrix((2, n_features)) if is_sparse else np.zeros((2, n_features))
        svr.fit(rows, np.zeros(2))
    else:
        svr.fit(support_vectors, np.arange(float(support.size)))
    coefficients = _set_support(svr, support, support_vectors, dual_coef)
    svr._n_support = np.array([support.size, 0], dtype=np.int32)
    svr.dual_coef_ = svr._dual_coef_ = coefficients
    svr.intercept_ = svr._intercept_ = intercept.astype(np.float64)
    svr.n_features_in_ = n_features
    return svr


def to_svc(
    kernel: Kernel,
    support: NDArray[np.int32],
    support_vectors: Any,
    dual_coef: FloatArray,
    intercept: FloatArray,
    *,
    n_support: NDArray[Any],
    classes: NDArray[Any],
    n_features: int,
) -> SVC:
    """Return a fitted `sklearn.svm.SVC` with the given coefficients.

    Parameters
    ----------
    kernel : Kernel
    support : ndarray of shape (n_SV,)
        Indices of the support vectors, class by class.
    support_vectors : ndarray or sparse matrix of shape (n_SV, n_features)
        Empty for a precomputed kernel.
    dual_coef : ndarray of shape (n_classes - 1, n_SV)
        In scikit-learn's order.
    intercept : ndarray of shape (n_pairs,)
    n_support, classes : ndarray of shape (n_classes,)
        Numbers of support vectors, and labels, ascending.
    n_features : int
        Number of features; of training samples for a precomputed kernel.

    Returns
    -------
    sklearn.svm.SVC
    """
    svc = SVC(**_parameters(kernel, dual_coef), tol=1e30)  # nothing is to be solved
    # Fit on data of the right shape with all classes, so that every private attribute exists.
    if kernel.function == "precomputed":
        rows, labels = np.eye(n_features), classes[np.arange(n_features) % classes.size]
    else:
        rows, labels = support_vectors, classes[np.arange(support.size) % classes.size]
        if support.size < classes.size:
            stack = sparse.vstack if sparse.issparse(rows) else np.vstack
            more = rows[:1] if support.size else np.zeros((1, n_features))
            rows = stack([rows, *[more] * classes.size])
            labels = np.concatenate([labels, classes])
    svc.fit(sparse.csr_matrix(rows) if sparse.issparse(rows) else rows, labels)
    svc.set_params(tol=SVC().tol)
    coefficients = _set_support(svc, support, support_vectors, dual_coef)
    # libsvm counts the first of two classes as positive, scikit-learn the second.
    sign = -1.0 if classes.size == 2 else 1.0
    svc._n_support = n_support.astype(np.int32)
    svc.dual_coef_, svc._dual_coef_ = coefficients, sign * coefficients
    svc.intercept_ = intercept.astype(np.float64)
    svc._intercept_ = sign * svc.intercept_
    svc.n_features_in_ = n_features
    return svc


def one_vs_rest(
    kernel: Kernel,
    support: NDArray[np.int32],
    support_vectors: Any,
    coefficients: FloatArray,
    intercepts: FloatArray,
    *,
    classes: NDArray[Any],
    n_features: int,
) -> OneVsRestClassifier:
    """Return a fitted `sklearn.multiclass.OneVsRestClassifier` of SVCs.

    Parameters
    ----------
    kernel, support, support_vectors, n_features
        As for `to_svc`; support vectors in any order.
    coefficients : ndarray of shape (n_classes, n_SV)
        Positive for support vectors of the class itself.
    intercepts : ndarray of shape (n_classes,)
    classes : ndarray of shape (n_classes,)
        Labels, ascending.

    Returns
    -------
    sklearn.multiclass.OneVsRestClassifier
    """
    models = []
    for row, intercept in zip(coefficients, intercepts, strict=True):
        used = np.flatnonzero(row)
        order = used[np.argsort(row[used] > 0.0, kind="stable")]
        precomputed = kernel.function == "precomputed"
        models.append(
            to_svc(
                kernel, support[order], support_vectors if precomputed else support_vectors[order],
                row[None, order], np.array([intercept]), classes=np.array([0, 1]),
                n_support=np.array([(row < 0.0).sum(), (row > 0.0).sum()]), n_features=n_features,
            )
        )  # fmt: skip
    result = OneVsRestClassifier(SVC().set_params(**models[0].get_params()))
    result.estimators_ = models
    result.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(classes)
    result.classes_, result.n_features_in_ = result.label_binarizer_.classes_, n_features
    return result


def _parameters(kernel: Kernel, dual_coef: FloatArray) -> dict[str, Any]:
    """Return the parameters of SVC and SVR for a kernel, with a C that admits the coefficients."""
    function: Any = kernel.function
    if function == "laplacian":
        function = partial(laplacian_kernel, gamma=kernel.gamma)
    return {
        "kernel": function,
        "degree": int(kernel.degree),
        "gamma": kernel.gamma,
        "coef0": kernel.coef0,
        "C": float(np.abs(dual_coef).max(initial=1.0)),
    }


def _set_support(
    model: Any, support: NDArray[np.int32], support_vectors: Any, dual_coef: FloatArray
) -> Any:
    """Replace the support vectors of a fitted model; return coefficients in its format."""
    function = model.kernel
    if function == "precomputed":
        model.support_ = support
        return dual_coef
    model.support_ = np.arange(support.size, dtype=np.int32)
    model.support_vectors_ = np.empty((0, 0)) if callable(function) else support_vectors
    if callable(function) or not sparse.issparse(support_vectors):
        return dual_coef
    # All zeros are stored, because libsvm uses positions.
    columns = np.tile(np.arange(support.size), len(dual_coef))
    ends = support.size * np.arange(len(dual_coef) + 1)
    return sparse.csr_matrix((dual_coef.reshape(-1), columns, ends), dual_coef.shape)
