"""A second sampler for when the first one's service fails: only where the caller asked for one."""

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
    """Draws from a service, or, visibly, from another sampler where the service fails.

    What replaced what is recorded in ``info["fallback"]``, and a `FallbackWarning` says so.

    Attributes
    ----------
    first : ChargedSampler
    second : Sampler
        Gets no options: those are the first one's.
    name : str
        The second one's, for the message.
    options : mapping
        The first one's options; their names are taken as they are where it cannot be asked.
    """

    first: ChargedSampler
    second: Sampler
    name: str
    options: Mapping[str, Any]

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the first one's options."""
        try:
            return self.first.parameters
        except ServiceError:
            return frozenset(self.options)

    @property
    def max_variables(self) -> int | None:
        """The first one's limit, or the second one's where the first cannot be reached."""
        try:
            return self.first.max_variables
        except ServiceError:
            return self.second.max_variables

    def plan(self, n_variables: int, **details: Any) -> AccessPlan | None:
        """Return the first one's estimate, or None where it cannot be reached."""
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
        """Sample, from the second where the first one's service fails."""
        try:
            return self.first.sample(qubo, num_reads=num_reads, seed=seed, budget=budget, **options)
        except ServiceError as error:
            reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the samples come from {self.name!r}, the fallback that was asked for, because of "
            f"{reason}",
            FallbackWarning,
            stacklevel=2,
        )
        charged = {"budget": budget} if hasattr(self.second, "plan") else {}
        samples = self.second.sample(qubo, num_reads=num_reads, seed=seed, **charged)
        fallback = {"sampler": self.name, "reason": reason}
        return replace(samples, info={**samples.info, "fallback": fallback})
