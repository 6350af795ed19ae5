"""How one dual is solved: sample its QUBO, polish, keep the best distinct solutions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dimod import SampleSet

from qsvr._typing import FloatArray
from qsvr.exceptions import SamplerError
from qsvr.problem import FixedPointEncoding, Samples, SVRDual, SVRQubo, lowest_distinct, polish
from qsvr.samplers import AccessBudget, Sampler, StructuredAnnealer

__all__ = ["DirectSolver", "DualSolution"]

_SHORT_SWEEPS, _SHORT_READS = 16, 16


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
    deadline : float, optional
        `time.monotonic` at which a service is no longer waited for.
    """

    sampler: Sampler
    num_reads: int
    polish: bool = True
    n_jobs: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: AccessBudget | None = None
    deadline: float | None = None

    def short(self) -> DirectSolver:
        """Return a solver of less effort, for the neighbourhood of a good solution."""
        options = dict(self.options)
        if isinstance(self.sampler, StructuredAnnealer):
            options.setdefault("num_sweeps", _SHORT_SWEEPS)
        return replace(self, num_reads=min(self.num_reads, _SHORT_READS), options=options)

    def solve(
        self,
        dual: SVRDual,
        encoding: FixedPointEncoding,
        *,
        n_solutions: int,
        seed: int,
        candidates: Mapping[str, FloatArray] | None = None,
    ) -> DualSolution:
        """Return at most ``n_solutions`` distinct solutions.

        Parameters
        ----------
        dual : SVRDual
        encoding : FixedPointEncoding
        n_solutions, seed : int
        candidates : mapping of str to ndarray of shape (2, n_samples), optional
            Points beside the samples, rounded to levels, and polished too where samples are. By
            default all zeros and the relaxation to real coefficients. ``info["candidates"]`` has
            their energies, and ``info["best_from"]`` names the source of the lowest energy.

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
        if self.deadline is not None and "timeout" in self.sampler.parameters:
            left = max(self.deadline - time.monotonic(), 1e-3)
            options["timeout"] = min(options.get("timeout", np.inf), left)
        try:
            raw = self.sampler.sample(qubo, num_reads=self.num_reads, seed=seed, **options)
        except SamplerError as error:
            if error.samples is not None:  # samples before the failure make a model
                error.partial_solution = self._solution(
                    qubo, error.samples, n_solutions, seed, candidates
                )
            raise
        return self._solution(qubo, raw, n_solutions, seed, candidates)

    def _solution(
        self,
        qubo: SVRQubo,
        raw: Samples,
        n_solutions: int,
        seed: int,
        candidates: Mapping[str, FloatArray] | None,
    ) -> DualSolution:
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
        if candidates is None:
            zeros = np.zeros_like(qubo.encoding.offset)
            candidates = {"zeros": zeros, "relaxation": qubo.dual.relaxation.coefficients}
        rounded, others = self._rounded(qubo, candidates)
        bits = np.concatenate([final.bits, others.bits, rounded.bits])
        energies = np.concatenate([final.energies, others.energies, rounded.energies])
        names = list(candidates)
        zeros_at = len(final) + len(others) + names.index("zeros") if "zeros" in names else None
        keep = lowest_distinct(np.packbits(bits, axis=1), energies, n_solutions, always=zeros_at)
        sources = ["sampler", *names]
        info = {
            **final.info,
            "n_variables": qubo.n_variables,
            "n_reads": len(raw),
            "raw_energies": raw.energies,
            "random_energies": qubo.energies(random),
            "energies": final.energies,
            "candidates": dict(zip(names, others.energies.tolist(), strict=True)),
            "best_from": sources[int(np.argmin([final.energies.min(), *others.energies]))],
        }
        return DualSolution(
            qubo.encoding.decode(bits[keep]), energies[keep], info, sampleset=raw.sampleset
        )

    def _rounded(
        self, qubo: SVRQubo, candidates: Mapping[str, FloatArray]
    ) -> tuple[Samples, Samples]:
        """Return the nearest levels of candidates, and these polished where samples are."""
        encoding = qubo.encoding
        points = np.array(list(candidates.values())).reshape(-1, *encoding.offset.shape)
        bits = encoding.bits(encoding.nearest_levels(points))
        rounded = Samples(bits, qubo.energies(bits))
        return rounded, polish(qubo, rounded) if self.polish and len(rounded) else rounded
