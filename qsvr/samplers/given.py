"""Samples that were drawn elsewhere: a dimod sample set of a QUBO's BQM or CQM.

>>> import dimod
>>> import numpy as np
>>> from qsvr.problem.dual import SVRDual
>>> from qsvr.problem.encoding import FixedPointEncoding
>>> from qsvr.problem.qubo import SVRQubo
>>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
>>> qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=1))
>>> samples = samples_of(qubo, dimod.ExactSolver().sample(qubo.to_bqm()))
>>> len(samples), round(float(samples.energies.min()), 3)
(16, -0.8)
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._typing import IntArray
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options

__all__ = ["GivenSamples", "samples_of"]

_WHOLE = 1e-6  # a value may differ by this from a whole number
_MOST_READS = 10_000_000


@dataclass(frozen=True, eq=False)
class GivenSamples:
    """A `Sampler` that returns given samples.

    Attributes
    ----------
    sample_set : dimod.SampleSet
    """

    sample_set: Any
    parameters = frozenset[str]()
    max_variables = None

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return all samples of the set: ``num_reads`` and ``seed`` have no effect."""
        del num_reads, seed
        check_options("given", options, self.parameters)
        return samples_of(qubo, self.sample_set)


def samples_of(qubo: SVRQubo, sample_set: Any) -> Samples:
    """Return the reads of a sample set as samples of a QUBO, with energies computed anew.

    Variables may be in any order, labelled by their number or by text that ends in it (``"x12"``).
    If some samples over integer levels (of the CQM) have sum(b) = 0, only these are kept.

    Parameters
    ----------
    qubo : SVRQubo
    sample_set : dimod.SampleSet
        Samples of ``qubo.to_bqm()``, over bits or spins, or of ``qubo.to_cqm()``, over levels.

    Raises
    ------
    TypeError
        If it is not a sample set.
    ValueError
        If it is empty, or if its variables or values do not belong to this problem.
    """
    if not isinstance(sample_set, dimod.SampleSet):
        raise TypeError(
            f"sampleset must be a dimod.SampleSet; got {type(sample_set).__name__}. Create one "
            "with dimod.SampleSet.from_samples or from_serializable."
        )
    if len(sample_set) == 0:
        raise ValueError(
            "sampleset must hold at least one sample; got an empty one. Check the sampler's answer."
        )
    n_levels = qubo.encoding.active.size
    columns = _columns(list(sample_set.variables), qubo.n_variables, n_levels)
    rows = np.asarray(sample_set.record.sample)[:, columns]
    are_levels = columns.size == n_levels and qubo.encoding.n_bits > 1
    if sample_set.vartype is dimod.SPIN:
        rows = _whole(rows, (-1, 1), "spins of -1 or 1") > 0
    elif not are_levels:
        rows = _whole(rows, (0, 1), "bits of 0 or 1")
    counts = _counts(sample_set)
    energies = np.asarray(sample_set.record.energy, dtype=np.float64)
    if are_levels:
        top = qubo.encoding.grid.size - 1
        levels = qubo.encoding.expanded(_whole(rows, range(top + 1), f"levels from 0 to {top}"))
        coefficients = qubo.encoding.values(levels)
        total = (coefficients[:, 0] - coefficients[:, 1]).sum(axis=-1)
        feasible = np.abs(total) <= 1e-9 * float(qubo.encoding.width.sum())
        bits = qubo.encoding.bits(levels)
        if feasible.any():
            bits, counts, energies = bits[feasible], counts[feasible], energies[feasible]
        else:
            energies = np.full(len(bits), np.nan)  # the CQM's have no penalty
    else:
        bits = np.ascontiguousarray(rows, dtype=np.uint8)
    _warn_of_other_energies(qubo.energies(bits), energies)
    bits = np.repeat(bits, counts, axis=0)
    info = {"sampler": "given", "sampling_time": 0.0, "polished": False}
    return Samples(bits, qubo.energies(bits), info)


def _columns(labels: list[Any], n_bits: int, n_levels: int) -> IntArray:
    """Return the position of each of our variables among the labels."""
    numbers = [
        int(match.group()) if (match := re.search(r"\d+$", str(label))) else -1 for label in labels
    ]
    for size in (n_bits, n_levels):
        if sorted(numbers) == list(range(size)):
            return np.argsort(np.asarray(numbers))
    if len(labels) not in (n_bits, n_levels):
        raise ValueError(
            f"sampleset has {len(labels)} variables; the problem has {n_bits} bits (to_bqm) or "
            f"{n_levels} levels (to_cqm). Use the X, y, sample_weight and n_bits of make_problem."
        )
    missing = min(set(range(len(labels))) - set(numbers))
    raise ValueError(
        f"sampleset has no value for variable {missing}; its labels must be the numbers 0 to "
        f"{len(labels) - 1}, or text that ends in them."
    )


def _whole(rows: NDArray[Any], allowed: Any, rule: str) -> NDArray[np.int64]:
    """Return rows as integers if each is one of the allowed ones."""
    numbers = np.asarray(rows, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        nearest = np.round(numbers)
        wrong = ~(np.abs(numbers - nearest) <= _WHOLE) | ~np.isin(nearest, list(allowed))
    if wrong.any():
        raise ValueError(f"sampleset must have {rule}; got {numbers[wrong][0]:g}.")
    return nearest.astype(np.int64)


def _counts(sample_set: dimod.SampleSet) -> IntArray:
    """Return the number of occurrences of each sample."""
    counts = np.asarray(sample_set.record.num_occurrences, dtype=np.float64)
    if not ((counts >= 0) & (counts == np.round(counts))).all() or counts.sum() == 0:
        raise ValueError(
            "num_occurrences of sampleset must be whole numbers, not all 0; got "
            f"{counts.min():g} to {counts.max():g}."
        )
    if counts.sum() > _MOST_READS:
        raise ValueError(
            f"sampleset has {counts.sum():.0f} reads by num_occurrences; at most {_MOST_READS} are "
            "possible. Set num_occurrences to 1."
        )
    return counts.astype(np.int64)


def _warn_of_other_energies(ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    """Warn if the energies of the sample set are not those of this problem."""
    difference = np.abs(ours - theirs)
    scale = max(float(np.abs(ours).max()), np.finfo(float).tiny)
    if np.nanmax(difference, initial=0.0) > 1e-3 * scale:
        warnings.warn(
            f"energies of sampleset differ by up to {np.nanmax(difference):.3g} from those of its "
            "samples in this problem. It may belong to other data or parameters, or be scaled. The "
            "energies of this problem are used.",
            UserWarning,
            stacklevel=6,
        )
