"""The training data of one fit: which rows take part, their targets, and their kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernel_rows import KernelRows, kernel_product
from qsvr.problem.kernels import Kernel, gram

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["TrainingData", "previous_solution", "split_rows"]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training data with the rows that are learned from and those that solutions are scored on.

    Attributes
    ----------
    kernel : Kernel
    X : {ndarray, sparse matrix} of shape (n_training_samples, n_features)
        Or the kernel matrix, for a precomputed kernel.
    y : ndarray of shape (n_training_samples,)
        Targets less ``centre``.
    centre : float
    learning, scored : ndarray of int
        Rows of X; the same object where nothing is held out.
    cache_size : float
        MB for kernel rows.
    """

    kernel: Kernel
    X: Any
    y: FloatArray
    centre: float
    learning: IntArray
    scored: IntArray
    cache_size: float

    def block(self, rows: IntArray) -> FloatArray:
        """Return the kernel matrix of some rows of X."""
        return gram(self.kernel, self.X, rows, rows)

    def rows(self) -> KernelRows:
        """Return the kernel of the rows learned from, on demand."""
        return KernelRows(self.kernel, self.X, self.learning, self.cache_size)

    def scored_outputs(self, b: FloatArray, outputs: FloatArray) -> FloatArray:
        """Return the outputs of solutions b for the scored rows, (n_solutions, n_scored).

        ``outputs`` are those for the rows learned from.
        """
        if self.scored is self.learning:
            return outputs
        return kernel_product(
            self.kernel, self.X, self.scored, self.learning, b, cache_size=self.cache_size
        )


def previous_solution(model: QSVR, data: TrainingData) -> FloatArray | None:
    """Return b of the rows learned from as the model has it, where it was fitted before.

    Raises
    ------
    ValueError
        If it was fitted to another number of samples.
    """
    if not hasattr(model, "solutions_"):
        return None
    combined = model.solutions_.combined[0]
    if combined.size != data.learning.size:
        raise ValueError(
            f"warm_start of {type(model).__name__} needs as many samples as the fit before: "
            f"{combined.size}; got {data.learning.size}. Set warm_start=False to start afresh."
        )
    return combined


def split_rows(
    rows: IntArray, fraction: float, random_state: np.random.RandomState
) -> tuple[IntArray, IntArray]:
    """Return the rows to learn from and those on which solutions are scored."""
    n_held_out = int(np.ceil(fraction * rows.size))
    if n_held_out == 0:
        return rows, rows
    if rows.size - n_held_out < 2:
        raise ValueError(
            f"combination_fraction={fraction} leaves {rows.size - n_held_out} "
            f"of {rows.size} samples to learn from; at least 2 are needed. Make it smaller."
        )
    shuffled = random_state.permutation(rows)
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])
