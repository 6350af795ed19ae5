"""Offset of the regression function, from the optimality conditions.

>>> import numpy as np
>>> kkt_intercept(np.array([1.0, 0.0]), np.array([0.5, -0.5]), C=np.ones(2), epsilon=0.1)
0.5
"""

from __future__ import annotations

import numpy as np

from qsvr._typing import FloatArray
from qsvr.problem import primal_intercept, two_sided

__all__ = ["INTERCEPTS", "kkt_intercept", "primal_intercept"]

INTERCEPTS = ("primal", "kkt")


def kkt_intercept(
    residual: FloatArray,
    b: FloatArray,
    C: FloatArray,
    epsilon: float,
) -> float:
    """Return the mean of the offsets of the free support vectors, as libsvm does.

    A free vector lies on the tube's edge: y - f = +epsilon where 0 < a < C, and -epsilon where
    0 < a-hat < C (the research code used +epsilon for both). If there is no free vector, it is the
    middle of the interval that the bounded ones allow.

    Parameters
    ----------
    residual, b : ndarray of shape (n_samples,)
        y - K b without offset, and dual coefficients a - a-hat.
    C : ndarray of shape (n_samples,) or (2, n_samples)
        Bounds of a and a-hat.
    epsilon : float
    """
    upper, lower = two_sided(C)
    margin = 1e-9 * np.maximum(upper, lower)
    can_rise, can_fall = b < upper - margin, b > margin - lower
    free_above, free_below = (b > margin) & can_rise, (b < -margin) & can_fall
    values = np.concatenate([residual[free_above] - epsilon, residual[free_below] + epsilon])
    if values.size:
        return float(values.mean())
    # b = 0 within its box bounds the offset from both sides, b at an end of it from one.
    rising = residual - np.where(b >= 0, epsilon, -epsilon)
    falling = residual - np.where(b > 0, epsilon, -epsilon)
    low, high = rising[can_rise], falling[can_fall]
    if not low.size or not high.size:
        return float(primal_intercept(residual, epsilon, C))
    return float(0.5 * (low.max() + high.min()))
