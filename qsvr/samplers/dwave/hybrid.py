"""Leap's hybrid solvers as samplers: binary quadratic, constrained and nonlinear models.

The last two have the constraint sum(b) = 0 and one integer per coefficient, instead of the penalty
and the bits of the QUBO.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter
from typing import Any
from zipfile import ZipFile

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._typing import BoolArray
from qsvr._validation import check_real
from qsvr.exceptions import CapacityError, ServiceUnavailableError, SolverMissingError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.answers import read_answer, whole_levels
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dwave.client import ServiceSampler, is_live
from qsvr.samplers.dwave.errors import read_or_raise
from qsvr.samplers.dwave.submission import SERVICE_OPTIONS, ServiceOptions
from qsvr.samplers.kinds import kind_of

__all__ = ["CQMSampler", "HybridSampler", "NLSampler"]

# Run time assumed for a plan where the solver cannot tell before it sees the model.
_USUAL_SECONDS = 5.0
_MAGIC = b"DWNL"  # with which a file of states begins


class _HybridBase(ServiceSampler):
    """Base class: one model is uploaded, then solved for ``time_limit`` seconds."""

    _local_method: str  # of a client without a service

    @property
    def max_variables(self) -> int | None:
        """None, as the limit is checked against the model, which may be of integers.

        A client that enumerates (`dimod.ExactCQMSolver`) has the limit of enumeration.
        """
        kind = kind_of(self._client)
        return kind.max_variables if kind.enumerates else None

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options of this package and of the solver."""
        solvers = frozenset(getattr(self.client, "parameters", ()))
        return SERVICE_OPTIONS | {"time_limit"} | solvers

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan:
        """Return the estimate: ``time_limit``, or the minimum of the solver for the model size."""
        del num_reads
        self.open(ServiceOptions.take(options))
        limit = options.get("time_limit")
        if limit is not None:
            limit = check_real("sampler_options", "time_limit", limit)
            return AccessPlan(n_problems, limit)
        seconds = self._described(self._least_seconds, n_variables)
        return AccessPlan(n_problems, seconds)

    def sample(
        self,
        qubo: SVRQubo,
        *,
        num_reads: int,
        seed: int,
        budget: AccessBudget | None = None,
        **options: Any,
    ) -> Samples:
        """Return the samples of one run; the solver chooses how many, at most ``num_reads``.

        ``seed`` only varies the delay of retries. Options are ``time_limit`` (run time in seconds,
        by default the minimum of the solver for this model), ``timeout``, ``max_retries``,
        ``retry_delay`` and ``max_access_time``.

        Raises
        ------
        ServiceError
            If there is no answer, or one of an unexpected shape (`InvalidAnswerError`), or one
            without a sample (`IncompleteAnswerError`).
        CapacityError
            If the model has more variables than the solver accepts.
        """
        service = ServiceOptions.take(options)
        client = self.open(service)
        check_options(self._kind, options, self.parameters)
        start = perf_counter()
        model = self._model(qubo)
        self._check_size(model)
        limit, least = options.get("time_limit"), self._described(self._least_seconds_of, model)
        seconds = least
        if limit is not None:
            seconds = check_real("sampler_options", "time_limit", limit, low=least)
        uploads: list[str] = []
        live = {"read": lambda future: self._read(future, model)} if is_live(client) else {}
        answer, info = self._solve(
            lambda: self._start(model, seconds, uploads, service),
            seconds, service, budget, seed, **live,
        )  # fmt: skip
        found = read_or_raise(lambda: self._found(answer, qubo, num_reads), self.name)
        bits = found.bits[:num_reads]
        info = {**info, **found.report, "sampling_time": perf_counter() - start}
        sampleset = answer if isinstance(answer, dimod.SampleSet) else None
        samples = Samples(bits, qubo.energies(bits), info, sampleset)
        return self._checked(samples, found.faults, 1)

    def _described(self, least: Callable[[Any], float], size: Any) -> float:
        """Return a time worked out from the solver's description, which may lack what it needs."""
        seconds = read_or_raise(lambda: float(least(size)), self.name, SolverMissingError)
        return max(seconds, 0.0)

    def _least_seconds_of(self, model: Any) -> float:
        """Return the shortest run time that the solver takes for a model."""
        least = getattr(self.client, "min_time_limit", None)
        return 0.0 if least is None else float(least(model))

    def _read(self, future: Any, model: Any) -> Any:
        """Return the answer of a future that is done."""
        del model
        return future.wait_sampleset()

    def _check_size(self, model: Any) -> None:
        properties = getattr(self.client, "properties", {})
        limit = properties.get("maximum_number_of_variables")
        if limit is not None and len(model.variables) > limit:
            raise CapacityError(
                f"the model has {len(model.variables)} variables and {self.name!r} takes "
                f"at most {limit}. Use fewer samples, max_variables (decomposition), or an "
                "ensemble on subsamples."
            )

    def _start(
        self, model: Any, seconds: float, uploads: list[str], service: ServiceOptions
    ) -> Any:
        client = self.client
        if not is_live(client):
            return self._sample_locally(model, seconds, service)
        if not uploads:  # once, also where the submission is tried again
            with model.to_file() as file:
                uploads.append(client.solver.upload_problem(file).result(service.patience))
        return self._submitted(client.solver, uploads[0], seconds)

    def _submitted(self, solver: Any, upload: str, seconds: float) -> Any:
        """Return the future of an uploaded model."""
        return solver.sample_problem(upload, time_limit=seconds)

    @abstractmethod
    def _least_seconds(self, n_variables: int) -> float: ...

    @abstractmethod
    def _model(self, qubo: SVRQubo) -> Any: ...

    @abstractmethod
    def _sample_locally(self, model: Any, seconds: float, service: ServiceOptions) -> Any:
        """Return the answer of a client without a service."""

    @abstractmethod
    def _found(self, answer: Any, qubo: SVRQubo, num_reads: int) -> _Found: ...


class HybridSampler(_HybridBase):
    """Leap's hybrid solver for binary quadratic models; it returns its best sample.

    Parameters
    ----------
    client : dwave.system.LeapHybridSampler, default=None
        A live client. By default one is opened at first use.
    **connection
        As for `QPUSampler`.

    See Also
    --------
    qsvr.samplers.dwave.CQMSampler : The hybrid solver for constrained problems.
    qsvr.samplers.dwave.NLSampler : The hybrid solver for nonlinear problems.
    qsvr.samplers.dwave.QPUSampler : A quantum annealer.

    Examples
    --------
    >>> from qsvr.samplers.dwave import HybridSampler
    >>> solver = "hybrid_binary_quadratic_model_version2"
    >>> sampler = HybridSampler(solver=solver)  # doctest: +SKIP
    """

    _kind = "hybrid"

    def _sample_locally(self, model: Any, seconds: float, service: ServiceOptions) -> Any:
        del seconds, service
        return self.client.sample(model)

    def _least_seconds(self, n_variables: int) -> float:
        curve = getattr(self.client, "properties", {}).get("minimum_time_limit")
        if curve is None:
            return _USUAL_SECONDS
        sizes, seconds = zip(*curve, strict=True)
        return float(np.interp(n_variables, sizes, seconds))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_bqm()

    def _found(self, answer: Any, qubo: SVRQubo, num_reads: int) -> _Found:
        reads = read_answer(answer, range(qubo.n_variables), limit=num_reads)
        return _Found(np.ascontiguousarray(reads.values, dtype=np.uint8), {}, reads.faults)


class CQMSampler(_HybridBase):
    """Leap's hybrid solver for constrained models: exact sum(b) = 0, integer coefficients.

    Parameters
    ----------
    client : object, default=None
        A live `dwave.system.LeapHybridCQMSampler`, or another with ``sample_cqm`` such as
        `dimod.ExactCQMSolver`. By default one is opened at first use.
    **connection
        As for `QPUSampler`.

    Examples
    --------
    >>> from qsvr.samplers.dwave import CQMSampler
    >>> solver = "hybrid_constrained_quadratic_model_version1"
    >>> sampler = CQMSampler(solver=solver)  # doctest: +SKIP
    """

    _kind = "cqm"

    def _sample_locally(self, model: Any, seconds: float, service: ServiceOptions) -> Any:
        del seconds, service
        return self.client.sample_cqm(model)

    def _least_seconds(self, n_variables: int) -> float:
        del n_variables
        properties = getattr(self.client, "properties", {})
        return float(properties.get("minimum_time_limit_s", _USUAL_SECONDS))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_cqm()

    def _found(self, answer: Any, qubo: SVRQubo, num_reads: int) -> _Found:
        n, top = qubo.encoding.active.size, qubo.encoding.grid.size - 1
        reads = read_answer(answer, range(n), top=top, limit=num_reads)
        faults = list(reads.faults)
        feasible = None
        if len(reads):
            feasible = _said_feasible(answer.record)
            if feasible is None:
                faults.append("no boolean is_feasible for each sample")
            else:
                feasible = feasible[reads.rows]
        return _lowest(qubo, reads.values, feasible, faults)


class NLSampler(_HybridBase):
    """Leap's hybrid solver for nonlinear models: exact sum(b) = 0, integer coefficients.

    Parameters
    ----------
    client : dwave.system.LeapHybridNLSampler, default=None
        A live client, or another object whose ``sample`` returns the future of a solved model. By
        default one is opened at first use.
    **connection
        As for `QPUSampler`.

    Examples
    --------
    >>> from qsvr.samplers.dwave import NLSampler
    >>> solver = "hybrid_nonlinear_program_version1"
    >>> sampler = NLSampler(solver=solver)  # doctest: +SKIP
    """

    _kind = "nl"

    def _least_seconds(self, n_variables: int) -> float:
        del n_variables
        return float(getattr(self.client, "properties", {}).get("min_time_limit", _USUAL_SECONDS))

    def _least_seconds_of(self, model: Any) -> float:
        estimate = getattr(self.client, "estimated_min_time_limit", None)
        return 0.0 if estimate is None else float(estimate(model))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_nl()

    def _check_size(self, model: Any) -> None:
        properties = getattr(self.client, "properties", {})
        sizes = {
            "maximum_number_of_nodes": model.num_nodes(),
            "maximum_decision_state_size": model.decision_state_size(),
            "maximum_state_size": model.state_size(),
        }
        for name, size in sizes.items():
            limit = properties.get(name)
            if limit is not None and size > limit:
                raise CapacityError(
                    f"the model is too large for {self.name!r}: {size}, where {name} is {limit}. "
                    "Use fewer samples, max_variables (decomposition), or an ensemble on "
                    "subsamples."
                )

    def _sample_locally(self, model: Any, seconds: float, service: ServiceOptions) -> Any:
        result = self.client.sample(model, time_limit=seconds).result(service.patience)
        return _states_of(model, getattr(result, "info", {}))

    def _submitted(self, solver: Any, upload: str, seconds: float) -> Any:
        from dwave.cloud.solver import BaseUnstructuredSolver

        # Not the solver's own method: it opens a temporary file for the states, which stays open
        # where the submission fails. The states of one decision fit into memory.
        return BaseUnstructuredSolver.sample_problem(solver, upload, time_limit=seconds)

    def _read(self, future: Any, model: Any) -> Any:
        timing = future.timing
        with future.answer_data as data:
            data.seek(0)
            is_file = data.read(len(_MAGIC)) == _MAGIC
            states = _states_in(data, model, {"timing": timing}) if is_file else None
        if states is None:  # but what the service says of an error
            raise ServiceUnavailableError(
                f"the states that {self.name!r} found could not be downloaded. Fit again, or raise "
                "sampler_options 'max_retries'."
            )
        return states

    def _found(self, answer: Any, qubo: SVRQubo, num_reads: int) -> _Found:
        del num_reads
        n, top = qubo.encoding.active.size, qubo.encoding.grid.size - 1
        rows = [np.asarray(row).reshape(-1) for row in answer.states]
        faults = []
        right = [row for row in rows if row.size == n]
        if len(right) < len(rows):
            faults.append(f"{len(rows) - len(right)} of {len(rows)} states of another size")
        states = np.array(right, dtype=np.float64).reshape(-1, n)
        levels, is_good = whole_levels(states, top)
        if not is_good.all():
            faults.append(
                f"{(~is_good).sum()} of {len(states)} states have levels that are not whole "
                f"numbers from 0 to {top}"
            )
        levels = levels[is_good]
        return _lowest(qubo, levels, _is_balanced(qubo, levels), faults)


@dataclass(frozen=True)
class _Found:
    """The readable part of an answer: bits, lowest energy first, information, and faults."""

    bits: NDArray[np.uint8]
    report: dict[str, Any]
    faults: Sequence[str]


@dataclass(frozen=True)
class _States:
    """The answer of the nonlinear solver: the decision's states, and what came with them."""

    states: Sequence[NDArray[Any]]
    info: Mapping[str, Any]


def _states_in(data: Any, model: Any, info: Mapping[str, Any]) -> _States:
    """Return the states in a file.

    Read as they stand, where the format is known: the model itself would refuse the whole file for
    one level out of range, and cut off fractions.

    Raises
    ------
    Exception
        Any exception, if it is not a file of states.
    """
    with ZipFile(data) as archive:
        names = [name for name in archive.namelist() if name.endswith("states.npy")]
        if len(names) == 1:  # of the one decision
            return _States(list(np.load(BytesIO(archive.read(names[0])))), info)
    data.seek(0)
    # As the client does: the header is that of the solver's own version of the model.
    model.states.from_file(data, check_header=False)
    return _states_of(model, info)


def _states_of(model: Any, info: Mapping[str, Any]) -> _States:
    decision = next(model.iter_decisions())
    return _States([np.array(decision.state(i)) for i in range(model.states.size())], info)


def _said_feasible(record: Any) -> BoolArray | None:
    """Return which samples are reported as feasible, or None if that is not reported."""
    names = record.dtype.names or ()
    if "is_feasible" not in names or record.is_feasible.dtype.kind != "b":
        return None
    return np.asarray(record.is_feasible)


def _is_balanced(qubo: SVRQubo, levels: NDArray[np.int64]) -> BoolArray:
    """Return which rows of levels, (n_reads, n_active), have sum(b) = 0."""
    coefficients = qubo.encoding.values(qubo.encoding.expanded(levels))
    total = (coefficients[:, 0] - coefficients[:, 1]).sum(axis=1)
    largest = np.abs(qubo.encoding.offset).sum() + qubo.encoding.width.sum()
    return np.asarray(np.abs(total) <= 1e-9 * largest)


def _lowest(
    qubo: SVRQubo, flat: NDArray[np.int64], feasible: BoolArray | None, faults: Sequence[str]
) -> _Found:
    """Return the feasible levels, or all if none is feasible, lowest energy first."""
    bits = qubo.encoding.bits(qubo.encoding.expanded(flat))
    if feasible is None:
        feasible = _is_balanced(qubo, flat)
    order = np.argsort(qubo.energies(bits), kind="stable")
    order = order[np.argsort(~feasible[order], kind="stable")]
    kept = bits[order][: feasible.sum() or None]
    share = float(feasible.mean()) if feasible.size else 0.0
    return _Found(kept, {"feasible_fraction": share}, faults)
