"""Working-set decomposition: a model of all data within any limit on binary variables.

The samples that violate the optimality conditions most form a working set; its QUBO, with all other
coefficients fixed, goes to the sampler; the answer is accepted if it lowers the dual's energy
(Osuna, Freund and Girosi 1997; Joachims 1999). Windows around the present coefficients shrink with
the violation, so a few bits per coefficient suffice from the first step to the last. Kernel rows
are cached within a memory bound and the full matrix is never needed.

With ``use_smo`` the best read of each working set is the start of a compiled descent over real
numbers (`_smo`), and convergence is as fast as in classical decomposition methods;
``info["sampler_share"]`` is the fraction of the energy decrease that came from the sampler. Without
it, all of the decrease does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr.exceptions import SamplerError
from qsvr.problem import (
    Conditions,
    FixedPointEncoding,
    LargeDual,
    SVRDual,
    canonical,
    duality_gap,
    exact_energy,
    lowest_distinct,
)
from qsvr.solve.direct import DirectSolver, DualSolution
from qsvr.solve.refinement import window_around

__all__ = ["DecompositionSolver", "select_working_set"]

# Windows are never narrower than this fraction of the box.
_NARROWEST = 2.0**-30


@dataclass(frozen=True)
class DecompositionSolver:
    """Solves a dual by working sets.

    Attributes
    ----------
    direct : DirectSolver
        Solves each working set.
    working_size : int
        Samples of a working set, at least 2.
    tol : float
        Stop when the exact dual's conditions hold to this, in units of y.
    max_iter : int
        Most working sets to solve; a ConvergenceWarning says when that was not enough.
    use_smo : bool
        Whether a compiled descent over real numbers follows each sample; see the module.
    verbose : int
        Print progress after every tenth set for 1, after each one for 2.
    """

    direct: DirectSolver
    working_size: int
    tol: float = 1e-3
    max_iter: int = 10_000
    use_smo: bool = True
    verbose: int = 0

    def solve(
        self,
        dual: LargeDual,
        encoding: FixedPointEncoding,
        *,
        n_solutions: int,
        seed: int,
        start: FloatArray | None = None,
    ) -> DualSolution:
        """Return the solution, and the distinct ones near it from the last working set.

        Parameters
        ----------
        dual : LargeDual
        encoding : FixedPointEncoding
            Its widths are the boxes.
        n_solutions, seed : int
        start : ndarray of shape (n_samples,), optional
            Initial b, clipped to the box; 0 by default.

        Raises
        ------
        SamplerError
            If the sampler fails; after the first set its ``partial_solution`` has what was reached.
        """
        search = _Search(dual, encoding, self, start)
        for number in range(self.max_iter):
            if search.is_done():
                break
            try:
                search.advance(seed + number, n_solutions)
            except SamplerError as error:
                if number:
                    error.partial_solution = search.result(n_solutions)
                raise
        else:
            if not search.is_done():
                warnings.warn(
                    f"decomposition stopped after max_iter={self.max_iter} working sets with a "
                    f"violation of {search.conditions.gap:.3g} instead of tol={self.tol:g}. Raise "
                    "max_iter or tol, or scale the data.",
                    ConvergenceWarning,
                    stacklevel=3,
                )
        return search.result(n_solutions)


def select_working_set(
    conditions: Conditions,
    size: int,
    *,
    stale: BoolArray,
    partners: IntArray,
) -> IntArray:
    """Return the samples of the next working set, in ascending order.

    Half of it, or more where partners are few, are the worst violators, as many that want to rise
    as want to fall; the others are partners, without which a set undoes what the last one did.

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
        self.b = np.zeros(n) if start is None else np.clip(start, -dual.C, dual.C)
        used = np.flatnonzero(self.b)
        outputs = dual.outputs(self.b[None], used, n_rows=settings.working_size)
        self.field = outputs[0] - dual.y
        self.window = 1.0  # width as a fraction of the box
        self.stale = np.zeros(n, dtype=np.bool_)
        self.last_use = np.zeros(n, dtype=np.int64)
        self.conditions = Conditions.of(self.field, self.b, dual.C, dual.epsilon)
        self.last: DualSolution | None = None
        self.working: IntArray = np.arange(0)
        self.curvature = float(dual.rows.diagonal().mean())
        self.energies: list[float] = []
        self.gaps: list[float] = []
        self.shift = 0.0
        self.decrease = np.zeros(2)  # of the energy, by the sampler and by the SMO steps

    def is_done(self) -> bool:
        """Whether the conditions hold, or windows are too narrow to go on."""
        converged = self.conditions.gap <= self.settings.tol or self.window < _NARROWEST
        return bool(self.gaps) and converged

    def advance(self, seed: int, n_solutions: int) -> None:
        """Choose a working set, solve it, and accept the answer if it lowers the energy."""
        # Halve windows until a step is no longer than the violation asks for.
        step = self.window * float(self.dual.C.max()) / (self.encoding.grid.size - 1)
        while self.curvature * step > self.conditions.gap and self.window >= _NARROWEST:
            self.window, step = 0.5 * self.window, 0.5 * step
            self.stale[:] = False
        working = self._choose()
        rows = self.dual.rows[working]  # (size, n)
        sub = self._sub_dual(working, rows)
        incumbent = canonical(self.b[working])
        box = np.tile(sub.C, (2, 1))
        encoding = window_around(
            self.encoding, incumbent, sub.gradient(incumbent), box, self.window * box
        )
        found = self.settings.direct.solve(
            sub, encoding, n_solutions=n_solutions, seed=seed, candidates={}
        )
        old = self.b[working]
        before = float(sub.energy(canonical(old)))
        new, sampled = self._best(sub, found, old)
        after = float(sub.energy(canonical(new)))
        scale = abs(self.energies[-1]) if self.energies else abs(after)
        accepted = before - after > 1e-12 * scale
        if accepted:
            self.b[working] = new
            self.field += (new - old) @ rows
            by_sampler = before - max(sampled, after)
            self.decrease += by_sampler, before - after - by_sampler
        if accepted or self.last is None:
            # The difference between energies of the whole dual and of the working set.
            reached = after if accepted else before
            self.shift = (
                self._penalised(self.b[None], (self.field + self.dual.y)[None])[0] - reached
            )
        self._record(working, found, accepted=accepted)

    def _choose(self) -> IntArray:
        free = np.flatnonzero((self.b != 0.0) & (np.abs(self.b) < self.dual.C) & ~self.stale)
        partners = free[np.argsort(-self.last_use[free], kind="stable")]
        size = min(self.settings.working_size, self.b.size)
        working = select_working_set(self.conditions, size, stale=self.stale, partners=partners)
        if working.size >= 2 and self.conditions.violation[working].max() > self.settings.tol / 2:
            return working
        # No violator is left for steps of this size.
        self.window *= 0.5
        self.stale[:] = False
        working = select_working_set(self.conditions, size, stale=self.stale, partners=partners)
        return working if working.size >= 2 else np.arange(size)

    def _sub_dual(self, working: IntArray, rows: NDArray[np.float32]) -> SVRDual:
        """Return the working set's dual, with the penalty on the sum of all coefficients."""
        dual, b = self.dual, self.b[working]
        kernel = rows[:, working].astype(np.float64)
        kernel = 0.5 * (kernel + kernel.T)
        target = b.sum() - self.b.sum()
        y = kernel @ b - self.field[working] - self.conditions.offset
        y += 2.0 * dual.equality_penalty * target
        return SVRDual(
            kernel, y, dual.epsilon, dual.C[working], dual.equality_penalty, dual.overlap_penalty
        )

    def _best(self, sub: SVRDual, found: DualSolution, old: FloatArray) -> tuple[FloatArray, float]:
        """Return the working set's new coefficients and the energy that the sampler reached."""
        points = canonical(found.b)
        energies = np.append(sub.energy(points), sub.energy(canonical(old)))
        lowest = int(np.argmin(energies))
        best = old if lowest == len(points) else points[lowest, 0] - points[lowest, 1]
        if self.settings.use_smo:
            from qsvr.problem._smo import Box, smo

            K, target = sub.kernel_matrix, float(old.sum() - self.b.sum())
            best = moved_to_sum(best, sub.C, target, K @ best - sub.y)
            limit = 1000 + 100 * best.size
            box = Box(-sub.C, sub.C, np.zeros_like(best), np.full(best.size, sub.epsilon))
            field = best @ K - sub.y
            smo(K, np.diag(K).copy(), field, best, box, 0.1 * self.settings.tol, limit)
        return best, float(energies[lowest])

    def _record(self, working: IntArray, found: DualSolution, *, accepted: bool) -> None:
        dual = self.dual
        self.stale[working] = not accepted
        self.last_use[working] = len(self.gaps) + 1
        self.conditions = Conditions.of(self.field, self.b, dual.C, dual.epsilon)
        if accepted or self.last is None:
            self.last, self.working = found, working
        self.energies.append(exact_energy(self.field, self.b, dual.y, dual.epsilon))
        self.gaps.append(self.conditions.gap)
        verbose, number = self.settings.verbose, len(self.gaps)
        if verbose > 1 or (verbose and number % 10 == 0):
            print(
                f"[QSVR] working set {number} of {working.size} samples: energy "
                f"{self.energies[-1]:.6g}, violation {self.gaps[-1]:.3g} (tol "
                f"{self.settings.tol:g}), window {self.window:.2g} of the box"
            )

    def result(self, n_solutions: int) -> DualSolution:
        """Return the present point and the distinct ones near it from the last set."""
        b = self.b[None]
        if self.last is not None:
            near = self.last.b
            b = np.repeat(b, len(near) + 1, axis=0)
            b[1:, self.working] = near
        change = b - self.b
        outputs = self.dual.outputs(change, self.working, n_rows=self.settings.working_size)
        outputs = self.field + self.dual.y + outputs
        energies = self._penalised(b, outputs)
        keep = lowest_distinct(b, energies, n_solutions)
        bound = self._penalised(self.b[None], (self.field + self.dual.y)[None])[0] - duality_gap(
            self.field + self.conditions.offset, self.b, self.dual.C, self.dual.epsilon
        )
        return DualSolution(
            canonical(b[keep]), energies[keep], self._info(), float(bound), outputs[keep],
            n_qubos=len(self.gaps), sampleset=None if self.last is None else self.last.sampleset,
        )  # fmt: skip

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
            "n_working_sets": len(self.gaps),
            "working_size": self.settings.working_size,
            "energy_history": np.array(self.energies),
            "kkt_history": np.array(self.gaps),
            "kkt_gap": self.conditions.gap,
            "sampler_share": float(self.decrease[0] / total) if total > 0.0 else 1.0,
            "kernel_rows_computed": self.dual.rows.n_computed,
        }


def moved_to_sum(b: FloatArray, C: FloatArray, total: float, field: FloatArray) -> FloatArray:
    """Return b changed to sum to ``total``, the coefficients with the cheapest moves first."""
    missing = total - float(b.sum())
    sign = 1.0 if missing >= 0.0 else -1.0
    order = np.argsort(sign * field, kind="stable")
    room = np.maximum(C[order] - sign * b[order], 0.0)
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    moved = b.copy()
    moved[order] += sign * np.clip(abs(missing) - before, 0.0, room)
    return np.clip(moved, -C, C)
