"""Search spaces: named domains, sampling, and configurations as feature vectors.

>>> space = SearchSpace.from_dict(
...     {"lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}, "layers": [1, 2, 3]}
... )
>>> sorted(space.sample(np.random.default_rng(0)))
['layers', 'lr']
>>> space.to_features({"lr": 1e-1, "layers": 2})
array([1., 0., 1., 0.])

A hyperparameter may be present only if others have certain values:

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.brackets import brief
from hpo.space.conditions import Conditions, check_conditions, parents_first, present
from hpo.space.domains import Categorical, Constant, Domain, as_lists
from hpo.space.parsing import parse_domain, split_condition
from hpo.trial import Config

_MAX_NAME = 255
"""Characters of a hyperparameter's name that databases and services take."""


@dataclass(frozen=True)
class SearchSpace:
    """Named domains in order, some of them with a condition.

    Attributes
    ----------
    domains : Mapping of str to Domain
        Domain of each hyperparameter; at least one.
    conditions : Mapping of str to Mapping of str to tuple, default={}
        For each conditional hyperparameter its parents (ints, categoricals or constants), and the
        values of which each parent must have one, all at once.

    Raises
    ------
    ValueError
        If there is no domain, a name is longer than 255 characters or holds a zero byte, or a
        condition does not fit: an unknown name, a value that is never taken, a circle, conditions
        that exclude each other.

    See Also
    --------
    hpo.make_searcher : A searcher that proposes configurations of a space.
    hpo.space.domains.Float, hpo.space.domains.Int, hpo.space.domains.Categorical : Domains.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo import SearchSpace
    >>> space = SearchSpace.from_dict(
    ...     {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}, "layers": [1, 2, 3]}
    ... )
    >>> sorted(space.sample(np.random.default_rng(0)))
    ['layers', 'lr']
    >>> space.validate({"lr": 0.01, "layers": 2})
    """

    domains: Mapping[str, Domain]
    conditions: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("the search space is empty: name at least one hyperparameter")
        for name in self.domains:
            if len(name) > _MAX_NAME or "\0" in name:
                raise ValueError(
                    f"hyperparameter {brief(name)}: a name must have at most {_MAX_NAME} "
                    f"characters, none of them a zero byte, got {len(name)}; rename it"
                )
        check_conditions(self.domains, self.conditions)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> SearchSpace:
        """Build a space from names and specifications of domains.

        Parameters
        ----------
        spec : Mapping
            The domain of each name, as a domain object, a table such as
            ``{"type": "float", "low": 1e-4, "high": 1e-1, "log": True}`` (types: float, int,
            categorical, constant, scipy), a list of choices, a frozen scipy distribution or an
            Optuna distribution. Any other value is a constant. A table may have a condition,
            ``"when": {"optimizer": "sgd", "layers": [2, 3]}``: the hyperparameter is present only
            if each of the others has the value, or one of the values, given for it.

        Raises
        ------
        ValueError
            If the space is empty, or a domain or condition is invalid; the message names the
            hyperparameter.
        """
        domains, conditions = {}, {}
        for key, value in spec.items():
            name = str(key)
            if name in domains:
                raise ValueError(f"hyperparameter {name!r} is given twice, as text and as {key!r}")
            table, rule = split_condition(name, value)
            domains[name] = parse_domain(name, table)
            if rule:
                conditions[name] = rule
        return cls(domains, conditions)

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchSpace:
        """Read a space from a TOML file with one table per hyperparameter (see `from_dict`).

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
            spec = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except RecursionError:
            raise ValueError(f"{path} must nest its tables and lists less deeply") from None
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise ValueError(
                f"{path} must be UTF-8 text, as TOML is, got byte 0x{byte:02x} at position "
                f"{error.start}; save it as UTF-8"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is no valid TOML: {error}") from None
        except ValueError:
            raise ValueError(
                f"{path} must hold no integer of thousands of digits; write a float or a text"
            ) from None
        return cls.from_dict(spec)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values from which `from_dict` builds an equal space."""
        tables = {name: domain.to_dict() for name, domain in self.domains.items()}
        for name, rule in self.conditions.items():
            tables[name]["when"] = {p: as_lists(values) for p, values in rule.items()}
        return tables

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one configuration of plain Python values.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws a value for every hyperparameter, including absent ones.
        """
        return self.without_absent(self.sample_all(rng))

    def sample_all(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a value for every hyperparameter, including absent ones.

        Parameters
        ----------
        rng : numpy.random.Generator
        """
        return {name: domain.sample(rng) for name, domain in self.domains.items()}

    def samples(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """Draw `n` values for every hyperparameter, including absent ones, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int

        Returns
        -------
        list of dict
            As `sample_all` returns them, but other values.
        """
        columns = [domain.samples(rng, n) for domain in self.domains.values()]
        return [dict(zip(self.domains, row, strict=True)) for row in zip(*columns, strict=True)]

    @cached_property
    def parents_first(self) -> tuple[str, ...]:
        """The hyperparameters in their order, but each after its parents."""
        return parents_first(tuple(self.domains), self.conditions)

    def present(self, config: Config) -> tuple[str, ...]:
        """Return the hyperparameters whose conditions hold in a configuration, parents first.

        Parameters
        ----------
        config : Config
            Values, at least of the parents that are present.
        """
        if not self.conditions:
            return self.parents_first
        return present(self.parents_first, self.conditions, config)

    def without_absent(self, values: Config) -> dict[str, Any]:
        """Return a configuration without the hyperparameters whose conditions do not hold.

        Parameters
        ----------
        values : Config
            Values of at least the hyperparameters that are present.
        """
        there = set(self.present(values))
        return {name: values[name] for name in self.domains if name in there}

    def validate(self, config: Config) -> None:
        """Check that a configuration is in this space.

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
            if value not in self.domains[name]:
                domain = self.domains[name].to_dict()
                raise ValueError(f"{name!r} must lie in its domain {domain}, got {value!r}")
        for name in config:
            if name not in self.domains:
                raise ValueError(
                    f"the configuration has {name!r}, which is not in the search space; remove it"
                )
            if name not in there:
                rule = {parent: list(each) for parent, each in self.conditions[name].items()}
                raise ValueError(
                    f"the configuration has {name!r}, which is present only when {rule}; remove it"
                )

    def to_features(self, config: Config) -> FloatArray:
        """Encode a configuration as numbers in [0, 1], on a log scale if the domain has one.

        A category is one column, constants have none. An absent number is encoded as 0.5, absent
        categories as 0; a number with a condition has an additional column in front, 1 if it is
        present.

        Parameters
        ----------
        config : Config
            A value for each hyperparameter that is present; others are ignored.

        Returns
        -------
        ndarray of shape (n_features,)

        Raises
        ------
        ValueError
            If a hyperparameter is missing or not in its domain.
        """
        row: FloatArray = self.features_of([config])[0]
        return row

    def features_of(self, configs: Sequence[Config]) -> FloatArray:
        """Encode several configurations (see `to_features`).

        Parameters
        ----------
        configs : sequence of Config

        Returns
        -------
        ndarray of shape (n_configs, n_features)

        Raises
        ------
        ValueError
            If a hyperparameter is missing or not in its domain.
        """
        present = [set(self.present(config)) for config in configs]
        blocks: list[FloatArray] = []
        for name, domain in self.domains.items():
            there = np.array([name in names for names in present], dtype=bool)
            if self._has_indicator(name):
                blocks.append(there.astype(float)[:, None])
            values = [
                self._value(config, name)
                for config, is_there in zip(configs, there, strict=True)
                if is_there
            ]
            neutral = 0.0 if isinstance(domain, Categorical) else 0.5
            block = np.full((len(configs), len(domain.labels())), neutral)
            if values:
                block[there] = domain.features_of(values)
            blocks.append(block)
        return np.hstack(blocks)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `to_features`."""
        names = []
        for name, domain in self.domains.items():
            if self._has_indicator(name):
                names.append(f"{name} is there")
            names += [f"{name}={label}" if label else name for label in domain.labels()]
        return tuple(names)

    def _has_indicator(self, name: str) -> bool:
        """Return whether a column encodes if `name` is present; absent categories are all 0."""
        return name in self.conditions and not isinstance(
            self.domains[name], Categorical | Constant
        )

    @staticmethod
    def _value(config: Config, name: str) -> Any:
        if name not in config:
            raise ValueError(f"the configuration must have a value for {name!r}, got none; add it")
        return config[name]
