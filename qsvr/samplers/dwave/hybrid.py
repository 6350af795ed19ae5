"""Leap's hybrid solvers as samplers: binary quadratic models, and constrained ones.

The constrained form has the dual's equation sum(b) = 0 as a constraint and one integer per
coefficient, where the QUBO has a penalty and bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray
from qsvr._validation import check_real
from qsvr.exceptions import CapacityError, SamplerError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessBudget, AccessPlan, current_budget
from qsvr.samplers.dwave.client import LazyClient, is_live
from qsvr.samplers.dwave.submission import SERVICE_OPTIONS, Problem, ServiceOptions

__all__ = ["CQMSampler", "HybridSampler"]

_OURS = SERVICE_OPTIONS | {"time_limit"}
# Run time assumed for a plan where the solver cannot tell before it sees the model.
_USUAL_SECONDS = 5.0


class _HybridBase(ABC):
    """What both have in common: one model is uploaded, then solved for ``time_limit`` seconds."""

    _kind: str

    def __init__(self, client: Any = None, **connection: Any) -> None:
        self._client = LazyClient(self._kind, client, connection)
        self.total = AccessBudget()

    def __reduce__(self) -> Any:
        """Refuse to travel: hold a `SamplerFactory` instead."""
        raise TypeError(
            f"a {type(self).__name__} holds a live connection and can be neither copied nor sent "
            f"to another process; use sampler={self._kind!r} or a SamplerFactory, which open one "
            "there."
        )

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options: ours and the solver's."""
        return _OURS | frozenset(getattr(self._client.get(), "parameters", ()))

    @property
    def max_variables(self) -> int | None:
        """The solver's own limit is checked against the model, which may be of integers."""
        return None

    def close(self) -> None:
        """Close the client, if it was opened here."""
        self._client.close()

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan:
        """Return the estimate: ``time_limit``, or the solver's least for so many variables."""
        del num_reads
        limit = options.get("time_limit")
        seconds = self._least_seconds(n_variables) if limit is None else float(limit)
        return AccessPlan(n_problems, seconds)

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return the samples of one run; the solver chooses how many, at most ``num_reads``.

        Parameters
        ----------
        qubo : SVRQubo
        num_reads : int
        seed : int
            Of the retries' jitter only.
        **options
            ``time_limit`` (run time in seconds; by default the solver's least for this model),
            ``timeout``, ``max_retries``, ``retry_delay``, ``max_access_time``.

        Raises
        ------
        ServiceError
            If no answer came.
        CapacityError
            If the solver does not take so many variables.
        """
        check_options(self._kind, options, self.parameters)
        start = perf_counter()
        model = self._model(qubo)
        self._check_size(model)
        service = ServiceOptions.take(options)
        seconds = self._run_time(model, options.get("time_limit"))
        ledger = current_budget() or AccessBudget(service.max_access_time)
        uploads: list[str] = []
        problem = Problem(
            self._client.name, lambda: self._start(model, seconds, uploads, service), seconds,
            service, ledger,
        )  # fmt: skip
        answer = problem.solve(seed)
        bits, extra = self._bits(answer.sample_set, qubo)
        if len(bits) == 0:
            raise SamplerError(
                f"{self._client.name!r} returned no sample. Raise sampler_options 'time_limit'."
            )
        self.total.charge(answer.access_time)
        info = {
            "sampler": self._client.name,
            "sampling_time": perf_counter() - start,
            "polished": False,
            "n_retries": answer.n_retries,
            "access_time": ledger.seconds,
            "n_problems": ledger.n_submitted,
            "total_access_time": self.total.seconds,
            "total_problems": self.total.n_submitted,
            "timing": dict(answer.sample_set.info.get("timing", {})),
            **extra,
        }
        bits = bits[:num_reads]
        return Samples(bits, qubo.energies(bits), info)

    def _run_time(self, model: Any, limit: Any) -> float:
        client = self._client.get()
        least = float(client.min_time_limit(model)) if hasattr(client, "min_time_limit") else 0.0
        if limit is None:
            return least
        return check_real("sampler_options", "time_limit", limit, low=least)

    def _start(
        self, model: Any, seconds: float, uploads: list[str], service: ServiceOptions
    ) -> Any:
        client = self._client.get()
        if not is_live(client):
            return self._sample_locally(client, model)
        if not uploads:  # once, also where the submission is tried again
            with model.to_file() as file:
                uploads.append(client.solver.upload_problem(file).result(service.timeout))
        return client.solver.sample_problem(uploads[0], time_limit=seconds)

    def _check_size(self, model: Any) -> None:
        properties = getattr(self._client.get(), "properties", {})
        limit = properties.get("maximum_number_of_variables")
        if limit is not None and len(model.variables) > limit:
            raise CapacityError(
                f"the model has {len(model.variables)} variables and {self._client.name!r} takes "
                f"at most {limit}. Use fewer samples, max_variables (decomposition), or an "
                "ensemble on subsamples."
            )

    @abstractmethod
    def _least_seconds(self, n_variables: int) -> float: ...

    @abstractmethod
    def _model(self, qubo: SVRQubo) -> Any: ...

    @abstractmethod
    def _sample_locally(self, client: Any, model: Any) -> Any: ...

    @abstractmethod
    def _bits(self, sample_set: Any, qubo: SVRQubo) -> tuple[NDArray[np.uint8], dict[str, Any]]: ...


class HybridSampler(_HybridBase):
    """Leap's hybrid solver for binary quadratic models; it returns its best sample.

    Parameters
    ----------
    client : dwave.system.LeapHybridSampler, optional
        A live one. By default one is opened at first use.
    **connection
        As for `QPUSampler`.
    """

    _kind = "hybrid"

    def _least_seconds(self, n_variables: int) -> float:
        curve = getattr(self._client.get(), "properties", {}).get("minimum_time_limit")
        if curve is None:
            return _USUAL_SECONDS
        sizes, seconds = zip(*curve, strict=True)
        return float(np.interp(n_variables, sizes, seconds))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_bqm()

    def _sample_locally(self, client: Any, model: Any) -> Any:
        return client.sample(model)

    def _bits(self, sample_set: Any, qubo: SVRQubo) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        rows = _ordered(sample_set.change_vartype("BINARY", inplace=False), qubo.n_variables)
        return np.ascontiguousarray(rows, dtype=np.uint8), {}


class CQMSampler(_HybridBase):
    """Leap's hybrid solver for constrained models: exact sum(b) = 0, integer coefficients.

    Parameters
    ----------
    client : object, optional
        A live `dwave.system.LeapHybridCQMSampler`, or another with ``sample_cqm`` such as
        `dimod.ExactCQMSolver`. By default one is opened at first use.
    **connection
        As for `QPUSampler`.
    """

    _kind = "cqm"

    def _least_seconds(self, n_variables: int) -> float:
        del n_variables
        properties = getattr(self._client.get(), "properties", {})
        return float(properties.get("minimum_time_limit_s", _USUAL_SECONDS))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_cqm()

    def _sample_locally(self, client: Any, model: Any) -> Any:
        return client.sample_cqm(model)

    def _bits(self, sample_set: Any, qubo: SVRQubo) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        n = qubo.dual.n_samples
        levels = _ordered(sample_set, 2 * n).round().astype(np.int64).reshape(-1, 2, n)
        feasible = np.repeat(sample_set.record.is_feasible, sample_set.record.num_occurrences)
        order = np.argsort(qubo.energies(qubo.encoding.bits(levels)), kind="stable")
        order = order[np.argsort(~feasible[order], kind="stable")]  # feasible ones first
        kept = levels[order][: feasible.sum() or None]
        return qubo.encoding.bits(kept), {"feasible_fraction": float(feasible.mean())}


def _ordered(sample_set: Any, n_variables: int) -> FloatArray:
    """Return one row per read, in the order of the variables 0 to n_variables - 1."""
    labels = [int(label) for label in sample_set.variables]
    if sorted(labels) != list(range(n_variables)):
        raise SamplerError(
            f"the solver answered for {len(labels)} variables instead of {n_variables}. Report "
            "this to its provider; another solver may do."
        )
    rows = np.asarray(sample_set.record.sample, dtype=np.float64)[:, np.argsort(labels)]
    return np.repeat(rows, np.asarray(sample_set.record.num_occurrences), axis=0)
