"""What a sampler returns: bit strings, their energies, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray

__all__ = ["Samples"]


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
    """

    bits: NDArray[np.uint8]
    energies: FloatArray
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.energies.size

    def distinct(self, n: int | None = None) -> Samples:
        """Return the ``n`` lowest of the distinct bit strings, by ascending energy."""
        order = np.argsort(self.energies, kind="stable")
        packed = np.packbits(self.bits[order], axis=1)
        _, first = np.unique(packed, axis=0, return_index=True)
        keep = order[np.sort(first)][:n]
        return Samples(self.bits[keep], self.energies[keep], self.info)
