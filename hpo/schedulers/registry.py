"""Schedulers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hpo.brackets import check_options
from hpo.loop import Scheduler
from hpo.schedulers.asha import ASHA
from hpo.schedulers.early_stopping import EarlyStopping
from hpo.schedulers.freeze_thaw import SwiftASHA
from hpo.schedulers.hyperband import (
    FastHyperband,
    Hyperband,
    RandomSearch,
    SuccessiveHalving,
    SwiftHyperband,
)
from hpo.searchers.base import LearningSearcher, Searcher
from hpo.searchers.installed import Catalogue

SCHEDULERS: Mapping[str, Callable[..., Scheduler]] = {
    "random-search": RandomSearch,
    "early-stopping": EarlyStopping,
    "successive-halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "swift-asha": SwiftASHA,
    "swift-hyperband": SwiftHyperband,
    "fast-hyperband": FastHyperband,
    "asha": ASHA,
}
CATALOGUE = Catalogue("scheduler", "hpo.schedulers", SCHEDULERS)
"""Those of installed packages too."""
FORECASTING = ("swift-asha",)
"""Schedulers of this package that request forecasts, by which a searcher may learn."""
PREDICTING = ("early-stopping", "swift-hyperband", "fast-hyperband")
"""Schedulers of this package that request predictions, each of the trials of one round."""
REMOVED = {
    "swift": "use swift-asha",
    "swift-fast": "use swift-asha with budget_fraction=0.33",
}
"""Schedulers of earlier versions, and what takes their place."""
_COMMON = {
    "searcher": "--searcher, or searcher",
    "max_resource": "--max-resource, or max_resource",
    "reduction_factor": "--reduction-factor, or reduction_factor",
    "seed": "--seed, or seed",
    "name": "--scheduler, or the scheduler's name",
}
"""Settings of all schedulers, which are no options of one, and where each is given."""


def asks_for_forecasts(name: str) -> bool:
    """Return whether a scheduler asks for forecasts, by which a searcher may learn.

    One of an installed package says so by an attribute ``forecasts = True``.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError
        If there is no such scheduler.
    """
    return name in FORECASTING or bool(getattr(_factory(name), "forecasts", False))


def asks_for_predictor(name: str) -> bool:
    """Return whether a scheduler may need a predictor of learning curves.

    That is known of those of this package. One of an installed package may.

    Parameters
    ----------
    name : str
    """
    return name not in SCHEDULERS or name in (*PREDICTING, *FORECASTING)


def scheduler_options(name: str) -> tuple[str, ...]:
    """Return the options that only some schedulers take.

    Parameters
    ----------
    name : str
        A key of `SCHEDULERS`, or a name that an installed package offers.

    Raises
    ------
    ValueError
        If there is no such scheduler.
    """
    return tuple(option for option in _parameters(name) if option not in _COMMON)


def check_scheduler_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the options of a scheduler, as far as that is possible without building it.

    Parameters
    ----------
    name : str
        A key of `SCHEDULERS`, or a name that an installed package offers.
    options : Mapping
        Options by name.

    Raises
    ------
    ValueError
        If there is no such scheduler, an option is unknown or a setting of its own
        (``max_resource``), or a value is of another type.
    """
    check_options(name, _factory(name), options, scheduler_options(name), _COMMON)


def make_scheduler(
    name: str,
    searcher: Searcher,
    *,
    max_resource: int,
    reduction_factor: int = 2,
    seed: int = 0,
    **options: Any,
) -> Scheduler:
    """Build a scheduler by name.

    Parameters
    ----------
    name : str
        A key of `SCHEDULERS`, or a name that an installed package offers.
    searcher : Searcher
        Proposes configurations.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int, default=2
        Halving rate, eta.
    seed : int, default=0
        Seed of the random numbers that the scheduler and its predictors draw. Not used by a
        scheduler that has no random numbers.
    **options
        Further settings of this scheduler (see `scheduler_options`).

    Raises
    ------
    ValueError
        If the name or an option is unknown (the message lists the valid ones), a value is out of
        range, or the searcher proposes from forecasts, of which the scheduler makes none.

    See Also
    --------
    hpo.make_searcher : The searcher.
    hpo.make_predictor : The predictor of a scheduler that predicts.
    hpo.schedulers.scheduler_options : The options of a scheduler.

    Examples
    --------
    >>> from hpo import SearchSpace, make_scheduler, make_searcher
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 0.1}})
    >>> searcher = make_searcher("random", space, seed=0)
    >>> scheduler = make_scheduler("asha", searcher, max_resource=27, n_trials=20)
    >>> type(scheduler).__name__
    'ASHA'
    """
    check_scheduler_options(name, options)
    if not hasattr(searcher, "propose"):
        raise ValueError(
            f"searcher must be a Searcher, got {type(searcher).__name__}; "
            "make_searcher(NAME, space) builds one"
        )
    if isinstance(searcher, LearningSearcher) and not asks_for_forecasts(name):
        raise ValueError(
            f"searcher {type(searcher).__name__} proposes with forecasts, and scheduler {name!r} "
            f"asks for none; use one of {', '.join(FORECASTING)}, or make_searcher('random', space)"
        )
    if "seed" in _parameters(name):
        options["seed"] = seed
    return _factory(name)(
        searcher, max_resource=max_resource, reduction_factor=reduction_factor, **options
    )


def _parameters(name: str) -> tuple[str, ...]:
    return tuple(inspect.signature(_factory(name)).parameters)


def _factory(name: str) -> Callable[..., Scheduler]:
    if name in REMOVED:
        raise ValueError(f"scheduler {name!r} no longer exists; {REMOVED[name]}")
    return CATALOGUE.get(name)
