"""Compiled local search on coefficient levels: 1-opt and pair descent, in double precision.

Levels have shape (2, n): row 0 positions of a in the grid, row 1 of a-hat. A pair move raises b of
one sample and lowers b of another. Where levels are even, each uses the cheaper of its two
coefficients; where they are not, both ways are tried, and the two coefficients of one sample
together as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import njit

__all__ = ["LevelProblem", "descend", "pair_excitations"]

Array = NDArray[Any]


class LevelProblem(NamedTuple):
    """A dual over levels of coefficients."""

    K: Array  # (n, n), equality penalty included
    y: Array  # (n,)
    epsilon: float
    overlap: float
    offset: Array  # (2, n)
    width: Array  # (2, n)
    grid: Array  # (n_levels,)
    even: bool  # whether one level changes b by the same amount in both coefficients of a sample


@njit
def _value(problem: LevelProblem, side: int, n: int, level: int) -> float:
    value: float = problem.offset[side, n] + problem.width[side, n] * problem.grid[level]
    return value


@njit
def _apply(K: Array, field: Array, n: int, change: float) -> None:
    for m in range(field.size):
        field[m] += change * K[n, m]


@njit
def _set_field(problem: LevelProblem, levels: Array, field: Array) -> None:
    """Set ``field`` to K b - y."""
    for m in range(field.size):
        field[m] = -problem.y[m]
    for n in range(field.size):
        b = _value(problem, 0, n, levels[0, n]) - _value(problem, 1, n, levels[1, n])
        if b != 0.0:
            _apply(problem.K, field, n, b)


@njit
def _sweep_singles(problem: LevelProblem, levels: Array, field: Array, tol: float) -> float:
    """Set each coefficient to its best level given the others; return the energy gained."""
    gained = 0.0
    for n in range(field.size):
        curvature = problem.K[n, n]
        for side in range(2):
            sign = 1.0 - 2.0 * side
            old = _value(problem, side, n, levels[side, n])
            other = _value(problem, 1 - side, n, levels[1 - side, n])
            slope = sign * field[n] + problem.epsilon + problem.overlap * other
            best, best_level, best_change = -tol, levels[side, n], 0.0
            for level in range(problem.grid.size):
                change = _value(problem, side, n, level) - old
                energy = change * (slope + 0.5 * curvature * change)
                if energy < best:
                    best, best_level, best_change = energy, level, change
            if best_level != levels[side, n]:
                levels[side, n] = best_level
                _apply(problem.K, field, n, sign * best_change)
                gained -= best
    return gained


@njit
def _shift(
    problem: LevelProblem, levels: Array, n: int, direction: int, stride: int, option: int
) -> tuple[float, float, int, int]:
    """Return (change of b, linear energy, side, level) of raising or lowering b of sample n.

    Option 0 takes one coefficient down, option 1 the other one up. Down is cheaper, so where levels
    are even option 0 is up only if there is no way down, and option 1 does not exist. The change
    is 0 where fewer than ``stride`` levels are left.
    """
    down_side = 1 if direction > 0 else 0
    can_rise = levels[1 - down_side, n] + stride < problem.grid.size
    if option == 0 and levels[down_side, n] >= stride:
        side, level = down_side, levels[down_side, n] - stride
    elif can_rise and (option == 0) == problem.even:
        side, level = 1 - down_side, levels[1 - down_side, n] + stride
    else:
        return 0.0, 0.0, 0, 0
    change = _value(problem, side, n, level) - _value(problem, side, n, levels[side, n])
    other = _value(problem, 1 - side, n, levels[1 - side, n])
    cost = change * (problem.epsilon + problem.overlap * other)
    return change if side == 0 else -change, cost, side, level


@njit
def _set_falls(problem: LevelProblem, levels: Array, n: int, stride: int, falls: Array) -> None:
    """Store what lowering b of sample n does, by either option."""
    for option in range(falls.shape[0]):
        change, cost, _, _ = _shift(problem, levels, n, -1, stride, option)
        falls[option, 0, n], falls[option, 1, n] = change, cost


@njit
def _best_partner(
    problem: LevelProblem, field: Array, i: int, up: float, cost: float, falls: Array
) -> tuple[float, int, int]:
    """Return (energy, j, option) of the best sample to lower while sample i is raised by ``up``."""
    K = problem.K
    base = up * field[i] + 0.5 * K[i, i] * up * up + cost
    best, best_j, best_option = np.inf, -1, 0
    for option in range(falls.shape[0]):
        for j in range(field.size):
            down = falls[option, 0, j]
            if j == i or down == 0.0:
                continue
            energy = down * (field[j] + 0.5 * K[j, j] * down + K[i, j] * up)
            energy += base + falls[option, 1, j]
            if energy < best:
                best, best_j, best_option = energy, j, option
    return best, best_j, best_option


@njit
def _exchange(
    problem: LevelProblem,
    levels: Array,
    field: Array,
    i: int,
    stride: int,
    option: int,
    falls: Array,
) -> float:
    """Raise sample i while its best partner is lowered; return the change of energy.

    If that does not lower the energy, levels stay as they are and 0 is returned.
    """
    up, cost, side, level = _shift(problem, levels, i, 1, stride, option)
    if up == 0.0:
        return 0.0
    energy, j, option_j = _best_partner(problem, field, i, up, cost, falls)
    if j < 0 or energy >= 0.0:
        return 0.0
    down, _, side_j, level_j = _shift(problem, levels, j, -1, stride, option_j)
    levels[side, i] = level
    levels[side_j, j] = level_j
    _apply(problem.K, field, i, up)
    _apply(problem.K, field, j, down)
    _set_falls(problem, levels, i, stride, falls)
    _set_falls(problem, levels, j, stride, falls)
    return energy


@njit
def _sweep_pairs(
    problem: LevelProblem, levels: Array, field: Array, tol: float, stride: int, falls: Array
) -> float:
    """Raise each sample's b together with the best one to lower; return the energy gained."""
    gained = 0.0
    for n in range(field.size):
        _set_falls(problem, levels, n, stride, falls)
    for i in range(field.size):
        for option in range(falls.shape[0]):
            energy = -np.inf
            while energy < -tol:
                energy = _exchange(problem, levels, field, i, stride, option, falls)
                gained -= energy
    return gained


@njit
def _sweep_own_pairs(problem: LevelProblem, levels: Array, field: Array, tol: float) -> float:
    """Set both coefficients of each sample to their best levels; return the energy gained.

    Beyond 16 levels each moves by at most one.
    """
    gained, size = 0.0, problem.grid.size
    few = size <= 16
    for n in range(field.size):
        la, lah = levels[0, n], levels[1, n]
        a, ah = _value(problem, 0, n, la), _value(problem, 1, n, lah)
        best, best_a, best_ah, best_change = -tol, la, lah, 0.0
        for p in range(0 if few else max(la - 1, 0), size if few else min(la + 2, size)):
            for q in range(0 if few else max(lah - 1, 0), size if few else min(lah + 2, size)):
                new_a, new_ah = _value(problem, 0, n, p), _value(problem, 1, n, q)
                change = (new_a - a) - (new_ah - ah)
                energy = change * (field[n] + 0.5 * problem.K[n, n] * change)
                energy += problem.epsilon * (new_a - a + new_ah - ah)
                energy += problem.overlap * (new_a * new_ah - a * ah)
                if energy < best:
                    best, best_a, best_ah, best_change = energy, p, q, change
        if best < -tol:
            levels[0, n], levels[1, n] = best_a, best_ah
            _apply(problem.K, field, n, best_change)
            gained -= best
    return gained


@njit
def _drop_overlap(levels: Array) -> None:
    """Lower a and a-hat of a sample together: the same b at less cost, where steps are equal."""
    for n in range(levels.shape[1]):
        common = min(levels[0, n], levels[1, n])
        levels[0, n] -= common
        levels[1, n] -= common


@njit
def descend(problem: LevelProblem, levels: Array, tol: float) -> None:
    """Descend in place to levels that no change of one, nor an opposite change of two, improves.

    ``levels`` has shape (n_reads, 2, n); gains up to ``tol`` do not count.
    """
    n_options = 1 if problem.even else 2
    field, falls = np.empty(problem.y.size), np.empty((n_options, 2, problem.y.size))
    for read in range(levels.shape[0]):
        current = levels[read]
        _set_field(problem, current, field)
        stride = max(problem.grid.size // 8, 1)
        while stride >= 1:
            gained = np.inf
            while gained > tol:
                if problem.even:
                    _drop_overlap(current)  # single moves may bring it back
                gained = _sweep_singles(problem, current, field, tol)
                gained += _sweep_pairs(problem, current, field, tol, stride, falls)
                if not problem.even:
                    gained += _sweep_own_pairs(problem, current, field, tol)
            stride //= 2


@njit
def pair_excitations(problem: LevelProblem, levels: Array, partners: Array) -> Array:
    """Return the energies of one-level pair moves (i up, partner down) from levels (2, n).

    They have the shape of ``partners``, (n, n_partners), and are infinite for impossible moves.
    """
    K = problem.K
    field = np.empty(problem.y.size)
    _set_field(problem, levels, field)
    energies = np.full(partners.shape, np.inf)
    for i in range(field.size):
        up, cost_up, _, _ = _shift(problem, levels, i, 1, 1, 0)
        for q in range(partners.shape[1]):
            j = partners[i, q]
            down, cost_down, _, _ = _shift(problem, levels, j, -1, 1, 0)
            if i != j and up != 0.0 and down != 0.0:
                slope = up * field[i] + down * field[j] + cost_up + cost_down
                curvature = 0.5 * (K[i, i] * up * up + K[j, j] * down * down) + K[i, j] * up * down
                energies[i, q] = slope + curvature
    return energies
