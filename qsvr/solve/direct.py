"""Solution of one dual: sample its QUBO, polish, keep the best distinct solutions."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from dimod import SampleSet

from qsvr._typing import FloatArray
from qsvr.exceptions import SamplerError
from qsvr.problem import FixedPointEncoding, Samples, SVRDual, SVRQubo, lowest_distinct
from qsvr.problem.stack import QuboStack, stack_key
from qsvr.samplers import AccessBudget, Sampler, StackSampler, StructuredAnnealer

__all__ = ["DirectProblem", "DirectSolver", "DualSolution"]

_SHORT_SWEEPS, _SHORT_READS = 16, 16
# Coefficients of all reads of a stack: 4 MB, beyond which more members at once save no time.
_STACKED_NUMBERS = 500_000


@dataclass(frozen=True, eq=False)
class DualSolution:
    """Distinct solutions that a solver found, in the order of ascending energy.

    Attributes
    ----------
    coefficients : ndarray of shape (n_solutions, 2, n_samples)
    energies : ndarray of shape (n_solutions,)
    info : mapping
        The sampler's report, with ``"raw_energies"`` and ``"energies"`` (of all reads, before and
        after polish) and ``"random_energies"`` of as many random bit strings, to compare with.
    bound : float, default=None
        Lower bound on the energy, if the solver computes it.
    outputs : ndarray of shape (n_solutions, n_samples), default=None
        b K of each solution, if the solver computes it.
    n_qubos : int, default=1
        Number of QUBOs that were solved.
    sampleset : dimod.SampleSet, default=None
        Answer of a dimod sampler to the last QUBO.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual, get_sampler
    >>> from qsvr.solve.direct import DirectSolver
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> encoding = FixedPointEncoding.for_box(dual.C, n_bits=2)
    >>> solver = DirectSolver(get_sampler(), num_reads=16)
    >>> found = solver.solve(dual, encoding, n_solutions=1, seed=0)
    >>> found.b.shape, found.n_qubos
    ((1, 2), 1)
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


class DirectProblem(NamedTuple):
    """One problem of `DirectSolver.solve_all`: the arguments of `DirectSolver.solve`.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual
    >>> from qsvr.solve.direct import DirectProblem
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> DirectProblem(dual, FixedPointEncoding.for_box(dual.C, n_bits=2), seed=0).seed
    0
    """

    dual: SVRDual
    encoding: FixedPointEncoding
    seed: int
    candidates: Mapping[str, FloatArray] | None = None


@dataclass(frozen=True)
class DirectSolver:
    """Solves the whole dual as one QUBO.

    Attributes
    ----------
    sampler : Sampler
    num_reads : int
    polish : bool, default=True
        Whether reads descend to a local minimum.
    n_jobs : int, default=1
        Number of threads. The result does not depend on it.
    options : mapping, default={}
        Options of the sampler.
    budget : AccessBudget, default=None
        Account of the fit, for a `ChargedSampler`.
    deadline : float, default=None
        Value of `time.monotonic` at which a request to a service is abandoned.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual, get_sampler
    >>> from qsvr.solve.direct import DirectSolver
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> encoding = FixedPointEncoding.for_box(dual.C, n_bits=2)
    >>> solver = DirectSolver(get_sampler(), num_reads=16)
    >>> solver.solve(dual, encoding, n_solutions=1, seed=0).coefficients.shape
    (1, 2, 2)
    """

    sampler: Sampler
    num_reads: int
    polish: bool = True
    n_jobs: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: AccessBudget | None = None
    deadline: float | None = None

    def short(self) -> DirectSolver:
        """Return a solver of less effort, for windows around a good solution."""
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
        candidates : mapping of str to ndarray of shape (2, n_samples), default=None
            Points that are ranked beside the samples, rounded to levels and polished like them.
            None means all zeros and the relaxation. ``info["candidates"]`` has their energies, and
            ``info["best_from"]`` the origin of the lowest energy.

        Raises
        ------
        SamplerError
            If the sampler fails or returns no valid samples.
        """
        qubo = SVRQubo(dual, encoding)
        chosen = self._candidates(qubo) if candidates is None else candidates
        try:
            raw = self.sampler.sample(qubo, num_reads=self.num_reads, seed=seed, **self._options())
        except SamplerError as error:
            if error.samples is not None:  # samples before the failure make a model
                error.partial_solution = self._solution(
                    qubo, error.samples, n_solutions, seed, chosen
                )
            raise
        return self._solution(qubo, raw, n_solutions, seed, chosen)

    @property
    def takes_stacks(self) -> bool:
        """Whether `solve_all` gives the sampler QUBOs of equal size in one call."""
        return isinstance(self.sampler, StackSampler)

    def solve_all(
        self, problems: Sequence[DirectProblem], *, n_solutions: int
    ) -> list[DualSolution]:
        """Return the result of `solve` for each problem, with one call for those of equal size.

        Parameters
        ----------
        problems : sequence of DirectProblem
        n_solutions : int
        """
        found: dict[int, DualSolution] = {}
        groups: dict[Hashable, list[int]] = {}
        qubos = [SVRQubo(problem.dual, problem.encoding) for problem in problems]
        chosen = [
            self._candidates(qubo) if problem.candidates is None else problem.candidates
            for qubo, problem in zip(qubos, problems, strict=True)
        ]
        for m, qubo in enumerate(qubos):
            groups.setdefault((stack_key(qubo), tuple(chosen[m])), []).append(m)
        sampler: Any = self.sampler
        for members in groups.values():
            most = max(
                _STACKED_NUMBERS // (self.num_reads * 2 * qubos[members[0]].dual.n_samples), 1
            )
            for part in (members[i : i + most] for i in range(0, len(members), most)):
                stack = QuboStack.of([qubos[m] for m in part])
                seeds = [problems[m].seed for m in part]
                raws = sampler.sample_stack(
                    stack, num_reads=self.num_reads, seeds=seeds, **self._options()
                )
                solved = self._solutions(stack, raws, n_solutions, seeds, [chosen[m] for m in part])
                found.update(zip(part, solved, strict=True))
        return [found[m] for m in range(len(problems))]

    def _options(self) -> dict[str, Any]:
        """Return the options of one call of the sampler."""
        options = dict(self.options)
        if "n_jobs" in self.sampler.parameters:
            options.setdefault("n_jobs", self.n_jobs)
        if self.budget is not None:
            options["budget"] = self.budget
        if self.deadline is not None and "timeout" in self.sampler.parameters:
            left = max(self.deadline - time.monotonic(), 1e-3)
            options["timeout"] = min(options.get("timeout", np.inf), left)
        return options

    @staticmethod
    def _candidates(qubo: SVRQubo) -> Mapping[str, FloatArray]:
        zeros = np.zeros_like(qubo.encoding.offset)
        return {"zeros": zeros, "relaxation": qubo.dual.relaxation.coefficients}

    def _solution(
        self,
        qubo: SVRQubo,
        raw: Samples,
        n_solutions: int,
        seed: int,
        candidates: Mapping[str, FloatArray],
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
        return self._solutions(QuboStack.of([qubo]), [raw], n_solutions, [seed], [candidates])[0]

    def _solutions(
        self,
        stack: QuboStack,
        raws: Sequence[Samples],
        n_solutions: int,
        seeds: Sequence[int],
        candidates: Sequence[Mapping[str, FloatArray]],
    ) -> list[DualSolution]:
        """Return the distinct solutions of each QUBO; all have as many reads and candidates."""
        n_reads, names = len(raws[0]), list(candidates[0])
        raw_bits = np.stack([raw.bits for raw in raws])
        bits, energies = raw_bits, np.stack([raw.energies for raw in raws])
        # The reference for raw samples.
        random = np.stack(
            [
                np.random.default_rng([seed, n_reads]).integers(
                    0, 2, size=raw_bits.shape[1:], dtype=np.uint8
                )
                for seed in seeds
            ]
        )
        random_energies = stack.energies(stack.decode(random))
        points = np.array([list(each.values()) for each in candidates])
        points = points.reshape(len(stack), -1, *stack.offset.shape[1:])
        rounded = stack.bits(stack.nearest_levels(points))
        rounded_energies = stack.energies(stack.decode(rounded))
        others, other_energies = rounded, rounded_energies
        if self.polish:
            bits, energies = stack.polished(bits, energies, n_jobs=self.n_jobs)
            if names:
                others, other_energies = stack.polished(rounded, rounded_energies)
        all_bits = np.concatenate([bits, others, rounded], axis=1)
        all_energies = np.concatenate([energies, other_energies, rounded_energies], axis=1)
        packed, sources = np.packbits(all_bits, axis=2), ["sampler", *names]
        zeros_at = n_reads + len(names) + names.index("zeros") if "zeros" in names else None
        solutions = []
        for m, raw in enumerate(raws):
            keep = lowest_distinct(packed[m], all_energies[m], n_solutions, always=zeros_at)
            lowest = [energies[m].min(), *other_energies[m]]
            info = {
                **raw.info,
                **({"polished": True} if self.polish else {}),
                "n_variables": raw_bits.shape[2],
                "n_reads": n_reads,
                "raw_energies": raw.energies,
                "random_energies": random_energies[m],
                "energies": energies[m],
                "candidates": dict(zip(names, other_energies[m].tolist(), strict=True)),
                "best_from": sources[int(np.argmin(lowest))],
            }
            coefficients = stack.qubos[m].encoding.decode(all_bits[m, keep])
            solutions.append(
                DualSolution(coefficients, all_energies[m, keep], info, sampleset=raw.sampleset)
            )
        return solutions
