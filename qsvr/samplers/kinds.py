"""Kinds of dimod samplers: their limits, defaults, options and variables.

The kind follows from the object (its class, its children, its structure), not from the name by
which it was opened: a live `dimod.ExactSolver` has the limit of ``sampler="exact"``.

A composite accepts *logical* variables if it, or a child to which it forwards problems, embeds. A
composite that only forwards problems to a structured sampler, such as
``SpinReversalTransformComposite(DWaveSampler())``, has the qubits of that sampler as variables. It
is a *device*, and problems are embedded for it as for the sampler alone.

>>> import dimod
>>> kind_of(dimod.TrackingComposite(dimod.ExactSolver())).max_variables
18
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

import dimod

from qsvr.problem.qubo import SVRQubo
from qsvr.samplers.structured.temperature import single_flip_beta_range

__all__ = ["SamplerKind", "device_of", "is_composite", "kind_of", "option_names", "seed_argument"]

Defaults = Callable[[SVRQubo, Mapping[str, Any]], Mapping[str, Any]]

_MOST_VARIABLES = 6_000  # the dense model fills 300 MB
_MOST_ENUMERATED = 18
# By what a seed may be called, and how it is given.
_SEEDS: tuple[str, ...] = ("seed", "random_seed", "random_state", "rng")
# Composites of these packages that do not embed forward problems; others are unknown.
_PACKAGES = ("dimod", "dwave", "neal")


@dataclass(frozen=True)
class SamplerKind:
    """Properties of all samplers of one kind.

    Attributes
    ----------
    max_variables : int or None, default=6000
        Maximum number of variables of one problem.
    defaults : callable, default=None
        ``defaults(qubo, options)`` returns default options.
    enumerates : bool, default=False
        Whether it returns every string, so that reads and seed have no effect.
    repeats_seed : bool, default=False
        Whether all reads of a call are equal because they start from the seed. It is then called
        once per read.
    prepare : callable, default=None
        Returns the model in the form of the sampler, to avoid a conversion in each call.
    is_device : bool, default=False
        Whether samples come from a structured sampler, mostly an annealer, which has no seed.
    is_local : bool, default=False
        Whether it runs on the local machine at no cost, so that further problems are allowed.

    Examples
    --------
    >>> from qsvr.samplers import kind_of
    >>> from dwave.samplers import SimulatedAnnealingSampler
    >>> kind_of(SimulatedAnnealingSampler()).is_device
    False
    """

    max_variables: int | None = _MOST_VARIABLES
    defaults: Defaults | None = field(default=None, repr=False)
    enumerates: bool = False
    repeats_seed: bool = False
    prepare: Callable[[dimod.BinaryQuadraticModel], Any] | None = field(default=None, repr=False)
    is_device: bool = False
    is_local: bool = False


def kind_of(sampler: Any) -> SamplerKind:
    """Return the kind of an object with dimod's sampler interface.

    A composite has the smallest limit of its children, and at most as many variables as its own
    structure couples, if it has one.

    Raises
    ------
    ValueError
        If its structure has variables other than 0, 1, 2, ..., or does not couple all of them.
    """
    known = _known_kind(sampler)
    if known is not None:
        return known
    children = [kind_of(child) for child in _children(sampler)]
    limits = [kind.max_variables for kind in children] + [_size_of_structure(sampler)]
    embeds = _embeds(sampler) or any(kind.defaults is _embedding_defaults for kind in children)
    return SamplerKind(
        min((limit for limit in limits if limit is not None), default=_MOST_VARIABLES),
        _embedding_defaults if embeds else None,
        enumerates=bool(children) and all(kind.enumerates for kind in children),
        repeats_seed=any(kind.repeats_seed for kind in children),
        is_device=_is_structured(sampler) or any(kind.is_device for kind in children),
        is_local=all(kind.is_local for kind in children) if children else _is_of_ocean(sampler),
    )


def _known_kind(sampler: Any) -> SamplerKind | None:
    """Return the kind of known samplers, else None."""
    from dwave.samplers import (
        SimulatedAnnealingSampler,
        TabuSampler,
        TreeDecompositionSampler,
        TreeDecompositionSolver,
    )

    kind: SamplerKind | None = None
    openjij = sys.modules.get("openjij.sampler.sampler")
    if isinstance(sampler, dimod.ExactSolver | dimod.ExactCQMSolver):
        kind = SamplerKind(_MOST_ENUMERATED, enumerates=True, is_local=True)
    elif isinstance(sampler, SimulatedAnnealingSampler):
        kind = SamplerKind(defaults=_annealing_defaults, is_local=True)
    elif isinstance(sampler, TabuSampler):
        kind = SamplerKind(defaults=_tabu_defaults, is_local=True)
    elif isinstance(sampler, TreeDecompositionSampler | TreeDecompositionSolver):
        kind = SamplerKind(1 + int(sampler.properties["max_treewidth"]), is_local=True)
    elif openjij is not None and isinstance(sampler, openjij.BaseSampler):
        kind = SamplerKind(repeats_seed=True, prepare=_openjij_model, is_local=True)
    elif hasattr(type(sampler), "largest_clique_size"):  # dwave.system.DWaveCliqueSampler
        kind = SamplerKind(int(sampler.largest_clique_size), is_device=True)
    return kind


def _is_of_ocean(sampler: Any) -> bool:
    """Whether a sampler is one of dwave-samplers, all of which run locally."""
    return type(sampler).__module__.startswith("dwave.samplers.")


def _annealing_defaults(qubo: SVRQubo, options: Mapping[str, Any]) -> Mapping[str, Any]:
    # Given explicitly because the library's own estimate loops over all couplings in Python.
    has_schedule = "beta_schedule" in options or options.get("beta_schedule_type") == "custom"
    return {} if has_schedule else {"beta_range": single_flip_beta_range(qubo)}


def _tabu_defaults(_qubo: SVRQubo, options: Mapping[str, Any]) -> Mapping[str, Any]:
    # A limit in restarts instead of the library's 20 ms a read, which no seed could repeat.
    return {"timeout": None} | ({} if "timeout" in options else {"num_restarts": 1})


def _openjij_model(bqm: dimod.BinaryQuadraticModel) -> Any:
    import openjij

    couplings = dict(bqm.quadratic)
    return openjij.BinaryQuadraticModel(
        dict(bqm.linear), couplings, bqm.offset, bqm.vartype, sparse=True
    )


def _embedding_defaults(_qubo: SVRQubo, _options: Mapping[str, Any]) -> Mapping[str, Any]:
    # The embedding and the chain strength that were applied are then in the answer.
    return {"return_embedding": True}


def option_names(sampler: Any) -> frozenset[str]:
    """Return the options of ``sample``, the number of reads and the seed among them.

    These are the ones in its signature and, if that accepts any keyword, those in ``parameters``,
    because some samplers document a part only, and composites list those of their children.
    """
    documented = {str(name) for name in sampler.parameters}
    try:
        _, *arguments = inspect.signature(sampler.sample).parameters.values()  # the model is first
    except (TypeError, ValueError):  # no signature, or no argument
        return frozenset(documented)
    kinds = {each.name: each.kind for each in arguments}
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    names = {name for name, kind in kinds.items() if kind in named}
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()
    return frozenset(names | documented if takes_any else names)


def seed_argument(names: frozenset[str], seed: int) -> dict[str, Any]:
    """Return the seed under the name that the sampler uses; empty if it has no seed."""
    for name in _SEEDS:
        if name in names:
            return {name: seed % 2**31}
    return {}


def is_composite(sampler: Any) -> bool:
    """Whether a sampler forwards problems to other samplers."""
    return bool(_children(sampler))


def _children(sampler: Any) -> Sequence[Any]:
    children = getattr(sampler, "children", None)
    return children if isinstance(children, list | tuple) else ()


def device_of(sampler: Any) -> tuple[Any, bool]:
    """Return the structured sampler behind a sampler, and whether that is certain.

    It is the sampler itself or a child at any depth, and None if the sampler accepts logical
    problems. The answer is uncertain for composites of users, whose behaviour is unknown.
    """
    if _embeds(sampler):
        return None, True
    if _is_structured(sampler):
        takes_any = is_composite(sampler) and _is_clique(sampler)
        return (None if takes_any else sampler), True
    for child in _children(sampler):
        device, is_sure = device_of(child)
        if device is not None:
            package = type(sampler).__module__.partition(".")[0]
            return device, is_sure and package in _PACKAGES
    return None, True


def _embeds(sampler: Any) -> bool:
    """Whether a composite embeds, as those of dwave-system do."""
    embeds = hasattr(sampler, "find_embedding") or hasattr(sampler, "embeddings")
    return is_composite(sampler) and hasattr(sampler, "target_structure") and embeds


def _is_structured(sampler: Any) -> bool:
    """Whether a sampler has a structure; a lazy one has none before its first problem."""
    return all(getattr(sampler, name, None) is not None for name in ("nodelist", "edgelist"))


def _is_clique(sampler: Any) -> bool:
    n = len(sampler.nodelist)
    if len(sampler.edgelist) < n * (n - 1) // 2 or set(sampler.nodelist) != set(range(n)):
        return False
    return not _missing_pair(sampler, n)


def _missing_pair(sampler: Any, n: int) -> tuple[int, int] | None:
    """Return the first pair of the variables 0 to n - 1 that a structure does not couple."""
    edges = {frozenset(edge) for edge in sampler.edgelist}
    pairs = ((j, i) for i in range(n) for j in range(i))
    return next((pair for pair in pairs if frozenset(pair) not in edges), None)


def _size_of_structure(sampler: Any) -> int | None:
    """Return how many variables a composite with logical variables couples, if it is structured."""
    if not is_composite(sampler) or not _is_structured(sampler):
        return None
    if not _embeds(sampler) and not _is_clique(sampler):  # a device
        return None
    name, nodes = type(sampler).__name__, set(sampler.nodelist)
    n = len(list(takewhile(nodes.__contains__, count())))
    if n == 0:
        shown = ", ".join(map(repr, list(sampler.nodelist)[:3]))
        raise ValueError(
            f"sampler is a {name} for the variables {shown}, ...; the QUBO has the variables 0, 1, "
            "2, ... Embed these: 2 * n_bits for each sample."
        )
    missing = _missing_pair(sampler, n)
    if missing is not None:
        raise ValueError(
            f"sampler is a {name} whose embedding does not couple the variables {missing[0]} and "
            f"{missing[1]}; the QUBO couples all of its variables. Embed a clique (for example "
            "by minorminer.busclique.find_clique_embedding), or pass the QPU itself."
        )
    return n
