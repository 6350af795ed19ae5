"""Compiled inner loops of the structured annealer: reads side by side in SIMD lanes.

Every array over lanes is (rows, n_lanes) float32 with the lane index innermost, so one proposal is
evaluated for many independent reads by the same vector instructions. The state of a sample is one
signed level x in -top..top: x > 0 puts the coefficient a at level x and a-hat at its offset, x < 0
the other way round; where only one of the two has bits, x counts its levels from their middle.
Where levels are even, a minimum never needs both above their offsets; where they are not, each
coefficient is a sample of its own here, a from 0 up and a-hat from 0 down.

Samples are visited in blocks of kernel neighbours. Within a block the fields of its members are
kept exact after every move; the rest of the samples receive the block's net change in one matrix
product when the block is left, which is where nearly all arithmetic happens, at full vector speed.

Everything that is compiled into `anneal` stands in this one file: numba keeps compiled functions on
disk, and compiles one again when its own file has changed, not when a file has that it calls into.
The functions are few and take what they need only, because a first fit has to wait for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qsvr._numba import inner_lanes, njit_lanes
from qsvr.samplers.structured._arrays import Array, Batch, Levels, Memory, Plan

__all__ = ["LANES", "MULTIPLE", "aligned", "anneal", "empty_memory"]

LANES = 64  # reads of one batch
# Their number is a multiple of this one, so that vectors are full and the compiler sees it.
MULTIPLE = 32
# Numbers of a cache line, 64 bytes.
_CACHE_LINE = 16
# Candidate levels of one heat-bath draw.
_WINDOW = 16
# Rows of the work array. One array for all of them, so that the compiler sees that they do not
# overlap and keeps the loops in vector registers.
_CHANGE_I, _CHANGE_J, _OLD, _NEW, _FIRST, _LOWEST, _TOTAL = range(7)
_N_ROWS = 7

_f4 = np.float32
_u4 = np.uint32


def aligned(n_rows: int, lanes: int) -> Array:
    """Return an uninitialised array over lanes that begins at a cache line.

    Elsewhere each vector would be read from two lines, which costs half of the speed.
    """
    raw = np.empty(n_rows * lanes + _CACHE_LINE, _f4)
    start = -(raw.ctypes.data // raw.itemsize) % _CACHE_LINE
    return raw[start : start + n_rows * lanes].reshape(n_rows, lanes)


def empty_memory(size: int, lanes: int) -> Memory:
    """Return working memory for blocks of at most ``size`` members."""
    rows = [aligned(n, lanes) for n in (size, size, _N_ROWS, _WINDOW)]
    return Memory(np.empty((size, size), _f4), *rows)


@inner_lanes
def _next(state: Any) -> Any:
    """Xorshift32 (Marsaglia 2003); the casts keep the arithmetic in 32-bit lanes."""
    state = _u4(state ^ _u4(state << _u4(13)))
    state = _u4(state ^ _u4(state >> _u4(17)))
    return _u4(state ^ _u4(state << _u4(5)))


@inner_lanes
def _exp_minus(x: Any) -> Any:
    """exp(-x) for x >= 0, as the 32nd power of a parabola: no branch, no call; 1e-9 from 32 on."""
    t = min(x * _f4(1.0 / 32.0), _f4(1.0))
    y = _f4(1.0) - t + _f4(0.5) * t * t
    y *= y
    y *= y
    y *= y
    y *= y
    return y * y


@inner_lanes
def _unit(x: Any, table: Array | None, top: Any) -> Any:
    """Value of level x in units of a level's mean step; without a table the levels are even."""
    if table is None:
        return x
    return table[np.int32(x + top)]


@inner_lanes
def _weight(n: int, even: Any, uneven: Array | None) -> Any:
    """Return what one level of sample n weighs."""
    if uneven is None:
        return even
    w = uneven[n]
    return w[0], w[1], w[2], w[3], w[4], w[5]


@inner_lanes
def _even_pair_move(
    i: int, j: int, si: int, sj: int, local: Array, x: Array, rng: Array, work: Array,
    kernel: Array, step_size: Any, cost: Any, top: Any, beta: Any, reach: Any,
) -> None:  # fmt: skip
    """`_pair_move` where one level weighs the same in every coefficient: the usual case."""
    lanes = x.shape[1] // MULTIPLE * MULTIPLE
    zero, one = _f4(0.0), _f4(1.0)
    curvature = kernel[i, i] + kernel[j, j] - _f4(2.0) * kernel[i, j]
    half_curvature = _f4(0.5) * curvature * step_size
    for lane in range(lanes):
        r = _next(rng[lane])
        rng[lane] = r
        size = _f4(np.int32(_u4(_u4(_u4(r & _u4(4095)) * reach) >> _u4(12)))) + one
        step = size if _u4(r & _u4(4096)) != _u4(0) else -size
        # Never 0, so that no move of vanishing probability is taken.
        u = (_f4(np.int32(r >> _u4(13))) + _f4(0.5)) * _f4(2.0**-19)
        old_i, old_j = x[si, lane], x[sj, lane]
        new_i, new_j = old_i + step, old_j - step
        slope = local[i, lane] - local[j, lane] + half_curvature * step
        more = abs(new_i) + abs(new_j) - abs(old_i) - abs(old_j)
        energy = slope * step_size * step + cost * more
        accept = u < _exp_minus(max(beta * energy, zero))
        step = step if accept & (max(abs(new_i), abs(new_j)) <= top) else zero
        x[si, lane] = old_i + step
        x[sj, lane] = old_j - step
        work[_CHANGE_I, lane] = step_size * step


@inner_lanes
def _pair_move(
    members: tuple[int, int, int, int], memory: Memory, state: Batch, levels: Levels,
    uneven: Array, beta: Any, reach: Any,
) -> None:  # fmt: skip
    """Propose one level change on sample i and the opposite one on sample j, in every lane.

    Crossing the equality penalty needs both at once. The acceptance is Metropolis's; the proposal
    is symmetric where levels weigh the same, so a constant temperature samples the Boltzmann
    distribution; elsewhere the heat bath sees to it.
    """
    lanes = state.x.shape[1] // MULTIPLE * MULTIPLE
    i, j, si, sj = members
    x, rng, work, table, top = state.x, state.rng, memory.work, levels.table, levels.top
    field_i, field_j, kernel = memory.local[i], memory.local[j], memory.kernel
    ui, di, cui, cdi, low_i, high_i = _weight(si, levels.weight, uneven)
    uj, dj, cuj, cdj, low_j, high_j = _weight(sj, levels.weight, uneven)
    # Levels of j that weigh as much as one level of i (sample weights make them differ).
    weight_i, weight_j = max(ui, di), max(uj, dj)
    exchange = weight_i / weight_j if weight_j > _f4(0.0) else _f4(0.0)
    zero, half = _f4(0.0), _f4(0.5)
    kii, kjj, kij = half * kernel[i, i], half * kernel[j, j], kernel[i, j]
    for lane in range(lanes):
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


@inner_lanes
def _heat_bath(
    local: Array, x: Array, rng: Array, work: Array, candidates: Array, weight: Any,
    table: Array | None, top: Any, half: Any, beta: Any, stride: Any, shift: Any,
) -> None:  # fmt: skip
    """Draw one sample's level from its conditional Boltzmann distribution, in every lane.

    The candidates are the 16 levels ``stride`` apart in the aligned window (moved by ``shift``)
    that holds the present one: all levels up to 3 bits. Windows partition the levels, so the draw
    is reversible beyond that too.
    """
    lanes = x.size // MULTIPLE * MULTIPLE
    up, down, cost_up, cost_down, low, high = weight
    zero = _f4(0.0)
    for lane in range(lanes):
        old = x[lane]
        tick = np.floor((old + top + shift) / stride)
        start = np.floor(tick / _f4(_WINDOW)) * _f4(_WINDOW)
        work[_OLD, lane] = old
        work[_FIRST, lane] = (start - tick) * stride + old
        work[_LOWEST, lane] = _f4(1e30)
        work[_TOTAL, lane] = zero
    for k in range(_WINDOW):
        for lane in range(lanes):
            level = work[_FIRST, lane] + _f4(k) * stride
            inside = (level >= low) & (level <= high)
            old = work[_OLD, lane]
            v, w = _unit(old, table, top), _unit(level if inside else old, table, top)
            rise, fall = max(w, zero) - max(v, zero), min(w, zero) - min(v, zero)
            b = up * rise + down * fall
            energy = (local[lane] + half * b) * b + cost_up * rise - cost_down * fall
            energy = energy if inside else _f4(1e30)
            candidates[k, lane] = energy
            work[_LOWEST, lane] = min(work[_LOWEST, lane], energy)
    for k in range(_WINDOW):
        for lane in range(lanes):
            weight_k = _exp_minus(beta * (candidates[k, lane] - work[_LOWEST, lane]))
            candidates[k, lane] = weight_k
            work[_TOTAL, lane] += weight_k
    for lane in range(lanes):
        r = _next(rng[lane])
        rng[lane] = r
        work[_TOTAL, lane] *= (_f4(np.int32(r >> _u4(9))) + _f4(0.5)) * _f4(2.0**-23)
        work[_NEW, lane] = work[_FIRST, lane]
    # The level moves on while the cumulative weight is below the threshold drawn.
    for k in range(_WINDOW - 1):
        for lane in range(lanes):
            work[_TOTAL, lane] -= candidates[k, lane]
            work[_NEW, lane] += stride if work[_TOTAL, lane] >= zero else zero
    for lane in range(lanes):
        # Rounding of the threshold may walk one level out of the box: then nothing moves.
        old, new = work[_OLD, lane], work[_NEW, lane]
        new = new if (new >= low) & (new <= high) else old
        x[lane] = new
        v, w = _unit(old, table, top), _unit(new, table, top)
        rise, fall = max(w, zero) - max(v, zero), min(w, zero) - min(v, zero)
        work[_CHANGE_I, lane] = up * rise + down * fall


@inner_lanes
def _apply_change(
    local: Array, moved: Array, work: Array, row: int, kernel: Array, i: int, size: int
) -> None:
    """Add a member's change to its net change and to the block's fields."""
    lanes = local.shape[1] // MULTIPLE * MULTIPLE
    for lane in range(lanes):
        moved[i, lane] += work[row, lane]
    for m in range(size):
        k = kernel[m, i]
        for lane in range(lanes):
            local[m, lane] += k * work[row, lane]


@inner_lanes
def _apply_exchange(
    local: Array, moved: Array, work: Array, kernel: Array, i: int, j: int, size: int
) -> None:  # fmt: skip
    """`_apply_change` of two members that changed by the same amount in opposite directions."""
    lanes = local.shape[1] // MULTIPLE * MULTIPLE
    for lane in range(lanes):
        moved[i, lane] += work[_CHANGE_I, lane]
    for lane in range(lanes):
        moved[j, lane] -= work[_CHANGE_I, lane]
    for m in range(size):
        k = kernel[m, i] - kernel[m, j]
        for lane in range(lanes):
            local[m, lane] += k * work[_CHANGE_I, lane]


@inner_lanes
def _enter_block(
    K: Array, field: Array, members: Array, size: int, kernel: Array, local: Array, moved: Array
) -> None:
    """Copy the block's part of the kernel and of the fields."""
    lanes = local.shape[1] // MULTIPLE * MULTIPLE
    for q in range(members.size):
        for lane in range(lanes):
            moved[q, lane] = _f4(0.0)
            local[q, lane] = field[members[q], lane]
        for m in range(size):
            kernel[q, m] = K[members[q], members[m]]


@inner_lanes
def _leave_block(K: Array, field: Array, moved: Array, members: Array, size: int) -> None:
    """Add the block's net change to the fields of all samples.

    Two samples by four members at a time: what is loaded once is used eight times. Members beyond
    ``size`` have moved by 0.
    """
    lanes = field.shape[1] // MULTIPLE * MULTIPLE
    for q in range(0, size, 4):
        b0, b1, b2, b3 = members[q], members[q + 1], members[q + 2], members[q + 3]
        for n in range(0, field.shape[0], 2):
            j0, j1, j2, j3 = K[b0, n], K[b1, n], K[b2, n], K[b3, n]
            k0, k1, k2, k3 = K[b0, n + 1], K[b1, n + 1], K[b2, n + 1], K[b3, n + 1]
            for lane in range(lanes):
                m0, m1 = moved[q, lane], moved[q + 1, lane]
                m2, m3 = moved[q + 2, lane], moved[q + 3, lane]
                field[n, lane] += j0 * m0 + j1 * m1 + j2 * m2 + j3 * m3
                field[n + 1, lane] += k0 * m0 + k1 * m1 + k2 * m2 + k3 * m3


@njit_lanes
def anneal(
    K: Array, state: Batch, levels: Levels, uneven: Array | None, blocks: Any, memory: Memory,
    plan: Plan, order: Any,
) -> Any:  # fmt: skip
    """Run sweeps of the reads of one batch, or of some of them, in place.

    Parameters
    ----------
    K : ndarray of shape (n, n_rows), float32
        Kernel matrix, which is symmetric, with the equality penalty added. ``n_rows`` is even: a
        column of zeros follows if need be.
    state : Batch
        Changed in place. The field is -y at first; K b is added, without roundings of earlier
        sweeps.
    levels : Levels
    uneven : ndarray of shape (n, 6), float32, or None
        The weights sample by sample where they differ. None, which numba sees in the type, spares
        a first fit the compilation of what it does not need.
    blocks : tuple of ndarray of shape (n_partitions, n_blocks, block_size) and (n_blocks,)
        Samples of each block, and how many; partitions take turns sweep by sweep.
    memory : Memory
    plan : Plan
    order : uint32
        Random state of what all lanes share: who pairs with whom.

    Returns
    -------
    uint32
        The shared random state after the last sweep.
    """
    field, x, rng, b_start, everyone = state
    even, table, top = levels
    kernel, local, moved, work, candidates = memory
    partitions, sizes = blocks
    _leave_block(K, field, b_start, everyone, everyone.size)
    for s in range(plan.beta.size):
        beta, reach, number = plan.beta[s], plan.reach[s], plan.first + s
        stride = max(np.floor(_f4(reach) * _f4(0.25)), _f4(1.0))
        span = _u4(_f4(_WINDOW) * stride)
        for b in range(sizes.size):
            members, size = partitions[number % partitions.shape[0], b], sizes[b]
            _enter_block(K, field, members, size, kernel, local, moved)
            for t in range(size * plan.proposals if size > 1 else 0):
                i = t % size
                order = _next(order)
                j: Any = np.int64(order % _u4(size - 1))
                j += 1 if j >= i else 0
                si, sj = members[i], members[j]
                if uneven is None:
                    _even_pair_move(
                        i, j, si, sj, local, x, rng, work, kernel, even[0], even[2],
                        top, beta, reach,
                    )  # fmt: skip
                    _apply_exchange(local, moved, work, kernel, i, j, size)
                else:
                    _pair_move((i, j, si, sj), memory, state, levels, uneven, beta, reach)
                    _apply_change(local, moved, work, _CHANGE_I, kernel, i, size)
                    _apply_change(local, moved, work, _CHANGE_J, kernel, j, size)
            for i in range(size if number % plan.heat_every == 0 or size == 1 else 0):
                order = _next(order)
                n = members[i]
                one_window = top < _f4(_WINDOW // 2)
                shift = _f4(0.0) if one_window else _f4(np.int32(order % span))
                _heat_bath(
                    local[i], x[n], rng, work, candidates, _weight(n, even, uneven), table, top,
                    _f4(0.5) * kernel[i, i], beta, stride, shift,
                )  # fmt: skip
                _apply_change(local, moved, work, _CHANGE_I, kernel, i, size)
            _leave_block(K, field, moved, members, size)
    return order
