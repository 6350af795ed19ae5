"""Fixed-point encoding of the non-negative dual coefficients of a support vector machine.

Each coefficient is an offset plus a sum of weighted bits (Pasetto et al. 2022, eq. 8)::

    a_n = offset_n + width_n * sum_i unit_weights_i * x_{n,i},        sum_i unit_weights_i = 1

so that the largest code is exactly ``offset_n + width_n``. By default ``offset`` is 0, ``width`` is
C_n, and the weights are powers of two. A coefficient of width 0 has no bits, so that a sample has
half of them if its box is one-sided, as in classification.

>>> import numpy as np
>>> encoding = FixedPointEncoding.for_box(np.array([7.0]), n_bits=3)
>>> encoding.decode(np.array([[1, 0, 1, 0, 0, 0]], dtype=np.uint8))
array([[[5.],
        [0.]]])
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.dual import two_sided

__all__ = ["MAX_BITS", "FixedPointEncoding"]

# 2**16 levels exceed the precision of any annealer, and keep the table of levels small.
MAX_BITS = 16


@dataclass(frozen=True, eq=False)
class FixedPointEncoding:
    """Binary encoding of coefficients, with an offset and a width for each coefficient.

    Variables are ordered by sample, first all of a, then all of a-hat. The bits of a coefficient
    are in the order of ``unit_weights``. Coefficients of width 0 have no bits.

    Attributes
    ----------
    offset, width : ndarray of shape (2, n_samples)
        Smallest value of each coefficient and length of its window; row 0 is a, row 1 is a-hat.
    unit_weights : ndarray of shape (n_bits,)
        Positive weights of the bits, with sum 1.

    See Also
    --------
    SVRQubo : The QUBO of a dual with this encoding.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding
    >>> encoding = FixedPointEncoding.for_box(np.array([7.0]), n_bits=3)
    >>> encoding.decode(np.array([[1, 0, 1, 0, 0, 0]]))[0, :, 0]  # a = 1 + 4, a-hat = 0
    array([5., 0.])
    """

    offset: FloatArray
    width: FloatArray
    unit_weights: FloatArray

    @classmethod
    def for_box(cls, C: FloatArray, n_bits: int) -> FixedPointEncoding:
        """Return an encoding with weights of powers of two, whose largest code is exactly C_n.

        Parameters
        ----------
        C : ndarray of shape (n_samples,) or (2, n_samples)
            Upper bound of each sample's two coefficients, or of a and of a-hat in two rows.
        n_bits : int
            Bits per coefficient, 1 to `MAX_BITS`.

        Returns
        -------
        encoding : FixedPointEncoding
            The encoding.
        """
        weights = 2.0 ** np.arange(_checked_bits(n_bits))
        width = two_sided(np.asarray(C, dtype=np.float64)).copy()
        return cls(np.zeros_like(width), width, weights / weights.sum())

    @classmethod
    def from_base(
        cls,
        scale: FloatArray,
        n_bits: int,
        *,
        base: float,
        exponent_shift: float = 0.0,
    ) -> FixedPointEncoding:
        """Return an encoding with the weights ``base ** (i - exponent_shift)`` of the publications.

        The box follows from them: ``C_n = scale_n * implied_box(n_bits, base, exponent_shift)``.

        Parameters
        ----------
        scale : ndarray of shape (n_samples,) or (2, n_samples)
            Factor on each sample's weights, ones in the publications; for a and a-hat in two rows.
        n_bits : int
            Bits per coefficient.
        base : float
            Base of the weights, as in Pasetto et al. 2022, eq. 8.
        exponent_shift : float, default=0.0
            Shift of the exponents.

        Returns
        -------
        encoding : FixedPointEncoding
            The encoding.
        """
        weights = _base_weights(n_bits, base, exponent_shift)
        box = weights.sum()
        width = two_sided(np.asarray(scale, dtype=np.float64) * box).copy()
        return cls(np.zeros_like(width), width, weights / box)

    @staticmethod
    def implied_box(n_bits: int, base: float, exponent_shift: float = 0.0) -> float:
        """Return the C that follows from n_bits, base and exponent_shift in `from_base`."""
        return float(_base_weights(n_bits, base, exponent_shift).sum())

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.offset.shape[1])

    @property
    def n_bits(self) -> int:
        """Bits per coefficient."""
        return self.unit_weights.size

    @cached_property
    def active(self) -> IntArray:
        """Indices of the coefficients that have bits, in the flattened (2, n_samples)."""
        return np.asarray(np.flatnonzero(self.width), dtype=np.intp)

    @property
    def n_variables(self) -> int:
        """Number of variables: n_bits for each coefficient of positive width."""
        return self.n_bits * self.active.size

    @cached_property
    def side(self) -> NDArray[np.int64]:
        """1 for samples of which only a has bits, -1 if only a-hat has, else 0; (n_samples,)."""
        has_bits = (self.width > 0.0).astype(np.int64)
        return np.asarray(has_bits[0] - has_bits[1])

    @property
    def weights(self) -> FloatArray:
        """Weight of every bit, shape (2, n_samples, n_bits)."""
        return self.width[:, :, None] * self.unit_weights

    @property
    def _level_table(self) -> tuple[FloatArray, NDArray[np.int64]]:
        return _level_table(self.unit_weights.tobytes())

    @property
    def grid(self) -> FloatArray:
        """The 2**n_bits levels in ascending order, for offset 0 and width 1."""
        return self._level_table[0]

    @property
    def is_uniform(self) -> bool:
        """Whether the levels are equally spaced (powers of two in either direction)."""
        return _is_uniform(self.unit_weights.tobytes())

    @cached_property
    def is_even(self) -> bool:
        """Whether a level changes b by the same amount in all coefficients of a sample."""
        alike = (self.width[0] == self.width[1]) | (self.side != 0)
        return self.is_uniform and bool(alike.all())

    def decode(self, bits: NDArray[Any]) -> FloatArray:
        """Return coefficients, shape (n_reads, 2, n_samples), of bits (n_reads, n_variables)."""
        per_coefficient = bits.reshape(-1, self.active.size, self.n_bits)
        units = self.expanded(per_coefficient @ self.unit_weights)
        return np.asarray(self.offset + self.width * units)

    def values(self, levels: NDArray[np.integer[Any]]) -> FloatArray:
        """Return the coefficients of levels (positions in `grid`) of shape (..., 2, n_samples)."""
        return np.asarray(self.offset + self.width * self.grid[levels])

    def bits(self, levels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the bit strings of levels, shape (n_reads, n_variables)."""
        flat = levels.reshape(levels.shape[0], 2 * self.n_samples)
        if self.active.size < flat.shape[1]:
            flat = flat[:, self.active]
        of_levels = _bits_of_codes(self.n_bits)[self._level_table[1]]
        return np.asarray(of_levels[flat].reshape(levels.shape[0], self.n_variables))

    def levels(self, bits: NDArray[Any]) -> NDArray[np.int64]:
        """Return levels, shape (n_reads, 2, n_samples), of bits (n_reads, n_variables)."""
        powers = 1 << np.arange(self.n_bits, dtype=np.int64)
        codes = bits.reshape(-1, self.active.size, self.n_bits).astype(np.int64) @ powers
        position = np.empty(powers[-1] * 2, dtype=np.int64)
        position[self._level_table[1]] = np.arange(position.size)
        return self.expanded(position[codes])

    def expanded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (n_reads, n_active) of the coefficients with bits as (..., 2, n_samples).

        Those of coefficients without bits are 0.
        """
        if self.active.size < 2 * self.n_samples:
            full = np.zeros((values.shape[0], 2 * self.n_samples), dtype=values.dtype)
            full[:, self.active] = values
            values = full
        return values.reshape(-1, 2, self.n_samples)

    def nearest_levels(self, coefficients: FloatArray) -> NDArray[np.int64]:
        """Return the levels nearest to coefficients of shape (..., 2, n_samples)."""
        safe_width = np.where(self.width > 0, self.width, 1.0)
        unit = np.clip((coefficients - self.offset) / safe_width, 0.0, 1.0)
        upper = np.clip(np.searchsorted(self.grid, unit), 1, self.grid.size - 1)
        nearer_below = unit - self.grid[upper - 1] <= self.grid[upper] - unit
        return upper - nearer_below


@lru_cache(maxsize=64)  # of equal weights in all members of an ensemble, and in all rounds
def _level_table(unit_weights: bytes) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the values of all levels, ascending, and their codes; neither can be written."""
    weights = np.frombuffer(unit_weights)
    codes = np.arange(1 << weights.size)
    values = _unpack(codes, weights.size) @ weights
    order = np.argsort(values, kind="stable")
    values, codes = values[order], codes[order]
    values.flags.writeable = codes.flags.writeable = False
    return values, codes


@lru_cache(maxsize=64)
def _is_uniform(unit_weights: bytes) -> bool:
    steps = np.diff(_level_table(unit_weights)[0])
    return bool(np.allclose(steps, steps[0], rtol=1e-12, atol=0.0))


@lru_cache(maxsize=16)
def _bits_of_codes(n_bits: int) -> NDArray[np.uint8]:
    return _unpack(np.arange(1 << n_bits), n_bits)


def _unpack(codes: NDArray[np.int64], n_bits: int) -> NDArray[np.uint8]:
    # (...,) -> (..., n_bits), least significant bit first
    shifts = np.arange(n_bits, dtype=np.int64)
    return ((codes[..., None] >> shifts) & 1).astype(np.uint8)


def _checked_bits(n_bits: int) -> int:
    if isinstance(n_bits, bool) or int(n_bits) != n_bits or not 1 <= n_bits <= MAX_BITS:
        raise ValueError(
            f"n_bits must be an integer from 1 to {MAX_BITS}; got {n_bits!r}. 2 to 3 bits suit an "
            "annealer, 8 bits agree with scikit-learn's SVR."
        )
    return int(n_bits)


def _base_weights(n_bits: int, base: float, exponent_shift: float) -> FloatArray:
    if not (0 < base < np.inf) or not np.isfinite(exponent_shift):
        raise ValueError(
            "base must be a positive number and exponent_shift a finite one; got "
            f"base={base!r}, exponent_shift={exponent_shift!r}."
        )
    with np.errstate(over="ignore", under="ignore"):
        weights = float(base) ** (np.arange(_checked_bits(n_bits)) - exponent_shift)
        total = weights.sum()
    if not np.isfinite(total) or weights.min() == 0.0:
        raise ValueError(
            f"base={base!r} to the powers of 0 to {n_bits - 1} (n_bits={n_bits}) less "
            f"exponent_shift={exponent_shift!r} overflows or is 0; use fewer bits, a base nearer "
            "to 1 or an exponent_shift nearer to 0."
        )
    return np.asarray(weights, dtype=np.float64)
