"""Compiled inner loops of the structured annealer: 64 reads side by side in SIMD lanes.

Every array over lanes is (rows, LANES) float32 with the lane index innermost, so one proposal is
evaluated for 64 independent reads by the same vector instructions. The state of a sample is one
signed level x in -top..top: x > 0 puts the coefficient a at level x and a-hat at its offset, x < 0
the other way round. Where levels are even, a minimum never needs both above their offsets; where
they are not, each coefficient is a sample of its own here, a from 0 up and a-hat from 0 down.

Samples are visited in blocks of kernel neighbours. Within a block the fields of its members are
kept exact after every move; the rest of the samples receive the block's net change in one matrix
product when the block is left, which is where nearly all arithmetic happens, at full vector speed.

Everything that is compiled into `anneal` stands in this one file: numba keeps compiled functions on
disk, and compiles one again when its own file has changed, not when a file has that it calls into.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qsvr._numba import njit_lanes
from qsvr.samplers.structured._arrays import Array, Batch, Block, Levels, Plan, Sweep

__all__ = ["LANES", "anneal", "refresh_field"]

LANES = 64
# Candidate levels of one heat-bath draw.
_WINDOW = 16
# Rows of the work array. One array for all of them, so that the compiler sees that they do not
# overlap and keeps the loops in vector registers.
_CHANGE_I, _CHANGE_J, _OLD, _NEW, _COST, _FIRST, _LOWEST, _TOTAL = range(8)
_N_ROWS = 8

_f4 = np.float32
_u4 = np.uint32


@njit_lanes
def _next(state: Any) -> Any:
    """Xorshift32 (Marsaglia 2003); the casts keep the arithmetic in 32-bit lanes."""
    state = _u4(state ^ _u4(state << _u4(13)))
    state = _u4(state ^ _u4(state >> _u4(17)))
    return _u4(state ^ _u4(state << _u4(5)))


@njit_lanes
def _exp_minus(x: Any) -> Any:
    """exp(-x) for x >= 0, as the 32nd power of a parabola: no branch, no call; 1e-9 from 32 on."""
    t = min(x * _f4(1.0 / 32.0), _f4(1.0))
    y = _f4(1.0) - t + _f4(0.5) * t * t
    y *= y
    y *= y
    y *= y
    y *= y
    return y * y


@njit_lanes
def _unit(x: Any, table: Array | None, top: Any) -> Any:
    """Value of level x in units of a level's mean step; without a table the levels are even."""
    if table is None:
        return x
    return table[np.int32(x + top)]


@njit_lanes
def _even_pair_move(
    members: tuple[int, int, int, int], block: Block, state: Batch, levels: Levels,
    beta: Any, reach: Any,
) -> None:  # fmt: skip
    """`_pair_move` where one level weighs the same in every coefficient: the usual case."""
    i, j, si, sj = members
    x, rng, work = state.x, state.rng, block.work
    field_i, field_j, kernel = block.local[i], block.local[j], block.kernel
    step_size, cost, top = levels.up[0], levels.cost_up[0], levels.top
    zero, one = _f4(0.0), _f4(1.0)
    curvature = kernel[i, i] + kernel[j, j] - _f4(2.0) * kernel[i, j]
    half_curvature = _f4(0.5) * curvature * step_size
    for lane in range(LANES):
        r = _next(rng[lane])
        rng[lane] = r
        size = _f4(np.int32(_u4(_u4(_u4(r & _u4(4095)) * reach) >> _u4(12)))) + one
        step = size if _u4(r & _u4(4096)) != _u4(0) else -size
        # Never 0, so that no move of vanishing probability is taken.
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
def _pair_move(
    members: tuple[int, int, int, int], block: Block, state: Batch, levels: Levels,
    beta: Any, reach: Any,
) -> None:  # fmt: skip
    """Propose one level change on sample i and the opposite one on sample j, in every lane.

    Crossing the equality penalty needs both at once. The acceptance is Metropolis's; the proposal
    is symmetric where levels weigh the same, so a constant temperature samples the Boltzmann
    distribution; elsewhere the heat bath sees to it.
    """
    i, j, si, sj = members
    x, rng, work = state.x, state.rng, block.work
    field_i, field_j, kernel = block.local[i], block.local[j], block.kernel
    up, down, cost_up, cost_down, low, high, table, top = levels
    # Levels of j that weigh as much as one level of i (sample weights make them differ).
    weight_i, weight_j = max(up[si], down[si]), max(up[sj], down[sj])
    exchange = weight_i / weight_j if weight_j > _f4(0.0) else _f4(0.0)
    low_i, high_i, low_j, high_j = low[si], high[si], low[sj], high[sj]
    ui, di, cui, cdi = up[si], down[si], cost_up[si], cost_down[si]
    uj, dj, cuj, cdj = up[sj], down[sj], cost_up[sj], cost_down[sj]
    zero, half = _f4(0.0), _f4(0.5)
    kii, kjj, kij = half * kernel[i, i], half * kernel[j, j], kernel[i, j]
    for lane in range(LANES):
        r = _next(rng[lane])
        rng[lane] = r
        size = _f4(np.int32(_u4(_u4(_u4(r & _u4(4095)) * reach) >> _u4(12)))) + _f4(1.0)
        step = size if _u4(r & _u4(4096)) != _u4(0) else -size
        u = (_f4(np.int32(r >> _u4(13))) + half) * _f4(2.0**-19)
        xi, xj = x[si, lane], x[sj, lane]
        # The trick with a large addend, which rounds as well, does not survive fastmath.
        yi, yj = xi + step, xj - np.rint(step * exchange)
        inside = (yi >= low_i) & (yi <= high_i) & (yj >= low_j) & (yj <= high_j)
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
def _change(work: Array, n: int, levels: Levels) -> None:
    """Set the change of b, and of the linear energy, of sample n's move from old to new level."""
    up, down = levels.up[n], levels.down[n]
    cost_up, cost_down = levels.cost_up[n], levels.cost_down[n]
    zero, table, top = _f4(0.0), levels.table, levels.top
    for lane in range(LANES):
        v, w = _unit(work[_OLD, lane], table, top), _unit(work[_NEW, lane], table, top)
        rise, fall = max(w, zero) - max(v, zero), min(w, zero) - min(v, zero)
        work[_CHANGE_I, lane] = up * rise + down * fall
        work[_COST, lane] = cost_up * rise - cost_down * fall


@njit_lanes
def _window_energies(i: int, n: int, block: Block, levels: Levels, stride: Any) -> None:
    """Set the energy of each candidate level of sample n, and the lowest of them, in every lane."""
    work, weights, local = block.work, block.weights, block.local[i]
    low, high = levels.low[n], levels.high[n]
    half = _f4(0.5) * block.kernel[i, i]
    for k in range(_WINDOW):
        for lane in range(LANES):
            y = work[_FIRST, lane] + _f4(k) * stride
            work[_NEW, lane] = y if (y >= low) & (y <= high) else work[_OLD, lane]
        _change(work, n, levels)
        for lane in range(LANES):
            b = work[_CHANGE_I, lane]
            energy = (local[lane] + half * b) * b + work[_COST, lane]
            y = work[_FIRST, lane] + _f4(k) * stride
            energy = energy if (y >= low) & (y <= high) else _f4(1e30)
            weights[k, lane] = energy
            work[_LOWEST, lane] = min(work[_LOWEST, lane], energy)


@njit_lanes
def _draw_level(work: Array, weights: Array, beta: Any, stride: Any, rng: Array) -> None:
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
def _heat_bath(
    i: int, n: int, block: Block, state: Batch, levels: Levels, beta: Any, grid: tuple[Any, Any]
) -> None:
    """Draw sample n's level from its conditional Boltzmann distribution, in every lane.

    The candidates are the 16 levels ``stride`` apart in the aligned window (moved by ``shift``)
    that holds the present one: all levels up to 3 bits. Windows partition the levels, so the draw
    is reversible beyond that too.
    """
    stride, shift = grid
    x, work, top = state.x, block.work, levels.top
    for lane in range(LANES):
        work[_OLD, lane] = x[n, lane]
    for lane in range(LANES):
        tick = np.floor((work[_OLD, lane] + top + shift) / stride)
        start = np.floor(tick / _f4(_WINDOW)) * _f4(_WINDOW)
        work[_FIRST, lane] = (start - tick) * stride + work[_OLD, lane]
        work[_LOWEST, lane] = _f4(1e30)
        work[_TOTAL, lane] = _f4(0.0)
    _window_energies(i, n, block, levels, stride)
    _draw_level(work, block.weights, beta, stride, state.rng)
    for lane in range(LANES):
        # Rounding of the threshold may walk one level out of the box: then nothing moves.
        inside = (work[_NEW, lane] >= levels.low[n]) & (work[_NEW, lane] <= levels.high[n])
        work[_NEW, lane] = work[_NEW, lane] if inside else work[_OLD, lane]
    _change(work, n, levels)
    for lane in range(LANES):
        x[n, lane] = work[_NEW, lane]


@njit_lanes
def _apply_change(block: Block, row: int, i: int, size: int) -> None:
    """Add a member's change to the block's net change and to its fields."""
    local, moved, work = block.local, block.moved, block.work
    for lane in range(LANES):
        moved[i, lane] += work[row, lane]
    for m in range(size):
        k = block.kernel[m, i]
        for lane in range(LANES):
            local[m, lane] += k * work[row, lane]


@njit_lanes
def _apply_exchange(block: Block, i: int, j: int, size: int) -> None:
    """`_apply_change` of two members that changed by the same amount in opposite directions."""
    local, moved, work = block.local, block.moved, block.work
    for lane in range(LANES):
        moved[i, lane] += work[_CHANGE_I, lane]
    for lane in range(LANES):
        moved[j, lane] -= work[_CHANGE_I, lane]
    for m in range(size):
        k = block.kernel[m, i] - block.kernel[m, j]
        for lane in range(LANES):
            local[m, lane] += k * work[_CHANGE_I, lane]


@njit_lanes
def _enter_block(K: Array, field: Array, members: Array, size: int, block: Block) -> None:
    """Copy the block's part of the kernel and of the fields."""
    for q in range(block.local.shape[0]):
        for lane in range(LANES):
            block.moved[q, lane] = _f4(0.0)
    for q in range(size):
        for lane in range(LANES):
            block.local[q, lane] = field[members[q], lane]
        for m in range(size):
            block.kernel[q, m] = K[members[q], members[m]]


@njit_lanes
def _leave_block(K: Array, field: Array, moved: Array, members: Array, size: int) -> None:
    """Add the block's net change to the fields of all samples.

    Two samples by four members at a time: what is loaded once is used eight times. Members beyond
    ``size`` have moved by 0.
    """
    for q in range(0, size, 4):
        b0, b1, b2, b3 = members[q], members[q + 1], members[q + 2], members[q + 3]
        n = 0
        while n + 2 <= field.shape[0]:
            j0, j1, j2, j3 = K[n, b0], K[n, b1], K[n, b2], K[n, b3]
            k0, k1, k2, k3 = K[n + 1, b0], K[n + 1, b1], K[n + 1, b2], K[n + 1, b3]
            for lane in range(LANES):
                m0, m1 = moved[q, lane], moved[q + 1, lane]
                m2, m3 = moved[q + 2, lane], moved[q + 3, lane]
                field[n, lane] += j0 * m0 + j1 * m1 + j2 * m2 + j3 * m3
                field[n + 1, lane] += k0 * m0 + k1 * m1 + k2 * m2 + k3 * m3
            n += 2
        if n < field.shape[0]:
            j0, j1, j2, j3 = K[n, b0], K[n, b1], K[n, b2], K[n, b3]
            for lane in range(LANES):
                m0, m1 = moved[q, lane], moved[q + 1, lane]
                m2, m3 = moved[q + 2, lane], moved[q + 3, lane]
                field[n, lane] += j0 * m0 + j1 * m1 + j2 * m2 + j3 * m3


@njit_lanes
def _exchange_levels(
    members: Array, size: int, block: Block, state: Batch, levels: Levels,
    sweep: Sweep, order: Any,
) -> Any:  # fmt: skip
    """Propose pair moves within one block."""
    beta, reach, proposals, even = sweep
    for t in range(size * proposals):
        i = t % size
        order = _next(order)
        j: Any = np.int64(order % _u4(size - 1))
        j += 1 if j >= i else 0
        pair = (i, j, members[i], members[j])
        if even:
            _even_pair_move(pair, block, state, levels, beta, reach)
            _apply_exchange(block, i, j, size)
        else:
            _pair_move(pair, block, state, levels, beta, reach)
            _apply_change(block, _CHANGE_I, i, size)
            _apply_change(block, _CHANGE_J, j, size)
    return order


@njit_lanes
def _redraw_levels(
    members: Array, size: int, block: Block, state: Batch, levels: Levels,
    sweep: Sweep, order: Any,
) -> Any:  # fmt: skip
    """Give every sample of one block a heat-bath draw."""
    stride = max(np.floor(_f4(sweep.reach) * _f4(0.25)), _f4(1.0))
    span = _u4(_f4(_WINDOW) * stride)
    for i in range(size):
        order = _next(order)
        one_window = levels.top <= _f4(_WINDOW // 2 - 1)
        shift = _f4(0.0) if one_window else _f4(np.int32(order % span))
        _heat_bath(i, members[i], block, state, levels, sweep.beta, (stride, shift))
        _apply_change(block, _CHANGE_I, i, size)
    return order


@njit_lanes
def anneal(
    K: Array, state: Batch, levels: Levels, blocks: Array, sizes: Array, plan: Plan, order: Any
) -> Any:
    """Run the sweeps of one batch of 64 reads, in place.

    Parameters
    ----------
    K : ndarray of shape (n, n), float32
        Kernel matrix with the equality penalty added.
    state : Batch
        Changed in place.
    levels : Levels
    blocks, sizes : ndarray of shape (n_partitions, n_blocks, block_size), (n_blocks,)
        Samples of each block; partitions take turns sweep by sweep.
    plan : Plan
    order : uint32
        Random state of what all lanes share: who pairs with whom.

    Returns
    -------
    uint32
        The shared random state after the last sweep.
    """
    size = blocks.shape[2]
    block = Block(
        np.empty((size, size), _f4), np.empty((size, LANES), _f4), np.empty((size, LANES), _f4),
        np.empty((_N_ROWS, LANES), _f4), np.empty((_WINDOW, LANES), _f4),
    )  # fmt: skip
    for s in range(plan.beta.size):
        number = plan.first + s
        sweep = Sweep(plan.beta[s], plan.reach[s], plan.proposals, plan.even)
        for b in range(sizes.size):
            members, n = blocks[number % blocks.shape[0], b], sizes[b]
            _enter_block(K, state.field, members, n, block)
            if n > 1:
                order = _exchange_levels(members, n, block, state, levels, sweep, order)
            if number % plan.heat_every == 0 or n == 1:
                order = _redraw_levels(members, n, block, state, levels, sweep, order)
            _leave_block(K, state.field, block.moved, members, n)
    return order


@njit_lanes
def refresh_field(K: Array, y: Array, offset: Array, state: Batch, levels: Levels) -> None:
    """Set the field to K b - y in every lane, which takes out the rounding of many updates."""
    x, field = state.x, state.field
    b = np.empty((x.shape[0], LANES), _f4)
    for n in range(x.shape[0]):
        for lane in range(LANES):
            v = _unit(x[n, lane], levels.table, levels.top)
            rise, fall = levels.up[n] * max(v, _f4(0.0)), levels.down[n] * min(v, _f4(0.0))
            b[n, lane] = offset[n] + rise + fall
            field[n, lane] = -y[n]
    for n in range(x.shape[0]):
        for m in range(x.shape[0]):
            k = K[n, m]
            for lane in range(LANES):
                field[n, lane] += k * b[m, lane]
