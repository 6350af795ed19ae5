"""Conditions of hyperparameters: present only if others have certain values.

A condition names other hyperparameters, its parents, and the values that each of them must have,
all at once. A parent may have a condition itself; if it is absent, so are its children.

>>> conditions = {"momentum": {"optimizer": ("sgd",)}}
>>> order = parents_first(("momentum", "optimizer"), conditions)
>>> order
('optimizer', 'momentum')
>>> present(order, conditions, {"optimizer": "adam"})
('optimizer',)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.brackets import brief
from hpo.space.domains import Categorical, Constant, Domain, Int
from hpo.space.values import Choice, among
from hpo.trial import Config

Values = tuple[Choice, ...]
Conditions = Mapping[str, Mapping[str, Values]]
"""For each conditional hyperparameter its parents and the values that they must have."""


def present(order: Sequence[str], conditions: Conditions, config: Config) -> tuple[str, ...]:
    """Return the names of `order` (see `parents_first`) that are present in a configuration."""
    found: dict[str, None] = {}
    for name in order:
        rule = conditions.get(name, {})
        if all(p in found and p in config and among(config[p], v) for p, v in rule.items()):
            found[name] = None
    return tuple(found)


def parents_first(names: Sequence[str], conditions: Conditions) -> tuple[str, ...]:
    """Return `names` in their order, but each after its parents.

    Raises
    ------
    ValueError
        If hyperparameters need each other in a circle.
    """
    done: dict[str, None] = {}

    path: dict[str, Iterator[str]] = {}  # names on the way from one to its parents

    def enter(name: str) -> None:
        if name in path:
            around = [*path][[*path].index(name) :]
            circle = " needs ".join(map(repr, (*around, name)))
            raise ValueError(f"the conditions are circular: {circle}; remove one of them")
        if name not in done:
            path[name] = iter(conditions.get(name, {}))

    for first in names:
        enter(first)
        while path:  # no recursion: chains may be long
            name, parents = next(reversed(path.items()))
            if (parent := next(parents, None)) is not None:
                enter(parent)
            else:
                del path[name]
                done[name] = None
    return tuple(done)


def check_conditions(domains: Mapping[str, Domain], conditions: Conditions) -> None:
    """Check that conditions fit the domains.

    Raises
    ------
    ValueError
        If a name is unknown, a parent cannot take a value, hyperparameters need each other in a
        circle, or one can never be present.
    """
    for name, rule in conditions.items():
        if name not in domains:
            raise ValueError(
                f"there is a condition for {name!r}, which is not in the search space; remove it"
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
        names = ", ".join(map(repr, domains))
        raise ValueError(f"when must name hyperparameters of the space ({names}), got {parent!r}")
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
        if value not in domain:
            raise ValueError(
                f"when gives {parent!r} the value {brief(value)}, which it cannot take; "
                f"{_values(domain)}"
            )


def _values(domain: Int | Categorical | Constant) -> str:
    match domain:
        case Int(low, high, _, step):
            by = f" in steps of {step}" if step != 1 else ""
            return f"it takes whole numbers from {low} to {high}{by}"
        case Categorical(choices):
            return f"it takes {', '.join(map(repr, choices))}"
    return f"it is always {domain.value!r}"


def all_needs(order: Sequence[str], conditions: Conditions) -> dict[str, dict[str, Values]]:
    """Return the conditions of each of `order` (see `parents_first`), with its parents' ones.

    Raises
    ------
    ValueError
        If a condition contradicts those of its parents.
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
                    first, second = (" or ".join(map(repr, each)) for each in (known, values))
                    raise ValueError(
                        f"hyperparameter {name!r} can never be present: {parent!r} would have to "
                        f"be {first} and {second} at once; change one of the conditions"
                    )
    return needs
