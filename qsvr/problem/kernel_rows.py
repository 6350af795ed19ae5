"""Cache of the rows of a kernel matrix that is never stored as a whole.

>>> import numpy as np
>>> from qsvr.problem.kernels import Kernel
>>> X = np.array([[0.0], [1.0], [2.0]])
>>> kernel = Kernel.resolve("linear", gamma="auto", degree=3, coef0=0.0, X=X)
>>> rows = KernelRows(kernel, X, np.arange(3), cache_size=1.0)
>>> rows[np.array([2])]
array([[0., 2., 4.]], dtype=float32)
"""

from __future__ import annotations

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
        Features, or the kernel matrix of all training samples for a precomputed kernel.
    selected : ndarray of shape (n_samples,)
        Rows of X that are used.
    cache_size : float
        Memory for the rows, in MB (2**20 bytes). At least the rows of one request are held.
    """

    def __init__(self, kernel: Kernel, X: Any, selected: IntArray, cache_size: float) -> None:
        self._kernel = kernel
        self._X = X
        self._selected = selected
        n = selected.size
        self._make_store(int(min(max(cache_size / (4 * n) * _MEGABYTE, 2), n)))
        self._factor = _rbf_factor(kernel, X, selected)
        self.n_computed = 0

    def __getitem__(self, samples: IntArray) -> NDArray[np.float32]:
        """Return rows of the given distinct samples, shape (samples.size, n_samples)."""
        slots = self._slots_of(samples)
        return self._rows[slots]

    def square(self, samples: IntArray) -> NDArray[np.float32]:
        """Return the matrix of distinct samples with each other."""
        slots = self._slots_of(samples)
        return self._rows[slots[:, None], samples]

    def add_product(self, change: FloatArray, samples: IntArray, field: FloatArray) -> None:
        """Add ``change`` @ rows of distinct samples to ``field``, of shape (n_samples,)."""
        moved = np.flatnonzero(change)
        slots = self._slots_of(samples[moved])
        n_parts = -(-moved.size * self._selected.size // _BLOCK_ENTRIES) or 1
        for part in np.array_split(np.arange(moved.size), n_parts):
            field += change[moved[part]].astype(np.float32) @ self._rows[slots[part]]

    def _slots_of(self, samples: IntArray) -> IntArray:
        """Return the slots of the rows of distinct samples, and compute the missing rows."""
        if samples.size > self.capacity:  # one request may exceed the bound
            self._make_store(samples.size)
        self._clock += 1
        stored = self._slot[samples] >= 0
        self._last_use[self._slot[samples[stored]]] = self._clock
        missing = samples[~stored]
        if missing.size:
            # Replace the least recently used rows; those that were never used come first.
            slots = np.argpartition(self._last_use, missing.size - 1)[: missing.size]
            self._slot[self._sample[slots][self._last_use[slots] > 0]] = -1
            self._last_use[slots] = 0  # so that a failure below leaves no row without content
            for part in np.array_split(np.arange(missing.size), self._n_parts(missing.size)):
                self._rows[slots[part]] = self._computed(missing[part])
            self._slot[missing], self._sample[slots] = slots, missing
            self._last_use[slots] = self._clock
            self.n_computed += missing.size
        return self._slot[samples]

    def _make_store(self, capacity: int) -> None:
        n = self._selected.size
        self.capacity = capacity
        self._rows = np.empty((capacity, n), dtype=np.float32)  # untouched pages cost nothing
        self._slot = np.full(n, -1)  # where each sample's row is stored, -1 if it is not
        self._sample = np.zeros(capacity, dtype=np.intp)  # whose row is in each slot
        self._last_use = np.zeros(capacity, dtype=np.int64)  # request of each slot's last use
        self._clock = 0

    def _n_parts(self, n_rows: int) -> int:
        """Return the number of parts in which rows are computed."""
        most = _BLOCK_ENTRIES // self._selected.size
        # Without a factor every part copies all the data.
        return -(-n_rows // max(most, 1 if self._factor is not None else _FEWEST_ROWS))

    def _computed(self, samples: IntArray) -> NDArray[Any]:
        if self._factor is None:
            block = gram(self._kernel, self._X, self._selected[samples], self._selected)
            return _single(block)
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


def _single(block: FloatArray) -> NDArray[np.float32]:
    """Return kernel rows in single precision, or raise ValueError if they overflow."""
    with np.errstate(over="ignore"):
        rows = block.astype(np.float32)
    if not np.isfinite(rows.sum(dtype=np.float64)):
        raise ValueError(
            f"the kernel has values up to {np.abs(block).max():.3g}; working sets keep its rows "
            "in single precision, which holds values up to 3e+38. Scale the kernel or X, or set "
            "max_variables=None, which solves one QUBO in double precision."
        )
    return rows


def _rbf_factor(kernel: Kernel, X: Any, selected: IntArray) -> FloatArray | None:
    """Return (features, ones, squares) of shape (n_features + 2, n_samples) for an rbf kernel.

    A product with it is the kernel's exponent. With dense features that takes a fifth of the time
    of scikit-learn's function, which makes several passes over memory. None for other kernels.
    """
    if kernel.function != "rbf" or not isinstance(X, np.ndarray):
        return None
    features = X[selected].T
    with np.errstate(over="ignore", invalid="ignore"):
        features = features - features.mean(axis=1)[:, None]  # small squares lose fewer digits
        factor = np.vstack([features, np.ones(selected.size), (features**2).sum(axis=0)])
    return factor if np.isfinite(factor).all() else None


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
