"""Simulated annealing that knows the problem's structure: the default sampler.

A generic annealer sees 2 * n_bits * n bits and flips one at a time. This one sees n coefficients
and two moves that matter: a level change on one sample paired with the opposite one on a near
neighbour in the kernel (it crosses the equality penalty), and a heat-bath draw over all levels of
one coefficient. Reads run side by side in SIMD lanes, and batches of them in threads.

>>> import numpy as np
>>> from qsvr.problem.dual import SVRDual
>>> from qsvr.problem.encoding import FixedPointEncoding
>>> from qsvr.problem.qubo import SVRQubo
>>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
>>> qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=3))
>>> samples = StructuredAnnealer().sample(qubo, num_reads=10, seed=0)
>>> round(float(samples.energies.min()), 3)
-0.808
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray
from qsvr._validation import check_integer, shown
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import check_options
from qsvr.samplers.structured._arrays import Batch, Levels, Plan
from qsvr.samplers.structured.temperature import pair_beta_range

__all__ = ["StructuredAnnealer"]

_BLOCK_SIZE = 16
_N_PARTITIONS = 8
_PROPOSALS_PER_VISIT = 4
_SWEEPS_PER_HEAT_BATH = 16
# After this many sweeps the fields are computed afresh, against rounding in single precision.
_SWEEPS_PER_REFRESH = 64


@dataclass(frozen=True)
class StructuredAnnealer:
    """Simulated annealing over coefficient levels with pair and heat-bath moves.

    Options of `sample`: ``num_sweeps`` (by default it grows with the root of n_samples),
    ``beta_range`` (hot and cold inverse temperature; derived from the problem by default, see
    `pair_beta_range`), ``n_jobs`` (threads; the samples do not depend on it).
    """

    is_local = True
    parameters = frozenset({"num_sweeps", "beta_range", "n_jobs"})
    max_variables = 60_000  # 10,000 samples at 3 bits: three copies of their kernel fill 2 GB

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return ``num_reads`` samples, annealed in batches of as many reads as there are lanes."""
        check_options("structured", options, self.parameters)
        start = perf_counter()
        num_sweeps, hot, cold = _schedule(qubo, options)
        # A pool of NaN threads never ends.
        n_jobs = check_integer("sampler_options", "n_jobs", options.get("n_jobs", 1), low=1)
        problem = _Problem.of(qubo, np.geomspace(hot, cold, num_sweeps), seed)
        levels = problem.run(num_reads, seed, n_jobs)
        bits = qubo.encoding.bits(levels)
        info = {
            "sampler": "structured",
            "num_sweeps": num_sweeps,
            "beta_range": (hot, cold),
            "sampling_time": perf_counter() - start,
            "polished": False,
        }
        return Samples(bits, qubo.dual.energy(qubo.encoding.values(levels)), info)


def _schedule(qubo: SVRQubo, options: Mapping[str, Any]) -> tuple[int, float, float]:
    """Return the number of sweeps, and the hot and cold inverse temperature."""
    default = 16 + int(5.5 * np.sqrt(qubo.dual.n_samples))
    owner = "sampler_options"
    num_sweeps = check_integer(owner, "num_sweeps", options.get("num_sweeps", default), low=1)
    chosen = options.get("beta_range")
    if chosen is None:
        return num_sweeps, *pair_beta_range(qubo)
    try:
        hot, cold = map(float, chosen)
    except (TypeError, ValueError):
        hot = cold = np.nan
    if not 0.0 < hot <= cold < np.inf:
        raise ValueError(
            f"beta_range of {owner} must be two inverse temperatures, 0 < hot <= cold; got "
            f"{shown(chosen)}. None derives them from the problem."
        )
    return num_sweeps, hot, cold


@dataclass(frozen=True, eq=False)
class _Problem:
    """A QUBO and a schedule in the form that the compiled loops take.

    Its samples are those of the QUBO, or its coefficients where levels are not even. Coefficients
    and energies are scaled to the order of one, so that single precision holds targets and kernels
    in any units. The factors are powers of two, which change no digit.
    """

    kernel: NDArray[np.float32]  # (n, n_rows), penalties included; n_rows is even
    y: NDArray[np.float32]  # (n,)
    offset: NDArray[np.float32]  # (n,), b where every level is 0
    levels: Levels
    weights: NDArray[np.float32]  # (n, 6), see `Levels`
    even: bool  # whether they are the same for all samples
    separate: bool  # whether the coefficients of a sample are
    blocks: tuple[NDArray[np.int64], NDArray[np.int64]]
    plan: Plan
    encoding: FixedPointEncoding

    @classmethod
    def of(cls, qubo: SVRQubo, beta: FloatArray, seed: int) -> _Problem:
        from qsvr.samplers.structured._blocks import neighbour_blocks

        separate = not qubo.encoding.is_even
        kernel, y, offset = _quadratic_form(qubo, separate=separate)
        n, top = y.size, qubo.encoding.grid.size - 1
        sizes = np.array([len(p) for p in np.array_split(np.arange(n), -(-n // _BLOCK_SIZE))])
        rng = np.random.default_rng([seed, 0])
        orders = np.stack([rng.permutation(n) for _ in range(_N_PARTITIONS)])
        reach = np.maximum(np.geomspace(max(top / 2.0, 1.0), 1.0, beta.size), 1.0)
        length, energy = _exponents(qubo, kernel, offset)
        levels, weights, even = _levels(qubo, length, energy, separate=separate)
        most = float(np.finfo(np.float32).max)
        plan = Plan(
            np.minimum(np.ldexp(beta, energy), most).astype(np.float32), reach.astype(np.uint32), 0,
            _PROPOSALS_PER_VISIT, _SWEEPS_PER_HEAT_BATH,
        )  # fmt: skip
        scaled = np.ldexp(kernel, 2 * length - energy).astype(np.float32)
        return cls(
            kernel=np.pad(scaled, ((0, 0), (0, n % 2))),
            y=np.ldexp(y, length - energy).astype(np.float32),
            offset=np.ldexp(offset, -length).astype(np.float32),
            levels=levels,
            weights=weights,
            even=even,
            separate=separate,
            blocks=(neighbour_blocks(kernel, orders, sizes), sizes),
            plan=plan,
            encoding=qubo.encoding,
        )

    def run(self, num_reads: int, seed: int, n_jobs: int) -> NDArray[np.int64]:
        """Return levels of shape (num_reads, 2, n_samples)."""
        from qsvr._numba import in_threads
        from qsvr.samplers.structured._lanes import LANES, MULTIPLE

        # Batches share their seeds and random numbers, whoever anneals which of their lanes.
        n_batches = -(-num_reads // LANES)
        width = LANES if n_batches >= n_jobs else MULTIPLE
        firsts = range(0, num_reads, width)
        signed = in_threads(lambda first: self._run_lanes(seed, first, width), firsts, n_jobs)
        x = np.concatenate(signed, axis=1)[:, :num_reads].T
        if self.separate:
            return self.encoding.expanded(np.abs(x.astype(np.int64)))
        x = (x + _middle(self.encoding)).astype(np.int64)
        return np.stack([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)

    def _run_lanes(self, seed: int, first_read: int, width: int) -> NDArray[np.float32]:
        """Return signed levels, shape (n, width), of some reads of one batch."""
        from qsvr.samplers.structured._lanes import LANES, aligned, anneal, empty_memory

        batch, first_lane = divmod(first_read, LANES)
        lanes, n = slice(first_lane, first_lane + width), self.y.size
        rng = np.random.default_rng([seed, batch + 1])
        low, high = self.weights[:, 4:6].T[..., None]
        counts = (high - low).astype(np.int64) + 1
        field, x = aligned(self.kernel.shape[1], width), aligned(n, width)
        x[:] = low + rng.integers(0, counts, size=(n, LANES))[:, lanes]
        states = rng.integers(1, 2**32, size=LANES, dtype=np.uint32)[lanes].copy()
        shared = np.uint32(rng.integers(1, 2**32))
        b, everyone = aligned(-(-n // 4) * 4, width), np.arange(-(-n // 4) * 4) % n
        state = Batch(field, x, states, b, everyone)
        memory = empty_memory(self.blocks[0].shape[2], width)
        uneven = None if self.even else self.weights
        for first in range(0, self.plan.beta.size, _SWEEPS_PER_REFRESH):
            part = slice(first, first + _SWEEPS_PER_REFRESH)
            plan = self.plan._replace(
                beta=self.plan.beta[part], reach=self.plan.reach[part], first=first
            )
            field[:n], field[n:] = -self.y[:, None], 0.0
            b[:n], b[n:] = self._coefficients(x), 0.0
            shared = np.uint32(
                anneal(self.kernel, state, self.levels, uneven, self.blocks, memory, plan, shared)
            )
        return x

    def _coefficients(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return b of signed levels, both of shape (n, n_reads)."""
        table, (up, down) = self.levels.table, self.weights.T[:2, :, None]
        value = x if table is None else table[(x + self.levels.top).astype(np.int32)]
        rise, fall = np.maximum(value, 0.0), np.minimum(value, 0.0)
        return np.asarray(self.offset[:, None] + up * rise + down * fall, dtype=np.float32)


def _middle(encoding: FixedPointEncoding) -> FloatArray:
    """Return the signed levels at which x is 0, shape (n_samples,).

    That is the middle of a box of one side, so that boxes of either side look alike.
    """
    return np.asarray(0.5 * (encoding.grid.size - 1) * encoding.side)


def _costs(qubo: SVRQubo) -> FloatArray:
    """Return the linear energy per unit of a and a-hat, shape (2, n_samples).

    With the other coefficient at its offset the overlap term is linear too.
    """
    dual = qubo.dual
    return np.asarray(dual.epsilon + dual.overlap_penalty * qubo.encoding.offset[::-1])


def _quadratic_form(qubo: SVRQubo, *, separate: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return kernel, targets and offsets of b, of the samples or of a and -(a-hat) separately.

    A box of one side has no corner of the cost within it: there the cost is a part of the target.
    """
    dual, encoding, offset = qubo.dual, qubo.encoding, qubo.encoding.offset
    if not separate:
        step, cost, side = encoding.width.max(axis=0), _costs(qubo), encoding.side
        middle = _middle(encoding) * step / (encoding.grid.size - 1)
        slope = side * np.where(side > 0, cost[0], cost[1])
        return dual.penalised_kernel, dual.y - slope, offset[0] - offset[1] + middle
    kernel = np.tile(dual.penalised_kernel, (2, 2))
    n = np.arange(dual.n_samples)
    kernel[n, n + n.size] -= dual.overlap_penalty
    kernel[n + n.size, n] -= dual.overlap_penalty
    y, signed = np.tile(dual.y, 2), np.concatenate([offset[0], -offset[1]])
    active = encoding.active
    if active.size < y.size:
        return kernel[np.ix_(active, active)], y[active], signed[active]
    return kernel, y, signed


def _exponents(qubo: SVRQubo, kernel: FloatArray, offset: FloatArray) -> tuple[int, int]:
    """Return the powers of two that coefficients and energies are divided by.

    With them no coefficient and no term of the energy of one or two samples exceeds one.
    """
    dual, width = qubo.dual, qubo.encoding.width
    cost = dual.epsilon + dual.overlap_penalty * float(np.abs(qubo.encoding.offset).max())
    largest = [
        max(float(width.max()), float(np.abs(offset).max())),
        max(float(kernel.max()), -float(kernel.min())),
        max(float(np.abs(dual.y).max()), cost),
    ]
    length, curvature, slope = np.frexp(largest)[1].tolist()
    terms = [length + slope] * (largest[2] > 0.0) + [2 * length + curvature] * (largest[1] > 0.0)
    return length, max(terms, default=0)


def _levels(
    qubo: SVRQubo, length: int, energy: int, *, separate: bool
) -> tuple[Levels, NDArray[np.float32], bool]:
    """Return the levels, the weights sample by sample, and whether these are all the same.

    They are in the units of `_exponents`.
    """
    dual, encoding, active = qubo.dual, qubo.encoding, qubo.encoding.active
    top = encoding.grid.size - 1
    step = encoding.width / top  # (2, n)
    none, all_levels = np.zeros(dual.n_samples), np.full(dual.n_samples, float(top))
    if separate:
        up, down = np.concatenate([step[0], none]), np.concatenate([none, step[1]])
        cost_up, cost_down = dual.epsilon * up, dual.epsilon * down
        low, high = np.concatenate([none, -all_levels]), np.concatenate([all_levels, none])
        up, down, low, high = up[active], down[active], low[active], high[active]
        cost_up, cost_down = cost_up[active], cost_down[active]
    else:
        is_one = encoding.side != 0
        up, down = np.where(is_one, step.max(axis=0), step)
        cost_up, cost_down = np.where(is_one, 0.0, step * _costs(qubo))
        high = np.where(is_one, 0.5 * all_levels, all_levels)
        low = -high
    columns = [
        *np.ldexp([up, down], -length), *np.ldexp([cost_up, cost_down], -energy), low, high
    ]  # fmt: skip
    weights = np.column_stack(columns).astype(np.float32)
    table = None
    if not encoding.is_uniform:
        units = encoding.grid * top
        table = np.concatenate([-units[:0:-1], units]).astype(np.float32)
    steps, costs = weights[:, :2], weights[:, 2:4]
    even = table is None and not separate and np.ptp(steps) == 0.0 and np.ptp(costs) == 0.0
    even = even and np.ptp(high) == 0.0
    highest = np.float32(max(high.max(), -low.min()))
    return Levels(tuple(weights[0]), table, highest), weights, bool(even)
