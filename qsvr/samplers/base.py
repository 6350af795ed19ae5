"""Protocols of samplers: one method, the names of its options, and its size limit."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import dimod

from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.problem.stack import QuboStack
from qsvr.samplers.budget import AccessBudget, AccessPlan

__all__ = ["ChargedSampler", "Sampler", "StackSampler", "check_options", "portable_sampleset"]


@runtime_checkable
class Sampler(Protocol):
    """Protocol of samplers, which draw low-energy bit strings of a QUBO.

    A sampler that runs on the local machine at no cost may have the attribute ``is_local = True``.
    ``n_refinements="auto"`` then calls it again if one QUBO is too coarse.

    See Also
    --------
    get_sampler : Open a sampler by name.

    Examples
    --------
    A sampler of random bit strings:

    >>> import numpy as np
    >>> from qsvr import QSVR, Samples
    >>> class RandomBits:
    ...     parameters = frozenset()
    ...     max_variables = None
    ...     def sample(self, qubo, *, num_reads, seed):
    ...         bits = np.random.default_rng(seed).integers(0, 2, (num_reads, qubo.n_variables))
    ...         return Samples(bits.astype(np.uint8), qubo.energies(bits), {"sampler": "random"})
    >>> X, y = np.linspace(0, 1, 8)[:, None], np.linspace(0, 1, 8) ** 2
    >>> QSVR(sampler=RandomBits(), random_state=0).fit(X, y).sampler_info_["sampler"]
    'random'
    """

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options of `sample`."""
        ...

    @property
    def max_variables(self) -> int | None:
        """Maximum number of variables of one QUBO, or None if there is no fixed limit."""
        ...

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return at most ``num_reads`` samples.

        Parameters
        ----------
        qubo : SVRQubo
            Problem to sample.
        num_reads : int
            Number of samples.
        seed : int
            Seed of the random numbers. Equal seeds give equal samples.
        **options
            Options named in `parameters`.

        Returns
        -------
        samples : Samples
            Bit strings and energies.

        Raises
        ------
        ValueError
            If an option is not in `parameters`.
        qsvr.exceptions.SamplerError
            If no sample could be drawn.
        """
        ...


@runtime_checkable
class StackSampler(Protocol):
    """Protocol of samplers that sample many QUBOs of equal size in one call."""

    def sample_stack(
        self, stack: QuboStack, *, num_reads: int, seeds: Sequence[int], **options: Any
    ) -> list[Samples]:
        """Return the result of `Sampler.sample` for each QUBO.

        Parameters
        ----------
        stack : QuboStack
            Problems to sample.
        num_reads : int
            Number of samples of each QUBO.
        seeds : sequence of int
            One seed for each QUBO.
        **options
            As for `Sampler.sample`.
        """
        ...


class ChargedSampler(Sampler, Protocol):
    """Protocol of samplers that cost money, which estimate a fit and charge a budget."""

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan | None:
        """Return the access time of a fit, or None if it cannot be estimated.

        Parameters
        ----------
        n_variables, n_problems, num_reads : int
            Size and number of the problems, and reads of each.
        options : mapping
            Options of `sample`.
        """
        ...

    def sample(
        self,
        qubo: SVRQubo,
        *,
        num_reads: int,
        seed: int,
        budget: AccessBudget | None = None,
        **options: Any,
    ) -> Samples:
        """Sample; see `Sampler`.

        Parameters
        ----------
        qubo : SVRQubo
        num_reads, seed : int
        budget : AccessBudget, default=None
            Budget that is charged before each submission. None means a new one with the option
            ``max_access_time`` as its limit.
        **options
            Options named in `parameters`.

        Raises
        ------
        qsvr.exceptions.CostLimitError
            If a submission would exceed the budget. Nothing is submitted then.
        """
        ...


def check_options(name: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise ValueError for options that a sampler does not have."""
    known = sorted(known)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"sampler_options has {unknown}, which the sampler {name!r} does not have. Its options "
            f"are {known}."
        )


def portable_sampleset(sample_set: dimod.SampleSet) -> dimod.SampleSet:
    """Return a sample set that can be pickled and needs nothing but dimod.

    Classes of the sampler, futures of a client, and values of ``info`` that cannot be pickled are
    left out. Embeddings become plain mappings, because those of dwave-system cannot be pickled.

    Parameters
    ----------
    sample_set : dimod.SampleSet
        Its arrays are shared, not copied.
    """
    info = {}
    for name, value in sample_set.info.items():
        portable = value
        if isinstance(value, Mapping) and isinstance(value.get("embedding"), Mapping):
            portable = {**value, "embedding": dict(value["embedding"])}
        if _can_be_pickled(portable):
            info[name] = portable
    return dimod.SampleSet(sample_set.record, sample_set.variables, info, sample_set.vartype)


def _can_be_pickled(value: object) -> bool:
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301
    except Exception:  # noqa: BLE001
        return False
    return True
