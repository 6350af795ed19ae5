"""Rows of a kernel matrix that is never stored whole, with the most recently used ones kept.

>>> import numpy as np
>>> from qsvr.problem.kernels import Kernel
>>> X = np.array([[0.0], [1.0], [2.0]])
>>> kernel = Kernel.resolve("linear", gamma="auto", degree=3, coef0=0.0, X=X)
>>> rows = KernelRows(kernel, X, np.arange(3), cache_size=1.0)
>>> rows[np.array([2])]
array([[0., 2., 4.]], dtype=float32)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernels import Kernel, gram

__all__ = ["KernelRows", "kernel_product"]

_MEGABYTE = 2**20
# Samples at a time for the diagonal: small squares of the matrix hold it.
_DIAGONAL_BLOCK = 64


class KernelRows:
    """Rows of the kernel matrix of selected training samples, in single precision as in libsvm.

    Parameters
    ----------
    kernel : Kernel
    X : {ndarray, sparse matrix} of shape (n_training_samples, n_features)
        Or the kernel matrix of all training samples, for a precomputed kernel.
    selected : ndarray of shape (n_samples,)
        Rows of X that take part.
    cache_size : float
        Memory for the rows, in MB (2**20 bytes). At least the rows of one request are held.
    """

    def __init__(self, kernel: Kernel, X: Any, selected: IntArray, cache_size: float) -> None:
        self._kernel = kernel
        self._X = X
        self._selected = selected
        n = selected.size
        self.capacity = int(min(max(cache_size / (4 * n) * _MEGABYTE, 2), n))
        self._rows = np.empty((self.capacity, n), dtype=np.float32)  # untouched pages cost nothing
        self._slot: OrderedDict[int, int] = OrderedDict()  # sample -> row of the store, by last use
        self.n_computed = 0

    def __getitem__(self, samples: IntArray) -> NDArray[np.float32]:
        """Return rows of the given distinct samples, shape (samples.size, n_samples)."""
        if samples.size > self.capacity:  # one request may exceed the bound
            self.capacity = samples.size
            self._rows = np.empty((samples.size, self._selected.size), dtype=np.float32)
            self._slot.clear()
        missing = np.array([s for s in samples.tolist() if s not in self._slot], dtype=np.intp)
        for sample in samples.tolist():
            if sample in self._slot:
                self._slot.move_to_end(sample)
        if missing.size:
            block = gram(self._kernel, self._X, self._selected[missing], self._selected)
            for sample in missing.tolist():
                slot = len(self._slot)
                if slot >= self.capacity:  # replace the least recently used row
                    _, slot = self._slot.popitem(last=False)
                self._slot[sample] = slot
            self._rows[[self._slot[sample] for sample in missing.tolist()]] = _single(block)
            self.n_computed += missing.size
        return self._rows[[self._slot[sample] for sample in samples.tolist()]]

    def diagonal(self) -> FloatArray:
        """Return the diagonal of the kernel matrix, shape (n_samples,)."""
        blocks = np.array_split(self._selected, -(-self._selected.size // _DIAGONAL_BLOCK))
        parts = [gram(self._kernel, self._X, block, block).diagonal() for block in blocks]
        return np.concatenate(parts)


def _single(block: FloatArray) -> NDArray[np.float32]:
    """Return kernel rows in single precision, or raise ValueError where it does not hold them."""
    with np.errstate(over="ignore"):
        rows = block.astype(np.float32)
    if not np.isfinite(rows.sum(dtype=np.float64)):
        raise ValueError(
            f"the kernel has values up to {np.abs(block).max():.3g}; working sets keep its rows "
            "in single precision, which holds values up to 3e+38. Scale the kernel or X, or set "
            "max_variables=None, which solves one QUBO in double precision."
        )
    return rows


def kernel_product(
    kernel: Kernel,
    X: Any,
    rows: IntArray,
    columns: IntArray,
    b: FloatArray,
    *,
    cache_size: float,
) -> FloatArray:
    """Return b K[rows, columns]' for b of shape (n_solutions, columns.size).

    ``rows`` and ``columns`` select from X. At most ``cache_size`` MB of K are held at a time.
    """
    used = np.flatnonzero(b.any(axis=0))
    if used.size == 0:
        return np.zeros((b.shape[0], rows.size))
    step = max(int(cache_size * _MEGABYTE // (8 * used.size)), 1)
    parts = [
        b[:, used] @ gram(kernel, X, rows[first : first + step], columns[used]).T
        for first in range(0, rows.size, step)
    ]
    return np.concatenate(parts, axis=1)
