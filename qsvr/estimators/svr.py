"""`QSVR`: support vector regression by (quantum) annealing, with scikit-learn's conventions.

`QSVR.fit` builds the dual, a solver samples its QUBO, and the best solutions are combined.

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

    Each dual coefficient is written with ``n_bits`` bits. A sampler solves the resulting quadratic
    problem over bits: simulated annealing on this machine by default, or any dimod sampler. The
    best distinct solutions are averaged.

    Parameters
    ----------
    kernel : {"rbf", "linear", "poly", "sigmoid", "laplacian", "precomputed"} or callable
        As in `sklearn.svm.SVR`; a callable gets (X, Y) and returns (n_samples_X, n_samples_Y).
    degree : int
        Degree of the polynomial kernel.
    gamma : {"scale", "auto"} or float
        Kernel coefficient of rbf, poly, sigmoid and laplacian.
    coef0 : float
        Constant term of poly and sigmoid.
    C : float or "implied"
        Upper bound of each dual coefficient, in units of y. With ``base``, the box is implied by
        the bits' weights: then C must be ``"implied"`` or that value.
    epsilon : float
        Half width of the tube within which errors cost nothing, in units of y.
    normalize_y : bool
        Whether C, epsilon and tol are in units of the standard deviation of y (of the samples of
        positive weight; 1 where y is constant). Predictions, coefficients and offsets stay in units
        of y; ``energy_`` and all other energies are those of the normalised dual.
    n_bits : int
        Bits per coefficient, 1 to 16. 2 to 3 suit an annealer; 8 agree with SVR.
    base : float, optional
        Weights of the bits as in the papers, ``base ** (i - exponent_shift)``, instead of powers of
        two that fill the box.
    exponent_shift : float
        See ``base``.
    equality_penalty : "scale" or float
        Weight of (sum b)^2, which stands for the dual's constraint sum(b) = 0. ``"scale"`` is twice
        the mean of the kernel's diagonal, from where on results agree with SVR's to 0.001 in R2.
    psd : {"clip", "shift"} or None
        What is done about an indefinite kernel, whose dual is not convex: negative eigenvalues are
        set to 0, in prediction too (then all training samples are support vectors); or the most
        negative one is taken off the training diagonal; or nothing, with a warning. Needs the
        kernel matrix, and so one QUBO. See `qsvr.problem.spectrum`.
    overlap_penalty : float
        Weight of sum(a_n * ah_n). Not needed for epsilon > 0, where an optimum has no overlap.
    sampler : None, str, SamplerFactory or dimod.Sampler
        None is ``"structured"``, this package's annealer; also ``"relax-round"``, ``"sa"``,
        ``"tabu"``, ``"exact"``, D-Wave's ``"qpu"``, ``"clique"``, ``"hybrid"``, ``"cqm"`` and
        ``"nl"``, and others, see `sampler_names`. A live client or composite is accepted, but where
        it holds a connection the model cannot be cloned or pickled.
    sampler_options : dict, optional
        Options of the sampler, such as ``{"num_sweeps": 500}``, or for D-Wave ``{"solver": ...,
        "annealing_time": 50, "max_access_time": 1, "fallback": "structured"}``. Unknown ones raise.
    num_reads : int
        Samples to draw.
    polish : bool
        Descend from each sample by single and pair moves. Raw energies are kept in
        ``sampler_info_``.
    n_solutions : int
        How many of the best distinct solutions are combined at most. Those with which the average
        would train worse are left out.
    combination : str
        How they are combined: ``"mean"``, ``"best"``, ``"boltzmann"``, or by errors ``"mse"``,
        ``"log-cosh"``, ``"r2"`` and their ``"-softmax"`` forms.
    combination_fraction : float
        Fraction of the training samples held out to weight the solutions; 0 uses all for both.
    intercept : {"primal", "kkt"}
        The offset that minimises the training loss, or the mean over free support vectors.
    n_refinements : int or "auto"
        Rounds that solve the dual again in narrower windows around the best point so far: 3 bits
        and 10 rounds reach the exact dual's minimum on the same qubits. ``"auto"`` is 0 for
        samplers that cost, and for local ones as many short rounds as are needed until training is
        as good as SVR's: none where one QUBO is enough. See `docs/guide/choosing.md`.
    max_variables : int, "auto" or None
        Most binary variables of one QUBO. Data that need more are solved by working sets, whose
        windows shrink automatically. ``"auto"`` is the sampler's capacity, and for this package's
        own samplers the fastest size; a compiled descent over real numbers then goes on from the
        sampled working sets. With a number every change comes from the sampler. None raises.
    tol : float
        Refinement and decomposition stop when the exact dual's optimality conditions hold to this,
        in units of y, as in `sklearn.svm.SVR`.
    max_iter, cache_size, warm_start : int, float, bool
        Of a decomposition: most working sets to solve, memory for kernel rows in MB, and whether to
        start from the solution of the fit before.
    time_limit : float, optional
        Seconds that a fit may take. After that no further QUBO is begun, and what was found so far
        is returned with a ConvergenceWarning. A QUBO that has begun is finished, but a service is
        no longer waited for.
    n_jobs : int, optional
        Threads for annealing and polish; the result does not depend on it.
    random_state : int, RandomState instance or None
        Seed of the sampler and of the held-out part.
    verbose : int
        Print how good the solve was.

    Attributes
    ----------
    support_ : ndarray of shape (n_SV,)
        Indices of the support vectors.
    support_vectors_ : ndarray or sparse matrix of shape (n_SV, n_features)
        Empty for a precomputed kernel.
    dual_coef_ : ndarray of shape (1, n_SV)
        Combined coefficients of the support vectors.
    intercept_ : ndarray of shape (1,)
        The offset: ``kernel_matrix(X) @ dual_coef_[0] + intercept_`` is the prediction.
    y_std_ : float
        Unit of C and epsilon: the standard deviation of y with ``normalize_y``, else 1.
    n_support_ : ndarray of shape (1,)
        Number of support vectors.
    coef_ : ndarray of shape (1, n_features)
        Weights of the features; linear kernel only.
    energy_ : float
        Lowest dual energy found.
    relaxation_bound_ : float
        No solution, of any number of bits, has a lower energy than this.
    solutions_ : Solutions
        The distinct solutions that were found, and their weights in the combination.
    sampler_info_ : dict
        The sampler's report: raw and polished energies of all reads, timing, options. All zeros and
        the solution over real coefficients, rounded to levels, compete with the samples: their
        energies are in ``"candidates"``, and ``"best_from"`` says who won. Refinement adds
        ``"refinement_history"``, decomposition ``"energy_history"``, ``"kkt_history"`` and
        ``"sampler_share"``; the reads are then those of the last QUBO.
    sampleset_ : dimod.SampleSet
        The sampler's own answer to the last QUBO, over the bits 0 to n_variables - 1 (for ``"cqm"``
        over levels): with the problem's id, timing and embedding where the sampler gives them, as
        dwave-inspector needs. Only where a dimod sampler or a D-Wave solver drew the samples; the
        answer of ``"nl"`` is no sample set.
    n_iter_ : int
        Number of QUBOs solved.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where X has string names.

    See Also
    --------
    sklearn.svm.SVR : The classical counterpart; compare with it.

    References
    ----------
    Pasetto et al. 2022, "Quantum SVR for Chlorophyll Concentration Estimation in Water With Remote
    Sensing", IEEE GRSL.

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
        sample_weight : array-like of shape (n_samples,), optional
            Factors on C; samples of weight 0 are left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            On parameters or data that cannot be used.
        CapacityError
            If the sampler cannot take so many samples in one QUBO and ``max_variables`` is None.
        SamplerError
            If the sampler fails; its ``partial_model`` is a fitted model where something came back
            before.
        CostLimitError
            If the access time exceeds ``max_access_time`` of ``sampler_options``.
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
        """Return the problem that a fit solves, as one QUBO; no sampler is opened.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, in the same shapes.

        Returns
        -------
        QSVRProblem
            With ``to_bqm()``, ``to_cqm()`` and ``decode(sampleset)``.
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

        The samples are polished and combined as in `fit`; no sampler is opened, and parameters of
        sampling have no effect.

        Parameters
        ----------
        X, y, sample_weight
            Those that the problem was made of, in the same shapes.
        sampleset : dimod.SampleSet
            See `QSVRProblem.to_samples`.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If ``sampleset`` is no sample set.
        ValueError
            If it is not of this problem, or ``n_refinements`` asks for rounds that need a sampler.
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
            Or the kernel matrix (n_samples, n_training_samples) for a precomputed kernel.
        return_std : bool
            Whether to return standard deviations too: the spread of the distinct solutions, scaled
            by held-out residuals or left-out estimates of them; see `qsvr.model.uncertainty`.

        Returns
        -------
        prediction : ndarray of shape (n_samples,)
        std : ndarray of shape (n_samples,)
            Only with ``return_std``.
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
        """Print how good the samples were, raw and polished, and return the figures."""
        check_is_fitted(self)
        report = SamplerReport.from_info(self.sampler_info_, self.relaxation_bound_)
        say(report, lines=True)
        return report

    def to_svr(self) -> Any:
        """Return an equivalent fitted `sklearn.svm.SVR` for export; see `qsvr.model.export`."""
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
