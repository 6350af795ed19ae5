"""Choice of the solver of a fit: one QUBO, refinement, or decomposition.

>>> from qsvr.samplers import get_sampler
>>> strategy = Strategy(max_variables=120)
>>> strategy.working_size(get_sampler(), n_samples=442, n_bits=3, name="structured")
20
>>> strategy.working_size(get_sampler(), n_samples=20, n_bits=3, name="structured") is None
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import CapacityError
from qsvr.problem import FixedPointEncoding, KernelRows, LargeDual, SVRDual, TrainingData, symmetric
from qsvr.problem.stack import relax_all
from qsvr.samplers import Sampler
from qsvr.samplers.relax_round import RelaxRound
from qsvr.samplers.structured.annealer import StructuredAnnealer
from qsvr.solve.decomposition import DecompositionSolver
from qsvr.solve.direct import DirectProblem, DirectSolver, DualSolution
from qsvr.solve.refinement import RefinementSolver

__all__ = ["DualProblem", "Strategy"]

# Measured for this package's own samplers: up to here one QUBO is solved in about a second. A
# compiled descent goes on from the sampled working sets, so the size matters little: for 1,000 rows
# 150, 200 and 300 samples took 39, 40 and 44 ms, of which scikit-learn's SVR took 8.
_MAX_DIRECT_SAMPLES = 500
_WORKING_SET_SAMPLES = 150
# With 16 the sampler's share of the energy's fall was the same at C = 1 and a tenth larger at 10.
_SWEEPS_BEFORE_DESCENT = 8
_OWN_SAMPLERS = (StructuredAnnealer, RelaxRound)
# Other samplers take longer for each variable.
_WORKING_SET_OF_OTHERS = 100


@dataclass(frozen=True)
class Strategy:
    """Parameters of `QSVR` that choose the solver and control it.

    Attributes
    ----------
    n_refinements : int or "auto"
    max_variables : int, "auto" or None
    tol : float
    max_iter : int
    deadline : float, optional
        Value of `time.monotonic` at which the best solution so far is returned.
    verbose : int
    """

    n_refinements: int | str = "auto"
    max_variables: int | str | None = "auto"
    tol: float = 1e-3
    max_iter: int = 10_000
    deadline: float | None = None
    verbose: int = 0

    def working_size(
        self,
        sampler: Sampler,
        *,
        n_samples: int,
        n_bits: int,
        name: str,
        n_sides: int = 2,
        ensemble: str = "an ensemble of members with max_samples={}",
    ) -> int | None:
        """Return the number of samples of a working set, or None if one QUBO holds all.

        Parameters
        ----------
        sampler : Sampler
        n_samples, n_bits : int
        name : str
            Name of the sampler, for messages.
        n_sides : int, default=2
            Coefficients per sample that have bits: 1 for one-sided boxes.
        ensemble : str, default="an ensemble of members with max_samples={}"
            Alternative that trains small members, for messages.

        Raises
        ------
        CapacityError
            If one QUBO is too small and decomposition is not allowed or cannot hold two samples.
        """
        per_sample = n_sides * n_bits
        limit = sampler.max_variables
        most = n_samples if limit is None else limit // per_sample
        if self.max_variables is None:
            if n_samples > most:
                raise CapacityError(
                    f"{n_samples} samples at n_bits={n_bits} need {per_sample * n_samples} binary "
                    f"variables in one QUBO, and the sampler {name!r} takes at most {limit}. Use "
                    "sampler='structured' (up to 60000 variables), max_variables='auto' "
                    f"(decomposition), fewer bits, or at most {most} samples: a subsample, or "
                    f"{ensemble.format(max(most, 1))}."
                )
            return None
        if self.max_variables == "auto":
            is_own = isinstance(sampler, _OWN_SAMPLERS)
            if n_samples <= (min(most, _MAX_DIRECT_SAMPLES) if is_own else most):
                return None
            size = min(most, _WORKING_SET_SAMPLES if is_own else _WORKING_SET_OF_OTHERS)
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
        self, direct: DirectSolver, problem: DualProblem, *, n_solutions: int, seed: int
    ) -> DualSolution:
        """Solve a dual by decomposition, by refinement or as one QUBO."""
        dual: Any = problem.dual  # a LargeDual if and only if there is a working size
        if problem.working_size is not None:
            is_own = isinstance(direct.sampler, _OWN_SAMPLERS)
            use_smo = self.max_variables == "auto" and is_own and direct.polish
            decomposition = DecompositionSolver(
                _begins_descent(direct) if use_smo else direct,
                problem.working_size,
                tol=self.tol,
                max_iter=self.max_iter,
                use_smo=use_smo,
                deadline=self.deadline,
                verbose=self.verbose,
            )
            return decomposition.solve(
                dual, problem.encoding, n_solutions=n_solutions, seed=seed, start=problem.start
            )
        n_rounds = self.rounds(direct.sampler)
        solver: DirectSolver | RefinementSolver = direct
        if n_rounds != 0:
            solver = RefinementSolver(direct, n_rounds, self.tol, self.deadline)
        return solver.solve(dual, problem.encoding, n_solutions=n_solutions, seed=seed)

    def solve_all(
        self,
        direct: DirectSolver,
        problems: Sequence[DualProblem],
        *,
        n_solutions: int,
        seeds: Sequence[int],
    ) -> list[DualSolution]:
        """Solve duals without decomposition together. The results are those of `solve`."""
        pairs: list[Any] = [(problem.dual, problem.encoding) for problem in problems]
        n_rounds = self.rounds(direct.sampler)
        if n_rounds != 0:
            solver = RefinementSolver(direct, n_rounds, self.tol, self.deadline)
            return solver.solve_all(pairs, n_solutions=n_solutions, seeds=seeds)
        relax_all([dual for dual, _ in pairs])
        given = [
            DirectProblem(dual, encoding, seed)
            for (dual, encoding), seed in zip(pairs, seeds, strict=True)
        ]
        return direct.solve_all(given, n_solutions=n_solutions)

    def rounds(self, sampler: Sampler) -> int | None:
        """Return the number of refinements, or None for as many as are needed.

        "auto" means as many as are needed for local samplers, and none for others.
        """
        if self.n_refinements == "auto":
            return None if getattr(sampler, "is_local", False) else 0
        return int(self.n_refinements)


def _begins_descent(direct: DirectSolver) -> DirectSolver:
    """Return a solver of less effort, whose result a compiled descent completes."""
    options = dict(direct.options)
    if isinstance(direct.sampler, StructuredAnnealer):
        options.setdefault("num_sweeps", _SWEEPS_BEFORE_DESCENT)
    return replace(direct, polish=False, options=options)


@dataclass(frozen=True, eq=False)
class DualProblem:
    """A dual with its encoding, ready to be solved.

    Attributes
    ----------
    dual : SVRDual or LargeDual
    encoding : FixedPointEncoding
        Its widths are the boxes.
    working_size : int or None
        Samples of a working set, for a `LargeDual`.
    start : ndarray of shape (n_samples,), optional
        Initial b of the working sets: that of an earlier solution.
    """

    dual: SVRDual | LargeDual
    encoding: FixedPointEncoding
    working_size: int | None
    start: FloatArray | None = None

    @classmethod
    def of(
        cls,
        data: TrainingData,
        encoding: FixedPointEncoding,
        working_size: int | None,
        *,
        epsilon: float,
        equality_penalty: float | str,
        overlap_penalty: float,
        start: FloatArray | None = None,
    ) -> DualProblem:
        """Build the dual of training data, with kernel rows on demand if there is a working size.

        ``epsilon`` and the penalties are the parameters of `QSVR`.
        """
        y, C = data.y[data.train], encoding.width
        dual: SVRDual | LargeDual
        if working_size is None:
            matrix = symmetric(data.kernel_matrix(data.train))
            penalty = _penalty(equality_penalty, np.diag(matrix))
            dual = SVRDual(matrix, y, epsilon, C, penalty, overlap_penalty)
        else:
            if callable(data.kernel.function) or data.kernel.function == "precomputed":
                # A part is checked, because decomposition does not converge without symmetry.
                symmetric(data.kernel_matrix(data.train[:working_size]))
            rows = KernelRows(data.kernel, data.X, data.train, data.cache_size)
            penalty = _penalty(equality_penalty, rows.diagonal)
            dual = LargeDual(rows, y, epsilon, C, penalty, overlap_penalty)
        return cls(dual, encoding, working_size, start)


def _penalty(penalty: float | str, diagonal: FloatArray) -> float:
    if penalty == "scale":
        return 2.0 * float(np.abs(diagonal).mean())
    return float(penalty)
