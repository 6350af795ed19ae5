"""The offset of the regression function, from optimality conditions or from the training loss.

>>> import numpy as np
>>> primal_intercept(np.array([1.0, 2.0, 9.0]), epsilon=0.1, weights=np.ones(3))
2.0
"""

from __future__ import annotations

import numpy as np

from qsvr._typing import FloatArray

__all__ = ["INTERCEPTS", "kkt_intercept", "primal_intercept"]

INTERCEPTS = ("primal", "kkt")


def kkt_intercept(
    residual: FloatArray,
    b: FloatArray,
    C: FloatArray,
    epsilon: float,
) -> float:
    """Return the mean of the offsets that the free support vectors imply, as libsvm does.

    A free vector lies on the tube's edge: y - f = +epsilon where 0 < a < C, and -epsilon where
    0 < a-hat < C (the research code used +epsilon for both). Without a free one, the middle of the
    interval that the bounded ones allow.

    Parameters
    ----------
    residual, b, C : ndarray of shape (n_samples,)
        y - K b without offset, dual coefficients a - a-hat, and their bounds.
    epsilon : float
    """
    margin = 1e-9 * C
    free_above = (b > margin) & (b < C - margin)
    free_below = (b < -margin) & (b > -C + margin)
    values = np.concatenate([residual[free_above] - epsilon, residual[free_below] + epsilon])
    if values.size:
        return float(values.mean())
    # b = 0 bounds the offset from both sides, b = C from above and b = -C from below.
    rising = residual - np.where(b >= 0, epsilon, -epsilon)
    falling = residual - np.where(b > 0, epsilon, -epsilon)
    low, high = rising[b < C - margin], falling[b > -C + margin]
    if not low.size or not high.size:
        return primal_intercept(residual, epsilon, C)
    return float(0.5 * (low.max() + high.min()))


def primal_intercept(residual: FloatArray, epsilon: float, weights: FloatArray) -> float:
    """Return the exact minimiser over c of the epsilon-insensitive training loss.

    The loss is ``sum_n weights_n * max(0, |residual_n - c| - epsilon)``, half the sum of
    ``|r - epsilon - c| + |r + epsilon - c|`` up to a constant, so the minimiser is the weighted
    median of the 2n points r -+ epsilon; where a whole interval is optimal, its middle.

    Parameters
    ----------
    residual : ndarray of shape (n_samples,)
        y - K b, without offset.
    epsilon : float
    weights : ndarray of shape (n_samples,)
        Of the samples' losses: the box C.
    """
    points = np.concatenate([residual - epsilon, residual + epsilon])
    order = np.argsort(points, kind="stable")
    points = points[order]
    mass = np.cumsum(np.concatenate([weights, weights])[order])
    half = 0.5 * mass[-1]
    tol = 1e-12 * mass[-1]
    first = int(np.searchsorted(mass, half - tol))
    last = int(np.searchsorted(mass, half + tol))
    return float(0.5 * (points[first] + points[min(last, points.size - 1)]))
