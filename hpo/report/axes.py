"""Axes of hyperparameters, for slices and parallel coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from hpo.run.results import Results
from hpo.space.domains import Constant

_LARGEST = 1e300
"""Values of this size or larger are shown as categories."""
_LOG_FROM = 50.0
"""Least ratio of the largest to the least value of a domain that is taken as logarithmic."""


@dataclass(frozen=True)
class Axis:
    """The axis of a hyperparameter that varies.

    Attributes
    ----------
    name : str
        The hyperparameter.
    low, high : float
        Least and largest value that was tried; 0 and the number of levels minus 1 for categories.
    log : bool
        Whether the axis is logarithmic: if the domain is or, where the domain is not known, if the
        values lie more evenly on it.
    levels : tuple of str or None
        Categories in order; None for numbers.
    choices : tuple
        Their values.
    """

    name: str
    low: float
    high: float
    log: bool = False
    levels: tuple[str, ...] | None = None
    choices: tuple[Any, ...] = ()

    def place(self, value: Any) -> float:
        """Return where a value lies on the axis: the value, or the number of its category."""
        return float(value) if self.levels is None else float(self.levels.index(str(value)))


def axes_of(results: Results) -> list[Axis]:
    """Return the axes of all hyperparameters that vary.

    Parameters
    ----------
    results : Results
        Results of a run.
    """
    names = dict.fromkeys(name for trial in results.trials for name in trial.config)
    axes = (_axis(results, name) for name in names)
    return [axis for axis in axes if axis is not None and axis.high > axis.low]


def _axis(results: Results, name: str) -> Axis | None:
    values = [trial.config[name] for trial in results.trials if name in trial.config]
    domain = None if results.space is None else results.space.domains.get(name)
    if isinstance(domain, Constant):
        return None
    if all(_is_finite(value) for value in values):
        low, high = float(min(values)), float(max(values))
        known = getattr(domain, "log", None)
        if known is None:
            known = "loguniform" in str(getattr(domain, "name", "")) or (
                domain is None and _looks_logarithmic([float(value) for value in values])
            )
        return Axis(name, low, high, bool(known) and low > 0)
    tried = {str(value): value for value in values}
    known = [str(choice) for choice in getattr(domain, "choices", ())]
    levels = tuple(dict.fromkeys([*(each for each in known if each in tried), *sorted(tried)]))
    choices = tuple(tried[level] for level in levels)
    return Axis(name, 0.0, len(levels) - 1.0, levels=levels, choices=choices)


def _looks_logarithmic(values: list[float]) -> bool:
    """Return whether values lie more evenly on a logarithmic axis, by the place of the median."""
    low, high, middle = min(values), max(values), median(values)
    if low <= 0 or high / low < _LOG_FROM:
        return False
    linear = (middle - low) / (high - low)
    return abs(math.log(middle / low) / math.log(high / low) - 0.5) < abs(linear - 0.5)


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST and math.isfinite(value)


def resources_of(results: Results, least: int = 2) -> list[int]:
    """Return the ends of rungs that enough trials reached, with 1 and the longest one.

    Parameters
    ----------
    results : Results
        Results of a run.
    least : int
        Number of trials that have to have been trained that far; fewer where there are fewer.
    """
    lengths = sorted((len(trial.losses) for trial in results.trials if trial.losses), reverse=True)
    if not lengths:
        return []
    longest = lengths[min(least, len(lengths)) - 1]
    return sorted({1, longest, *(end for end in rung_ends(results) if end <= longest)})


def rung_ends(results: Results) -> list[int]:
    """Return the units at which rungs end, as far as they are known, up to the longest trial.

    Parameters
    ----------
    results : Results
        Results of a run.
    """
    longest = max((len(trial.losses) for trial in results.trials), default=0)
    ends = {event.resource for event in results.events if event.kind == "rung"}
    if results.baseline is not None and results.baseline.rounds:
        ends |= {rung.resource for each in results.baseline.brackets for rung in each.rungs}
    if not ends:  # a scheduler without rungs: where its trials ended
        lengths = {len(trial.losses) for trial in results.trials if trial.losses}
        ends = lengths if len(lengths) <= 8 else {longest >> k for k in range(longest.bit_length())}
    return sorted(end for end in {*ends, longest} if 1 <= end <= longest)
