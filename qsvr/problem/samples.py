"""What a sampler returns: bit strings, their energies, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray

__all__ = ["Samples", "lowest_distinct"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Bit strings with their energies.

    Attributes
    ----------
    bits : ndarray of shape (n_reads, n_variables), uint8
    energies : ndarray of shape (n_reads,)
        Energies of the dual, offset included.
    info : mapping
        How they were made: sampler, timing, embedding and the like. ``info["polished"]`` says
        whether the sampler itself polished them.
    sampleset : dimod.SampleSet, optional
        The answer that they were read from, where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import Samples
    >>> bits = np.array([[0, 1], [1, 0], [0, 1]], np.uint8)
    >>> len(Samples(bits, np.array([-1.0, 0.0, -1.0])).distinct().energies)
    2
    """

    bits: NDArray[np.uint8]
    energies: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict)
    sampleset: dimod.SampleSet | None = None

    def __len__(self) -> int:
        return self.energies.size

    def distinct(self, n: int | None = None) -> Samples:
        """Return the ``n`` lowest of the distinct bit strings, by ascending energy."""
        keep = lowest_distinct(np.packbits(self.bits, axis=1), self.energies, n)
        return replace(self, bits=self.bits[keep], energies=self.energies[keep])


def lowest_distinct(
    rows: NDArray[Any], energies: FloatArray, n: int | None = None, *, always: int | None = None
) -> IntArray:
    """Return the positions of the ``n`` lowest distinct rows (all by default), lowest first.

    Where ``n`` is at least 5 a row equal to that at ``always`` is among them.
    """
    rows = rows + 0.0 if rows.dtype.kind == "f" else rows  # no negative zeros
    first: dict[bytes, int] = {}
    for i in np.argsort(energies, kind="stable").tolist():
        first.setdefault(rows[i].tobytes(), i)
        if always is None and len(first) == n:
            break
    distinct = np.array(list(first.values()), dtype=np.intp)
    kept = distinct[:n]
    if always is not None and kept.size >= 5:
        required = first[rows[always].tobytes()]
        if required not in kept:
            kept[-1] = required
    return kept
