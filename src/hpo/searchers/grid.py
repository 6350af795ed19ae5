"""Configurations from a list, or from a grid over the space."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.space import SearchSpace
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
            msg = "configs must hold at least one configuration, got an empty list"
            raise ValueError(msg)
        self.configs = tuple(dict(config) for config in configs)

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end of the list."""
        return dict(self.configs[trial_id]) if trial_id < len(self.configs) else None


class GridSearcher:
    """Proposes every point of a grid, the first parameter changing slowest.

    Parameters
    ----------
    space : SearchSpace
        What to cover.
    points : int
        Values for each number, evenly spaced on its own (linear or logarithmic) scale; integers
        with fewer values and categories give all of theirs.

    Raises
    ------
    ValueError
        If `points` is below 1.
    """

    def __init__(self, space: SearchSpace, points: int = 3) -> None:
        if points < 1:
            msg = f"points must be at least 1, got {points}"
            raise ValueError(msg)
        self.axes = tuple((name, domain.grid(points)) for name, domain in space.domains.items())

    def __len__(self) -> int:
        size = 1
        for _, values in self.axes:
            size *= len(values)
        return size

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None past the end of the grid."""
        if trial_id >= len(self):
            return None
        config = {}
        for name, values in reversed(self.axes):
            trial_id, position = divmod(trial_id, len(values))
            config[name] = values[position]
        return dict(reversed(config.items()))
