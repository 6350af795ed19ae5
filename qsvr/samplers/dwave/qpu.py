"""A quantum annealer as a sampler: embedding, chain strength, submission, and what it cost.

>>> from dwave.system.testing import MockDWaveSampler
>>> sampler = QPUSampler(client=MockDWaveSampler(topology_type="zephyr", topology_shape=[2, 4]))
>>> sampler.max_variables
24
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._validation import check_real
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.answers import read_answer
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dwave.chain_strength import DEFAULT_PREFACTOR, torque_compensation
from qsvr.samplers.dwave.client import ServiceSampler, is_live
from qsvr.samplers.dwave.embedding import CliqueEmbedder, Embedding, WorkingGraph, fixed_embedding
from qsvr.samplers.dwave.errors import read_or_raise
from qsvr.samplers.dwave.submission import SERVICE_OPTIONS, ServiceOptions

__all__ = ["QPUSampler"]

_OURS = SERVICE_OPTIONS | {"embedding", "chain_strength", "chain_strength_prefactor"}
_NOT_OPTIONS = {"warnings", "initial_state", "num_reads"}
_METHODS = ("auto", "clique", "minorminer")
# Where a sampler has no estimate of its own (mock samplers): programming, and per read.
_PROGRAMMING_SECONDS, _READ_SECONDS = 0.0151, 2e-4


@dataclass(frozen=True)
class _Call:
    """Options of one call, by whom they concern."""

    service: ServiceOptions
    embedding: object
    chain_strength: float | None
    prefactor: float
    solver: Mapping[str, Any]  # num_reads among them


class QPUSampler(ServiceSampler):
    """Samples on a quantum annealer through a clique embedding.

    Options of `sample`, beside the solver's own (``annealing_time``, ...):
    ``embedding`` ("auto", "clique", "minorminer" or chains of qubits); ``chain_strength`` (a
    number) or ``chain_strength_prefactor`` (of uniform torque compensation, default 1.414);
    ``timeout``, ``max_retries``, ``retry_delay`` and ``max_access_time`` (seconds).

    Parameters
    ----------
    client : dimod.Structured, optional
        A live `dwave.system.DWaveSampler` or a mock of one. By default one is opened at first use.
    embedding : str
        What the option ``embedding`` is by default.
    **connection
        ``region``, ``solver``, ``profile``, ``endpoint``, ``config_file``, ``proxy``: for the
        D-Wave client, which reads the token from its own configuration.
    """

    _kind = "qpu"

    def __init__(self, client: Any = None, *, embedding: str = "auto", **connection: Any) -> None:
        super().__init__(client, **connection)
        self._embedding = embedding
        self._embedder: CliqueEmbedder | None = None
        self._lock = threading.RLock()

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options: ours and the solver's."""
        return _OURS | (frozenset(self.client.parameters) - _NOT_OPTIONS)

    @property
    def embedder(self) -> CliqueEmbedder:
        """Embeddings of the solver's working graph."""
        with self._lock:
            if self._embedder is None:
                client = self.client
                graph = WorkingGraph.of(
                    self.name, client.properties, client.nodelist, client.edgelist
                )
                self._embedder = CliqueEmbedder(graph)
            return self._embedder

    @property
    def max_variables(self) -> int | None:
        """Size of the largest clique of the working graph; None where it is not a lattice."""
        return self.embedder.largest() if self.embedder.graph.is_lattice else None

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan:
        """Return the estimate by the solver's own formula."""
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
        """Return the reads of one problem; ``seed`` is that of the retries' jitter only.

        Raises
        ------
        ServiceError
            If no answer came, or one with fewer reads (`IncompleteAnswerError`), or one of an
            unexpected shape (`InvalidAnswerError`).
        CostLimitError
            If it would exceed the budget.
        """
        from dwave.embedding import embed_bqm

        self.open(ServiceOptions.take(options))
        check_options("qpu", options, self.parameters)
        start = perf_counter()
        call = self._call(options, num_reads)
        embedding = self._embed(qubo.n_variables, call)
        bqm = qubo.to_bqm().change_vartype(dimod.SPIN, inplace=False)
        strength = call.chain_strength or torque_compensation(bqm, call.prefactor)
        embedded = embed_bqm(
            bqm, dict(enumerate(embedding.chains)), self.embedder.graph.neighbours,
            chain_strength=strength,
        )  # fmt: skip
        answer, info = self._solve(
            lambda: self._start(embedded, call), self._estimate(embedding, call),
            call.service, budget, seed,
        )  # fmt: skip
        sample_set, faults = read_or_raise(
            lambda: readable(answer, embedding.chains, num_reads), self.name
        )
        bits, broken = _unembedded(sample_set, embedding.chains)
        fixed = {"embedding_time": 0.0, "embedding_source": "fixed"}
        info |= {
            "chain_strength": strength,
            "chain_break_fraction": broken,
            "n_qubits": embedding.n_qubits,
            "longest_chain": max(map(len, embedding.chains)),
            **(fixed if embedding.source == "fixed" else self.embedder.take_report()),
            "sampling_time": perf_counter() - start,
        }
        return self._checked(Samples(bits, qubo.energies(bits), info), faults, num_reads)

    def _call(self, options: Mapping[str, Any], num_reads: int) -> _Call:
        strength = options.get("chain_strength")
        if strength is not None:
            check_real("sampler_options", "chain_strength", strength, strict=True)
        prefactor = check_real(
            "sampler_options", "chain_strength_prefactor",
            options.get("chain_strength_prefactor", DEFAULT_PREFACTOR), strict=True,
        )  # fmt: skip
        solver = {name: value for name, value in options.items() if name not in _OURS}
        solver["num_reads"] = num_reads
        embedding = options.get("embedding", self._embedding)
        return _Call(ServiceOptions.take(options), embedding, strength, prefactor, solver)

    def _embed(self, n_variables: int, call: _Call) -> Embedding:
        if not isinstance(call.embedding, str):
            return fixed_embedding(call.embedding, n_variables, self.embedder.graph)
        if call.embedding not in _METHODS:
            raise ValueError(
                f"embedding of sampler_options must be one of {list(_METHODS)} or chains of "
                f"qubits for each variable; got {call.embedding!r}."
            )
        return self.embedder.embed(n_variables, call.embedding)

    def _estimate(self, embedding: Embedding, call: _Call) -> float:
        """Return seconds of access time for one problem."""
        solver = getattr(self.client, "solver", None)
        estimate = getattr(solver, "estimate_qpu_access_time", None)
        if estimate is None or "problem_timing_data" not in solver.properties:  # type: ignore[union-attr]
            return float(_PROGRAMMING_SECONDS + call.solver["num_reads"] * _READ_SECONDS)
        return 1e-6 * float(estimate(embedding.n_qubits, **call.solver))

    def _start(self, embedded: Any, call: _Call) -> Any:
        client = self.client
        if is_live(client) and hasattr(client.solver, "sample_bqm"):
            return client.solver.sample_bqm(embedded, **call.solver)
        return client.sample(embedded, **call.solver)


def readable(
    answer: Any, chains: Sequence[Sequence[int]], num_reads: int
) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the reads of a device's answer that can be read, and what is wrong with it.

    An answer without faults is returned as it is. A qubit without a value gets that of the majority
    of its chain; where a whole chain has none, no read can be read.

    Parameters
    ----------
    answer : dimod.SampleSet
        Or whatever came instead of one.
    chains : sequence of sequences of int
        Qubits of each variable.
    num_reads : int
        Most reads that one sample of an answer with faults stands for.
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


def _unembedded(
    sample_set: Any, chains: Sequence[Sequence[int]]
) -> tuple[NDArray[np.uint8], float]:
    """Return bits by majority vote, (n_reads, n_variables), and the share of broken chains."""
    from dwave.embedding.chain_breaks import broken_chains, majority_vote

    position = {qubit: i for i, qubit in enumerate(sample_set.variables)}
    columns = [np.array([position[qubit] for qubit in chain]) for chain in chains]
    record = sample_set.record
    spins = np.repeat(np.asarray(record.sample), np.asarray(record.num_occurrences), axis=0)
    voted, _ = majority_vote(spins, columns)
    broken = broken_chains(spins, columns)
    share = float(np.mean(broken)) if broken.size else 0.0
    return np.ascontiguousarray(voted > 0, dtype=np.uint8), share
