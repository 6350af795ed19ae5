"""Leap's hybrid solvers as samplers: binary quadratic models, and constrained ones.

The constrained form has the dual's equation sum(b) = 0 as a constraint and one integer per
coefficient, where the QUBO has a penalty and bits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._validation import check_real
from qsvr.exceptions import CapacityError, SamplerError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dimod import ordered_reads
from qsvr.samplers.dwave.client import ServiceSampler, is_live
from qsvr.samplers.dwave.submission import SERVICE_OPTIONS, ServiceOptions
from qsvr.samplers.kinds import kind_of

__all__ = ["CQMSampler", "HybridSampler"]

# Run time assumed for a plan where the solver cannot tell before it sees the model.
_USUAL_SECONDS = 5.0


class _HybridBase(ServiceSampler):
    """What both have in common: one model is uploaded, then solved for ``time_limit`` seconds."""

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
        """Names of the options: ours and the solver's."""
        solvers = frozenset(getattr(self.client, "parameters", ()))
        return SERVICE_OPTIONS | {"time_limit"} | solvers

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan:
        """Return the estimate: ``time_limit``, or the solver's least for so many variables."""
        del num_reads
        limit = options.get("time_limit")
        seconds = self._least_seconds(n_variables) if limit is None else float(limit)
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

        ``seed`` is that of the retries' jitter only. Options are ``time_limit`` (run time in
        seconds; by default the solver's least for this model), ``timeout``, ``max_retries``,
        ``retry_delay`` and ``max_access_time``.

        Raises
        ------
        ServiceError
            If no answer came.
        SamplerError
            If it holds no sample.
        CapacityError
            If the solver does not take so many variables.
        """
        check_options(self._kind, options, self.parameters)
        start = perf_counter()
        model = self._model(qubo)
        self._check_size(model)
        service = ServiceOptions.take(options)
        client, limit = self.client, options.get("time_limit")
        least = float(client.min_time_limit(model)) if hasattr(client, "min_time_limit") else 0.0
        seconds = least
        if limit is not None:
            seconds = check_real("sampler_options", "time_limit", limit, low=least)
        uploads: list[str] = []
        sample_set, info = self._solve(
            lambda: self._start(model, seconds, uploads, service), seconds, service, budget, seed
        )
        bits, report = self._bits(sample_set, qubo)
        if len(bits) == 0:
            raise SamplerError(
                f"{self.name!r} returned no sample. Raise sampler_options 'time_limit'."
            )
        bits = bits[:num_reads]
        info = {**info, **report, "sampling_time": perf_counter() - start}
        return Samples(bits, qubo.energies(bits), info, sample_set)

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
            return getattr(client, self._local_method)(model)
        if not uploads:  # once, also where the submission is tried again
            with model.to_file() as file:
                uploads.append(client.solver.upload_problem(file).result(service.timeout))
        return client.solver.sample_problem(uploads[0], time_limit=seconds)

    @abstractmethod
    def _least_seconds(self, n_variables: int) -> float: ...

    @abstractmethod
    def _model(self, qubo: SVRQubo) -> Any: ...

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
    _local_method = "sample"

    def _least_seconds(self, n_variables: int) -> float:
        curve = getattr(self.client, "properties", {}).get("minimum_time_limit")
        if curve is None:
            return _USUAL_SECONDS
        sizes, seconds = zip(*curve, strict=True)
        return float(np.interp(n_variables, sizes, seconds))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_bqm()

    def _bits(self, sample_set: Any, qubo: SVRQubo) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        binary = sample_set.change_vartype("BINARY", inplace=False)
        return np.ascontiguousarray(ordered_reads(binary, qubo.n_variables), dtype=np.uint8), {}


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
    _local_method = "sample_cqm"

    def _least_seconds(self, n_variables: int) -> float:
        del n_variables
        properties = getattr(self.client, "properties", {})
        return float(properties.get("minimum_time_limit_s", _USUAL_SECONDS))

    def _model(self, qubo: SVRQubo) -> Any:
        return qubo.to_cqm()

    def _bits(self, sample_set: Any, qubo: SVRQubo) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        n = qubo.dual.n_samples
        levels = ordered_reads(sample_set, 2 * n).round().astype(np.int64).reshape(-1, 2, n)
        feasible = np.repeat(sample_set.record.is_feasible, sample_set.record.num_occurrences)
        order = np.argsort(qubo.energies(qubo.encoding.bits(levels)), kind="stable")
        order = order[np.argsort(~feasible[order], kind="stable")]  # feasible ones first
        kept = levels[order][: feasible.sum() or None]
        return qubo.encoding.bits(kept), {"feasible_fraction": float(feasible.mean())}
