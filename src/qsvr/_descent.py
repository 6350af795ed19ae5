"""Compiled local search on coefficient levels: 1-opt and pair descent, in double precision.

Levels have shape (2, n): row 0 positions of a in the grid, row 1 of a-hat. A pair move raises b of
one sample and lowers b of another, each by the cheaper of its two coefficients.
"""

from __future__ import annotations

import numpy as np

from qsvr._numba import njit

__all__ = ["descend", "pair_excitations"]


@njit
def _value(level, side, n, offset, width, grid):  # type: ignore[no-untyped-def]
    return offset[side, n] + width[side, n] * grid[level]


@njit
def _cost(a, ah, epsilon, overlap):  # type: ignore[no-untyped-def]
    """Linear and overlap energy of one sample's two coefficients."""
    return epsilon * (a + ah) + overlap * a * ah


@njit
def _apply(K, field, n, change):  # type: ignore[no-untyped-def]
    for m in range(field.size):
        field[m] += change * K[n, m]


@njit
def _sweep_singles(K, field, levels, box, epsilon, overlap, tol):  # type: ignore[no-untyped-def]
    """Set each coefficient to its best level given the others; return the energy gained."""
    offset, width, grid = box
    gained = 0.0
    for n in range(field.size):
        for side in range(2):
            sign = 1.0 - 2.0 * side
            old = _value(levels[side, n], side, n, offset, width, grid)
            other = _value(levels[1 - side, n], 1 - side, n, offset, width, grid)
            slope = sign * field[n] + epsilon + overlap * other
            best, best_level, best_change = -tol, levels[side, n], 0.0
            for level in range(grid.size):
                change = _value(level, side, n, offset, width, grid) - old
                energy = change * (slope + 0.5 * K[n, n] * change)
                if energy < best:
                    best, best_level, best_change = energy, level, change
            if best_level != levels[side, n]:
                levels[side, n] = best_level
                _apply(K, field, n, sign * best_change)
                gained -= best
    return gained


@njit
def _shift(levels, n, direction, stride, box, epsilon, overlap):  # type: ignore[no-untyped-def]
    """Return (change of b, linear energy, side, level) of raising or lowering b of sample n.

    Taking a coefficient down is cheaper than taking its opposite up, so it is tried first. The
    change is 0 where neither has ``stride`` levels left.
    """
    offset, width, grid = box
    down_side = 1 if direction > 0 else 0
    if levels[down_side, n] >= stride:
        side, level = down_side, levels[down_side, n] - stride
    elif levels[1 - down_side, n] + stride < grid.size:
        side, level = 1 - down_side, levels[1 - down_side, n] + stride
    else:
        return 0.0, 0.0, 0, 0
    a = _value(levels[0, n], 0, n, offset, width, grid)
    ah = _value(levels[1, n], 1, n, offset, width, grid)
    before = _cost(a, ah, epsilon, overlap)
    value = _value(level, side, n, offset, width, grid)
    after = _cost(value if side == 0 else a, value if side == 1 else ah, epsilon, overlap)
    change = value - (a if side == 0 else ah)
    return change if side == 0 else -change, after - before, side, level


@njit
def _fill_shifts(levels, direction, stride, box, epsilon, overlap, out):  # type: ignore[no-untyped-def]
    for n in range(levels.shape[1]):
        change, cost, _, _ = _shift(levels, n, direction, stride, box, epsilon, overlap)
        out[0, n], out[1, n] = change, cost


@njit
def _best_partner(K, field, i, up, cost_up, downs):  # type: ignore[no-untyped-def]
    """Return (energy, j) of the best sample to lower while sample i is raised."""
    base = up * field[i] + 0.5 * K[i, i] * up * up + cost_up
    best, best_j = np.inf, -1
    for j in range(field.size):
        down = downs[0, j]
        if j == i or down == 0.0:
            continue
        energy = base + down * (field[j] + 0.5 * K[j, j] * down + K[i, j] * up) + downs[1, j]
        if energy < best:
            best, best_j = energy, j
    return best, best_j


@njit
def _sweep_pairs(K, field, levels, box, epsilon, overlap, tol, stride, downs):  # type: ignore[no-untyped-def]
    """Raise each sample's b together with the best one to lower; return the energy gained."""
    gained = 0.0
    _fill_shifts(levels, -1, stride, box, epsilon, overlap, downs)
    for i in range(field.size):
        while True:
            up, cost, side, level = _shift(levels, i, 1, stride, box, epsilon, overlap)
            if up == 0.0:
                break
            energy, j = _best_partner(K, field, i, up, cost, downs)
            if j < 0 or energy >= -tol:
                break
            down, _, side_j, level_j = _shift(levels, j, -1, stride, box, epsilon, overlap)
            levels[side, i] = level
            levels[side_j, j] = level_j
            _apply(K, field, i, up)
            _apply(K, field, j, down)
            for m in (i, j):
                downs[0, m], downs[1, m], _, _ = _shift(
                    levels, m, -1, stride, box, epsilon, overlap
                )
            gained -= energy
    return gained


@njit
def _drop_overlap(levels, width):  # type: ignore[no-untyped-def]
    """Lower a and a-hat of a sample together: the same b at less cost, where steps are equal."""
    for n in range(levels.shape[1]):
        if width[0, n] == width[1, n]:
            common = min(levels[0, n], levels[1, n])
            levels[0, n] -= common
            levels[1, n] -= common


@njit
def _field_of(K, y, levels, box, field):  # type: ignore[no-untyped-def]
    offset, width, grid = box
    for m in range(field.size):
        field[m] = -y[m]
    for n in range(field.size):
        b = _value(levels[0, n], 0, n, offset, width, grid)
        b -= _value(levels[1, n], 1, n, offset, width, grid)
        if b != 0.0:
            _apply(K, field, n, b)


@njit
def descend(K, y, epsilon, overlap, box, uniform, levels, tol):  # type: ignore[no-untyped-def]
    """Descend to a point that no level change and no opposite pair of them improves, in place.

    Parameters
    ----------
    K : ndarray of shape (n, n)
        Kernel matrix with the equality penalty added.
    y : ndarray of shape (n,)
    epsilon, overlap : float
    box : tuple of ndarray
        Offset and width, each (2, n), and grid, (n_levels,).
    uniform : bool
        Whether the grid's levels are equally spaced.
    levels : ndarray of shape (n_reads, 2, n), int64
        Changed in place.
    tol : float
        Smallest gain that counts.
    """
    _, width, grid = box
    n_samples = K.shape[0]
    field = np.empty(n_samples)
    downs = np.empty((2, n_samples))
    for read in range(levels.shape[0]):
        if uniform:
            _drop_overlap(levels[read], width)
        _field_of(K, y, levels[read], box, field)
        stride = max(grid.size // 8, 1)
        while stride >= 1:
            while True:
                gained = _sweep_singles(K, field, levels[read], box, epsilon, overlap, tol)
                gained += _sweep_pairs(
                    K, field, levels[read], box, epsilon, overlap, tol, stride, downs
                )
                if gained <= tol:
                    break
            stride //= 2


@njit
def pair_excitations(K, y, epsilon, overlap, box, levels, partners):  # type: ignore[no-untyped-def]
    """Return the energies of one-level pair moves (i up, partner down) from a given point.

    Parameters
    ----------
    levels : ndarray of shape (2, n)
    partners : ndarray of shape (n, n_partners)

    Returns
    -------
    ndarray of shape (n, n_partners)
        Infinite where the move does not exist.
    """
    field = np.empty(y.size)
    _field_of(K, y, levels, box, field)
    energies = np.full(partners.shape, np.inf)
    for i in range(y.size):
        up, cost_up, _, _ = _shift(levels, i, 1, 1, box, epsilon, overlap)
        for q in range(partners.shape[1]):
            j = partners[i, q]
            down, cost_down, _, _ = _shift(levels, j, -1, 1, box, epsilon, overlap)
            if i != j and up != 0.0 and down != 0.0:
                energies[i, q] = (
                    up * field[i] + down * field[j] + cost_up + cost_down + K[i, j] * up * down
                    + 0.5 * (K[i, i] * up * up + K[j, j] * down * down)
                )
    return energies
