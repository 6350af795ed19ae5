"""Decomposition into working sets: a model of all data within any limit on variables.

The samples that violate the optimality conditions most form a working set; its QUBO, with all other
coefficients fixed, goes to the sampler; the answer is accepted if it lowers the dual's energy
(Osuna, Freund and Girosi 1997; Joachims 1999). Windows around the present coefficients are as wide
as the violation asks for, so a few bits per coefficient suffice from the first step to the last.
Kernel rows are cached within a memory bound and the full matrix is never needed.

A step that suits one sample is too long for another whose kernel diagonal, the curvature of the
energy, is larger. So a working set holds samples of similar curvature, those first among which
there is most to gain.

With ``use_smo`` the sampler solves working sets that hold a third of the samples between them. A
compiled descent over real numbers (`qsvr.problem._smo`), again by working sets, goes on from there
to the minimum. A last working set is sampled for the distinct solutions near it.
``info["sampler_share"]`` is the fraction of the energy decrease that came from the sampler.
Without ``use_smo``, all of it did.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from qsvr._text import say
from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr._validation import level_outside
from qsvr.exceptions import SamplerError, TimeLimitError
from qsvr.problem import (
    Conditions,
    FixedPointEncoding,
    LargeDual,
    SVRDual,
    canonical,
    duality_gap,
    exact_energy,
    lowest_distinct,
    two_sided,
)
from qsvr.solve.direct import DirectSolver, DualSolution
from qsvr.solve.refinement import window_around

__all__ = ["DecompositionSolver", "select_working_set"]

# Windows are never narrower than this fraction of those that the violation asks for.
_NARROWEST = 2.0**-20
# Curvatures within one working set differ by no more than this factor.
_CURVATURE_RANGE = 16.0
# Largest penalty on the sum of a working set's coefficients, in units of their mean curvature:
# beyond it single precision loses the kernel.
_LARGEST_PENALTY = 20.0
# Progress of a descent is checked over this many working sets, and as many as visit each sample
# ten times. In that time what is left to gain falls by a tenth, or the energy by a twentieth.
_PATIENCE, _VISITS = 100, 20
# Samples of the first working set of the compiled descent. The next ones have twice as many each
# time that the violation does not fall by this factor: then the samples outside matter.
_DESCENT_SAMPLES, _EXPECTED_FALL = 1_000, 0.5


@dataclass(frozen=True)
class DecompositionSolver:
    """Solver of a dual by decomposition into working sets.

    Attributes
    ----------
    direct : DirectSolver
        Solves each working set.
    working_size : int
        Samples of a working set, at least 2.
    tol : float, default=0.001
        Tolerance of the exact dual's optimality conditions, in units of y.
    max_iter : int, default=10000
        Maximum number of working sets, sampled or not.
    use_smo : bool, default=True
        Whether a compiled descent over real numbers continues to the minimum; see the module.
    verbose : int, default=0
        Print progress after every tenth set for 1, after each one for 2.
    deadline : float, default=None
        Value of `time.monotonic` after which no working set is started.

    Examples
    --------
    >>> from qsvr import get_sampler
    >>> from qsvr.solve.decomposition import DecompositionSolver
    >>> from qsvr.solve.direct import DirectSolver
    >>> solver = DecompositionSolver(DirectSolver(get_sampler(), num_reads=16), working_size=40)
    >>> solver.use_smo
    True
    """

    direct: DirectSolver
    working_size: int
    tol: float = 1e-3
    max_iter: int = 10_000
    use_smo: bool = True
    verbose: int = 0
    deadline: float | None = None

    def solve(
        self,
        dual: LargeDual,
        encoding: FixedPointEncoding,
        *,
        n_solutions: int,
        seed: int,
        start: FloatArray | None = None,
    ) -> DualSolution:
        """Return the solution, and the distinct ones near it from the last sampled working set.

        If the search ends before `tol` (at `max_iter`, at the deadline, or without further
        progress), a ConvergenceWarning states the reason, and the best point so far is returned.

        Parameters
        ----------
        dual : LargeDual
        encoding : FixedPointEncoding
            Encoding whose widths are the boxes.
        n_solutions, seed : int
        start : ndarray of shape (n_samples,), default=None
            Initial b, clipped to the box. None means 0.

        Raises
        ------
        SamplerError
            If the sampler fails. After the first set its ``partial_solution`` is the best so far.
        """
        search = _Search(dual, encoding, self, start)
        n_sampled = max(dual.y.size // (3 * self.working_size), 1) if self.use_smo else None
        try:
            while (end := search.end()) is None:
                if n_sampled is not None and search.n_sampled >= n_sampled:
                    search.descend()
                else:
                    search.advance(seed + search.n_sampled, n_solutions)
            if search.n_descents and not search.is_late():
                search.sample_near(seed + search.n_sampled, n_solutions)
        except SamplerError as error:
            if not search.gaps:
                raise
            if not isinstance(error, TimeLimitError) or not search.is_late():
                error.partial_solution = search.result(n_solutions)
                raise
            end = _TIME_LIMIT
        solution = search.result(n_solutions)
        if end:
            self._warn(search, end)
        return solution

    def _warn(self, search: _Search, end: str) -> None:
        """Warn that the search ended before `tol`, with the reason ``end``."""
        remedy = {
            _MAX_ITER: "Raise max_iter or tol, or scale the data.",
            _TIME_LIMIT: "Raise time_limit or tol, or scale the data.",
        }.get(end, "Scale X and y, use a smaller C or a smoother kernel, or raise tol.")
        if end == _STAGNATION and not self.use_smo:
            remedy += " Larger working sets (max_variables) help as well."
        warnings.warn(
            f"decomposition stopped {end.format(len(search.gaps))} working sets with a violation "
            f"of {search.conditions.gap:.3g} instead of tol={self.tol:g}. {remedy}",
            ConvergenceWarning,
            stacklevel=level_outside(),
        )


# Why a search ended before `tol`.
_MAX_ITER = "after max_iter={}"
_TIME_LIMIT = "at time_limit, after {}"
_STAGNATION = "without further progress, after {}"


def select_working_set(
    conditions: Conditions,
    size: int,
    *,
    stale: BoolArray,
    partners: IntArray,
) -> IntArray:
    """Return the samples of the next working set, in ascending order.

    At least half of it are the worst violators, equally many whose coefficients should rise and
    fall. The others are partners, without which a set would undo the progress of the last one.

    Parameters
    ----------
    conditions : Conditions
    size : int
    stale : ndarray of shape (n_samples,)
        Samples that are left out as violators.
    partners : ndarray of int
        Samples that may fill the set, best first.
    """
    rise = np.where(stale, np.inf, conditions.rise + conditions.offset)
    fall = np.where(stale, -np.inf, conditions.fall + conditions.offset)
    n_violators = max(size - partners.size, -(-size // 2))
    rising = _smallest(rise, n_violators)
    falling = _smallest(-fall, n_violators)
    violators = np.stack([rising, falling], axis=1).reshape(-1)
    worst = np.stack([rise[rising], -fall[falling]], axis=1).reshape(-1)
    violators = _first_distinct(violators[worst < 0.0])[:n_violators]
    return np.sort(_first_distinct(np.concatenate([violators, partners]))[:size])


def _smallest(values: FloatArray, n: int) -> IntArray:
    """Return the positions of the n smallest values, ascending."""
    n = min(n, values.size)
    part = np.argpartition(values, n - 1)[:n]
    return part[np.argsort(values[part], kind="stable")]


def _first_distinct(samples: IntArray) -> IntArray:
    _, first = np.unique(samples, return_index=True)
    return samples[np.sort(first)]


@dataclass(frozen=True, eq=False)
class _Level:
    """Samples up to a curvature, among which the energy can decrease most.

    Attributes
    ----------
    members : ndarray of shape (n_samples,)
        Which samples can be violators: those of similar curvature, and the worst pair.
    conditions : Conditions
        Those of the samples up to the curvature; the others have no part in gap and offset.
    curvature : float
    gain : float
        How much there is to gain, on a scale that compares levels.
    """

    members: BoolArray
    conditions: Conditions
    curvature: float
    gain: float


@dataclass(frozen=True, eq=False)
class _CurvatureLevels:
    """Chooses samples by curvature, the kernel's diagonal, which bounds the length of steps.

    Attributes
    ----------
    diagonal : ndarray of shape (n_samples,)
        Positive.
    order : ndarray of shape (n_samples,)
        The samples by ascending curvature.
    """

    diagonal: FloatArray
    order: IntArray

    @classmethod
    def of(cls, diagonal: FloatArray) -> _CurvatureLevels:
        """Take the absolute values of a diagonal, which an indefinite kernel needs."""
        size = np.abs(diagonal)
        size = np.maximum(size, max(1e-12 * float(size.mean()), np.finfo(float).tiny))
        return cls(size, np.argsort(size, kind="stable"))

    def best(self, conditions: Conditions, stale: BoolArray, least: float) -> _Level | None:
        """Return the level with the largest possible gain by samples that are not stale.

        A pair that violates the conditions by g gains g**2 / curvature. The power of 3/4, between
        that and the same weight for all, took the fewest working sets for polynomial kernels.

        Parameters
        ----------
        conditions : Conditions
        stale : ndarray of shape (n_samples,)
        least : float
            None is returned where no violation exceeds this.
        """
        rise = np.where(stale, np.inf, conditions.rise)
        fall = np.where(stale, -np.inf, conditions.fall)
        highest = np.maximum.accumulate(fall[self.order])
        gap = highest - np.minimum.accumulate(rise[self.order])
        curvature = self.diagonal[self.order]
        gain = np.where(gap > max(least, 0.0), np.maximum(gap, 0.0) ** 2 / curvature**0.75, 0.0)
        place = int(np.argmax(gain))
        if not gain[place] > 0.0:
            return None
        above = self.diagonal > curvature[place]
        level = Conditions(np.where(above, np.inf, rise), np.where(above, -np.inf, fall))
        members = ~above & ~stale & (self.diagonal >= curvature[place] / _CURVATURE_RANGE)
        members[[np.argmin(level.rise), np.argmax(level.fall)]] = True
        return _Level(members, level, float(curvature[place]), float(gain[place]))


class _Search:
    """The state of one decomposition."""

    def __init__(
        self,
        dual: LargeDual,
        encoding: FixedPointEncoding,
        settings: DecompositionSolver,
        start: FloatArray | None,
    ) -> None:
        n = dual.y.size
        self.dual = dual
        self.encoding = encoding
        self.settings = settings
        self.b = np.zeros(n) if start is None else np.clip(start, dual.lower, dual.upper)
        used = np.flatnonzero(self.b)
        outputs = dual.outputs(self.b[None], used, n_rows=settings.working_size)
        self.field = outputs[0] - dual.y
        self.initial = self.b.copy(), self.field.copy()
        # The width that the violation asks for is multiplied by this.
        self.window = 1.0
        # The box is a window only for coefficients at its levels.
        self.widest = 0.5 if used.size else 1.0
        self.stale = np.zeros(n, dtype=np.bool_)
        self.last_use = np.zeros(n, dtype=np.int64)
        self.conditions = Conditions.of(self.field, self.b, dual.box, dual.epsilon)
        self.levels = _CurvatureLevels.of(dual.rows.diagonal)
        self.last: DualSolution | None = None
        self.near = np.zeros((0, 1))  # solutions of the set ``working`` near the present point
        self.working: IntArray = np.arange(1)
        self.energies: list[float] = []
        self.gaps: list[float] = []
        self.n_sampled = self.n_descents = 0
        # The rows of a working set are held at a time, so no more than there is memory for.
        self.descent_limit = min(max(dual.rows.capacity, settings.working_size), n)
        self.descent_size = min(max(_DESCENT_SAMPLES, settings.working_size), self.descent_limit)
        self.shift = 0.0
        self.decrease = np.zeros(2)  # of the energy, by the sampler and by the SMO steps
        # Number, energy and what was left to gain when there was progress last.
        self.progress = 0, np.inf, np.inf

    def end(self) -> str | None:
        """Return the reason to stop, "" if converged, or None to continue."""
        settings, number = self.settings, len(self.gaps)
        if not number:
            return None
        if self.conditions.gap <= settings.tol:
            return ""
        if number >= settings.max_iter:
            return _MAX_ITER
        if self.is_late():
            return _TIME_LIMIT
        size = self.descent_size if self.n_descents else settings.working_size
        patience = _PATIENCE + _VISITS * -(-self.b.size // size)
        if self.window < _NARROWEST or number - self.progress[0] >= patience:
            return _STAGNATION
        return None

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        deadline = self.settings.deadline
        return deadline is not None and time.monotonic() >= deadline

    def advance(self, seed: int, n_solutions: int) -> None:
        """Choose a working set, sample it, and accept the answer if it lowers the energy."""
        working, window, offset = self._choose()
        rows = self.dual.rows[working]  # (size, n)
        sub = self._sub_dual(working, rows, offset)
        found = self._sampled(sub, working, window, n_solutions, seed)
        old = self.b[working]
        points = canonical(found.b)
        energies, before = sub.energy(points), float(sub.energy(canonical(old)))
        lowest = int(np.argmin(energies))
        after = float(energies[lowest])
        scale = abs(self.energies[-1]) if self.energies else abs(after)
        accepted = before - after > 1e-12 * scale
        if accepted:
            new = points[lowest, 0] - points[lowest, 1]
            self.b[working] = new
            self.field += (new - old) @ rows
            self.decrease[0] += before - after
        if accepted or self.last is None:
            self._keep(found, working, after if accepted else before)
        self.stale[working] = not accepted
        self._record(working, "sampled")

    def descend(self) -> None:
        """Minimise over real coefficients of a working set, with the sum of all of them at 0."""
        from qsvr.problem._smo import Box, smo

        dual, tol = self.dual, self.settings.tol
        everything = np.zeros(self.b.size, dtype=np.bool_)
        working = select_working_set(
            self.conditions, self.descent_size, stale=everything, partners=self._partners()
        )
        old, bounds = self.b[working], dual.box[:, working]
        K, field = dual.rows.square(working).astype(np.float64), self.field[working]
        new = moved_to_sum(old, bounds, float(old.sum() - self.b.sum()), field)
        # Higher accuracy than the other samples allow would be wasted.
        inner_tol = max(0.3 * self.conditions.gap, 0.5 * tol)
        limit = 1000 + 20 * working.size
        zeros = np.zeros_like(old)
        box = Box(zeros - bounds[1], bounds[0].copy(), zeros, np.full_like(old, dual.epsilon))
        smo(K, np.diag(K).copy(), field + K @ (new - old), new, box, inner_tol, limit)
        change = new - old
        fell = -float(change @ (field + 0.5 * (K @ change)))
        fell -= dual.epsilon * float(np.abs(new).sum() - np.abs(old).sum())
        self.decrease[1] += max(fell, 0.0)
        self.b[working] = new
        dual.rows.add_product(change, working, self.field)
        self.near, self.working = np.zeros((0, 1)), np.arange(1)  # they were near another point
        self.n_descents += 1
        before = self.conditions.gap
        self._record(working, "solved")
        if self.conditions.gap > _EXPECTED_FALL * before:
            self.descent_size = min(2 * self.descent_size, self.descent_limit)

    def sample_near(self, seed: int, n_solutions: int) -> None:
        """Sample a working set for the solutions near the present point, which stays."""
        working, window, offset = self._choose(least=0.0)
        sub = self._sub_dual(working, self.dual.rows[working], offset)
        found = self._sampled(sub, working, window, n_solutions, seed)
        self._keep(found, working, float(sub.energy(canonical(self.b[working]))))

    def _sampled(
        self, sub: SVRDual, working: IntArray, window: float, n_solutions: int, seed: int
    ) -> DualSolution:
        incumbent = canonical(self.b[working])
        box = sub.box
        gradient = sub.gradient(incumbent)
        encoding = window_around(self.encoding, incumbent, gradient, box, window * box)
        solver = self.settings.direct
        found = solver.solve(sub, encoding, n_solutions=n_solutions, seed=seed, candidates={})
        self.n_sampled += 1
        return found

    def _keep(self, found: DualSolution, working: IntArray, energy: float) -> None:
        """Keep what a sampler found; ``energy`` is that of the present point in the sub-problem."""
        self.last, self.near, self.working = found, found.b, working
        outputs = (self.field + self.dual.y)[None]
        # The difference between energies of the whole dual and of the working set.
        self.shift = self._penalised(self.b[None], outputs)[0] - energy

    def _partners(self) -> IntArray:
        """Return the samples with free coefficients, those used last first."""
        inside = (self.b > self.dual.lower) & (self.b < self.dual.upper)
        free = np.flatnonzero((self.b != 0.0) & inside)
        return free[np.argsort(-self.last_use[free], kind="stable")]

    def _choose(self, least: float | None = None) -> tuple[IntArray, float, float]:
        """Return the next working set, its windows as a fraction of the box, and its offset.

        Where all violators beyond ``least``, by default half of the tolerance, are stale, no step
        of the present size is left, so windows are halved.
        """
        least = 0.5 * self.settings.tol if least is None else least
        for _ in range(2):
            level = self.levels.best(self.conditions, self.stale, least)
            if level is not None:
                break
            self.window *= 0.5
            self.stale[:] = False
        size = min(self.settings.working_size, self.b.size)
        if level is None:
            return np.arange(size), self.widest * self.window, self.conditions.offset
        partners = self._partners()
        working = select_working_set(
            level.conditions, size, stale=~level.members, partners=partners[level.members[partners]]
        )
        step = float(self.dual.box.max()) / (self.encoding.grid.size - 1)
        wanted = level.conditions.gap / (level.curvature * step)
        width = min(float(np.exp2(np.floor(np.log2(wanted)))) * self.window, self.widest)
        self.widest = 1.0 if width == 1.0 else 0.5
        return working, width, level.conditions.offset

    def _sub_dual(self, working: IntArray, rows: NDArray[np.float32], offset: float) -> SVRDual:
        """Return the working set's dual, with the penalty on the sum of all coefficients."""
        dual, b = self.dual, self.b[working]
        kernel = rows[:, working].astype(np.float64)
        kernel = 0.5 * (kernel + kernel.T)
        target = b.sum() - self.b.sum()
        curvature = float(self.levels.diagonal[working].mean())
        penalty = min(dual.equality_penalty, _LARGEST_PENALTY * curvature)
        y = kernel @ b - self.field[working] - offset + 2.0 * penalty * target
        box = np.ascontiguousarray(dual.box[:, working])
        return SVRDual(kernel, y, dual.epsilon, box, penalty, dual.overlap_penalty)

    def _record(self, working: IntArray, done: str) -> None:
        dual = self.dual
        self.last_use[working] = len(self.gaps) + 1
        self.conditions = Conditions.of(self.field, self.b, dual.box, dual.epsilon)
        self.energies.append(exact_energy(self.field, self.b, dual.y, dual.epsilon))
        self.gaps.append(self.conditions.gap)
        _, energy, left = self.progress
        level = self.levels.best(self.conditions, np.zeros(self.b.size, dtype=np.bool_), 0.0)
        now = level.gain if level is not None else 0.0
        if now < 0.9 * left or self.energies[-1] < energy - 0.05 * abs(energy):
            self.progress = len(self.gaps), self.energies[-1], min(now, left)
        verbose, number = self.settings.verbose, len(self.gaps)
        if verbose > 1 or (verbose and number % 10 == 0):
            say(
                f"[QSVR] working set {number} of {working.size} samples: energy "
                f"{self.energies[-1]:.6g}, violation {self.gaps[-1]:.3g} (tol "
                f"{self.settings.tol:g}), {done}"
            )

    def result(self, n_solutions: int) -> DualSolution:
        """Return the present point and the distinct ones near it from the last sampled set."""
        self._give_up_if_worse()
        b = np.repeat(self.b[None], len(self.near) + 1, axis=0)
        b[1:, self.working] = self.near
        change = b - self.b
        outputs = self.dual.outputs(change, self.working, n_rows=self.settings.working_size)
        outputs = self.field + self.dual.y + outputs
        # All zeros too: where nothing converged no other may be as good a regression function.
        b, outputs = (np.vstack([each, np.zeros_like(each[:1])]) for each in (b, outputs))
        energies = self._penalised(b, outputs)
        rows = np.column_stack([b[:, self.working], np.arange(len(b)) == len(b) - 1])
        keep = lowest_distinct(rows, energies, n_solutions, always=len(b) - 1)
        bound = self._penalised(self.b[None], (self.field + self.dual.y)[None])[0] - duality_gap(
            self.field + self.conditions.offset, self.b, self.dual.box, self.dual.epsilon
        )
        return DualSolution(
            canonical(b[keep]), energies[keep], self._info(), float(bound), outputs[keep],
            n_qubos=self.n_sampled, sampleset=None if self.last is None else self.last.sampleset,
        )  # fmt: skip

    def _give_up_if_worse(self) -> None:
        """Return to the initial point if its energy is lower, where nothing converged."""
        b, field = self.initial
        energies = self._penalised(
            np.stack([b, self.b]), np.stack([field, self.field]) + self.dual.y
        )
        if energies[0] < energies[1]:
            self.b, self.field = b, field
            self.near, self.working = np.zeros((0, 1)), np.arange(1)
            self.conditions = Conditions.of(field, b, self.dual.box, self.dual.epsilon)

    def _penalised(self, b: FloatArray, outputs: FloatArray) -> FloatArray:
        """Return energies at the present centre, exact where the coefficients sum to 0."""
        dual, total = self.dual, b.sum(axis=1)
        energies = 0.5 * (b * outputs).sum(axis=1) - b @ dual.y
        energies += dual.epsilon * np.abs(b).sum(axis=1)
        return np.asarray(
            energies + (self.conditions.offset + dual.equality_penalty * total) * total
        )

    def _info(self) -> dict[str, Any]:
        total = self.decrease.sum()
        report = {} if self.last is None else dict(self.last.info)
        for name in ("raw_energies", "random_energies", "energies"):
            if name in report:
                report[name] = report[name] + self.shift
        return {
            **report,
            "n_working_sets": self.n_sampled,
            "n_descents": self.n_descents,
            "working_size": self.settings.working_size,
            "energy_history": np.array(self.energies),
            "kkt_history": np.array(self.gaps),
            "kkt_gap": self.conditions.gap,
            "sampler_share": float(self.decrease[0] / total) if total > 0.0 else 1.0,
            "kernel_rows_computed": self.dual.rows.n_computed,
        }


def moved_to_sum(b: FloatArray, C: FloatArray, total: float, field: FloatArray) -> FloatArray:
    """Return b changed to sum to ``total``, the coefficients with the cheapest moves first.

    ``C`` is the upper bound of a and a-hat, shape (n_samples,), or of each, (2, n_samples).
    """
    upper, lower = two_sided(C)
    missing = total - float(b.sum())
    sign = 1.0 if missing >= 0.0 else -1.0
    order = np.argsort(sign * field, kind="stable")
    room = np.maximum((upper if missing >= 0.0 else lower)[order] - sign * b[order], 0.0)
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    moved = b.copy()
    moved[order] += sign * np.clip(abs(missing) - before, 0.0, room)
    return np.clip(moved, -lower, upper)
