"""A second sampler that is used if the service of the first one fails, on request only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qsvr.exceptions import FallbackWarning, ServiceError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import ChargedSampler, Sampler
from qsvr.samplers.budget import AccessBudget, AccessPlan

__all__ = ["FallbackSampler"]


@dataclass(frozen=True, eq=False)
class FallbackSampler:
    """Sampler that uses a service, or another sampler if the service fails.

    The replacement is recorded in ``info["fallback"]``, and a `FallbackWarning` is issued.

    Attributes
    ----------
    first : ChargedSampler
    second : Sampler
        Fallback, which receives no options.
    name : str
        Name of the fallback, for the message.
    options : mapping
        Options of the first sampler. Their names are not checked if it cannot be reached.
    """

    first: ChargedSampler
    second: Sampler
    name: str
    options: Mapping[str, Any]

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options of the first sampler."""
        try:
            return self.first.parameters
        except ServiceError:
            return frozenset(self.options)

    @property
    def max_variables(self) -> int | None:
        """Limit of the first sampler, or of the second if the first cannot be reached."""
        try:
            return self.first.max_variables
        except ServiceError:
            return self.second.max_variables

    def plan(self, n_variables: int, **details: Any) -> AccessPlan | None:
        """Return the estimate of the first sampler, or None if it cannot be reached."""
        try:
            return self.first.plan(n_variables, **details)
        except ServiceError:
            return None

    def sample(
        self,
        qubo: SVRQubo,
        *,
        num_reads: int,
        seed: int,
        budget: AccessBudget | None = None,
        **options: Any,
    ) -> Samples:
        """Sample from the first sampler, or from the second if that fails."""
        try:
            return self.first.sample(qubo, num_reads=num_reads, seed=seed, budget=budget, **options)
        except ServiceError as error:
            reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the samples come from the fallback {self.name!r}, because of {reason}",
            FallbackWarning,
            stacklevel=2,
        )
        charged = {"budget": budget} if hasattr(self.second, "plan") else {}
        samples = self.second.sample(qubo, num_reads=num_reads, seed=seed, **charged)
        fallback = {"sampler": self.name, "reason": reason}
        return replace(samples, info={**samples.info, "fallback": fallback})
