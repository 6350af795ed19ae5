"""Open a sampler from a name, a factory or an object."""

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
# Classes of D-Wave samplers are named, not imported, so that a local fit does not load them.
_DWAVE = "qsvr.samplers.dwave."
_CONNECTION_OPTIONS = frozenset({"region", "solver", "profile", "endpoint", "config_file", "proxy"})
_OPENING_OPTIONS = frozenset({"timeout", "max_retries", "retry_delay"})


@dataclass(frozen=True)
class SamplerFactory:
    """Description of a sampler that can be pickled, and that opens it once per process.

    An estimator with a live client can be neither cloned nor sent to another process. With a
    factory it can, for example in `GridSearchCV`.

    Parameters
    ----------
    path : str
        Import path of a class or function that returns a `dimod.Sampler`, such as
        ``"dwave.samplers.PathIntegralAnnealingSampler"``.
    arguments : mapping, default={}
        Keyword arguments of the class or function. Tokens are rejected; clients read them from
        their own configuration.

    Raises
    ------
    ValueError
        If ``path`` has no module, or if ``arguments`` is not a mapping or holds a token.

    See Also
    --------
    get_sampler : Open a sampler by name.

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
            If ``path`` cannot be imported, or is not a class or function.
        """
        key = (os.getpid(), self)
        with _LOCK:
            if key not in _OPENED:
                opener = _load(self.path)
                if not callable(opener):
                    raise ValueError(
                        f"path={self.path!r} must name a class or function that returns a sampler; "
                        f"got a {type(opener).__name__}."
                    )
                _OPENED[key] = _made(opener, self.arguments)
            return _OPENED[key]

    def close(self) -> None:
        """Close the sampler that `open` opened in this process."""
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
    """Return the result of a class or function, and raise its error unless that shows a token."""
    try:
        return maker(**arguments)
    except Exception as error:
        if safe_cause(error) is error:
            raise
        failure = SamplerError(f"the sampler failed: {redact(f'{type(error).__name__}: {error}')}")
    raise failure


def sampler_names() -> tuple[str, ...]:
    """Return all valid names of ``sampler=`` in this installation.

    Returns
    -------
    names : tuple of str
        `SAMPLER_NAMES`, then names from installed packages; see `qsvr.samplers.installed`.

    Examples
    --------
    >>> from qsvr import sampler_names
    >>> "structured" in sampler_names()
    True
    """
    return (*SAMPLER_NAMES, *(name for name in installed_samplers() if name not in SAMPLER_NAMES))


def _factory_of(name: str) -> SamplerFactory:
    """Return the factory of an installed package's sampler.

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
        f"dimod sampler. Installed packages add names by entry points of the group {GROUP!r}."
    )


def get_sampler(spec: object = None) -> Sampler:
    """Return the sampler for a name, a factory or an object.

    Parameters
    ----------
    spec : str, SamplerFactory, Sampler or dimod.Sampler, default=None
        Name from `sampler_names`, or an object. None means the structured annealer.

    Returns
    -------
    sampler : Sampler
        The sampler, with ``sample``, ``parameters`` and ``max_variables``. Samplers of a service
        also have ``plan``, which estimates the cost of a fit.

    Raises
    ------
    ValueError
        If the name is unknown, or provided by more than one installed package.
    ImportError
        If the sampler needs a package that is not installed.
    TypeError
        If the object does not have the interface of a sampler.

    See Also
    --------
    sampler_names : All valid names.
    SamplerFactory : Description of a sampler that can be pickled.

    Examples
    --------
    >>> from qsvr import get_sampler
    >>> get_sampler("exact").max_variables
    18
    """
    if spec is None:
        return StructuredAnnealer()
    if isinstance(spec, str):
        if spec in SAMPLER_NAMES and spec in installed_samplers():
            offered = [each.value for each in installed_samplers()[spec]]
            warnings.warn(
                f"sampler={spec!r} is the sampler of this package; the one that {offered} provides "
                "under the same name is not used. Use a SamplerFactory, which names the class.",
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
    """Return a sampler and the options of its ``sample``.

    Options of the connection (``region``, ``solver``, ``profile``, ...) go to the constructor of a
    D-Wave sampler. ``fallback`` names a sampler that is used if the service fails.

    Parameters
    ----------
    spec : None, str, SamplerFactory, Sampler or dimod.Sampler
    options : mapping, default=None

    Raises
    ------
    ValueError
        If ``options`` is not a mapping with text keys, if an option looks like a token, or if the
        sampler is unknown.
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
    """Return a sampler of a service that is opened with the time limits of this fit."""
    opened_with = getattr(type(sampler), "opened_with", None)
    if opened_with is None or not _OPENING_OPTIONS & set(options):
        return sampler
    return cast(Sampler, opened_with(sampler, options))


def check_portable(spec: object) -> None:
    """Raise TypeError if a sampler holds a live connection, which cannot be copied or sent.

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
    """Return an object as a `Sampler`, according to its interface."""
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
    """Return the adapter of a dimod sampler, with embedding if it is a device."""
    device, is_sure = device_of(sampler)
    embedded = cache(lambda: cast(Sampler, _load(_DWAVE + "qpu.QPUSampler")(client=sampler)))
    if device is not None and is_sure:
        return embedded()
    name = type(sampler).__name__
    return DimodSampler(sampler, name, kind_of(sampler), None if device is None else embedded)
