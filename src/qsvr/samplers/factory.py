"""Choose a sampler: by name, by a picklable recipe, or by handing one over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

from qsvr.samplers.base import Sampler
from qsvr.samplers.dimod_adapter import (
    DimodSampler,
    exact_sampler,
    neal_sampler,
    sa_sampler,
    tabu_sampler,
)
from qsvr.samplers.relax_round import RelaxRound
from qsvr.samplers.structured import StructuredAnnealer

__all__ = ["SAMPLER_NAMES", "SamplerFactory", "get_sampler"]

_BY_NAME: dict[str, Callable[[], Sampler]] = {
    "structured": StructuredAnnealer,
    "sa": sa_sampler,
    "neal": neal_sampler,
    "tabu": tabu_sampler,
    "exact": exact_sampler,
    "relax-round": RelaxRound,
}
SAMPLER_NAMES: tuple[str, ...] = tuple(_BY_NAME)


@dataclass(frozen=True)
class SamplerFactory:
    """A small picklable value from which a sampler is opened, once per process.

    An estimator that holds a live client can be neither cloned nor sent to a worker; one that holds
    a factory can.

    Parameters
    ----------
    path : str
        Import path of a class or function that returns a `dimod.Sampler`, such as
        ``"dwave.samplers.PathIntegralAnnealingSampler"``.
    arguments : mapping
        Keyword arguments for it. Never put a token here: clients read theirs from their own
        configuration.

    Examples
    --------
    >>> factory = SamplerFactory("dwave.samplers.PathIntegralAnnealingSampler")
    >>> type(factory.open()).__name__
    'PathIntegralAnnealingSampler'
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "." not in self.path:
            raise ValueError(
                "path must be an import path with a module, like 'package.module.Class'; got "
                f"{self.path!r}."
            )
        if any("token" in name.lower() for name in self.arguments):
            raise ValueError(
                "arguments must not hold a token: it would be stored with the estimator. Let the "
                "client read it from its configuration file or environment."
            )

    def __hash__(self) -> int:
        return hash((self.path, repr(sorted(self.arguments.items()))))

    def open(self) -> Any:
        """Return the sampler, opened at the first call in each process."""
        return _open(self)


@lru_cache(maxsize=16)
def _open(factory: SamplerFactory) -> Any:
    module, _, name = factory.path.rpartition(".")
    try:
        target = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"path={factory.path!r} cannot be imported: {error}.") from error
    return target(**factory.arguments)


def get_sampler(spec: object = None) -> Sampler:
    """Return the sampler that a specification means.

    Parameters
    ----------
    spec : None, str, SamplerFactory, Sampler or dimod.Sampler
        None is the structured annealer; names are in `SAMPLER_NAMES`.

    Raises
    ------
    ValueError
        If the name is not known.
    TypeError
        If the object has no sampler's interface.
    """
    if spec is None:
        return StructuredAnnealer()
    if isinstance(spec, str):
        if spec not in _BY_NAME:
            raise ValueError(
                f"sampler={spec!r} is not known; use one of {list(SAMPLER_NAMES)}, a "
                "SamplerFactory or a dimod sampler."
            )
        return _BY_NAME[spec]()
    if isinstance(spec, SamplerFactory):
        opened = spec.open()
        return DimodSampler(opened, type(opened).__name__)
    is_class = isinstance(spec, type)  # of a sampler: it was not opened
    if not is_class and hasattr(spec, "max_variables") and isinstance(spec, Sampler):
        return spec
    if not is_class and callable(getattr(spec, "sample", None)) and hasattr(spec, "parameters"):
        return DimodSampler(spec, type(spec).__name__)
    raise TypeError(
        f"sampler must be None, one of {list(SAMPLER_NAMES)}, a SamplerFactory, a qsvr sampler or "
        f"a dimod sampler; got {type(spec).__name__}."
    )
