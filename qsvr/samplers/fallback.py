"""A second sampler for when the first one's service fails: only where the caller asked for one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from qsvr.exceptions import FallbackWarning, ServiceError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import Sampler

__all__ = ["FallbackSampler"]


class FallbackSampler:
    """Draws from a service, or, visibly, from another sampler where the service fails.

    What replaced what is recorded in ``info["fallback"]``, and a `FallbackWarning` says so.

    Parameters
    ----------
    first : Sampler
    second : Sampler
        Gets no options: those are the first one's.
    name : str
        The second one's, for the message.
    options : mapping
        The first one's options; their names are taken as they are where it cannot be asked.
    """

    def __init__(
        self, first: Sampler, second: Sampler, name: str, options: Mapping[str, Any]
    ) -> None:
        self._first = first
        self._second = second
        self._name = name
        self._options = dict(options)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the first one's options."""
        try:
            return self._first.parameters
        except ServiceError:
            return frozenset(self._options)

    @property
    def max_variables(self) -> int | None:
        """The first one's limit, or the second one's where the first cannot be reached."""
        try:
            return self._first.max_variables
        except ServiceError:
            return self._second.max_variables

    def plan(self, n_variables: int, **details: Any) -> Any:
        """Return the first one's estimate, or None where it cannot be reached."""
        try:
            return self._first.plan(n_variables, **details)  # type: ignore[attr-defined]
        except ServiceError:
            return None

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Sample; see `qsvr.Sampler`."""
        try:
            return self._first.sample(qubo, num_reads=num_reads, seed=seed, **options)
        except ServiceError as error:
            reason = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"the samples come from {self._name!r}, the fallback that was asked for, because of "
            f"{reason}",
            FallbackWarning,
            stacklevel=2,
        )
        samples = self._second.sample(qubo, num_reads=num_reads, seed=seed)
        fallback = {"sampler": self._name, "reason": reason}
        return Samples(samples.bits, samples.energies, {**samples.info, "fallback": fallback})
