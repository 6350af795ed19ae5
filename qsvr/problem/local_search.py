"""Polish: descent on coefficient levels from the samples of any sampler.

Single-bit moves stall on the equality penalty; a pair of opposite level changes crosses it. From
almost any start 1-opt and pair descent reach a low local minimum in microseconds to milliseconds,
so polished energies say little about the sampler, and raw energies are kept as well.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples

if TYPE_CHECKING:
    from qsvr.problem._local_search import LevelProblem

__all__ = ["descend_levels", "level_problem", "polish"]


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
    """Return the local minima of ``qubo`` reached from levels of shape (n_reads, 2, n_samples).

    ``n_jobs`` is the number of threads.
    """
    from qsvr.problem._local_search import descend

    dual = qubo.dual
    problem = level_problem(qubo)
    scale = float(np.abs(dual.y) @ dual.C) + abs(qubo.constant)
    tol = 1e-13 * max(scale, np.finfo(float).tiny)
    result = levels.copy()
    parts = np.array_split(result, min(n_jobs, len(result)))
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: descend(problem, part, tol), parts))
    return result


def level_problem(qubo: SVRQubo) -> LevelProblem:
    """Return ``qubo`` in the form that the compiled search takes."""
    from qsvr.problem._local_search import LevelProblem

    dual, encoding = qubo.dual, qubo.encoding
    return LevelProblem(
        dual.penalised_kernel, dual.y, float(dual.epsilon), float(dual.overlap_penalty),
        encoding.offset, encoding.width, encoding.grid, encoding.is_even,
    )  # fmt: skip
