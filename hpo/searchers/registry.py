"""Searchers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hpo.searchers.base import Searcher
from hpo.searchers.curves import CurveSearcher
from hpo.searchers.grid_random import GridSearcher, RandomSearcher
from hpo.searchers.optuna import OptunaSearcher
from hpo.space.search_space import SearchSpace


def _random(space: SearchSpace, seed: int) -> Searcher:
    return RandomSearcher(space, seed)


def _grid(space: SearchSpace, seed: int, *, points: int = 3) -> Searcher:  # noqa: ARG001
    _check_count("points", points, 1)
    return GridSearcher(space, points)


def _curves(
    space: SearchSpace, seed: int, *, random_share: float = 0.1, n_candidates: int = 1000
) -> Searcher:
    if isinstance(random_share, bool) or not isinstance(random_share, int | float):
        raise ValueError(
            f"searcher option random_share must be a number in [0, 1], got {random_share!r}"
        )
    _check_count("n_candidates", n_candidates, 1)
    return CurveSearcher(space, seed, random_share=random_share, n_candidates=n_candidates)


def _optuna(sampler: str) -> Callable[..., Searcher]:
    def build(space: SearchSpace, seed: int, *, min_observations: int | None = None) -> Searcher:
        if min_observations is not None:
            _check_count("min_observations", min_observations, 2)
        return OptunaSearcher(space, sampler, seed, min_observations=min_observations)

    return build


SEARCHERS: Mapping[str, Callable[..., Searcher]] = {
    "random": _random,
    "grid": _grid,
    "curves": _curves,
    "tpe": _optuna("tpe"),
    "gp": _optuna("gp"),
}
LEARNING = ("curves", "tpe", "gp")
"""Searchers that propose new configurations by what was trained (see `LearningSearcher`)."""


def searcher_options(name: str) -> tuple[str, ...]:
    """Return the options of a searcher beside space and seed.

    Parameters
    ----------
    name : str
        A key of `SEARCHERS`.

    Raises
    ------
    ValueError
        If there is no such searcher.
    """
    parameters = inspect.signature(_factory(name)).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def make_searcher(name: str, space: SearchSpace, seed: int = 0, **options: Any) -> Searcher:
    """Build a searcher by name.

    Parameters
    ----------
    name : str
        A key of `SEARCHERS`: ``"random"``, ``"grid"``, ``"curves"`` (by forecasts), or ``"tpe"``
        and ``"gp"``, which are Optuna's samplers.
    space : SearchSpace
        What to search.
    seed : int
        Of all random choices; not negative.
    **options
        Further settings of this searcher (see `searcher_options`).

    Raises
    ------
    ValueError
        If the name or an option is unknown (the message lists the valid ones), or a value is out
        of range.
    ImportError
        If a package is missing; the message says how to get it.

    Examples
    --------
    >>> from hpo import SearchSpace
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    >>> make_searcher("grid", space, points=5).propose(1)
    {'lr': 0.25}
    """
    valid = searcher_options(name)
    if unknown := sorted(set(options) - set(valid)):
        takes = f"takes the options {', '.join(valid)}" if valid else "takes no options"
        raise ValueError(f"searcher {name} {takes}; got {', '.join(unknown)}")
    return _factory(name)(space, seed, **options)


def _factory(name: str) -> Callable[..., Searcher]:
    if name not in SEARCHERS:
        raise ValueError(f"searcher must be one of {', '.join(SEARCHERS)}; got {name!r}")
    return SEARCHERS[name]


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"searcher option {name} must be an integer of at least {least}, got {value!r}"
        )
