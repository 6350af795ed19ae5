"""Optuna's distributions from and to search spaces."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.integrations._spaces import check_flat, simplified
from hpo.space import Categorical, Constant, Domain, Float, Int, SearchSpace


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """Convert distributions, such as ``study.best_trial.distributions``.

    Parameters
    ----------
    distributions : Mapping of str to optuna.distributions.BaseDistribution

    Returns
    -------
    SearchSpace

    Raises
    ------
    ValueError
        If one is not known; the message names the hyperparameter.
    """
    return SearchSpace.from_dict(distributions)


def to_optuna(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Convert to distributions, as ``study.ask(fixed_distributions=...)`` takes them.

    A constant becomes a single choice. Optuna warns of choices that are tuples, which its
    databases do not keep.

    Parameters
    ----------
    space : SearchSpace

    Returns
    -------
    dict of str to optuna.distributions.BaseDistribution

    Raises
    ------
    ValueError
        If the space has conditions, or a distribution has no counterpart.
    """
    check_flat(space, "Optuna's distributions")
    return {name: _distribution(name, domain) for name, domain in space.domains.items()}


def _distribution(name: str, domain: Domain) -> BaseDistribution:
    domain = simplified(name, domain, "Optuna")
    match domain:
        case Float(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)
        case Int(low, _, log, step):
            return IntDistribution(low, low + step * (domain.size - 1), log=log, step=step)
        case Categorical(choices):
            return CategoricalDistribution(choices)  # type: ignore[arg-type]  # tuples, too
        case Constant(value):
            return CategoricalDistribution((value,))  # type: ignore[arg-type]
    raise ValueError(
        f"hyperparameter {name!r}: {type(domain).__name__} has no counterpart in Optuna; use a "
        "float, an int or choices"
    )
