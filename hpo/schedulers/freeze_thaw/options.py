"""Options of the freeze-thaw scheduler, and the number of epochs that it spends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from hpo.brackets import check_integer, hyperband_epochs
from hpo.schedulers._extension import check_extension

GROWTH = 1.5
"""Factor between two successive lengths of a trial."""
TRAININGS_PER_WORKER = 1.5
"""Full trainings for which each worker has epochs, at least.

On eight workers, 16 tables and four seeds (those that it was chosen on, with the beginning of the
endgame) a search has less regret than Hyperband in a third of its time; with 2.0 in half of it."""
_MAX_FRACTION = 1000
_MAX_WORKERS = 1_000_000
_MAX_EPOCHS = 10**15
_MIN_STARTS = 10
"""Epochs to spend beside one full training, if Hyperband spends as many."""


@dataclass(frozen=True)
class FreezeThawOptions:
    """Options of the freeze-thaw scheduler (see `SwiftASHA`)."""

    min_resource: int
    max_step: int
    n_first: int
    forecast_interval: float
    n_proposals: int
    improvement_fraction: float
    min_improvement: float | None
    seed: int

    def __post_init__(self) -> None:
        _check("min_resource", self.min_resource, "at least 1", ok=self.min_resource >= 1)
        _check("max_step", self.max_step, "at least 1 or None", ok=self.max_step >= 1)
        _check("n_first", self.n_first, "at least 1", ok=self.n_first >= 1)
        interval = self.forecast_interval
        _check("forecast_interval", interval, "in (0, 1]", ok=0 < interval <= 1)
        fraction = self.improvement_fraction
        _check("improvement_fraction", fraction, "in [0, 1]", ok=0 <= fraction <= 1)
        gain = self.min_improvement
        positive = gain is None or 0 < gain < math.inf
        _check("min_improvement", gain, "above 0 and finite, or None", ok=positive)
        n, most = self.n_proposals, 10_000  # each is predicted with every forecast
        _check("n_proposals", n, f"in 1..{most}", ok=1 <= n <= most)


@dataclass(frozen=True)
class Budget:
    """Number of epochs that a search spends.

    Attributes
    ----------
    max_resource, reduction_factor : int
        R and eta.
    fraction : float
        Fraction of Hyperband's epochs.
    max_epochs : int or None
        The number itself.
    n_workers : int or None
        Number of workers; None if it is not known.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    max_resource: int
    reduction_factor: int
    fraction: float
    max_epochs: int | None = None
    n_workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= _MAX_FRACTION:
            raise ValueError(
                f"budget_fraction (of Hyperband's epochs) must be above 0 and at most "
                f"{_MAX_FRACTION}, got {self.fraction!r}"
            )
        if self.n_workers is not None:
            check_integer("n_workers", self.n_workers, 1, _MAX_WORKERS)
        if self.max_epochs is not None:
            check_integer("max_epochs", self.max_epochs, 1, _MAX_EPOCHS)
        if self.max_epochs is not None and self.max_epochs < self.max_resource:
            raise ValueError(
                f"max_epochs must be at least max_resource={self.max_resource}, enough to train "
                f"one trial to its end, got {self.max_epochs!r}"
            )

    @property
    def hyperband(self) -> int:
        """Hyperband's epochs."""
        return hyperband_epochs(self.max_resource, self.reduction_factor)

    @property
    def epochs(self) -> int:
        """Number of epochs.

        The fraction, but enough to complete one trial beside some others, and enough to keep every
        worker busy for 1.5 full trainings: with less, hardly any trial that starts after
        the first forecasts could be completed in time.
        """
        if self.max_epochs is not None:
            return self.max_epochs
        least = min(self.hyperband, self.max_resource + _MIN_STARTS)
        return max(self._of_hyperband, least, self._for_workers)

    @property
    def _of_hyperband(self) -> int:
        return int(self.fraction * self.hyperband)

    @property
    def _for_workers(self) -> int:
        workers = self.n_workers or 0
        return math.ceil(TRAININGS_PER_WORKER * self.max_resource * workers)

    def extended(self, scheduler: object, settings: Mapping[str, Any]) -> Self:
        """Return the budget with larger values of some settings.

        Parameters
        ----------
        scheduler : object
            Whose settings they are.
        settings : Mapping
            ``max_resource``, ``budget_fraction`` or ``max_epochs``.

        Raises
        ------
        ValueError
            If a setting is another one or not larger, or the number of epochs stays the same.
        """
        present = {
            "max_resource": self.max_resource,
            "budget_fraction": self.fraction,
            "max_epochs": self.epochs,
        }
        checked = check_extension(scheduler, settings, present)
        max_epochs = None if "budget_fraction" in settings else self.max_epochs
        extended = replace(
            self,
            max_resource=checked["max_resource"],
            fraction=checked["budget_fraction"],
            max_epochs=settings.get("max_epochs", max_epochs),
        )
        if extended.epochs <= self.epochs:
            raise ValueError(
                f"an extension must raise the number of epochs: {dict(settings)} gives "
                f"{extended.epochs}, and the search has {self.epochs}; raise max_epochs or "
                "budget_fraction too"
            )
        return extended

    def __str__(self) -> str:
        """Return the number of epochs and how it comes about."""
        if self.max_epochs is not None:
            return f"{self.epochs} epochs (max_epochs)"
        # 47 of 106 epochs are the fraction 0.45, rounded down, and not the fraction 0.44.
        is_fraction = self.epochs == self._of_hyperband
        fraction = self.fraction if is_fraction else self.epochs / self.hyperband
        share = f"{fraction:.2g} of Hyperband's {self.hyperband}"
        if self.epochs == self._for_workers:
            share += (
                f", since {self.n_workers} workers need {TRAININGS_PER_WORKER} full trainings of "
                f"{self.max_resource} each"
            )
        return f"{self.epochs} epochs ({share})"


def _check(name: str, value: object, rule: str, *, ok: bool) -> None:
    if not ok:
        raise ValueError(f"{name} must be {rule}, got {value!r}")
