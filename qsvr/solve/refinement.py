"""Refinement: the dual is solved repeatedly with few bits, in ever smaller windows.

After each solve every coefficient gets a new window around the best point so far, half as wide
unless steps of the present size still lower the energy and the optimality conditions are violated
by more than such a step. The best point stays one of the window's levels, so the energy cannot
rise, and a few bits reach the accuracy of many. Between rounds the targets are re-centred by the
multiplier step of the augmented Lagrangian method (Nocedal and Wright 2006, section 17.3)::

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

from dataclasses import dataclass

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import SamplerError
from qsvr.problem import Conditions, FixedPointEncoding, SVRDual, canonical, lowest_distinct
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
        Width of the windows as a fraction of the box.
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
    slack = 1e-9  # a fraction of a window; rounding must not cost a level
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
    """

    direct: DirectSolver
    n_refinements: int
    tol: float = 1e-3

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
            If the sampler fails; after the first round its ``partial_solution`` is the solution
            of the round before.
        """
        box = encoding.offset + encoding.width  # (2, n_samples)
        width, centre = 1.0, 0.0
        incumbent: FloatArray | None = None  # the best point so far
        solution: DualSolution | None = None
        history: list[RefinementRound] = []
        while True:
            try:
                found = self.direct.solve(
                    dual, encoding, n_solutions=n_solutions, seed=seed + len(history)
                )
            except SamplerError as error:
                if solution is not None:
                    error.partial_solution = solution
                raise
            points, start_energy = canonical(found.b), np.inf
            if incumbent is not None:
                points = np.concatenate([incumbent[None], points])
                start_energy = float(dual.energy(incumbent))
            energies = dual.energy(points)
            keep = lowest_distinct(points[:, 0] - points[:, 1], energies, n_solutions)
            incumbent = points[keep[0]]
            latest = _reached(dual, incumbent, start_energy, centre, width)
            history.append(latest)
            info = {**found.info, "refinement_history": tuple(history)}
            solution = DualSolution(
                points[keep], energies[keep], info, dual.bound, n_qubos=len(history),
                sampleset=found.sampleset,
            )  # fmt: skip
            if latest.kkt_gap <= self.tol or len(history) > self.n_refinements:
                return solution
            total = float((incumbent[0] - incumbent[1]).sum())
            if abs(total) > 1e-12 * float(box.max()):
                shift = 2.0 * dual.equality_penalty * total
                dual, centre = dual.recentred(shift), centre + shift
            # Windows shrink unless steps of the present size still lower the energy.
            step = width * float(box.max()) / (encoding.grid.size - 1)
            curvature = float(np.diag(dual.kernel_matrix).mean())
            fell = latest.start_energy - latest.energy > 1e-4 * abs(latest.energy)
            if not (fell and latest.kkt_gap > curvature * step):
                width /= 2
            encoding = window_around(
                encoding, incumbent, dual.gradient(incumbent), box, width * box
            )


def _reached(
    dual: SVRDual, point: FloatArray, start_energy: float, centre: float, width: float
) -> RefinementRound:
    b = point[0] - point[1]
    gap = Conditions.of(dual.outputs(b) - dual.y, b, dual.C, dual.epsilon).gap
    energy = float(dual.energy(point))
    return RefinementRound(energy, start_energy, dual.bound, gap, centre, width)
