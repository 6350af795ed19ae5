"""Results of samplers: bit strings, their energies, and information on the sampling."""

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
    """Bit strings with their energies, returned by samplers.

    Attributes
    ----------
    bits : ndarray of shape (n_reads, n_variables), uint8
        Bit strings, one per read.
    energies : ndarray of shape (n_reads,)
        Energies of the dual, offset included.
    info : mapping, default={}
        Information on the sampling, such as sampler, timing and embedding. ``info["polished"]`` is
        True if the sampler itself polished the samples.
    sampleset : dimod.SampleSet, default=None
        Answer of a dimod sampler, from which the samples were read.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import Samples
    >>> samples = Samples(np.array([[0, 1], [1, 1], [0, 1]]), np.array([-1.0, 0.5, -1.0]), {})
    >>> samples.distinct().bits
    array([[0, 1],
           [1, 1]])
    """

    bits: NDArray[np.uint8]
    energies: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict)
    sampleset: dimod.SampleSet | None = None

    def __len__(self) -> int:
        return self.energies.size

    def distinct(self, n: int | None = None) -> Samples:
        """Return the distinct bit strings in the order of ascending energy.

        Parameters
        ----------
        n : int, default=None
            Maximum number of bit strings. None returns all.

        Returns
        -------
        samples : Samples
            Distinct bit strings.
        """
        keep = lowest_distinct(np.packbits(self.bits, axis=1), self.energies, n)
        return replace(self, bits=self.bits[keep], energies=self.energies[keep])


def lowest_distinct(
    rows: NDArray[Any], energies: FloatArray, n: int | None = None, *, always: int | None = None
) -> IntArray:
    """Return the indices of the ``n`` lowest distinct rows (by default all), lowest first.

    If ``n`` is at least 5, a row equal to that at ``always`` is among them.
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
