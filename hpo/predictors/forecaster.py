"""What a forecast of a whole search is, and what all that forecast share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from hpo._typing import FloatArray
from hpo.predictors.base import Prediction, Seeded, check_training, first_losses
from hpo.searchers import Surrogate
from hpo.surrogates.scales import Scale
from hpo.trial import Curve


@dataclass(frozen=True)
class Forecast:
    """What is expected of some curves.

    Attributes
    ----------
    mean, std : ndarray of shape (n_curves,)
        Of the loss at the target, in a scale of about unit spread, taken as normally distributed.
    scale : Scale
        That scale.
    skill : float or None
        ``1 - MSE / MSE(last value)`` of the model on losses that it was not shown; None where
        there was too little to measure it.
    info : dict
        Diagnostics of the model in plain values, for display only.
    surrogate : Surrogate or None
        The model's predictions for untried configurations; None leaves them to the searcher.
    min_informative_resource : int or None
        As in `hpo.trial.ForecastReport`.
    warm_start_state : Mapping
        State for the next forecast of the same search, in plain values.
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
    """Forecasts losses late in training from curves of any length.

    Where it offers ``with_seed(seed)``, ``with_memory(memory)`` or ``with_encoder(encoder)``, a
    copy is used that knows the job's seed, what the forecast before left in its
    ``info["memory"]``, and how the searcher turns configurations into numbers.
    """

    def forecast(self, curves: Sequence[Curve], target: int) -> Forecast:
        """Learn from the curves, and forecast the loss of each after `target` units.

        Parameters
        ----------
        curves : sequence of Curve
        target : int
        """
        ...


class ForecastingPredictor(Seeded, ABC):
    """A forecaster that predicts within a round as well (see `hpo.predictors.CurvePredictor`).

    Parameters
    ----------
    seed : int
        Of all random choices.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def forecast(self, curves: Sequence[Curve], target: int) -> Forecast:
        """Learn from the curves, and forecast the loss of each (see `Forecaster`)."""

    def fit(self, curves: Sequence[Curve], known: int, target: int) -> Self:
        """Keep the curves to learn from (see `CurvePredictor.fit`).

        Parameters
        ----------
        curves : sequence of Curve
            Of at least `target` finite losses each; one or more.
        known, target : int
            Units, ``1 <= known < target``.

        Raises
        ------
        ValueError
            If there is no curve, one is too short or not finite, or the units are out of order.
        """
        check_training(curves, known, target)
        self.curves_, self.known_, self.target_ = tuple(curves), known, target
        return self

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target from the first `known` losses of each curve.

        Raises
        ------
        ValueError
            If a curve is shorter than `known` or not finite.
        """
        if not curves:
            return Prediction(np.empty(0), np.empty(0), None, self._info(0))
        first_losses(curves, self.known_)  # checks them
        known = [Curve(c.trial_id, c.config, c.losses[: self.known_]) for c in curves]
        forecast = self.forecast([*self.curves_, *known], self.target_)
        rows = slice(len(self.curves_), None)
        low, high = (
            forecast.scale.to_loss(forecast.mean + sign * forecast.std)[rows] for sign in (-1, 1)
        )
        return Prediction(forecast.loss[rows], (high - low) / 2, forecast.skill, forecast.info)

    def _info(self, n_rows: int) -> dict[str, Any]:
        return {"predictor": type(self).__name__, "n_rows": n_rows}


def check_curves(curves: Sequence[Curve]) -> None:
    """Refuse curves that nothing can be forecast from.

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
