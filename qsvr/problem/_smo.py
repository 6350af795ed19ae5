"""Compiled sequential minimal optimisation of the dual over real coefficients.

Minimises ``1/2 b'Kb - y'b + sum(cost_n * |b_n - kink_n|)`` over ``lower_n <= b_n <= upper_n`` with
the sum of all coefficients kept, two of them at a time (Platt 1998; second choice by largest
decrease as in Fan, Chen and Lin 2005). One more coefficient, the slack, may follow those of the
samples: it has curvature and no kernel, so that a penalty on the sum of the others, instead of a
constraint, is the same problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import njit

__all__ = ["smo"]

Array = NDArray[Any]


@njit
def smo(
    K: Array, diagonal: Array, field: Array, b: Array, lower: Array, upper: Array, kink: Array,
    cost: Array, tol: float, max_iter: int,
) -> int:  # fmt: skip
    """Minimise in place; return the number of pairs moved.

    Stops when the optimality conditions are violated by at most ``tol``, or after ``max_iter``
    pairs.

    Parameters
    ----------
    K : ndarray of shape (n, n)
    diagonal, field, b, lower, upper, kink, cost : ndarray of shape (n,), or (n + 1,) with a slack
        Diagonal of K and the slack's curvature; derivatives K b - y and the slack's, and the
        point, both changed in place; bounds; corner of the cost, within the bounds, and its slope.
    tol : float
    max_iter : int
    """
    n, size = K.shape[0], field.size
    row_i, row_j = np.zeros(size), np.zeros(size)
    for iteration in range(max_iter):
        slope_i, i = np.inf, -1  # derivative and position of the steepest rise
        for m in range(size):
            slope = field[m] + (cost[m] if b[m] >= kink[m] else -cost[m])
            if b[m] < upper[m] and slope < slope_i:
                slope_i, i = slope, m
        if i < 0:
            return iteration
        if i < n:
            row_i[:n] = K[i]
        else:
            row_i[:n] = 0.0
        if size > n:
            row_i[n] = diagonal[n] if i == n else 0.0
        # The partner whose fall gains most as i rises; the violation is that of the worst one.
        worst, best, j, slope_j = 0.0, 0.0, -1, 0.0
        for m in range(size):
            slope = field[m] + (cost[m] if b[m] > kink[m] else -cost[m])
            violation = slope - slope_i
            if m == i or b[m] <= lower[m] or violation <= 0.0:
                continue
            worst = max(worst, violation)
            both = diagonal[i] + diagonal[m]
            gain = violation * violation / max(both - 2.0 * row_i[m], 1e-12 * both)
            if gain > best:
                best, j, slope_j = gain, m, slope
        if j < 0 or worst <= tol:
            return iteration
        if j < n:
            row_j[:n] = K[j]
        else:
            row_j[:n] = 0.0
        if size > n:
            row_j[n] = diagonal[n] if j == n else 0.0
        both = diagonal[i] + diagonal[j]
        step = (slope_j - slope_i) / max(both - 2.0 * row_i[j], 1e-12 * both)
        # The cost has a corner: no step beyond it, the next one goes on from there.
        end_i = kink[i] if b[i] < kink[i] else upper[i]
        end_j = kink[j] if b[j] > kink[j] else lower[j]
        room_i, room_j = end_i - b[i], b[j] - end_j
        step = min(step, room_i, room_j)
        b[i] = end_i if step == room_i else b[i] + step
        b[j] = end_j if step == room_j else b[j] - step
        for m in range(size):
            field[m] += step * (row_i[m] - row_j[m])
    return max_iter
