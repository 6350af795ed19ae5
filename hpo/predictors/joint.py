"""Forecasts from one Gaussian process over hyperparameters and length of training.

What the losses of other trials say, what the trial's own curve says, and what similar
hyperparameters came to, are weighed in one model, and the same model says what untried
configurations may come to: a forecast brings a surrogate of them along (`hpo.searchers.Surrogate`).

The settings of the process are fitted anew only when a third more losses are known. In between
they come from the report of the forecast before (`with_memory`), so that a search repeats itself
whatever process makes the forecasts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hpo._typing import BoolArray, FloatArray, IntArray
from hpo.predictors.forecaster import Forecast, ForecastingPredictor, check_curves
from hpo.space.encoding import ConfigEncoder
from hpo.space.search_space import SearchSpace
from hpo.surrogates.joint_gp import JointProcess, Points
from hpo.surrogates.scales import BentScale
from hpo.trial import Config, Curve

Encoder = Callable[[Sequence[Config]], FloatArray]

_REFIT = 1.35
"""Settings are fitted anew when so many times more losses are known."""
_OWN = 0.8
"""Earlier losses of a curve count up to this share of its length."""
_FEWEST = 5
"""Skill is measured on as many curves of two known lengths or more."""
_TELLS, _ENOUGH, _LONGEST = 0.3, 0.6, 0.25
"""Where first losses have less than this correlation with the last, it takes a length at which they
have that much, up to this share of the whole."""
_KNOWN = 60
"""Losses below which that correlation is not judged: fitted to fewer it is low by chance, too."""


class JointPredictor(ForecastingPredictor):
    """Forecasts from a joint process over hyperparameters and length (see `Forecaster`).

    Parameters
    ----------
    space : SearchSpace, optional
        Turns hyperparameters into numbers. Default: as the searcher sees them where it tells,
        else by their values (`hpo.space.encoding`).
    max_points : int
        Losses that the process takes at most, at least 20: those of the best trials first, of the
        others the latest ones. Each trial beyond them is forecast from its own latest loss and
        the process.
    iterations : int
        Of a fit of the settings, at most; at least 1.
    seed : int
        Draws the trials beyond the best ones, where there are more than the process takes.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Swersky et al., Freeze-Thaw Bayesian Optimization, arXiv 1406.3896, which has the trial's own
    process; here the surface may change with the length too.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        max_points: int = 400,
        iterations: int = 10,
        seed: int = 0,
    ) -> None:
        if max_points < 20:
            raise ValueError(f"max_points must be at least 20, got {max_points!r}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations!r}")
        super().__init__(seed)
        self.space = space
        self.max_points = max_points
        self.iterations = iterations
        self.encoder: Encoder | None = None
        self.memory: Mapping[str, Any] = {}

    def with_encoder(self, encoder: Encoder) -> Self:
        """Return a copy that sees hyperparameters as a searcher does; `space` goes before.

        Parameters
        ----------
        encoder : callable
            From configurations to an array of shape (n_configs, n_features), in [0, 1].
        """
        twin = copy.copy(self)
        twin.encoder = encoder
        return twin

    def with_memory(self, memory: Mapping[str, Any]) -> Self:
        """Return a copy that starts from the settings of an earlier forecast.

        Parameters
        ----------
        memory : Mapping
            ``info["memory"]`` of its report; empty for none.
        """
        twin = copy.copy(self)
        twin.memory = dict(memory)
        return twin

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
        check_curves(curves)
        encode = self._encode(curves)
        data = _Data.of(curves, encode([curve.config for curve in curves]), target)
        kept = self._kept(data)
        process, fitted = self._process(data.known.take(kept), data.values[kept])
        mean, std = _ahead(process, data, kept)
        return Forecast(
            mean=mean,
            std=std,
            scale=data.scale,
            skill=_skill(process),
            info=self._info(len(kept)),
            surrogate=JointSurrogate(process, encode),
            min_informative_resource=_telling(process, target),
            warm_start_state={"theta": process.theta.tolist(), "n_points": fitted},
        )

    def _encode(self, curves: Sequence[Curve]) -> Encoder:
        if self.space is not None:
            space = self.space
            return lambda configs: np.array([space.to_features(config) for config in configs])
        return self.encoder or ConfigEncoder.of([curve.config for curve in curves])

    def _kept(self, data: _Data) -> IntArray:
        """Return the rows of `data` that the process takes, in their order."""
        n_rows = len(data.values)
        if n_rows <= self.max_points:
            return np.arange(n_rows)
        rank = np.argsort(np.argsort(data.values[data.latest], kind="stable"), kind="stable")
        by_merit = np.argsort(rank[data.known.trial], kind="stable")  # rows of the best first
        best = by_merit[: 3 * self.max_points // 4]
        others = np.setdiff1d(data.latest, best)
        rng = np.random.default_rng(self.seed)
        n_others = min(self.max_points - len(best), len(others))
        return np.sort(np.concatenate([best, rng.choice(others, n_others, replace=False)]))

    def _process(self, points: Points, values: FloatArray) -> tuple[JointProcess, int]:
        """Return the process, and with how many losses its settings were fitted."""
        theta = self.memory.get("theta")
        before = int(self.memory.get("n_points", 0))
        process = JointProcess(points, values, None if theta is None else np.array(theta, float))
        if theta is None or len(theta) != len(process.theta) or len(values) >= _REFIT * before:
            return process.fit(self.iterations).condition(), len(values)
        return process.condition(), before


@dataclass(frozen=True)
class JointSurrogate:
    """What a process says of configurations that were not tried (see `hpo.searchers.Surrogate`).

    Attributes
    ----------
    process : JointProcess
        Conditioned on all that is known.
    encode : callable
        From configurations to features.
    """

    process: JointProcess
    encode: Encoder

    def expect(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the final losses, both (n_configs,).

        Parameters
        ----------
        configs : sequence of Config
        """
        return self.process.each(self._ends(configs))

    def draw(self, configs: Sequence[Config], n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw the final losses jointly, (n_draws, n_configs).

        Parameters
        ----------
        configs : sequence of Config
        n_draws : int
        rng : numpy.random.Generator
        """
        mean, covariance = self.process.joint(self._ends(configs))
        ridge = 1e-6 * covariance.diagonal().max() * np.eye(len(mean))
        root = np.linalg.cholesky(covariance + ridge)
        return np.asarray(mean + rng.standard_normal((n_draws, len(mean))) @ root.T)

    def _ends(self, configs: Sequence[Config]) -> Points:
        new = -1 - np.arange(len(configs))  # numbers that no trial has
        return Points(self.encode(configs), np.ones(len(configs)), new)


@dataclass(frozen=True)
class _Data:
    """Curves as points: some earlier losses of each, and the latest.

    Attributes
    ----------
    known : Points
        Where losses are known, trial by trial, each in the order of time.
    values : ndarray of shape (n_known,)
        The losses, in the scale.
    latest : ndarray of shape (n_curves,)
        Row of each curve's latest loss.
    ends : Points
        Where each curve is forecast.
    unfinished : ndarray of shape (n_curves,)
        Whether a curve has some way to go.
    scale : BentScale
        Of the values.
    """

    known: Points
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
        return cls(known, scale.of(losses), latest, ends, lengths < target, scale)


def _lengths(length: int) -> IntArray:
    """Return 1, 2, 4, 8, ... well below a length, and the length."""
    doubled = 2 ** np.arange(int(length).bit_length())
    return np.append(doubled[doubled < _OWN * length], length)


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


def _telling(process: JointProcess, target: int) -> int:
    """Return after how many units a loss tells enough of the last: 1 unless first losses mislead.

    On recorded curves the correlation of a trial's first loss and its last is mostly 0.4 to 0.9 by
    the fitted settings, and 0.1 to 0.3 where the best learn slowly, as boosted trees do.
    """
    if len(process.values) < _KNOWN:
        return 1
    units = np.arange(1, max(round(_LONGEST * target), 1) + 1)
    told = process.tells(np.log(units) / np.log(max(target, 2)))
    if told[0] >= _TELLS:
        return 1
    enough = np.flatnonzero(told >= _ENOUGH)
    return int(units[enough[0]] if len(enough) else units[-1])


def _skill(process: JointProcess) -> float | None:
    """Return the skill against last value, for each curve's latest loss given all the others."""
    trial, values = process.points.trial, process.values
    last = np.append(trial[1:] != trial[:-1], True)
    earlier = np.append(False, trial[1:] == trial[:-1])
    rows = np.flatnonzero(last & earlier)
    nothing = float(np.mean((values[rows] - values[rows - 1]) ** 2)) if len(rows) else 0.0
    if len(rows) < _FEWEST or nothing <= 0:
        return None
    return 1 - float(np.mean((values[rows] - process.held_out()[rows]) ** 2)) / nothing
