"""Box relaxation, rounding and polish: the classical reference for every annealer."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from qsvr.problem.local_search import polish
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options

__all__ = ["RelaxRound"]


@dataclass(frozen=True)
class RelaxRound:
    """Sampler that solves the dual over real coefficients, rounds to levels, and polishes.

    The first read rounds to the nearest level. The others round each coefficient up with a
    probability equal to its fraction, which keeps the expected value. It does not anneal, and
    serves as the reference for samplers that do.

    Examples
    --------
    >>> from qsvr import QSVR
    >>> qubo = QSVR().make_problem([[0.0], [0.5], [1.0]], [0.0, 0.2, 1.0]).qubo
    >>> len(RelaxRound().sample(qubo, num_reads=4, seed=0))
    4
    """

    is_local = True
    parameters = frozenset[str]()
    max_variables = 60_000  # as for the structured annealer

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return ``num_reads`` polished samples."""
        check_options("relax-round", options, self.parameters)
        start = perf_counter()
        encoding = qubo.encoding
        lower, upper = encoding.offset, encoding.offset + encoding.width
        relaxed = qubo.dual.relax(lower, upper).coefficients
        safe_width = np.where(encoding.width > 0, encoding.width, 1.0)
        unit = np.clip((relaxed - lower) / safe_width, 0.0, 1.0)
        below = np.clip(
            np.searchsorted(encoding.grid, unit, "right") - 1, 0, encoding.grid.size - 2
        )
        gap = encoding.grid[below + 1] - encoding.grid[below]
        fraction = (unit - encoding.grid[below]) / gap
        threshold = np.random.default_rng(seed).random((num_reads, *unit.shape))
        threshold[0] = 0.5
        bits = encoding.bits(below + (threshold < fraction))
        rounded = Samples(bits, qubo.energies(bits), {"sampler": "relax-round"})
        result = polish(qubo, rounded)
        info = {**result.info, "sampling_time": perf_counter() - start}
        return Samples(result.bits, result.energies, info)
