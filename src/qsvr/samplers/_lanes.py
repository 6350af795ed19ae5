"""Compiled inner loops of the structured annealer: 64 reads side by side in SIMD lanes.

Every array over lanes is (rows, LANES) float32 with the lane index innermost, so one proposal is
evaluated for 64 independent reads by the same vector instructions. The state of a sample is one
signed level x in -top..top: x > 0 puts the coefficient a at level x and a-hat at its offset, x < 0
the other way round. A minimum never needs both above their offsets.

Samples are visited in blocks of kernel neighbours. Within a block the fields of its members are
kept exact after every move; the rest of the samples receive the block's net change in one matrix
product when the block is left, which is where nearly all arithmetic happens, at full vector speed.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qsvr._numba import njit, njit_lanes

__all__ = ["LANES", "anneal", "neighbour_blocks", "refresh_field"]

LANES = 64
# Candidate levels of one heat-bath draw.
_WINDOW = 16
# Rows of the work array. One array for all of them, so that the compiler sees that they do not
# overlap and keeps the loops in vector registers.
_CHANGE_I, _CHANGE_J, _OLD, _NEW, _COST, _FIRST, _LOWEST, _TOTAL = range(8)
_N_ROWS = 8

_f4 = np.float32
_u4 = np.uint32

Lanes: TypeAlias = NDArray[np.float32]  # (rows, LANES)
Vector: TypeAlias = NDArray[np.float32]


@njit_lanes
def _next(state: np.uint32) -> np.uint32:
    """Xorshift32 (Marsaglia 2003); the casts keep the arithmetic in 32-bit lanes."""
    state = _u4(state ^ _u4(state << _u4(13)))
    state = _u4(state ^ _u4(state >> _u4(17)))
    return _u4(state ^ _u4(state << _u4(5)))


@njit_lanes
def _exp_minus(x: np.float32) -> np.float32:
    """exp(-x) for x >= 0, as the 32nd power of a parabola: no branch, no call; 1e-9 from 32 on."""
    t = min(x * _f4(1.0 / 32.0), _f4(1.0))
    y = _f4(1.0) - t + _f4(0.5) * t * t
    y *= y
    y *= y
    y *= y
    y *= y
    return y * y


@njit_lanes
def _round(x: np.float32) -> np.float32:
    """Nearest integer for |x| < 2^22, by pushing the fraction out of the mantissa."""
    return (x + _f4(12582912.0)) - _f4(12582912.0)


@njit_lanes
def _unit(x, table, top):  # type: ignore[no-untyped-def]
    """Value of level x in units of a level's mean step; without a table the levels are even."""
    if table is None:
        return x
    return table[np.int32(x + top)]


@njit_lanes
def _even_pair_move(si, sj, field_i, field_j, curvature, x, work, model, beta, reach, rng):  # type: ignore[no-untyped-def]
    """`_pair_move` where one level weighs the same in every coefficient: the usual case."""
    step_size, cost, top = model[0][0], model[2][0], model[5]
    zero, one = _f4(0.0), _f4(1.0)
    half_curvature = _f4(0.5) * curvature * step_size
    for lane in range(LANES):
        r = _next(rng[lane])
        rng[lane] = r
        size = _f4(np.int32(_u4(_u4(_u4(r & _u4(4095)) * reach) >> _u4(12)))) + one
        step = size if _u4(r & _u4(4096)) != _u4(0) else -size
        u = (_f4(np.int32(r >> _u4(13))) + _f4(0.5)) * _f4(2.0**-19)
        xi, xj = x[si, lane], x[sj, lane]
        yi, yj = xi + step, xj - step
        slope = field_i[lane] - field_j[lane] + half_curvature * step
        energy = slope * step_size * step + cost * (abs(yi) + abs(yj) - abs(xi) - abs(xj))
        accept = u < _exp_minus(max(beta * energy, zero))
        step = step if accept & (max(abs(yi), abs(yj)) <= top) else zero
        x[si, lane] = xi + step
        x[sj, lane] = xj - step
        work[_CHANGE_I, lane] = step_size * step


@njit_lanes
def _pair_move(si, sj, field_i, field_j, kernel, x, work, model, beta, reach, rng):  # type: ignore[no-untyped-def]
    """Propose one level change on sample i and the opposite one on sample j, in every lane.

    Crossing the equality penalty needs both at once. The acceptance is Metropolis's; the proposal
    is symmetric, so a constant temperature samples the Boltzmann distribution.
    """
    up, down, cost_up, cost_down, table, top = model
    # Levels of j that weigh as much as one level of i (sample weights make them differ).
    exchange = up[si] / up[sj] if up[sj] > _f4(0.0) else _f4(0.0)
    ui, di, cui, cdi = up[si], down[si], cost_up[si], cost_down[si]
    uj, dj, cuj, cdj = up[sj], down[sj], cost_up[sj], cost_down[sj]
    zero = _f4(0.0)
    kii, kjj, kij = kernel
    for lane in range(LANES):
        r = _next(rng[lane])
        rng[lane] = r
        size = _f4(np.int32(_u4(_u4(_u4(r & _u4(4095)) * reach) >> _u4(12)))) + _f4(1.0)
        step = size if _u4(r & _u4(4096)) != _u4(0) else -size
        u = (_f4(np.int32(r >> _u4(13))) + _f4(0.5)) * _f4(2.0**-19)
        xi, xj = x[si, lane], x[sj, lane]
        yi, yj = xi + step, xj - _round(step * exchange)
        inside = max(abs(yi), abs(yj)) <= top
        yi, yj = (yi if inside else xi), (yj if inside else xj)
        vi, vj = _unit(xi, table, top), _unit(xj, table, top)
        wi, wj = _unit(yi, table, top), _unit(yj, table, top)
        rise_i, fall_i = max(wi, zero) - max(vi, zero), min(wi, zero) - min(vi, zero)
        rise_j, fall_j = max(wj, zero) - max(vj, zero), min(wj, zero) - min(vj, zero)
        bi, bj = ui * rise_i + di * fall_i, uj * rise_j + dj * fall_j
        energy = (field_i[lane] + kii * bi + kij * bj) * bi + (field_j[lane] + kjj * bj) * bj
        energy += cui * rise_i - cdi * fall_i + cuj * rise_j - cdj * fall_j
        accept = u < _exp_minus(max(beta * energy, zero))
        x[si, lane] = yi if accept else xi
        x[sj, lane] = yj if accept else xj
        work[_CHANGE_I, lane] = bi if accept else zero
        work[_CHANGE_J, lane] = bj if accept else zero


@njit_lanes
def _change(work, slopes, table, top):  # type: ignore[no-untyped-def]
    """Set the change of b, and of the linear energy, of one sample's move from old to new level."""
    up, down, cost_up, cost_down = slopes
    zero = _f4(0.0)
    for lane in range(LANES):
        v, w = _unit(work[_OLD, lane], table, top), _unit(work[_NEW, lane], table, top)
        rise, fall = max(w, zero) - max(v, zero), min(w, zero) - min(v, zero)
        work[_CHANGE_I, lane] = up * rise + down * fall
        work[_COST, lane] = cost_up * rise - cost_down * fall


@njit_lanes
def _window_energies(local, work, weights, half, slopes, table, stride, top):  # type: ignore[no-untyped-def]
    """Set the energy of each candidate level, and the lowest of them, in every lane."""
    for k in range(_WINDOW):
        for lane in range(LANES):
            y = work[_FIRST, lane] + _f4(k) * stride
            work[_NEW, lane] = y if abs(y) <= top else work[_OLD, lane]
        _change(work, slopes, table, top)
        for lane in range(LANES):
            b = work[_CHANGE_I, lane]
            energy = (local[lane] + half * b) * b + work[_COST, lane]
            y = work[_FIRST, lane] + _f4(k) * stride
            energy = energy if abs(y) <= top else _f4(1e30)
            weights[k, lane] = energy
            work[_LOWEST, lane] = min(work[_LOWEST, lane], energy)


@njit_lanes
def _draw_level(work, weights, beta, stride, rng):  # type: ignore[no-untyped-def]
    """Set the level drawn from the candidates' Boltzmann weights, in every lane."""
    for k in range(_WINDOW):
        for lane in range(LANES):
            weights[k, lane] = _exp_minus(beta * (weights[k, lane] - work[_LOWEST, lane]))
            work[_TOTAL, lane] += weights[k, lane]
    for lane in range(LANES):
        r = _next(rng[lane])
        rng[lane] = r
        work[_TOTAL, lane] *= (_f4(np.int32(r >> _u4(9))) + _f4(0.5)) * _f4(2.0**-23)
        work[_NEW, lane] = work[_FIRST, lane]
    # The level moves on while the cumulative weight is below the threshold drawn.
    for k in range(_WINDOW - 1):
        for lane in range(LANES):
            work[_TOTAL, lane] -= weights[k, lane]
            work[_NEW, lane] += stride if work[_TOTAL, lane] >= _f4(0.0) else _f4(0.0)


@njit_lanes
def _heat_bath(i, si, kernel, local, x, work, weights, model, beta, stride, shift, rng):  # type: ignore[no-untyped-def]
    """Draw sample i's level from its conditional Boltzmann distribution, in every lane.

    The candidates are the 16 levels ``stride`` apart in the aligned window (moved by ``shift``)
    that holds the present one: all levels up to 3 bits. Windows partition the levels, so the draw
    is reversible beyond that too.
    """
    up, down, cost_up, cost_down, table, top = model
    slopes = (up[si], down[si], cost_up[si], cost_down[si])
    for lane in range(LANES):
        work[_OLD, lane] = x[si, lane]
    for lane in range(LANES):
        tick = np.floor((work[_OLD, lane] + top + shift) / stride)
        start = np.floor(tick / _f4(_WINDOW)) * _f4(_WINDOW)
        work[_FIRST, lane] = (start - tick) * stride + work[_OLD, lane]
        work[_LOWEST, lane] = _f4(1e30)
        work[_TOTAL, lane] = _f4(0.0)
    half = _f4(0.5) * kernel[i, i]
    _window_energies(local[i], work, weights, half, slopes, table, stride, top)
    _draw_level(work, weights, beta, stride, rng)
    for lane in range(LANES):
        # Rounding of the threshold may walk one level out of the box: then nothing moves.
        inside = abs(work[_NEW, lane]) <= top
        work[_NEW, lane] = work[_NEW, lane] if inside else work[_OLD, lane]
    _change(work, slopes, table, top)
    for lane in range(LANES):
        x[si, lane] = work[_NEW, lane]


@njit_lanes
def _note(local, moved, row, work, factor, kernel, i, size):  # type: ignore[no-untyped-def]
    """Add a member's change, times ``factor``, to the block's net change and its fields."""
    for lane in range(LANES):
        moved[i, lane] += factor * work[row, lane]
    for m in range(size):
        k = factor * kernel[m, i]
        for lane in range(LANES):
            local[m, lane] += k * work[row, lane]


@njit_lanes
def _note_exchange(local, moved, work, kernel, i, j, size):  # type: ignore[no-untyped-def]
    """`_note` of two members that changed by the same amount in opposite directions."""
    for lane in range(LANES):
        moved[i, lane] += work[_CHANGE_I, lane]
    for lane in range(LANES):
        moved[j, lane] -= work[_CHANGE_I, lane]
    for m in range(size):
        k = kernel[m, i] - kernel[m, j]
        for lane in range(LANES):
            local[m, lane] += k * work[_CHANGE_I, lane]


@njit_lanes
def _leave_block(K, field, moved, block, size):  # type: ignore[no-untyped-def]
    """Add the block's net change to the fields of all samples.

    Two samples by four members at a time: what is loaded once is used eight times. Members beyond
    ``size`` have moved by 0.
    """
    for q in range(0, size, 4):
        b0, b1, b2, b3 = block[q], block[q + 1], block[q + 2], block[q + 3]
        n = 0
        while n + 2 <= field.shape[0]:
            j0, j1, j2, j3 = K[n, b0], K[n, b1], K[n, b2], K[n, b3]
            k0, k1, k2, k3 = K[n + 1, b0], K[n + 1, b1], K[n + 1, b2], K[n + 1, b3]
            for lane in range(LANES):
                m0, m1, m2, m3 = moved[q, lane], moved[q + 1, lane], moved[q + 2, lane], moved[q + 3, lane]
                field[n, lane] += j0 * m0 + j1 * m1 + j2 * m2 + j3 * m3
                field[n + 1, lane] += k0 * m0 + k1 * m1 + k2 * m2 + k3 * m3
            n += 2
        if n < field.shape[0]:
            j0, j1, j2, j3 = K[n, b0], K[n, b1], K[n, b2], K[n, b3]
            for lane in range(LANES):
                field[n, lane] += (
                    j0 * moved[q, lane] + j1 * moved[q + 1, lane]
                    + j2 * moved[q + 2, lane] + j3 * moved[q + 3, lane]
                )  # fmt: skip


@njit_lanes
def _exchange_levels(K, x, block, size, model, beta, reach, plan, scratch, rng, order):  # type: ignore[no-untyped-def]
    """Propose pair moves within one block."""
    kernel, local, moved, work, _ = scratch
    proposals, even = plan[0], plan[1]
    half = _f4(0.5)
    for t in range(size * proposals):
        i = t % size
        order = _next(order)
        j = np.int64(order % _u4(size - 1))
        j += 1 if j >= i else 0
        kii, kjj, kij = kernel[i, i], kernel[j, j], kernel[i, j]
        if even:
            _even_pair_move(
                block[i], block[j], local[i], local[j], kii + kjj - _f4(2.0) * kij,
                x, work, model, beta, reach, rng,
            )  # fmt: skip
            _note_exchange(local, moved, work, kernel, i, j, size)
        else:
            _pair_move(
                block[i], block[j], local[i], local[j], (half * kii, half * kjj, kij),
                x, work, model, beta, reach, rng,
            )  # fmt: skip
            _note(local, moved, _CHANGE_I, work, _f4(1.0), kernel, i, size)
            _note(local, moved, _CHANGE_J, work, _f4(1.0), kernel, j, size)
    return order


@njit_lanes
def _redraw_levels(x, block, size, model, beta, reach, scratch, rng, order):  # type: ignore[no-untyped-def]
    """Give every sample of one block a heat-bath draw."""
    kernel, local, moved, work, weights = scratch
    stride = max(np.floor(_f4(reach) * _f4(0.25)), _f4(1.0))
    span = _u4(_f4(_WINDOW) * stride)
    top = model[5]
    for i in range(size):
        order = _next(order)
        shift = _f4(np.int32(order % span)) if top > _f4(_WINDOW // 2 - 1) else _f4(0.0)
        _heat_bath(
            i, block[i], kernel, local, x, work, weights, model, beta, stride, shift, rng
        )
        _note(local, moved, _CHANGE_I, work, _f4(1.0), kernel, i, size)
    return order


@njit_lanes
def _enter_block(K, field, block, size, scratch):  # type: ignore[no-untyped-def]
    """Copy the block's part of the kernel and of the fields."""
    kernel, local, moved, _, _ = scratch
    for q in range(local.shape[0]):
        for lane in range(LANES):
            moved[q, lane] = _f4(0.0)
    for q in range(size):
        for lane in range(LANES):
            local[q, lane] = field[block[q], lane]
        for m in range(size):
            kernel[q, m] = K[block[q], block[m]]


@njit_lanes
def anneal(K, field, x, model, blocks, sizes, beta, reach, plan, rng, order):  # type: ignore[no-untyped-def]
    """Run the sweeps of one batch of 64 reads, in place.

    Parameters
    ----------
    K : ndarray of shape (n, n), float32
        Kernel matrix with the equality penalty added.
    field, x : ndarray of shape (n, LANES), float32
        K b - y and the signed level of each sample in each lane.
    model : tuple
        up, down, cost_up, cost_down (each (n,)): change of b and of the linear energy per level
        above and below zero; table of unit values (None where levels are even), top level.
    blocks, sizes : ndarray of shape (n_partitions, n_blocks, block_size), (n_blocks,)
        Samples of each block; partitions take turns sweep by sweep.
    beta, reach : ndarray of shape (n_sweeps,)
        Inverse temperature and longest proposed level change of each sweep.
    plan : tuple of int
        Pair proposals per sample and visit; whether one level weighs the same everywhere; sweeps
        from one heat bath to the next; index of the first sweep.
    rng : ndarray of shape (LANES,), uint32
        Random state of each lane, none of them 0.
    order : uint32
        Random state of what all lanes share: who pairs with whom.

    Returns
    -------
    uint32
        The shared random state after the last sweep.
    """
    size = blocks.shape[2]
    scratch = (
        np.empty((size, size), _f4), np.empty((size, LANES), _f4), np.empty((size, LANES), _f4),
        np.empty((_N_ROWS, LANES), _f4), np.empty((_WINDOW, LANES), _f4),
    )  # fmt: skip
    _, _, heat_every, first = plan
    for s in range(beta.size):
        partition = (first + s) % blocks.shape[0]
        for b in range(sizes.size):
            block, members = blocks[partition, b], sizes[b]
            _enter_block(K, field, block, members, scratch)
            if members > 1:
                order = _exchange_levels(
                    K, x, block, members, model, beta[s], reach[s], plan, scratch, rng, order
                )
            if (first + s) % heat_every == 0 or members == 1:
                order = _redraw_levels(
                    x, block, members, model, beta[s], reach[s], scratch, rng, order
                )
            _leave_block(K, field, scratch[2], block, members)
    return order


@njit_lanes
def refresh_field(K, y, offset, x, field, model):  # type: ignore[no-untyped-def]
    """Set ``field`` to K b - y in every lane, which takes out the rounding of many updates."""
    up, down, _, _, table, top = model
    b = np.empty((x.shape[0], LANES), _f4)
    for n in range(x.shape[0]):
        for lane in range(LANES):
            v = _unit(x[n, lane], table, top)
            b[n, lane] = offset[n] + up[n] * max(v, _f4(0.0)) + down[n] * min(v, _f4(0.0))
            field[n, lane] = -y[n]
    for n in range(x.shape[0]):
        for m in range(x.shape[0]):
            k = K[n, m]
            for lane in range(LANES):
                field[n, lane] += k * b[m, lane]


@njit
def neighbour_blocks(K, orders, sizes):  # type: ignore[no-untyped-def]
    """Partition the samples into blocks of near neighbours in the kernel's metric.

    Parameters
    ----------
    K : ndarray of shape (n, n)
    orders : ndarray of shape (n_partitions, n)
        For each partition, the order in which samples are tried as centres.
    sizes : ndarray of shape (n_blocks,)

    Returns
    -------
    ndarray of shape (n_partitions, n_blocks, sizes.max())
        Padded with 0 to a multiple of 4 members.
    """
    n = K.shape[0]
    blocks = np.zeros((orders.shape[0], sizes.size, -(-sizes.max() // 4) * 4), np.int64)
    for p in range(orders.shape[0]):
        free = np.ones(n, np.bool_)
        cursor = 0
        for b in range(sizes.size):
            while not free[orders[p, cursor]]:
                cursor += 1
            centre = orders[p, cursor]
            distance = np.empty(n)
            for m in range(n):
                distance[m] = K[m, m] - 2.0 * K[centre, m] if free[m] else np.inf
            distance[centre] = -np.inf
            for q in range(sizes[b]):
                nearest = np.argmin(distance)
                blocks[p, b, q] = nearest
                distance[nearest] = np.inf
                free[nearest] = False
    return blocks
