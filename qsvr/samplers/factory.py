"""Choose a sampler: by name, by a picklable recipe, or by handing one over."""

from __future__ import annotations

import atexit
import os
import pickle
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from typing import Any, cast

from qsvr.exceptions import SamplerError, SamplerWarning
from qsvr.samplers.base import ChargedSampler, Sampler
from qsvr.samplers.dimod import (
    DimodSampler,
    bifurcation_sampler,
    exact_sampler,
    neal_sampler,
    openjij_sampler,
    path_integral_sampler,
    sa_sampler,
    tabu_sampler,
)
from qsvr.samplers.fallback import FallbackSampler
from qsvr.samplers.installed import GROUP, installed_samplers
from qsvr.samplers.kinds import device_of, kind_of
from qsvr.samplers.redaction import redact, safe_cause
from qsvr.samplers.relax_round import RelaxRound
from qsvr.samplers.structured.annealer import StructuredAnnealer

__all__ = [
    "SAMPLER_NAMES",
    "SamplerFactory",
    "check_portable",
    "get_sampler",
    "open_sampler",
    "sampler_names",
]

_BY_NAME: dict[str, Callable[[], Sampler]] = {
    "structured": StructuredAnnealer,
    "sa": sa_sampler,
    "neal": neal_sampler,
    "tabu": tabu_sampler,
    "path-integral": path_integral_sampler,
    "openjij-sa": partial(openjij_sampler, "openjij-sa"),
    "openjij-sqa": partial(openjij_sampler, "openjij-sqa"),
    "simulated-bifurcation": bifurcation_sampler,
    "exact": exact_sampler,
    "relax-round": RelaxRound,
}
# D-Wave's samplers are opened by name only, so that a local fit does not import them.
_DWAVE = "qsvr.samplers.dwave."
_CONNECTION_OPTIONS = frozenset({"region", "solver", "profile", "endpoint", "config_file", "proxy"})
_OPENING_OPTIONS = frozenset({"timeout", "max_retries", "retry_delay"})


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
    arguments : mapping, default={}
        Keyword arguments for it. Never put a token here: clients read theirs from their own
        configuration.

    Raises
    ------
    ValueError
        If ``path`` names no module, or ``arguments`` are no mapping or hold a token.

    Examples
    --------
    >>> factory = SamplerFactory("dwave.samplers.PathIntegralAnnealingSampler")
    >>> type(factory.open()).__name__
    'PathIntegralAnnealingSampler'
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise ValueError(
                "arguments must be a mapping of the sampler's arguments by name, such as "
                f"{{'solver': 'Advantage_system6.4'}}; got {type(self.arguments).__name__}. The "
                "class belongs to path: 'package.module.Class'."
            )
        if not isinstance(self.path, str) or "." not in self.path:
            raise ValueError(
                "path must be an import path with a module, like 'package.module.Class'; got "
                f"{self.path!r}."
            )
        if any("token" in str(name).lower() for name in self.arguments):
            raise ValueError(
                "arguments must not hold a token: it would be stored with the estimator. Let the "
                "client read it from its configuration file or environment."
            )

    def __hash__(self) -> int:
        return hash((self.path, repr(sorted(self.arguments.items()))))

    def open(self) -> Any:
        """Return the sampler, opened at the first call in each process.

        Raises
        ------
        ValueError
            If ``path`` cannot be imported, or names no class or function.
        """
        key = (os.getpid(), self)
        with _LOCK:
            if key not in _OPENED:
                opener = _load(self.path)
                if not callable(opener):
                    raise ValueError(
                        f"path={self.path!r} must name a class or function that returns a sampler; "
                        f"it is a {type(opener).__name__}."
                    )
                _OPENED[key] = _made(opener, self.arguments)
            return _OPENED[key]

    def close(self) -> None:
        """Close what `open` opened in this process; the next `open` opens it anew."""
        with _LOCK:
            opened = _OPENED.pop((os.getpid(), self), None)
        close = getattr(opened, "close", None)
        if callable(close):
            close()


_OPENED: dict[tuple[int, SamplerFactory], Any] = {}
_LOCK = threading.RLock()
_BY_SERVICE: dict[str, SamplerFactory] = {
    "qpu": SamplerFactory(_DWAVE + "qpu.QPUSampler"),
    "clique": SamplerFactory(_DWAVE + "qpu.QPUSampler", {"embedding": "clique"}),
    "hybrid": SamplerFactory(_DWAVE + "hybrid.HybridSampler"),
    "cqm": SamplerFactory(_DWAVE + "hybrid.CQMSampler"),
    "nl": SamplerFactory(_DWAVE + "hybrid.NLSampler"),
}
SAMPLER_NAMES: tuple[str, ...] = (*_BY_NAME, *_BY_SERVICE)


@atexit.register
def _close_all() -> None:
    for process, factory in list(_OPENED):
        if process == os.getpid():
            factory.close()


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"path={path!r} cannot be imported: {error}.") from error


def _made(maker: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Return what a class or function makes; its error, unless that one shows a token."""
    try:
        return maker(**arguments)
    except Exception as error:
        if safe_cause(error) is error:
            raise
        failure = SamplerError(f"the sampler failed: {redact(f'{type(error).__name__}: {error}')}")
    raise failure


def sampler_names() -> tuple[str, ...]:
    """Return every name that ``sampler=`` takes here.

    Those of `SAMPLER_NAMES`, then those of installed packages; see `qsvr.samplers.installed`.
    """
    return (*SAMPLER_NAMES, *(name for name in installed_samplers() if name not in SAMPLER_NAMES))


def _factory_of(name: str) -> SamplerFactory:
    """Return the recipe of an installed package's sampler.

    Raises
    ------
    ValueError
        If no package, or more than one, offers the name.
    """
    found = installed_samplers().get(name, ())
    if len(found) == 1:
        return SamplerFactory(found[0].value.partition("[")[0].strip().replace(":", "."))
    if found:
        raise ValueError(
            f"sampler={name!r} is offered by more than one installed package: "
            f"{sorted(each.value for each in found)}. Uninstall one of them, or use a "
            "SamplerFactory, which names the class."
        )
    raise ValueError(
        f"sampler={name!r} is not known; use one of {list(sampler_names())}, a SamplerFactory or a "
        f"dimod sampler. An installed package adds names by entry points of the group {GROUP!r}."
    )


def get_sampler(spec: object = None) -> Sampler:
    """Return the sampler that a specification means.

    Parameters
    ----------
    spec : str, SamplerFactory, Sampler or dimod.Sampler, default=None
        None is the structured annealer; names are those of `sampler_names`.

    Raises
    ------
    ValueError
        If the name is not known, or offered by more than one installed package.
    ImportError
        If the sampler's package is optional and not installed.
    TypeError
        If the object has no sampler's interface.
    """
    if spec is None:
        return StructuredAnnealer()
    if isinstance(spec, str):
        if spec in SAMPLER_NAMES and spec in installed_samplers():
            offered = [each.value for each in installed_samplers()[spec]]
            warnings.warn(
                f"sampler={spec!r} is this package's own; what {offered} offers under that name is "
                "not used. Use a SamplerFactory, which names the class.",
                SamplerWarning,
                stacklevel=2,
            )
        if spec in _BY_NAME:
            return _BY_NAME[spec]()
        return get_sampler(_BY_SERVICE.get(spec) or _factory_of(spec))
    return _adapted(spec.open() if isinstance(spec, SamplerFactory) else spec)


def open_sampler(
    spec: object, options: Mapping[str, Any] | None = None
) -> tuple[Sampler, dict[str, Any]]:
    """Return a sampler, and those of the options that are for its ``sample``.

    Options of the connection (``region``, ``solver``, ``profile``, ...) go into the factory of a
    D-Wave sampler; ``fallback`` names a sampler that takes over where the service fails.

    Parameters
    ----------
    spec : None, str, SamplerFactory, Sampler or dimod.Sampler
    options : mapping, default=None

    Raises
    ------
    ValueError
        If ``options`` is no mapping with names for keys, an option looks like a token, or the
        sampler is not known.
    """
    if options is not None and not (
        isinstance(options, Mapping) and all(isinstance(name, str) for name in options)
    ):
        raise ValueError(
            "sampler_options must be None or a mapping of the sampler's options, such as "
            f"{{'num_sweeps': 500}}, by name; got {type(options).__name__}."
        )
    options = dict(options or {})
    if any("token" in str(name).lower() for name in options):
        raise ValueError(
            "sampler_options must not hold a token: it would be stored with the estimator. Let the "
            "client read it from its configuration file or the environment variable "
            "DWAVE_API_TOKEN."
        )
    factory = _BY_SERVICE.get(spec) if isinstance(spec, str) else spec
    if not isinstance(factory, SamplerFactory) or not factory.path.startswith(_DWAVE):
        return _patient(get_sampler(spec), options), options
    connection = {name: options.pop(name) for name in _CONNECTION_OPTIONS & set(options)}
    second = options.pop("fallback", None)
    first = get_sampler(SamplerFactory(factory.path, {**factory.arguments, **connection}))
    first = _patient(first, options)
    if second is None:
        return first, options
    first = cast(ChargedSampler, first)
    return FallbackSampler(first, get_sampler(second), str(second), options), options


def _patient(sampler: Sampler, options: Mapping[str, Any]) -> Sampler:
    """Return a sampler of a service so that it is opened as the options of this fit say."""
    opened_with = getattr(type(sampler), "opened_with", None)
    if opened_with is None or not _OPENING_OPTIONS & set(options):
        return sampler
    return cast(Sampler, opened_with(sampler, options))


def check_portable(spec: object) -> None:
    """Raise TypeError where a sampler holds a live connection, which cannot be copied or sent.

    Parameters
    ----------
    spec : None, str, SamplerFactory or a sampler

    Raises
    ------
    TypeError
        If it cannot be pickled.
    """
    if spec is None or isinstance(spec, str | SamplerFactory):
        return
    try:
        pickle.dumps(spec)
    except Exception as error:
        raise TypeError(
            f"sampler is a live {type(spec).__name__}, which can be neither copied nor sent to "
            "another process (so no clone, GridSearchCV, n_jobs > 1 or pickle). Use a name such as "
            "sampler='qpu', or SamplerFactory('package.module.Class', {...}), which opens it "
            "wherever it is needed; set sampler=None to pickle a fitted model."
        ) from error


def _adapted(sampler: Any) -> Sampler:
    """Return an object as one of our samplers, by what it offers."""
    if isinstance(sampler, type):
        name = sampler.__name__
        raise TypeError(
            f"sampler must be None, one of {list(sampler_names())}, a SamplerFactory, a qsvr "
            f"sampler or a dimod sampler; got the class {name}. Pass an instance, {name}(), or "
            f"SamplerFactory('{sampler.__module__}.{name}')."
        )
    if hasattr(type(sampler), "max_variables"):  # of the type: the property opens a client
        return cast(Sampler, sampler)
    if hasattr(sampler, "estimated_min_time_limit"):
        return cast(Sampler, _load(_DWAVE + "hybrid.NLSampler")(client=sampler))
    if hasattr(sampler, "sample_cqm"):
        return cast(Sampler, _load(_DWAVE + "hybrid.CQMSampler")(client=sampler))
    can_sample = callable(getattr(sampler, "sample", None)) and hasattr(sampler, "parameters")
    if can_sample and hasattr(sampler, "min_time_limit"):
        return cast(Sampler, _load(_DWAVE + "hybrid.HybridSampler")(client=sampler))
    if isinstance(sampler, Sampler):
        return sampler
    if can_sample:
        return _adapted_dimod(sampler)
    raise TypeError(
        f"sampler must be None, one of {list(sampler_names())}, a SamplerFactory, a qsvr sampler "
        f"or a dimod sampler; got {type(sampler).__name__}."
    )


def _adapted_dimod(sampler: Any) -> Sampler:
    """Return a dimod sampler that takes any problem, or a device, for which it is embedded."""
    device, is_sure = device_of(sampler)
    embedded = cache(lambda: cast(Sampler, _load(_DWAVE + "qpu.QPUSampler")(client=sampler)))
    if device is not None and is_sure:
        return embedded()
    name = type(sampler).__name__
    return DimodSampler(sampler, name, kind_of(sampler), None if device is None else embedded)
