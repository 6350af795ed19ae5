"""Forecasts by several models in turn, since none is the best on every problem.

A search that hears one model only goes on to see what this model wants to see: what it takes for
hopeless is never trained, so that it is never put right. With models of different kinds, each
forecast from one of them, what one overlooks is found by another. On recorded curves the joint
process and a pooled model in turn do better than either (``docs/curves.md``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from hpo._typing import FloatArray
from hpo.predictors.forecaster import Forecast, Forecaster, ForecastingPredictor
from hpo.predictors.joint import JointPredictor
from hpo.predictors.pooled import PooledPredictor
from hpo.trial import Config, Curve

_GAP = 1.0
"""With the base so far down, the pooled model knows better how low a trial may end."""


class MixedPredictor(ForecastingPredictor):
    """Leaves each forecast to one of several forecasters (see `Forecaster`).

    Parameters
    ----------
    regressors : str, object or sequence of them
        Each within a `PooledPredictor` of its own, which take turns with a `JointPredictor`; names
        of `hpo.predictors.REGRESSORS` or scikit-learn regressors.
    forecasters : sequence of Forecaster, optional
        Who takes turns, in place of those; at least one.
    seed : int
        Chooses whose turn it is, and is passed on.

    Raises
    ------
    ValueError
        If there is no forecaster, or a regressor is unknown.
    """

    def __init__(
        self,
        regressors: Any = "nusvr",
        *,
        forecasters: Sequence[Forecaster] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if forecasters is None:
            several = isinstance(regressors, Sequence) and not isinstance(regressors, str)
            each_one = regressors if several else [regressors]
            pooled = [PooledPredictor(each, gap=_GAP) for each in each_one]
            forecasters = (JointPredictor(), *pooled)
        if not forecasters:
            raise ValueError("forecasters must hold at least one, got an empty sequence")
        self.forecasters = tuple(forecasters)
        self.memory: Mapping[str, Any] = {}

    def with_memory(self, memory: Mapping[str, Any]) -> Self:
        """Return a copy that hands on what an earlier forecast left.

        Parameters
        ----------
        memory : Mapping
            ``info["memory"]`` of its report; empty for none.
        """
        twin = self._each("with_memory", memory)
        twin.memory = dict(memory)
        return twin

    def with_encoder(self, encoder: Callable[[Sequence[Config]], FloatArray]) -> Self:
        """Return a copy whose forecasters see hyperparameters as a searcher does.

        Parameters
        ----------
        encoder : callable
            From configurations to an array of shape (n_configs, n_features), in [0, 1].
        """
        return self._each("with_encoder", encoder)

    def forecast(self, curves: Sequence[Curve], target: int) -> Forecast:
        """Have the forecaster whose turn it is forecast the loss of each curve.

        Parameters
        ----------
        curves : sequence of Curve
            Of any lengths from 1 on, all losses finite.
        target : int
            Units; a curve that has as many keeps its last loss, with no spread.

        Raises
        ------
        ValueError
            If there is no curve, or one is empty or not finite.
        """
        chosen: Any = self.forecasters[self.seed % len(self.forecasters)]
        if hasattr(chosen, "with_seed"):
            chosen = chosen.with_seed(self.seed)
        forecast: Forecast = chosen.forecast(curves, target)
        # What one forecaster left waits until its next turn.
        return replace(forecast, warm_start_state=forecast.warm_start_state or self.memory)

    def _each(self, method: str, value: Any) -> Self:
        twin = copy.copy(self)
        twin.forecasters = tuple(
            getattr(each, method)(value) if hasattr(each, method) else each
            for each in self.forecasters
        )
        return twin
