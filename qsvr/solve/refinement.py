"""Refinement: the same few qubits solve the dual again in ever smaller windows.

After each solve every coefficient gets a new window around the best point so far, half as wide
unless the optimality conditions say that there is still a way to go in steps of the present size.
That point stays one of the window's levels, so the energy cannot rise, and a few bits reach the
accuracy of many. Between rounds the targets are re-centred by the multiplier step of the
augmented Lagrangian method (Nocedal and Wright 2006, section 17.3)::

    centre += 2 * equality_penalty * sum(b)

The dual with ``y - centre`` has its minimum at sum(b) = 0 for any penalty once the centre is the
offset of the exact solution, so what is reached is the exact dual's minimum, libsvm's, and not that
of a regularised offset. Energies are comparable, and fall monotonically, within one centre.

>>> import numpy as np
>>> from qsvr.problem.dual import SVRDual
>>> from qsvr.problem.encoding import FixedPointEncoding
>>> from qsvr.samplers import get_sampler
>>> from qsvr.solve.direct import DirectSolver
>>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), 0.1, C=np.ones(2), equality_penalty=2.0)
>>> solver = RefinementSolver(DirectSolver(get_sampler(), 16), n_refinements=12, tol=1e-3)
>>> encoding = FixedPointEncoding.for_box(dual.C, n_bits=2)
>>> found = solver.solve(dual, encoding, n_solutions=1, seed=0)
>>> bool(abs(found.coefficients[0, 0, 0] - 0.9) < 1e-3)
True
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import SamplerError
from qsvr.problem.dual import SVRDual
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.problem.optimality import Conditions, canonical
from qsvr.solve.direct import DirectSolver, DualSolution

__all__ = ["RefinementRound", "RefinementSolver", "window_around"]


@dataclass(frozen=True)
class RefinementRound:
    """What one round reached.

    Attributes
    ----------
    energy : float
        Penalised dual energy of the best point so far, at this round's centre.
    start_energy : float
        Energy, at the same centre, of the point that the round started from; never lower.
    bound : float
        No coefficients have a lower energy at this centre, of however many bits; nor has the
        exact dual a lower minimum.
    kkt_gap : float
        Violation of the exact dual's conditions, in units of y.
    centre : float
        Constant taken off the targets, beyond the caller's.
    width : float
        Width of the windows as a share of the box.
    """

    energy: float
    start_energy: float
    bound: float
    kkt_gap: float
    centre: float
    width: float

    @property
    def gap(self) -> float:
        """Energy above the bound: no more than this could still be gained."""
        return self.energy - self.bound


def window_around(
    encoding: FixedPointEncoding,
    incumbent: FloatArray,
    gradient: FloatArray,
    upper: FloatArray,
    width: FloatArray,
) -> FixedPointEncoding:
    """Return windows of a given width in which the incumbent is one of the levels.

    The level is the middle one, or the one towards it that keeps the window within the box; of two
    middle ones that which leaves more room downhill. Where levels are even and widths are the
    box's divided by whole numbers, the bounds of the box stay on the same lattice.

    Parameters
    ----------
    encoding : FixedPointEncoding
        Gives the bits' weights.
    incumbent, gradient, upper, width : ndarray of shape (2, n_samples)
        Point, its gradient, upper bounds, and widths, at most ``upper``.
    """
    grid = encoding.grid
    top = grid.size - 1
    level = np.where(gradient > 0.0, -(-top // 2), top // 2)
    safe = np.where(width > 0.0, width, 1.0)
    slack = 1e-9  # a share of a window; rounding must not cost a level
    most = np.searchsorted(grid, incumbent / safe + slack, "right") - 1
    least = np.searchsorted(grid, 1.0 - (upper - incumbent) / safe - slack, "left")
    level = np.clip(level, np.minimum(least, top), np.maximum(most, 0))
    offset = incumbent - width * grid[level]
    return FixedPointEncoding(offset, width, encoding.unit_weights)


@dataclass(frozen=True)
class RefinementSolver:
    """Solves a dual in rounds of shrinking windows.

    Attributes
    ----------
    direct : DirectSolver
        Solves each round.
    n_refinements : int
        Rounds after the first.
    tol : float
        Stop when the exact dual's conditions hold to this, in units of y.
    shrink : int
        Factor between the widths of one round and the next.
    """

    direct: DirectSolver
    n_refinements: int
    tol: float = 1e-3
    shrink: int = 2

    def solve(
        self, dual: SVRDual, encoding: FixedPointEncoding, *, n_solutions: int, seed: int
    ) -> DualSolution:
        """Return the distinct solutions of the last round, the best point so far among them.

        ``info["refinement_history"]`` has one `RefinementRound` per round. Energies and bound
        belong to the last centre.

        Parameters
        ----------
        dual : SVRDual
        encoding : FixedPointEncoding
            Of the first round.
        n_solutions, seed : int

        Raises
        ------
        SamplerError
            If the sampler fails; after the first round its ``partial_solution`` has what was
            reached.
        """
        search = _Search(dual, encoding, n_solutions)
        for number in range(self.n_refinements + 1):
            try:
                search.advance(self.direct, seed + number)
            except SamplerError as error:
                if number:
                    error.partial_solution = search.result()
                raise
            if search.history[-1].kkt_gap <= self.tol or number == self.n_refinements:
                break
            search.shrink(self.shrink)
        return search.result()


class _Search:
    """The state of one refinement."""

    def __init__(self, dual: SVRDual, encoding: FixedPointEncoding, n_solutions: int) -> None:
        self.dual = dual
        self.encoding = encoding
        self.n_solutions = n_solutions
        self.box = encoding.offset + encoding.width  # (2, n)
        self.share = 1.0
        self.centre = 0.0
        self.bound = dual.relax().bound
        self.incumbent: FloatArray | None = None
        self.history: list[RefinementRound] = []
        self.last: DualSolution | None = None

    def advance(self, solver: DirectSolver, seed: int) -> None:
        """Solve one round and move the incumbent where that lowers the energy."""
        found = solver.solve(self.dual, self.encoding, n_solutions=self.n_solutions, seed=seed)
        b = found.coefficients[:, 0] - found.coefficients[:, 1]
        points = canonical(b)
        start = np.inf
        if self.incumbent is not None:
            start = float(self.dual.energy(self.incumbent))
            points = np.concatenate([self.incumbent[None], points])
        energies = self.dual.energy(points)
        order = np.argsort(energies, kind="stable")
        _, first = np.unique(points[order][:, 0] - points[order][:, 1], axis=0, return_index=True)
        keep = order[np.sort(first)][: self.n_solutions]
        self.incumbent = points[keep[0]]
        self.last = replace(found, coefficients=points[keep], energies=energies[keep])
        self._record(start)

    def shrink(self, factor: int) -> None:
        """Re-centre the targets and put narrower windows around the incumbent."""
        if self.incumbent is None:
            return
        total = float((self.incumbent[0] - self.incumbent[1]).sum())
        if abs(total) > 1e-12 * float(self.box.max()):
            shift = 2.0 * self.dual.equality_penalty * total
            self.centre += shift
            self.dual = self.dual.recentred(shift)
            self.bound = self.dual.relax().bound
        if not self._has_far_to_go():
            self.share /= factor
        gradient = self.dual.gradient(self.incumbent)
        width = self.share * self.box
        self.encoding = window_around(self.encoding, self.incumbent, gradient, self.box, width)

    def _has_far_to_go(self) -> bool:
        """Whether steps of the present size still lower the energy: windows only move then."""
        latest = self.history[-1]
        step = self.share * float(self.box.max()) / (self.encoding.grid.size - 1)
        curvature = float(np.diag(self.dual.kernel_matrix).mean())
        fell = latest.start_energy - latest.energy > 1e-4 * abs(latest.energy)
        return fell and latest.kkt_gap > curvature * step

    def _record(self, start: float) -> None:
        point = canonical(np.zeros(0)) if self.incumbent is None else self.incumbent
        b = point[0] - point[1]
        field = b @ self.dual.kernel_matrix - self.dual.y
        gap = Conditions.of(field, b, self.dual.C, self.dual.epsilon).gap
        energy = float(self.dual.energy(point))
        self.history.append(
            RefinementRound(energy, start, self.bound, gap, self.centre, self.share)
        )

    def result(self) -> DualSolution:
        """Return the last round's solutions with the history in their report."""
        if self.last is None:
            raise SamplerError("no round was solved; call advance first.")
        info = {**self.last.info, "refinement_history": tuple(self.history)}
        return replace(self.last, info=info, bound=self.bound)
