"""Compiled sequential minimal optimisation of the dual over real coefficients.

Minimises ``1/2 b'Kb - y'b + sum(cost_n * |b_n - kink_n|)`` over ``lower_n <= b_n <= upper_n`` with
the sum of all coefficients kept, two of them at a time (Platt 1998; second choice by largest
decrease as in Fan, Chen and Lin 2005). One more coefficient, the slack, may follow those of the
samples: it has curvature and no kernel, so that a penalty on the sum of the others, instead of a
constraint, is the same problem.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import inner, njit

__all__ = ["Box", "smo"]

Array = NDArray[Any]


class Box(NamedTuple):
    """Bounds and linear cost of each coefficient; all arrays have its length."""

    lower: Array
    upper: Array
    kink: Array  # where the cost has its corner, within the bounds
    cost: Array  # slope of the cost


@inner
def _steepest_rise(field: Array, b: Array, box: Box) -> tuple[int, float]:
    """Return position and derivative of the coefficient that gains most per unit of rise."""
    best, best_slope = -1, np.inf
    for m in range(field.size):
        slope = field[m] + (box.cost[m] if b[m] >= box.kink[m] else -box.cost[m])
        if b[m] < box.upper[m] and slope < best_slope:
            best, best_slope = m, slope
    return best, best_slope


@inner
def _best_fall(
    row: Array, diagonal: Array, field: Array, b: Array, box: Box, i: int, slope_i: float
) -> tuple[int, float, float]:
    """Return the partner whose fall gains most as i rises, its derivative, and the violation.

    The violation is the largest one over all partners, that of the stopping rule.
    """
    worst, best, best_m, best_slope = 0.0, 0.0, -1, 0.0
    for m in range(field.size):
        slope = field[m] + (box.cost[m] if b[m] > box.kink[m] else -box.cost[m])
        violation = slope - slope_i
        if m == i or b[m] <= box.lower[m] or violation <= 0.0:
            continue
        worst = max(worst, violation)
        both = diagonal[i] + diagonal[m]
        gain = violation * violation / max(both - 2.0 * row[m], 1e-12 * both)
        if gain > best:
            best, best_m, best_slope = gain, m, slope
    return best_m, best_slope, worst


@inner
def _set_row(K: Array, diagonal: Array, i: int, row: Array) -> None:
    """Copy a row of the kernel; that of the slack is 0 but for its curvature."""
    n = K.shape[0]
    for m in range(n):
        row[m] = K[i, m] if i < n else 0.0
    if row.size > n:
        row[n] = diagonal[n] if i == n else 0.0


@njit
def smo(
    K: Array, diagonal: Array, field: Array, b: Array, box: Box, tol: float, max_iter: int
) -> int:
    """Minimise in place; return the number of pairs moved.

    Stops when the optimality conditions are violated by at most ``tol``, or after ``max_iter``
    pairs.

    Parameters
    ----------
    K : ndarray of shape (n, n)
    diagonal, field, b : ndarray of shape (n,), or (n + 1,) with a slack
        Diagonal of K and the slack's curvature; derivatives K b - y and the slack's, and the
        point, both changed in place.
    box : Box
    tol : float
    max_iter : int
    """
    row_i, row_j = np.empty(field.size), np.empty(field.size)
    for iteration in range(max_iter):
        i, slope_i = _steepest_rise(field, b, box)
        if i < 0:
            return iteration
        _set_row(K, diagonal, i, row_i)
        j, slope_j, worst = _best_fall(row_i, diagonal, field, b, box, i, slope_i)
        if j < 0 or worst <= tol:
            return iteration
        _set_row(K, diagonal, j, row_j)
        both = diagonal[i] + diagonal[j]
        step = (slope_j - slope_i) / max(both - 2.0 * row_i[j], 1e-12 * both)
        # The cost has a corner: no step beyond it, the next one goes on from there.
        end_i = box.kink[i] if b[i] < box.kink[i] else box.upper[i]
        end_j = box.kink[j] if b[j] > box.kink[j] else box.lower[j]
        room_i, room_j = end_i - b[i], b[j] - end_j
        step = min(step, room_i, room_j)
        b[i] = end_i if step == room_i else b[i] + step
        b[j] = end_j if step == room_j else b[j] - step
        for m in range(field.size):
            field[m] += step * (row_i[m] - row_j[m])
    return max_iter
