"""Any dimod sampler as a `Sampler`: annealing, tabu search, enumeration, or a user's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr.exceptions import SamplerError
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options
from qsvr.samplers.structured.temperature import single_flip_beta_range

__all__ = [
    "DimodSampler",
    "exact_sampler",
    "neal_sampler",
    "ordered_reads",
    "sa_sampler",
    "tabu_sampler",
]


@dataclass(frozen=True, eq=False)
class DimodSampler:
    """Adapter around an object with dimod's sampler interface.

    Attributes
    ----------
    sampler : dimod.Sampler
    name : str
        For messages and reports.
    max_variables : int or None
        Most binary variables that one QUBO may have.
    defaults : callable, optional
        ``defaults(qubo)`` gives options that hold unless the caller sets them.
    """

    sampler: Any
    name: str
    max_variables: int | None = None
    defaults: Callable[[SVRQubo], Mapping[str, Any]] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options that the sampler documents, without num_reads and seed."""
        return frozenset(self.sampler.parameters) - {"num_reads", "seed"}

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Sample the QUBO as a dimod model.

        ``num_reads`` and ``seed`` are passed where the sampler has them.

        Raises
        ------
        ValueError
            If the sampler does not have an option.
        SamplerError
            If it fails or returns something that cannot be used.
        """
        check_options(self.name, options, self.parameters)
        start = perf_counter()
        bqm = qubo.to_bqm()
        defaults = {} if self.defaults is None else self.defaults(qubo)
        arguments = {**defaults, **options}
        offered = {"num_reads": num_reads, "seed": seed % 2**31}
        arguments |= {k: v for k, v in offered.items() if k in self.sampler.parameters}
        try:
            sample_set = self.sampler.sample(bqm, **arguments)
            bits, extra = _unpack(sample_set, qubo.n_variables, num_reads)
        except SamplerError:
            raise
        except Exception as error:
            raise SamplerError(
                f"the sampler {self.name!r} failed: {type(error).__name__}: {error}. Try "
                "sampler='structured', which runs on this machine."
            ) from error
        info = {
            "sampler": self.name,
            "sampling_time": perf_counter() - start,
            "polished": False,
            **extra,
        }
        return Samples(bits, qubo.energies(bits), info)


def ordered_reads(sample_set: dimod.SampleSet, n_variables: int) -> NDArray[Any]:
    """Return one row per read, (n_reads, n_variables), in the order of our variables.

    Raises
    ------
    SamplerError
        If the variables are not 0 to ``n_variables - 1``.
    """
    labels = list(sample_set.variables)
    if sorted(labels) != list(range(n_variables)):
        raise SamplerError(
            f"the sampler answered for {len(labels)} variables instead of {n_variables}; it must "
            "return a value for each variable of the model that it is given."
        )
    record = sample_set.record
    rows = np.asarray(record.sample)[:, np.argsort(np.asarray(labels))]
    return np.repeat(rows, np.asarray(record.num_occurrences), axis=0)


def _unpack(
    sample_set: dimod.SampleSet, n_variables: int, num_reads: int
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return bits, (n_reads, n_variables), and what is worth keeping of the rest."""
    if len(sample_set) == 0:
        raise SamplerError(
            "the sampler returned no sample. Check its options (time limit, number of reads), or "
            "try sampler='structured'."
        )
    binary = sample_set.change_vartype(dimod.BINARY, inplace=False)
    bits, record = ordered_reads(binary, n_variables), binary.record
    extra: dict[str, Any] = {}
    if "chain_break_fraction" in record.dtype.names:
        extra["chain_break_fraction"] = float(np.mean(record.chain_break_fraction))
    if "timing" in sample_set.info:
        extra["timing"] = dict(sample_set.info["timing"])
    kept = max(num_reads, 1)
    if len(bits) > kept:  # enumeration returns every string: keep the lowest
        energies = np.repeat(np.asarray(record.energy), np.asarray(record.num_occurrences))
        bits = bits[np.argsort(energies, kind="stable")[:kept]]
    return np.ascontiguousarray(bits, dtype=np.uint8), extra


def _annealing_defaults(qubo: SVRQubo) -> Mapping[str, Any]:
    # Given explicitly because the library's own estimate loops over all couplings in Python.
    return {"beta_range": single_flip_beta_range(qubo)}


def _tabu_defaults(_qubo: SVRQubo) -> Mapping[str, Any]:
    # A limit in restarts instead of the library's 20 ms a read, which no seed could repeat.
    return {"timeout": None, "num_restarts": 1}


def sa_sampler() -> DimodSampler:
    """Return dwave-samplers' simulated annealing with temperatures derived from the problem."""
    from dwave.samplers import SimulatedAnnealingSampler

    return DimodSampler(SimulatedAnnealingSampler(), "sa", 6_000, _annealing_defaults)


def neal_sampler() -> DimodSampler:
    """Return dwave-neal's simulated annealing class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import neal

    return DimodSampler(neal.SimulatedAnnealingSampler(), "neal", 6_000, _annealing_defaults)


def tabu_sampler() -> DimodSampler:
    """Return dwave-samplers' multi-start tabu search, limited in restarts so that it repeats."""
    from dwave.samplers import TabuSampler

    return DimodSampler(TabuSampler(), "tabu", 6_000, _tabu_defaults)


def exact_sampler() -> DimodSampler:
    """Return full enumeration, for tests: the ``num_reads`` lowest of all bit strings."""
    return DimodSampler(dimod.ExactSolver(), "exact", 18)
