"""Polish: descent on coefficient levels from the samples of any sampler.

Moves of single bits stall at the equality penalty; pairs of opposite level changes cross it. From
almost any start, descent by single and pair moves reaches a low local minimum within milliseconds.
Polished energies therefore reveal little about the sampler, and raw energies are kept as well.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples

if TYPE_CHECKING:
    from qsvr.problem._local_search import LevelProblem

__all__ = ["LevelDescent", "descend_levels", "polish"]


def polish(qubo: SVRQubo, samples: Samples, *, n_jobs: int = 1) -> Samples:
    """Return the samples after 1-opt and pair descent, with energies recomputed.

    Every read ends where no change of one coefficient and no opposite one-level change of two
    samples lowers the energy. Reads keep their order and the result does not depend on ``n_jobs``.

    Parameters
    ----------
    qubo : SVRQubo
    samples : Samples
    n_jobs : int, default=1
        Number of threads.
    """
    levels = descend_levels(qubo, qubo.encoding.levels(samples.bits), n_jobs=n_jobs)
    energies = qubo.dual.energy(qubo.encoding.values(levels))
    bits = qubo.encoding.bits(levels)
    # A descent in floating point may end a rounding error above its start: keep the lower one.
    worse = energies > samples.energies
    bits[worse], energies[worse] = samples.bits[worse], samples.energies[worse]
    return Samples(bits, energies, {**samples.info, "polished": True})


@dataclass(frozen=True, eq=False)
class LevelDescent:
    """The compiled descent on the levels of one QUBO, ready to run.

    Attributes
    ----------
    problem : LevelProblem
    tol : float
        Smaller gains count as rounding errors.
    uneven : True or None
        None if levels are equally spaced.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual, SVRQubo
    >>> from qsvr.problem.local_search import LevelDescent
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> descent = LevelDescent.of(SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=2)))
    >>> descent.problem.grid.tolist()
    [0.0, 0.3333333333333333, 0.6666666666666666, 1.0]
    """

    problem: LevelProblem
    tol: float
    uneven: bool | None

    @classmethod
    def of(cls, qubo: SVRQubo) -> LevelDescent:
        """Prepare the descent.

        Parameters
        ----------
        qubo : SVRQubo
        """
        from qsvr.problem._local_search import LevelProblem

        dual, encoding = qubo.dual, qubo.encoding
        problem = LevelProblem(
            dual.penalised_kernel, np.diag(dual.penalised_kernel).copy(), float(dual.epsilon),
            float(dual.overlap_penalty), encoding.offset, encoding.width, encoding.grid,
        )  # fmt: skip
        scale = float(np.abs(dual.y) @ dual.reach) + abs(qubo.constant)
        tol = 1e-13 * max(scale, np.finfo(float).tiny)
        return cls(problem, tol, None if encoding.is_even else True)

    def run(self, levels: NDArray[np.int64], values: FloatArray, fields: FloatArray) -> None:
        """Descend in place.

        Parameters
        ----------
        levels : ndarray of int, shape (n_reads, 2, n_samples)
        values : ndarray of shape (n_reads, 2, n_samples)
            The coefficients at these levels.
        fields : ndarray of shape (n_reads, n_samples)
            `SVRDual.field` at these levels.
        """
        from qsvr.problem._local_search import descend

        n = levels.shape[-1]
        memory = np.empty((1 if self.uneven is None else 2, 3, n)), np.empty(n)
        descend(self.problem, levels, values, fields, memory, self.tol, self.uneven)


def descend_levels(
    qubo: SVRQubo, levels: NDArray[np.int64], *, n_jobs: int = 1
) -> NDArray[np.int64]:
    """Return the local minima of ``qubo`` reached from levels of shape (n_reads, 2, n_samples).

    ``n_jobs`` is the number of threads.
    """
    from qsvr._numba import in_threads

    descent = LevelDescent.of(qubo)
    result, values = levels.copy(), qubo.encoding.values(levels)
    fields = qubo.dual.field(values[:, 0] - values[:, 1])

    def descend_part(part: slice) -> None:
        descent.run(result[part], values[part], fields[part])

    ends = np.linspace(0, len(levels), min(n_jobs, len(levels)) + 1).astype(int)
    in_threads(descend_part, [slice(*pair) for pair in itertools.pairwise(ends)], n_jobs)
    return result
