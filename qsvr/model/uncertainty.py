"""Standard deviations of predictions from the spread of the distinct solutions.

The distinct low-energy solutions differ most where training data are scarce, but the size of the
difference depends on the number of bits and on the sampler, not on the error. Their spread
therefore gives the shape, and the residuals give the scale::

    std(x)^2 = tau^2 * (1 + s(x)^2 / mean(s^2)) / 2

where s(x) is the weighted standard deviation of the solutions' predictions. ``tau^2`` is the mean
squared residual of the held-out samples if there are any. Otherwise it is that of the training
samples, each as if it had been left out, by the span estimate of Vapnik and Chapelle (2000)::

    y_n - f_without_n(x_n) = y_n - f(x_n) + b_n * S_n^2

with S_n the distance in feature space of sample n from the span of the free support vectors. Beyond
2000 support vectors the correction is left out, and the estimates are slightly too small. In
`benchmarks/spread.py` coverage is near nominal, and the shape adds little to a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from qsvr._typing import FloatArray, IntArray
from qsvr.model.solutions import Solutions
from qsvr.problem import TrainingData

__all__ = ["Spread", "left_out_residuals"]

_MOST_SUPPORT_VECTORS = 2_000


@dataclass(frozen=True, eq=False)
class Spread:
    """Data from which standard deviations are predicted.

    Attributes
    ----------
    data_rows : ndarray of shape (n_used,)
        Training samples that any solution uses.
    vectors : {ndarray, sparse matrix} of shape (n_used, n_features)
        Their features; empty for a precomputed kernel.
    solutions : Solutions
        Restricted to these samples.
    tau : float
        Root mean squared residual, in units of the training data's y.
    mean_square : float
        Mean of the solutions' variance over the samples that gave ``tau``.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import QSVR
    >>> X, y = np.arange(6.0)[:, None], np.sin(np.arange(6.0))
    >>> model = QSVR(n_refinements=0, random_state=0).fit(X, y)
    >>> prediction, std = model.predict(X, return_std=True)
    >>> bool((std >= 0).all())
    True
    """

    data_rows: IntArray
    vectors: Any
    solutions: Solutions
    tau: float
    mean_square: float

    @classmethod
    def of(
        cls,
        solutions: Solutions,
        data: TrainingData,
        predictions: FloatArray,
        C: FloatArray,
    ) -> Spread:
        """Calibrate on the validation samples.

        Parameters
        ----------
        solutions : Solutions
        data : TrainingData
        predictions : ndarray of shape (n_solutions, n_validation)
            Of each solution for the validation samples.
        C : ndarray of shape (n_samples,)
        """
        residuals = data.y[data.validation] - solutions.weights @ predictions
        if data.validation is data.train:
            residuals = left_out_residuals(residuals, solutions.combined[0], C, data)
        taken = solutions.weights > 0.0
        coefficients = data.predicting(solutions.coefficients[taken])
        used = np.flatnonzero(coefficients.any(axis=0))
        rows = data.train[used]
        precomputed = data.kernel.function == "precomputed"
        restricted = Solutions(
            coefficients[:, used], solutions.energies[taken], solutions.intercepts[taken],
            solutions.weights[taken], solutions.objective,
        )  # fmt: skip
        return cls(
            rows,
            np.empty((0, 0)) if precomputed else data.X[rows],
            restricted,
            float(np.sqrt(np.mean(residuals**2))),
            float(_variance(restricted.weights, predictions[taken]).mean()),
        )

    def std(self, matrix: FloatArray) -> FloatArray:
        """Return standard deviations, shape (n_samples,), in units of the training data's y.

        Parameters
        ----------
        matrix : ndarray of shape (n_samples, n_used)
            Kernel of the samples with `data_rows`.
        """
        chosen = self.solutions
        outputs = chosen.coefficients @ matrix.T + chosen.intercepts[:, None]
        variance = _variance(chosen.weights, outputs)
        if self.mean_square <= 1e-24 * max(self.tau**2, np.finfo(float).tiny):
            return np.full(len(variance), self.tau)  # the solutions agree: no shape
        return np.asarray(self.tau * np.sqrt(0.5 + 0.5 * variance / self.mean_square))


def left_out_residuals(
    residuals: FloatArray,
    b: FloatArray,
    C: FloatArray,
    data: TrainingData,
) -> FloatArray:
    """Estimate the residuals that training samples would have if they were left out.

    Parameters
    ----------
    residuals, b, C : ndarray of shape (n_samples,)
        Training residuals, dual coefficients and their bounds.
    data : TrainingData
    """
    support = np.flatnonzero(np.abs(b) > 1e-9 * C)
    if not 0 < support.size <= _MOST_SUPPORT_VECTORS:
        return residuals
    kernel = data.kernel_matrix(data.train[support])
    # In units in which the kernel is of the order of one, as the border of the matrix inverted.
    exponent = int(np.frexp(float(np.abs(np.diag(kernel)).mean()))[1])
    unit = 2.0**exponent if abs(exponent) > 16 else 1.0
    free = np.flatnonzero(np.abs(b[support]) < (1.0 - 1e-9) * C[support])
    result = residuals.copy()
    result[support] += unit * b[support] * _squared_spans(kernel / unit, free)
    return result


def _squared_spans(kernel: FloatArray, free: IntArray) -> FloatArray:
    """Return S^2 of each support vector, shape (n_support,), never negative."""
    diagonal = np.diag(kernel).copy()
    if free.size == 0:
        return np.maximum(diagonal, 0.0)
    jitter = 1e-6 * max(float(np.abs(diagonal).mean()), np.finfo(float).tiny)
    bordered = np.ones((free.size + 1, free.size + 1))
    bordered[:-1, :-1] = kernel[np.ix_(free, free)] + jitter * np.eye(free.size)
    bordered[-1, -1] = 0.0
    inverse = linalg.inv(bordered)
    edges = np.vstack([kernel[free], np.ones(len(kernel))])  # (n_free + 1, n_support)
    spans = diagonal - np.einsum("is,is->s", edges, inverse @ edges)
    pivots = np.diag(inverse)[:-1]
    spans[free] = 1.0 / np.maximum(pivots, 1e-12)
    return np.asarray(np.clip(spans, 0.0, np.maximum(2.0 * diagonal, 0.0)))


def _variance(weights: FloatArray, predictions: FloatArray) -> FloatArray:
    # (n_solutions,), (n_solutions, n_samples) -> (n_samples,)
    mean = weights @ predictions
    return np.asarray(weights @ (predictions - mean) ** 2)
