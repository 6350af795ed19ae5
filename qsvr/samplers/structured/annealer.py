"""Simulated annealing with moves that fit the problem: the default sampler.

A generic annealer flips one of 2 * n_bits * n bits at a time. This one has two moves on n
coefficients: a level change of one sample with the opposite change of a near neighbour in the
kernel, which crosses the equality penalty, and a heat-bath draw over all levels of one coefficient.
Reads run side by side in SIMD lanes, and batches of reads in threads.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray
from qsvr._validation import check_integer, shown
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.problem.stack import QuboStack
from qsvr.samplers.base import check_options
from qsvr.samplers.structured._arrays import Batch, Levels, Plan
from qsvr.samplers.structured.temperature import pair_beta_ranges

__all__ = ["StructuredAnnealer"]

_BLOCK_SIZE = 16
_N_PARTITIONS = 8
_PROPOSALS_PER_VISIT = 4
_SWEEPS_PER_HEAT_BATH = 16
# After this many sweeps the fields are recomputed to remove rounding errors of single precision.
_SWEEPS_PER_REFRESH = 64


@dataclass(frozen=True)
class StructuredAnnealer:
    """Simulated annealing over coefficient levels with pair and heat-bath moves.

    Options of `sample`: ``num_sweeps`` (by default it grows with the root of n_samples),
    ``beta_range`` (hot and cold inverse temperature; derived from the problem by default, see
    `pair_beta_ranges`), ``n_jobs`` (threads; the samples do not depend on it), ``device``
    (name of a PyTorch device, such as ``"cuda"``, on which all QUBOs of a stack are annealed at
    once; by default the compiled annealer runs on the processor, without PyTorch).

    See Also
    --------
    qsvr.get_sampler : Opens this sampler by default.

    Examples
    --------
    >>> from qsvr import QSVR
    >>> qubo = QSVR().make_problem([[0.0], [0.5], [1.0]], [0.0, 0.2, 1.0]).qubo
    >>> samples = StructuredAnnealer().sample(qubo, num_reads=8, seed=0, num_sweeps=20)
    >>> len(samples)
    8
    """

    is_local = True
    parameters = frozenset({"num_sweeps", "beta_range", "n_jobs", "device"})
    max_variables = 60_000  # 10,000 samples at 3 bits: three copies of their kernel fill 2 GB

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return ``num_reads`` samples; see `qsvr.samplers.Sampler.sample`."""
        return self.sample_stack(
            QuboStack.of([qubo]), num_reads=num_reads, seeds=[seed], **options
        )[0]

    def sample_stack(
        self, stack: QuboStack, *, num_reads: int, seeds: Sequence[int], **options: Any
    ) -> list[Samples]:
        """Return the samples of each QUBO of a stack, equal to those of separate calls.

        Parameters
        ----------
        stack : QuboStack
        num_reads : int
            Number of samples of each QUBO.
        seeds : sequence of int
            One seed for each QUBO.
        **options
            Options of `sample`; ``n_jobs`` threads share the QUBOs.
        """
        check_options("structured", options, self.parameters)
        start = perf_counter()
        num_sweeps, ranges = _schedules(stack, options)
        # A pool of NaN threads never ends.
        n_jobs = check_integer("sampler_options", "n_jobs", options.get("n_jobs", 1), low=1)
        betas = [np.geomspace(hot, cold, num_sweeps) for hot, cold in ranges]
        problems, device = _problems(stack, betas, seeds), options.get("device")
        if device is None:
            levels = anneal_all(problems, num_reads, seeds, n_jobs)
        else:
            levels = _annealed_on(_checked_device(device), problems, num_reads, seeds)
        bits, energies = stack.bits(levels), stack.energies(stack.values(levels))
        info = {
            "sampler": "structured",
            "num_sweeps": num_sweeps,
            "sampling_time": (perf_counter() - start) / len(stack),
            "polished": False,
        }
        return [
            Samples(*each, {**info, "beta_range": beta_range})
            for each, beta_range in zip(zip(bits, energies, strict=True), ranges, strict=True)
        ]


def _schedules(
    stack: QuboStack, options: Mapping[str, Any]
) -> tuple[int, list[tuple[float, float]]]:
    """Return the number of sweeps, and the hot and cold inverse temperature of each QUBO."""
    default = 16 + int(5.5 * np.sqrt(stack.y.shape[1]))
    owner = "sampler_options"
    num_sweeps = check_integer(owner, "num_sweeps", options.get("num_sweeps", default), low=1)
    chosen = options.get("beta_range")
    if chosen is None:
        return num_sweeps, pair_beta_ranges(stack)
    try:
        hot, cold = map(float, chosen)
    except (TypeError, ValueError):
        hot = cold = np.nan
    if not 0.0 < hot <= cold < np.inf:
        raise ValueError(
            f"beta_range of {owner} must be two inverse temperatures, 0 < hot <= cold; got "
            f"{shown(chosen)}. None derives them from the problem."
        )
    return num_sweeps, [(hot, cold)] * len(stack)


def anneal_all(
    problems: Sequence[AnnealingProblem], num_reads: int, seeds: Sequence[int], n_jobs: int
) -> NDArray[np.int64]:
    """Return levels of shape (n_members, num_reads, 2, n_samples)."""
    from qsvr._numba import in_threads

    if len(problems) == 1:
        return problems[0].run(num_reads, seeds[0], n_jobs)[None]
    pairs = list(zip(problems, seeds, strict=True))
    return np.stack(in_threads(lambda pair: pair[0].run(num_reads, pair[1], 1), pairs, n_jobs))


@dataclass(frozen=True, eq=False)
class AnnealingProblem:
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

    def run(self, num_reads: int, seed: int, n_jobs: int) -> NDArray[np.int64]:
        """Return levels of shape (num_reads, 2, n_samples)."""
        from qsvr._numba import in_threads
        from qsvr.samplers.structured._lanes import LANES, MULTIPLE

        # Batches share their seeds and random numbers, whoever anneals which of their lanes.
        n_batches = -(-num_reads // LANES)
        width = LANES if n_batches >= n_jobs and num_reads > MULTIPLE else MULTIPLE
        firsts = range(0, num_reads, width)
        signed = in_threads(lambda first: self._run_lanes(seed, first, width), firsts, n_jobs)
        return self.unsigned(np.concatenate(signed, axis=1)[:, :num_reads])

    def unsigned(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return levels, shape (n_reads, 2, n_samples), of signed ones, shape (n, n_reads)."""
        x = x.T
        if self.separate:
            return self.encoding.expanded(np.abs(x.astype(np.int64)))
        x = (x + _middle(self.encoding)).astype(np.int64)
        return np.stack([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)

    @staticmethod
    def batches(num_reads: int) -> range:
        """Return the numbers of the batches that so many reads fill."""
        from qsvr.samplers.structured._lanes import LANES

        return range(-(-num_reads // LANES))

    def start(
        self, seed: int, batch: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint32], np.uint32]:
        """Return the first signed levels, (n, LANES), and random states of lanes and of a batch."""
        from qsvr.samplers.structured._lanes import LANES

        rng, n = np.random.default_rng([seed, batch + 1]), self.y.size
        low, high = self.weights[:, 4:6].T[..., None]
        counts = (high - low).astype(np.int64) + 1
        x = low + rng.integers(0, counts, size=(n, LANES))
        states = rng.integers(1, 2**32, size=LANES, dtype=np.uint32)
        return x.astype(np.float32), states, np.uint32(rng.integers(1, 2**32))

    def _run_lanes(self, seed: int, first_read: int, width: int) -> NDArray[np.float32]:
        """Return signed levels, shape (n, width), of some reads of one batch."""
        from qsvr.samplers.structured._lanes import LANES, aligned, anneal, empty_memory

        batch, first_lane = divmod(first_read, LANES)
        lanes, n = slice(first_lane, first_lane + width), self.y.size
        first_x, states, shared = self.start(seed, batch)
        field, x = aligned(self.kernel.shape[1], width), aligned(n, width)
        x[:], states = first_x[:, lanes], states[lanes].copy()
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


def _problems(
    stack: QuboStack, betas: Sequence[FloatArray], seeds: Sequence[int]
) -> list[AnnealingProblem]:
    """Return each QUBO of a stack, with its schedule, as the compiled loops take it."""
    from qsvr.samplers.structured._blocks import neighbour_blocks

    separate = not stack.qubos[0].encoding.is_even
    kernel, y, offset = _quadratic_form(stack, separate=separate)
    n, top = y.shape[1], stack.grid.size - 1
    sizes = np.array([len(p) for p in np.array_split(np.arange(n), -(-n // _BLOCK_SIZE))])
    rngs = [np.random.default_rng([seed, 0]) for seed in seeds]
    orders = np.stack([[rng.permutation(n) for _ in range(_N_PARTITIONS)] for rng in rngs])
    blocks = neighbour_blocks(kernel, orders, sizes)
    reach = np.maximum(np.geomspace(max(top / 2.0, 1.0), 1.0, betas[0].size), 1.0)
    length, energy = _exponents(stack, kernel, offset)
    weights, table = _levels(stack, length, energy, separate=separate)
    scaled = np.ldexp(kernel, (2 * length - energy)[:, None, None]).astype(np.float32)
    scaled = np.pad(scaled, ((0, 0), (0, 0), (0, n % 2)))
    targets = np.ldexp(y, (length - energy)[:, None]).astype(np.float32)
    offsets = np.ldexp(offset, -length[:, None]).astype(np.float32)
    most = float(np.finfo(np.float32).max)
    problems = []
    low, high = weights[..., 4], weights[..., 5]
    highest = np.maximum(high.max(axis=1), -low.min(axis=1))
    parts = (weights[..., :2], weights[..., 2:4], weights[..., 5:])
    alike = sum(np.ptp(part, axis=(1, 2)) for part in parts) == 0.0
    for m, beta in enumerate(betas):
        scaled_beta = np.minimum(np.ldexp(beta, energy[m]), most).astype(np.float32)
        plan = Plan(
            scaled_beta, reach.astype(np.uint32), 0, _PROPOSALS_PER_VISIT, _SWEEPS_PER_HEAT_BATH
        )
        problems.append(
            AnnealingProblem(
                kernel=scaled[m], y=targets[m], offset=offsets[m],
                levels=Levels(tuple(weights[m, 0]), table, highest[m]), weights=weights[m],
                even=table is None and not separate and bool(alike[m]), separate=separate,
                blocks=(blocks[m], sizes), plan=plan, encoding=stack.qubos[m].encoding,
            )
        )  # fmt: skip
    return problems


def _middle(encoding: FixedPointEncoding) -> FloatArray:
    """Return the signed levels at which x is 0, shape (n_samples,).

    That is the middle of a box of one side, so that boxes of either side look alike.
    """
    return np.asarray(0.5 * (encoding.grid.size - 1) * encoding.side)


def _costs(stack: QuboStack) -> FloatArray:
    """Return the linear energy per unit of a and a-hat, shape (n_members, 2, n_samples).

    With the other coefficient at its offset the overlap term is linear too.
    """
    epsilon, overlap = stack.scalar("epsilon"), stack.scalar("overlap_penalty")
    return np.asarray(epsilon[..., None] + overlap[..., None] * stack.offset[:, ::-1])


def _checked_device(device: object) -> str:
    if not isinstance(device, str) or not device:
        raise ValueError(
            "device of sampler_options must be the name of a PyTorch device, such as 'cuda', or "
            f"None for the compiled annealer; got {shown(device)}."
        )
    return device


def _annealed_on(
    device: str, problems: Sequence[AnnealingProblem], num_reads: int, seeds: Sequence[int]
) -> NDArray[np.int64]:
    """Return levels as `anneal_all` does, annealed by PyTorch."""
    from qsvr.samplers.structured._torch import anneal_tensors

    signed = anneal_tensors(
        problems, num_reads, seeds, device=device, refresh=_SWEEPS_PER_REFRESH
    )  # fmt: skip
    return np.stack([p.unsigned(x) for p, x in zip(problems, signed, strict=True)])


def _quadratic_form(
    stack: QuboStack, *, separate: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return kernels, targets and offsets of b, of the samples or of a and -(a-hat) separately.

    Of shape (n_members, n, n) and (n_members, n). A box of one side has no corner of the cost
    within it: there the cost is a part of the target.
    """
    offset, top = stack.offset, stack.grid.size - 1
    if not separate:
        step, cost = stack.width.max(axis=1), _costs(stack)
        side = np.stack([qubo.encoding.side for qubo in stack.qubos])
        middle = np.stack([_middle(qubo.encoding) for qubo in stack.qubos]) * step / top
        slope = side * np.where(side > 0, cost[:, 0], cost[:, 1])
        return stack.penalised_kernel, stack.y - slope, offset[:, 0] - offset[:, 1] + middle
    kernel = np.tile(stack.penalised_kernel, (1, 2, 2))
    n, overlap = np.arange(stack.y.shape[1]), stack.scalar("overlap_penalty")
    kernel[:, n, n + n.size] -= overlap
    kernel[:, n + n.size, n] -= overlap
    y, signed = np.tile(stack.y, (1, 2)), np.concatenate([offset[:, 0], -offset[:, 1]], axis=1)
    if stack.active.shape[1] < y.shape[1]:
        member, active = np.arange(len(stack))[:, None], stack.active
        kernel = kernel[member[..., None], active[:, :, None], active[:, None]]
        return kernel, y[member, active], signed[member, active]
    return kernel, y, signed


def _exponents(
    stack: QuboStack, kernel: FloatArray, offset: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return the powers of two that coefficients and energies are divided by, (n_members,) each.

    With them no coefficient and no term of the energy of one or two samples exceeds one.
    """
    overlap = stack.scalar("overlap_penalty")[:, 0]
    cost = stack.scalar("epsilon")[:, 0] + overlap * np.abs(stack.offset).max(axis=(1, 2))
    longest = np.maximum(stack.width.max(axis=(1, 2)), np.abs(offset).max(axis=1))
    curvature = np.maximum(kernel.max(axis=(1, 2)), -kernel.min(axis=(1, 2)))
    slope = np.maximum(np.abs(stack.y).max(axis=1), cost)
    length = np.frexp(longest)[1].astype(np.int64)
    never = -(2**30)
    linear = np.where(slope > 0.0, length + np.frexp(slope)[1], never)
    square = np.where(curvature > 0.0, 2 * length + np.frexp(curvature)[1], never)
    energy = np.maximum(linear, square)
    return length, np.where(energy == never, 0, energy)


def _levels(
    stack: QuboStack, length: IntArray, energy: IntArray, *, separate: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the weights sample by sample, (n_members, n, 6), and the table of `Levels`.

    They are in the units of `_exponents`.
    """
    top = stack.grid.size - 1
    step = stack.width / top  # (n_members, 2, n)
    none, all_levels = np.zeros_like(stack.y), np.full_like(stack.y, float(top))
    epsilon = stack.scalar("epsilon")
    if separate:
        up = np.concatenate([step[:, 0], none], axis=1)
        down = np.concatenate([none, step[:, 1]], axis=1)
        low = np.concatenate([none, -all_levels], axis=1)
        high = np.concatenate([all_levels, none], axis=1)
        up, down, low, high = (
            np.take_along_axis(each, stack.active, axis=1) for each in (up, down, low, high)
        )
        cost_up, cost_down = epsilon * up, epsilon * down
    else:
        is_one = np.stack([qubo.encoding.side for qubo in stack.qubos]) != 0
        both, costs = step.swapaxes(0, 1), (step * _costs(stack)).swapaxes(0, 1)
        up, down = np.where(is_one, step.max(axis=1), both)
        cost_up, cost_down = np.where(is_one, 0.0, costs)
        high = np.where(is_one, 0.5 * all_levels, all_levels)
        low = -high
    lengths, energies = -length[:, None], -energy[:, None]
    columns = [
        np.ldexp(up, lengths), np.ldexp(down, lengths),
        np.ldexp(cost_up, energies), np.ldexp(cost_down, energies), low, high,
    ]  # fmt: skip
    weights = np.stack(columns, axis=-1).astype(np.float32)
    if stack.qubos[0].encoding.is_uniform:
        return weights, None
    units = stack.grid * top
    return weights, np.concatenate([-units[:0:-1], units]).astype(np.float32)
