"""Candidates of a model-based search: points of a space, or the rest of a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hpo._typing import FloatArray
from hpo.searchers.distinct import DistinctDraws, all_points, config_key, untried
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
    seed : int, default=0
        Seed of the first configurations.
    parents : int, default=10
        Number of best configurations that are varied.
    allow_duplicates : bool, default=False
        Whether a configuration that was tried may be tried again.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo import SearchSpace
    >>> from hpo.searchers import SpaceCandidates
    >>> space = SearchSpace.from_dict(
    ...     {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}, "layers": [1, 2, 3]}
    ... )
    >>> candidates = SpaceCandidates(space, seed=0)
    >>> found = candidates.some([{"lr": 0.01, "layers": 2}], 10, np.random.default_rng(0))
    >>> len(found), candidates.features(found).shape
    (8, (8, 4))
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        parents: int = 10,
        *,
        allow_duplicates: bool = False,
    ) -> None:
        self.space = space
        self.seed = seed
        self.parents = parents
        self.allow_duplicates = allow_duplicates
        self._draws = DistinctDraws(space, seed, allow_duplicates=allow_duplicates)
        self._points = None if allow_duplicates else all_points(space)

    def first(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None if the space has no more."""
        return self._draws.draw(trial_id)

    def some(self, tried: Sequence[Config], n: int, rng: np.random.Generator) -> list[Config]:
        """Return `n` configurations (see `Candidates`), all that are left of a small space."""
        points = self._points
        if points is not None and len(points) - len(tried) <= n:
            numbers = rng.permutation(len(points)).tolist()
            return list(untried((points[number] for number in numbers), tried))
        parents = tried[: self.parents]
        near = n // 2 if parents else 0
        found: list[Config] = [
            self.space.without_absent(d) for d in self.space.samples(rng, n - near)
        ]
        found += self._near(parents, near, rng)
        return found if self.allow_duplicates else list(untried(found, tried))

    def features(self, configs: Sequence[Config]) -> FloatArray:
        """Return the configurations as numbers."""
        return self.space.features_of(configs)

    def _near(
        self, parents: Sequence[Config], n: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Return `n` configurations with about half of a parent's values moved a little.

        Each value moves to the nearest of some draws that differs. Hyperparameters that become
        present are drawn at random.
        """
        if n == 0:
            return []
        chosen = [parents[place] for place in rng.integers(len(parents), size=n)]
        draws = self.space.samples(rng, n * _N_DRAWS)
        children = [{**draws[i * _N_DRAWS], **parent} for i, parent in enumerate(chosen)]
        moved = rng.random((n, len(self.space.domains))) < _MOVED_FRACTION
        for column, (name, domain) in enumerate(self.space.domains.items()):
            rows = [row for row in np.flatnonzero(moved[:, column]) if name in chosen[row]]
            if not rows or not domain.labels():
                continue
            values = [
                draw[name] for row in rows for draw in draws[row * _N_DRAWS : (row + 1) * _N_DRAWS]
            ]
            here = domain.features_of([chosen[row][name] for row in rows])
            there = domain.features_of(values).reshape(len(rows), _N_DRAWS, -1)
            away = np.sum((there - here[:, None]) ** 2, axis=2).ravel().tolist()
            for place, row in enumerate(rows):
                own = range(place * _N_DRAWS, (place + 1) * _N_DRAWS)
                others = [i for i in own if values[i] != chosen[row][name]]
                if others:
                    children[row][name] = values[min(others, key=away.__getitem__)]
        return [self.space.without_absent(child) for child in children]


class ListCandidates:
    """The configurations of a list that were not tried yet.

    Parameters
    ----------
    configs : sequence of Config
        The list; a configuration that occurs twice may be tried twice.
    order : sequence of int, default=None
        Order in which they are tried without a forecast. Default: as listed.

    Raises
    ------
    ValueError
        If the list is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.searchers import ListCandidates
    >>> candidates = ListCandidates([{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}])
    >>> candidates.some([{"lr": 0.1}, {"lr": 0.3}], 10, np.random.default_rng(0))
    [{'lr': 0.2}]
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
