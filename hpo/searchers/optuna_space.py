"""Our domains as Optuna's distributions, and values there and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scipy
from hpo.space.search_space import SearchSpace


def import_optuna(what: str) -> Any:
    """Return the module `optuna`.

    Raises
    ------
    ImportError
        If it is not installed; the message says what needs it and how to get it.
    """
    try:
        import optuna
    except ImportError as error:
        msg = f"{what} needs Optuna, which is not installed: pip install 'qsvr[optuna]'"
        raise ImportError(msg) from error
    return optuna


def search_distributions(space: SearchSpace) -> dict[str, Any]:
    """Return the distributions that a sampler searches.

    Constants are left out.  A scipy distribution is searched by its quantile, so that a sampler
    without a model draws from that very distribution.
    """
    domains = space.domains.items()
    return {name: _distribution(d) for name, d in domains if not isinstance(d, Constant)}


def _distribution(domain: Domain) -> Any:
    distributions = import_optuna("a search by Optuna's samplers").distributions
    match domain:
        case Float(low, high, log, step):
            return distributions.FloatDistribution(low, high, log=log, step=step)
        case Int(low, high, log):
            return distributions.IntDistribution(low, high, log=log)
        case Categorical(choices):
            return distributions.CategoricalDistribution(choices)
        case Scipy():
            return distributions.FloatDistribution(0.0, 1.0)
    msg = f"{type(domain).__name__} has no counterpart in Optuna; use float, int or categorical"
    raise ValueError(msg)


def to_search(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a configuration into the values that a sampler sees; constants are left out.

    Values beyond a range by rounding are put back into it.  What is absent by its condition gets a
    middle value, so that every sampler, also one that knows no conditions, sees whole points.
    """
    there = set(space.present(config))
    return {
        name: _inward(domain, config[name]) if name in there else _middle(domain)
        for name, domain in space.domains.items()
        if not isinstance(domain, Constant)
    }


def _inward(domain: Domain, value: Any) -> Any:
    match domain:
        case Scipy():
            return domain.features(value)[0]
        case Float():
            return min(max(float(value), domain.low), domain.high)
    return value


def _middle(domain: Domain) -> Any:
    return 0.5 if isinstance(domain, Scipy) else domain.grid(1)[0]


def from_search(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a sampler's values into a configuration, without what is absent by its condition."""
    domains = space.domains.items()
    return space.without_absent({n: _outward(domain, params.get(n)) for n, domain in domains})


def _outward(domain: Domain, value: Any) -> Any:
    match domain:
        case Constant():
            return domain.value
        case Scipy():
            return domain.quantile(value)
    return value
