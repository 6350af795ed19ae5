"""Curve predictors from scikit-learn regressors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo._typing import FloatArray, IntArray
from hpo.predictors.base import BasePredictor, PredictionContext
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.regressors import make_regressor, nusvr, qsvr_model, standardised
from hpo.space.search_space import SearchSpace
from hpo.trial import Curve


@dataclass(frozen=True)
class CurveFeatures:
    """Features of a curve for a regressor.

    Attributes
    ----------
    values : bool, default=True
        The known losses.
    first_differences, second_differences : bool, default=False
        Their differences, and the differences of those (Baker et al., :arxiv:`1705.10823`).
    space : SearchSpace or None, default=None
        Adds the hyperparameters, as this space turns them into numbers.

    Raises
    ------
    ValueError
        If none is chosen.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.predictors import CurveFeatures
    >>> from hpo.trial import Curve
    >>> features = CurveFeatures(first_differences=True)
    >>> features([Curve(0, {}, (3.0, 2.0, 1.5))], np.array([[3.0, 2.0, 1.5]]))
    array([[ 3. ,  2. ,  1.5, -1. , -0.5]])
    """

    values: bool = True
    first_differences: bool = False
    second_differences: bool = False
    space: SearchSpace | None = None

    def __post_init__(self) -> None:
        chosen = (self.values, self.first_differences, self.second_differences, self.space)
        if not any(chosen):
            raise ValueError(
                "at least one of values, first_differences, second_differences and space must be "
                "set, got none; set values=True"
            )

    def __call__(self, curves: Sequence[Curve], known: FloatArray) -> FloatArray:
        """Return the features of some curves.

        Parameters
        ----------
        curves : sequence of Curve
            For their configurations.
        known : ndarray of shape (n_curves, n_known)
            Their losses.

        Returns
        -------
        ndarray of shape (n_curves, n_features)

        Raises
        ------
        ValueError
            If only differences are asked for and the curves are too short to have any.
        """
        blocks = []
        if self.values:
            blocks.append(known)
        if self.first_differences:
            blocks.append(np.diff(known, 1, axis=1))
        if self.second_differences:
            blocks.append(np.diff(known, 2, axis=1))
        if self.space is not None:
            blocks.append(self.space.features_of([curve.config for curve in curves]))
        features = np.hstack(blocks)
        if features.shape[1] == 0:
            raise ValueError(f"{known.shape[1]} losses have no such differences; add values=True")
        return features


class MinMax:
    """Scales each column from its range in the training data to [0, 1].

    The arithmetic is that of scikit-learn's ``MinMaxScaler`` to the last bit: libsvm stops at a
    loose tolerance, so that a difference of 1e-16 in its input becomes 1e-4 in its output.

    Parameters
    ----------
    data : ndarray of shape (n, m)
        Training data; a constant column is only shifted.
    """

    def __init__(self, data: FloatArray) -> None:
        low = data.min(axis=0)
        width = data.max(axis=0) - low
        # A range below the rounding error is taken as constant.
        constant = width < 10 * np.finfo(float).eps
        self.scale = 1.0 / np.where(constant, 1.0, width)
        self.shift = 0.0 - low * self.scale

    def __call__(self, data: FloatArray) -> FloatArray:
        """Scale."""
        return np.asarray(data * self.scale + self.shift)

    def back(self, data: FloatArray) -> FloatArray:
        """Undo the scaling."""
        return np.asarray((data - self.shift) / self.scale)


class CurveRegressor(BasePredictor):
    """Predicts with a scikit-learn regressor on features of the curve.

    Parameters
    ----------
    regressor : object, default=None
        Any scikit-learn regressor. It is cloned, never fitted itself, and its ``random_state`` is
        set to the context's seed if it has one. Default: `NuSVR()`, as in the experiments of
        :arxiv:`2311.17508`.
    features : CurveFeatures, default=None
        Features of a curve. Default: the known losses.
    scale : bool, default=True
        Scale features and target to [0, 1] by their range in the training data.
    folds : int, default=5
        Number of cross-validation folds; 0 for no cross-validation.

    See Also
    --------
    hpo.make_predictor : Predictors by name, and from a scikit-learn regressor.
    hpo.predictors.CurveFeatures : The features of a curve.

    Examples
    --------
    >>> from sklearn.ensemble import ExtraTreesRegressor
    >>> from hpo.predictors import CurveRegressor
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> from hpo.trial import Curve
    >>> table = synthetic_table(40, 20, seed=0)
    >>> curves = [Curve(i, table.configs[i], tuple(table.losses[i])) for i in range(40)]
    >>> predictor = CurveRegressor(ExtraTreesRegressor(10)).fit(curves[:30], known=5, target=20)
    >>> predictor.predict(curves[30:]).mean.shape
    (10,)
    """

    def __init__(
        self,
        regressor: Any = None,
        features: CurveFeatures | None = None,
        *,
        scale: bool = True,
        folds: int = 5,
    ) -> None:
        super().__init__(folds)
        self.regressor = nusvr() if regressor is None else regressor
        self.features = CurveFeatures() if features is None else features
        self.scale = scale

    def _fit(self, curves: Sequence[Curve], values: FloatArray, context: PredictionContext) -> None:
        from sklearn.base import clone

        features = self.features(curves, values[:, : self.known_])  # (n_curves, n_features)
        target = values[:, -1:]  # (n_curves, 1)
        if self.scale:
            self._x_scale, self._y_scale = MinMax(features), MinMax(target)
            features, target = self._x_scale(features), self._y_scale(target)
        rows = self._choose(len(curves), context.seed)
        self.regressor_ = clone(self.regressor)
        if "random_state" in self.regressor_.get_params():
            self.regressor_.set_params(random_state=context.seed % 2**32)
        self.regressor_.fit(features[rows], target[rows, 0])

    def _predict(self, curves: Sequence[Curve], values: FloatArray) -> FloatArray:
        features = self.features(curves, values)
        if not self.scale:
            return np.asarray(self.regressor_.predict(features))
        scaled = self.regressor_.predict(self._x_scale(features))
        return self._y_scale.back(np.reshape(scaled, (-1, 1)))[:, 0]

    def as_forecaster(self) -> PooledPredictor:
        """Return a pooled predictor with this regressor, features and target standardised."""
        return PooledPredictor(standardised(self.regressor))

    def _choose(self, n_curves: int, seed: int) -> IntArray:  # noqa: ARG002 - for subclasses
        """Return the curves to train on: all of them."""
        return np.arange(n_curves)

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), "regressor": type(self.regressor).__name__}


class QSVRPredictor(CurveRegressor):
    """Predicts with `qsvr.QSVR` on features of the curve.

    If there are more curves than `max_samples`, a subsample is drawn by the context's seed: the
    same curves and seed always give the same subsample.

    Parameters
    ----------
    max_samples : int or None, default=20
        Maximum number of training curves of one model, None for no maximum; 20 curves at 3 bits
        are 120 variables, as in the papers.
    features : CurveFeatures, default=None
        Features of a curve. Default: the known losses.
    folds : int, default=5
        Number of cross-validation folds, each of which costs a fit; 0 for no cross-validation.
    **settings
        Settings of `qsvr.QSVR`; default: `hpo.predictors.regressors.PUBLISHED_SETTINGS`.

    Raises
    ------
    ValueError
        If `max_samples` is below 2, or `qsvr.QSVR` does not take a setting.

    See Also
    --------
    hpo.predictors.CurveRegressor : The same with any scikit-learn regressor.
    qsvr.QSVR : The regressor.

    Examples
    --------
    >>> from hpo.predictors import QSVRPredictor
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> from hpo.trial import Curve
    >>> table = synthetic_table(40, 20, seed=0)
    >>> curves = [Curve(i, table.configs[i], tuple(table.losses[i])) for i in range(40)]
    >>> predictor = QSVRPredictor(folds=0).fit(curves[:30], known=5, target=20)
    >>> predictor.predict(curves[30:]).mean.shape
    (10,)
    """

    def __init__(
        self,
        max_samples: int | None = 20,
        features: CurveFeatures | None = None,
        *,
        folds: int = 5,
        **settings: Any,
    ) -> None:
        if max_samples is not None and max_samples < 2:
            raise ValueError(f"max_samples must be at least 2 or None, got {max_samples}")
        super().__init__(qsvr_model(**settings), features, folds=folds)
        self.max_samples = max_samples
        self.settings = settings

    def as_forecaster(self) -> PooledPredictor:
        """Return a pooled predictor with an ensemble of this QSVR."""
        return PooledPredictor(make_regressor("qsvr", **self.settings))

    def _choose(self, n_curves: int, seed: int) -> IntArray:
        """Return the curves to train on, in their order."""
        if self.max_samples is None or n_curves <= self.max_samples:
            return np.arange(n_curves)
        rng = np.random.default_rng(seed)
        return np.sort(rng.choice(n_curves, self.max_samples, replace=False))
