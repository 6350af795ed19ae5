"""Models from hyperparameters to final losses, some of them only forecast.

Every trial gives one observation, the forecast of its final loss, with the forecast's own spread as
its noise: a trial that was trained to the end counts in full, one of a single epoch little. Joint
draws from the posterior (Thompson sampling) then say what else to try.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from hpo._typing import FloatArray, IntArray

_LENGTH, _LENGTH_SPREAD = np.log(0.7), 0.8
_NOISE, _NOISE_SPREAD = 2 * np.log(0.1), 2.0
_VARIANCE_SPREAD = 2.0
"""Normal priors on the logarithms of length scales, noise and signal variance (mean 0)."""
_JITTER = 1e-8
_SHORTLIST = 256


class SurfaceModel(Protocol):
    """Learns final losses over the search space, and draws from what it believes."""

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Learn from forecasts of shape (n_trials,) at x of shape (n_trials, n_features).

        Parameters
        ----------
        x : ndarray of shape (n_trials, n_features)
        mean, std : ndarray of shape (n_trials,)
            Forecasts and their standard deviations.
        rng : numpy.random.Generator
        """
        ...

    def draw(self, x: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw final losses at x, of shape (n_draws, n_points); infinite where hopeless.

        Parameters
        ----------
        x : ndarray of shape (n_points, n_features)
        n_draws : int
        rng : numpy.random.Generator
        """
        ...

    def expect(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the final losses at x, both (n_points,).

        Parameters
        ----------
        x : ndarray of shape (n_points, n_features)
        """
        ...


class Surface:
    """Expected final losses over the search space.

    Length scales, one a hyperparameter, signal and noise maximise the posterior under weak priors:
    with a few dozen points the likelihood alone is easily fooled.

    Parameters
    ----------
    max_points : int
        Trials that it is fitted to at most: the best half of them, the rest drawn at random.
    iterations : int
        Of the optimisation of its hyperparameters.
    cap : float
        Losses above this quantile are lowered to it: how bad a bad configuration is tells nothing
        about the good ones.
    """

    def __init__(self, max_points: int = 160, iterations: int = 15, cap: float = 0.75) -> None:
        self.max_points = max_points
        self.iterations = iterations
        self.cap = cap

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Learn from forecasts.

        Parameters
        ----------
        x : ndarray of shape (n_trials, n_features)
            Hyperparameters, scaled to [0, 1].
        mean, std : ndarray of shape (n_trials,)
            Forecasts of the final loss, in any scale.
        rng : Generator
            Draws trials where there are more than `max_points`.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        rows = self._choose(mean, rng)
        x, mean, std = x[rows], mean[rows], std[rows]
        mean = np.minimum(mean, np.quantile(mean, self.cap))
        self._shift = float(np.median(mean))
        self._scale = max(float(mean.std()), 1e-6)
        dims = x.shape[1]
        kernel = ConstantKernel(1.0, (1e-2, 50.0)) * Matern(
            np.full(dims, np.exp(_LENGTH)), (0.05, 20.0), nu=2.5
        ) + WhiteKernel(np.exp(_NOISE), (1e-4, 2.0))
        self._model = GaussianProcessRegressor(
            kernel, alpha=(std / self._scale) ** 2 + _JITTER, optimizer=self._maximise
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound
            self._model.fit(x, (mean - self._shift) / self._scale)
        return self

    def draw(self, x: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw final losses of new trials jointly.

        Parameters
        ----------
        x : ndarray of shape (n_points, n_features)
            Hyperparameters.
        n_draws : int
            How many.
        rng : Generator
            Draws them.

        Returns
        -------
        ndarray of shape (n_draws, n_points)
            Infinite for points that have next to no chance of being the lowest: the joint
            distribution is worked out for the `_SHORTLIST` most promising only.
        """
        mean, std = self._model.predict(x, return_std=True)
        rows = np.argsort(mean - 2 * std, kind="stable")[:_SHORTLIST]
        mean, covariance = self._model.predict(x[rows], return_cov=True)
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(rows)) * covariance.max())
        noise = rng.standard_normal((n_draws, len(rows)))
        draws = np.full((n_draws, len(x)), np.inf)
        draws[:, rows] = self._shift + self._scale * (mean + noise @ root.T)
        return draws

    def expect(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the final losses, both (n_points,)."""
        mean, std = self._model.predict(x, return_std=True)
        return self._shift + self._scale * mean, self._scale * std

    def _choose(self, mean: FloatArray, rng: np.random.Generator) -> IntArray:
        order = np.argsort(mean, kind="stable")
        if len(mean) <= self.max_points:
            return np.arange(len(mean))
        best = order[: self.max_points // 2]
        rest = rng.choice(order[len(best) :], self.max_points - len(best), replace=False)
        return np.sort(np.concatenate([best, rest]))

    def _maximise(
        self, objective: Callable[..., Any], start: FloatArray, bounds: FloatArray
    ) -> tuple[FloatArray, float]:
        """Minimise the negative log posterior (see scikit-learn's ``optimizer``)."""
        from scipy.optimize import minimize

        dims = len(start) - 2
        centre = np.concatenate([[0.0], np.full(dims, _LENGTH), [_NOISE]])
        spread = np.concatenate(
            [[_VARIANCE_SPREAD], np.full(dims, _LENGTH_SPREAD), [_NOISE_SPREAD]]
        )

        def penalised(theta: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = objective(theta, eval_gradient=True)
            away = (theta - centre) / spread
            return value + 0.5 * float(away @ away), gradient + away / spread

        found = minimize(
            penalised,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": self.iterations},
        )
        return found.x, float(found.fun)


class Trees:
    """Extremely randomised trees: a draw is the mean of a few trees taken at random.

    Unlike a Gaussian process they make nothing of smoothness, and do well where there is none.

    Parameters
    ----------
    n_trees : int
        In the forest.
    per_draw : int
        Trees that make a draw.
    cap : float
        As for `Surface`.
    """

    def __init__(self, n_trees: int = 30, per_draw: int = 3, cap: float = 0.75) -> None:
        self.n_trees = n_trees
        self.per_draw = per_draw
        self.cap = cap

    def fit(
        self,
        x: FloatArray,
        mean: FloatArray,
        std: FloatArray,  # noqa: ARG002 - the spread shows in the trees' disagreement
        rng: np.random.Generator,
    ) -> Self:
        """Learn from forecasts (see `Surface.fit`)."""
        from sklearn.ensemble import ExtraTreesRegressor

        self._forest = ExtraTreesRegressor(
            self.n_trees,
            min_samples_leaf=2,
            max_features=0.7,
            bootstrap=True,
            random_state=int(rng.integers(2**31)),
        )
        self._forest.fit(x, np.minimum(mean, np.quantile(mean, self.cap)))
        return self

    def draw(self, x: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw final losses of new trials, of shape (n_draws, n_points)."""
        each = self._each(x)
        rows = [rng.choice(self.n_trees, self.per_draw, replace=False) for _ in range(n_draws)]
        return np.stack([each[chosen].mean(axis=0) for chosen in rows])

    def expect(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of such draws, both (n_points,)."""
        each = self._each(x)
        return each.mean(axis=0), each.std(axis=0) / np.sqrt(self.per_draw)

    def _each(self, x: FloatArray) -> FloatArray:  # (n_trees, n_points)
        return np.stack([tree.predict(x) for tree in self._forest.estimators_])


class Mixed:
    """Draws in turn from several models: none is the best on every problem.

    Parameters
    ----------
    *models : SurfaceModel
        Default: `Surface` and `Trees`.
    """

    def __init__(self, *models: SurfaceModel) -> None:
        self.models = models or (Surface(), Trees())

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Have each model learn from the forecasts."""
        for model in self.models:
            model.fit(x, mean, std, rng)
        return self

    def draw(self, x: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw final losses of new trials, of shape (n_draws, n_points)."""
        draws = np.empty((n_draws, len(x)))
        for place, model in enumerate(self.models):
            turn = slice(place, None, len(self.models))
            draws[turn] = model.draw(x, len(range(n_draws)[turn]), rng)
        return draws

    def expect(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the mixture, both (n_points,)."""
        means, stds = map(np.stack, zip(*(model.expect(x) for model in self.models), strict=True))
        return means.mean(axis=0), np.sqrt((stds**2).mean(axis=0) + means.var(axis=0))
