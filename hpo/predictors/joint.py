"""Forecasts from one Gaussian process over hyperparameters and length of training.

One model combines the losses of all trials, the trial's own curve and the results of similar
hyperparameters. The same model predicts untried configurations, so that a forecast comes with a
`hpo.surrogates.Surrogate`.

The hyperparameters of the process are fitted again only once the number of known losses has grown
by a third. Until then they come from the previous forecast (`PredictionContext.warm_start_state`),
so that a search is reproducible whatever process makes the forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hpo._typing import BoolArray, FloatArray, IntArray
from hpo.predictors._calibration import widening
from hpo.predictors.base import DEFAULT_CONTEXT, Encoder, PredictionContext
from hpo.predictors.forecaster import Forecast, ForecastingPredictor, check_curves
from hpo.space.encoding import ConfigEncoder
from hpo.surrogates import BentScale, JointProcess, Points
from hpo.trial import Config, Curve

_REFIT_GROWTH = 1.35
"""The process is fitted again when the number of losses has grown by this factor."""
_EARLIER_FRACTION = 0.8
"""Earlier losses of a curve are used up to this fraction of its length."""
_MIN_SKILL_CURVES = 5
"""Skill is measured on at least so many curves of two known lengths or more."""
_MIN_CORRELATION, _GOOD_CORRELATION, _MAX_FRACTION = 0.3, 0.6, 0.25
"""If first losses correlate with final losses by less than the first number, the minimum
informative resource is where they correlate by the second, at most this fraction of the target."""
_MIN_CORRELATED_LOSSES = 60
"""With fewer losses that correlation is not used: it is often low by chance."""
_CLEAR_CORRELATION, _CLEAR_FORECASTS = 0.4, 2
"""Once the minimum informative resource is above 1, it takes at least this correlation of first and
final losses, in so many successive forecasts, to return to 1."""


class JointPredictor(ForecastingPredictor):
    """Forecasts from a joint Gaussian process over hyperparameters and length (see `Forecaster`).

    Hyperparameters are encoded by the context's encoder, or else by their values
    (`hpo.space.encoding`).

    Parameters
    ----------
    max_points : int, default=400
        Maximum number of losses that the process is conditioned on, at least 20: those of the best
        trials, and the latest losses of trials drawn by the context's seed. Every other trial is
        forecast from its own latest loss and the process.
    iterations : int, default=10
        Maximum number of iterations of a fit; at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.MixedPredictor : This predictor and `hpo.PooledPredictor` in turn.
    hpo.PooledPredictor : Forecasts by a regression model of your choice.
    hpo.SwiftASHA : The scheduler that uses forecasts.

    References
    ----------
    Swersky et al., Freeze-Thaw Bayesian Optimization, arXiv 1406.3896, which has the trial's own
    process; here the surface may change with the length too.

    Examples
    --------
    >>> from hpo import JointPredictor
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> from hpo.trial import Curve
    >>> table = synthetic_table(40, 20, seed=0)
    >>> curves = [Curve(i, table.configs[i], tuple(table.losses[i])) for i in range(40)]
    >>> short = [Curve(c.trial_id, c.config, c.losses[:5]) for c in curves]
    >>> forecast = JointPredictor().forecast(short, target=20)
    >>> forecast.loss.shape
    (40,)
    """

    def __init__(self, *, max_points: int = 400, iterations: int = 10) -> None:
        if max_points < 20:
            raise ValueError(f"max_points must be at least 20, got {max_points!r}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations!r}")
        self.max_points = max_points
        self.iterations = iterations

    def forecast(
        self, curves: Sequence[Curve], target: int, context: PredictionContext = DEFAULT_CONTEXT
    ) -> Forecast:
        """Forecast with the process (see `Forecaster.forecast`)."""
        check_curves(curves)
        configs = [curve.config for curve in curves]
        encode = context.encoder or ConfigEncoder.of(configs)
        data = _Data.of(curves, encode(configs), target)
        kept = self._kept(data, context.seed)
        process, n_fitted = self._process(
            data.known.take(kept), data.values[kept], context.warm_start_state
        )
        mean, std = _ahead(process, data, kept)
        errors, rows = process.held_out_lasts()
        std *= widening(errors, data.lengths[kept[rows]], data.lengths[data.latest])
        resource, n_clear = _min_informative_resource(process, target, context.warm_start_state)
        return Forecast(
            mean=mean,
            std=std,
            scale=data.scale,
            skill=_skill(process),
            info={"predictor": type(self).__name__, "n_rows": len(kept)},
            surrogate=JointSurrogate(process, encode),
            min_informative_resource=resource,
            warm_start_state={
                "theta": process.theta.tolist(),
                "n_points": n_fitted,
                "min_informative_resource": resource,
                "n_clear": n_clear,
            },
        )

    def _kept(self, data: _Data, seed: int) -> IntArray:
        """Return the rows of `data` that the process is conditioned on, in their order."""
        n_rows = len(data.values)
        if n_rows <= self.max_points:
            return np.arange(n_rows)
        rank = np.argsort(np.argsort(data.values[data.latest], kind="stable"), kind="stable")
        by_merit = np.argsort(rank[data.known.trial], kind="stable")  # rows of the best first
        best = by_merit[: 3 * self.max_points // 4]
        others = np.setdiff1d(data.latest, best)
        rng = np.random.default_rng(seed)
        n_others = min(self.max_points - len(best), len(others))
        return np.sort(np.concatenate([best, rng.choice(others, n_others, replace=False)]))

    def _process(
        self, points: Points, values: FloatArray, state: Mapping[str, Any]
    ) -> tuple[JointProcess, int]:
        """Return the process, and the number of losses that it was fitted to."""
        theta = state.get("theta")
        n_fitted = int(state.get("n_points", 0))
        process = JointProcess(points, values, None if theta is None else np.array(theta, float))
        if (
            theta is None
            or len(theta) != len(process.theta)
            or len(values) >= _REFIT_GROWTH * n_fitted
        ):
            return process.fit(self.iterations).condition(), len(values)
        return process.condition(), n_fitted


@dataclass(frozen=True)
class JointSurrogate:
    """Predictions of untried configurations by a process (see `hpo.surrogates.Surrogate`).

    Attributes
    ----------
    process : JointProcess
        Conditioned on the known losses.
    encode : callable
        From configurations to features.
    """

    process: JointProcess
    encode: Encoder

    def predict(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each final loss."""
        return self.process.each(self._ends(configs))

    def sample(
        self, configs: Sequence[Config], n_samples: int, rng: np.random.Generator
    ) -> FloatArray:
        """Sample the final losses jointly."""
        mean, covariance = self.process.joint(self._ends(configs))
        ridge = 1e-6 * covariance.diagonal().max() * np.eye(len(mean))
        root = np.linalg.cholesky(covariance + ridge)
        return np.asarray(mean + rng.standard_normal((n_samples, len(mean))) @ root.T)

    def _ends(self, configs: Sequence[Config]) -> Points:
        new = -1 - np.arange(len(configs))  # numbers that no trial has
        return Points(self.encode(configs), np.ones(len(configs)), new)


@dataclass(frozen=True)
class _Data:
    """Curves as points: the latest loss of each, and some earlier ones.

    Attributes
    ----------
    known : Points
        Where losses are known, trial by trial, each in order of length.
    lengths : ndarray of shape (n_known,)
        Their lengths, in units.
    values : ndarray of shape (n_known,)
        The losses, in the scale.
    latest : ndarray of shape (n_curves,)
        Row of each curve's latest loss.
    ends : Points
        Where each curve is forecast.
    unfinished : ndarray of shape (n_curves,)
        Whether a curve is shorter than the target.
    scale : BentScale
        Of the values.
    """

    known: Points
    lengths: IntArray
    values: FloatArray
    latest: IntArray
    ends: Points
    unfinished: BoolArray
    scale: BentScale

    @classmethod
    def of(cls, curves: Sequence[Curve], features: FloatArray, target: int) -> Self:
        lengths = np.array([len(curve.losses) for curve in curves])
        units = [_lengths(int(length)) for length in lengths]
        trial = np.repeat(np.arange(len(curves)), [len(each) for each in units])
        at = np.concatenate(units)
        losses = np.concatenate(
            [np.array(curve.losses)[each - 1] for curve, each in zip(curves, units, strict=True)]
        )
        latest = np.cumsum([len(each) for each in units]) - 1
        lowest = min(min(curve.losses) for curve in curves)
        scale = BentScale.fitted(np.append(losses, lowest), losses[latest])
        whole = np.log(max(target, 2))
        ends = Points(features, np.ones(len(curves)), np.arange(len(curves)))
        known = Points(features[trial], np.minimum(np.log(at) / whole, 1.0), trial)
        return cls(known, at, scale.of(losses), latest, ends, lengths < target, scale)


def _lengths(length: int) -> IntArray:
    """Return 1, 2, 4, 8, ... up to a fraction of a length, and the length."""
    doubled = 2 ** np.arange(int(length).bit_length())
    return np.append(doubled[doubled < _EARLIER_FRACTION * length], length)


def _ahead(process: JointProcess, data: _Data, kept: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each curve's loss at the end."""
    mean = data.values[data.latest].copy()
    std = np.zeros(len(mean))
    seen = np.isin(data.latest, kept)
    inside = np.flatnonzero(data.unfinished & seen)
    if len(inside):
        mean[inside], std[inside] = process.each(data.ends.take(inside))
    beyond = np.flatnonzero(data.unfinished & ~seen)
    if len(beyond):
        before = data.known.take(data.latest[beyond])
        losses = data.values[data.latest[beyond]]
        mean[beyond], std[beyond] = process.after_one(before, losses, data.ends.take(beyond))
    return mean, std


def _min_informative_resource(
    process: JointProcess, target: int, state: Mapping[str, Any]
) -> tuple[int, int]:
    """Return the shortest resource at which losses inform about final losses: mostly 1.

    On recorded curves the correlation of a trial's first and last loss under the fitted process is
    mostly 0.4 to 0.9, and 0.1 to 0.3 if the best trials learn slowly, as boosted trees do. Around
    the bound it changes from one forecast to the next, so a return to 1 takes clear evidence: the
    second value is the number of successive forecasts that gave it.
    """
    before = int(state.get("min_informative_resource", 1))
    if len(process.values) < _MIN_CORRELATED_LOSSES:
        return before, 0
    units = np.arange(1, max(round(_MAX_FRACTION * target), 1) + 1)
    correlation = process.correlation_with_end(np.log(units) / np.log(max(target, 2)))
    if correlation[0] >= _MIN_CORRELATION:
        n_clear = int(state.get("n_clear", 0)) + 1 if correlation[0] >= _CLEAR_CORRELATION else 0
        if before == 1 or n_clear >= _CLEAR_FORECASTS:
            return 1, 0
        return before, n_clear
    enough = np.flatnonzero(correlation >= _GOOD_CORRELATION)
    return int(units[enough[0]] if len(enough) else units[-1]), 0


def _skill(process: JointProcess) -> float | None:
    """Return the skill of predicting each curve's latest loss from all other losses."""
    trial, values = process.points.trial, process.values
    last = np.append(trial[1:] != trial[:-1], True)
    earlier = np.append(False, trial[1:] == trial[:-1])
    rows = np.flatnonzero(last & earlier)
    reference = float(np.mean((values[rows] - values[rows - 1]) ** 2)) if len(rows) else 0.0
    if len(rows) < _MIN_SKILL_CURVES or reference <= 0:
        return None
    return 1 - float(np.mean((values[rows] - process.held_out()[rows]) ** 2)) / reference
