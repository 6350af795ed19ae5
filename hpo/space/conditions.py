"""When a hyperparameter is there at all: only where others have certain values.

A condition names other hyperparameters, its parents, and the values that each of them must have,
all at once. A parent may have a condition itself; where it is absent, so is all that needs it.

>>> conditions = {"momentum": {"optimizer": ("sgd",)}}
>>> order = parents_first(("momentum", "optimizer"), conditions)
>>> order
('optimizer', 'momentum')
>>> present(order, conditions, {"optimizer": "adam"})
('optimizer',)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scalar, Scipy
from hpo.trial import Config

Values = tuple[Scalar, ...]
Conditions = Mapping[str, Mapping[str, Values]]
"""For each hyperparameter that has a condition, its parents and the values that they must have."""


def equal(left: Any, right: Any) -> bool:
    """Tell whether two values are the same; 1 is 1.0, but not True."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def among(value: Any, values: Iterable[Any]) -> bool:
    """Tell whether `value` is one of `values`."""
    return any(equal(value, each) for each in values)


def takes(domain: Domain, value: Any) -> bool:
    """Tell whether `value` lies in a domain, give or take rounding."""
    match domain:
        case Categorical(choices):
            return among(value, choices)
        case Constant(constant):
            return equal(value, constant)
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return False
    number = float(value)
    match domain:
        case Int(low, high):
            return number.is_integer() and low <= number <= high
        case Float():
            return _in_float(domain, number)
        case Scipy():
            return domain.supports(number)
    raise TypeError(f"{type(domain).__name__} is no domain of this package")


def _in_float(domain: Float, value: float) -> bool:
    slack = 1e-9 * max(abs(domain.low), abs(domain.high))
    if not domain.low - slack <= value <= domain.high + slack:
        return False
    steps = 0.0 if domain.step is None else (value - domain.low) / domain.step
    return abs(steps - round(steps)) < 1e-6


def present(order: Sequence[str], conditions: Conditions, config: Config) -> tuple[str, ...]:
    """Return those names of `order` (see `parents_first`) that are there by the values given."""
    found: dict[str, None] = {}
    for name in order:
        rule = conditions.get(name, {})
        if all(p in found and p in config and among(config[p], v) for p, v in rule.items()):
            found[name] = None
    return tuple(found)


def parents_first(names: Sequence[str], conditions: Conditions) -> tuple[str, ...]:
    """Return `names` in their order, but each after what it needs.

    Raises
    ------
    ValueError
        If hyperparameters need each other in a circle.
    """
    done: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " needs ".join(repr(each) for each in (*path[path.index(name) :], name))
            raise ValueError(f"the conditions go in a circle: {circle}; leave one of them out")
        if name not in done:
            for parent in conditions.get(name, {}):
                visit(parent, (*path, name))
            done[name] = None

    for name in names:
        visit(name, ())
    return tuple(done)


def check_conditions(domains: Mapping[str, Domain], conditions: Conditions) -> None:
    """Complain about conditions that do not fit the domains.

    Raises
    ------
    ValueError
        If a name is unknown, a parent cannot take a value, hyperparameters need each other in a
        circle, or one can never be there.
    """
    for name, rule in conditions.items():
        if name not in domains:
            raise ValueError(
                f"there is a condition for {name!r}, which the search space does not name"
            )
        if not rule:
            raise ValueError(
                f"hyperparameter {name!r}: when must name at least one other hyperparameter"
            )
        for parent, values in rule.items():
            try:
                _check_parent(parent, values, domains)
            except ValueError as error:
                raise ValueError(f"hyperparameter {name!r}: {error}") from None
    all_needs(parents_first(tuple(domains), conditions), conditions)


def _check_parent(parent: str, values: Sequence[Any], domains: Mapping[str, Domain]) -> None:
    domain = domains.get(parent)
    if domain is None:
        raise ValueError(f"when names {parent!r}, which is none of {', '.join(map(repr, domains))}")
    if not isinstance(domain, Int | Categorical | Constant):
        raise ValueError(
            f"when names {parent!r}, a {type(domain).__name__.lower()}, which hardly ever takes "
            "one value; use an int, categorical or constant"
        )
    if not values:
        raise ValueError(
            f"when must give {parent!r} at least one value, got none; {_values(domain)}"
        )
    for value in values:
        if not takes(domain, value):
            msg = f"when gives {parent!r} the value {value!r}, which it cannot take; "
            raise ValueError(msg + _values(domain))


def _values(domain: Int | Categorical | Constant) -> str:
    match domain:
        case Int(low, high):
            return f"it takes whole numbers from {low} to {high}"
        case Categorical(choices):
            return f"it takes {', '.join(map(repr, choices))}"
    return f"it is always {domain.value!r}"


def all_needs(order: Sequence[str], conditions: Conditions) -> dict[str, dict[str, Values]]:
    """Return what each of `order` (see `parents_first`) needs, through its parents too.

    Raises
    ------
    ValueError
        If one asks of another what its own parents forbid.
    """
    needs: dict[str, dict[str, Values]] = {}
    for name in order:
        rule = conditions.get(name, {})
        needs[name] = {}
        for each in (rule, *(needs[parent] for parent in rule)):
            for parent, values in each.items():
                known = needs[name].get(parent, values)
                needs[name][parent] = tuple(v for v in known if among(v, values))
                if not needs[name][parent]:
                    raise ValueError(
                        f"hyperparameter {name!r} can never be there: {parent!r} would have to be "
                        f"{_listed(known)} and {_listed(values)} at once; change one of the "
                        "conditions"
                    )
    return needs


def _listed(values: Values) -> str:
    return " or ".join(repr(value) for value in values)
