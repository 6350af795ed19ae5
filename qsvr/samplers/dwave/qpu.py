"""A quantum annealer as a sampler: embedding, chain strength, submission and cost.

>>> from dwave.system.testing import MockDWaveSampler
>>> sampler = QPUSampler(client=MockDWaveSampler(topology_type="zephyr", topology_shape=[2, 4]))
>>> sampler.max_variables
24
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from time import perf_counter
from typing import Any

import dimod
import numpy as np

from qsvr._validation import check_real
from qsvr.exceptions import CapacityError, SamplerError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.answers import read_answer
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dimod import ordered_reads
from qsvr.samplers.dwave.chain_strength import DEFAULT_PREFACTOR, torque_compensation
from qsvr.samplers.dwave.client import ServiceSampler, is_live
from qsvr.samplers.dwave.embedding import CliqueEmbedder, Embedding, WorkingGraph, fixed_embedding
from qsvr.samplers.dwave.errors import read_or_raise
from qsvr.samplers.dwave.submission import SERVICE_OPTIONS, ServiceOptions
from qsvr.samplers.dwave.unembedding import (
    check_chain_break_method,
    check_chain_strength,
    unembedded,
)
from qsvr.samplers.kinds import device_of, kind_of, option_names, seed_argument

__all__ = ["QPUSampler"]

_OURS = SERVICE_OPTIONS | {
    "embedding", "chain_strength", "chain_strength_prefactor", "chain_break_method",
}  # fmt: skip
_NOT_OPTIONS = {"warnings", "initial_state", "num_reads"}
_METHODS = ("auto", "clique", "minorminer")
# For samplers without an estimate (mocks): time for programming, and per read.
_PROGRAMMING_SECONDS, _READ_SECONDS = 0.0151, 2e-4


@dataclass(frozen=True)
class _Call:
    """Options of one call, grouped by recipient."""

    service: ServiceOptions
    embedding: object
    chain_strength: Any
    chain_break_method: Any
    prefactor: float
    solver: Mapping[str, Any]  # num_reads among them

    @property
    def n_runs(self) -> int:
        """Number of problems that a composite submits for one, as for spin reversal transforms."""
        runs, given = self.solver.get("num_spin_reversal_transforms"), self.solver.get("srts")
        if given is not None:
            runs = len(given)
        return max(int(runs), 1) if isinstance(runs, Integral) else 1


class QPUSampler(ServiceSampler):
    """Sampler that uses a quantum annealer through a clique embedding.

    Options of `sample`, beside the solver's own (``annealing_time``, ...):
    ``embedding`` ("auto", "clique", "minorminer" or chains of qubits); ``chain_strength`` (a
    number, a mapping from variables, or a callable of the model over spins and the embedding) or
    ``chain_strength_prefactor`` (of uniform torque compensation, default 1.414);
    ``chain_break_method`` ("majority_vote", "discard", "weighted_random", "minimize_energy", or a
    callable as in `dwave.embedding.chain_breaks`, or a list of these); ``timeout``,
    ``max_retries``, ``retry_delay`` and ``max_access_time`` (seconds).

    Parameters
    ----------
    client : dimod.Structured, default=None
        A live `dwave.system.DWaveSampler`, a mock of one, or a composite that forwards problems to
        one. By default one is opened at first use.
    embedding : str, default="auto"
        Default of the option ``embedding``.
    **connection
        ``region``, ``solver``, ``profile``, ``endpoint``, ``config_file``, ``proxy``: for the
        D-Wave client, which reads the token from its own configuration.

    See Also
    --------
    qsvr.samplers.dwave.HybridSampler : The hybrid solver for QUBOs.
    qsvr.scan_chain_strength : Measures a chain strength.
    qsvr.AccessPlan : Access time of a fit.

    Examples
    --------
    >>> from dwave.system.testing import MockDWaveSampler
    >>> from qsvr.samplers.dwave import QPUSampler
    >>> client = MockDWaveSampler(topology_type="pegasus", topology_shape=[2])
    >>> "annealing_time" in QPUSampler(client).parameters
    True
    """

    _kind = "qpu"

    def __init__(self, client: Any = None, *, embedding: str = "auto", **connection: Any) -> None:
        super().__init__(client, **connection)
        self._embedding = embedding
        self._embedder: CliqueEmbedder | None = None
        self._lock = threading.RLock()

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options of this package and of the solver."""
        names = option_names(self.client)
        return _OURS | (names - _NOT_OPTIONS - {"seed", *seed_argument(names, 0)})

    @property
    def _device(self) -> Any:
        """The client, or the structured sampler to which it forwards problems."""
        device, _ = device_of(self.client)
        return self.client if device is None else device

    @property
    def embedder(self) -> CliqueEmbedder:
        """Embeddings of the solver's working graph."""
        with self._lock:
            if self._embedder is None:
                device = self._device
                graph = WorkingGraph.of(
                    self.name, device.properties, device.nodelist, device.edgelist
                )
                self._embedder = CliqueEmbedder(graph)
            return self._embedder

    @property
    def max_variables(self) -> int | None:
        """Size of the largest clique of the processor; None if its topology is unknown."""
        return self.embedder.largest() if self.embedder.graph.is_lattice else None

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan:
        """Return the estimated cost by the formula of the solver, without submitting anything.

        Parameters
        ----------
        n_variables : int
            Number of variables of each problem.
        n_problems : int
            Number of problems.
        num_reads : int
            Number of reads of each problem.
        options : mapping
            Options of `sample`.

        Returns
        -------
        plan : AccessPlan
            Number of problems and access time of each.
        """
        call = self._call(options, num_reads)
        self.open(call.service)
        embedding = self._embed(n_variables, call)
        return AccessPlan(n_problems, self._estimate(embedding, call))

    def sample(
        self,
        qubo: SVRQubo,
        *,
        num_reads: int,
        seed: int,
        budget: AccessBudget | None = None,
        **options: Any,
    ) -> Samples:
        """Return the reads of one problem.

        ``seed`` varies the delay of retries. A mock of an annealer receives it too, if it has a
        seed.

        Raises
        ------
        ServiceError
            If there is no answer, or one with fewer reads (`IncompleteAnswerError`), or one of an
            unexpected shape (`InvalidAnswerError`).
        CostLimitError
            If the submission would exceed the budget.
        """
        from dwave.embedding import embed_bqm

        self.open(ServiceOptions.take(options))
        check_options("qpu", options, self.parameters)
        start = perf_counter()
        call = self._call(options, num_reads)
        embedding = self._embed(qubo.n_variables, call)
        bqm = qubo.to_bqm().change_vartype(dimod.SPIN, inplace=False)
        self._check_enumeration(embedding)
        chains = dict(enumerate(embedding.chains))
        strength = call.chain_strength
        if callable(strength):
            strength = check_chain_strength(strength(bqm, chains))
        if strength is None:
            strength = torque_compensation(bqm, call.prefactor)
        embedded = embed_bqm(
            bqm, chains, self.embedder.graph.neighbours, chain_strength=strength,
        )  # fmt: skip
        answer, info = self._solve(
            lambda: self._start(embedded, call, seed), self._estimate(embedding, call),
            call.service, budget, seed,
        )  # fmt: skip
        sample_set, faults = read_or_raise(
            lambda: readable(answer, embedding.chains, num_reads * call.n_runs), self.name
        )
        n_reads = int(sample_set.record.num_occurrences.sum())
        read, error = self._read(sample_set, embedding, bqm, call, strength, seed)
        bits = ordered_reads(read, qubo.n_variables).astype(np.uint8)
        fixed = {"embedding_time": 0.0, "embedding_source": "fixed"}
        info |= {
            "chain_strength": strength,
            "chain_break_fraction": _broken(sample_set, embedding.chains),
            "n_qubits": embedding.n_qubits,
            "longest_chain": max(map(len, embedding.chains)),
            **(fixed if embedding.source == "fixed" else self.embedder.take_report()),
            "sampling_time": perf_counter() - start,
        }
        energies = qubo.energies(bits)
        if len(bits) > num_reads:  # of several runs or methods: the lowest
            keep = np.argsort(energies, kind="stable")[:num_reads]
            bits, energies = bits[keep], energies[keep]
        samples = Samples(bits, energies, info, read)
        if error is not None:
            error.samples = samples
            raise error
        return self._checked(samples, faults, num_reads * call.n_runs, n_reads=n_reads)

    def _read(
        self, answer: Any, embedding: Embedding, bqm: Any, call: _Call, strength: Any, seed: int
    ) -> tuple[dimod.SampleSet, SamplerError | None]:
        """Return the samples over variables, and an error if the method for broken chains fails."""
        chains, method = embedding.chains, call.chain_break_method
        given = {"chain_strength": strength, "seed": seed}
        try:
            read = unembedded(answer, chains, bqm, method=method, **given)
            if len(read) or method is None:
                return read, None
            reason = "discarded all reads, as each has a broken chain"
        except Exception as raised:
            if method is None:
                raise
            reason = f"failed: {type(raised).__name__}: {raised}"
        error = SamplerError(
            f"chain_break_method of sampler_options {reason}. Raise chain_strength, or use "
            "'majority_vote': the reads by it are in this error's samples and partial_model."
        )
        return unembedded(answer, chains, bqm, method=None, **given), error

    def _call(self, options: Mapping[str, Any], num_reads: int) -> _Call:
        strength = check_chain_strength(options.get("chain_strength"))
        method = check_chain_break_method(options.get("chain_break_method"))
        prefactor = check_real(
            "sampler_options", "chain_strength_prefactor",
            options.get("chain_strength_prefactor", DEFAULT_PREFACTOR), strict=True,
        )  # fmt: skip
        solver = {name: value for name, value in options.items() if name not in _OURS}
        solver["num_reads"] = num_reads
        embedding = options.get("embedding", self._embedding)
        return _Call(ServiceOptions.take(options), embedding, strength, method, prefactor, solver)

    def _embed(self, n_variables: int, call: _Call) -> Embedding:
        if not isinstance(call.embedding, str):
            return fixed_embedding(call.embedding, n_variables, self.embedder.graph)
        if call.embedding not in _METHODS:
            raise ValueError(
                f"embedding of sampler_options must be one of {list(_METHODS)} or chains of "
                f"qubits for each variable; got {call.embedding!r}."
            )
        return self.embedder.embed(n_variables, call.embedding)

    def _check_enumeration(self, embedding: Embedding) -> None:
        kind = kind_of(self.client)
        if kind.enumerates and kind.max_variables and embedding.n_qubits > kind.max_variables:
            raise CapacityError(
                f"the embedding has {embedding.n_qubits} qubits, and {type(self.client).__name__} "
                f"enumerates at most {kind.max_variables}. Use fewer samples or bits, or another "
                "sampler in its place."
            )

    def _estimate(self, embedding: Embedding, call: _Call) -> float:
        """Return seconds of access time for one problem."""
        solver = getattr(self._device, "solver", None)
        estimate = getattr(solver, "estimate_qpu_access_time", None)
        if estimate is None or "problem_timing_data" not in solver.properties:  # type: ignore[union-attr]
            seconds = _PROGRAMMING_SECONDS + call.solver["num_reads"] * _READ_SECONDS
        else:
            known = frozenset(solver.parameters) | {"num_reads"}  # type: ignore[union-attr]
            options = {name: value for name, value in call.solver.items() if name in known}
            seconds = 1e-6 * float(estimate(embedding.n_qubits, **options))
        return call.n_runs * float(seconds)

    def _start(self, embedded: Any, call: _Call, seed: int) -> Any:
        client, options = self.client, dict(call.solver)
        if is_live(client) and hasattr(client.solver, "sample_bqm"):
            return client.solver.sample_bqm(embedded, **options)
        names = option_names(client)
        if "num_reads" not in names:
            del options["num_reads"]
        return client.sample(embedded, **options, **seed_argument(names, seed))


def _broken(sample_set: Any, chains: Sequence[Sequence[int]]) -> float:
    """Return the fraction of chains whose qubits disagree."""
    from dwave.embedding.chain_breaks import broken_chains

    if len(sample_set) == 0:
        return 0.0
    broken = broken_chains(sample_set, chains)  # (n_rows, n_chains)
    return float(np.average(broken.mean(axis=1), weights=sample_set.record.num_occurrences))


def readable(
    answer: Any, chains: Sequence[Sequence[int]], num_reads: int
) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the readable reads of a device's answer, and its faults.

    A valid answer is returned unchanged. A qubit without a value gets that of the majority of its
    chain. If a whole chain has no values, no read is readable.

    Parameters
    ----------
    answer : dimod.SampleSet
        The answer, which may be any object if the device is at fault.
    chains : sequence of sequences of int
        Qubits of each variable.
    num_reads : int
        Maximum number of reads per sample in an answer with faults.
    """
    qubits = [qubit for chain in chains for qubit in chain]
    reads = read_answer(answer, qubits, limit=num_reads, is_part_enough=True)
    if not reads.faults:
        return answer, ()
    column = {qubit: i for i, qubit in enumerate(reads.labels)}
    known = 2 * reads.values - 1  # (n_reads, n_qubits that have a value)
    spins = np.zeros((len(reads), len(qubits)), dtype=np.int8)
    start = 0
    for chain in chains:
        present = [column[qubit] for qubit in chain if qubit in column]
        if not present:
            spins, known = spins[:0], known[:0]
            break
        majority = np.where(known[:, present].sum(axis=1) < 0, -1, 1)
        for i, qubit in enumerate(chain, start):
            spins[:, i] = known[:, column[qubit]] if qubit in column else majority
        start += len(chain)
    energies = np.zeros(len(spins))
    return dimod.SampleSet.from_samples((spins, qubits), "SPIN", energies), reads.faults
