"""Schedulers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

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
from hpo.searchers.base import Searcher

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
FORECASTING = ("swift-asha",)
"""Schedulers that request forecasts, and take proposals from a searcher that learns."""
REMOVED = {
    "swift": "use swift-asha",
    "swift-fast": "use swift-asha with budget_fraction=0.33",
}
"""Schedulers of earlier versions, and what takes their place."""
_COMMON = ("searcher", "max_resource", "reduction_factor", "seed")


def scheduler_options(name: str) -> tuple[str, ...]:
    """Return the options that only some schedulers take.

    Parameters
    ----------
    name : str
        A key of `SCHEDULERS`.

    Raises
    ------
    ValueError
        If there is no such scheduler.
    """
    return tuple(option for option in _parameters(name) if option not in _COMMON)


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
        Proposes configurations.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int
        Halving rate, eta.
    seed : int
        Seed of the random numbers that the scheduler and its predictors draw. Not used by a
        scheduler that has no random numbers.
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
    if "seed" in _parameters(name):
        options["seed"] = seed
    return SCHEDULERS[name](
        searcher, max_resource=max_resource, reduction_factor=reduction_factor, **options
    )


def _parameters(name: str) -> tuple[str, ...]:
    if name in REMOVED:
        raise ValueError(f"scheduler {name!r} no longer exists; {REMOVED[name]}")
    if name not in SCHEDULERS:
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}; got {name!r}")
    return tuple(inspect.signature(SCHEDULERS[name]).parameters)
