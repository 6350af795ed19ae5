"""Compiled coordinate descent for the box-constrained dual, two coordinates at a time.

The support vector dual without an equality constraint is a convex quadratic over a box. Moving the
coordinate of largest decrease together with the partner that profits most from it (Steinwart, Hush
and Scovel 2011, "Training SVMs without offset") crosses the narrow valley that the equality penalty
makes, where single coordinates crawl.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import njit

__all__ = ["box_qp", "frank_wolfe_gap"]

@njit
def _step(gradient: float, curvature: float, value: float, low: float, high: float) -> float:
    """Return the move of one coordinate to its minimum within [low, high]."""
    target = value - gradient / max(curvature, 1e-12)
    return min(max(target, low), high) - value


@njit
def frank_wolfe_gap(
    field: NDArray[np.float64],
    epsilon: float,
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    z: NDArray[np.float64],
) -> float:
    """Bound on E(z) - min E for a convex dual: sum over coordinates of max -grad * (z' - z)."""
    gap = 0.0
    for n in range(field.size):
        for side in range(2):
            gradient = (field[n] if side == 0 else -field[n]) + epsilon
            corner = lower[side, n] if gradient > 0 else upper[side, n]
            gap += gradient * (z[side, n] - corner)
    return gap


@njit
def _best_single(field, diagonal, epsilon, lower, upper, z):  # type: ignore[no-untyped-def]
    """Return (gain, side, sample, move) of the coordinate whose own minimum gains most."""
    best, best_side, best_n, best_move = 0.0, 0, -1, 0.0
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for n in range(field.size):
            gradient = sign * field[n] + epsilon
            move = _step(gradient, diagonal[n], z[side, n], lower[side, n], upper[side, n])
            gain = -move * (gradient + 0.5 * diagonal[n] * move)
            if gain > best:
                best, best_side, best_n, best_move = gain, side, n, move
    return best, best_side, best_n, best_move


@njit
def _minimise_pair(K, epsilon, lower, upper, z, field, first, second):  # type: ignore[no-untyped-def]
    """Minimise over two coordinates (side, sample) by their joint Newton step or the box's edge."""
    s, n = first
    t, m = second
    sign_s, sign_t = 1.0 - 2.0 * s, 1.0 - 2.0 * t
    qss, qtt, qst = K[n, n], K[m, m], sign_s * sign_t * K[n, m]
    gs, gt = sign_s * field[n] + epsilon, sign_t * field[m] + epsilon
    det = qss * qtt - qst * qst
    if det > 1e-12 * qss * qtt:
        ds, dt = (qst * gt - qtt * gs) / det, (qst * gs - qss * gt) / det
        inside_s = lower[s, n] <= z[s, n] + ds <= upper[s, n]
        if inside_s and lower[t, m] <= z[t, m] + dt <= upper[t, m]:
            return ds, dt
    # The minimum lies on an edge of the rectangle: try each, with the other coordinate free on it.
    best, best_s, best_t = 0.0, 0.0, 0.0
    for edge in range(4):
        if edge < 2:
            ds = (lower[s, n] if edge == 0 else upper[s, n]) - z[s, n]
            dt = _step(gt + qst * ds, qtt, z[t, m], lower[t, m], upper[t, m])
        else:
            dt = (lower[t, m] if edge == 2 else upper[t, m]) - z[t, m]
            ds = _step(gs + qst * dt, qss, z[s, n], lower[s, n], upper[s, n])
        change = gs * ds + gt * dt + 0.5 * (qss * ds * ds + qtt * dt * dt) + qst * ds * dt
        if change < best:
            best, best_s, best_t = change, ds, dt
    return best_s, best_t


@njit
def _partner(K, diagonal, epsilon, lower, upper, z, field, chosen):  # type: ignore[no-untyped-def]
    """Return (side, sample) of the coordinate that gains most after ``chosen`` has moved."""
    side_p, p, move = chosen
    shift = (1.0 - 2.0 * side_p) * move
    best, best_side, best_n = -1.0, 0, -1
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for n in range(field.size):
            if n == p and side == side_p:
                continue
            gradient = sign * (field[n] + shift * K[p, n]) + epsilon
            step = _step(gradient, diagonal[n], z[side, n], lower[side, n], upper[side, n])
            gain = -step * (gradient + 0.5 * diagonal[n] * step)
            if gain > best:
                best, best_side, best_n = gain, side, n
    return best_side, best_n


@njit
def _is_close(y, epsilon, lower, upper, z, field, rtol):  # type: ignore[no-untyped-def]
    """Whether the gap is at most ``rtol`` of the energy, 1/2 b(field - y) + epsilon sum(z)."""
    energy = 0.0
    for n in range(y.size):
        energy += 0.5 * (z[0, n] - z[1, n]) * (field[n] - y[n]) + epsilon * (z[0, n] + z[1, n])
    return frank_wolfe_gap(field, epsilon, lower, upper, z) <= rtol * abs(energy)


@njit
def box_qp(K, y, epsilon, lower, upper, z, field, rtol, max_iter):  # type: ignore[no-untyped-def]
    """Minimise the dual over the box, in place, until its gap is at most ``rtol`` of the energy.

    Parameters
    ----------
    K : ndarray of shape (n, n)
        Kernel matrix with the equality penalty added.
    y : ndarray of shape (n,)
    epsilon : float
        Half width of the tube.
    lower, upper, z : ndarray of shape (2, n)
        Box and current point; ``z`` is changed.
    field : ndarray of shape (n,)
        K b - y at ``z``; changed along with it.
    rtol : float
        Stop when the Frank-Wolfe gap is at most this share of the energy.
    max_iter : int
        Stop after this many pairs.

    Returns
    -------
    int
        Number of pairs moved.
    """
    n_samples = field.size
    diagonal = np.empty(n_samples)
    for n in range(n_samples):
        diagonal[n] = max(K[n, n], 1e-12)
    for iteration in range(max_iter):
        if iteration % n_samples == 0 and _is_close(y, epsilon, lower, upper, z, field, rtol):
            return iteration
        gain, side, p, move = _best_single(field, diagonal, epsilon, lower, upper, z)
        if p < 0 or gain <= 0.0:
            return iteration
        other_side, q = _partner(K, diagonal, epsilon, lower, upper, z, field, (side, p, move))
        dp, dq = move, 0.0
        if q >= 0:
            dp, dq = _minimise_pair(
                K, epsilon, lower, upper, z, field, (side, p), (other_side, q)
            )
            z[other_side, q] = min(
                max(z[other_side, q] + dq, lower[other_side, q]), upper[other_side, q]
            )
        z[side, p] = min(max(z[side, p] + dp, lower[side, p]), upper[side, p])
        up, uq = (1.0 - 2.0 * side) * dp, (1.0 - 2.0 * other_side) * dq
        for n in range(n_samples):
            field[n] += up * K[p, n] + (uq * K[q, n] if q >= 0 else 0.0)
    return max_iter
