"""Forecasts by several models in turn, since none is the best on every problem.

A single model never corrects its own wrong rejections, because rejected trials are not trained
further. If each forecast comes from one of several models of different kinds, a trial that one
model wrongly rejects is resumed by another. On recorded curves the joint process and a pooled model
in turn do better than either (``docs/research/curves.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hpo.predictors.base import DEFAULT_CONTEXT, PredictionContext
from hpo.predictors.forecaster import Forecast, Forecaster, ForecastingPredictor
from hpo.predictors.joint import JointPredictor
from hpo.predictors.pooled import PooledPredictor
from hpo.trial import Curve

_GAP = 1.0
"""A low base lets the pooled model forecast losses well below the lowest one seen."""


class MixedPredictor(ForecastingPredictor):
    """Alternates between several forecasters (see `Forecaster`).

    The context's seed chooses the forecaster. A forecaster's warm-start state is kept until its
    next turn.

    Parameters
    ----------
    regressors : str, object or sequence of them, default="nusvr"
        Regressors of `PooledPredictor`, each of which alternates with a `JointPredictor`: names of
        `hpo.predictors.REGRESSORS` or scikit-learn regressors.
    forecasters : sequence of Forecaster, default=None
        Forecasters to use instead; at least one.

    Raises
    ------
    ValueError
        If there is no forecaster, or a regressor is unknown.

    See Also
    --------
    hpo.JointPredictor, hpo.PooledPredictor : The two models.
    hpo.SwiftASHA : The scheduler that uses forecasts.
    hpo.make_predictor : Predictors by name.

    Examples
    --------
    >>> from hpo import MixedPredictor
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> from hpo.trial import Curve
    >>> table = synthetic_table(40, 20, seed=0)
    >>> curves = [Curve(i, table.configs[i], tuple(table.losses[i])) for i in range(40)]
    >>> short = [Curve(c.trial_id, c.config, c.losses[:5]) for c in curves]
    >>> forecast = MixedPredictor().forecast(short, target=20)
    >>> forecast.loss.shape
    (40,)
    """

    def __init__(
        self, regressors: Any = "nusvr", *, forecasters: Sequence[Forecaster] | None = None
    ) -> None:
        if forecasters is None:
            several = isinstance(regressors, Sequence) and not isinstance(regressors, str)
            pooled = [
                PooledPredictor(regressor, gap=_GAP)
                for regressor in (regressors if several else [regressors])
            ]
            forecasters = (JointPredictor(), *pooled)
        if not forecasters:
            raise ValueError(
                "forecasters must contain at least one forecaster, got an empty sequence"
            )
        self.forecasters = tuple(forecasters)

    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Forecast with the forecaster that the seed chooses (see `Forecaster.forecast`)."""
        chosen = self.forecasters[context.seed % len(self.forecasters)]
        forecast = chosen.forecast(curves, target, context)
        state = forecast.warm_start_state or context.warm_start_state
        return replace(forecast, warm_start_state=state)
