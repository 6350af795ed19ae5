"""Schedulers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hpo.loop import Scheduler
from hpo.schedulers.asha import ASHA, ASHAStopping
from hpo.schedulers.early import EarlyHyperband
from hpo.schedulers.early_stopping import EarlyStopping
from hpo.schedulers.fast import FastHyperband
from hpo.schedulers.freeze_thaw import FAST_BUDGET_FRACTION, SwiftASHA, SynchronousSwift
from hpo.schedulers.hyperband import Hyperband
from hpo.schedulers.random_search import RandomSearch
from hpo.schedulers.successive_halving import SuccessiveHalving
from hpo.schedulers.swift import SwiftHyperband
from hpo.searchers.base import Searcher

SCHEDULERS: Mapping[str, Callable[..., Scheduler]] = {
    "random-search": RandomSearch,
    "early-stopping": EarlyStopping,
    "successive-halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "swift": SynchronousSwift,
    "swift-fast": partial(SynchronousSwift, budget_fraction=FAST_BUDGET_FRACTION),
    "swift-asha": SwiftASHA,
    "swift-hyperband": SwiftHyperband,
    "early-hyperband": EarlyHyperband,
    "fast-hyperband": FastHyperband,
    "asha": ASHA,
    "asha-stopping": ASHAStopping,
}
FORECASTING = ("swift", "swift-fast", "swift-asha")
"""Schedulers that ask for forecasts, and take proposals from a searcher that learns."""
_COMMON = ("max_resource", "reduction_factor", "seed")


def scheduler_options(name: str) -> tuple[str, ...]:
    """Return the options of a scheduler beside those that all share.

    Parameters
    ----------
    name : str
        A key of `SCHEDULERS`.

    Raises
    ------
    ValueError
        If there is no such scheduler.
    """
    parameters = list(inspect.signature(_factory(name)).parameters)
    return tuple(option for option in parameters[1:] if option not in _COMMON)


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
        A key of `SCHEDULERS`.
    searcher : Searcher
        Gives configurations.
    max_resource, reduction_factor, seed : int
        As every scheduler takes them.
    **options
        Further settings of this scheduler (see `scheduler_options`).

    Raises
    ------
    ValueError
        If the name or an option is unknown (the message lists the valid ones), or a value is out
        of range.
    """
    valid = scheduler_options(name)
    if unknown := sorted(set(options) - set(valid)):
        raise ValueError(f"{name} takes the options {', '.join(valid)}; got {', '.join(unknown)}")
    return _factory(name)(
        searcher,
        max_resource=max_resource,
        reduction_factor=reduction_factor,
        seed=seed,
        **options,
    )


def _factory(name: str) -> Callable[..., Scheduler]:
    if name not in SCHEDULERS:
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}; got {name!r}")
    return SCHEDULERS[name]
