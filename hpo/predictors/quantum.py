"""Curve prediction with QSVR, within what an annealer can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.predictors.features import CurveFeatures
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.regression import CurveRegressor
from hpo.predictors.regressors import make_regressor
from hpo.trial import Curve

PUBLISHED_SETTINGS: dict[str, Any] = {"gamma": 0.1, "C": 1.756, "epsilon": 0.02, "n_bits": 3}
"""gamma, epsilon and bits of the papers; C is the box that their encoding implied."""


class QSVRPredictor(CurveRegressor):
    """Predicts with `qsvr.QSVR` on features of the curve.

    Where there are more curves than the annealer can hold, a subsample is drawn by the seed: the
    same curves and seed always give the same subsample.

    Parameters
    ----------
    max_samples : int or None
        Curves that one model is trained on at most; 20 at 3 bits are 120 variables, as in the
        papers.  None: all.
    features : CurveFeatures
        What the model sees.
    folds : int
        Parts of the cross-validation, each of which costs a fit; 0 for none.
    seed : int
        For the subsample and the sampler.
    **settings
        Settings of `qsvr.QSVR`; `PUBLISHED_SETTINGS` where not given.

    Raises
    ------
    ValueError
        If `max_samples` is below 2.
    """

    def __init__(
        self,
        max_samples: int | None = 20,
        features: CurveFeatures | None = None,
        *,
        folds: int = 5,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        if max_samples is not None and max_samples < 2:
            msg = f"max_samples must be at least 2 or None, got {max_samples}"
            raise ValueError(msg)
        super().__init__(_Unbuilt(), features, folds=folds, seed=seed)
        self.max_samples = max_samples
        self.settings = {**PUBLISHED_SETTINGS, **settings}

    def _fit(self, curves: Sequence[Curve], values: NDArray[np.float64]) -> None:
        if isinstance(self.regressor, _Unbuilt):
            self.regressor = _build(self.settings)
        super()._fit(curves, values)

    def as_forecaster(self) -> PooledPredictor:
        """Return a pooled predictor with an ensemble of this QSVR inside."""
        return PooledPredictor(make_regressor("qsvr", **self.settings), seed=self.seed)

    def _choose(self, n_curves: int) -> NDArray[np.intp]:
        """Return the curves to train on, in their order."""
        if self.max_samples is None or n_curves <= self.max_samples:
            return np.arange(n_curves)
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.choice(n_curves, self.max_samples, replace=False))


class _Unbuilt:
    """Stands for the estimator until it is needed: importing qsvr takes a second."""


def _build(settings: dict[str, Any]) -> Any:
    import qsvr

    if not hasattr(qsvr, "QSVR"):
        msg = "this installation of qsvr has no QSVR estimator; reinstall the package"
        raise ImportError(msg)
    try:
        return qsvr.QSVR(**settings)
    except TypeError as error:
        msg = f"qsvr.QSVR does not take these settings: {error}"
        raise ValueError(msg) from None
