"""Searchers without a model: a list, a grid over the space, random configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo.searchers.base import check_count
from hpo.space.conditions import all_needs
from hpo.space.domains import among
from hpo.space.search_space import SearchSpace
from hpo.trial import Config


class ListSearcher:
    """Proposes given configurations, one after the other.

    Parameters
    ----------
    configs : sequence of Config
        Trial ``i`` gets ``configs[i]``; at least one.

    Raises
    ------
    ValueError
        If the list is empty.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        if not configs:
            raise ValueError("configs must hold at least one configuration, got an empty list")
        self.configs = tuple(dict(config) for config in configs)

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end of the list."""
        return dict(self.configs[trial_id]) if trial_id < len(self.configs) else None


class GridSearcher:
    """Proposes every point of a grid once; the first hyperparameter changes slowest.

    A hyperparameter with a condition takes its values only where the condition holds; those that
    the condition depends on change slower.

    Parameters
    ----------
    space : SearchSpace
    points : int
        Number of values of each number, evenly spaced on its own (linear or logarithmic) scale;
        integers with fewer values and categories take all of theirs. An integer that a condition
        depends on gets a further value if none of these would fulfil it.

    Raises
    ------
    ValueError
        If `points` is no integer or below 1.
    """

    def __init__(self, space: SearchSpace, points: int = 3) -> None:
        check_count("points", points, 1)
        self.space = space
        needs = tuple(all_needs(space.parents_first, space.conditions).values())
        self.axes = tuple(
            (name, _axis(space.domains[name].grid(points), [each.get(name) for each in needs]))
            for name in space.parents_first
        )
        self._parents = {parent for rule in space.conditions.values() for parent in rule}
        self._counts: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return self._count(0, {})

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end of the grid."""
        if trial_id >= self._count(0, {}):
            return None
        config: dict[str, Any] = {}
        for place in range(len(self.axes)):
            for longer in self._choices(place, config):
                below = self._count(place + 1, longer)
                if trial_id < below:
                    config = longer
                    break
                trial_id -= below
        return {name: config[name] for name in self.space.domains if name in config}

    def _choices(self, place: int, config: Config) -> list[dict[str, Any]]:
        """Return `config` with each value of one more hyperparameter, or as it is without it."""
        name, values = self.axes[place]
        if name in self.space.conditions and name not in self.space.present(config):
            return [dict(config)]
        return [{**config, name: value} for value in values]

    def _count(self, place: int, config: Config) -> int:
        """Count the points that begin with `config`, which goes up to the axis `place`."""
        if place == len(self.axes):
            return 1
        # The number depends on the values of hyperparameters in conditions only.
        key = place, repr([(name, config[name]) for name in config if name in self._parents])
        if key not in self._counts:
            choices = self._choices(place, config)
            self._counts[key] = sum(self._count(place + 1, longer) for longer in choices)
        return self._counts[key]


def _axis(values: tuple[Any, ...], needs: Sequence[tuple[Any, ...] | None]) -> tuple[Any, ...]:
    """Return the values of a hyperparameter, extended so that each condition can be fulfilled."""
    for asked in needs:
        if asked and not any(among(value, values) for value in asked):
            values = tuple(sorted((*values, asked[len(asked) // 2])))
    return values


class RandomSearcher:
    """Draws each configuration from the space by the seed and the trial's number alone.

    Parameters
    ----------
    space : SearchSpace
    seed : int
        Seed of the random number generator; not negative.

    Raises
    ------
    ValueError
        If the seed is negative.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        check_count("seed", seed, 0)
        self.space = space
        self.seed = seed

    def propose(self, trial_id: int) -> Config:
        """Return the configuration of trial `trial_id`."""
        return self.space.sample(np.random.default_rng([self.seed, trial_id]))
