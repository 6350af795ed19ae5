"""Refinement: the dual is solved repeatedly with few bits, in narrower windows each time.

After each solve every coefficient gets a new window around the best point so far, half as wide
unless steps of the present size still lower the energy and the optimality conditions are violated
by more than such a step. The best point stays one of the window's levels, so the energy cannot
rise, and a few bits reach the accuracy of many. Between rounds the targets are re-centred by the
multiplier step of the augmented Lagrangian method (Nocedal and Wright 2006, section 17.3), with b
of the relaxation to real numbers::

    centre += 2 * equality_penalty * sum(b)

The dual with ``y - centre`` has its minimum at sum(b) = 0 for any penalty once the centre is the
offset of the exact solution, so what is reached is the exact dual's minimum, libsvm's, and not that
of a regularised offset. Energies are comparable, and fall monotonically, within one centre.

Where the energy has a narrow valley, whose direction no step between levels has, rounds stall above
the minimum. The windows of the next round are then those around the relaxation: `RefinementRound`
says where each round's point comes from, so that the sampler's own share is known.

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

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from qsvr._typing import FloatArray
from qsvr._validation import level_outside
from qsvr.exceptions import SamplerError, TimeLimitError
from qsvr.problem import (
    Conditions,
    FixedPointEncoding,
    SVRDual,
    canonical,
    is_comparable,
    loss_gap,
    lowest_average,
    lowest_distinct,
)
from qsvr.problem.stack import relax_all
from qsvr.solve.direct import DirectProblem, DirectSolver, DualSolution

__all__ = ["RefinementRound", "RefinementSolver", "WarmStart", "window_around"]


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
    source : str, default="sampler"
        Where the point comes from: "sampler", "relaxation" (rounded to levels), "zeros", or
        "incumbent" (the round before).

    Examples
    --------
    >>> from qsvr.solve.refinement import RefinementRound
    >>> done = RefinementRound(-0.9, -0.5, bound=-1.0, kkt_gap=0.1, centre=0.3, width=0.5)
    >>> round(done.gap, 2)
    0.1
    """

    energy: float
    start_energy: float
    bound: float
    kkt_gap: float
    centre: float
    width: float
    source: str = "sampler"

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


# The best average is good enough where its loss gap is below this: R2 then differs from that of SVR
# by 0.002 mostly, and by 0.005 at most (means of 4 splits; 8 synthetic sets, C from 1 to 100).
_NEGLIGIBLE = 2e-3
_NARROWEST = 2.0**-40
_MOST_SHORT_ROUNDS = 20
_PATIENCE = 12  # rounds
_SHORT_SHRINKAGE = 0.25
# A round that leaves more than this share of the gap to the bound has stalled.
_STALLED = 0.8


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What a dual's refinement takes over from that of a similar one.

    Its first windows are narrow ones around the relaxation to real coefficients, which itself
    starts from that of the similar dual (`SVRDual.with_box`).

    Attributes
    ----------
    dual : SVRDual
        The dual with ``centre`` taken off its targets.
    centre : float
    width : float
        Width of the first windows as a fraction of the box.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import SVRDual
    >>> from qsvr.solve.refinement import WarmStart
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> WarmStart(dual, centre=np.zeros((2, 2)), width=0.5).width
    0.5
    """

    dual: SVRDual
    centre: float
    width: float


@dataclass(frozen=True)
class RefinementSolver:
    """Solves a dual in rounds of shrinking windows.

    Attributes
    ----------
    direct : DirectSolver
        Solves each round.
    n_refinements : int or None
        Rounds after the first, until ``tol``. None: short ones, as many as it takes until training
        is good enough, see `loss_gap`.
    tol : float, default=0.001
        Stop when the exact dual's conditions hold to this, in units of y.
    deadline : float, default=None
        `time.monotonic` after which no round begins.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual, get_sampler
    >>> from qsvr.solve.direct import DirectSolver
    >>> from qsvr.solve.refinement import RefinementSolver
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), 0.1, C=np.ones(2), equality_penalty=2.0)
    >>> encoding = FixedPointEncoding.for_box(dual.C, n_bits=2)
    >>> solver = RefinementSolver(DirectSolver(get_sampler(), 16), n_refinements=12)
    >>> found = solver.solve(dual, encoding, n_solutions=1, seed=0)
    >>> bool(abs(found.coefficients[0, 0, 0] - 0.9) < 1e-3)
    True
    """

    direct: DirectSolver
    n_refinements: int | None
    tol: float = 1e-3
    deadline: float | None = None

    def solve(
        self,
        dual: SVRDual,
        encoding: FixedPointEncoding,
        *,
        n_solutions: int,
        seed: int,
        start: WarmStart | None = None,
    ) -> DualSolution:
        """Return the distinct solutions of the last round, the best point so far among them.

        ``info["refinement_history"]`` has one `RefinementRound` per round. Energies and bound
        belong to the last centre. A ConvergenceWarning says where training can still be improved
        and why the rounds ended.

        Parameters
        ----------
        dual : SVRDual
        encoding : FixedPointEncoding
            Encoding of the first round.
        n_solutions, seed : int
        start : WarmStart, default=None
            Start of the first round. None means windows of the whole box.

        Raises
        ------
        SamplerError
            If the sampler fails; after the first round its ``partial_solution`` is the solution
            of the previous round.
        """
        rounds = _Rounds(dual, encoding)
        direct = self.direct
        if start is not None:
            rounds.begin(start)
            direct = direct.short() if self.n_refinements is None else direct
        while True:
            try:
                problem = rounds.problem(seed)
                found = direct.solve(
                    problem.dual, problem.encoding, n_solutions=n_solutions, seed=problem.seed,
                    candidates=problem.candidates,
                )  # fmt: skip
            except SamplerError as error:
                if isinstance(error, TimeLimitError) and rounds.history and self._is_late():
                    return self._end(rounds, "time_limit")
                error.partial_solution = rounds.solution or error.partial_solution
                raise
            rounds.take(found, n_solutions)
            reason = self._reason_to_stop(rounds)
            if reason is not None:
                return self._end(rounds, reason)
            rounds.narrow(_SHORT_SHRINKAGE if self.n_refinements is None else 0.5)
            if self.n_refinements is None:
                direct = self.direct.short()

    def solve_all(
        self,
        problems: Sequence[tuple[SVRDual, FixedPointEncoding]],
        *,
        n_solutions: int,
        seeds: Sequence[int],
    ) -> list[DualSolution]:
        """Return the result of `solve` for each dual, with the rounds of all solved together.

        Parameters
        ----------
        problems : sequence of (SVRDual, FixedPointEncoding)
        n_solutions : int
        seeds : sequence of int
            One for each dual.
        """
        every = [_Rounds(dual, encoding) for dual, encoding in problems]
        solutions: dict[int, DualSolution] = {}
        left, direct = list(range(len(every))), self.direct
        while left:
            relax_all([every[m].dual for m in left])
            found = direct.solve_all(
                [every[m].problem(seeds[m]) for m in left], n_solutions=n_solutions
            )
            for m, each in zip(left, found, strict=True):
                every[m].take(each, n_solutions)
                reason = self._reason_to_stop(every[m])
                if reason is not None:
                    solutions[m] = self._end(every[m], reason)
                else:
                    every[m].narrow(_SHORT_SHRINKAGE if self.n_refinements is None else 0.5)
            left = [m for m in left if m not in solutions]
            if self.n_refinements is None:
                direct = self.direct.short()
        return [solutions[m] for m in range(len(every))]

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _reason_to_stop(self, rounds: _Rounds) -> str | None:
        """Return the reason to stop, or None to continue."""
        latest, n_refinements = rounds.history[-1], len(rounds.history) - 1
        if self.n_refinements is None:
            if not rounds.can_gain:
                return "a good fit"
            if n_refinements == _MOST_SHORT_ROUNDS:
                return f"lack of progress in {n_refinements} rounds"
        elif latest.kkt_gap <= self.tol:
            return "tol"
        elif n_refinements == self.n_refinements:
            return f"n_refinements={n_refinements}"
        if latest.width < _NARROWEST or rounds.has_stalled:
            return f"lack of progress in {n_refinements} rounds"
        return "time_limit" if self._is_late() else None

    def _end(self, rounds: _Rounds, reason: str) -> DualSolution:
        """Return the solution, with a warning if it is not good enough."""
        assert rounds.solution is not None  # noqa: S101
        latest = rounds.history[-1]
        if reason == "tol" or not rounds.can_gain:
            return rounds.solution
        diagonal = np.diag(rounds.dual.kernel_matrix)
        if diagonal.max() > 1e4 * diagonal.min():
            remedy = (
                f"The kernel's diagonal goes from {diagonal.min():.2g} to {diagonal.max():.2g}: "
                "scale the features (StandardScaler), or lower degree, gamma or C"
            )
        elif reason == "time_limit":
            remedy = "Raise time_limit"
        elif self.n_refinements is not None and "progress" not in reason:
            remedy = "Raise n_refinements, or use more bits or a smaller C"
        else:
            remedy = "Scale X and y (StandardScaler, normalize_y), or use a smaller C"
        least = "whose distance from the lowest possible one is not known"
        if rounds.is_relaxed:
            least = (
                f"that is {rounds.loss_gaps[-1]:.2g} standard deviations of y per sample above the "
                "lowest possible"
            )
        warnings.warn(
            f"refinement ended by {reason}, with a violation of {latest.kkt_gap:.3g} instead of "
            f"tol={self.tol:g} and a training loss {least}. {remedy}.",
            ConvergenceWarning,
            stacklevel=level_outside(),
        )
        return rounds.solution


class _Rounds:
    """The state of one refinement."""

    def __init__(self, dual: SVRDual, encoding: FixedPointEncoding) -> None:
        self.dual = dual
        self.encoding = encoding
        self.box = encoding.offset + encoding.width  # (2, n_samples)
        self.width, self.centre = 1.0, 0.0
        self.solution: DualSolution | None = None
        self.history: list[RefinementRound] = []
        self.loss_gaps: list[float] = []

    def begin(self, start: WarmStart) -> None:
        """Set the windows of the first round around the solution over real coefficients."""
        self.dual, self.centre, self.width = start.dual, start.centre, start.width
        relaxed = self.dual.relaxation.coefficients
        point = canonical(relaxed[0] - relaxed[1])
        self.encoding = window_around(
            self.encoding, point, self.dual.gradient(point), self.box, self.width * self.box
        )

    def problem(self, seed: int) -> DirectProblem:
        """Return the problem of the present windows; all zeros are a candidate at first."""
        candidates = {"relaxation": self.dual.relaxation.coefficients}
        if self.solution is None:
            candidates["zeros"] = np.zeros_like(self.box)
        return DirectProblem(self.dual, self.encoding, seed + len(self.history), candidates)

    def take(self, found: DualSolution, n_solutions: int) -> None:
        """Process the result of a round, together with the best point so far and all zeros."""
        dual, zeros = self.dual, np.zeros_like(self.box)
        points, start_energy, sources = canonical(found.b), np.inf, []
        if self.solution is not None:
            incumbent = canonical(self.solution.b[:1])
            points = np.concatenate([incumbent, zeros[None], points])
            start_energy = float(dual.energy(incumbent)[0])
            sources = ["incumbent", "zeros"]
        energies = dual.energy(points)
        zeros_at = 1 if self.solution is not None else None
        b = points[:, 0] - points[:, 1]
        keep = lowest_distinct(b, energies, n_solutions, always=zeros_at)
        source = [*sources, found.info["best_from"]][min(keep[0], len(sources))]
        self.history.append(self._reached(points[keep[0]], start_energy, source))
        self.solution = DualSolution(
            points[keep], energies[keep], {**found.info, "refinement_history": tuple(self.history)},
            dual.bound, n_qubos=len(self.history), sampleset=found.sampleset,
        )  # fmt: skip
        b = self.solution.b
        _, objective = lowest_average(
            np.ones(len(b)), b, dual.outputs(b), dual.y, epsilon=dual.epsilon, C=dual.box
        )
        self.loss_gaps.append(loss_gap(dual, objective))

    def _reached(self, point: FloatArray, start_energy: float, source: str) -> RefinementRound:
        dual, b = self.dual, point[0] - point[1]
        gap = Conditions.of(dual.outputs(b) - dual.y, b, dual.box, dual.epsilon).gap
        energy = float(dual.energy(point))
        return RefinementRound(
            energy, start_energy, dual.bound, gap, self.centre, self.width, source
        )

    @property
    def can_gain(self) -> bool:
        """Whether training can still gain what matters; not known for an indefinite kernel."""
        is_open = self.loss_gaps[-1] > _NEGLIGIBLE or not self.is_relaxed
        return self.dual.is_convex and is_open

    @property
    def has_stalled(self) -> bool:
        """Whether many rounds brought almost no improvement, although it is possible."""
        gaps = self.loss_gaps[-_PATIENCE - 1 :]
        return len(gaps) > _PATIENCE and gaps[-1] > 0.9 * gaps[0] and self.can_gain

    @property
    def is_relaxed(self) -> bool:
        """Whether the relaxation is accurate enough to compare with."""
        return is_comparable(self.dual, _NEGLIGIBLE)

    def narrow(self, factor: float) -> None:
        """Re-centre the targets, and set the windows of the next round."""
        assert self.solution is not None  # noqa: S101
        self._recentre()
        dual, latest = self.dual, self.history[-1]
        # Windows shrink unless steps of the present size still lower the energy.
        step = self.width * float(self.box.max()) / (self.encoding.grid.size - 1)
        curvature = float(np.diag(dual.kernel_matrix).mean())
        fell = latest.start_energy - latest.energy > 1e-4 * abs(latest.energy)
        if not (fell and latest.kkt_gap > curvature * step):
            self.width *= factor
        middle = canonical(self.solution.b[0])
        # In a narrow valley of the energy no window around the best point leads on: then the next
        # one is around the solution over real coefficients.
        stalled = len(self.history) > 1 and latest.gap > _STALLED * self.history[-2].gap
        if stalled and self.can_gain:
            relaxed = dual.relaxation.coefficients
            middle = canonical(relaxed[0] - relaxed[1])
        self.encoding = window_around(
            self.encoding, middle, dual.gradient(middle), self.box, self.width * self.box
        )

    def _recentre(self) -> None:
        """Take the multiplier step; where the relaxation is not accurate, its solution goes on."""
        relaxed = self.dual.relaxation
        total = float((relaxed.coefficients[0] - relaxed.coefficients[1]).sum())
        if abs(total) > 1e-9 * float(self.box.max()) or not self.is_relaxed:
            shift = 2.0 * self.dual.equality_penalty * total
            self.dual, self.centre = self.dual.recentred(shift), self.centre + shift
