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
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernels import Kernel, gram

__all__ = ["KernelRows", "kernel_product"]

_MEGABYTE = 2**20
# Samples at a time for the diagonal: small squares of the matrix hold it.
_DIAGONAL_BLOCK = 64
# Entries computed at a time: a block stays in the processor's cache, and memory within bounds.
_BLOCK_ENTRIES = 2**17
_FEWEST_ROWS = 64


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
        self.capacity = int(min(max(cache_size * _MEGABYTE // (4 * n), 2), n))
        self._rows = np.empty((self.capacity, n), dtype=np.float32)  # untouched pages cost nothing
        self._slot: OrderedDict[int, int] = OrderedDict()  # sample -> row of the store, by last use
        self._factor = _rbf_factor(kernel, X, selected)
        self.n_computed = 0

    def __getitem__(self, samples: IntArray) -> NDArray[np.float32]:
        """Return rows of the given distinct samples, shape (samples.size, n_samples)."""
        slots = self._slots_of(samples)
        return self._rows[slots]

    def square(self, samples: IntArray) -> FloatArray:
        """Return the matrix of distinct samples with each other, in double precision."""
        slots = self._slots_of(samples)
        matrix = self._rows[slots[:, None], samples].astype(np.float64)
        return np.asarray(0.5 * (matrix + matrix.T))

    def add_product(self, change: FloatArray, samples: IntArray, field: FloatArray) -> None:
        """Add ``change`` @ rows of distinct samples to ``field``, of shape (n_samples,)."""
        moved = np.flatnonzero(change)
        slots = self._slots_of(samples[moved])
        step = _rows_at_a_time(self._selected.size)
        for first in range(0, moved.size, step):
            part = slice(first, first + step)
            field += change[moved[part]].astype(np.float32) @ self._rows[slots[part]]

    def _slots_of(self, samples: IntArray) -> IntArray:
        """Return where the rows of distinct samples are stored; compute the missing ones."""
        if samples.size > self.capacity:  # one request may exceed the bound
            self.capacity = samples.size
            self._rows = np.empty((samples.size, self._selected.size), dtype=np.float32)
            self._slot.clear()
        missing = []
        for sample in samples.tolist():
            if sample in self._slot:
                self._slot.move_to_end(sample)
            else:
                missing.append(sample)
        slots = np.empty(len(missing), dtype=np.intp)
        for position, sample in enumerate(missing):
            slot = len(self._slot)
            if slot >= self.capacity:  # replace the least recently used row
                _, slot = self._slot.popitem(last=False)
            self._slot[sample] = slots[position] = slot
        step = _rows_at_a_time(self._selected.size)
        if self._factor is None:  # every call copies the data
            step = max(step, _FEWEST_ROWS)
        for first in range(0, len(missing), step):
            part = slice(first, first + step)
            try:
                self._rows[slots[part]] = self._computed(np.array(missing[part]))
            except BaseException:
                self._slot.clear()  # rows that were announced are not there
                raise
        self.n_computed += len(missing)
        return np.array([self._slot[sample] for sample in samples.tolist()], dtype=np.intp)

    def _computed(self, samples: IntArray) -> NDArray[Any]:
        if self._factor is None:
            return gram(self._kernel, self._X, self._selected[samples], self._selected)
        rows, squares = self._factor[:-2, samples], self._factor[-1, samples]
        left = np.vstack([2.0 * rows, -squares, -np.ones(samples.size)])
        # Rounded to single precision, an exponent x changes exp(x) by less than 3e-8.
        exponents = (self._kernel.gamma * left.T @ self._factor).astype(np.float32)
        return np.asarray(np.exp(np.minimum(exponents, 0.0, out=exponents), out=exponents))

    @cached_property
    def diagonal(self) -> FloatArray:
        """The diagonal of the kernel matrix, shape (n_samples,)."""
        if self._kernel.function in {"rbf", "laplacian"}:
            return np.ones(self._selected.size)
        blocks = np.array_split(self._selected, -(-self._selected.size // _DIAGONAL_BLOCK))
        parts = [gram(self._kernel, self._X, block, block).diagonal() for block in blocks]
        return np.concatenate(parts)


def _rows_at_a_time(n_columns: int) -> int:
    return max(_BLOCK_ENTRIES // n_columns, 1)


def _rbf_factor(kernel: Kernel, X: Any, selected: IntArray) -> FloatArray | None:
    """Return (features, ones, squares) of shape (n_features + 2, n_samples) for an rbf kernel.

    A product with it is the kernel's exponent. With dense features that takes a fifth of the time
    of scikit-learn's function, which makes several passes over memory. None for other kernels.
    """
    if kernel.function != "rbf" or not isinstance(X, np.ndarray):
        return None
    features = X[selected].T
    features = features - features.mean(axis=1)[:, None]  # small squares lose fewer digits
    return np.vstack([features, np.ones(selected.size), (features**2).sum(axis=0)])


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
