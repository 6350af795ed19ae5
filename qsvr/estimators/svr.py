"""`QSVR`: support vector regression on annealers, with scikit-learn's conventions.

`QSVR.fit` builds the dual, a solver samples its QUBO, and the best solutions are averaged.

>>> from sklearn.datasets import make_friedman1
>>> from qsvr import QSVR
>>> X, y = make_friedman1(60, random_state=0)
>>> model = QSVR(C=5, random_state=0).fit(X, y)
>>> model.predict(X[:2]).shape, bool(model.energy_ >= model.relaxation_bound_)
((2,), True)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import dimod
import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from qsvr._text import say
from qsvr._typing import FloatArray, IntArray
from qsvr.estimators._machine import SupportVectorMachine
from qsvr.estimators._parameters import (
    check_parameters,
    checked_weight,
    random_state_of,
    validated,
    validated_rows,
)
from qsvr.estimators._prepared import Begun, PreparedFit, access_plan
from qsvr.estimators._problem_checks import (
    check_unrefined,
    check_whole,
)
from qsvr.estimators.problem import QSVRProblem
from qsvr.exceptions import SamplerError
from qsvr.inspection import SamplerReport
from qsvr.model import Spread, combine
from qsvr.problem import (
    KernelFunction,
    SVRDual,
    SVRQubo,
    TrainingData,
    split_rows,
    target_unit,
)
from qsvr.samplers.base import portable_sampleset
from qsvr.samplers.given import GivenSamples
from qsvr.solve import DirectSolver, DualProblem, DualSolution

__all__ = ["QSVR"]


class QSVR(RegressorMixin, SupportVectorMachine):
    """Support vector regression whose dual is solved as a QUBO.

    Each dual coefficient is written with ``n_bits`` bits. A sampler searches for the bit strings of
    lowest energy: simulated annealing on your own machine by default, or any dimod sampler,
    including D-Wave's annealers. The best distinct solutions are averaged.

    Read more in the :doc:`guide </guide/regression>`.

    Parameters
    ----------
    kernel : str or callable, default="rbf"
        "rbf", "linear", "poly", "sigmoid", "laplacian" or "precomputed", as in `sklearn.svm.SVR`.
        A callable takes (X, Y) and returns an array of shape (n_samples_X, n_samples_Y).
    degree : int, default=3
        Degree of the polynomial kernel.
    gamma : {"scale", "auto"} or float, default="scale"
        Coefficient of the kernels "rbf", "poly", "sigmoid" and "laplacian".
    coef0 : float, default=0.0
        Constant term of the kernels "poly" and "sigmoid".
    C : float or "implied", default=1.0
        Upper bound of each dual coefficient, in units of y. If ``base`` is given, the bound follows
        from the weights of the bits, and C must be ``"implied"`` or that value.
    epsilon : float, default=0.1
        Half-width of the tube within which deviations cost nothing, in units of y.
    normalize_y : bool, default=False
        Whether C, epsilon and tol are in units of the standard deviation of y. It is taken over the
        samples of positive weight, and is 1 if y is constant. Predictions, coefficients and offsets
        are in units of y; ``energy_`` and all other energies are those of the normalised dual.
    n_bits : int, default=3
        Bits per coefficient, 1 to 16. 2 or 3 suit an annealer; 8 give the accuracy of SVR.
    base : float, default=None
        Base of the weights of the bits, ``base ** (i - exponent_shift)``, as in the publications.
        By default the weights are powers of two, scaled such that all ones give C.
    exponent_shift : float, default=0.0
        Shift of the exponents, used with ``base`` only.
    equality_penalty : "scale" or float, default="scale"
        Weight of (sum b)^2, which replaces the constraint sum(b) = 0 of the dual. ``"scale"`` is
        twice the mean of the kernel's diagonal; from there on R2 agrees with SVR's to 0.001.
    psd : {"clip", "shift"}, default=None
        Correction of an indefinite kernel, whose dual is not convex. ``"clip"`` sets negative
        eigenvalues to 0, also in prediction; all training samples are then support vectors.
        ``"shift"`` subtracts the lowest eigenvalue from the diagonal in training. None issues a
        warning only. The correction needs the whole kernel matrix, and therefore a single QUBO; see
        `qsvr.problem.spectrum`.
    overlap_penalty : float, default=0.0
        Weight of sum(a_n * ah_n). Not needed if epsilon > 0, since a minimum then has no overlap.
    sampler : str, SamplerFactory or dimod.Sampler, default=None
        Sampler of the QUBO. None is ``"structured"``, the annealer of this package. Other names are
        ``"relax-round"``, ``"sa"``, ``"tabu"``, ``"exact"``, D-Wave's ``"qpu"``, ``"clique"``,
        ``"hybrid"``, ``"cqm"`` and ``"nl"``; `sampler_names` lists all. A live client or composite
        is accepted, but a model that holds a connection cannot be cloned or pickled.
    sampler_options : dict, default=None
        Options of the sampler, such as ``{"num_sweeps": 500}``, or for D-Wave ``{"solver": ...,
        "annealing_time": 50, "max_access_time": 1, "fallback": "structured"}``. Unknown options
        raise an error.
    num_reads : int, default=64
        Number of samples to draw from each QUBO.
    polish : bool, default=True
        Whether to descend from each sample by single and pair moves. The raw energies are kept in
        ``sampler_info_``.
    n_solutions : int, default=50
        Maximum number of distinct solutions that are combined. Solutions that would raise the
        training objective of the average are left out.
    combination : str, default="mean"
        Weights of the solutions: ``"mean"``, ``"best"``, ``"boltzmann"``, or by errors ``"mse"``,
        ``"log-cosh"``, ``"r2"``, each also with ``"-softmax"``.
    combination_fraction : float, default=0.0
        Fraction of the training samples that is held out to weight the solutions. 0 uses all
        samples for both.
    intercept : {"primal", "kkt"}, default="primal"
        The offset that minimises the training objective, or the mean over free support vectors.
    n_refinements : int or "auto", default="auto"
        Maximum number of rounds that solve the dual again in narrower windows around the best
        solution so far. 10 rounds with 3 bits reach the minimum of the exact dual. ``"auto"`` is 0
        for samplers that cost money. For local samplers it is as many short rounds as are needed
        until training is as good as SVR's, and none if one QUBO is enough; see
        :doc:`/guide/choosing`.
    max_variables : int, "auto" or None, default="auto"
        Maximum number of binary variables of one QUBO. Data that need more are solved by
        decomposition into working sets, whose windows shrink automatically. ``"auto"`` is the
        capacity of the sampler, and for the samplers of this package the fastest size, with a
        compiled descent over real numbers after the sampled working sets. With a number every
        change comes from the sampler. None raises an error instead of decomposing.
    tol : float, default=0.001
        Tolerance of refinement and decomposition: the largest violation of the optimality
        conditions of the exact dual, in units of y, as in `sklearn.svm.SVR`.
    max_iter : int, default=10000
        Maximum number of working sets of a decomposition.
    cache_size : float, default=200.0
        Memory for kernel rows in a decomposition, in MB.
    warm_start : bool, default=False
        Whether a decomposition starts from the solution of the previous fit.
    time_limit : float, default=None
        Maximum time of a fit in seconds. After it no further QUBO is started, and the best model so
        far is returned with a ConvergenceWarning. A local QUBO that was started is completed; a
        request to a service is abandoned.
    n_jobs : int, default=None
        Number of threads for annealing and polish. The result does not depend on it.
    random_state : int or RandomState instance, default=None
        Seed of the sampler and of the held-out part.
    verbose : int, default=0
        Whether to print a summary of the solve.

    Attributes
    ----------
    support_ : ndarray of shape (n_SV,)
        Indices of the support vectors.
    support_vectors_ : ndarray or sparse matrix of shape (n_SV, n_features)
        Support vectors; empty for a precomputed kernel.
    dual_coef_ : ndarray of shape (1, n_SV)
        Combined coefficients of the support vectors.
    intercept_ : ndarray of shape (1,)
        Offset: ``kernel_matrix(X) @ dual_coef_[0] + intercept_`` is the prediction.
    y_std_ : float
        Unit of C and epsilon: the standard deviation of y with ``normalize_y``, else 1.
    n_support_ : ndarray of shape (1,)
        Number of support vectors.
    coef_ : ndarray of shape (1, n_features)
        Weights of the features; linear kernel only.
    energy_ : float
        Lowest dual energy found.
    relaxation_bound_ : float
        Lower bound on the energy of every solution, for any number of bits.
    solutions_ : Solutions
        Distinct solutions and their weights in the average.
    sampler_info_ : dict
        Report of the sampler on the last QUBO: raw and polished energies of all reads, timing and
        options. ``"candidates"`` has the energies of the solutions that are ranked beside the
        samples (all zeros and the rounded relaxation), and ``"best_from"`` the origin of the best
        solution. Refinement adds ``"refinement_history"``; decomposition adds
        ``"energy_history"``, ``"kkt_history"`` and ``"sampler_share"``.
    sampleset_ : dimod.SampleSet
        Answer of the sampler to the last QUBO, over the bits 0 to n_variables - 1 (for ``"cqm"``
        over levels), with the problem's id, timing and embedding if the sampler returns them, as
        needed by dwave-inspector. Only for dimod samplers and D-Wave solvers other than ``"nl"``.
    n_iter_ : int
        Number of QUBOs solved.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has string names.

    See Also
    --------
    QSVC : Classification with the same samplers and solvers.
    QSVREnsemble : Average of small models, one QUBO each.
    fit_many : Fit many models together.
    C_path : Models for many values of C and epsilon.
    SampleEnergyDisplay : Plot of the energies of the samples.
    sklearn.svm.SVR : The classical counterpart, for comparison.

    References
    ----------
    Pasetto et al. 2022, "Quantum SVR for Chlorophyll Concentration Estimation in Water With Remote
    Sensing", IEEE GRSL, :doi:`10.1109/LGRS.2022.3200325`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), QSVR(C=50, epsilon=5, random_state=0))
    >>> model.fit(X[:100], y[:100]).predict(X[100:102]).shape
    (2,)
    """

    def __init__(
        self,
        *,
        kernel: str | KernelFunction = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        C: float | str = 1.0,
        epsilon: float = 0.1,
        normalize_y: bool = False,
        n_bits: int = 3,
        base: float | None = None,
        exponent_shift: float = 0.0,
        equality_penalty: float | str = "scale",
        psd: str | None = None,
        overlap_penalty: float = 0.0,
        sampler: object = None,
        sampler_options: Mapping[str, Any] | None = None,
        num_reads: int = 64,
        polish: bool = True,
        n_solutions: int = 50,
        combination: str = "mean",
        combination_fraction: float = 0.0,
        intercept: str = "primal",
        n_refinements: int | str = "auto",
        max_variables: int | str | None = "auto",
        tol: float = 1e-3,
        max_iter: int = 10_000,
        cache_size: float = 200.0,
        warm_start: bool = False,
        time_limit: float | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.C = C
        self.epsilon = epsilon
        self.normalize_y = normalize_y
        self.n_bits = n_bits
        self.base = base
        self.exponent_shift = exponent_shift
        self.equality_penalty = equality_penalty
        self.psd = psd
        self.overlap_penalty = overlap_penalty
        self.sampler = sampler
        self.sampler_options = sampler_options
        self.num_reads = num_reads
        self.polish = polish
        self.n_solutions = n_solutions
        self.combination = combination
        self.combination_fraction = combination_fraction
        self.intercept = intercept
        self.n_refinements = n_refinements
        self.max_variables = max_variables
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.warm_start = warm_start
        self.time_limit = time_limit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, or the kernel matrix (n_samples, n_samples) for a precomputed kernel.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors on C per sample. Samples of weight 0 are left out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid.
        CapacityError
            If the data exceed one QUBO of the sampler and ``max_variables`` is None.
        SamplerError
            If the sampler fails. If some samples were returned before, the error's
            ``partial_model`` is a model fitted to them.
        CostLimitError
            If the estimated access time exceeds ``max_access_time`` of ``sampler_options``.
        """
        return self._solved(self._prepared(X, y, sample_weight))

    def _prepared(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> PreparedFit:
        """Check everything and build the dual."""
        check_parameters(type(self).__name__, vars(self))
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        direct = replace(self._direct_solver(), deadline=deadline)
        X, y = validated(self, X, y, self.kernel)
        weight = checked_weight(sample_weight, X)
        return self._prepared_of(direct, X, y, weight, random_state_of(self.random_state))

    def _check_parameters(self) -> None:
        check_parameters(type(self).__name__, vars(self))

    def _started(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Begun:
        """Check everything and build the dual, to be solved."""
        fit = self._prepared(X, y, sample_weight)
        return Begun([fit], lambda found: self._solved(fit, found[0]))

    def _begun(
        self,
        direct: DirectSolver,
        X: Any,
        y: FloatArray,
        weight: FloatArray,
        random_state: np.random.RandomState,
    ) -> Begun:
        """Return the fit of parameters and data that have been checked, to be solved."""
        fit = self._prepared_of(direct, X, y, weight, random_state)
        return Begun([fit], lambda found: self._solved(fit, found[0]))

    def _prepared_of(
        self,
        direct: DirectSolver,
        X: Any,
        y: FloatArray,
        weight: FloatArray,
        random_state: np.random.RandomState,
    ) -> PreparedFit:
        """Build the dual of parameters and data that have been checked."""
        train, validation = split_rows(
            np.flatnonzero(weight), self.combination_fraction, random_state
        )
        strategy = self._strategy(direct.deadline)
        working_size = self._working_size(strategy, direct, train.size)
        data, problem = self._problem(X, y, weight, (train, validation), working_size)
        plan = access_plan(self, direct, train.size, working_size)
        if plan is not None:
            plan.check(direct.options.get("max_access_time"))
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        return PreparedFit(data, problem, direct, strategy, self.n_solutions, seed, plan)

    def _solved(self, fit: PreparedFit, found: DualSolution | None = None) -> Self:
        """Set the fitted attributes, of a solution that was found already or of a new one."""
        try:
            found = fit.solve() if found is None else found
        except SamplerError as error:
            if error.partial_solution is not None:
                partial = self._copy()
                partial._set_solution(fit.data, fit.problem, error.partial_solution)  # noqa: SLF001
                error.partial_model = partial
            raise
        self._set_solution(fit.data, fit.problem, found)
        self._warn_and_summarise(fit.problem, found, self.solutions_, fit.plan)
        return self

    def make_problem(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> QSVRProblem:
        """Return the problem of a fit as one QUBO, without opening a sampler.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, as for `fit`.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors on C per sample.

        Returns
        -------
        problem : QSVRProblem
            The problem, with ``to_bqm()``, ``to_cqm()`` and ``decode(sampleset)``.
        """
        _, problem, _ = self._copy()._whole_problem(X, y, sample_weight)  # noqa: SLF001
        assert isinstance(problem.dual, SVRDual)  # noqa: S101
        return QSVRProblem(SVRQubo(problem.dual, problem.encoding))

    def fit_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sampleset: dimod.SampleSet,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the model from samples of `make_problem` that were drawn elsewhere.

        The samples are polished and combined as in `fit`. No sampler is opened, and the parameters
        of sampling have no effect.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data of `make_problem`.
        y : array-like of shape (n_samples,)
            Targets of `make_problem`.
        sampleset : dimod.SampleSet
            Samples over bits, spins or levels; see `QSVRProblem.to_samples`.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors on C of `make_problem`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If ``sampleset`` is not a sample set.
        ValueError
            If the samples do not belong to this problem, or if ``n_refinements`` requires rounds
            that need a sampler.
        """
        check_unrefined(type(self).__name__, self.n_refinements)
        data, problem, seed = self._whole_problem(X, y, sample_weight)
        direct = DirectSolver(
            GivenSamples(sampleset), self.num_reads, self.polish, effective_n_jobs(self.n_jobs)
        )
        dual: Any = problem.dual
        found = direct.solve(dual, problem.encoding, n_solutions=self.n_solutions, seed=seed)
        self._set_solution(data, problem, found)
        self._warn_and_summarise(problem, found, self.solutions_, None, can_refine=False)
        return self

    def _whole_problem(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[TrainingData, DualProblem, int]:
        """Return the data, the dual of all samples, and the seed of a fit."""
        check_parameters(type(self).__name__, vars(self))
        X, y = validated(self, X, y, self.kernel)
        weight = checked_weight(sample_weight, X)
        random_state = random_state_of(self.random_state)
        rows = split_rows(np.flatnonzero(weight), self.combination_fraction, random_state)
        check_whole(type(self).__name__, vars(self), n_samples=rows[0].size)
        data, problem = self._problem(X, y, weight, rows, None)
        return data, problem, int(random_state.randint(np.iinfo(np.int32).max))

    def _problem(
        self,
        X: Any,
        y: FloatArray,
        weight: FloatArray,
        rows: tuple[IntArray, IntArray],
        working_size: int | None,
    ) -> tuple[TrainingData, DualProblem]:
        """Return the data and the dual of the rows to train and to score on."""
        kernel, (train, validation) = self._resolved_kernel(X), rows
        unit = target_unit(y[np.flatnonzero(weight)]) if self.normalize_y else 1.0
        # The exact dual does not depend on a constant in y; the penalised one is more accurate
        # without.
        centre = float(np.median(y[train]))
        data = TrainingData(
            kernel, X, (y - centre) / unit, centre, train, validation, self.cache_size, unit
        )
        start: FloatArray | None = None
        if self.warm_start and hasattr(self, "solutions_"):
            start = self.solutions_.combined[0] / unit
        return self._dual_problem(
            data,
            self._encoding(weight[train]),
            working_size,
            epsilon=self.epsilon,
            overlap_penalty=self.overlap_penalty,
            start=start,
        )

    def _set_solution(self, data: TrainingData, problem: DualProblem, found: DualSolution) -> None:
        """Turn what a solver found into the fitted attributes."""
        solutions, predictions = combine(
            problem.dual, found, data, combination=self.combination, intercept=self.intercept
        )
        self._spread = Spread.of(solutions, data, predictions, problem.dual.reach)
        self._kernel = data.kernel
        self.y_std_ = data.unit
        self.solutions_ = replace(
            solutions,
            coefficients=solutions.coefficients * data.unit,
            intercepts=solutions.intercepts * data.unit,
        )
        combined, offset = self.solutions_.combined
        combined = data.predicting(combined)
        nonzero = self._nonzero(combined)
        self.intercept_ = np.array([data.centre + offset])
        self.support_ = data.train[nonzero].astype(np.int32)
        self.support_vectors_ = self._vectors_of(data.X, self.support_)
        self.dual_coef_ = combined[nonzero][None, :]
        self.n_support_ = np.array([nonzero.size], dtype=np.int32)
        self.energy_ = float(found.energies[0])
        self.relaxation_bound_ = problem.dual.bound if found.bound is None else found.bound
        self.sampler_info_ = dict(found.info)
        self.__dict__.pop("sampleset_", None)  # of a fit before, perhaps by another sampler
        if found.sampleset is not None:
            self.sampleset_ = portable_sampleset(found.sampleset)
        self.n_iter_ = found.n_qubos

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or for a precomputed kernel the matrix (n_samples, n_training_samples).
        return_std : bool, default=False
            Whether to return standard deviations too. They are the spread of the distinct
            solutions, scaled by held-out or left-out residuals; see `qsvr.model.uncertainty`.

        Returns
        -------
        prediction : ndarray of shape (n_samples,)
            Predicted targets.
        std : ndarray of shape (n_samples,)
            Standard deviations, only with ``return_std=True``.
        """
        check_is_fitted(self)
        rows = validated_rows(self, X, self.kernel)
        prediction = np.full(rows.shape[0], self.intercept_[0])
        if self.support_.size:
            coefficients, offset = self.dual_coef_[0], self.intercept_[0]
            prediction = self._by_parts(
                lambda kernel: kernel @ coefficients + offset,
                rows, self.support_, self.support_vectors_,
            )  # fmt: skip
        if not return_std:
            return prediction
        spread = self._spread
        if not spread.data_rows.size:
            return prediction, np.full(rows.shape[0], self.y_std_ * spread.tau)
        std = self._by_parts(
            lambda kernel: self.y_std_ * spread.std(kernel), rows, spread.data_rows, spread.vectors
        )
        return prediction, std

    @property
    def coef_(self) -> FloatArray:
        """Weights of the features, shape (1, n_features); linear kernel only."""
        if self.kernel != "linear":
            raise AttributeError("coef_ is only available with kernel='linear'.")
        return np.asarray(self.dual_coef_ @ self.support_vectors_)

    def sampler_report(self) -> SamplerReport:
        """Print and return a comparison of the samples with random bit strings.

        Returns
        -------
        report : SamplerReport
            Raw and polished energies, with a test and a verdict. After refinement or decomposition
            it describes the last QUBO.
        """
        check_is_fitted(self)
        report = SamplerReport.from_info(self.sampler_info_, self.relaxation_bound_)
        say(report, lines=True)
        return report

    def to_svr(self) -> Any:
        """Return a fitted `sklearn.svm.SVR` with the same predictions, for export.

        Returns
        -------
        svr : sklearn.svm.SVR
            The equivalent model; see `qsvr.model.export`.
        """
        from qsvr.model.export import to_svr

        check_is_fitted(self)
        svr = to_svr(
            self._kernel,
            self.support_,
            self.support_vectors_,
            self.dual_coef_,
            self.intercept_,
            epsilon=self.epsilon * self.y_std_,
            n_features=self.n_features_in_,
        )
        if hasattr(self, "feature_names_in_"):
            svr.feature_names_in_ = self.feature_names_in_
        return svr
