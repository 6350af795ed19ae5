"""Compiled local search on coefficient levels: 1-opt and pair descent, in double precision.

Levels have shape (2, n): row 0 positions of a in the grid, row 1 of a-hat. A coefficient of width 0
stays at level 0. A pair move raises b of
one sample and lowers b of another. Where levels are even, each uses the cheaper of its two
coefficients; where they are not, both ways are tried, and the two coefficients of one sample
together as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import inner, njit

__all__ = ["LevelProblem", "descend"]

Array = NDArray[Any]

# Numba compiles a function anew for each Python constant that is given to it, but not for these.
_NONE: Any = np.int64(-1)
_DOWN: Any = np.int64(0)
_UP: Any = np.int64(1)
# Sweeps of one stride after which gains are suspected to be rounding.
_MANY_SWEEPS = 100


class LevelProblem(NamedTuple):
    """A dual over levels of coefficients."""

    K: Array  # (n, n), equality penalty included
    diagonal: Array  # (n,), of K
    epsilon: float
    overlap: float
    offset: Array  # (2, n)
    width: Array  # (2, n)
    grid: Array  # (n_levels,)


class _Point(NamedTuple):
    """Where the search is, all changed in place."""

    levels: Array  # (2, n)
    values: Array  # (2, n), the coefficients
    field: Array  # (n,), K b - y
    falls: Array  # (n_options, 3, n), of lowering each: change of b, linear energy, energy
    energies: Array  # (n,), working memory


@inner
def _set_level(problem: LevelProblem, point: _Point, side: int, n: int, level: int) -> None:
    value = problem.offset[side, n] + problem.width[side, n] * problem.grid[level]
    change = (1.0 - 2.0 * side) * (value - point.values[side, n])
    point.levels[side, n] = level
    point.values[side, n] = value
    for m in range(point.field.size):
        point.field[m] += change * problem.K[n, m]


@inner
def _sweep_singles(problem: LevelProblem, point: _Point, tol: float) -> float:
    """Set each coefficient to its best level given the others; return the energy gained.

    The energy is a parabola in the coefficient. Only the two levels around its minimum can be the
    best, or the two ends where it is not convex.
    """
    values, grid, gained = point.values, problem.grid, 0.0
    for n in range(point.field.size):
        curvature = problem.diagonal[n]
        for side in range(2):
            offset, width, old = problem.offset[side, n], problem.width[side, n], values[side, n]
            if width == 0.0:
                continue
            slope = (1.0 - 2.0 * side) * point.field[n] + problem.epsilon
            slope += problem.overlap * values[1 - side, n]
            low, high = 0, grid.size - 1
            while high - low > 1 and curvature > 0.0:
                middle = (low + high) // 2
                change = offset + width * grid[middle] - old
                if slope + curvature * change < 0.0:  # the energy falls there
                    low = middle
                else:
                    high = middle
            best, best_level = -tol, _NONE
            for level in (low, high):
                change = offset + width * grid[level] - old
                energy = change * (slope + 0.5 * curvature * change)
                if energy < best:
                    best, best_level = energy, level
            if best_level >= 0:
                _set_level(problem, point, side, n, best_level)
                gained -= best
    return gained


@inner
def _shifted(
    levels: Array, width: Array, n: int, down: Any, stride: int, option: int, top: int
) -> Any:
    """Return (side, level) of lowering b of sample n, or of raising it; level -1 if it cannot.

    The coefficient that ends lower is a (``down`` 0) for a lower b and a-hat (1) for a higher one.
    Option 0 takes one coefficient down, option 1 the other one up. Down is cheaper, so where levels
    are even there is option 2 only: up if there is no way down.
    """
    if option != 1 and levels[down, n] >= stride:
        return down, levels[down, n] - stride
    if option != 0 and levels[1 - down, n] + stride <= top and width[1 - down, n] > 0.0:
        return 1 - down, levels[1 - down, n] + stride
    return 0, -1


@inner
def _cost(problem: LevelProblem, point: _Point, side: int, n: int, level: int) -> Any:
    """Return the change of b, and of the linear energy, of giving a coefficient another level."""
    value = problem.offset[side, n] + problem.width[side, n] * problem.grid[level]
    change = value - point.values[side, n]
    cost = change * (problem.epsilon + problem.overlap * point.values[1 - side, n])
    return (1.0 - 2.0 * side) * change, cost


@inner
def _set_falls(problem: LevelProblem, point: _Point, n: int, stride: int) -> None:
    """Store what lowering b of sample n does, by each option."""
    falls, top = point.falls, problem.grid.size - 1
    n_options = falls.shape[0]
    for option in range(n_options):
        which = option if n_options > 1 else 2
        side, level = _shifted(point.levels, problem.width, n, _DOWN, stride, which, top)
        falls[option, 0, n], falls[option, 1, n] = 0.0, np.inf
        if level >= 0:
            falls[option, 0, n], falls[option, 1, n] = _cost(problem, point, side, n, level)


@inner
def _set_fall_energies(problem: LevelProblem, point: _Point) -> None:
    """Store by how much the energy changes if each sample alone is lowered."""
    for option in range(point.falls.shape[0]):
        changes, costs, energies = point.falls[option]
        for j in range(point.field.size):
            change = changes[j]
            energies[j] = change * (point.field[j] + 0.5 * problem.diagonal[j] * change) + costs[j]


@inner
def _lowest(
    alone: Array, changes: Array, row: Array, up: float, limit: float, energies: Array
) -> Any:
    """Return the lowest energy below ``limit`` of one sample's move with each other's, and whose.

    Up to what the first one's own move costs. Hardly any pair gains, which a count shows: that loop
    fills the vector units, and one that looks for the lowest value does not.
    """
    below = 0
    for j in range(energies.size):
        energy = alone[j] + row[j] * up * changes[j]
        energies[j] = energy
        below += energy < limit
    lowest, best_j = limit, _NONE
    if below > 0:
        for j in range(energies.size):
            if energies[j] < lowest:
                lowest, best_j = energies[j], j
    return lowest, best_j


@inner
def _exchange(problem: LevelProblem, point: _Point, i: int, stride: int, option: int) -> float:
    """Raise sample i while its best partner is lowered; return the change of energy.

    If that does not lower the energy, levels stay as they are and 0 is returned.
    """
    falls, top = point.falls, problem.grid.size - 1
    n_options = falls.shape[0]
    which = option if n_options > 1 else 2
    side, level = _shifted(point.levels, problem.width, i, _UP, stride, which, top)
    if level < 0:
        return 0.0
    up, cost = _cost(problem, point, side, i, level)
    own_energy = up * point.field[i] + 0.5 * problem.diagonal[i] * up * up + cost
    limit, best_j, best_option = -own_energy, _NONE, _DOWN
    for other in range(n_options):
        changes, _, alone = falls[other]
        own, alone[i] = alone[i], np.inf  # no partner of itself
        lowest, j = _lowest(alone, changes, problem.K[i], up, limit, point.energies)
        alone[i] = own
        if j >= 0:
            limit, best_j, best_option = lowest, j, other
    if best_j < 0:
        return 0.0
    which = best_option if n_options > 1 else 2
    side_j, level_j = _shifted(point.levels, problem.width, best_j, _DOWN, stride, which, top)
    _set_level(problem, point, side, i, level)
    _set_level(problem, point, side_j, best_j, level_j)
    _set_falls(problem, point, i, stride)
    _set_falls(problem, point, best_j, stride)
    _set_fall_energies(problem, point)
    gained: float = limit + own_energy
    return gained


@inner
def _sweep_own_pairs(problem: LevelProblem, point: _Point, tol: float) -> float:
    """Set both coefficients of each sample to their best levels; return the energy gained.

    Beyond 16 levels each moves by at most one.
    """
    levels, values, gained, size = point.levels, point.values, 0.0, problem.grid.size
    few = size <= 16
    for n in range(point.field.size):
        best, best_a, best_ah = -tol, _NONE, _NONE
        la, lah = levels[0, n], levels[1, n]
        for p in range(0 if few else max(la - 1, 0), size if few else min(la + 2, size)):
            for q in range(0 if few else max(lah - 1, 0), size if few else min(lah + 2, size)):
                up, _ = _cost(problem, point, 0, n, p)
                down, _ = _cost(problem, point, 1, n, q)
                new_a, new_ah = values[0, n] + up, values[1, n] - down
                change = up + down
                energy = change * (point.field[n] + 0.5 * problem.diagonal[n] * change)
                energy += problem.epsilon * (up - down)
                energy += problem.overlap * (new_a * new_ah - values[0, n] * values[1, n])
                if energy < best:
                    best, best_a, best_ah = energy, p, q
        if best_a >= 0:
            _set_level(problem, point, 0, n, best_a)
            _set_level(problem, point, 1, n, best_ah)
            gained -= best
    return gained


@inner
def _drop_overlap(problem: LevelProblem, point: _Point) -> None:
    """Lower a and a-hat of a sample together: the same b at less cost, where steps are equal."""
    for n in range(point.field.size):
        common = min(point.levels[0, n], point.levels[1, n])
        for side in range(2):
            level = point.levels[side, n] - common
            point.levels[side, n] = level
            value = problem.offset[side, n] + problem.width[side, n] * problem.grid[level]
            point.values[side, n] = value


@njit
def descend(
    problem: LevelProblem, levels: Array, values: Array, fields: Array,
    memory: tuple[Array, Array], tol: float, uneven: bool | None,
) -> None:  # fmt: skip
    """Descend in place to levels that no change of one, nor an opposite change of two, improves.

    Parameters
    ----------
    problem : LevelProblem
    levels : ndarray of int, shape (n_reads, 2, n)
    values : ndarray of shape (n_reads, 2, n)
        The coefficients at these levels.
    fields : ndarray of shape (n_reads, n)
        K b - y at these levels.
    memory : tuple of ndarray of shape (n_options, 3, n) and (n,)
        Working memory; one option where levels are even, two where they are not.
    tol : float
        Gains up to it do not count. It is doubled in each sweep after many of them.
    uneven : True or None
        None where levels are even; a first fit does not compile the other case.
    """
    falls, energies = memory
    for read in range(levels.shape[0]):
        point = _Point(levels[read], values[read], fields[read], falls, energies)
        stride = max(problem.grid.size // 8, 1)
        while stride >= 1:
            gained, least, n_sweeps = np.inf, tol, 0
            while gained > least:
                # In a box that is huge against the targets rounding exceeds any tolerance that is
                # relative to the energy, and moves that gain nothing would go round for ever.
                n_sweeps += 1
                if n_sweeps > _MANY_SWEEPS:
                    least *= 2.0
                if uneven is None:
                    _drop_overlap(problem, point)  # single moves may bring it back
                gained = _sweep_singles(problem, point, least)
                for n in range(point.field.size):
                    _set_falls(problem, point, n, stride)
                _set_fall_energies(problem, point)
                for i in range(point.field.size):
                    for option in range(falls.shape[0]):
                        energy = -np.inf
                        while energy < -least:
                            energy = _exchange(problem, point, i, stride, option)
                            gained -= energy
                if uneven is not None:
                    gained += _sweep_own_pairs(problem, point, least)
            stride //= 2
