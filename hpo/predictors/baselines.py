# ruff: noqa: ARG002 - a baseline ignores most of its inputs
"""Baselines that any other predictor should beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo._typing import FloatArray
from hpo.predictors.base import BasePredictor, PredictionContext
from hpo.predictors.pooled import PooledPredictor
from hpo.trial import Curve

_EXPONENTS = np.linspace(0.05, 3.0, 60)


class LastValuePredictor(BasePredictor):
    """Predicts the last known loss.

    See Also
    --------
    hpo.make_predictor : Predictors by name.

    Examples
    --------
    >>> from hpo.predictors import LastValuePredictor
    >>> from hpo.trial import Curve
    >>> curves = [Curve(0, {}, (3.0, 2.0, 1.0)), Curve(1, {}, (2.0, 1.5, 1.2))]
    >>> LastValuePredictor().fit(curves, known=2, target=3).predict(curves).mean
    array([2. , 1.5])
    """

    def as_forecaster(self) -> PooledPredictor:
        """Return a pooled predictor that forecasts no change, with a measured spread."""
        return PooledPredictor("last-value")

    def _fit(self, curves: Sequence[Curve], values: FloatArray, context: PredictionContext) -> None:
        """Learn nothing."""

    def _predict(self, curves: Sequence[Curve], values: FloatArray) -> FloatArray:
        return values[:, -1].copy()


class PowerLawPredictor(BasePredictor):
    """Extrapolates the power law ``a + b * t**-c`` that fits the second half of a curve best.

    The exponent is searched on a grid, a and b follow by least squares. With fewer than three
    points, or if the best law does not decrease, the last known loss is kept.

    See Also
    --------
    hpo.make_predictor : Predictors by name.

    Examples
    --------
    >>> from hpo.predictors import PowerLawPredictor
    >>> from hpo.trial import Curve
    >>> curve = Curve(0, {}, tuple(1 + 1 / unit for unit in range(1, 21)))
    >>> predictor = PowerLawPredictor().fit([curve], known=10, target=20)
    >>> predictor.predict([curve]).mean.round(2)
    array([1.05])
    """

    def _fit(self, curves: Sequence[Curve], values: FloatArray, context: PredictionContext) -> None:
        """Learn nothing: each curve is fitted on its own."""

    def _predict(self, curves: Sequence[Curve], values: FloatArray) -> FloatArray:
        last = values[:, -1].copy()
        tail = values[:, values.shape[1] // 2 :]
        if tail.shape[1] < 3:
            return last
        units = np.arange(values.shape[1] // 2, values.shape[1]) + 1.0
        basis = units[None, :] ** -_EXPONENTS[:, None]  # (n_exponents, n_units)
        middle = basis.mean(axis=1, keepdims=True)
        centred = basis - middle
        level = tail.mean(axis=1, keepdims=True)  # (n_curves, 1)
        slope = (tail - level) @ centred.T / np.sum(centred**2, axis=1)  # (n_curves, n_exponents)
        misfit = np.sum((tail - level) ** 2, axis=1, keepdims=True) - slope**2 * np.sum(
            centred**2, axis=1
        )
        best = np.argmin(misfit, axis=1)
        rows = np.arange(len(values))
        ahead = self.target_**-_EXPONENTS - middle[:, 0]  # (n_exponents,)
        predicted = level[:, 0] + slope[rows, best] * ahead[best]
        return np.where(slope[rows, best] > 0, predicted, last)
