"""Base class of the estimators: building the dual, solving it, its cost, and prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from qsvr._text import say
from qsvr._typing import FloatArray, IntArray
from qsvr.estimators._parameters import validated_rows
from qsvr.estimators._prepared import access_plan
from qsvr.estimators._problem_checks import (
    check_finite,
    check_magnitudes,
    check_psd,
    check_start,
    warn_if_coarse,
    warn_if_indefinite,
)
from qsvr.inspection import fit_summary
from qsvr.model import Solutions
from qsvr.problem import FixedPointEncoding, Kernel, TrainingData
from qsvr.samplers import AccessBudget, AccessPlan, check_portable, open_sampler
from qsvr.samplers.base import check_options
from qsvr.solve import DirectSolver, DualProblem, DualSolution, Strategy

__all__ = ["SupportVectorMachine"]

# Maximum number of kernel values that prediction holds at a time, 16 MB.
_KERNEL_PART = 2_000_000


class SupportVectorMachine(BaseEstimator):
    """Base class of estimators whose duals are solved as QUBOs, with the parameters of `QSVR`."""

    # Coefficients per sample, and the alternatives that train many small models.
    _n_sides = 2
    _ensemble = "QSVREnsemble, or sklearn.ensemble.BaggingRegressor(QSVR(...), max_samples={})"

    def _copy(self) -> Self:
        """Return a shallow copy, which shares a live sampler."""
        other = object.__new__(type(self))
        other.__dict__.update(vars(self))
        return other

    def _resolved_kernel(self, X: Any) -> Kernel:
        return Kernel.resolve(
            self.kernel, gamma=self.gamma, degree=self.degree, coef0=self.coef0, X=X
        )

    def _dual_problem(
        self,
        data: TrainingData,
        encoding: FixedPointEncoding,
        working_size: int | None,
        *,
        epsilon: float,
        overlap_penalty: float,
        start: FloatArray | None,
    ) -> tuple[TrainingData, DualProblem]:
        """Return the data, corrected if ``psd`` is set, and their dual.

        ``start`` is the solution of the previous fit.
        """
        owner = type(self).__name__
        check_psd(owner, self.psd, working_size)
        if self.psd is not None:
            data = data.corrected(self.psd)
        if start is not None:
            check_start(owner, start, data.train.size)
        problem = DualProblem.of(
            data,
            encoding,
            working_size,
            epsilon=epsilon,
            equality_penalty=self.equality_penalty,
            overlap_penalty=overlap_penalty,
            start=start,
        )
        check_magnitudes(owner, problem.dual)
        return data, problem

    @staticmethod
    def _nonzero(coefficients: FloatArray) -> IntArray:
        """Return the indices of coefficients larger than rounding errors, (n_support,)."""
        size = np.abs(coefficients)
        return np.asarray(np.flatnonzero(size > 1e-12 * size.max(initial=0.0)), dtype=np.intp)

    @property
    def _sampler_name(self) -> str:
        if self.sampler is None:
            return "structured"
        return self.sampler if isinstance(self.sampler, str) else type(self.sampler).__name__

    def _direct_solver(self) -> DirectSolver:
        """Open the sampler and check its options."""
        sampler, options = open_sampler(self.sampler, self.sampler_options)
        # A service charges for each read, so num_reads is one of its options.
        more = {"num_reads"} if hasattr(sampler, "plan") else frozenset[str]()
        check_options(self._sampler_name, options, sampler.parameters | more)
        num_reads = options.pop("num_reads", self.num_reads)
        budget = AccessBudget(options.get("max_access_time")) if hasattr(sampler, "plan") else None
        n_jobs = effective_n_jobs(self.n_jobs)
        return DirectSolver(sampler, num_reads, self.polish, n_jobs, options, budget)

    def _strategy(self, deadline: float | None) -> Strategy:
        return Strategy(
            n_refinements=self.n_refinements,
            max_variables=self.max_variables,
            tol=self.tol,
            max_iter=self.max_iter,
            deadline=deadline,
            verbose=self.verbose,
        )

    def _working_size(self, strategy: Strategy, direct: DirectSolver, n_samples: int) -> int | None:
        return strategy.working_size(
            direct.sampler, n_samples=n_samples, n_bits=self.n_bits, name=self._sampler_name,
            n_sides=self._n_sides, ensemble=self._ensemble,
        )  # fmt: skip

    def _encoding(self, scale: FloatArray) -> FixedPointEncoding:
        """Return the encoding of boxes; ``scale`` are factors, (n_samples,) or (2, n_samples)."""
        if self.base is None:
            return FixedPointEncoding.for_box(scale * float(self.C), self.n_bits)
        return FixedPointEncoding.from_base(
            scale, self.n_bits, base=self.base, exponent_shift=self.exponent_shift
        )

    def _check_access_time(self, n_members: int, n_samples: int) -> None:
        """Raise CostLimitError if so many duals of so many samples exceed ``max_access_time``."""
        direct = self._direct_solver()
        plan = access_plan(self, direct, n_samples, None)
        if plan is not None:
            plan.times(n_members).check(direct.options.get("max_access_time"))

    def _warn_and_summarise(
        self,
        problem: DualProblem,
        found: DualSolution,
        solutions: Solutions,
        plan: AccessPlan | None,
        *,
        can_refine: bool = True,
    ) -> None:
        if "refinement_history" not in found.info:  # refinement has its own warning
            warn_if_coarse(problem, solutions.objective, plan, can_refine=can_refine)
        warn_if_indefinite(problem.dual, self.psd)
        if self.verbose:
            bound = problem.dual.bound if found.bound is None else found.bound
            summary = fit_summary(found.info, found.n_qubos, float(found.energies[0]), bound)
            n_combined = np.count_nonzero(solutions.weights)
            say(
                f"[{type(self).__name__}] {summary}; {n_combined} solutions, "
                f"{self.support_.size} support vectors"
            )

    def _by_parts(
        self, function: Callable[[FloatArray], Any], rows: Any, columns: NDArray[Any], vectors: Any
    ) -> FloatArray:
        """Return ``function`` of the kernel of rows, computed in parts to limit memory."""
        results = []
        for part in gen_batches(rows.shape[0], max(_KERNEL_PART // columns.size, 1)):
            kernel = self._kernel_of(rows[part], columns, vectors)
            with np.errstate(over="ignore", invalid="ignore"):
                results.append(function(kernel))
            check_finite(results[-1], kernel)
        return np.concatenate(results)

    def kernel_matrix(self, X: ArrayLike) -> FloatArray:
        """Return the kernel between samples and the support vectors.

        In regression, ``kernel_matrix(X) @ dual_coef_[0] + intercept_`` is the prediction; for two
        classes it is the decision function. This holds with ``psd`` too, because clipping is
        applied to the coefficients, and a shift to the training diagonal only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, as for `predict`.

        Returns
        -------
        kernel : ndarray of shape (n_samples, n_SV)
            Kernel values.
        """
        check_is_fitted(self)
        rows = validated_rows(self, X, self.kernel)
        if not self.support_.size:
            return np.empty((rows.shape[0], 0))
        return self._kernel_of(rows, self.support_, self.support_vectors_)

    def _kernel_of(self, rows: Any, columns: NDArray[Any], vectors: Any) -> FloatArray:
        """Return the kernel of rows with training samples, given as columns and as vectors."""
        if self._kernel.function == "precomputed":
            return np.asarray(rows[:, columns])
        return np.asarray(self._kernel(rows, vectors))

    def _vectors_of(self, X: Any, rows: NDArray[Any]) -> Any:
        """Return training samples as support vectors; none for a precomputed kernel."""
        return np.empty((0, 0)) if self.kernel == "precomputed" else X[rows]

    def __sklearn_clone__(self) -> Self:
        check_portable(self.sampler)
        return super().__sklearn_clone__()  # type: ignore[no-any-return]

    def __getstate__(self) -> Any:
        check_portable(self.sampler)
        return super().__getstate__()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        tags.input_tags.sparse = self.kernel != "precomputed"
        return tags
