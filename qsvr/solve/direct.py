"""How one dual is solved: sample its QUBO, polish, keep the best distinct solutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dimod import SampleSet

from qsvr._typing import FloatArray
from qsvr.exceptions import SamplerError
from qsvr.problem import FixedPointEncoding, Samples, SVRDual, SVRQubo, polish
from qsvr.samplers import AccessBudget, Sampler

__all__ = ["DirectSolver", "DualSolution"]


@dataclass(frozen=True, eq=False)
class DualSolution:
    """The distinct solutions that a solver found, by ascending energy.

    Attributes
    ----------
    coefficients : ndarray of shape (n_solutions, 2, n_samples)
    energies : ndarray of shape (n_solutions,)
    info : mapping
        The sampler's report, with ``"raw_energies"`` and ``"energies"`` (of all reads, before and
        after polish) and ``"random_energies"`` of as many random bit strings, to compare with.
    bound : float, optional
        No solution has a lower energy; given where the solver computes it.
    outputs : ndarray of shape (n_solutions, n_samples), optional
        b K of each solution; given where the solver computes it.
    n_qubos : int
        Number of QUBOs that were solved.
    sampleset : dimod.SampleSet, optional
        The sampler's own answer to the last QUBO, where it is a dimod sampler.
    """

    coefficients: FloatArray
    energies: FloatArray
    info: Mapping[str, Any]
    bound: float | None = None
    outputs: FloatArray | None = None
    n_qubos: int = 1
    sampleset: SampleSet | None = None

    @property
    def b(self) -> FloatArray:
        """A - a-hat of each solution, shape (n_solutions, n_samples)."""
        return self.coefficients[:, 0] - self.coefficients[:, 1]


@dataclass(frozen=True)
class DirectSolver:
    """Solves the whole dual as one QUBO.

    Attributes
    ----------
    sampler : Sampler
    num_reads : int
    polish : bool
        Whether reads descend to a local minimum.
    n_jobs : int
        Threads; the result does not depend on it.
    options : mapping
        Options of the sampler.
    budget : AccessBudget, optional
        Account of the fit, for a `ChargedSampler`.
    """

    sampler: Sampler
    num_reads: int
    polish: bool = True
    n_jobs: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: AccessBudget | None = None

    def solve(
        self, dual: SVRDual, encoding: FixedPointEncoding, *, n_solutions: int, seed: int
    ) -> DualSolution:
        """Return at most ``n_solutions`` distinct solutions.

        Parameters
        ----------
        dual : SVRDual
        encoding : FixedPointEncoding
        n_solutions, seed : int

        Raises
        ------
        SamplerError
            If the sampler fails or returns nothing that can be used.
        """
        qubo = SVRQubo(dual, encoding)
        options = dict(self.options)
        if "n_jobs" in self.sampler.parameters:
            options.setdefault("n_jobs", self.n_jobs)
        if self.budget is not None:
            options["budget"] = self.budget
        try:
            raw = self.sampler.sample(qubo, num_reads=self.num_reads, seed=seed, **options)
        except SamplerError as error:
            if error.samples is not None:  # samples before the failure make a model
                error.partial_solution = self._solution(qubo, error.samples, n_solutions, seed)
            raise
        return self._solution(qubo, raw, n_solutions, seed)

    def _solution(self, qubo: SVRQubo, raw: Samples, n_solutions: int, seed: int) -> DualSolution:
        if len(raw) == 0:
            raise SamplerError(
                "the sampler returned no sample. Check its options (time limit, number of reads), "
                "or try sampler='structured'."
            )
        if raw.bits.shape != (len(raw), qubo.n_variables):
            raise SamplerError(
                f"the sampler returned bits of shape {raw.bits.shape}; it must return "
                f"(n_reads, n_variables) = ({len(raw)}, {qubo.n_variables})."
            )
        # What a sampler must beat before polish.
        rng = np.random.default_rng([seed, len(raw)])
        random = rng.integers(0, 2, size=(len(raw), qubo.n_variables), dtype=np.uint8)
        final = polish(qubo, raw, n_jobs=self.n_jobs) if self.polish else raw
        best = final.distinct(n_solutions)
        info = {
            **final.info,
            "n_variables": qubo.n_variables,
            "n_reads": len(raw),
            "raw_energies": raw.energies,
            "random_energies": qubo.energies(random),
            "energies": final.energies,
        }
        return DualSolution(
            qubo.encoding.decode(best.bits), best.energies, info, sampleset=raw.sampleset
        )
