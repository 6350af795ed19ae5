"""Training data of one fit: the rows that are used, their targets, and their kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernel_rows import kernel_product
from qsvr.problem.kernels import Kernel, gram, symmetric
from qsvr.problem.spectrum import Spectrum

__all__ = ["TrainingData", "split_rows", "target_unit"]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training data, split into rows to train on and rows to score on.

    Attributes
    ----------
    kernel : Kernel
    X : {ndarray, sparse matrix} of shape (n_training_samples, n_features)
        Features, or the kernel matrix for a precomputed kernel.
    y : ndarray of shape (n_training_samples,)
        Targets minus ``centre``, divided by ``unit``.
    centre : float
    train, validation : ndarray of int
        Rows of X; the same object if nothing is held out.
    cache_size : float
        Memory for kernel rows, in MB.
    unit : float
        Unit of ``y``, of the dual's coefficients and of the offsets, in units of the user's y.
    spectrum : Spectrum, optional
        Correction of an indefinite kernel.
    matrix : ndarray of shape (n_train, n_train), optional
        Uncorrected kernel matrix of the training rows, if it was computed.
    """

    kernel: Kernel
    X: Any
    y: FloatArray
    centre: float
    train: IntArray
    validation: IntArray
    cache_size: float
    unit: float = 1.0
    spectrum: Spectrum | None = None
    matrix: FloatArray | None = None

    def corrected(self, method: str) -> TrainingData:
        """Return the same data with a positive semi-definite kernel matrix.

        Parameters
        ----------
        method : {"clip", "shift"}
            See `qsvr.problem.spectrum`.
        """
        matrix = symmetric(gram(self.kernel, self.X, self.train, self.train))
        return replace(self, spectrum=Spectrum.of(matrix, method), matrix=matrix)

    def kernel_matrix(self, rows: IntArray) -> FloatArray:
        """Return the corrected kernel matrix of some training rows."""
        if self.matrix is None:
            return gram(self.kernel, self.X, rows, rows)
        samples = np.searchsorted(self.train, rows)  # train is ascending
        matrix = self.matrix[np.ix_(samples, samples)]
        return matrix if self.spectrum is None else self.spectrum.applied(matrix, samples)

    def predicting(self, b: FloatArray) -> FloatArray:
        """Return the coefficients for prediction, (..., n_train), from those of the dual.

        They differ if negative eigenvalues were clipped.
        """
        return b if self.spectrum is None else self.spectrum.predicting(b)

    def validation_outputs(self, b: FloatArray, outputs: FloatArray) -> FloatArray:
        """Return the outputs of solutions b for the validation rows, (n_solutions, n_validation).

        ``outputs`` are those for the training rows.
        """
        if self.validation is self.train:
            return outputs
        return kernel_product(
            self.kernel, self.X, self.validation, self.train, self.predicting(b),
            cache_size=self.cache_size,
        )  # fmt: skip


def split_rows(
    rows: IntArray, fraction: float, random_state: np.random.RandomState
) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and the rows to score on; equal for fraction 0."""
    n_held_out = int(np.ceil(fraction * rows.size))
    if n_held_out == 0:
        return rows, rows
    if rows.size - n_held_out < 2:
        raise ValueError(
            f"combination_fraction={fraction} leaves {rows.size - n_held_out} "
            f"of {rows.size} samples to train on; at least 2 are required. Lower it."
        )
    shuffled = random_state.permutation(rows)
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])


def target_unit(y: FloatArray) -> float:
    """Return the standard deviation of targets of shape (n_samples,), or 1 if they are constant.

    Differences of the order of rounding errors count as constant.
    """
    largest = float(np.abs(y).max())
    if largest == 0.0:
        return 1.0
    std = largest * float(np.std(y / largest))  # squares of the targets themselves may overflow
    return std if std > 1e-14 * largest else 1.0
