"""Regression models from hyperparameters to final losses.

Each trial is one observation: the forecast of its final loss, with the forecast's standard
deviation as noise, so that a complete trial has full weight and a trial of one epoch little. Joint
samples of the posterior (Thompson sampling) select what to try next.
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
    """Predicts final losses over the search space, and samples from its posterior."""

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Learn from forecasts of shape (n_trials,) at x of shape (n_trials, n_features).

        Parameters
        ----------
        x : ndarray of shape (n_trials, n_features)
            Hyperparameters, scaled to [0, 1].
        mean, std : ndarray of shape (n_trials,)
            Forecasts and their standard deviations.
        rng : numpy.random.Generator
        """
        ...

    def sample(self, x: FloatArray, n_samples: int, rng: np.random.Generator) -> FloatArray:
        """Sample final losses at x, (n_samples, n_points); infinite for hopeless points.

        Parameters
        ----------
        x : ndarray of shape (n_points, n_features)
        n_samples : int
        rng : numpy.random.Generator
        """
        ...

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the final losses at x, both (n_points,).

        Parameters
        ----------
        x : ndarray of shape (n_points, n_features)
        """
        ...


class Surface:
    """Gaussian process of final losses over the search space.

    Length scales (one per hyperparameter), signal and noise maximise the posterior under weak
    priors, since the likelihood of a few dozen points overfits.

    Parameters
    ----------
    max_points : int, default=160
        Maximum number of trials that it is fitted to: the best ones fill half, the rest are drawn.
    iterations : int, default=15
        Maximum number of iterations of the fit.
    cap : float, default=0.75
        Losses above this quantile are lowered to it: how bad a bad configuration is does not inform
        about the good ones.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import Surface
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((30, 2))
    >>> model = Surface().fit(x, (x[:, 0] - 0.5) ** 2, np.full(30, 0.01), rng)
    >>> model.sample(x[:4], 3, rng).shape
    (3, 4)
    """

    def __init__(self, max_points: int = 160, iterations: int = 15, cap: float = 0.75) -> None:
        self.max_points = max_points
        self.iterations = iterations
        self.cap = cap

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Learn from forecasts; trials beyond `max_points` are drawn."""
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

    def sample(self, x: FloatArray, n_samples: int, rng: np.random.Generator) -> FloatArray:
        """Sample final losses jointly: finite for the `_SHORTLIST` most promising points only."""
        mean, std = self._model.predict(x, return_std=True)
        rows = np.argsort(mean - 2 * std, kind="stable")[:_SHORTLIST]
        mean, covariance = self._model.predict(x[rows], return_cov=True)
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(rows)) * covariance.max())
        noise = rng.standard_normal((n_samples, len(rows)))
        samples = np.full((n_samples, len(x)), np.inf)
        samples[:, rows] = self._shift + self._scale * (mean + noise @ root.T)
        return samples

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the final losses, both (n_points,)."""
        mean, std = self._model.predict(x, return_std=True)
        return self._shift + self._scale * mean, self._scale * std

    def _choose(self, mean: FloatArray, rng: np.random.Generator) -> IntArray:
        if len(mean) <= self.max_points:
            return np.arange(len(mean))
        order = np.argsort(mean, kind="stable")
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
    """Extremely randomised trees: a sample is the mean of a few trees drawn at random.

    Unlike a Gaussian process they do not assume that the loss is smooth.

    Parameters
    ----------
    n_trees : int, default=30
        Trees in the forest.
    trees_per_sample : int, default=3
        Trees per sample.
    cap : float, default=0.75
        As for `Surface`.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import Trees
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((30, 2))
    >>> model = Trees().fit(x, (x[:, 0] - 0.5) ** 2, np.full(30, 0.01), rng)
    >>> model.sample(x[:4], 3, rng).shape
    (3, 4)
    """

    def __init__(self, n_trees: int = 30, trees_per_sample: int = 3, cap: float = 0.75) -> None:
        self.n_trees = n_trees
        self.trees_per_sample = trees_per_sample
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

    def sample(self, x: FloatArray, n_samples: int, rng: np.random.Generator) -> FloatArray:
        """Sample final losses, of shape (n_samples, n_points)."""
        by_tree = self._predict_by_tree(x)
        rows = [
            rng.choice(self.n_trees, self.trees_per_sample, replace=False) for _ in range(n_samples)
        ]
        samples = [by_tree[chosen].mean(axis=0) for chosen in rows]
        return np.array(samples).reshape(n_samples, len(x))

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of such samples, both (n_points,)."""
        by_tree = self._predict_by_tree(x)
        return by_tree.mean(axis=0), by_tree.std(axis=0) / np.sqrt(self.trees_per_sample)

    def _predict_by_tree(self, x: FloatArray) -> FloatArray:  # (n_trees, n_points)
        return np.stack([tree.predict(x) for tree in self._forest.estimators_])


class Mixed:
    """Samples from several models in turn: none is the best on every problem.

    Parameters
    ----------
    *models : SurfaceModel
        Default: `Surface` and `Trees`.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import Mixed
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((30, 2))
    >>> model = Mixed().fit(x, (x[:, 0] - 0.5) ** 2, np.full(30, 0.01), rng)
    >>> model.sample(x[:4], 3, rng).shape
    (3, 4)
    """

    def __init__(self, *models: SurfaceModel) -> None:
        self.models = models or (Surface(), Trees())

    def fit(
        self, x: FloatArray, mean: FloatArray, std: FloatArray, rng: np.random.Generator
    ) -> Self:
        """Fit each model to the forecasts."""
        for model in self.models:
            model.fit(x, mean, std, rng)
        return self

    def sample(self, x: FloatArray, n_samples: int, rng: np.random.Generator) -> FloatArray:
        """Sample final losses, of shape (n_samples, n_points)."""
        samples = np.empty((n_samples, len(x)))
        for place, model in enumerate(self.models):
            turn = slice(place, None, len(self.models))
            samples[turn] = model.sample(x, len(range(n_samples)[turn]), rng)
        return samples

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the mixture, both (n_points,)."""
        means, stds = map(np.stack, zip(*(model.predict(x) for model in self.models), strict=True))
        return means.mean(axis=0), np.sqrt((stds**2).mean(axis=0) + means.var(axis=0))
