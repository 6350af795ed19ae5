"""Polish: descent on coefficient levels from whatever a sampler returned.

Single-bit moves stall on the equality penalty; a pair of opposite level changes crosses it. From
almost any start 1-opt and pair descent reach a low local minimum in microseconds to milliseconds,
so polished samples say little about the sampler that they came from: raw energies are kept.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qsvr.qubo import SVRQubo
from qsvr.samples import Samples

__all__ = ["descend_levels", "polish"]


def polish(qubo: SVRQubo, samples: Samples, *, n_jobs: int = 1) -> Samples:
    """Return the samples after 1-opt and pair descent, with energies recomputed.

    Every read ends where no change of one coefficient and no opposite one-level change of two
    samples lowers the energy. Reads keep their order and the result does not depend on ``n_jobs``.

    Parameters
    ----------
    qubo : SVRQubo
    samples : Samples
    n_jobs : int
        Threads to spread the reads over.
    """
    levels = descend_levels(qubo, qubo.encoding.levels(samples.bits), n_jobs=n_jobs)
    energies = qubo.dual.energy(qubo.encoding.values(levels))
    bits = qubo.encoding.bits(levels)
    # A descent in floating point may end a rounding error above its start: keep the lower one.
    worse = energies > samples.energies
    bits[worse], energies[worse] = samples.bits[worse], samples.energies[worse]
    return Samples(bits, energies, {**samples.info, "polished": True})


def descend_levels(
    qubo: SVRQubo, levels: NDArray[np.int64], *, n_jobs: int = 1
) -> NDArray[np.int64]:
    """Return the local minima reached from levels of shape (n_reads, 2, n_samples)."""
    from qsvr._descent import descend

    dual, encoding = qubo.dual, qubo.encoding
    result = levels.copy()
    scale = float(np.abs(dual.y) @ dual.C) + float(np.abs(dual.energy(encoding.offset)))
    tol = 1e-13 * max(scale, np.finfo(float).tiny)
    box = (encoding.offset, encoding.width, encoding.grid)

    def descend_part(part: NDArray[np.int64]) -> None:
        descend(
            dual.penalised_kernel, dual.y, dual.epsilon, dual.overlap_penalty,
            box, encoding.is_uniform, part, tol,
        )  # fmt: skip

    if n_jobs == 1 or len(result) < 2:
        descend_part(result)
    else:
        with ThreadPoolExecutor(n_jobs) as pool:
            list(pool.map(descend_part, np.array_split(result, n_jobs)))
    return result
