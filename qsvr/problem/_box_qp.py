"""Compiled coordinate descent for the box-constrained dual, two coordinates at a time.

The support vector dual without an equality constraint is a convex quadratic over a box. Moving the
coordinate of largest decrease together with the partner that then gains most (Steinwart, Hush and
Scovel 2011, "Training SVMs without offset") crosses the narrow valley that the equality penalty
makes, where single coordinates converge slowly.

What runs once in a while stands outside of the compiled code, which is part of each first fit.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from qsvr._numba import inner, njit

__all__ = ["move_pairs"]

Array = NDArray[Any]


@inner
def _clip(value: float, low: float, high: float) -> float:
    if value < low:
        return low
    return high if value > high else value


@inner
def _minimise_pair(
    curvature: tuple[float, float, float],
    gradient: tuple[float, float],
    lower: tuple[float, float],
    upper: tuple[float, float],
) -> tuple[float, float]:
    """Return the moves, between ``lower`` and ``upper``, that minimise over two coordinates.

    ``curvature`` is that of the first, of the second, and the mixed one.
    """
    qss, qtt, qst = curvature
    gs, gt = gradient
    det = qss * qtt - qst * qst
    if det > 1e-12 * qss * qtt:
        ds, dt = (qst * gt - qtt * gs) / det, (qst * gs - qss * gt) / det
        if lower[0] <= ds <= upper[0] and lower[1] <= dt <= upper[1]:
            return ds, dt
    # The minimum lies on an edge of the rectangle: try each, with the other coordinate free on it.
    best, best_s, best_t = 0.0, 0.0, 0.0
    for edge in range(4):
        if edge < 2:
            ds = lower[0] if edge == 0 else upper[0]
            dt = _clip(-(gt + qst * ds) / qtt, lower[1], upper[1])
        else:
            dt = lower[1] if edge == 2 else upper[1]
            ds = _clip(-(gs + qst * dt) / qss, lower[0], upper[0])
        change = gs * ds + gt * dt + 0.5 * (qss * ds * ds + qtt * dt * dt) + qst * ds * dt
        if change < best:
            best, best_s, best_t = change, ds, dt
    return best_s, best_t


@njit
def move_pairs(
    K: Array, diagonal: Array, epsilon: float, box: tuple[Array, Array], field: Array, z: Array,
    n_pairs: int,
) -> int:  # fmt: skip
    """Move at most ``n_pairs`` pairs of coordinates downhill; return how many gained something.

    Parameters
    ----------
    K : ndarray of shape (n, n)
        Kernel matrix with the equality penalty added.
    diagonal : ndarray of shape (n,)
        Its diagonal, above 0.
    epsilon : float
    box : tuple of two ndarray of shape (2, n)
        Lower and upper bounds; row 0 is a, row 1 a-hat.
    field : ndarray of shape (n,)
        K b - y, changed in place.
    z : ndarray of shape (2, n)
        The point, changed in place.
    n_pairs : int
    """
    n, (lower, upper) = field.size, box
    for iteration in range(n_pairs):
        # The coordinate of largest decrease, then its best partner: the same search, which in its
        # second turn sees the fields as they are after the first one's move.
        p, q, side_p, side_q, move_p = -1, -1, 0, 0, 0.0
        for turn in range(2):
            shift = (1.0 - 2.0 * side_p) * move_p
            row = 0 if p < 0 else p
            best, best_k, best_side, best_move = 0.0, -1, 0, 0.0
            for side in range(2):
                sign = 1.0 - 2.0 * side
                for k in range(n):
                    gradient = sign * (field[k] + shift * K[row, k]) + epsilon
                    target = z[side, k] - gradient / diagonal[k]
                    move = _clip(target, lower[side, k], upper[side, k]) - z[side, k]
                    gain = -move * (gradient + 0.5 * diagonal[k] * move)
                    if gain > best and (k != p or side != side_p):
                        best, best_k, best_side, best_move = gain, k, side, move
            if turn == 0:
                p, side_p, move_p = best_k, best_side, best_move
                if p < 0:
                    return iteration
            else:
                q, side_q = best_k, best_side
        sign_p, sign_q, move_q = 1.0 - 2.0 * side_p, 1.0 - 2.0 * side_q, 0.0
        if q < 0:
            q = p
        else:
            zp, zq = z[side_p, p], z[side_q, q]
            move_p, move_q = _minimise_pair(
                (diagonal[p], diagonal[q], sign_p * sign_q * K[p, q]),
                (sign_p * field[p] + epsilon, sign_q * field[q] + epsilon),
                (lower[side_p, p] - zp, lower[side_q, q] - zq),
                (upper[side_p, p] - zp, upper[side_q, q] - zq),
            )
            moved = _clip(zq + move_q, lower[side_q, q], upper[side_q, q])
            z[side_q, q], move_q = moved, sign_q * (moved - zq)
        # Kept within the box against rounding.
        moved = _clip(z[side_p, p] + move_p, lower[side_p, p], upper[side_p, p])
        move_p = sign_p * (moved - z[side_p, p])
        z[side_p, p] = moved
        for k in range(n):
            field[k] += move_p * K[p, k] + move_q * K[q, k]
    return n_pairs
