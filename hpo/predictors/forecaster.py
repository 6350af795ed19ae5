"""Forecasters: final losses of all trials of a search, from curves of any length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from hpo._typing import FloatArray
from hpo.predictors.base import (
    DEFAULT_CONTEXT,
    Prediction,
    PredictionContext,
    check_training,
    first_losses,
)
from hpo.surrogates import Scale, Surrogate
from hpo.trial import Curve


@dataclass(frozen=True)
class Forecast:
    """Forecast losses of some curves.

    Attributes
    ----------
    mean, std : ndarray of shape (n_curves,)
        Of the loss at the target, in `scale`, taken as normally distributed.
    scale : Scale
        A scale of about unit spread.
    skill : float or None, default=None
        ``1 - MSE / MSE(last value)`` of the model on held-out losses; None if there were too few
        to measure it.
    info : dict, default={}
        Diagnostics of the model in plain values, for display only.
    surrogate : Surrogate or None, default=None
        The model's predictions for untried configurations; None leaves them to the searcher.
    min_informative_resource : int or None, default=None
        As in `hpo.trial.ForecastReport`.
    warm_start_state : Mapping, default={}
        State for the next forecast of the same search, in plain values.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.predictors import Forecast
    >>> from hpo.surrogates import LogScale
    >>> forecast = Forecast(mean=np.log([0.5]), std=np.array([0.1]), scale=LogScale())
    >>> forecast.loss
    array([0.5])
    """

    mean: FloatArray
    std: FloatArray
    scale: Scale
    skill: float | None = None
    info: dict[str, Any] = field(default_factory=dict)
    surrogate: Surrogate | None = None
    min_informative_resource: int | None = None
    warm_start_state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> FloatArray:
        """Median of the forecast, in units of the loss."""
        return self.scale.to_loss(self.mean)


class Forecaster(Protocol):
    """Forecasts losses late in training from curves of any length."""

    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Learn from the curves, and forecast the loss of each after `target` units.

        Parameters
        ----------
        curves : sequence of Curve
            Curves of any length from 1 on, all losses finite.
        target : int
            Units; a curve of at least as many keeps its last loss, with no spread.
        context : PredictionContext, default=PredictionContext()

        Raises
        ------
        ValueError
            If there is no curve, or one is empty or not finite.
        """
        ...


class ForecastingPredictor(ABC):
    """Base class of forecasters that are a `hpo.predictors.CurvePredictor` as well.

    See Also
    --------
    hpo.JointPredictor, hpo.MixedPredictor, hpo.PooledPredictor : Its forms.
    hpo.predictors.BasePredictor : Base class of predictors with one known length.

    Examples
    --------
    A forecaster that keeps the last loss:

    >>> import numpy as np
    >>> from hpo.predictors import Forecast, ForecastingPredictor
    >>> from hpo.surrogates import LogScale
    >>> from hpo.trial import Curve
    >>> class LastLoss(ForecastingPredictor):
    ...     def forecast(self, curves, target, context=None):
    ...         last = np.log([curve.losses[-1] for curve in curves])
    ...         return Forecast(last, np.ones(len(curves)), LogScale())
    >>> LastLoss().forecast([Curve(0, {}, (3.0, 2.0))], target=5).loss
    array([2.])
    """

    @abstractmethod
    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Learn from the curves, and forecast the loss of each (see `Forecaster`)."""

    def fit(
        self,
        curves: Sequence[Curve],
        known: int,
        target: int,
        context: PredictionContext = DEFAULT_CONTEXT,
    ) -> Self:
        """Keep the curves and the context for `predict` (see `CurvePredictor.fit`)."""
        check_training(curves, known, target)
        self.curves_, self.known_, self.target_ = tuple(curves), known, target
        self.context_ = context
        return self

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Forecast the query curves, cut to `known` losses (see `CurvePredictor.predict`)."""
        if not curves:
            return Prediction(np.empty(0), np.empty(0), None, {"predictor": type(self).__name__})
        first_losses(curves, self.known_)  # checks them
        known = [Curve(c.trial_id, c.config, c.losses[: self.known_]) for c in curves]
        forecast = self.forecast([*self.curves_, *known], self.target_, self.context_)
        rows = slice(len(self.curves_), None)
        low, high = (
            forecast.scale.to_loss(forecast.mean + sign * forecast.std)[rows] for sign in (-1, 1)
        )
        return Prediction(forecast.loss[rows], (high - low) / 2, forecast.skill, forecast.info)


def check_curves(curves: Sequence[Curve]) -> None:
    """Check the curves of a forecast.

    Raises
    ------
    ValueError
        If there is no curve, or one is empty or not finite.
    """
    if not curves:
        raise ValueError("a forecast needs at least one curve, got none")
    for curve in curves:
        if not curve.losses or not np.all(np.isfinite(curve.losses)):
            raise ValueError(
                f"losses must be finite and at least one; leave out trial {curve.trial_id}"
            )
