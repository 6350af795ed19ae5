"""Polish: descent on coefficient levels from the samples of any sampler.

Single-bit moves stall on the equality penalty; a pair of opposite level changes crosses it. From
almost any start 1-opt and pair descent reach a low local minimum in microseconds to milliseconds,
so polished energies say little about the sampler, and raw energies are kept as well.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples

__all__ = ["descend_levels", "pair_excitations", "polish"]


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
    from qsvr._numba import in_threads
    from qsvr.problem._local_search import LevelProblem, descend

    dual, encoding = qubo.dual, qubo.encoding
    problem = LevelProblem(
        dual.penalised_kernel, np.diag(dual.penalised_kernel).copy(), float(dual.epsilon),
        float(dual.overlap_penalty), encoding.offset, encoding.width, encoding.grid,
    )  # fmt: skip
    scale = float(np.abs(dual.y) @ dual.reach) + abs(qubo.constant)
    tol = 1e-13 * max(scale, np.finfo(float).tiny)
    uneven = None if encoding.is_even else True
    result, values = levels.copy(), encoding.values(levels)
    fields = dual.field(values[:, 0] - values[:, 1])

    def descend_part(part: slice) -> None:
        n = dual.n_samples
        memory = np.empty((1 if uneven is None else 2, 3, n)), np.empty(n)
        descend(problem, result[part], values[part], fields[part], memory, tol, uneven)

    ends = np.linspace(0, len(levels), min(n_jobs, len(levels)) + 1).astype(int)
    in_threads(descend_part, [slice(*pair) for pair in itertools.pairwise(ends)], n_jobs)
    return result


def pair_excitations(
    qubo: SVRQubo, levels: NDArray[np.int64], partners: NDArray[np.int64]
) -> FloatArray:
    """Return the energies of one-level pair moves, one sample up and a partner down.

    Parameters
    ----------
    qubo : SVRQubo
    levels : ndarray of int, shape (2, n_samples)
        The point that the moves start from.
    partners : ndarray of int, shape (n_samples, n_partners)

    Returns
    -------
    ndarray of shape (n_samples, n_partners)
        Changes of energy, infinite for moves that are impossible.
    """
    dual, encoding, n = qubo.dual, qubo.encoding, np.arange(qubo.dual.n_samples)
    values, top = encoding.values(levels), encoding.grid.size - 1
    field, kernel = dual.field(values[0] - values[1]), dual.penalised_kernel

    def shift(down: int) -> tuple[FloatArray, FloatArray]:
        """Return changes of b and costs: one coefficient down, or else, if even, the other up."""
        falls = levels[down] > 0
        side = np.where(falls | (not encoding.is_even), down, 1 - down)
        level = levels[side, n] + np.where(side == down, -1, 1)
        level = np.where((level < 0) | (level > top), levels[side, n], level)
        new = encoding.offset[side, n] + encoding.width[side, n] * encoding.grid[level]
        change = new - values[side, n]
        cost = change * (dual.epsilon + dual.overlap_penalty * values[1 - side, n])
        return np.where(side == 0, change, -change), cost

    (up, cost_up), (down, cost_down) = shift(1), shift(0)
    diagonal = np.diag(kernel)
    alone_up = up * field + 0.5 * diagonal * up**2 + cost_up
    alone_down = down * field + 0.5 * diagonal * down**2 + cost_down
    mixed = np.take_along_axis(kernel, partners, axis=1) * up[:, None] * down[partners]
    energies = alone_up[:, None] + alone_down[partners] + mixed
    possible = (partners != n[:, None]) & (up[:, None] != 0.0) & (down[partners] != 0.0)
    return np.where(possible, energies, np.inf)
