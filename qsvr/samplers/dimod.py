"""Adapter of dimod samplers: annealing, tabu search, enumeration, or those of users."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._text import install_hint
from qsvr.exceptions import CapacityError, SamplerError, SamplerWarning
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.answers import read_answer
from qsvr.samplers.base import Sampler, check_options
from qsvr.samplers.kinds import SamplerKind, kind_of, option_names, seed_argument
from qsvr.samplers.redaction import learn_client, redact, safe_cause

__all__ = [
    "DimodSampler",
    "bifurcation_sampler",
    "exact_sampler",
    "neal_sampler",
    "openjij_sampler",
    "ordered_reads",
    "path_integral_sampler",
    "sa_sampler",
    "tabu_sampler",
]

_MUST_RETURN = (
    "It must return 0 or 1 (or spins) for each variable of the model that it is given, and how "
    "often each sample occurs. The readable reads are in the samples of this error."
)


@dataclass(frozen=True, eq=False)
class DimodSampler:
    """Adapter around an object with dimod's sampler interface.

    Attributes
    ----------
    sampler : dimod.Sampler
    name : str
        Name for messages and reports.
    kind : SamplerKind, default=SamplerKind()
        Limit and defaults.
    device : callable, default=None
        Returns the sampler that is used instead if this one accepts only problems with the
        structure of a device.

    See Also
    --------
    qsvr.samplers.StructuredAnnealer : The default sampler.
    qsvr.samplers.dwave.QPUSampler : A quantum annealer of D-Wave.

    Examples
    --------
    >>> from dwave.samplers import SimulatedAnnealingSampler
    >>> from qsvr import get_sampler
    >>> type(get_sampler(SimulatedAnnealingSampler())).__name__
    'DimodSampler'
    """

    sampler: Any
    name: str
    kind: SamplerKind = field(default_factory=SamplerKind)
    device: Callable[[], Sampler] | None = field(default=None, repr=False)
    _warned: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options, without those of reads and seed."""
        names = option_names(self.sampler)
        return names - {"num_reads", "seed", *seed_argument(names, 0)}

    @property
    def max_variables(self) -> int | None:
        """Maximum number of variables of one QUBO."""
        return self.kind.max_variables

    @property
    def is_local(self) -> bool:
        """Whether it is known to run on the local machine at no cost."""
        return self.kind.is_local

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Sample the QUBO as a dimod model.

        ``num_reads`` and ``seed`` are passed if the sampler has these options. A `SamplerWarning`
        is issued if it does not, or if it returns fewer reads.

        Raises
        ------
        ValueError
            If the sampler does not have an option.
        CapacityError
            If the QUBO has more variables than the sampler accepts.
        SamplerError
            If the sampler fails or returns an invalid answer.
        """
        check_options(self.name, options, self.parameters)
        limit = self.max_variables
        if limit is not None and qubo.n_variables > limit:
            raise CapacityError(
                f"the sampler {self.name!r} takes at most {limit} binary variables; the QUBO has "
                f"{qubo.n_variables}. Use fewer samples or bits, or max_variables (decomposition)."
            )
        start = perf_counter()
        names = option_names(self.sampler)
        defaults = {} if self.kind.defaults is None else self.kind.defaults(qubo, options)
        arguments = {name: value for name, value in defaults.items() if name in names} | options
        failure: SamplerError | None = None
        sample_set: Any = None
        try:
            sample_set = self._draw(qubo.to_bqm(), names, num_reads, seed, arguments)
            bits, extra = _unpack(sample_set, qubo, num_reads)
        except SamplerError:
            raise
        except Exception as error:  # noqa: BLE001 - samplers of users may raise anything
            structure = dimod.exceptions.BinaryQuadraticModelStructureError
            if self.device is None or not isinstance(error, structure):
                failure = self._failure(error)
        if failure is not None:
            raise failure  # here, so that it has no context that may show a token
        if sample_set is None:
            assert self.device is not None  # noqa: S101
            return self.device().sample(qubo, num_reads=num_reads, seed=seed, **options)
        if not self.kind.enumerates:
            self._warn_of(names, num_reads, len(bits))
        elif len(sample_set) > len(bits):  # all strings: those that are not used need not be kept
            sample_set = sample_set.truncate(len(bits))
        info = {
            "sampler": self.name,
            "sampling_time": perf_counter() - start,
            "polished": False,
            **extra,
        }
        return Samples(bits, qubo.energies(bits), info, sample_set)

    def _draw(
        self, bqm: Any, names: frozenset[str], num_reads: int, seed: int, arguments: dict[str, Any]
    ) -> Any:
        """Return the sampler's answer, in one call unless all reads of a call are equal."""
        if self.kind.prepare is not None:
            bqm = self.kind.prepare(bqm)

        def draw(reads: int, seed: int) -> Any:
            offered = {"num_reads": reads} if "num_reads" in names else {}
            return self.sampler.sample(bqm, **arguments, **offered, **seed_argument(names, seed))

        if not self.kind.repeats_seed or not seed_argument(names, seed):
            return draw(num_reads, seed)
        seeds = np.random.default_rng(seed).integers(2**31, size=max(num_reads, 1))
        return dimod.concatenate([draw(1, int(each)) for each in seeds])

    def _warn_of(self, names: frozenset[str], num_reads: int, n_reads: int) -> None:
        """Warn once of requested settings that the sampler does not have."""
        reasons = {}
        if n_reads < num_reads:
            how = "" if "num_reads" in names else ", as it has no option for their number"
            reasons["reads"] = f"returned {n_reads} of {num_reads} reads{how}"
        elif "num_reads" not in names:
            reasons["reads"] = "has no option for the number of reads"
        if not seed_argument(names, 0) and not self.kind.is_device:
            reasons["seed"] = "has no seed, so that random_state does not repeat its samples"
        if reasons.keys() - self._warned:
            self._warned.update(reasons)
            warnings.warn(
                f"the sampler {self.name!r} {', and '.join(reasons.values())}. Set "
                "its own options in sampler_options or in its constructor, or use another sampler.",
                SamplerWarning,
                stacklevel=2,
            )

    def _failure(self, error: Exception) -> SamplerError:
        """Return the error for an exception of the sampler."""
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
    """Return bits, (n_reads, n_variables), and the information to keep."""
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
    context = sample_set.info.get("embedding_context")
    strength = context.get("chain_strength") if isinstance(context, Mapping) else None
    if strength is not None:  # what a composite applied
        extra["chain_strength"] = strength
    return bits, extra


def sa_sampler() -> DimodSampler:
    """Return dwave-samplers' simulated annealing with temperatures derived from the problem."""
    from dwave.samplers import SimulatedAnnealingSampler

    return _adapter(SimulatedAnnealingSampler(), "sa")


def neal_sampler() -> DimodSampler:
    """Return dwave-neal's simulated annealing class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import neal

    return _adapter(neal.SimulatedAnnealingSampler(), "neal")


def tabu_sampler() -> DimodSampler:
    """Return dwave-samplers' multi-start tabu search, limited in restarts so that it repeats."""
    from dwave.samplers import TabuSampler

    return _adapter(TabuSampler(), "tabu")


def path_integral_sampler() -> DimodSampler:
    """Return dwave-samplers' path-integral annealing, a simulation of quantum annealing."""
    from dwave.samplers import PathIntegralAnnealingSampler

    return _adapter(PathIntegralAnnealingSampler(), "path-integral")


def openjij_sampler(name: str) -> DimodSampler:
    """Return simulated annealing or simulated quantum annealing of OpenJij.

    Parameters
    ----------
    name : {"openjij-sa", "openjij-sqa"}

    Raises
    ------
    ImportError
        If OpenJij is not installed.
    """
    try:
        import openjij
    except ImportError as error:
        raise ImportError(
            f"sampler={name!r} needs OpenJij, which is not installed: {install_hint('openjij')} "
            f"({error})."
        ) from error
    made = openjij.SQASampler() if name == "openjij-sqa" else openjij.SASampler()
    return _adapter(made, name)


def bifurcation_sampler() -> DimodSampler:
    """Return simulated bifurcation; see `qsvr.samplers.bifurcation`."""
    from qsvr.samplers.bifurcation import SimulatedBifurcationSampler

    kind = SamplerKind(is_local=True)
    return DimodSampler(SimulatedBifurcationSampler(), "simulated-bifurcation", kind)


def exact_sampler() -> DimodSampler:
    """Return full enumeration, for tests: the ``num_reads`` lowest of all bit strings."""
    return _adapter(dimod.ExactSolver(), "exact")


def _adapter(sampler: Any, name: str) -> DimodSampler:
    return DimodSampler(sampler, name, kind_of(sampler))
