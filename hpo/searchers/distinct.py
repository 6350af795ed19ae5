"""Configurations without repeats: the points of a finite space, and draws that differ.

Of a space with finitely many points, a search tries each at most once, and ends when all are used.

>>> from hpo import SearchSpace
>>> space = SearchSpace.from_dict({"layers": [1, 2], "act": ["relu", "tanh"]})
>>> draws = DistinctDraws(space, seed=0)
>>> [draws.draw(number) is not None for number in range(5)]
[True, True, True, True, False]
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hpo.space.search_space import SearchSpace
from hpo.trial import Config

_MAX_POINTS = 10_000
"""A space of more points is not enumerated."""
_MAX_WORK = 100_000
"""Nor is one whose points take more steps to count."""
_N_DRAWS = 20
"""Draws for one configuration, before an enumerated space is looked up."""
_MAX_DRAWS = 1000
"""Draws for one configuration of a space that is not enumerated; then it counts as used up."""


def config_key(config: Config) -> str:
    """Return a text that equal configurations share."""
    return json.dumps(config, sort_keys=True, default=repr)


def untried(configs: Iterable[Config], tried: Iterable[Config]) -> Iterator[Config]:
    """Yield the configurations that were not tried, each once, in their order."""
    known = {config_key(config) for config in tried}
    for config in configs:
        key = config_key(config)
        if key not in known:
            known.add(key)
            yield config


class Points:
    """The points of a space in which each hyperparameter takes given values, by number.

    The first hyperparameter changes slowest, and parents of conditions slower than their children.

    Parameters
    ----------
    space : SearchSpace
    axes : Mapping of str to sequence
        Values of each hyperparameter.
    """

    def __init__(self, space: SearchSpace, axes: Mapping[str, Sequence[Any]]) -> None:
        self._space = space
        self._axes = [(name, axes[name]) for name in space.parents_first]
        self._parents = parents_of(space)
        self._counts: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return self._count(0, {})

    def __getitem__(self, number: int) -> dict[str, Any]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        config: dict[str, Any] = {}
        for place in range(len(self._axes)):
            for longer in self._choices(place, config):
                below = self._count(place + 1, longer)
                if number < below:
                    config = longer
                    break
                number -= below
        return {name: config[name] for name in self._space.domains if name in config}

    def _choices(self, place: int, config: Config) -> list[dict[str, Any]]:
        """Return `config` with each value of one more hyperparameter, or as it is without it."""
        name, values = self._axes[place]
        if name in self._space.conditions and name not in self._space.present(config):
            return [dict(config)]
        return [{**config, name: value} for value in values]

    def _count(self, place: int, config: Config) -> int:
        """Count the points that begin with `config`, which goes up to the axis `place`."""
        if place == len(self._axes):
            return 1
        # The number depends on the values of hyperparameters in conditions only.
        key = place, repr([(name, config[name]) for name in config if name in self._parents])
        if key not in self._counts:
            choices = self._choices(place, config)
            self._counts[key] = sum(self._count(place + 1, longer) for longer in choices)
        return self._counts[key]


def parents_of(space: SearchSpace) -> set[str]:
    """Return the hyperparameters that conditions depend on."""
    return {parent for rule in space.conditions.values() for parent in rule}


def all_points(space: SearchSpace) -> Points | None:
    """Return all points of a space, None if there are infinitely many or more than 10,000."""
    sizes = {name: domain.size for name, domain in space.domains.items()}
    known = [size for size in sizes.values() if size is not None]
    if len(known) < len(sizes) or max(known) > _MAX_POINTS:
        return None
    combinations = math.prod(sizes[name] or 1 for name in parents_of(space))
    if combinations * sum(known) > _MAX_WORK:
        return None
    points = Points(space, {name: domain.values() for name, domain in space.domains.items()})
    return points if len(points) <= _MAX_POINTS else None


def draws_differ(space: SearchSpace) -> bool:
    """Return whether draws from a space differ anyway: a real number is always present."""
    return any(
        domain.is_continuous and name not in space.conditions
        for name, domain in space.domains.items()
    )


class DistinctDraws:
    """Draws a configuration for each number, none twice, by seed and number alone.

    Each is the first draw of its random number generator that no lower number has. They are drawn
    in order, so that a number has the same configuration whichever are asked for.

    Parameters
    ----------
    space : SearchSpace
    seed : int
        Seed of the random number generators; not negative.
    allow_duplicates : bool
        Take each first draw, whatever the others are.
    """

    def __init__(self, space: SearchSpace, seed: int, *, allow_duplicates: bool = False) -> None:
        self._space = space
        self._seed = seed
        self._independent = allow_duplicates or draws_differ(space)
        self._drawn: dict[str, Config] = {}
        self._configs: list[Config] = []
        self._is_used_up = False
        self._points: Points | None = None
        self._left: list[int] | None = None  # numbers of points, from the time they are needed

    def draw(self, number: int) -> Config | None:
        """Return the configuration of a number, None if the space has no more."""
        if self._independent:
            return self._space.sample(np.random.default_rng([self._seed, number]))
        while len(self._configs) <= number and not self._is_used_up:
            config = self._next()
            if config is None:
                self._is_used_up = True
            else:
                self._drawn[config_key(config)] = config
                self._configs.append(config)
        return dict(self._configs[number]) if number < len(self._configs) else None

    def __iter__(self) -> Iterator[Config]:
        """Yield all configurations, without an end unless the space has one."""
        for number in itertools.count():
            config = self.draw(number)
            if config is None:
                return
            yield config

    def _next(self) -> Config | None:
        rng = np.random.default_rng([self._seed, len(self._configs)])
        if self._left is None:
            for attempt in range(_MAX_DRAWS):
                config = self._space.sample(rng)
                if config_key(config) not in self._drawn:
                    return config
                if attempt + 1 == _N_DRAWS and self._points is None:
                    self._points = all_points(self._space)
                    if self._points is not None:
                        self._left = rng.permutation(len(self._points)).tolist()
                        break
        while self._left and self._points is not None:
            config = self._points[self._left.pop()]
            if config_key(config) not in self._drawn:
                return config
        return None
