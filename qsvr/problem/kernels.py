"""Kernel matrices through scikit-learn's pairwise functions.

>>> import numpy as np
>>> from qsvr.problem.kernels import Kernel
>>> X = np.array([[0.0], [1.0]])
>>> kernel = Kernel.resolve("rbf", gamma="auto", degree=3, coef0=0.0, X=X)
>>> kernel(X).round(3)
array([[1.   , 0.368],
       [0.368, 1.   ]])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils.extmath import row_norms

from qsvr._typing import FloatArray, IntArray
from qsvr._validation import check_real, shown

__all__ = ["KERNEL_NAMES", "Kernel", "KernelFunction", "check_kernel", "gram", "symmetric"]

KernelFunction: TypeAlias = Callable[[Any, Any], Any]

# Which of gamma, degree and coef0 each kernel takes.
_KERNEL_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "poly": ("gamma", "degree", "coef0"),
    "rbf": ("gamma",),
    "sigmoid": ("gamma", "coef0"),
    "laplacian": ("gamma",),
    "precomputed": (),
}
KERNEL_NAMES: tuple[str, ...] = tuple(_KERNEL_ARGUMENTS)


@dataclass(frozen=True)
class Kernel:
    """A kernel function with its parameters resolved to numbers.

    Attributes
    ----------
    function : str or callable
        One of `KERNEL_NAMES`, or ``f(X, Y) -> array of shape (n_samples_X, n_samples_Y)``.
    gamma : float
        Coefficient of rbf, poly, sigmoid and laplacian; ignored by the others.
    degree : float
        Degree of the polynomial kernel.
    coef0 : float
        Constant term of poly and sigmoid.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr.problem.kernels import Kernel
    >>> kernel = Kernel("rbf", gamma=0.5, degree=3, coef0=0.0)
    >>> kernel.function, kernel.gamma
    ('rbf', 0.5)
    """

    function: str | KernelFunction
    gamma: float
    degree: float
    coef0: float

    @classmethod
    def resolve(
        cls,
        function: str | KernelFunction,
        *,
        gamma: float | str,
        degree: float,
        coef0: float,
        X: Any,
    ) -> Kernel:
        """Resolve ``gamma="scale"`` and ``"auto"`` on the training data, as scikit-learn does.

        Parameters
        ----------
        function : str or callable
            One of `KERNEL_NAMES`, or a function of (X, Y).
        gamma : float or str
        degree, coef0 : float
        X : {ndarray, sparse matrix} of shape (n_samples, n_features)
            Training data.

        Raises
        ------
        ValueError
            If the kernel or gamma is unknown.
        """
        check_kernel(function)
        needs_gamma = not callable(function) and "gamma" in _KERNEL_ARGUMENTS[function]
        resolved = _resolved_gamma(gamma, X) if needs_gamma else 0.0
        return cls(function, resolved, degree, coef0)

    def __call__(self, X: Any, Y: Any = None) -> FloatArray:
        """Return the kernel matrix of X and Y, shape (n_samples_X, n_samples_Y).

        Raises
        ------
        ValueError
            If the kernel is not finite, or a callable kernel returns another shape.
        """
        Y = X if Y is None else Y
        if callable(self.function):
            matrix = np.asarray(self.function(X, Y), dtype=np.float64)
            expected = (X.shape[0], Y.shape[0])
            if matrix.shape != expected:
                raise ValueError(
                    f"the kernel callable returned an array of shape {matrix.shape}; it must "
                    f"return (n_samples_X, n_samples_Y) = {expected}."
                )
            if not _is_finite(matrix):
                raise ValueError(
                    "the kernel callable must return finite values; got NaN or infinity. Scale X."
                )
            return matrix
        if self.function == "precomputed":
            return np.asarray(X, dtype=np.float64)
        arguments = {name: getattr(self, name) for name in _KERNEL_ARGUMENTS[self.function]}
        found: Any
        with np.errstate(all="ignore"):  # what overflows is an error below
            if self.function == "rbf" and type(X) is type(Y) is np.ndarray:
                found = _rbf(X, Y, self.gamma)
            else:
                found = pairwise_kernels(X, Y, metric=self.function, **arguments)
        found = found.toarray() if sparse.issparse(found) else found
        matrix = np.asarray(found, dtype=np.float64)
        if not _is_finite(matrix):
            values = "".join(f", {name}={value:.4g}" for name, value in arguments.items())
            largest = max(_largest(X), _largest(Y))
            raise ValueError(
                f"kernel={self.function!r}{values} is not finite for this X, whose values reach "
                f"{largest:.3g}: it overflows. {_remedy(self.function, largest)}"
            )
        return matrix


def _rbf(X: FloatArray, Y: FloatArray, gamma: float) -> FloatArray:
    """Return `sklearn.metrics.pairwise.rbf_kernel` of dense arrays, without its checks.

    The checks take ten times as long as the kernel of 20 samples, and X was checked before.
    """
    matrix = np.asarray(-2.0 * (X @ Y.T))
    matrix += row_norms(X, squared=True)[:, None]
    matrix += row_norms(Y, squared=True)[None, :]
    np.maximum(matrix, 0.0, out=matrix)
    if X is Y:
        np.fill_diagonal(matrix, 0.0)
    matrix *= -gamma
    return np.asarray(np.exp(matrix, out=matrix))


def check_kernel(function: object) -> None:
    """Check that ``function`` is a kernel.

    Raises
    ------
    ValueError
        Unless it is one of `KERNEL_NAMES` or a callable.
    """
    if not callable(function) and not (isinstance(function, str) and function in KERNEL_NAMES):
        raise ValueError(
            f"kernel={shown(function)} is not known; use one of {list(KERNEL_NAMES)} or a "
            "callable f(X, Y) that returns an array of shape (n_samples_X, n_samples_Y)."
        )


def _is_finite(matrix: FloatArray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        total = matrix.sum()  # one quick pass, unless it overflows
    return bool(np.isfinite(total)) or bool(np.isfinite(matrix).all())


def _largest(X: Any) -> float:
    """Return the largest absolute value of a dense or sparse X."""
    return float(abs(X).max()) if sparse.issparse(X) else float(np.abs(X).max(initial=0.0))


def _remedy(function: str, largest: float) -> str:
    if largest > 1e100:
        return "Scale X, for example with StandardScaler."
    if function == "poly":
        return "Lower degree, gamma or coef0, or scale X, for example with StandardScaler."
    return "Lower gamma or coef0, or scale X, for example with StandardScaler."


def _resolved_gamma(gamma: float | str, X: Any) -> float:
    """Return 1 / (n_features * X.var()) for "scale", 1 / n_features for "auto"."""
    if isinstance(gamma, str) and gamma == "scale":
        with np.errstate(all="ignore"):
            if sparse.issparse(X):
                variance = float(X.multiply(X).mean() - X.mean() ** 2)
            else:
                variance = float(np.var(X))
            is_constant = bool(X.max() == X.min())
        if is_constant:
            return 1.0
        gamma = 1.0 / (X.shape[1] * variance) if variance > np.finfo(float).tiny else np.inf
        if not 0.0 < gamma < np.inf:
            raise ValueError(
                "gamma='scale' is 1 / (n_features * X.var()), and X has values up to "
                f"{_largest(X):.3g} and variance {variance:.3g}, so that it is not a finite "
                "positive number. Scale X, for example with StandardScaler, or set gamma."
            )
        return gamma
    if isinstance(gamma, str) and gamma == "auto":
        return 1.0 / float(X.shape[1])
    return check_real("Kernel", "gamma", gamma, hint="'scale' and 'auto' choose it from X.")


def gram(kernel: Kernel, X: Any, rows: IntArray, columns: IntArray) -> FloatArray:
    """Return the kernel matrix of two selections of the training data.

    For a precomputed kernel X is itself the matrix of all training samples.

    Parameters
    ----------
    kernel : Kernel
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
    rows, columns : ndarray of int
        Training samples of the matrix's rows and columns.

    Raises
    ------
    ValueError
        If a precomputed matrix is not square.
    """
    if kernel.function == "precomputed":
        if X.shape[0] != X.shape[1]:
            raise ValueError(
                "X must be the square kernel matrix of the training data for kernel='precomputed'; "
                f"got shape {X.shape}."
            )
        return np.asarray(X[np.ix_(rows, columns)], dtype=np.float64)
    return kernel(X[rows], X[columns])


def symmetric(matrix: FloatArray) -> FloatArray:
    """Return the matrix without the asymmetry of rounding errors.

    Parameters
    ----------
    matrix : ndarray of shape (n_samples, n_samples)

    Raises
    ------
    ValueError
        If it is asymmetric by more than rounding errors.
    """
    tolerance = 1e-8 * max(float(np.abs(matrix).max()), np.finfo(float).tiny)
    worst = float(np.abs(matrix - matrix.T).max())
    if worst > tolerance:
        raise ValueError(
            f"the kernel matrix must be symmetric; entries differ by up to {worst:.3g} from their "
            "mirror images. Check the kernel, or pass (K + K.T) / 2."
        )
    return 0.5 * (matrix + matrix.T)
