"""Compiled exact finish of a small sub-problem: sequential minimal optimisation.

Minimises ``1/2 b'Kb - y'b + epsilon * sum|b|`` over ``|b_n| <= C_n`` with sum(b) kept, two
coefficients at a time (Platt 1998; second choice by largest decrease as in Fan, Chen and Lin 2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import njit

__all__ = ["smo"]

Array = NDArray[Any]


@njit
def _best_fall(
    K: Array, field: Array, b: Array, C: Array, epsilon: float, i: int, slope_i: float
) -> tuple[float, int, float]:
    """Return (violation, sample, derivative) of the partner whose fall gains most as i rises.

    The violation is the largest over all partners, that of the stopping rule.
    """
    worst, best, best_n, best_slope = 0.0, 0.0, -1, 0.0
    for n in range(field.size):
        if n == i or b[n] <= -C[n]:
            continue
        slope = field[n] + (epsilon if b[n] > 0.0 else -epsilon)
        violation = slope - slope_i
        if violation <= 0.0:
            continue
        worst = max(worst, violation)
        gain = violation * violation / max(K[i, i] + K[n, n] - 2.0 * K[i, n], 1e-12)
        if gain > best:
            best, best_n, best_slope = gain, n, slope
    return worst, best_n, best_slope


@njit
def smo(
    K: Array, field: Array, b: Array, C: Array, epsilon: float, tol: float, max_iter: int
) -> int:
    """Minimise in place; return the number of pairs moved.

    ``b`` is the point and ``field`` is K b - y there, without penalty. Stops when the conditions
    are violated by at most ``tol``, or after ``max_iter`` pairs.
    """
    for iteration in range(max_iter):
        slope_i, i = np.inf, -1  # derivative and position of the steepest rise
        for n in range(field.size):
            slope = field[n] + (epsilon if b[n] >= 0.0 else -epsilon)
            if b[n] < C[n] and slope < slope_i:
                slope_i, i = slope, n
        if i < 0:
            return iteration
        worst, j, slope_j = _best_fall(K, field, b, C, epsilon, i, slope_i)
        if j < 0 or worst <= tol:
            return iteration
        step = (slope_j - slope_i) / max(K[i, i] + K[j, j] - 2.0 * K[i, j], 1e-12)
        # The cost |b| has a corner at 0: no step beyond it, the next one goes on from there.
        end_i = 0.0 if b[i] < 0.0 else C[i]
        end_j = 0.0 if b[j] > 0.0 else -C[j]
        room_i, room_j = end_i - b[i], b[j] - end_j
        step = min(step, room_i, room_j)
        b[i] = end_i if step == room_i else b[i] + step
        b[j] = end_j if step == room_j else b[j] - step
        for n in range(field.size):
            field[n] += step * (K[i, n] - K[j, n])
    return max_iter
