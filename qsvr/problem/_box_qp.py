"""Compiled coordinate descent for the box-constrained dual, two coordinates at a time.

The support vector dual without an equality constraint is a convex quadratic over a box. Moving the
coordinate of largest decrease together with the partner that then gains most (Steinwart, Hush and
Scovel 2011, "Training SVMs without offset") crosses the narrow valley that the equality penalty
makes, where single coordinates converge slowly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from qsvr._numba import njit

__all__ = ["BoxProblem", "box_qp", "frank_wolfe_gap"]

Array = NDArray[Any]


class BoxProblem(NamedTuple):
    """A dual over a box; coordinates are (side, sample), side 0 is a and side 1 a-hat."""

    K: Array  # (n, n), equality penalty included
    y: Array  # (n,)
    epsilon: float
    lower: Array  # (2, n)
    upper: Array  # (2, n)


@njit
def _step(problem: BoxProblem, side: int, n: int, gradient: float, value: float) -> float:
    """Return the move of one coordinate to its minimum within the box."""
    target = value - gradient / max(problem.K[n, n], 1e-12)
    bounded: float = min(max(target, problem.lower[side, n]), problem.upper[side, n])
    return bounded - value


@njit
def frank_wolfe_gap(problem: BoxProblem, field: Array, z: Array) -> float:
    """Bound on E(z) - min E for a convex dual: the sum of the largest -grad * (z' - z)."""
    gap = 0.0
    for n in range(field.size):
        for side in range(2):
            gradient = (field[n] if side == 0 else -field[n]) + problem.epsilon
            corner = problem.lower[side, n] if gradient > 0 else problem.upper[side, n]
            gap += gradient * (z[side, n] - corner)
    return gap


@njit
def _is_close(problem: BoxProblem, field: Array, z: Array, rtol: float) -> bool:
    """Whether the gap is at most ``rtol`` of the energy, 1/2 b(field - y) + epsilon sum(z)."""
    energy = 0.0
    for n in range(field.size):
        b, total = z[0, n] - z[1, n], z[0, n] + z[1, n]
        energy += 0.5 * b * (field[n] - problem.y[n]) + problem.epsilon * total
    return frank_wolfe_gap(problem, field, z) <= rtol * abs(energy)


@njit
def _best_coordinate(
    problem: BoxProblem, field: Array, z: Array, side_p: int, p: int, move_p: float
) -> tuple[float, int, int, float]:
    """Return (gain, side, sample, move) of the coordinate that gains most.

    Coordinate (``side_p``, ``p``) moves by ``move_p`` as well and is no candidate itself; ``p`` is
    -1 if there is none.
    """
    K, epsilon = problem.K, problem.epsilon
    shift = (1.0 - 2.0 * side_p) * move_p
    best, best_side, best_n, best_move = 0.0, 0, -1, 0.0
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for n in range(field.size):
            if n == p and side == side_p:
                continue
            shifted = field[n] + (shift * K[p, n] if p >= 0 else 0.0)
            gradient = sign * shifted + epsilon
            move = _step(problem, side, n, gradient, z[side, n])
            gain = -move * (gradient + 0.5 * K[n, n] * move)
            if gain > best:
                best, best_side, best_n, best_move = gain, side, n, move
    return best, best_side, best_n, best_move


@njit
def _minimise_pair(
    problem: BoxProblem, field: Array, z: Array, s: int, n: int, t: int, m: int
) -> tuple[float, float]:
    """Return the moves that minimise over coordinates (s, n) and (t, m) within the box."""
    K, lower, upper = problem.K, problem.lower, problem.upper
    sign_s, sign_t = 1.0 - 2.0 * s, 1.0 - 2.0 * t
    qss, qtt, qst = K[n, n], K[m, m], sign_s * sign_t * K[n, m]
    gs, gt = sign_s * field[n] + problem.epsilon, sign_t * field[m] + problem.epsilon
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
            dt = _step(problem, t, m, gt + qst * ds, z[t, m])
        else:
            dt = (lower[t, m] if edge == 2 else upper[t, m]) - z[t, m]
            ds = _step(problem, s, n, gs + qst * dt, z[s, n])
        change = gs * ds + gt * dt + 0.5 * (qss * ds * ds + qtt * dt * dt) + qst * ds * dt
        if change < best:
            best, best_s, best_t = change, ds, dt
    return best_s, best_t


@njit
def _move(problem: BoxProblem, field: Array, z: Array, side: int, n: int, move: float) -> None:
    """Move one coordinate, kept within the box against rounding, and the field with it."""
    moved = z[side, n] + move
    moved = min(max(moved, problem.lower[side, n]), problem.upper[side, n])
    change = (1.0 - 2.0 * side) * (moved - z[side, n])
    z[side, n] = moved
    for m in range(field.size):
        field[m] += change * problem.K[n, m]


@njit
def box_qp(problem: BoxProblem, field: Array, z: Array, rtol: float, max_iter: int) -> int:
    """Minimise the dual over the box in place; return the number of pairs moved.

    ``z`` of shape (2, n) is the point and ``field`` is K b - y there. Stops when the Frank-Wolfe
    gap is at most ``rtol`` of the energy, or after ``max_iter`` pairs.
    """
    for iteration in range(max_iter):
        if iteration % field.size == 0 and _is_close(problem, field, z, rtol):
            return iteration
        _, side, p, move = _best_coordinate(problem, field, z, 0, -1, 0.0)
        if p < 0:
            return iteration
        _, other, q, _ = _best_coordinate(problem, field, z, side, p, move)
        if q >= 0:
            move, partner_move = _minimise_pair(problem, field, z, side, p, other, q)
            _move(problem, field, z, other, q, partner_move)
        _move(problem, field, z, side, p, move)
    return max_iter
