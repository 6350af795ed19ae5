"""Candidates of a model-based search: points of a space, or the rest of a list."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hpo._typing import FloatArray
from hpo.space.encoding import ConfigEncoder
from hpo.space.search_space import SearchSpace
from hpo.trial import Config

_N_DRAWS = 8
"""A hyperparameter moves to the nearest of so many draws."""
_MOVED_FRACTION = 0.5
"""Fraction of a parent's hyperparameters that move."""


class Candidates(Protocol):
    """Configurations to choose from."""

    def first(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, without a forecast."""
        ...

    def some(self, tried: Sequence[Config], n: int, rng: np.random.Generator) -> list[Config]:
        """Return about `n` untried configurations.

        The first half of them is random.

        Parameters
        ----------
        tried : sequence of Config
            The best first.
        n : int
        rng : numpy.random.Generator
        """
        ...

    def features(self, configs: Sequence[Config]) -> FloatArray:
        """Return the configurations as numbers in [0, 1], of shape (n_configs, n_features).

        Parameters
        ----------
        configs : sequence of Config
        """
        ...


class SpaceCandidates:
    """Points of a search space: half at random, half near the best ones tried.

    Parameters
    ----------
    space : SearchSpace
    seed : int
        Seed of the first configurations.
    parents : int
        Number of best configurations that are varied.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, parents: int = 10) -> None:
        self.space = space
        self.seed = seed
        self.parents = parents

    def first(self, trial_id: int) -> Config:
        """Return the configuration of trial `trial_id`, without a forecast."""
        return self.space.sample(np.random.default_rng([self.seed, trial_id]))

    def some(self, tried: Sequence[Config], n: int, rng: np.random.Generator) -> list[Config]:
        """Return `n` configurations (see `Candidates`)."""
        parents = tried[: self.parents]
        near = n // 2 if parents else 0
        found: list[Config] = [self.space.sample(rng) for _ in range(n - near)]
        found += [self._near(parents[int(rng.integers(len(parents)))], rng) for _ in range(near)]
        known = {config_key(config) for config in tried}
        return [config for config in found if config_key(config) not in known]

    def features(self, configs: Sequence[Config]) -> FloatArray:
        """Return the configurations as numbers."""
        return np.array([self.space.to_features(config) for config in configs])

    def _near(self, parent: Config, rng: np.random.Generator) -> Config:
        """Return a configuration with about half of the parent's values moved a little.

        Hyperparameters that become present are drawn at random.
        """
        draws = [self.space.sample_all(rng) for _ in range(_N_DRAWS)]
        child = {**draws[0], **parent}
        for name, domain in self.space.domains.items():
            if rng.random() < _MOVED_FRACTION and name in parent:
                here = np.array(domain.features(parent[name]))
                values = [draw[name] for draw in draws if draw[name] != parent[name]]
                away = [float(np.sum((here - domain.features(value)) ** 2)) for value in values]
                if values:
                    child[name] = values[int(np.argmin(away))]
        return self.space.without_absent(child)


class ListCandidates:
    """The configurations of a list that were not tried yet.

    Parameters
    ----------
    configs : sequence of Config
        The list; a configuration that occurs twice may be tried twice.
    order : sequence of int, optional
        Order in which they are tried without a forecast. Default: as listed.

    Raises
    ------
    ValueError
        If the list is empty.
    """

    def __init__(self, configs: Sequence[Config], order: Sequence[int] | None = None) -> None:
        if not configs:
            raise ValueError("configs must hold at least one configuration, got an empty list")
        self.configs = tuple(dict(config) for config in configs)
        self.order = tuple(range(len(configs))) if order is None else tuple(order)
        self._encoder = ConfigEncoder.of(self.configs)

    def first(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end."""
        return dict(self.configs[self.order[trial_id]]) if trial_id < len(self.order) else None

    def some(self, tried: Sequence[Config], n: int, rng: np.random.Generator) -> list[Config]:
        """Return at most `n` remaining configurations, in random order."""
        used = Counter(config_key(config) for config in tried)
        left = []
        for row in self.order:
            key = config_key(self.configs[row])
            if used[key]:
                used[key] -= 1
            else:
                left.append(row)
        return [dict(self.configs[left[place]]) for place in rng.permutation(len(left))[:n]]

    def features(self, configs: Sequence[Config]) -> FloatArray:
        """Return the configurations as numbers."""
        return self._encoder(configs)


def config_key(config: Config) -> str:
    """Return a text that equal configurations share."""
    return json.dumps(config, sort_keys=True)
