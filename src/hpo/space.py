"""Search spaces: named domains to draw from, and configurations as feature vectors.

>>> space = SearchSpace.from_dict(
...     {"lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}, "layers": [1, 2, 3]}
... )
>>> sorted(space.sample(np.random.default_rng(0)))
['layers', 'lr']
>>> space.to_features({"lr": 1e-1, "layers": 2})
array([1., 0., 1., 0.])
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.domain_parsing import parse_domain
from hpo.domains import Domain
from hpo.trial import Config


@dataclass(frozen=True)
class SearchSpace:
    """Named domains, in order.

    Attributes
    ----------
    domains : Mapping of str to Domain
        What each hyperparameter may be; at least one.

    Raises
    ------
    ValueError
        If there is no domain.
    """

    domains: Mapping[str, Domain]

    def __post_init__(self) -> None:
        if not self.domains:
            msg = "the search space is empty: name at least one hyperparameter"
            raise ValueError(msg)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> SearchSpace:
        """Build a space from names and what they may be.

        Parameters
        ----------
        spec : Mapping
            For each name one of: a domain object; a table such as
            ``{"type": "float", "low": 1e-4, "high": 1e-1, "log": True}`` (types: float, int,
            categorical, constant, scipy); a list of choices; a frozen scipy distribution; an
            Optuna distribution; any other value stays constant.

        Raises
        ------
        ValueError
            If the space is empty or a domain is not understood; the message names the parameter.
        """
        return cls({str(name): parse_domain(str(name), value) for name, value in spec.items()})

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
            msg = f"{path} is no valid TOML: {error}"
            raise ValueError(msg) from None
        return cls.from_dict(spec)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values from which `from_dict` builds an equal space."""
        return {name: domain.to_dict() for name, domain in self.domains.items()}

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one configuration of plain Python values.

        Parameters
        ----------
        rng : numpy.random.Generator
        """
        return {name: domain.sample(rng) for name, domain in self.domains.items()}

    def to_features(self, config: Config) -> NDArray[np.float64]:
        """Turn a configuration into numbers: scaled to [0, 1], logarithmic where the domain is.

        Categories become one column each, constants none.

        Parameters
        ----------
        config : Config
            A value for each hyperparameter.

        Returns
        -------
        ndarray of shape (n_features,)

        Raises
        ------
        ValueError
            If a hyperparameter is missing or not in its domain.
        """
        columns: list[float] = []
        for name, domain in self.domains.items():
            if name not in config:
                msg = f"the configuration lacks {name!r}, which the search space names"
                raise ValueError(msg)
            columns.extend(domain.features(config[name]))
        return np.array(columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `to_features`."""
        return tuple(self._names())

    def _names(self) -> Iterator[str]:
        for name, domain in self.domains.items():
            labels = domain.labels()
            yield from (f"{name}={label}" if label else name for label in labels)
