"""The best distinct solutions of one dual, joined into one regression function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsvr._typing import FloatArray
from qsvr.model.combination import combination_weights
from qsvr.model.intercept import find_intercept
from qsvr.problem import LargeDual, SVRDual, TrainingData
from qsvr.solve import DualSolution

__all__ = ["Solutions", "combine"]


@dataclass(frozen=True, eq=False)
class Solutions:
    """The distinct solutions that were combined, by ascending energy.

    Attributes
    ----------
    coefficients : ndarray of shape (n_solutions, n_samples)
        b = a - a-hat of each training sample that took part.
    energies, intercepts, weights : ndarray of shape (n_solutions,)
        Dual energy, offset, and weight in the combination (they sum to 1).
    """

    coefficients: FloatArray
    energies: FloatArray
    intercepts: FloatArray
    weights: FloatArray

    @property
    def combined(self) -> tuple[FloatArray, float]:
        """Coefficients, shape (n_samples,), and offset of the weighted average."""
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

    Parameters
    ----------
    dual : SVRDual or LargeDual
    found : DualSolution
    data : TrainingData
        What the dual was built from.
    combination, intercept : str
        One of `COMBINATIONS` and one of `INTERCEPTS`.

    Returns
    -------
    solutions : Solutions
    predictions : ndarray of shape (n_solutions, n_validation)
    """
    b = found.b
    outputs = dual.outputs(b) if found.outputs is None else found.outputs
    residuals = dual.y - outputs
    intercepts = np.array(
        [
            find_intercept(intercept, residual, each, dual.C, dual.epsilon)
            for residual, each in zip(residuals, b, strict=True)
        ]
    )
    predictions = data.validation_outputs(b, outputs) + intercepts[:, None]
    weights = combination_weights(combination, found.energies, predictions, data.y[data.validation])
    return Solutions(b, found.energies, intercepts, weights), predictions
