"""The training data of one fit: which rows take part, their targets, and their kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernel_rows import kernel_product
from qsvr.problem.kernels import Kernel, gram

__all__ = ["TrainingData", "split_rows"]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training data, split into the rows that solutions are trained and scored on.

    Attributes
    ----------
    kernel : Kernel
    X : {ndarray, sparse matrix} of shape (n_training_samples, n_features)
        Or the kernel matrix, for a precomputed kernel.
    y : ndarray of shape (n_training_samples,)
        Targets less ``centre``.
    centre : float
    train, validation : ndarray of int
        Rows of X; the same object where nothing is held out.
    cache_size : float
        MB for kernel rows.
    """

    kernel: Kernel
    X: Any
    y: FloatArray
    centre: float
    train: IntArray
    validation: IntArray
    cache_size: float

    def kernel_matrix(self, rows: IntArray) -> FloatArray:
        """Return the kernel matrix of some rows of X."""
        return gram(self.kernel, self.X, rows, rows)

    def validation_outputs(self, b: FloatArray, outputs: FloatArray) -> FloatArray:
        """Return the outputs of solutions b for the validation rows, (n_solutions, n_validation).

        ``outputs`` are those for the training rows.
        """
        if self.validation is self.train:
            return outputs
        return kernel_product(
            self.kernel, self.X, self.validation, self.train, b, cache_size=self.cache_size
        )


def split_rows(
    rows: IntArray, fraction: float, random_state: np.random.RandomState
) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and the rows to score on, the same ones for fraction 0."""
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
