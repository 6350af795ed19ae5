"""The Gaussian process behind `JointPredictor`: its kernel, its fit and its posterior.

Two points, of configurations x and x' and lengths u and u' (logarithms, 1 at the end), have

    k = k_x (surface^2 + drift^2 k_u) + [same trial] (level^2 + wander^2 k_w) + common^2 (1 + k_c)

with Matern 5/2 kernels k_x over the hyperparameters (one length scale each) and k_u over length,
Matern 3/2 for k_w, and a Gaussian of fixed width for k_c. The terms are: a surface over the
hyperparameters that is the same at all lengths, one that changes with the length, the trial's own
level and its own drift, and the trend common to all curves. The logarithms of these settings,
theta, maximise the posterior; their prior means are means over fits to recorded tables of curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hpo._typing import BoolArray, FloatArray, IntArray

_NAMES = ("surface", "drift", "level", "wander", "common", "noise", "drift_length", "wander_length")
_MEANS = np.log([0.55, 0.75, 0.09, 0.3, 0.35, 0.03, 0.5, 0.75])
_SPREADS = np.array([0.5, 0.5, 0.6, 0.6, 0.9, 1.0, 0.35, 0.5])
_LENGTH, _LENGTH_SPREAD = np.log(0.7), 1.0
"""Normal priors on the logarithms of the settings, and on those of the length scales."""
_FIRST_LENGTH = len(_NAMES)
_COMMON_WIDTH = 0.5
_JITTER = 1e-6
_MAX_DEVIATION = 8.0
"""Bound of the deviation of theta from its prior mean."""


@dataclass(frozen=True)
class Points:
    """Points of the process: hyperparameters, length and trial.

    Attributes
    ----------
    x : ndarray of shape (n_points, n_features)
        Hyperparameters, scaled to [0, 1].
    when : ndarray of shape (n_points,)
        Logarithms of the lengths, scaled to 1 at the maximum resource.
    trial : ndarray of shape (n_points,)
        Number of the trial.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import Points
    >>> len(Points(np.zeros((2, 1)), np.array([0.5, 1.0]), np.array([0, 0])))
    2
    """

    x: FloatArray
    when: FloatArray
    trial: IntArray

    def __len__(self) -> int:
        return len(self.when)

    def take(self, rows: IntArray) -> Points:
        """Return the points of some rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n_kept,)
        """
        return Points(self.x[rows], self.when[rows], self.trial[rows])


@dataclass(frozen=True)
class _Parts:
    """The kernel's factors between two sets of points, each (n, m)."""

    reach: FloatArray  # scaled distance between hyperparameters
    k_x: FloatArray
    k_u: FloatArray
    longer_u: FloatArray  # its derivative by the logarithm of its length scale
    k_w: FloatArray
    longer_w: FloatArray
    k_c: FloatArray
    same: BoolArray


def _parts(first: Points, second: Points, theta: FloatArray) -> _Parts:
    lengths = np.exp(theta[_FIRST_LENGTH:])
    left, right = first.x / lengths, second.x / lengths
    square = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    reach = np.sqrt(5 * np.maximum(square, 0.0))
    apart = np.abs(first.when[:, None] - second.when)
    k_u, longer_u = _matern52(apart / np.exp(theta[6]))
    k_w, longer_w = _matern32(apart / np.exp(theta[7]))
    return _Parts(
        reach=reach,
        k_x=(1 + reach + reach**2 / 3) * np.exp(-reach),
        k_u=k_u,
        longer_u=longer_u,
        k_w=k_w,
        longer_w=longer_w,
        k_c=1 + np.exp(-0.5 * (apart / _COMMON_WIDTH) ** 2),
        same=first.trial[:, None] == second.trial,
    )


def _matern52(r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the kernel, and its derivative by the logarithm of the length scale."""
    q = np.sqrt(5.0) * r
    decay = np.exp(-q)
    return (1 + q + q**2 / 3) * decay, q**2 * (1 + q) / 3 * decay


def _matern32(r: FloatArray) -> tuple[FloatArray, FloatArray]:
    q = np.sqrt(3.0) * r
    decay = np.exp(-q)
    return (1 + q) * decay, q**2 * decay


def _squares(theta: FloatArray) -> FloatArray:
    return np.asarray(np.exp(2 * theta[:6]))


def _sum(parts: _Parts, theta: FloatArray) -> FloatArray:
    surface, drift, level, wander, common, _ = _squares(theta)
    own = parts.same * (level + wander * parts.k_w)
    return np.asarray(parts.k_x * (surface + drift * parts.k_u) + own + common * parts.k_c)


class JointProcess:
    """Gaussian process of losses in a scale of about mean 0 and unit spread.

    Parameters
    ----------
    points : Points
        Points of the known losses; one or more.
    values : ndarray of shape (n_points,)
        The losses.
    start : ndarray, default=None
        Initial theta. Default: the prior means.

    See Also
    --------
    hpo.JointPredictor : The predictor that uses it.

    Examples
    --------
    Two trials are known at half of their length. The process predicts their final losses:

    >>> import numpy as np
    >>> from hpo.surrogates import JointProcess, Points
    >>> x, trial = np.array([[0.1], [0.9]]), np.array([0, 1])
    >>> known = Points(x, np.array([0.8, 0.8]), trial)
    >>> process = JointProcess(known, np.array([-1.0, 1.0])).condition()
    >>> mean, std = process.each(Points(x, np.ones(2), trial))
    >>> bool(mean[0] < mean[1])
    True
    """

    def __init__(self, points: Points, values: FloatArray, start: FloatArray | None = None) -> None:
        n_features = points.x.shape[1]
        self._means = np.concatenate([_MEANS, np.full(n_features, _LENGTH)])
        self._spreads = np.concatenate([_SPREADS, np.full(n_features, _LENGTH_SPREAD)])
        fits = start is not None and start.shape == self._means.shape
        self.theta: FloatArray = start if fits and start is not None else self._means
        self.points = points
        self.values = values

    def fit(self, iterations: int = 10) -> Self:
        """Maximise the posterior of theta.

        Parameters
        ----------
        iterations : int, default=10
            Maximum number of L-BFGS iterations.
        """
        from scipy.optimize import minimize

        found = minimize(
            self.objective,
            self.theta,
            jac=True,
            method="L-BFGS-B",
            bounds=list(
                zip(self._means - _MAX_DEVIATION, self._means + _MAX_DEVIATION, strict=True)
            ),
            options={"maxiter": iterations, "maxfun": iterations + 5},
        )
        if np.isfinite(found.fun):
            self.theta = found.x
        return self

    def objective(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative log posterior of theta and its gradient.

        Parameters
        ----------
        theta : ndarray of shape (8 + n_features,)
        """
        from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

        parts = _parts(self.points, self.points, theta)
        covariance = self._noisy(_sum(parts, theta), theta)
        root, failed = dpotrf(covariance, lower=1)
        if failed:
            return np.inf, np.zeros_like(theta)
        weights, _ = dpotrs(root, self.values, lower=1)
        value = 0.5 * self.values @ weights + np.log(np.diag(root)).sum()
        inverse, _ = dpotri(root, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        gradient = self._gradient(parts, theta, inverse - np.outer(weights, weights))
        away = (theta - self._means) / self._spreads
        return float(value + 0.5 * away @ away), gradient + away / self._spreads

    def _gradient(self, parts: _Parts, theta: FloatArray, slope: FloatArray) -> FloatArray:
        """Return half the trace of `slope` times each derivative of the covariance."""
        surface, drift, level, wander, common, noise = _squares(theta)
        over_x, own = slope * parts.k_x, slope * parts.same
        over_time = np.vdot(over_x, parts.k_u)
        steep = slope * ((5 / 3) * (1 + parts.reach) * np.exp(-parts.reach))
        steep *= surface + drift * parts.k_u
        scaled = self.points.x / np.exp(theta[_FIRST_LENGTH:])
        return np.array(
            [
                surface * over_x.sum(),
                drift * over_time,
                level * own.sum(),
                wander * np.vdot(own, parts.k_w),
                common * np.vdot(slope, parts.k_c),
                noise * np.trace(slope),
                0.5 * drift * np.vdot(over_x, parts.longer_u),
                0.5 * wander * np.vdot(own, parts.longer_w),
                *(steep.sum(axis=1) @ scaled**2 - np.sum(scaled * (steep @ scaled), axis=0)),
            ]
        )

    def _noisy(self, covariance: FloatArray, theta: FloatArray) -> FloatArray:
        covariance[np.diag_indices(len(covariance))] += self._noise(theta)
        return covariance

    @staticmethod
    def _noise(theta: FloatArray) -> float:
        return float(np.exp(2 * theta[5])) + _JITTER

    def condition(self) -> Self:
        """Condition the process on the losses, with the present theta."""
        from scipy.linalg import cho_solve, cholesky

        parts = _parts(self.points, self.points, self.theta)
        self._root = cholesky(self._noisy(_sum(parts, self.theta), self.theta), lower=True)
        self._weights = cho_solve((self._root, True), self.values)
        return self

    def correlation_with_end(self, when: FloatArray) -> FloatArray:
        """Return the prior correlation of losses at these lengths with final losses, (n,).

        Taken over trials and without noise. What is common to all curves does not distinguish
        trials, and is left out.

        Parameters
        ----------
        when : ndarray of shape (n,)
            Logarithms of the lengths, scaled to 1 at the maximum resource.
        """
        return np.asarray(self._among(1 - when) / self._among(np.zeros(1)))

    def held_out(self) -> FloatArray:
        """Return the leave-one-out mean of each known loss, (n_points,)."""
        from scipy.linalg import solve_triangular

        inverse_root = solve_triangular(self._root, np.eye(len(self._root)), lower=True)
        return np.asarray(self.values - self._weights / (inverse_root**2).sum(axis=0))

    def held_out_lasts(self) -> tuple[FloatArray, IntArray]:
        """Return errors of forecasts of each trial's last loss from the trial cut shorter.

        Each trial is cut at each of its known losses but the last. The process keeps all losses of
        the other trials.

        Returns
        -------
        errors : ndarray of shape (n_forecasts,)
            Loss minus forecast, in standard deviations of the forecast, noise included.
        rows : ndarray of int, shape (n_forecasts,)
            Point at which the trial was cut.
        """
        from scipy.linalg import cho_solve

        inverse = cho_solve((self._root, True), np.eye(len(self._root)))
        errors, rows = [], []
        last = np.flatnonzero(np.append(self.points.trial[1:] != self.points.trial[:-1], True))
        first = np.append(0, last[:-1] + 1)
        for start, end in zip(first.tolist(), last.tolist(), strict=True):
            for row in range(start, end):
                hidden = slice(row + 1, end + 1)
                covariance = np.linalg.inv(inverse[hidden, hidden])
                error = covariance[-1] @ self._weights[hidden]
                errors.append(error / np.sqrt(covariance[-1, -1]))
                rows.append(row)
        return np.array(errors), np.array(rows, dtype=np.intp)

    def joint(self, points: Points) -> tuple[FloatArray, FloatArray]:
        """Return the mean, (n,), and the covariance, (n, n), of losses without noise.

        Parameters
        ----------
        points : Points
        """
        mean, halves = self._halves(points)
        prior = _sum(_parts(points, points, self.theta), self.theta)
        return mean, prior - halves.T @ halves

    def each(self, points: Points) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of each loss, both (n,).

        Parameters
        ----------
        points : Points
        """
        mean, halves = self._halves(points)
        variance = self._variance - (halves**2).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def after_one(
        self, before: Points, losses: FloatArray, ahead: Points
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation ahead, given one more loss of the same trial each.

        For trials that the process is not conditioned on: n conditionings at the cost of one.

        Parameters
        ----------
        before : Points
            Point of each known loss.
        losses : ndarray of shape (n,)
        ahead : Points
            Points to predict, in the same order.
        """
        at, halves_at = self._halves(before)
        mean, halves = self._halves(ahead)
        between = self._own(np.abs(ahead.when - before.when)) - (halves_at * halves).sum(axis=0)
        known = self._variance - (halves_at**2).sum(axis=0) + self._noise(self.theta)
        gain = between / known
        variance = self._variance - (halves**2).sum(axis=0) - gain * between
        return mean + gain * (losses - at), np.sqrt(np.maximum(variance, 1e-12))

    @property
    def _variance(self) -> float:
        return float(self._own(np.zeros(1))[0])

    def _own(self, apart: FloatArray) -> FloatArray:
        """Return the covariance between two lengths of one trial."""
        common = np.exp(2 * self.theta[4])
        k_c = 1 + np.exp(-0.5 * (apart / _COMMON_WIDTH) ** 2)
        return np.asarray(self._among(apart) + common * k_c)

    def _among(self, apart: FloatArray) -> FloatArray:
        """Return the same without the trend common to all curves."""
        surface, drift, level, wander, _, _ = _squares(self.theta)
        k_u, _ = _matern52(apart / np.exp(self.theta[6]))
        k_w, _ = _matern32(apart / np.exp(self.theta[7]))
        return np.asarray(surface + drift * k_u + level + wander * k_w)

    def _halves(self, points: Points) -> tuple[FloatArray, FloatArray]:
        from scipy.linalg import solve_triangular

        cross = _sum(_parts(points, self.points, self.theta), self.theta)  # (n, n_known)
        return cross @ self._weights, solve_triangular(self._root, cross.T, lower=True)
