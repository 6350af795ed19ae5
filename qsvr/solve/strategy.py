"""Which way past the qubit limit a fit takes: one QUBO, refinement, or working sets.

>>> from qsvr.samplers import get_sampler
>>> strategy = Strategy(max_variables=120)
>>> strategy.working_size(get_sampler(), n_samples=442, n_bits=3, name="structured")
20
>>> strategy.working_size(get_sampler(), n_samples=20, n_bits=3, name="structured") is None
True
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import CapacityError
from qsvr.problem.data import TrainingData
from qsvr.problem.dual import SVRDual
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.problem.kernels import symmetric
from qsvr.samplers import Sampler
from qsvr.samplers.relax_round import RelaxRound
from qsvr.samplers.structured.annealer import StructuredAnnealer
from qsvr.solve.decomposition import DecompositionSolver, LargeDual
from qsvr.solve.direct import DirectSolver, DualSolution, check_capacity
from qsvr.solve.refinement import RefinementSolver

__all__ = ["MAX_DIRECT_SAMPLES", "WORKING_SET_SAMPLES", "Strategy"]

# Measured for this package's own samplers: up to here one QUBO is solved in about a second. Working
# sets of 50, 100, 200, 300 and 400 samples took 25, 14, 9, 9 and 12 s for 10,000 rows, and 35, 14,
# 2.4, 1.8 and 2.2 s for 1,000 rows at C = 10.
MAX_DIRECT_SAMPLES = 500
WORKING_SET_SAMPLES = 300
# Of other samplers without an annealer's limit, which take longer for each variable.
_WORKING_SET_OF_OTHERS = 100


@dataclass(frozen=True)
class Strategy:
    """Parameters of `QSVR` that choose and steer the solver.

    Attributes
    ----------
    n_refinements : int
    max_variables : int, "auto" or None
    tol : float
    max_iter : int
    verbose : int
    """

    n_refinements: int = 0
    max_variables: int | str | None = "auto"
    tol: float = 1e-3
    max_iter: int = 10_000
    verbose: int = 0

    def working_size(
        self, sampler: Sampler, *, n_samples: int, n_bits: int, name: str
    ) -> int | None:
        """Return the samples of a working set, or None where one QUBO holds them all.

        Raises
        ------
        CapacityError
            If one QUBO does not hold them and working sets are not allowed or cannot hold two.
        """
        per_sample = 2 * n_bits
        if self.max_variables is None:
            check_capacity(sampler, n_samples, n_bits, name)
            return None
        limit = sampler.max_variables
        most = n_samples if limit is None else limit // per_sample
        if self.max_variables == "auto":
            if n_samples <= (min(most, MAX_DIRECT_SAMPLES) if _is_own(sampler) else most):
                return None
            size = min(most, WORKING_SET_SAMPLES if _is_own(sampler) else _WORKING_SET_OF_OTHERS)
        else:
            size = min(most, int(self.max_variables) // per_sample)
            if n_samples <= size:
                return None
        if size < 2:
            raise CapacityError(
                f"a working set needs at least 2 samples, which are {2 * per_sample} binary "
                f"variables at n_bits={n_bits}; the sampler {name!r} takes at most {limit} and "
                f"max_variables is {self.max_variables!r}. Use fewer bits or raise max_variables."
            )
        return size

    def solve(
        self, direct: DirectSolver, posed: DualProblem, *, n_solutions: int, seed: int
    ) -> DualSolution:
        """Solve a posed problem."""
        if isinstance(posed.dual, LargeDual):
            finish = self.max_variables == "auto" and _is_own(direct.sampler) and direct.polish
            solver = DecompositionSolver(
                direct.without_polish() if finish else direct,
                posed.working_size or 2, self.tol, self.max_iter, finish, self.verbose,
            )  # fmt: skip
            return solver.solve(
                posed.dual, posed.encoding, n_solutions=n_solutions, seed=seed, start=posed.start
            )
        if self.n_refinements:
            refinement = RefinementSolver(direct, self.n_refinements, self.tol)
            return refinement.solve(posed.dual, posed.encoding, n_solutions=n_solutions, seed=seed)
        return direct.solve(posed.dual, posed.encoding, n_solutions=n_solutions, seed=seed)


@dataclass(frozen=True, eq=False)
class DualProblem:
    """A dual with its encoding, ready to be solved.

    Attributes
    ----------
    dual : SVRDual or LargeDual
    encoding : FixedPointEncoding
    working_size : int or None
        Samples of a working set, for a `LargeDual`.
    start : ndarray of shape (n_samples,), optional
        Where working sets start from: b of an earlier solution.
    """

    dual: SVRDual | LargeDual
    encoding: FixedPointEncoding
    working_size: int | None
    start: FloatArray | None = None

    @property
    def bound(self) -> float:
        """Energy that no solution is below, from the box relaxation."""
        if isinstance(self.dual, LargeDual):
            return -np.inf
        return self.dual.relax().bound

    @property
    def is_convex(self) -> bool:
        """Whether the kernel is known to be positive semi-definite."""
        return isinstance(self.dual, SVRDual) and self.dual.smallest_curvature == 0.0

    @classmethod
    def of(
        cls,
        data: TrainingData,
        encoding: FixedPointEncoding,
        settings: tuple[float, float | str, float],
        working_size: int | None,
    ) -> DualProblem:
        """Pose the dual of training data, as a matrix or by rows on demand.

        Parameters
        ----------
        data : TrainingData
        encoding : FixedPointEncoding
            Its widths are the boxes.
        settings : tuple
            ``(epsilon, equality_penalty, overlap_penalty)`` as in `QSVR`.
        working_size : int or None
        """
        epsilon, penalty, overlap = settings
        y, C = data.y[data.learning], encoding.width[0]
        if working_size is None:
            matrix = symmetric(data.block(data.learning))
            scale = _penalty(penalty, np.diag(matrix))
            return cls(SVRDual(matrix, y, epsilon, C, scale, overlap), encoding, None)
        symmetric(
            data.block(data.learning[:working_size])
        )  # a kernel that is not would not converge
        rows = data.rows()
        scale = _penalty(penalty, rows.diagonal())
        return cls(LargeDual(rows, y, C, epsilon, scale, overlap), encoding, working_size)


def _is_own(sampler: Sampler) -> bool:
    return isinstance(sampler, StructuredAnnealer | RelaxRound)


def _penalty(penalty: float | str, diagonal: FloatArray) -> float:
    if penalty == "scale":
        return 2.0 * float(np.abs(diagonal).mean())
    return float(penalty)
