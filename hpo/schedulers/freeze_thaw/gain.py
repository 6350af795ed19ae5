"""What the remaining epochs may still gain, by a forecast."""

from __future__ import annotations

import numpy as np

from hpo._typing import FloatArray
from hpo.schedulers.freeze_thaw.arrays import Int64Array
from hpo.surrogates.scales import Scale

_WIDEST = 6.0
"""The integral begins so many standard deviations below the lowest mean."""
_N_POINTS = 400


def expected_improvement(
    mean: FloatArray, std: FloatArray, scale: Scale, incumbent: float
) -> float:
    """Return the expected improvement on the incumbent by the best of several final losses.

    The final losses are independent and normally distributed in the forecast's scale:
    ``E[max(incumbent - min_i L_i, 0)]``, the integral of ``P(min_i L_i < x)`` over the losses x
    below the incumbent.

    Parameters
    ----------
    mean, std : ndarray of shape (n_trials,)
        Forecast final losses and their standard deviations, in the scale.
    scale : LogScale or BentScale
        Scale of the forecast.
    incumbent : float
        Loss to improve on.

    Returns
    -------
    float
        In units of the loss, 0 without trials.
    """
    from scipy.special import ndtr

    if not len(mean):
        return 0.0
    goal = float(scale.of(np.array([incumbent]))[0])
    lowest = float(np.min(mean - _WIDEST * std))
    if not lowest < goal < np.inf:
        return 0.0
    edges = np.linspace(lowest, goal, _N_POINTS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    above = ndtr((mean - middle[:, None]) / np.maximum(std, 1e-12))  # P(L_i > x)
    below_best = 1 - np.prod(above, axis=1)
    return float(np.sum(np.diff(scale.to_loss(edges)) * below_best))


def most_promising(
    mean: FloatArray, std: FloatArray, cost: Int64Array, goal: float, epochs: int
) -> Int64Array:
    """Return the trials that the epochs can complete, the most promising first.

    Parameters
    ----------
    mean, std : ndarray of shape (n_trials,)
        Forecast final losses and their standard deviations, in one scale.
    cost : ndarray of int, shape (n_trials,)
        Epochs that complete each trial; at least 1.
    goal : float
        Value to improve on, in the scale.
    epochs : int
        Epochs that are left.

    Returns
    -------
    ndarray of int, shape (n_chosen,)
        By decreasing expected improvement per epoch, as many as the epochs suffice for.
    """
    from scipy.special import ndtr

    spread = np.maximum(std, 1e-12)
    z = np.maximum((goal - mean) / spread, -40.0)  # below, the gain is 0, as where goal is -inf
    gain = spread * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    order = np.argsort(-gain / cost, kind="stable")
    return np.asarray(order[np.cumsum(cost[order]) <= epochs])
