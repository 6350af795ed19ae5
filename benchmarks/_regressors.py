"""Regressors that `forecasts.py` measures beside the package's own: a Gaussian process, a network.

`PooledPredictor` takes any scikit-learn regressor. These two are no better in it than extra trees
(docs/research/appendix.md), so they are not part of the package.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.neural_network import MLPRegressor

from hpo.predictors.regressors import standardised

Floats = NDArray[np.float64]


class Subsampled(RegressorMixin, BaseEstimator):
    """Fits a regressor to rows drawn at random, where there are more than it can take.

    Its warnings of an optimisation that stopped early are kept quiet: with the few iterations that
    a forecast has time for they say nothing. All other warnings pass.

    Parameters
    ----------
    regressor : object
        A scikit-learn regressor; it is cloned, never fitted itself.
    max_samples : int
        Rows at most.
    random_state : int
        Draws the rows.
    """

    def __init__(self, regressor: Any, max_samples: int = 1000, random_state: int = 0) -> None:
        self.regressor = regressor
        self.max_samples = max_samples
        self.random_state = random_state

    def fit(self, X: Floats, y: Floats) -> Self:
        """Learn from X of shape (n_samples, n_features) and y of shape (n_samples,)."""
        rows = self._rows(len(y))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.regressor_ = clone(self.regressor).fit(X[rows], y[rows])
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict for X of shape (n_samples, n_features)."""
        return np.asarray(self.regressor_.predict(X))

    def _rows(self, n: int) -> NDArray[np.intp]:
        if n <= self.max_samples:
            return np.arange(n)
        rng = np.random.default_rng(self.random_state)
        return np.sort(rng.choice(n, self.max_samples, replace=False))


def gaussian_process() -> Any:
    """Return a Gaussian process, Matern plus white noise, on a subsample: time grows with n^3."""
    matern = ConstantKernel(1.0, (1e-2, 50.0)) * Matern(5.0, (0.1, 1e3), nu=1.5)
    kernel = matern + WhiteKernel(0.3, (1e-4, 2.0))
    return standardised(Subsampled(GaussianProcessRegressor(kernel, alpha=1e-8), 300))


def network() -> Any:
    """Return a neural network of one small layer with much weight decay, few steps of L-BFGS."""
    model = MLPRegressor(hidden_layer_sizes=(16,), alpha=30.0, solver="lbfgs", max_iter=50)
    return standardised(Subsampled(model))


MEASURED = {"gp": gaussian_process, "mlp": network}
