"""From qubits back to variables, with methods for broken chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._validation import check_real

__all__ = ["check_chain_break_method", "check_chain_strength", "unembedded"]

_METHODS = ("majority_vote", "discard", "weighted_random", "minimize_energy")


def check_chain_strength(value: Any) -> Any:
    """Check a chain strength: a positive number, a mapping from variables, or a callable.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if value is None or callable(value):
        return value
    for each in value.values() if isinstance(value, Mapping) else [value]:
        check_real(
            "sampler_options", "chain_strength", each, strict=True,
            hint="A mapping from variables and a callable of (bqm, embedding) are taken too.",
        )  # fmt: skip
    return value


def check_chain_break_method(value: Any) -> Any:
    """Check a method for broken chains: a name, a callable of (samples, chains), or several.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for each in several:
        if not (each is None or callable(each) or each in _METHODS):
            raise ValueError(
                f"chain_break_method of sampler_options must be one of {list(_METHODS)}, a callable"
                f" of (samples, chains), or a list of these; got {each!r}."
            )
    return value


def unembedded(
    answer: dimod.SampleSet,
    chains: Sequence[Sequence[int]],
    bqm: dimod.BinaryQuadraticModel,
    *,
    method: Any,
    chain_strength: Any,
    seed: int,
) -> dimod.SampleSet:
    """Return the samples over variables, with the ``embedding_context`` of Ocean's tools.

    Parameters
    ----------
    answer : dimod.SampleSet
        Over qubits, as spins.
    chains : sequence of sequences of int
        Qubits of the variables 0, 1, 2, ...
    bqm : dimod.BinaryQuadraticModel
        The problem over spins.
    method : str, callable, sequence of these or None
        Method for broken chains; None is the majority vote.
    chain_strength : float or mapping
        Chain strength that was applied.
    seed : int
        Seed of ``"weighted_random"``.
    """
    from dwave.embedding import unembed_sampleset

    start = perf_counter()
    embedding = dict(enumerate(map(tuple, chains)))
    several = isinstance(method, Sequence) and not isinstance(method, str)
    methods = [_resolved(each, bqm, embedding, seed) for each in (method if several else [method])]
    sample_set = unembed_sampleset(
        answer, embedding, bqm, chain_break_method=methods if several else methods[0],
        chain_break_fraction=True,
    )  # fmt: skip
    names = [getattr(each, "__name__", type(each).__name__) for each in methods]
    sample_set.info["embedding_context"] = {
        "embedding": embedding,
        "chain_break_method": names if several else names[0],
        "embedding_parameters": {},
        "chain_strength": chain_strength,
        "timing": {"unembedding": perf_counter() - start},
    }
    binary: dimod.SampleSet = sample_set.change_vartype(dimod.BINARY, inplace=False)
    return binary


def _resolved(
    method: Any,
    bqm: dimod.BinaryQuadraticModel,
    embedding: Mapping[int, tuple[int, ...]],
    seed: int,
) -> Callable[..., Any]:
    from dwave.embedding import chain_breaks

    resolved: Callable[..., Any]
    if callable(method):
        resolved = method
    elif method == "weighted_random":  # the library's own draws from the global generator
        resolved = _weighted_random(np.random.default_rng(seed))
    elif method == "minimize_energy":
        resolved = chain_breaks.MinimizeEnergy(bqm, embedding)
    else:
        resolved = getattr(chain_breaks, method or "majority_vote")
    return resolved


def _weighted_random(rng: np.random.Generator) -> Callable[..., Any]:
    def weighted_random(
        samples: Any, chains: Sequence[Sequence[int]]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return for each read and chain the spin of one of its qubits."""
        rows, labels = dimod.as_samples(samples)
        position = {qubit: i for i, qubit in enumerate(labels)}
        n_reads = np.arange(len(rows))
        columns = [
            np.array([position[qubit] for qubit in chain])[rng.integers(len(chain), size=len(rows))]
            for chain in chains
        ]
        voted = np.stack([rows[n_reads, column] for column in columns], axis=1)
        return voted, n_reads

    return weighted_random
