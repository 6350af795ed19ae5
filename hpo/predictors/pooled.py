"""One model for all lengths: forecasts of final losses from curves of any length.

A predictor of `hpo.predictors.base` is trained for one length and one target, on curves that were
trained to the target, which a search has late. The pooled predictor learns from every pair of
lengths of every curve (see `hpo.predictors._pairs`), so that it forecasts from the first units on.

Its errors are measured by cross-validation over trials: pairs of one curve are never on both sides.
Cross-validation gives the fraction of the predicted change that is kept (a model without skill is
shrunk to the last value), the standard deviation, and the skill relative to the last value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo._typing import FloatArray, IntArray
from hpo.predictors._calibration import widening
from hpo.predictors._pairs import CurveSet, Pairs
from hpo.predictors.base import DEFAULT_CONTEXT, PredictionContext
from hpo.predictors.forecaster import Forecast, ForecastingPredictor
from hpo.predictors.regressors import REGRESSORS, make_regressor
from hpo.space.encoding import ConfigEncoder
from hpo.surrogates import LogScale
from hpo.trial import Curve

_MIN_ROWS = 12
"""With fewer pairs no model is fitted: the last value is the forecast."""
_PRIOR_SPREAD = 0.5
"""Standard deviation of a growth without a measured one."""
_BANDWIDTH = 0.7
"""Bandwidth in the logarithm of the length: a factor of about two."""
_PRIOR_ROWS = 10.0
"""Weight of the overall spread, in rows, in the spread at one length."""


class PooledPredictor(ForecastingPredictor):
    """Forecasts from one model of all pairs of lengths of all curves (see `Forecaster`).

    Hyperparameters are encoded by their values (`hpo.space.encoding`).

    Parameters
    ----------
    regressor : str or object, default="extra-trees"
        A key of `hpo.predictors.REGRESSORS` (``"extra-trees"``, ``"nusvr"``, ``"qsvr"``, ...), or
        any scikit-learn regressor. It is cloned, never fitted itself, and its ``random_state`` is
        set to the context's seed if it has one.
    folds : int, default=2
        Number of cross-validation folds over trials, 2 or more; 0 for no cross-validation and no
        measured spread.
    max_rows : int, default=1000
        Maximum number of pairs that a model is trained on, drawn by the context's seed.
    gap : float, default=0.1
        Distance of the base of the logarithm below the lowest loss (see `CurveSet`); above 0.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.MixedPredictor : This predictor and `hpo.JointPredictor` in turn.
    hpo.JointPredictor : Forecasts by one Gaussian process.
    hpo.SwiftASHA : The scheduler that uses forecasts.

    References
    ----------
    The features are those of Baker et al., :arxiv:`1705.10823`, made independent of the length; the
    idea of one model for all lengths is freeze-thaw (Swersky et al., arXiv 1406.3896).

    Examples
    --------
    >>> from hpo import PooledPredictor
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> from hpo.trial import Curve
    >>> table = synthetic_table(40, 20, seed=0)
    >>> curves = [Curve(i, table.configs[i], tuple(table.losses[i])) for i in range(40)]
    >>> short = [Curve(c.trial_id, c.config, c.losses[:5]) for c in curves]
    >>> forecast = PooledPredictor("nusvr").forecast(short, target=20)
    >>> forecast.loss.shape
    (40,)
    """

    def __init__(
        self,
        regressor: Any = "extra-trees",
        *,
        folds: int = 2,
        max_rows: int = 1000,
        gap: float = 0.1,
    ) -> None:
        if folds < 2 and folds != 0:
            raise ValueError(f"folds must be 0 or at least 2, got {folds!r}")
        if max_rows < _MIN_ROWS:
            raise ValueError(f"max_rows must be at least {_MIN_ROWS}, got {max_rows!r}")
        if not gap > 0:
            raise ValueError(f"gap must be above 0, got {gap!r}")
        # One of scikit-learn is built where it is first used: the process that leads a search
        # sends its predictor to another, and need not import scikit-learn, which takes seconds.
        # One of qsvr is built here, since `hpo.run.forecasting` does not send its samplers.
        named = isinstance(regressor, str)
        if named and (regressor not in REGRESSORS or regressor == "qsvr"):
            regressor = make_regressor(regressor)
        self._regressor = regressor
        self.folds = folds
        self.max_rows = max_rows
        self.gap = gap

    @property
    def regressor(self) -> Any:
        """The scikit-learn regressor."""
        if isinstance(self._regressor, str):
            self._regressor = make_regressor(self._regressor)
        return self._regressor

    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Forecast with the regressor (see `Forecaster.forecast`); uses the context's seed."""
        from sklearn.base import clone

        data = CurveSet(curves, self.gap)
        ahead = data.to_end(target)
        pairs = data.pairs(max(target, int(data.lengths.max())))
        info: dict[str, Any] = {
            "predictor": type(self).__name__,
            "regressor": type(self.regressor).__name__,
        }
        if len(pairs) < _MIN_ROWS:
            std = _PRIOR_SPREAD * ahead.horizon
            return Forecast(data.last, std, LogScale(data.base), info=info | {"n_rows": len(pairs)})
        if len(pairs) > self.max_rows:
            rng = np.random.default_rng(context.seed)
            pairs = pairs.take(np.sort(rng.choice(len(pairs), self.max_rows, replace=False)))
        model = clone(self.regressor)
        random = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
        model.set_params(**dict.fromkeys(random, context.seed % 2**32))
        configs = [curve.config for curve in curves]
        encoded = ConfigEncoder.of(configs)(configs)  # (n_curves, n_features)
        x, y = _rows(data, encoded, pairs), data.growth(pairs)
        quality = self._quality(model, x, y, pairs)
        growth = np.zeros(len(curves))
        unfinished = np.flatnonzero(ahead.stop > ahead.start)
        if quality.fraction and len(unfinished):
            queries = _rows(data, encoded, ahead)[unfinished]
            growth[unfinished] = clone(model).fit(x, y).predict(queries)
        mean = data.last + quality.fraction * growth * ahead.horizon
        std = quality.spread(pairs.start, ahead.start) * ahead.horizon
        std *= quality.widening(pairs.start, ahead.start)
        info |= {"n_rows": len(pairs), "kept": quality.fraction, "spread": quality.rms}
        return Forecast(mean, std, LogScale(data.base), quality.skill, info)

    def _quality(self, model: Any, x: FloatArray, y: FloatArray, pairs: Pairs) -> _Quality:
        """Cross-validate a model, every folds-th trial held out at a time."""
        from sklearn.base import clone

        if not self.folds:
            return _Quality(1.0, np.full(len(y), _PRIOR_SPREAD), None)
        predicted = np.full(len(y), np.nan)  # NaN if there are too few other trials
        part = pairs.trial % self.folds
        for fold in range(self.folds):
            inside = part == fold
            if inside.any() and (~inside).sum() >= _MIN_ROWS // 2:
                fitted = clone(model).fit(x[~inside], y[~inside])
                predicted[inside] = fitted.predict(x[inside])
        known = np.isfinite(predicted)
        guess, growth = predicted[known], y[known]
        if not len(growth) or not np.any(growth):
            return _Quality(0.0, y, None)
        skill = 1 - float(np.mean((guess - growth) ** 2)) / float(np.mean(growth**2))
        slope = float(guess @ growth) / max(float(guess @ guess), 1e-300)
        fraction = min(max(slope, 0.0), 1.0)
        return _Quality(fraction, y - fraction * predicted, skill)


def _rows(
    data: CurveSet, encoded: FloatArray, pairs: Pairs
) -> FloatArray:  # (n_rows, 7 + n_features)
    return np.hstack([data.features(pairs), encoded[pairs.trial]])


@dataclass(frozen=True)
class _Quality:
    """Result of a cross-validation.

    Attributes
    ----------
    fraction : float
        Fraction of a predicted growth to keep.
    residuals : ndarray of shape (n_rows,)
        Held-out errors of the kept growth.
    skill : float or None
        Skill relative to no growth.
    """

    fraction: float
    residuals: FloatArray
    skill: float | None

    @property
    def rms(self) -> float:
        """Root mean square of all residuals."""
        return float(np.sqrt(np.nanmean(self.residuals**2)))

    def spread(self, starts: IntArray, at: IntArray) -> FloatArray:
        """Return the standard deviation of a growth that starts at each of the lengths `at`.

        Residuals are weighted by a normal kernel in the logarithm of their start, and regularised
        by a few rows' worth of the overall spread.
        """
        known = np.isfinite(self.residuals)
        away = np.log(at)[:, None] - np.log(starts[known])[None, :]
        weight = np.exp(-0.5 * (away / _BANDWIDTH) ** 2)  # (n_curves, n_rows)
        total = weight @ self.residuals[known] ** 2 + _PRIOR_ROWS * self.rms**2
        return np.asarray(np.sqrt(total / (weight.sum(axis=1) + _PRIOR_ROWS)))

    def widening(self, starts: IntArray, at: IntArray) -> FloatArray:
        """Return the calibration of the spread at each of the lengths `at` (see `_calibration`)."""
        known = np.isfinite(self.residuals)
        spread = self.spread(starts, starts[known])
        errors = self.residuals[known] / np.where(spread > 0, spread, 1.0)
        return widening(errors, starts[known], at)
