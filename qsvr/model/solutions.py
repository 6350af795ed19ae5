"""Combination of the best distinct solutions of one dual into one regression function.

An average can be far better than each of its members, or far worse than the best of them. The
training objective of the average decides how many are averaged; see `qsvr.problem.objective`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsvr._typing import FloatArray
from qsvr.model.combination import combination_weights
from qsvr.model.intercept import kkt_intercept, primal_intercept
from qsvr.problem import LargeDual, SVRDual, TrainingData, lowest_average
from qsvr.solve import DualSolution

__all__ = ["Solutions", "combine"]


@dataclass(frozen=True, eq=False)
class Solutions:
    """Distinct solutions of a fit in the order of ascending energy, and their weights.

    Attributes
    ----------
    coefficients : ndarray of shape (n_solutions, n_samples)
        Coefficients b = a - a-hat of the training samples of positive weight.
    energies, intercepts, weights : ndarray of shape (n_solutions,)
        Dual energy, offset, and weight in the average. Weights have the sum 1; they are 0 for
        solutions that would raise the training objective of the average.
    objective : float
        Training objective of the average; see `qsvr.problem.objective`.

    See Also
    --------
    QSVR : The estimator, which keeps them as ``solutions_``.
    qsvr.model.combination.combination_weights : The weights of a combination.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import QSVR
    >>> X, y = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 12) ** 2
    >>> solutions = QSVR(random_state=0).fit(X, y).solutions_
    >>> bool(np.all(np.diff(solutions.energies) >= 0)), round(float(solutions.weights.sum()), 6)
    (True, 1.0)
    """

    coefficients: FloatArray
    energies: FloatArray
    intercepts: FloatArray
    weights: FloatArray
    objective: float

    @property
    def combined(self) -> tuple[FloatArray, float]:
        """Coefficients, of shape (n_samples,), and offset of the weighted average."""
        return self.weights @ self.coefficients, float(self.weights @ self.intercepts)


def combine(
    dual: SVRDual | LargeDual,
    found: DualSolution,
    data: TrainingData,
    *,
    combination: str,
    intercept: str,
) -> tuple[Solutions, FloatArray]:
    """Compute each solution's offset, predictions for the validation samples, and weight.

    ``dual`` was built from ``data``, and ``found`` are its solutions. ``combination`` and
    ``intercept`` are one of `COMBINATIONS` and one of `INTERCEPTS`. The predictions have shape
    (n_solutions, n_validation).
    """
    b = found.b
    outputs = dual.outputs(b) if found.outputs is None else found.outputs
    residuals = dual.y - outputs
    if intercept == "kkt":
        pairs = zip(residuals, b, strict=True)
        intercepts = np.array([kkt_intercept(r, each, dual.box, dual.epsilon) for r, each in pairs])
    else:
        intercepts = primal_intercept(residuals, dual.epsilon, dual.box)
    predictions = data.validation_outputs(b, outputs) + intercepts[:, None]
    weights = combination_weights(combination, found.energies, predictions, data.y[data.validation])
    weights, objective = lowest_average(
        weights, b, outputs, dual.y, epsilon=dual.epsilon, C=dual.box
    )
    return Solutions(b, found.energies, intercepts, weights, objective), predictions
