"""Weights of the best distinct solutions.

A sampler returns many low-energy solutions. Below a gap of about 1% the energy hardly predicts the
test error, and the average of distinct solutions nearly always predicts better than the lowest one,
so the default is their mean. The error-based forms are those of Pasetto et al. 2022, section III-C,
with errors taken relative to the target's variance so that they do not depend on units.
"""

from __future__ import annotations

import numpy as np

from qsvr._typing import FloatArray

__all__ = ["COMBINATIONS", "combination_weights"]

_FROM_ERRORS = ("mse", "mse-softmax", "log-cosh", "log-cosh-softmax", "r2", "r2-softmax")
COMBINATIONS: tuple[str, ...] = ("mean", "best", "boltzmann", *_FROM_ERRORS)


def combination_weights(
    method: str,
    energies: FloatArray,
    predictions: FloatArray,
    y: FloatArray,
) -> FloatArray:
    """Return non-negative weights of the solutions, with the sum 1.

    Parameters
    ----------
    method : str
        One of `COMBINATIONS`: ``"best"`` (lowest energy), ``"mean"``, ``"boltzmann"`` (at the
        temperature of the energies' own mean excess), or by errors: inverse (``"mse"``,
        ``"log-cosh"``), proportional (``"r2"``, negative scores count as 0) or their softmax.
    energies : ndarray of shape (n_solutions,)
    predictions : ndarray of shape (n_solutions, n_validation)
        Predictions of each solution for the validation samples.
    y : ndarray of shape (n_validation,)

    Returns
    -------
    ndarray of shape (n_solutions,)
    """
    if method == "best":
        weights = (np.arange(energies.size) == np.argmin(energies)).astype(np.float64)
    elif method == "mean":
        weights = np.ones(energies.size)
    elif method == "boltzmann":
        excess = energies - energies.min()
        weights = np.exp(-excess / (excess.mean() or 1.0))
    else:
        weights = _error_weights(method, predictions, y)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _error_weights(method: str, predictions: FloatArray, y: FloatArray) -> FloatArray:
    if method.startswith("log-cosh"):
        scaled = np.abs(predictions - y) / (np.std(y) or 1.0)
        # log(cosh(x)) without overflow
        errors = np.mean(scaled + np.log1p(np.exp(-2.0 * scaled)) - np.log(2.0), axis=1)
    else:
        errors = np.mean((predictions - y) ** 2, axis=1) / (np.var(y) or 1.0)
    if method.endswith("-softmax"):
        return np.asarray(np.exp(errors.min() - errors))
    if method == "r2":
        r2 = np.maximum(1.0 - errors, 0.0)
        return r2 if r2.any() else np.ones_like(r2)
    # A solution without error takes all the weight, in the limit.
    return np.asarray(1.0 / np.maximum(errors, 1e-12))
