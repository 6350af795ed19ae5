"""Searchers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hpo.brackets import check_options
from hpo.searchers.base import Searcher
from hpo.searchers.curves import CurveSearcher
from hpo.searchers.grid_random import GridSearcher, RandomSearcher
from hpo.searchers.installed import Catalogue
from hpo.searchers.optuna import OptunaSearcher
from hpo.space.search_space import SearchSpace


def _curves(
    space: SearchSpace, seed: int, *, random_share: float = 0.1, allow_duplicates: bool = False
) -> Searcher:
    return CurveSearcher(space, seed, random_share=random_share, allow_duplicates=allow_duplicates)


def _grid(
    space: SearchSpace,
    seed: int,  # noqa: ARG001
    *,
    points: int = 3,
    allow_duplicates: bool = False,
) -> Searcher:
    return GridSearcher(space, points, allow_duplicates=allow_duplicates)


def _optuna(
    sampler: str,
    space: SearchSpace,
    seed: int,
    *,
    min_observations: int | None = None,
    allow_duplicates: bool = False,
) -> Searcher:
    return OptunaSearcher(
        space, sampler, seed, min_observations=min_observations, allow_duplicates=allow_duplicates
    )


SEARCHERS: Mapping[str, Callable[..., Searcher]] = {
    "random": RandomSearcher,
    "grid": _grid,
    "curves": _curves,
    "tpe": partial(_optuna, "tpe"),
}
CATALOGUE = Catalogue(
    "searcher",
    "hpo.searchers",
    SEARCHERS,
    {
        "grid": "Proposes every point of a grid once",
        "curves": "Proposes configurations from forecasts of final losses",
        "tpe": "Proposes configurations by Optuna's sampler of that name, from forecasts",
    },
)
"""Those of installed packages too."""
LEARNING = ("curves", "tpe")
"""Searchers of this package that are a `LearningSearcher`."""
REMOVED = {
    "gp": "it took 0.4 s for each of the 24 proposals of a forecast; use curves, which has a "
    "Gaussian process of its own, or tpe"
}
"""Searchers of earlier versions: why they are gone, and what to use."""


def learns_from_forecasts(name: str) -> bool:
    """Return whether a searcher is a `LearningSearcher`.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError
        If there is no such searcher.
    """
    return name in LEARNING or hasattr(_factory(name), "suggest")


def searcher_options(name: str) -> tuple[str, ...]:
    """Return the options of a searcher other than space and seed.

    Parameters
    ----------
    name : str
        A key of `SEARCHERS`, or a name that an installed package offers.

    Raises
    ------
    ValueError
        If there is no such searcher.
    """
    parameters = inspect.signature(_factory(name)).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def check_searcher_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the options of a searcher, as far as that is possible without building it.

    Parameters
    ----------
    name : str
        A key of `SEARCHERS`, or a name that an installed package offers.
    options : Mapping
        Options by name.

    Raises
    ------
    ValueError
        If there is no such searcher, an option is unknown, or a value is of another type.
    """
    elsewhere = {"space": "--space, or space", "seed": "--seed, or seed", "name": "--searcher"}
    check_options(f"searcher {name}", _factory(name), options, searcher_options(name), elsewhere)


def make_searcher(name: str, space: SearchSpace, seed: int = 0, **options: Any) -> Searcher:
    """Build a searcher by name.

    Parameters
    ----------
    name : str
        A key of `SEARCHERS`: ``"random"``, ``"grid"``, ``"curves"`` (from forecasts), or ``"tpe"``,
        which is Optuna's sampler; or a name that an installed package offers.
    space : SearchSpace
    seed : int, default=0
        Seed of the random number generator; not negative.
    **options
        Options of this searcher (see `searcher_options`).

    Raises
    ------
    ValueError
        If the name or an option is unknown (the message lists the valid ones), or a value is out
        of range.
    ImportError
        If a package is missing; the message says how to get it.

    See Also
    --------
    hpo.make_scheduler : The scheduler that uses it.
    hpo.searchers.searcher_options : The options of a searcher.
    hpo.searchers.with_initial : Configurations to try first.

    Examples
    --------
    >>> from hpo import SearchSpace
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    >>> make_searcher("grid", space, points=5).propose(1)
    {'lr': 0.25}
    """
    check_searcher_options(name, options)
    if isinstance(space, Mapping):
        raise ValueError(
            f"space of make_searcher must be a SearchSpace, got {type(space).__name__}; "
            "SearchSpace.from_dict(...) makes one of it"
        )
    return _factory(name)(space, seed, **options)


def _factory(name: str) -> Callable[..., Searcher]:
    if name in REMOVED:
        raise ValueError(f"searcher {name!r} no longer exists: {REMOVED[name]}")
    return CATALOGUE.get(name)
