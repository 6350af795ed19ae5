"""One model for all lengths: forecasts of final losses from curves of any length.

A predictor of `hpo.predictors.base` is trained for one length and one target, on curves that were
trained to the target; in a search it has them late. The pooled predictor learns from every piece
of every curve (see `hpo.predictors._pairs`), so it has something to say after the first epochs.

Its errors are measured by cross-validation over *trials*: pieces of one curve are never on both
sides. They give three things: the share of the predicted change that is kept (a model that knows
nothing is shrunk to "the loss stays what it is"), the spread, and the skill against that very
baseline. Where the skill is not positive, the last value is the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo._typing import FloatArray, IntArray
from hpo.predictors._pairs import CurveSet, Pairs
from hpo.predictors.forecaster import Forecast, ForecastingPredictor
from hpo.predictors.regressors import make_regressor
from hpo.space.encoding import ConfigEncoder
from hpo.space.search_space import SearchSpace
from hpo.surrogates.scales import LogScale
from hpo.trial import Curve

_FEWEST_ROWS = 12
"""With fewer pieces nothing is learnt: the last value is the forecast."""
_PRIOR_SPREAD = 0.5
"""Spread of a growth before any is known."""
_BANDWIDTH = 0.7
"""Lengths within a factor of about two are alike."""
_PRIOR_ROWS = 10.0
"""Weight of the overall spread against that of curves of like length."""


class PooledPredictor(ForecastingPredictor):
    """Forecasts from one model of all pieces of all curves (see `Forecaster`).

    Parameters
    ----------
    regressor : str or object
        A key of `hpo.predictors.REGRESSORS` (``"extra-trees"``, ``"nusvr"``, ``"qsvr"``, ...), or
        any scikit-learn regressor; it is cloned, never fitted itself, and its ``random_state`` is
        set where it has one.
    space : SearchSpace, optional
        Turns hyperparameters into numbers. Default: by their values (`hpo.space.encoding`).
    folds : int
        Parts of the cross-validation over trials, 2 or more; 0 for none, with no measured spread.
    max_rows : int
        Pieces that train a model at most, drawn by the seed.
    gap : float
        How far below the lowest loss the base of the logarithm lies (see `CurveSet`); above 0.
    seed : int
        Of all random choices.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    The features are those of Baker et al., arXiv 1705.10823, made independent of the length; the
    idea of one model for all lengths is freeze-thaw (Swersky et al., arXiv 1406.3896).
    """

    def __init__(
        self,
        regressor: Any = "extra-trees",
        *,
        space: SearchSpace | None = None,
        folds: int = 2,
        max_rows: int = 1000,
        gap: float = 0.1,
        seed: int = 0,
    ) -> None:
        _check_settings(folds, max_rows, gap)
        super().__init__(seed)
        self.regressor = make_regressor(regressor) if isinstance(regressor, str) else regressor
        self.space = space
        self.folds = folds
        self.max_rows = max_rows
        self.gap = gap

    def forecast(self, curves: Sequence[Curve], target: int) -> Forecast:
        """Learn from the curves, and forecast the loss of each after `target` units.

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
        data = CurveSet(curves, self.gap)
        rng = np.random.default_rng(self.seed)
        pairs = _draw(data.pairs(max(target, int(data.lengths.max()))), self.max_rows, rng)
        if len(pairs) < _FEWEST_ROWS:
            return self._blank(data, target)
        configs = self._encode(curves)  # (n_curves, n_features)
        x, y = _rows(data, configs, pairs), data.growth(pairs)
        judged = self._judged(x, y, pairs)
        ahead = data.to_end(target)
        growth = self._ahead(x, y, _rows(data, configs, ahead), ahead) if judged.share else 0.0
        mean = data.last + judged.share * growth * ahead.horizon
        std = judged.spread(pairs.start, ahead.start) * ahead.horizon
        info = self._info(len(pairs)) | {"kept": judged.share, "spread": float(judged.rms)}
        return Forecast(mean, std, LogScale(data.base), judged.skill, info)

    def _blank(self, data: CurveSet, target: int) -> Forecast:
        std = _PRIOR_SPREAD * data.to_end(target).horizon
        return Forecast(data.last, std, LogScale(data.base), None, self._info(0))

    def _encode(self, curves: Sequence[Curve]) -> FloatArray:
        configs = [curve.config for curve in curves]
        if self.space is not None:
            return np.array([self.space.to_features(config) for config in configs])
        return ConfigEncoder.of(configs)(configs)

    def _judged(self, x: FloatArray, y: FloatArray, pairs: Pairs) -> _Judgement:
        if not self.folds:
            return _Judgement(1.0, np.full(len(y), _PRIOR_SPREAD), None)
        return _judge(self._held_out(x, y, pairs), y)

    def _held_out(self, x: FloatArray, y: FloatArray, pairs: Pairs) -> FloatArray:
        """Predict each row from a model of the other trials'; NaN where there are none."""
        predicted = np.full(len(y), np.nan)
        part = pairs.trial % self.folds
        for fold in range(self.folds):
            inside = part == fold
            if inside.any() and (~inside).sum() >= _FEWEST_ROWS // 2:
                predicted[inside] = self._fitted(x[~inside], y[~inside]).predict(x[inside])
        return predicted

    def _ahead(self, x: FloatArray, y: FloatArray, queries: FloatArray, ahead: Pairs) -> FloatArray:
        """Predict the growth of the curves that have some left; 0 for the others."""
        growth = np.zeros(len(queries))
        rows = np.flatnonzero(ahead.stop > ahead.start)
        if len(rows):
            growth[rows] = self._fitted(x, y).predict(queries[rows])
        return growth

    def _fitted(self, x: FloatArray, y: FloatArray) -> Any:
        from sklearn.base import clone

        model = clone(self.regressor)
        random = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
        model.set_params(**dict.fromkeys(random, self.seed % 2**32))
        return model.fit(x, y)

    def _info(self, n_rows: int) -> dict[str, Any]:
        return super()._info(n_rows) | {"regressor": type(self.regressor).__name__}


def _rows(
    data: CurveSet, configs: FloatArray, pairs: Pairs
) -> FloatArray:  # (n_rows, 7 + n_features)
    return np.hstack([data.features(pairs), configs[pairs.trial]])


def _draw(pairs: Pairs, max_rows: int, rng: np.random.Generator) -> Pairs:
    if len(pairs) <= max_rows:
        return pairs
    return pairs.take(np.sort(rng.choice(len(pairs), max_rows, replace=False)))


@dataclass(frozen=True)
class _Judgement:
    """What cross-validation says of a model.

    Attributes
    ----------
    share : float
        Of a predicted growth, to be kept.
    residuals : ndarray of shape (n_rows,)
        Held-out errors of the kept growth.
    skill : float or None
        Against no growth at all.
    """

    share: float
    residuals: FloatArray
    skill: float | None

    @property
    def rms(self) -> float:
        """Spread over all rows."""
        return float(np.sqrt(np.nanmean(self.residuals**2)))

    def spread(self, starts: IntArray, at: IntArray) -> FloatArray:
        """Return the spread of curves of the lengths `at`: of the residuals of such lengths.

        Residuals of pieces that begin elsewhere count less, by a normal weight in the logarithm of
        the length; a few rows' worth of the overall spread steadies it where there are few.
        """
        known = np.isfinite(self.residuals)
        away = np.log(at)[:, None] - np.log(starts[known])[None, :]
        weight = np.exp(-0.5 * (away / _BANDWIDTH) ** 2)  # (n_curves, n_rows)
        total = weight @ self.residuals[known] ** 2 + _PRIOR_ROWS * self.rms**2
        return np.asarray(np.sqrt(total / (weight.sum(axis=1) + _PRIOR_ROWS)))


def _judge(predicted: FloatArray, actual: FloatArray) -> _Judgement:
    known = np.isfinite(predicted)
    guess, growth = predicted[known], actual[known]
    if not len(growth) or not np.any(growth):
        return _Judgement(0.0, actual, None)
    nothing = float(np.mean(growth**2))
    skill = 1 - float(np.mean((guess - growth) ** 2)) / nothing
    slope = float(guess @ growth) / max(float(guess @ guess), 1e-300)
    share = min(max(slope, 0.0), 1.0)
    return _Judgement(share, actual - share * predicted, skill)


def _check_settings(folds: int, max_rows: int, gap: float) -> None:
    if folds < 2 and folds != 0:
        raise ValueError(f"folds must be 0 or at least 2, got {folds!r}")
    if max_rows < _FEWEST_ROWS:
        raise ValueError(f"max_rows must be at least {_FEWEST_ROWS}, got {max_rows!r}")
    if not gap > 0:
        raise ValueError(f"gap must be above 0, got {gap!r}")
