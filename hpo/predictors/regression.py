"""Any scikit-learn regressor as a curve predictor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.predictors.base import BasePredictor
from hpo.predictors.features import CurveFeatures
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.regressors import nusvr, standardised
from hpo.trial import Curve


class MinMax:
    """Scales each column from its range in the training data to [0, 1].

    The arithmetic is that of scikit-learn's ``MinMaxScaler``, to the last bit: libsvm stops at a
    loose tolerance, so that a difference of 1e-16 in its input shows as 1e-4 in its output.

    Parameters
    ----------
    data : ndarray of shape (n, m)
        Training data; a constant column is only shifted.
    """

    def __init__(self, data: NDArray[np.float64]) -> None:
        low = data.min(axis=0)
        width = data.max(axis=0) - low
        # Narrower than the rounding error: constant.
        constant = width < 10 * np.finfo(float).eps
        self.scale = 1.0 / np.where(constant, 1.0, width)
        self.shift = 0.0 - low * self.scale

    def __call__(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale."""
        return np.asarray(data * self.scale + self.shift)

    def back(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undo the scaling."""
        return np.asarray((data - self.shift) / self.scale)


class CurveRegressor(BasePredictor):
    """Predicts with a scikit-learn regressor on features of the curve.

    Parameters
    ----------
    regressor : object, optional
        Any scikit-learn regressor; it is cloned, never fitted itself.  Default: `NuSVR()`, as in
        the experiments of arXiv 2311.17508.  Its ``random_state`` is set where it has one.
    features : CurveFeatures
        What it sees.
    scale : bool
        Scale features and target to [0, 1] by their range in the training data.
    folds : int
        Parts of the cross-validation.
    seed : int
        For regressors that draw random numbers.
    """

    def __init__(
        self,
        regressor: Any = None,
        features: CurveFeatures | None = None,
        *,
        scale: bool = True,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(folds, seed)
        self.regressor = nusvr() if regressor is None else regressor
        self.features = CurveFeatures() if features is None else features
        self.scale = scale

    def _fit(self, curves: Sequence[Curve], values: NDArray[np.float64]) -> None:
        from sklearn.base import clone

        features = self.features(curves, values[:, : self.known_])  # (n_curves, n_features)
        target = values[:, -1:]  # (n_curves, 1)
        if self.scale:
            self._x_scale, self._y_scale = MinMax(features), MinMax(target)
            features, target = self._x_scale(features), self._y_scale(target)
        rows = self._choose(len(curves))
        self.regressor_ = clone(self.regressor)
        if "random_state" in self.regressor_.get_params():
            self.regressor_.set_params(random_state=self.seed % 2**32)
        self.regressor_.fit(features[rows], target[rows, 0])

    def _predict(self, curves: Sequence[Curve], values: NDArray[np.float64]) -> NDArray[np.float64]:
        features = self.features(curves, values)
        if not self.scale:
            return np.asarray(self.regressor_.predict(features))
        scaled = self.regressor_.predict(self._x_scale(features))
        return self._y_scale.back(np.reshape(scaled, (-1, 1)))[:, 0]

    def as_forecaster(self) -> PooledPredictor:
        """Return a pooled predictor with this regressor inside, features and target scaled."""
        return PooledPredictor(standardised(self.regressor), seed=self.seed)

    def _choose(self, n_curves: int) -> NDArray[np.intp]:
        """Return the curves to train on: all."""
        return np.arange(n_curves)

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), "regressor": type(self.regressor).__name__}
