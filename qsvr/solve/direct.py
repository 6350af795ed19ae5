"""How one dual is solved: sample its QUBO, polish, keep the best distinct solutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import CapacityError, SamplerError
from qsvr.problem.dual import SVRDual
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.problem.local_search import polish
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers import AccessBudget, Sampler

__all__ = ["DirectSolver", "DualSolution", "check_capacity"]


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
        No solution has a lower energy, where the solver knows.
    outputs : ndarray of shape (n_solutions, n_samples), optional
        b K of each solution, where the dual has no kernel matrix to compute it from.
    """

    coefficients: FloatArray
    energies: FloatArray
    info: Mapping[str, Any]
    bound: float | None = None
    outputs: FloatArray | None = None

    @property
    def n_qubos(self) -> int:
        """Number of QUBOs that were solved."""
        rounds = len(self.info.get("refinement_history", "1"))
        return int(self.info.get("n_working_sets", rounds))


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

    def without_polish(self) -> DirectSolver:
        """Return the same solver without polish."""
        return replace(self, polish=False)

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
            if error.samples is not None:  # what came back before the failure is worth a model
                error.partial_solution = self._finish(qubo, error.samples, n_solutions, seed)
            raise
        return self._finish(qubo, raw, n_solutions, seed)

    def _finish(self, qubo: SVRQubo, raw: Samples, n_solutions: int, seed: int) -> DualSolution:
        _check_samples(raw, qubo)
        final = polish(qubo, raw, n_jobs=self.n_jobs) if self.polish else raw
        best = final.distinct(n_solutions)
        info = {
            **final.info,
            "n_variables": qubo.n_variables,
            "n_reads": len(raw),
            "raw_energies": raw.energies,
            "random_energies": _random_energies(qubo, len(raw), seed),
            "energies": final.energies,
        }
        return DualSolution(qubo.encoding.decode(best.bits), best.energies, info)


def check_capacity(sampler: Sampler, n_samples: int, n_bits: int, name: str) -> None:
    """Raise CapacityError where one QUBO of this size is more than the sampler takes.

    Parameters
    ----------
    sampler : Sampler
    n_samples, n_bits : int
    name : str
        Of the sampler, for the message.

    Raises
    ------
    CapacityError
        If it does not hold ``2 * n_bits * n_samples`` variables.
    """
    needed, limit = 2 * n_bits * n_samples, sampler.max_variables
    if limit is None or needed <= limit:
        return
    most = limit // (2 * n_bits)
    raise CapacityError(
        f"{n_samples} samples at n_bits={n_bits} need {needed} binary variables in one QUBO, and "
        f"the sampler {name!r} takes at most {limit}. Use sampler='structured' (up to 60000 "
        f"variables), max_variables='auto' (working sets), fewer bits, or at most {most} samples: "
        f"a subsample, QSVREnsemble, or "
        f"sklearn.ensemble.BaggingRegressor(QSVR(...), max_samples={max(most, 1)})."
    )


def _check_samples(samples: Samples, qubo: SVRQubo) -> None:
    if len(samples) == 0:
        raise SamplerError(
            "the sampler returned no sample. Check its options (time limit, number of reads), or "
            "try sampler='structured'."
        )
    if samples.bits.shape != (len(samples), qubo.n_variables):
        raise SamplerError(
            f"the sampler returned bits of shape {samples.bits.shape}; it must return "
            f"(n_reads, n_variables) = ({len(samples)}, {qubo.n_variables})."
        )


def _random_energies(qubo: SVRQubo, n_reads: int, seed: int) -> FloatArray:
    """Energies of uniformly random bit strings: what a sampler must beat before polish."""
    rng = np.random.default_rng([seed, n_reads])
    return qubo.energies(rng.integers(0, 2, size=(n_reads, qubo.n_variables), dtype=np.uint8))
