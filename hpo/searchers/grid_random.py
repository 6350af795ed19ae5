"""Searchers without a model: a list, a grid over the space, random configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpo.searchers.base import check_count
from hpo.searchers.distinct import DistinctDraws, Points
from hpo.space.conditions import all_needs
from hpo.space.search_space import SearchSpace
from hpo.space.values import among
from hpo.trial import Config

_MAX_POINTS = 100_000
"""Points of an axis of a grid, all of which are kept."""


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

    See Also
    --------
    hpo.GridSearcher, hpo.RandomSearcher : Searchers over a space.
    hpo.searchers.with_initial : Configurations to try before those of another searcher.

    Examples
    --------
    >>> from hpo import ListSearcher
    >>> searcher = ListSearcher([{"lr": 0.1}, {"lr": 0.01}])
    >>> searcher.propose(1), searcher.propose(2)
    ({'lr': 0.01}, None)
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
    points : int, default=3
        Number of values of each number, evenly spaced on its own (linear or logarithmic) scale;
        integers with fewer values and categories take all of theirs. An integer that a condition
        depends on gets a further value if none of these would fulfil it.
    allow_duplicates : bool, default=False
        Start again at the end of the grid.

    Raises
    ------
    ValueError
        If `points` is no integer, below 1 or above 100,000.

    See Also
    --------
    hpo.RandomSearcher : Random configurations, usually better for the same number of trials.
    hpo.make_searcher : Searchers by name.

    Examples
    --------
    >>> from hpo import GridSearcher, SearchSpace
    >>> space = SearchSpace.from_dict(
    ...     {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}, "layers": [1, 2, 3]}
    ... )
    >>> searcher = GridSearcher(space, points=2)
    >>> len(searcher), searcher.propose(0), searcher.propose(3)
    (6, {'lr': 0.0001, 'layers': 1}, {'lr': 0.1, 'layers': 1})
    """

    def __init__(
        self, space: SearchSpace, points: int = 3, *, allow_duplicates: bool = False
    ) -> None:
        check_count("points", points, 1)
        if points > _MAX_POINTS:
            raise ValueError(f"points must be at most {_MAX_POINTS}, got {points!r}; take fewer")
        self.space = space
        self.allow_duplicates = allow_duplicates
        needs = tuple(all_needs(space.parents_first, space.conditions).values())
        self.axes = tuple(
            (name, _axis(space.domains[name].grid(points), [each.get(name) for each in needs]))
            for name in space.parents_first
        )
        self._points = Points(space, dict(self.axes))

    def __len__(self) -> int:
        return len(self._points)

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end of the grid."""
        if self.allow_duplicates:
            trial_id %= len(self._points)
        return self._points[trial_id] if trial_id < len(self._points) else None


def _axis(values: tuple[Any, ...], needs: Sequence[tuple[Any, ...] | None]) -> tuple[Any, ...]:
    """Return the values of a hyperparameter, extended so that each condition can be fulfilled."""
    for asked in needs:
        if asked and not any(among(value, values) for value in asked):
            values = tuple(sorted((*values, asked[len(asked) // 2])))
    return values


class RandomSearcher:
    """Draws random configurations, which depend on the seed and the trial's number only.

    Parameters
    ----------
    space : SearchSpace
    seed : int, default=0
        Seed of the random number generator; not negative.
    allow_duplicates : bool, default=False
        Draw a configuration again by chance, for a trainer with noise. By default each is drawn
        once, and a space with finitely many ends when all are drawn.

    Raises
    ------
    ValueError
        If the seed is negative.

    See Also
    --------
    hpo.CurveSearcher : Proposes from forecasts, with `hpo.SwiftASHA`.
    hpo.GridSearcher : Every point of a grid.
    hpo.make_searcher : Searchers by name.

    Examples
    --------
    >>> from hpo import RandomSearcher, SearchSpace
    >>> space = SearchSpace.from_dict(
    ...     {"lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}, "layers": [1, 2, 3]}
    ... )
    >>> searcher = RandomSearcher(space, seed=0)
    >>> searcher.propose(3) == RandomSearcher(space, seed=0).propose(3)
    True
    """

    def __init__(
        self, space: SearchSpace, seed: int = 0, *, allow_duplicates: bool = False
    ) -> None:
        check_count("seed", seed, 0)
        self.space = space
        self.seed = seed
        self.allow_duplicates = allow_duplicates
        self._draws = DistinctDraws(space, seed, allow_duplicates=allow_duplicates)

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None if the space has no more."""
        return self._draws.draw(trial_id)
