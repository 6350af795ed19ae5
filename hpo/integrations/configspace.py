"""ConfigSpace: search spaces of SMAC, DEHB, AutoML benchmarks and others, from and to ours.

`from_configspace` looks at what it is given by its names; `to_configspace` needs the package.
What the other side does not have is refused, never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpo.errors import import_optional
from hpo.integrations._spaces import listed, simplified, stepped
from hpo.space import Categorical, Constant, Domain, Float, Int, Scipy, SearchSpace
from hpo.space.values import plain_value


def from_configspace(space: Any) -> SearchSpace:
    """Convert a `ConfigSpace.ConfigurationSpace`.

    An ordinal hyperparameter becomes a range with a step if its numbers are evenly spaced, and
    choices otherwise, without their order. Default values have no counterpart.

    Parameters
    ----------
    space : ConfigSpace.ConfigurationSpace

    Returns
    -------
    SearchSpace

    Raises
    ------
    ValueError
        If it has forbidden clauses, weighted choices, conditions other than equality (of one or
        several values, joined by "and"), or a distribution that we do not have; the message names
        the hyperparameter.
    """
    if list(space.forbidden_clauses):
        raise ValueError(
            f"a search space has no forbidden clauses, got {space.forbidden_clauses}; remove them, "
            "and refuse such configurations in the trainer"
        )
    domains = {str(name): _domain(str(name), each) for name, each in dict(space).items()}
    conditions: dict[str, dict[str, tuple[Any, ...]]] = {}
    for condition in space.conditions:
        child = condition.child.name
        if child in conditions:
            raise ValueError(f"hyperparameter {child!r} has several conditions; join them by 'and'")
        conditions[child] = _rule(child, condition)
    return SearchSpace(domains, conditions)


def _domain(name: str, each: Any) -> Domain:
    match type(each).__name__:
        case "UniformFloatHyperparameter":
            return Float(each.lower, each.upper, bool(each.log))
        case "UniformIntegerHyperparameter":
            return Int(each.lower, each.upper, bool(each.log))
        case "NormalFloatHyperparameter" if not each.log:
            ends = ((end - each.mu) / each.sigma for end in (each.lower, each.upper))
            return Scipy("truncnorm", (*ends, each.mu, each.sigma))
        case "CategoricalHyperparameter" if each.weights is None or len(set(each.weights)) == 1:
            return Categorical(tuple(each.choices))
        case "CategoricalHyperparameter":
            raise ValueError(
                f"hyperparameter {name!r} has weighted choices, which a search space does not; "
                "leave the weights out"
            )
        case "OrdinalHyperparameter":
            values = plain_value(tuple(each.sequence))
            return stepped(values) or Categorical(values)
        case "Constant":
            return Constant(each.value)
        case kind:
            raise ValueError(
                f"hyperparameter {name!r} is a {kind}{' with log' * bool(getattr(each, 'log', 0))},"
                " which has no counterpart; use a uniform or normal float, a uniform integer, "
                "choices or a constant"
            )


def _rule(child: str, condition: Any) -> dict[str, tuple[Any, ...]]:
    """Return the values that each parent of a condition must have."""
    match type(condition).__name__:
        case "EqualsCondition":
            return {condition.parent.name: (plain_value(condition.value),)}
        case "InCondition":
            return {condition.parent.name: plain_value(tuple(condition.values))}
        case "AndConjunction":
            rules = [_rule(child, each) for each in condition.components]
            names = [name for rule in rules for name in rule]
            if len(set(names)) == len(names):
                return {name: values for rule in rules for name, values in rule.items()}
    raise ValueError(
        f"hyperparameter {child!r} has the condition {condition}, which is no equality with one or "
        "several values of each parent; list the values that the parent may have"
    )


def to_configspace(space: SearchSpace, *, seed: int | None = None) -> Any:
    """Convert to a `ConfigSpace.ConfigurationSpace`.

    A range with a step becomes ordinal, one of one value a constant.

    Parameters
    ----------
    space : SearchSpace
    seed : int or None, default=None
        Seed of the new space's own random numbers.

    Returns
    -------
    ConfigSpace.ConfigurationSpace

    Raises
    ------
    ValueError
        If a distribution has no counterpart, or a step leaves more than 1,000 values.
    ImportError
        If ConfigSpace is not installed.
    """
    package = import_optional("ConfigSpace", "to_configspace", "configspace")
    there = package.ConfigurationSpace(seed=seed)
    made = {name: _made(package, name, domain) for name, domain in space.domains.items()}
    there.add(*made.values())
    conditions = [
        _joined(package, [_condition(package, made[c], made[p], v) for p, v in rule.items()])
        for c, rule in space.conditions.items()
    ]
    there.add(*conditions)
    return there


def _made(package: Any, name: str, domain: Domain) -> Any:
    domain = simplified(name, domain, "ConfigSpace")
    match domain:
        case Constant(value):
            return package.Constant(name, value)
        case Float() | Int() if domain.size == 1:
            return package.Constant(name, domain.low)
        case Categorical(choices):
            return package.CategoricalHyperparameter(name, list(choices))
        case Float() | Int() if domain.step not in (None, 1) or (
            isinstance(domain, Float) and domain.step is not None
        ):
            return package.OrdinalHyperparameter(name, listed(name, domain, "ConfigSpace"))
        case Float(low, high, log):
            return package.UniformFloatHyperparameter(name, low, high, log=log)
        case Int(low, high, log):
            return package.UniformIntegerHyperparameter(name, low, high, log=log)
    raise ValueError(
        f"hyperparameter {name!r}: {type(domain).__name__} has no counterpart in ConfigSpace; use "
        "a float, an int or choices"
    )


def _condition(package: Any, child: Any, parent: Any, values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return package.EqualsCondition(child, parent, values[0])
    return package.InCondition(child, parent, list(values))


def _joined(package: Any, conditions: list[Any]) -> Any:
    return conditions[0] if len(conditions) == 1 else package.AndConjunction(*conditions)
