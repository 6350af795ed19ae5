"""Options of the freeze-thaw schedulers, and the number of epochs that they spend."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hpo.brackets import hyperband_epochs

GROWTH = 1.5
"""Factor between two successive lengths of a trial."""
_MIN_STARTS = 10
"""Epochs to spend beside one full training, if Hyperband spends as many."""


@dataclass(frozen=True)
class FreezeThawOptions:
    """Options of a freeze-thaw scheduler.

    Attributes
    ----------
    budget : int
        Total number of epochs, never exceeded. The epochs of failed jobs count, so that a search
        whose trainings all fail ends.
    together : bool
        Decide in waves.
    min_resource : int
        Units of a new trial's first job, if losses so early inform about final losses.
    max_step : int or None
        Maximum number of units of a job, except one that completes a trial; None for no maximum.
    n_first : int
        Number of trials that start before the first forecast, at least 1.
    forecast_interval : float
        Fraction of the budget between two forecasts.
    milestones : tuple of float
        Fractions of the budget by which the most promising trial is completed; the last one is 1.
    n_proposals : int
        Minimum number of configurations to propose with each forecast.
    improvement_fraction : float
        Fraction of choices made by the probability of improving on the incumbent by a random
        margin; the others are made by Thompson sampling.
    seed : int
        Seed of the random number generator.
    """

    budget: int
    together: bool = True
    min_resource: int = 1
    max_step: int | None = None
    n_first: int = 10
    forecast_interval: float = 0.03
    milestones: tuple[float, ...] = (0.5, 1.0)
    n_proposals: int = 24
    improvement_fraction: float = 0.85
    seed: int = 0

    def __post_init__(self) -> None:
        _check("budget", self.budget, "an integer of at least 1", ok=self.budget >= 1)
        _check("min_resource", self.min_resource, "at least 1", ok=self.min_resource >= 1)
        step = self.max_step
        _check("max_step", step, "at least 1 or None", ok=step is None or step >= 1)
        _check("n_first", self.n_first, "at least 1", ok=self.n_first >= 1)
        interval = self.forecast_interval
        _check("forecast_interval", interval, "in (0, 1]", ok=0 < interval <= 1)
        rising = all(a < b for a, b in pairwise((0.0, *self.milestones)))
        whole = bool(self.milestones) and self.milestones[-1] == 1
        _check("milestones", self.milestones, "increasing fractions up to 1", ok=rising and whole)
        fraction = self.improvement_fraction
        _check("improvement_fraction", fraction, "in [0, 1]", ok=0 <= fraction <= 1)
        _check("n_proposals", self.n_proposals, "at least 1", ok=self.n_proposals >= 1)


def epochs_to_spend(
    max_resource: int,
    reduction_factor: int,
    budget_fraction: float,
    max_epochs: int | None = None,
) -> int:
    """Return a fraction of Hyperband's epochs, but enough to complete one trial beside others.

    With a `max_resource` of a few units the fraction alone would pay for two or three trials.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    if not budget_fraction > 0:
        raise ValueError(
            f"budget_fraction (of Hyperband's epochs) must be above 0, got {budget_fraction!r}"
        )
    whole = hyperband_epochs(max_resource, reduction_factor)
    if max_epochs is None:
        return max(int(budget_fraction * whole), min(whole, max_resource + _MIN_STARTS))
    if max_epochs < max_resource:
        raise ValueError(
            f"max_epochs must be at least max_resource={max_resource}, enough to train one trial "
            f"to its end, got {max_epochs!r}"
        )
    return max_epochs


def _check(name: str, value: object, rule: str, *, ok: bool) -> None:
    if not ok:
        raise ValueError(f"{name} must be {rule}, got {value!r}")
