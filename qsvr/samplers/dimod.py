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
from qsvr.samplers.answers import read_answer
from qsvr.samplers.base import check_options
from qsvr.samplers.redaction import learn_client, redact, safe_cause
from qsvr.samplers.structured.temperature import single_flip_beta_range

__all__ = [
    "DimodSampler",
    "exact_sampler",
    "neal_sampler",
    "ordered_reads",
    "sa_sampler",
    "tabu_sampler",
]

_MUST_RETURN = (
    "It must return 0 or 1 (or spins) for each variable of the model that it is given, and how "
    "often each sample occurs. Reads that could be read are in this error's samples."
)


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
        failure: SamplerError | None = None
        try:
            sample_set = self.sampler.sample(bqm, **arguments)
            bits, extra = _unpack(sample_set, qubo, num_reads)
        except SamplerError:
            raise
        except Exception as error:  # noqa: BLE001 - somebody else's sampler raises what it likes
            failure = self._failure(error)
        if failure is not None:
            raise failure  # here, so that it has no context that may show a token
        info = {
            "sampler": self.name,
            "sampling_time": perf_counter() - start,
            "polished": False,
            **extra,
        }
        return Samples(bits, qubo.energies(bits), info)

    def _failure(self, error: Exception) -> SamplerError:
        """Return what is raised for an exception of the sampler."""
        learn_client(self.sampler)  # a composite around a client of the service has a token
        described = redact(f"{type(error).__name__}: {error}")
        failure = SamplerError(
            f"the sampler {self.name!r} failed: {described}. Try sampler='structured', which runs "
            "on this machine."
        )
        failure.__cause__ = safe_cause(error)
        return failure


def ordered_reads(sample_set: dimod.SampleSet, n_variables: int) -> NDArray[Any]:
    """Return the bits of each read, (n_reads, n_variables), in the order of our variables.

    Raises
    ------
    SamplerError
        If the variables are not 0 to ``n_variables - 1``, or the answer has other faults.
    """
    reads = read_answer(sample_set, range(n_variables))
    if reads.faults:
        raise SamplerError(f"the sampler answered with {'; '.join(reads.faults)}. {_MUST_RETURN}")
    return reads.values


def _unpack(
    sample_set: dimod.SampleSet, qubo: SVRQubo, num_reads: int
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return bits, (n_reads, n_variables), and what is worth keeping of the rest."""
    kept = max(num_reads, 1)
    reads = read_answer(sample_set, range(qubo.n_variables), limit=kept)
    bits = np.ascontiguousarray(reads.values, dtype=np.uint8)
    if len(bits) > kept:  # enumeration returns every string: keep the lowest
        energies = np.asarray(sample_set.record.energy)[reads.rows]
        bits = bits[np.argsort(energies, kind="stable")[:kept]]
    if reads.faults:
        error = SamplerError(f"the sampler answered with {'; '.join(reads.faults)}. {_MUST_RETURN}")
        error.samples = Samples(bits, qubo.energies(bits)) if len(bits) else None
        raise error
    if len(bits) == 0:
        raise SamplerError(
            "the sampler returned no sample. Check its options (time limit, number of reads), or "
            "try sampler='structured'."
        )
    extra: dict[str, Any] = {}
    record = sample_set.record
    if "chain_break_fraction" in record.dtype.names:
        extra["chain_break_fraction"] = float(np.mean(record.chain_break_fraction))
    if isinstance(sample_set.info.get("timing"), Mapping):
        extra["timing"] = dict(sample_set.info["timing"])
    return bits, extra


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
