"""The best distinct solutions of one dual, joined into one regression function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsvr.combination import combination_weights
from qsvr.dual import SVRDual
from qsvr.intercept import find_intercept
from qsvr.solvers import DualSolution

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

    coefficients: NDArray[np.float64]
    energies: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def combined(self) -> tuple[NDArray[np.float64], float]:
        """Coefficients, shape (n_samples,), and offset of the weighted average."""
        return self.weights @ self.coefficients, float(self.weights @ self.intercepts)


def combine(
    dual: SVRDual,
    found: DualSolution,
    score_matrix: NDArray[np.float64],
    y_scored: NDArray[np.float64],
    *,
    combination: str,
    intercept: str,
) -> Solutions:
    """Give each solution its offset and its weight.

    Parameters
    ----------
    dual : SVRDual
    found : DualSolution
    score_matrix : ndarray of shape (n_scored, n_samples)
        Kernel of the samples on which solutions are scored with those of the dual.
    y_scored : ndarray of shape (n_scored,)
        Their targets, in the dual's units.
    combination, intercept : str
        One of `COMBINATIONS` and one of `INTERCEPTS`.
    """
    b = found.coefficients[:, 0] - found.coefficients[:, 1]  # (n_solutions, n_samples)
    residuals = dual.y - b @ dual.kernel_matrix
    intercepts = np.array(
        [
            find_intercept(intercept, residual, each, dual.C, dual.epsilon)
            for residual, each in zip(residuals, b, strict=True)
        ]
    )
    predictions = b @ score_matrix.T + intercepts[:, None]
    weights = combination_weights(combination, found.energies, predictions, y_scored)
    return Solutions(b, found.energies, intercepts, weights)
