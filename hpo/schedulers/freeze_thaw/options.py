"""How many epochs a thawing scheduler has, and how it deals them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hpo.brackets import hyperband_epochs

_FEWEST_STARTS = 10
"""Epochs beside one full training, where Hyperband has as many."""


@dataclass(frozen=True)
class FreezeThawOptions:
    """How epochs are dealt.

    Attributes
    ----------
    budget : int
        Epochs to spend in all, never exceeded; those of failed jobs count, so that a search whose
        trainings all fail comes to an end.
    together : bool
        Decide in waves.
    min_resource : int
        Units of a new trial's first job, where losses so early say enough.
    growth : float
        From one length of a trial to the next.
    max_step : int or None
        Units of a job at most, those that finish a trial aside; None sets no bound.
    n_first : int
        Trials that start before anything is forecast, at least 1.
    refresh : float
        A forecast is due after this share of the budget.
    milestones : tuple of float
        Shares of the budget by which the most promising trial is finished; the last one is 1.
    reserve : float
        How close to a milestone that comes, as a share of the budget.
    n_new : int
        Configurations to propose with each forecast.
    explore : float
        New trials start until this share of the budget is spent.
    improve : float
        Share of the choices that go to what is likeliest to beat the incumbent by a margin; the
        others go by a draw of every final loss.
    seed : int
        Of all draws.
    """

    budget: int
    together: bool = True
    min_resource: int = 1
    growth: float = 1.5
    max_step: int | None = None
    n_first: int = 10
    refresh: float = 0.03
    milestones: tuple[float, ...] = (0.5, 1.0)
    reserve: float = 0.05
    n_new: int = 24
    explore: float = 1.0
    improve: float = 0.85
    seed: int = 0

    def __post_init__(self) -> None:
        _check("budget", self.budget, "an integer of at least 1", ok=self.budget >= 1)
        _check("min_resource", self.min_resource, "at least 1", ok=self.min_resource >= 1)
        _check("growth", self.growth, "above 1", ok=self.growth > 1)
        step = self.max_step
        _check("max_step", step, "at least 1 or None", ok=step is None or step >= 1)
        _check("n_first", self.n_first, "at least 1", ok=self.n_first >= 1)
        _check("refresh", self.refresh, "in (0, 1]", ok=0 < self.refresh <= 1)
        rising = all(a < b for a, b in pairwise((0.0, *self.milestones)))
        whole = bool(self.milestones) and self.milestones[-1] == 1
        _check("milestones", self.milestones, "rising shares up to 1", ok=rising and whole)
        _check("reserve", self.reserve, "in [0, 1]", ok=0 <= self.reserve <= 1)
        _check("explore", self.explore, "in (0, 1]", ok=0 < self.explore <= 1)
        _check("improve", self.improve, "in [0, 1]", ok=0 <= self.improve <= 1)
        _check("n_new", self.n_new, "at least 1", ok=self.n_new >= 1)


def epochs_to_spend(
    max_resource: int, reduction_factor: int, share: float, max_epochs: int | None = None
) -> int:
    """Return a share of Hyperband's epochs, but enough to train one trial to its end beside others.

    With a `max_resource` of a few units the share alone would pay for two or three trials.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    if not share > 0:
        raise ValueError(f"share (of Hyperband's epochs) must be above 0, got {share!r}")
    whole = hyperband_epochs(max_resource, reduction_factor)
    if max_epochs is None:
        return max(int(share * whole), min(whole, max_resource + _FEWEST_STARTS))
    if max_epochs < max_resource:
        raise ValueError(
            f"max_epochs must be at least max_resource={max_resource}, enough to train one trial "
            f"to its end, got {max_epochs!r}"
        )
    return max_epochs


def _check(name: str, value: object, rule: str, *, ok: bool) -> None:
    if not ok:
        raise ValueError(f"{name} must be {rule}, got {value!r}")
