"""Search spaces: named domains to draw from, and configurations as feature vectors.

>>> space = SearchSpace.from_dict(
...     {"lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}, "layers": [1, 2, 3]}
... )
>>> sorted(space.sample(np.random.default_rng(0)))
['layers', 'lr']
>>> space.to_features({"lr": 1e-1, "layers": 2})
array([1., 0., 1., 0.])

A hyperparameter may be there only where others have certain values:

>>> space = SearchSpace.from_dict(
...     {
...         "optimizer": ["adam", "sgd"],
...         "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
...     }
... )
>>> [sorted(space.sample(np.random.default_rng(seed))) for seed in (0, 1)]
[['momentum', 'optimizer'], ['optimizer']]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.space.conditions import Conditions, check_conditions, parents_first, present, takes
from hpo.space.domains import Categorical, Constant, Domain
from hpo.space.parsing import parse_domain, split_condition
from hpo.trial import Config


@dataclass(frozen=True)
class SearchSpace:
    """Named domains, in order, some of them with a condition.

    Attributes
    ----------
    domains : Mapping of str to Domain
        What each hyperparameter may be; at least one.
    conditions : Mapping of str to Mapping of str to tuple
        For each hyperparameter that is not always there: the others that it needs (ints,
        categoricals or constants), and the values of which each must have one, all at once.

    Raises
    ------
    ValueError
        If there is no domain, or a condition does not fit: an unknown name, a value that is never
        taken, a circle, conditions that exclude each other.
    """

    domains: Mapping[str, Domain]
    conditions: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("the search space is empty: name at least one hyperparameter")
        check_conditions(self.domains, self.conditions)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> SearchSpace:
        """Build a space from names and what they may be.

        Parameters
        ----------
        spec : Mapping
            For each name one of: a domain object; a table such as
            ``{"type": "float", "low": 1e-4, "high": 1e-1, "log": True}`` (types: float, int,
            categorical, constant, scipy); a list of choices; a frozen scipy distribution; an
            Optuna distribution; any other value stays constant. A table may have a condition,
            ``"when": {"optimizer": "sgd", "layers": [2, 3]}``: the hyperparameter is there only
            where each of the others has the value, or one of the values, given for it.

        Raises
        ------
        ValueError
            If the space is empty, or a domain or condition is not understood; the message names
            the parameter.
        """
        domains, conditions = {}, {}
        for key, value in spec.items():
            name = str(key)
            table, rule = split_condition(name, value)
            domains[name] = parse_domain(name, table)
            if rule:
                conditions[name] = rule
        return cls(domains, conditions)

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchSpace:
        """Read a space from a TOML file with one table a hyperparameter (see `from_dict`).

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If the file is no TOML, or as in `from_dict`.
        OSError
            If the file cannot be read.
        """
        try:
            spec = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no valid TOML: {error}") from None
        return cls.from_dict(spec)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values from which `from_dict` builds an equal space."""
        tables = {name: domain.to_dict() for name, domain in self.domains.items()}
        for name, rule in self.conditions.items():
            tables[name]["when"] = {parent: list(values) for parent, values in rule.items()}
        return tables

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one configuration of plain Python values.

        Parameters
        ----------
        rng : numpy.random.Generator
            A value is drawn for every hyperparameter, also for those that are then left out.
        """
        return self.without_absent(self.sample_all(rng))

    def sample_all(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a value for every hyperparameter, whatever its condition.

        Parameters
        ----------
        rng : numpy.random.Generator
        """
        return {name: domain.sample(rng) for name, domain in self.domains.items()}

    @cached_property
    def parents_first(self) -> tuple[str, ...]:
        """The hyperparameters in their order, but each after those that its condition names."""
        return parents_first(tuple(self.domains), self.conditions)

    def present(self, config: Config) -> tuple[str, ...]:
        """Return which hyperparameters a configuration has by their conditions, parents first.

        Parameters
        ----------
        config : Config
            Values, at least of the hyperparameters that conditions name and that are there.
        """
        if not self.conditions:
            return self.parents_first
        return present(self.parents_first, self.conditions, config)

    def without_absent(self, values: Config) -> dict[str, Any]:
        """Return a configuration without the hyperparameters whose conditions do not hold.

        Parameters
        ----------
        values : Config
            Values of all hyperparameters, or at least of those that are there.
        """
        there = set(self.present(values))
        return {name: values[name] for name in self.domains if name in there}

    def validate(self, config: Config) -> None:
        """Complain about a configuration that is not of this space.

        Parameters
        ----------
        config : Config

        Raises
        ------
        ValueError
            If a hyperparameter is missing, unknown, not in its domain, or given although its
            condition does not hold; the message names it.
        """
        there = self.present(config)
        for name in there:
            value = self._value(config, name)
            if not takes(self.domains[name], value):
                domain = self.domains[name].to_dict()
                raise ValueError(f"{name!r} must lie in its domain {domain}, got {value!r}")
        for name in config:
            if name not in self.domains:
                raise ValueError(
                    f"the configuration has {name!r}, which the search space does not name"
                )
            if name not in there:
                rule = {parent: list(each) for parent, each in self.conditions[name].items()}
                raise ValueError(
                    f"the configuration has {name!r}, which is there only when {rule}; remove it"
                )

    def to_features(self, config: Config) -> FloatArray:
        """Turn a configuration into numbers: scaled to [0, 1], logarithmic where the domain is.

        Categories become one column each, constants none. What is absent by its condition stands
        in the middle of its range, its categories all at 0; a number with a condition has a
        column in front that says whether it is there.

        Parameters
        ----------
        config : Config
            A value for each hyperparameter that is there; others are not looked at.

        Returns
        -------
        ndarray of shape (n_features,)

        Raises
        ------
        ValueError
            If a hyperparameter is missing or not in its domain.
        """
        there = set(self.present(config))
        columns: list[float] = []
        for name, domain in self.domains.items():
            if self._is_told(name):
                columns.append(float(name in there))
            if name in there:
                columns.extend(domain.features(self._value(config, name)))
            else:
                neutral = 0.0 if isinstance(domain, Categorical) else 0.5
                columns.extend(neutral for _ in domain.labels())
        return np.array(columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `to_features`."""
        return tuple(self._names())

    def _names(self) -> Iterator[str]:
        for name, domain in self.domains.items():
            if self._is_told(name):
                yield f"{name} is there"
            labels = domain.labels()
            yield from (f"{name}={label}" if label else name for label in labels)

    def _is_told(self, name: str) -> bool:
        """Tell whether a column says if `name` is there: categories show it by themselves."""
        return name in self.conditions and not isinstance(
            self.domains[name], Categorical | Constant
        )

    @staticmethod
    def _value(config: Config, name: str) -> Any:
        if name not in config:
            raise ValueError(f"the configuration lacks {name!r}, which the search space names")
        return config[name]
