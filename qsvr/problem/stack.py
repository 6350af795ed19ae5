"""Stacks of QUBOs of equal size, to compute many small problems in few calls of NumPy.

For 20 samples the overhead of a call of NumPy exceeds the computation, so an ensemble of a hundred
members spends most of its time in calls. A stack holds the arrays of its members one after the
other and performs the computations of `SVRDual`, `FixedPointEncoding` and
`qsvr.problem.local_search` for all of them, with the same operations in the same order. The results
are bit for bit equal.

>>> import numpy as np
>>> from qsvr.problem.dual import SVRDual
>>> from qsvr.problem.encoding import FixedPointEncoding
>>> duals = [SVRDual(np.eye(2), np.array([y, -y]), 0.1, np.ones(2)) for y in (0.5, 1.0)]
>>> qubos = [SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=1)) for dual in duals]
>>> stack = QuboStack.of(qubos)
>>> stack.energies(stack.values(np.array([[[1, 0], [0, 1]]] * 2)[:, None])).round(3).tolist()
[[0.2], [-0.8]]
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.dual import Relaxation, SVRDual
from qsvr.problem.local_search import LevelDescent
from qsvr.problem.qubo import SVRQubo

__all__ = ["QuboStack", "relax_all", "stack_key"]


def stack_key(qubo: SVRQubo) -> Hashable:
    """Return a key that is equal for QUBOs that can be stacked: size and levels."""
    encoding = qubo.encoding
    shape = (encoding.n_samples, encoding.active.size)
    return shape, encoding.unit_weights.tobytes(), encoding.is_even


@dataclass(frozen=True, eq=False)
class QuboStack:
    """Arrays of QUBOs of equal `stack_key`, the members first.

    Attributes
    ----------
    qubos : tuple of SVRQubo
    kernel : ndarray of shape (n_members, n_samples, n_samples)
        Without the penalty.
    y : ndarray of shape (n_members, n_samples)
    offset, width : ndarray of shape (n_members, 2, n_samples)
    """

    qubos: tuple[SVRQubo, ...]
    kernel: FloatArray
    y: FloatArray
    offset: FloatArray
    width: FloatArray

    @classmethod
    def of(cls, qubos: Sequence[SVRQubo]) -> QuboStack:
        """Stack QUBOs of equal `stack_key`; the arrays of a single one are not copied."""
        return cls(
            tuple(qubos),
            _stacked([qubo.dual.kernel_matrix for qubo in qubos]),
            _stacked([qubo.dual.y for qubo in qubos]),
            _stacked([qubo.encoding.offset for qubo in qubos]),
            _stacked([qubo.encoding.width for qubo in qubos]),
        )

    def __len__(self) -> int:
        return len(self.qubos)

    @cached_property
    def penalised_kernel(self) -> FloatArray:
        """K + 2 * equality_penalty of each, shape (n_members, n_samples, n_samples)."""
        return _stacked([qubo.dual.penalised_kernel for qubo in self.qubos])

    @cached_property
    def _descents(self) -> list[LevelDescent]:
        return [LevelDescent.of(qubo) for qubo in self.qubos]

    @property
    def grid(self) -> FloatArray:
        """The levels, common to all; see `FixedPointEncoding.grid`."""
        return self.qubos[0].encoding.grid

    def scalar(self, name: str) -> FloatArray:
        """Return a number of each dual, as an array that broadcasts over (members, reads)."""
        return np.array([getattr(qubo.dual, name) for qubo in self.qubos])[:, None]

    def values(self, levels: NDArray[np.int64]) -> FloatArray:
        """Return coefficients of levels, both of shape (n_members, n_reads, 2, n_samples)."""
        return np.asarray(self.offset[:, None] + self.width[:, None] * self.grid[levels])

    @cached_property
    def active(self) -> IntArray:
        """`FixedPointEncoding.active` of each, shape (n_members, n_active)."""
        return np.stack([qubo.encoding.active for qubo in self.qubos])

    def decode(self, bits: NDArray[np.uint8]) -> FloatArray:
        """Return coefficients, (n_members, n_reads, 2, n_samples), of bits.

        Parameters
        ----------
        bits : ndarray of shape (n_members, n_reads, n_variables)
        """
        encoding = self.qubos[0].encoding
        shape = (*bits.shape[:2], self.active.shape[1], encoding.n_bits)
        unit = self._expanded(bits.reshape(shape) @ encoding.unit_weights)
        return np.asarray(self.offset[:, None] + self.width[:, None] * unit)

    def bits(self, levels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return bit strings, (n_members, n_reads, n_variables), of levels as for `values`."""
        n_members, n_reads = levels.shape[:2]
        if self.active.shape[1] < levels.shape[2] * levels.shape[3]:
            pairs = zip(self.qubos, levels, strict=True)
            return np.stack([qubo.encoding.bits(each) for qubo, each in pairs])
        flat = self.qubos[0].encoding.bits(levels.reshape(-1, *levels.shape[2:]))
        return flat.reshape(n_members, n_reads, flat.shape[1])

    def levels(self, bits: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return levels as for `values` of bits (n_members, n_reads, n_variables)."""
        n_members, n_reads, n_variables = bits.shape
        if self.active.shape[1] < 2 * self.y.shape[1]:
            pairs = zip(self.qubos, bits, strict=True)
            return np.stack([qubo.encoding.levels(each) for qubo, each in pairs])
        flat = self.qubos[0].encoding.levels(bits.reshape(-1, n_variables))
        return flat.reshape(n_members, n_reads, *flat.shape[1:])

    def _expanded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the coefficients that have bits as (..., 2, n_samples); others are 0."""
        n_members, n_reads, n_active = values.shape
        n = self.y.shape[1]
        if n_active < 2 * n:
            full = np.zeros((n_members, n_reads, 2 * n), dtype=values.dtype)
            np.put_along_axis(full, self.active[:, None], values, axis=2)
            values = full
        return values.reshape(n_members, n_reads, 2, n)

    def nearest_levels(self, coefficients: FloatArray) -> NDArray[np.int64]:
        """Return the levels nearest to coefficients, both as for `values`."""
        width = self.width[:, None]
        safe_width = np.where(width > 0, width, 1.0)
        unit = np.clip((coefficients - self.offset[:, None]) / safe_width, 0.0, 1.0)
        grid = self.grid
        upper = np.clip(np.searchsorted(grid, unit), 1, grid.size - 1)
        return upper - (unit - grid[upper - 1] <= grid[upper] - unit)

    def energies(self, coefficients: FloatArray) -> FloatArray:
        """Return energies, (n_members, n_reads), of coefficients as for `values`."""
        return _energies(
            self.kernel, self.y, coefficients,
            epsilon=self.scalar("epsilon"), equality=self.scalar("equality_penalty"),
            overlap=self.scalar("overlap_penalty"),
        )  # fmt: skip

    def fields(self, b: FloatArray) -> FloatArray:
        """Return `SVRDual.field` of b, both of shape (n_members, n_reads, n_samples)."""
        total = b.sum(axis=-1, keepdims=True)
        penalty = 2.0 * self.scalar("equality_penalty")[..., None]
        return np.asarray(b @ self.kernel + penalty * total - self.y[:, None])

    def descended(self, levels: NDArray[np.int64], *, n_jobs: int = 1) -> NDArray[np.int64]:
        """Return the local minima that `descend_levels` reaches from levels as for `values`.

        ``n_jobs`` threads share the members, or the reads of a single one.
        """
        from qsvr._numba import in_threads

        values = self.values(levels)
        fields = self.fields(values[:, :, 0] - values[:, :, 1])
        result, n_reads = levels.copy(), levels.shape[1]
        n_parts = 1 if len(self) > 1 else min(n_jobs, n_reads)
        ends = np.linspace(0, n_reads, n_parts + 1).astype(int)
        parts = [
            (m, slice(*pair)) for m in range(len(self)) for pair in itertools.pairwise(ends)
        ]  # fmt: skip

        def descend(member_part: tuple[int, slice]) -> None:
            m, part = member_part
            self._descents[m].run(result[m, part], values[m, part], fields[m, part])

        in_threads(descend, parts, n_jobs)
        return result

    def excitations(self, levels: NDArray[np.int64], partners: NDArray[np.int64]) -> FloatArray:
        """Return the energies of one-level pair moves, one sample up and a partner down.

        Parameters
        ----------
        levels : ndarray of int, shape (n_members, 2, n_samples)
            The points that the moves start from.
        partners : ndarray of int, shape (n_members, n_samples, n_partners)

        Returns
        -------
        ndarray of shape (n_members, n_samples, n_partners)
            Changes of energy, infinite for moves that are impossible.
        """
        encoding, top = self.qubos[0].encoding, self.grid.size - 1
        member, n = np.arange(len(self))[:, None], np.arange(encoding.n_samples)
        values = self.values(levels[:, None])[:, 0]
        field, kernel = (
            self.fields((values[:, 0] - values[:, 1])[:, None])[:, 0],
            self.penalised_kernel,
        )
        epsilon, overlap = self.scalar("epsilon"), self.scalar("overlap_penalty")

        def shift(down: int) -> tuple[FloatArray, FloatArray]:
            """Return changes of b and costs: one coefficient down, or if even the other up."""
            falls = levels[:, down] > 0
            side = np.where(falls | (not encoding.is_even), down, 1 - down)
            old = levels[member, side, n]
            level = old + np.where(side == down, -1, 1)
            level = np.where((level < 0) | (level > top), old, level)
            new = self.offset[member, side, n] + self.width[member, side, n] * self.grid[level]
            change = new - values[member, side, n]
            cost = change * (epsilon + overlap * values[member, 1 - side, n])
            return np.where(side == 0, change, -change), cost

        (up, cost_up), (down, cost_down) = shift(1), shift(0)
        diagonal = np.diagonal(kernel, axis1=1, axis2=2)
        alone_up = up * field + 0.5 * diagonal * up**2 + cost_up
        alone_down = down * field + 0.5 * diagonal * down**2 + cost_down
        of_partner = down[member[..., None], partners]
        mixed = np.take_along_axis(kernel, partners, axis=2) * up[..., None] * of_partner
        energies = alone_up[..., None] + alone_down[member[..., None], partners] + mixed
        possible = (partners != n[:, None]) & (up[..., None] != 0.0) & (of_partner != 0.0)
        return np.where(possible, energies, np.inf)

    def polished(
        self, bits: NDArray[np.uint8], energies: FloatArray, *, n_jobs: int = 1
    ) -> tuple[NDArray[np.uint8], FloatArray]:
        """Return bits and energies after `polish`.

        Parameters
        ----------
        bits : ndarray of shape (n_members, n_reads, n_variables)
        energies : ndarray of shape (n_members, n_reads)
        n_jobs : int, default=1
            Threads.
        """
        levels = self.descended(self.levels(bits), n_jobs=n_jobs)
        lowered, found = self.energies(self.values(levels)), self.bits(levels)
        worse = lowered > energies
        found[worse], lowered[worse] = bits[worse], energies[worse]
        return found, lowered


def _stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


def _energies(
    kernel: FloatArray, y: FloatArray, coefficients: FloatArray, *,
    epsilon: FloatArray, equality: FloatArray, overlap: FloatArray,
) -> FloatArray:  # fmt: skip
    a, ah = coefficients[..., 0, :], coefficients[..., 1, :]
    b = a - ah
    quadratic = 0.5 * np.sum((b @ kernel) * b, axis=-1)
    energy = quadratic + epsilon * (a + ah).sum(axis=-1) - (b @ y[..., None])[..., 0]
    energy += equality * b.sum(axis=-1) ** 2
    if overlap.any():
        energy += overlap * (a * ah).sum(axis=-1)
    return np.asarray(energy)


def relax_all(duals: Sequence[SVRDual]) -> list[Relaxation]:
    """Return `SVRDual.relaxation` of duals of any size, each of which keeps its own.

    Those of equal size are relaxed side by side; the result is that of one by one.
    """
    groups: dict[int, list[SVRDual]] = {}
    for dual in duals:
        if "relaxation" not in vars(dual):
            groups.setdefault(dual.n_samples, []).append(dual)
    for members in groups.values():
        if len(members) > 1:
            _relax_side_by_side(members)
    return [dual.relaxation for dual in duals]


def _relax_side_by_side(duals: Sequence[SVRDual]) -> None:
    """Do what `SVRDual.relax` does by default, step by step for all duals."""
    from qsvr.problem._smo import Box, smo

    n, rtol = duals[0].n_samples, 1e-6
    limit = 1000 + 500 * n
    kernel, y = np.stack([dual.kernel_matrix for dual in duals]), np.stack([d.y for d in duals])
    upper = np.stack([dual.box for dual in duals])
    names = ("epsilon", "equality_penalty", "overlap_penalty")
    epsilon, equality, overlap = (np.array([getattr(d, name) for d in duals]) for name in names)
    low, high = 0.0 - upper[:, 1], upper[:, 0] - 0.0
    most = np.maximum(np.abs(low), np.abs(high)).sum(axis=1)
    point = np.zeros((len(duals), n + 1))
    for m, dual in enumerate(duals):
        start = vars(dual).get("_start")
        if start is not None:
            point[m, :-1] = start[0] - start[1]
    point[:, :-1] = np.clip(point[:, :-1], low, high)
    boxes = [
        Box(
            np.append(low[m], -most[m]), np.append(high[m], most[m]), np.zeros(n + 1),
            np.append(np.full(n, epsilon[m]), 0.0),
        )
        for m in range(len(duals))
    ]  # fmt: skip
    diagonal = np.diagonal(kernel, axis1=1, axis2=2)
    diagonal = np.concatenate([diagonal, 2.0 * equality[:, None]], axis=1)
    tol, n_pairs = np.full(len(duals), np.inf), np.zeros(len(duals), np.int64)
    left = np.arange(len(duals))
    while left.size:
        b, K, targets = point[left, :-1], kernel[left], y[left]
        a = np.maximum(0.0, b)
        z = np.clip(np.stack([a, a - b], axis=1), 0.0, upper[left])
        energy = _energies(
            K, targets, z[:, None], epsilon=epsilon[left, None], equality=equality[left, None],
            overlap=overlap[left, None],
        )[:, 0]  # fmt: skip
        gap = _frank_wolfe_gaps(K, targets, z, upper[left], epsilon[left], equality[left])
        ends = (gap <= rtol * np.abs(energy)) | (n_pairs[left] >= limit) | (tol[left] == 0.0)
        for i in np.flatnonzero(ends):
            _keep_relaxation(duals[left[i]], z[i], float(energy[i]), float(gap[i]))
        b, left = b[~ends], left[~ends]
        point[left, -1] = -b.sum(axis=1)
        fields = np.empty((left.size, n + 1))
        fields[:, :-1] = (b[:, None] @ kernel[left])[:, 0] - y[left]
        fields[:, -1] = 2.0 * equality[left] * point[left, -1]
        least = 0.03 * (np.ptp(fields, axis=1) + 2.0 * epsilon[left])
        tols = 0.03 * np.minimum(tol[left], least)
        tol[left] = np.where(tols < 1e-14 * np.abs(fields).max(axis=1), 0.0, tols)
        moved = [
            smo(
                duals[m].kernel_matrix, diagonal[m], fields[i], point[m], boxes[m], float(tol[m]),
                limit - int(n_pairs[m]),
            )
            for i, m in enumerate(left.tolist())
        ]  # fmt: skip
        n_pairs[left] += 1 + np.array(moved, dtype=np.int64)


def _frank_wolfe_gaps(
    kernel: FloatArray, y: FloatArray, z: FloatArray, upper: FloatArray, epsilon: FloatArray,
    equality: FloatArray,
) -> FloatArray:  # fmt: skip
    b = z[:, 0] - z[:, 1]
    field = (b[:, None] @ kernel)[:, 0] + 2.0 * equality[:, None] * b.sum(axis=1, keepdims=True) - y
    gradient = np.stack([field, -field], axis=1) + epsilon[:, None, None]
    terms = gradient * (z - np.where(gradient > 0.0, 0.0, upper))
    return np.asarray(terms.reshape(len(z), -1).sum(axis=1))


def _keep_relaxation(dual: SVRDual, z: FloatArray, energy: float, gap: float) -> None:
    bound = energy - dual.overlap_penalty * float((z[0] * z[1]).sum()) - gap
    if dual.smallest_curvature < 0.0:
        reach = dual.box.sum(axis=0)
        bound += 0.5 * dual.smallest_curvature * float(reach @ reach)
    vars(dual)["relaxation"] = Relaxation(z, energy, float(bound))
