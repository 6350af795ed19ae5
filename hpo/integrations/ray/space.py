"""Ray Tune's search spaces (``param_space``) from and to ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ray import tune

from hpo.integrations._spaces import check_flat, listed, simplified
from hpo.space import Categorical, Constant, Domain, Float, Int, Scipy, SearchSpace


def from_ray(param_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a ``param_space`` of `ray.tune.Tuner`.

    ``tune.grid_search`` becomes choices, any value that is no distribution a constant. The upper
    end of ``tune.randint``, which Ray leaves out, is one less here.

    Parameters
    ----------
    param_space : Mapping of str to Any

    Returns
    -------
    SearchSpace

    Raises
    ------
    ValueError
        If it is nested, or a function or a distribution has no counterpart; the message names the
        hyperparameter.
    """
    domains = {}
    for name, spec in param_space.items():
        try:
            domains[name] = _domain(spec)
        except ValueError as error:
            raise ValueError(f"hyperparameter {name!r}: {error}") from None
    return SearchSpace(domains)


def _domain(spec: Any) -> Domain:
    if isinstance(spec, Mapping):
        if set(spec) == {"grid_search"}:
            return Categorical(tuple(spec["grid_search"]))
        raise ValueError("a search space is not nested; give each of its entries a name of its own")
    if not isinstance(spec, tune.search.sample.Domain):
        return Constant(spec)
    sampler, step = spec.get_sampler(), None
    if type(sampler).__name__ == "Quantized":
        sampler, step = sampler.sampler, sampler.q
    prior = type(sampler).__name__.strip("_")
    log = prior == "LogUniform"
    match type(spec).__name__, prior:
        case "Categorical", "Uniform":
            return Categorical(tuple(spec.categories))
        case "Float", "Uniform" | "LogUniform":
            return Float(spec.lower, spec.upper, log, step)
        case "Float", "Normal" if step is None:
            return Scipy("norm", (sampler.mean, sampler.sd))
        case "Integer", "Uniform" | "LogUniform":
            upper = spec.upper - (step is None)  # with a step, Ray has it included
            return Int(spec.lower, upper, log, step or 1)
    raise ValueError(
        f"{type(spec).__name__} ({prior}) has no counterpart; use uniform, loguniform, randn, "
        "randint, lograndint, quniform, qrandint or choice"
    )


def to_ray(space: SearchSpace) -> dict[str, Any]:
    """Convert to a ``param_space`` of `ray.tune.Tuner`.

    A range whose steps do not begin at a multiple of the step becomes a choice.

    Parameters
    ----------
    space : SearchSpace

    Returns
    -------
    dict of str to Any

    Raises
    ------
    ValueError
        If the space has conditions, a distribution has no counterpart, or a step leaves more than
        1,000 values.
    """
    check_flat(space, "Ray Tune")
    return {name: _made(name, domain) for name, domain in space.domains.items()}


def _made(name: str, domain: Domain) -> Any:
    if isinstance(domain, Scipy) and domain.name == "norm" and not domain.kwds:
        return tune.randn(*domain.args)
    made: Any
    match domain := simplified(name, domain, "Ray Tune"):
        case Constant(made):
            pass
        case Float(made) | Int(made) if domain.size == 1:
            pass
        case Categorical(choices):
            made = tune.choice(list(choices))
        case Float(low, high, log, None):
            made = (tune.loguniform if log else tune.uniform)(low, high)
        case Int(low, high, log, 1):
            made = (tune.lograndint if log else tune.randint)(low, high + 1)
        case Float() | Int():
            made = _stepped(name, domain)
        case _:
            raise ValueError(
                f"hyperparameter {name!r}: {type(domain).__name__} has no counterpart in Ray "
                "Tune; use a float, an int or choices"
            )
    return made


def _stepped(name: str, domain: Float | Int) -> Any:
    low, step = domain.low, domain.step or 1
    if not math.isclose(low / step, round(low / step), abs_tol=1e-12):
        return tune.choice(listed(name, domain, "Ray Tune"))
    last = low + step * ((domain.size or 1) - 1)
    return (tune.qrandint if isinstance(domain, Int) else tune.quniform)(low, last, step)
