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

from qsvr.exceptions import CapacityError, SamplerError, SamplerWarning
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import Sampler, check_options
from qsvr.samplers.kinds import SamplerKind, kind_of, option_names, seed_argument

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
    kind : SamplerKind
        Its limit and defaults.
    device : callable, optional
        Returns the sampler that takes over where this one turns out to take problems of a device's
        structure only.
    """

    sampler: Any
    name: str
    kind: SamplerKind = field(default_factory=SamplerKind)
    device: Callable[[], Sampler] | None = field(default=None, repr=False)
    _warned: set[str] = field(default_factory=set, init=False, repr=False)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options that the sampler takes, without those of reads and seed."""
        names = option_names(self.sampler)
        return names - {"num_reads", "seed", *seed_argument(names, 0)}

    @property
    def max_variables(self) -> int | None:
        """Most binary variables that one QUBO may have."""
        return self.kind.max_variables

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Sample the QUBO as a dimod model.

        ``num_reads`` and ``seed`` are passed where the sampler has them; else, and where fewer
        reads come back, a `SamplerWarning` says so.

        Raises
        ------
        ValueError
            If the sampler does not have an option.
        CapacityError
            If it does not take so many variables.
        SamplerError
            If it fails or returns something that cannot be used.
        """
        check_options(self.name, options, self.parameters)
        limit = self.max_variables
        if limit is not None and qubo.n_variables > limit:
            raise CapacityError(
                f"the sampler {self.name!r} takes at most {limit} binary variables; the QUBO has "
                f"{qubo.n_variables}. Use fewer samples or bits, or max_variables (working sets)."
            )
        start = perf_counter()
        names = option_names(self.sampler)
        defaults = {} if self.kind.defaults is None else self.kind.defaults(qubo, options)
        arguments = {name: value for name, value in defaults.items() if name in names} | options
        try:
            sample_set = self._draw(qubo.to_bqm(), names, num_reads, seed, arguments)
            bits, extra = _unpack(sample_set, qubo.n_variables, num_reads)
        except SamplerError:
            raise
        except dimod.exceptions.BinaryQuadraticModelStructureError as error:
            if self.device is None:
                raise self._failure(error) from error
            return self.device().sample(qubo, num_reads=num_reads, seed=seed, **options)
        except Exception as error:
            raise self._failure(error) from error
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
        """Return the sampler's answer, in one call where its reads then differ."""
        if self.kind.prepare is not None:
            bqm = self.kind.prepare(bqm)

        def draw(reads: int, seed: int) -> Any:
            offered = {"num_reads": reads} if "num_reads" in names else {}
            return self.sampler.sample(bqm, **arguments, **offered, **seed_argument(names, seed))

        if not self.kind.repeats_seed or not seed_argument(names, seed):
            return draw(num_reads, seed)
        seeds = np.random.default_rng(seed).integers(2**31, size=max(num_reads, 1))
        return dimod.concatenate([draw(1, int(each)) for each in seeds])

    def _failure(self, error: Exception) -> SamplerError:
        return SamplerError(
            f"the sampler {self.name!r} failed: {type(error).__name__}: {error}. Try "
            "sampler='structured', which runs on this machine."
        )

    def _warn_of(self, names: frozenset[str], num_reads: int, n_reads: int) -> None:
        """Warn, once, of what was asked for and does not reach the sampler."""
        reasons = {}
        if n_reads < num_reads:
            how = "" if "num_reads" in names else ", as it does not take their number"
            reasons["reads"] = f"gave {n_reads} of {num_reads} reads{how}"
        elif "num_reads" not in names:
            reasons["reads"] = "does not take the number of reads"
        if not seed_argument(names, 0) and not self.kind.is_device:
            reasons["seed"] = "takes no seed, so that random_state does not repeat its samples"
        if reasons.keys() - self._warned:
            self._warned.update(reasons)
            warnings.warn(
                f"the sampler {self.name!r} {', and '.join(reasons.values())}. Set what it has "
                "instead in sampler_options or where the sampler is made, or use another sampler.",
                SamplerWarning,
                stacklevel=2,
            )


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
    context = sample_set.info.get("embedding_context")
    if isinstance(context, Mapping) and context.get("chain_strength") is not None:
        extra["chain_strength"] = context["chain_strength"]  # what a composite applied
    kept = max(num_reads, 1)
    if len(bits) > kept:  # enumeration returns every string: keep the lowest
        energies = np.repeat(np.asarray(record.energy), np.asarray(record.num_occurrences))
        bits = bits[np.argsort(energies, kind="stable")[:kept]]
    return np.ascontiguousarray(bits, dtype=np.uint8), extra


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


def exact_sampler() -> DimodSampler:
    """Return full enumeration, for tests: the ``num_reads`` lowest of all bit strings."""
    return _adapter(dimod.ExactSolver(), "exact")


def _adapter(sampler: Any, name: str) -> DimodSampler:
    return DimodSampler(sampler, name, kind_of(sampler))
