"""The moves of `_lanes` in PyTorch: reads of many QUBOs side by side, on a graphics processor.

The random numbers are those of the compiled annealer, and so are the moves that they propose; only
sums are rounded differently, so that the samples are the same but where rounding decides a move.
Each move is about a hundred operations on tensors over (QUBOs, reads), which is useful if there are
many of both: on a processor the compiled annealer is far quicker. On CUDA the operations of a move
are recorded once and replayed as one launch (a CUDA graph).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._text import install_hint
from qsvr.exceptions import SamplerError

__all__ = ["anneal_tensors"]

_recording = threading.Lock()  # no thread may synchronise a device while another one records

_WINDOW = 16  # candidate levels of one heat-bath draw, as in `_lanes`
_MASK = 0xFFFFFFFF


def anneal_tensors(
    problems: Sequence[Any], num_reads: int, seeds: Sequence[int], *,
    device: str, refresh: int,
) -> list[NDArray[np.float32]]:  # fmt: skip
    """Return signed levels, shape (n, num_reads), of each problem.

    Parameters
    ----------
    problems : sequence of qsvr.samplers.structured.annealer.AnnealingProblem
        Of equal size.
    num_reads : int
    seeds : sequence of int
    device : str
        Name of the PyTorch device.
    refresh : int
        Number of sweeps after which fields are recomputed.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    SamplerError
        If there is no such device.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"device={device!r} of sampler_options needs PyTorch, which is not installed: "
            f"{install_hint('torch')} ({error}). Leave device out for the compiled annealer."
        ) from error
    first = problems[0]
    n_batches = len(first.batches(num_reads))
    starts = [
        problem.start(seed, batch)
        for problem, seed in zip(problems, seeds, strict=True)
        for batch in range(n_batches)
    ]
    repeated = [problem for problem in problems for _ in range(n_batches)]
    width = min(num_reads, starts[0][0].shape[1])
    try:
        with _current(torch, device):
            state = _State.of(torch, device, repeated, starts, width)
            for number in range(len(first.plan.beta)):
                if number % refresh == 0:
                    state.refresh()
                state.sweep(number)
            x = state.x.cpu().numpy()  # (n_problems * n_batches, n, width)
    except (RuntimeError, AssertionError) as error:  # what PyTorch raises, also without the device
        raise SamplerError(
            f"device={device!r} of sampler_options failed: {str(error).rstrip('.')}. Leave device "
            "out for the compiled annealer, which needs no such device."
        ) from error
    x = x.reshape(len(problems), n_batches, *x.shape[1:]).transpose(0, 2, 1, 3)
    return list(x.reshape(len(problems), x.shape[1], -1)[:, :, :num_reads])


def _current(torch: Any, device: str) -> contextlib.AbstractContextManager[Any]:
    """Make a CUDA device the current one, on which graphs are recorded."""
    place = torch.empty(0, device=device).device  # fails here if there is no such device
    return torch.cuda.device(place) if place.type == "cuda" else contextlib.nullcontext()


@dataclass(eq=False)
class _State:
    """Tensors over groups, each of which is a batch of reads of one QUBO.

    They are changed in place: a recorded move reads and writes the same memory each time.
    """

    torch: Any
    K: Any  # (n_groups, n, n)
    y: Any  # (n_groups, n)
    offset: Any  # (n_groups, n)
    weights: Any  # (n_groups, n, 6), see `Levels`
    table: Any  # values of levels in units of a mean step, or None
    top: float
    partitions: NDArray[np.int64]  # (n_partitions, n_blocks, block_size, n_groups)
    betas: NDArray[np.float32]  # (n_sweeps, n_groups)
    sizes: list[int]
    plan: Any
    x: Any  # (n_groups, n, n_reads)
    field: Any  # (n_groups, n, n_reads)
    rng: Any  # (n_groups, n_reads), 32 bits in int64
    order: NDArray[np.int64]  # (n_groups,), what all reads of a group share
    groups: Any  # (n_groups,)
    beta: Any  # (n_groups, 1), of this sweep
    reach: Any  # (), of this sweep
    move: Any  # (3, n_groups), this move's two samples, and the shift of a heat bath
    recorded: dict[str, Callable[[], None]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, torch: Any, device: str, problems: Sequence[Any], starts: Any, width: int
    ) -> _State:
        first, n = problems[0], problems[0].y.size

        def tensor(arrays: Any) -> Any:
            return torch.as_tensor(np.ascontiguousarray(arrays), device=device)

        table = first.levels.table
        x = tensor(np.stack([levels[:, :width] for levels, _, _ in starts]))
        return cls(
            torch, tensor(np.stack([p.kernel[:, :n] for p in problems])),
            tensor(np.stack([p.y for p in problems])),
            tensor(np.stack([p.offset for p in problems])),
            tensor(np.stack([p.weights for p in problems])),
            None if table is None else tensor(table), float(first.levels.top),
            np.stack([p.blocks[0] for p in problems], axis=-1),
            np.stack([p.plan.beta for p in problems], axis=1),
            [int(size) for size in first.blocks[1]], first.plan, x, torch.zeros_like(x),
            tensor(np.stack([states[:width] for _, states, _ in starts]).astype(np.int64)),
            np.array([order for _, _, order in starts], dtype=np.int64),
            torch.arange(len(problems), device=device),
            torch.zeros(len(problems), 1, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
            torch.zeros(3, len(problems), dtype=torch.int64, device=device),
        )  # fmt: skip

    def sweep(self, number: int) -> None:
        """Visit every block once."""
        names, moves = self._moves(number)
        moves = self.torch.as_tensor(moves, device=self.x.device)
        self.beta.copy_(self.torch.as_tensor(self.betas[number][:, None]))
        self.reach.fill_(int(self.plan.reach[number]))
        record = number > 0 and self.x.is_cuda  # a first sweep has loaded all kernels
        for name, move in zip(names, moves, strict=True):
            self.move.copy_(move)
            if record and name not in self.recorded:
                self.recorded[name] = self._record(name)
            self.recorded.get(name, getattr(self, name))()

    def _record(self, name: str) -> Callable[[], None]:
        """Record a move, which does not make it, and return a function that makes it."""
        graph = self.torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile.
        with _recording, self.torch.cuda.graph(graph, capture_error_mode="thread_local"):
            getattr(self, name)()
        replay: Callable[[], None] = graph.replay
        return replay

    def _moves(self, number: int) -> tuple[list[str], NDArray[np.int64]]:
        """Return the moves of a sweep: their names, and what `move` holds, (n_moves, 3, n_groups).

        All reads of a group share them, so that they are drawn on the processor.
        """
        stride = max(int(self.plan.reach[number]) // 4, 1)
        blocks = self.partitions[number % len(self.partitions)]
        names, moves, groups = [], [], np.arange(self.order.size)
        for size, members in zip(self.sizes, blocks, strict=True):
            for t in range(size * self.plan.proposals if size > 1 else 0):
                i = t % size
                self.order = _next(self.order)
                j = self.order % (size - 1)
                j += j >= i
                names.append("pair_move")
                moves.append((members[i], members[j, groups], groups))
            for i in range(size if number % self.plan.heat_every == 0 or size == 1 else 0):
                self.order = _next(self.order)
                shift = np.zeros_like(self.order)
                if self.top >= _WINDOW // 2:
                    shift = self.order % (_WINDOW * stride)
                names.append("heat_bath")
                moves.append((members[i], members[i], shift))
        return names, np.array(moves)

    def refresh(self) -> None:
        """Compute the fields without the roundings of earlier sweeps.

        Not as a matrix product, to which PyTorch may be set to give less than single precision.
        """
        value, w = self._unit(self.x), self.weights
        b = self.offset[:, :, None] + w[:, :, 0:1] * value.clamp(min=0.0)
        b = b + w[:, :, 1:2] * value.clamp(max=0.0)
        self.field.copy_(-self.y[:, :, None].expand_as(self.field))
        for s in range(b.shape[1]):
            self.field.addcmul_(self.K[:, s, :, None], b[:, s, None])

    def _unit(self, x: Any) -> Any:
        return x if self.table is None else self.table[(x + self.top).long()]

    def _random(self) -> Any:
        return self.rng.copy_(_next(self.rng))

    def _change(self, w: Any, old: Any, new: Any) -> tuple[Any, Any]:
        """Return the change of b and of the linear energy from one level to another."""
        before, after = self._unit(old), self._unit(new)
        rise = after.clamp(min=0.0) - before.clamp(min=0.0)
        fall = after.clamp(max=0.0) - before.clamp(max=0.0)
        up, down, cost_up, cost_down = (
            w[:, k].reshape(-1, *[1] * (old.dim() - 1)) for k in range(4)
        )
        return up * rise + down * fall, cost_up * rise - cost_down * fall

    def pair_move(self) -> None:
        """Propose one level change on sample i and the opposite one on sample j, in every read."""
        torch, g, r = self.torch, self.groups, self._random()
        si, sj = self.move[0], self.move[1]
        wi, wj = self.weights[g, si], self.weights[g, sj]
        old_i, old_j = self.x[g, si], self.x[g, sj]
        size = (((r & 4095) * self.reach) >> 12).float() + 1.0
        step = torch.where((r & 4096) != 0, size, -size)
        u = ((r >> 13).float() + 0.5) * 2.0**-19
        weight_i, weight_j = wi[:, :2].amax(dim=1), wj[:, :2].amax(dim=1)
        exchange = torch.where(weight_j > 0.0, weight_i / weight_j, 0.0)[:, None]
        new_i, new_j = old_i + step, old_j - (step * exchange).round()
        inside = (new_i >= wi[:, 4:5]) & (new_i <= wi[:, 5:6])
        inside = inside & (new_j >= wj[:, 4:5]) & (new_j <= wj[:, 5:6])
        new_i, new_j = torch.where(inside, new_i, old_i), torch.where(inside, new_j, old_j)
        (bi, cost_i), (bj, cost_j) = self._change(wi, old_i, new_i), self._change(wj, old_j, new_j)
        kii, kjj, kij = (self.K[g, a, b][:, None] for a, b in ((si, si), (sj, sj), (si, sj)))
        energy = (self.field[g, si] + 0.5 * kii * bi + kij * bj) * bi
        energy = energy + (self.field[g, sj] + 0.5 * kjj * bj) * bj + cost_i + cost_j
        accept = u < _exp_minus((self.beta * energy).clamp(min=0.0))
        self.x[g, si] = torch.where(accept, new_i, old_i)
        self.x[g, sj] = torch.where(accept, new_j, old_j)
        bi, bj = torch.where(accept, bi, 0.0), torch.where(accept, bj, 0.0)
        self.field.addcmul_(self.K[g, si][:, :, None], bi[:, None])
        self.field.addcmul_(self.K[g, sj][:, :, None], bj[:, None])

    def heat_bath(self) -> None:
        """Draw one sample's level from its conditional Boltzmann distribution, in every read."""
        torch, g, s, shift = self.torch, self.groups, self.move[0], self.move[2][:, None]
        stride = (self.reach // 4).clamp(min=1).float()
        w, old = self.weights[g, s], self.x[g, s]
        low, high = w[:, 4:5], w[:, 5:6]
        tick = ((old + self.top + shift) / stride).floor()
        first = ((tick / _WINDOW).floor() * _WINDOW - tick) * stride + old
        steps = stride * torch.arange(_WINDOW, device=old.device)
        levels = first[:, None] + steps[None, :, None]  # (n_groups, 16, n_reads)
        inside = (levels >= low[:, None]) & (levels <= high[:, None])
        before = old[:, None].expand_as(levels)
        b, cost = self._change(w, before, torch.where(inside, levels, before))
        curvature = 0.5 * self.K[g, s, s][:, None, None]
        energy = (self.field[g, s][:, None] + curvature * b) * b + cost
        energy = torch.where(inside, energy, 1e30)
        likely = _exp_minus(self.beta[:, None] * (energy - energy.amin(dim=1, keepdim=True)))
        u = ((self._random() >> 9).float() + 0.5) * 2.0**-23
        left = (likely.sum(dim=1) * u)[:, None] - likely[:, :-1].cumsum(dim=1)
        new = first + stride * (left >= 0.0).sum(dim=1)
        new = torch.where((new >= low) & (new <= high), new, old)
        self.x[g, s] = new
        self.field.addcmul_(self.K[g, s][:, :, None], self._change(w, old, new)[0][:, None])


def _next(state: Any) -> Any:
    """Xorshift32 (Marsaglia 2003), of 32 bits in integers of 64."""
    state = state ^ ((state << 13) & _MASK)
    state = state ^ (state >> 17)
    return state ^ ((state << 5) & _MASK)


def _exp_minus(x: Any) -> Any:
    """exp(-x) for x >= 0, as in `_lanes`."""
    t = (x * (1.0 / 32.0)).clamp(max=1.0)
    y = 1.0 - t + 0.5 * t * t
    for _ in range(5):
        y = y * y
    return y
