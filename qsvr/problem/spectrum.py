"""Indefinite kernels made positive semi-definite: the spectrum of a training kernel matrix.

Kernels that are measured, such as those of quantum circuits, and some closed forms (sigmoid) are
not positive semi-definite: their dual is not convex. Two remedies are usual (Chen, Garcia, Gupta,
Rahimi and Cazzanti 2009, "Similarity-based classification: concepts and algorithms"):

- clip: negative eigenvalues are set to 0. That is a projection P of the kernel's rows, K+ = K P,
  and rows of new samples are projected as well: their outputs are ``k P b``. Nothing but the
  coefficients changes: the prediction is the original kernel's with ``P b`` in place of b.
- shift: the most negative eigenvalue is subtracted from the diagonal. New samples are unchanged.

>>> import numpy as np
>>> K = np.array([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1
>>> spectrum = Spectrum.of(K, "clip")
>>> spectrum.applied(K, np.arange(2))
array([[1.5, 1.5],
       [1.5, 1.5]])
>>> spectrum.predicting(np.array([[1.0, 0.0]]))
array([[0.5, 0.5]])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from qsvr._typing import FloatArray, IntArray

__all__ = ["PSD_METHODS", "Spectrum", "is_indefinite"]

PSD_METHODS = ("clip", "shift")
# Negative eigenvalues below this fraction of the mean diagonal are rounding, that of kernels
# computed in single precision included.
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Negative part of the spectrum of a kernel matrix, and its correction.

    Attributes
    ----------
    method : {"clip", "shift"}
    values : ndarray of shape (n_negative,)
        The negative eigenvalues, ascending.
    vectors : ndarray of shape (n_samples, n_negative)
        Their eigenvectors; for ``"clip"``.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr.problem.spectrum import Spectrum
    >>> spectrum = Spectrum.of(np.array([[0.0, 1.0], [1.0, 0.0]]), "clip")
    >>> bool(spectrum.values.min() < 0)
    True
    """

    method: str
    values: FloatArray
    vectors: FloatArray

    @classmethod
    def of(cls, matrix: FloatArray, method: str) -> Spectrum:
        """Decompose a kernel matrix.

        Parameters
        ----------
        matrix : ndarray of shape (n_samples, n_samples)
            Symmetric.
        method : {"clip", "shift"}
        """
        if method == "shift":
            lowest = linalg.eigvalsh(matrix, subset_by_index=[0, 0])
            return cls(method, lowest[lowest < 0.0], np.empty((len(matrix), 0)))
        values, vectors = linalg.eigh(matrix)
        negative = values < 0.0
        return cls(method, values[negative], vectors[:, negative])

    def applied(self, matrix: FloatArray, samples: IntArray) -> FloatArray:
        """Return the corrected matrix of some training samples.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            The kernel's.
        samples : ndarray of shape (n,)
            Positions of its samples in the matrix that was decomposed.
        """
        if not self.values.size:
            return matrix
        if self.method == "shift":
            return np.asarray(matrix - self.values[0] * np.eye(len(matrix)))
        vectors = self.vectors[samples]
        return np.asarray(matrix - (vectors * self.values) @ vectors.T)

    def predicting(self, b: FloatArray) -> FloatArray:
        """Return the coefficients for prediction with the original kernel, (..., n_samples).

        Parameters
        ----------
        b : ndarray of shape (..., n_samples)
            Coefficients of the dual of the corrected matrix.
        """
        if self.method == "shift":
            return b
        return np.asarray(b - (b @ self.vectors) @ self.vectors.T)


def is_indefinite(lowest: float, matrix: FloatArray) -> bool:
    """Return whether the lowest eigenvalue is negative by more than rounding errors.

    Parameters
    ----------
    lowest : float
    matrix : ndarray of shape (n_samples, n_samples)
    """
    return lowest < -_ROUNDING * float(np.abs(np.diag(matrix)).mean())
