"""Forecasts that learn from earlier searches too.

The trials of an earlier search are further curves to learn from. If its losses are in other units,
as those of other data may be, they are converted: linearly, so that the median and the lowest tenth
of both searches agree after as many units as the present trials have. In the configurations
they are marked, so that a model learns how much the searches have in common. For the joint Gaussian
process the mark is one more hyperparameter, with a length scale of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.predictors.base import DEFAULT_CONTEXT, Encoder, PredictionContext
from hpo.predictors.forecaster import Forecast, Forecaster
from hpo.predictors.jobs import as_forecaster
from hpo.trial import Config, Curve

MARK = "earlier search"
"""Hyperparameter of the trials of an earlier search: its number, from 1."""

_MATCHED_TRIALS = 8
"""Losses are compared after the most units that so many trials have reached."""
_MIN_TRIALS = 4
"""With fewer trials to compare, losses are taken as they are."""
_LOW = 0.1
"""Quantile that agrees, beside the median."""
_HIGH = 0.9
"""Losses are in the same units if the median of either search lies below this quantile of the
other, and not below its minimum."""
_MARK = 0.5
"""Value of a mark in the features, beside hyperparameters in [0, 1]. With 1 or 2 the searches of
`benchmarks/warm_start.py` share too little."""
_MAX_TRIALS, _MAX_PER_SEARCH = 60, 40
"""Most trials of all earlier searches, and of one: a process holds 400 losses."""
_BEST_FRACTION = 2 / 3
"""Fraction of these that are the best ones; the others are spread over all."""


@dataclass(frozen=True)
class WarmStartedForecaster:
    """A forecaster with the trials of earlier searches (see `Forecaster`).

    Attributes
    ----------
    forecaster : Forecaster
        Makes the forecasts.
    searches : tuple of tuple of Curve
        Trials of each earlier search; their configurations have the hyperparameters of the present
        search.
    """

    forecaster: Forecaster
    searches: tuple[tuple[Curve, ...], ...]

    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Forecast with the earlier trials (see `Forecaster.forecast`)."""
        earlier = [
            replace(
                curve,
                trial_id=-1 - curve.trial_id,
                config={**curve.config, MARK: number},
                losses=curve.losses[:target],
            )
            for number, search in enumerate(self.searches, 1)
            for curve in converted(search, curves)
        ]
        if context.encoder is not None:
            encoder = MarkingEncoder(context.encoder, len(self.searches))
            context = replace(context, encoder=encoder)
        forecast = self.forecaster.forecast([*curves, *earlier], target, context)
        n = len(curves)
        return replace(forecast, mean=forecast.mean[:n], std=forecast.std[:n])


@dataclass(frozen=True)
class MarkingEncoder:
    """Encodes configurations with a column for each earlier search.

    Attributes
    ----------
    encoder : callable
        Encodes the hyperparameters.
    n_searches : int
        Number of earlier searches.
    """

    encoder: Encoder
    n_searches: int

    def __call__(self, configs: Sequence[Config]) -> FloatArray:
        """Return the features, of shape (n_configs, n_features + n_searches)."""
        plain = [{name: config[name] for name in config if name != MARK} for config in configs]
        marks = np.array([config.get(MARK, 0) for config in configs])
        numbers = np.arange(1, self.n_searches + 1)
        return np.column_stack([self.encoder(plain), _MARK * (marks[:, None] == numbers)])


def warm_started(predictor: Any, searches: Sequence[Sequence[Curve]]) -> Forecaster:
    """Return a forecaster that learns from earlier searches too.

    Parameters
    ----------
    predictor : Forecaster or CurvePredictor
        As for `as_forecaster`.
    searches : sequence of sequence of Curve
        Trials of each earlier search, with the hyperparameters of the present one.
    """
    return WarmStartedForecaster(as_forecaster(predictor), tuple(map(tuple, searches)))


def converted(earlier: Sequence[Curve], present: Sequence[Curve]) -> list[Curve]:
    """Convert the losses of an earlier search to the units of the present one.

    If they seem to be in the same units, or there are too few to compare, they stay as they are.

    Parameters
    ----------
    earlier, present : sequence of Curve
        Trials of both searches, of any length from 1 on.
    """
    lengths = sorted((len(curve.losses) for curve in present), reverse=True)
    unit = lengths[min(_MATCHED_TRIALS, len(lengths)) - 1]
    others = sorted((len(curve.losses) for curve in earlier), reverse=True)
    unit = min(unit, others[min(_MATCHED_TRIALS, len(others)) - 1])
    here, there = _after(unit, present), _after(unit, earlier)
    few = min(len(here), len(there)) < _MIN_TRIALS
    if few or (_is_within(here, there) and _is_within(there, here)):
        return list(earlier)
    low, middle = np.quantile(here, [_LOW, 0.5])
    low_there, middle_there = np.quantile(there, [_LOW, 0.5])
    spread, spread_there = middle - low, middle_there - low_there
    factor = spread / spread_there if min(spread, spread_there) > 0 else 1.0
    return [
        replace(
            curve,
            losses=tuple((low + factor * (np.array(curve.losses) - low_there)).tolist()),
        )
        for curve in earlier
    ]


def _after(unit: int, curves: Sequence[Curve]) -> FloatArray:  # (n_long_enough,)
    return np.array([c.losses[unit - 1] for c in curves if len(c.losses) >= unit])


def _is_within(losses: FloatArray, others: FloatArray) -> bool:
    middle = np.median(losses)
    return bool(others.min() <= middle <= np.quantile(others, _HIGH))


def instructive(ranked: Sequence[Curve], n_searches: int) -> list[Curve]:
    """Return the trials of an earlier search that a new one takes over: at most 40.

    Parameters
    ----------
    ranked : sequence of Curve
        All of them, the best first.
    n_searches : int
        Number of earlier searches; at most 60 trials are taken over together, if each has at
        least 8.
    """
    most = max(min(_MAX_PER_SEARCH, _MAX_TRIALS // n_searches), _MATCHED_TRIALS)
    n_best = round(_BEST_FRACTION * most)
    rest = ranked[n_best:]
    n_rest = min(most - n_best, len(rest))
    spread = [rest[place * len(rest) // n_rest] for place in range(n_rest)]
    return [*ranked[:n_best], *spread]
