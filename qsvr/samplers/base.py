"""What a sampler is: one method, the names of its options, and its size limit."""

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
    """Draws low-energy bit strings of a QUBO.

    One that runs on this machine, at no cost, may say so by an attribute ``is_local = True``.
    """

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options that `sample` takes."""
        ...

    @property
    def max_variables(self) -> int | None:
        """Most binary variables that one QUBO may have, or None where there is no fixed limit."""
        ...

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return at most ``num_reads`` samples; the same ``seed`` gives the same samples.

        Parameters
        ----------
        qubo : SVRQubo
        num_reads : int
        seed : int
        **options
            Options named in `parameters`.

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
    """A sampler that draws from QUBOs of equal size in one call, in less time than one by one."""

    def sample_stack(
        self, stack: QuboStack, *, num_reads: int, seeds: Sequence[int], **options: Any
    ) -> list[Samples]:
        """Return what `Sampler.sample` returns for each QUBO.

        Parameters
        ----------
        stack : QuboStack
        num_reads : int
            Of each QUBO.
        seeds : sequence of int
            One for each QUBO.
        **options
            As for `Sampler.sample`.
        """
        ...


class ChargedSampler(Sampler, Protocol):
    """A sampler whose time is paid for: it estimates a fit, and charges a budget."""

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan | None:
        """Return the access time of a fit, or None where it cannot be estimated.

        Parameters
        ----------
        n_variables, n_problems, num_reads : int
            Size and number of the problems, and reads of each.
        options : mapping
            As for `sample`.
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
            Charged before each submission. By default a new one with the option
            ``max_access_time`` as its limit.
        **options
            Options named in `parameters`.

        Raises
        ------
        qsvr.exceptions.CostLimitError
            If a submission would exceed the budget; it is not made.
        """
        ...


def check_options(name: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise ValueError for options that a sampler does not have: none is silently ignored."""
    known = sorted(known)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"sampler_options has {unknown}, which the sampler {name!r} does not take; "
            f"it takes {known}."
        )


def portable_sampleset(sample_set: dimod.SampleSet) -> dimod.SampleSet:
    """Return a sample set as a value that can be pickled wherever dimod is installed.

    Neither a class of the sampler's own nor a client's future is kept; nor is what in ``info``
    cannot be pickled. Embeddings become plain mappings, as dwave-system's are not picklable.

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
