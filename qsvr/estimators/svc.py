"""`QSVC`: support vector classification on annealers, with scikit-learn's conventions.

The dual is that of regression with targets of 1 and -1, epsilon = 0 and one-sided boxes, so that a
sample needs half the bits. Three or more classes give several duals; see
`qsvr.estimators._multiclass`.

>>> from sklearn.datasets import load_iris
>>> from qsvr import QSVC
>>> X, y = load_iris(return_X_y=True)
>>> model = QSVC(random_state=0).fit(X[::3], y[::3])
>>> model.predict(X[1:3]), model.decision_function(X[1:3]).shape
(array([0, 0]), (2, 3))
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import dimod
import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import _ovr_decision_function
from sklearn.utils.validation import check_is_fitted

from qsvr._text import say
from qsvr._typing import FloatArray, IntArray
from qsvr._validation import check_choice, check_integer
from qsvr.estimators._calibration import CalibratedProbabilities, fit_calibrated
from qsvr.estimators._machine import SupportVectorMachine
from qsvr.estimators._multiclass import (
    BinaryTask,
    SolvedTask,
    Training,
    binary_tasks,
    check_class_weights,
    dual_coefficients,
    total_plan,
    votes,
)
from qsvr.estimators._parameters import (
    check_class_parameters,
    check_parameters,
    checked_weight,
    random_state_of,
    validated_classes,
    validated_rows,
)
from qsvr.estimators._prepared import Begun, PreparedFit, access_plan, solved_together
from qsvr.estimators._problem_checks import check_unrefined, check_whole
from qsvr.estimators.problem import QSVRProblem
from qsvr.exceptions import SamplerError
from qsvr.inspection import SamplerReport
from qsvr.model import combine
from qsvr.problem import (
    KernelFunction,
    SVRDual,
    SVRQubo,
    TrainingData,
    one_sided,
    split_rows,
)
from qsvr.samplers.base import portable_sampleset
from qsvr.samplers.given import GivenSamples
from qsvr.solve import DirectSolver, DualProblem, DualSolution

__all__ = ["QSVC"]


class QSVC(ClassifierMixin, CalibratedProbabilities, SupportVectorMachine):
    """Support vector classification whose dual is solved as a QUBO.

    Each training sample has one dual coefficient of ``n_bits`` bits, half the variables that it
    needs in `QSVR`. Solvers, samplers and encodings are the same. Read more in the
    :doc:`guide </guide/classification>`.

    Parameters
    ----------
    C : float or "implied", default=1.0
        Upper bound of each dual coefficient: the weight of a training error. If ``base`` is given,
        the bound follows from the weights of the bits, and C must be ``"implied"`` or that value.
    kernel : str or callable, default="rbf"
        Kernel as in `sklearn.svm.SVC`, or ``"laplacian"``.
    degree : int, default=3
        Degree of the polynomial kernel.
    gamma : {"scale", "auto"} or float, default="scale"
        Coefficient of the kernels "rbf", "poly", "sigmoid" and "laplacian".
    coef0 : float, default=0.0
        Constant term of the kernels "poly" and "sigmoid".
    class_weight : dict or "balanced", default=None
        Factors on C by class. ``"balanced"`` is inversely proportional to the class frequencies.
    probability : bool, default=False
        Whether to make `predict_proba` available. It uses scikit-learn's `CalibratedClassifierCV`
        with at most 5 folds, each of which is another fit.
    multi_class : {"ovo", "ovr"}, default="ovo"
        Training of three or more classes: one against one, as in `sklearn.svm.SVC`, or one against
        rest. One against one has more and smaller problems.
    decision_function_shape : {"ovr", "ovo"}, default="ovr"
        Columns of the decision function for ``multi_class="ovo"`` with three or more classes: one
        for each class, from the votes of the pairs, or one for each pair.
    break_ties : bool, default=False
        Whether to rank classes with equal numbers of votes by the decision function.
    n_bits : int, default=3
        Bits per coefficient.
    base : float, default=None
        Base of the weights of the bits; see `QSVR`.
    exponent_shift : float, default=0.0
        Shift of the exponents, used with ``base`` only; see `QSVR`.
    equality_penalty : "scale" or float, default="scale"
        Weight of (sum b)^2; see `QSVR`.
    psd : {"clip", "shift"}, default=None
        Correction of an indefinite kernel; see `QSVR`.
    sampler : str, SamplerFactory or dimod.Sampler, default=None
        Sampler of the QUBOs; see `QSVR`.
    sampler_options : dict, default=None
        Options of the sampler.
    num_reads : int, default=64
        Number of samples to draw from each QUBO.
    polish : bool, default=True
        Whether to descend from each sample by single and pair moves.
    n_solutions : int, default=50
        Maximum number of distinct solutions that are combined.
    combination : str, default="mean"
        Weights of the solutions; see `QSVR`.
    combination_fraction : float, default=0.0
        Fraction of the training samples that is held out to weight the solutions.
    intercept : {"primal", "kkt"}, default="primal"
        The offset that minimises the training objective, or the mean over free support vectors.
    n_refinements : int or "auto", default="auto"
        Maximum number of rounds of refinement for each two-class problem; see `QSVR`.
    max_variables : int, "auto" or None, default="auto"
        Maximum number of binary variables of one QUBO; see `QSVR`.
    tol : float, default=0.001
        Tolerance of refinement and decomposition; see `QSVR`.
    max_iter : int, default=10000
        Maximum number of working sets of a decomposition.
    cache_size : float, default=200.0
        Memory for kernel rows in a decomposition, in MB.
    warm_start : bool, default=False
        Whether a decomposition starts from the solution of the previous fit.
    time_limit : float, default=None
        Maximum time of a fit in seconds, for all its problems together; see `QSVR`.
    n_jobs : int, default=None
        Number of threads for annealing and polish. The result does not depend on it.
    random_state : int or RandomState instance, default=None
        Seed of the sampler and of the held-out part.
    verbose : int, default=0
        Whether to print a summary of the solves.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes.
    class_weight_ : ndarray of shape (n_classes,)
        Factors on C by class.
    support_ : ndarray of shape (n_SV,)
        Indices of the support vectors, class by class.
    support_vectors_ : ndarray or sparse matrix of shape (n_SV, n_features)
        Support vectors; empty for a precomputed kernel.
    n_support_ : ndarray of shape (n_classes,)
        Number of support vectors of each class.
    dual_coef_ : ndarray of shape (n_classes - 1, n_SV)
        Combined coefficients of the support vectors, in scikit-learn's order; of shape
        (n_classes, n_SV) with ``multi_class="ovr"`` and three and more classes.
    intercept_ : ndarray of shape (n_problems,)
        Offset of each two-class problem.
    coef_ : ndarray of shape (n_problems, n_features)
        Weights of the features; linear kernel only.
    energy_, relaxation_bound_ : ndarray of shape (n_problems,)
        Lowest dual energy found, and lower bound on the energy, of each two-class problem.
    solutions_ : list of Solutions
        Distinct solutions of each two-class problem.
    sampler_info_ : list of dict
        Report of the sampler for each two-class problem; see `QSVR`.
    samplesets_ : list of dimod.SampleSet
        Answers of the sampler; see ``sampleset_`` of `QSVR`.
    n_iter_ : ndarray of shape (n_problems,)
        Number of QUBOs solved.
    calibration_ : CalibratedClassifierCV
        Model of the probabilities, with ``probability=True``.
    fit_status_, shape_fit_ : int, tuple of int
        0 and the shape of the training data, as in `sklearn.svm.SVC`.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has string names.

    See Also
    --------
    QSVR : Regression, with a description of all parameters.
    QSVCEnsemble : Average of small classifiers.
    SampleEnergyDisplay : Plot of the energies of the samples.
    sklearn.svm.SVC : The classical counterpart, for comparison.

    References
    ----------
    Willsch, Willsch, De Raedt and Michielsen 2020, "Support vector machines on the D-Wave quantum
    annealer", Computer Physics Communications, :doi:`10.1016/j.cpc.2019.107006`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), QSVC(random_state=0)).fit(X[::5], y[::5])
    >>> model.score(X[1::5], y[1::5]) > 0.9
    True
    """

    _n_sides = 1
    _ensemble = "QSVCEnsemble, or sklearn.ensemble.BaggingClassifier(QSVC(...), max_samples={})"

    def __init__(
        self,
        *,
        C: float | str = 1.0,
        kernel: str | KernelFunction = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        probability: bool = False,
        multi_class: str = "ovo",
        decision_function_shape: str = "ovr",
        break_ties: bool = False,
        n_bits: int = 3,
        base: float | None = None,
        exponent_shift: float = 0.0,
        equality_penalty: float | str = "scale",
        psd: str | None = None,
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
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.class_weight = class_weight
        self.probability = probability
        self.multi_class = multi_class
        self.decision_function_shape = decision_function_shape
        self.break_ties = break_ties
        self.n_bits = n_bits
        self.base = base
        self.exponent_shift = exponent_shift
        self.equality_penalty = equality_penalty
        self.psd = psd
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
            Labels: numbers or strings.
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
            If the sampler fails. If samples of all problems were returned before, the error's
            ``partial_model`` is a model fitted to them.
        CostLimitError
            If the estimated access time exceeds ``max_access_time`` of ``sampler_options``.
        """
        begun = self._started(X, y, sample_weight)
        solved_together([begun], n_jobs=effective_n_jobs(self.n_jobs))
        return self

    def _started(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Begun:
        """Check everything and build the duals, to be solved."""
        self._check_parameters()
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        rows, labels = validated_classes(self, X, y, self.kernel)
        weight = checked_weight(sample_weight, rows)
        if self.probability:
            self._training(rows, labels, weight)
            return Begun([], lambda _: fit_calibrated(self, X, labels, weight))
        direct = replace(self._direct_solver(), deadline=deadline)
        return self._begun(direct, rows, labels, weight, random_state_of(self.random_state))

    def _check_parameters(self) -> None:
        check_parameters(type(self).__name__, vars(self))
        check_class_parameters(type(self).__name__, vars(self))

    def _begun(
        self,
        direct: DirectSolver,
        X: Any,
        y: NDArray[Any],
        weight: FloatArray,
        random_state: np.random.RandomState,
    ) -> Begun:
        """Return the fits of parameters and data that have been checked, to be solved."""
        training = self._training(X, y, weight)
        tasks = binary_tasks(self.multi_class, self.classes_.size)
        fits = self._prepared(training, tasks, direct, random_state)
        return Begun(fits, lambda found: self._completed(training, tasks, fits, found))

    def _completed(
        self,
        training: Training,
        tasks: list[BinaryTask],
        fits: Sequence[PreparedFit],
        found: Sequence[DualSolution | None],
    ) -> Self:
        """Set the fitted attributes, of solutions that were found already or of new ones."""
        solved: list[SolvedTask] = []
        for fit, known in zip(fits, found, strict=True):
            try:
                solution = fit.solve() if known is None else known
            except SamplerError as error:
                if error.partial_solution is not None and len(solved) == len(fits) - 1:
                    last = self._solved(fit.data, fit.problem, error.partial_solution)
                    partial = self._copy()
                    partial._set_solutions(training, tasks, [*solved, last])  # noqa: SLF001
                    error.partial_model = partial
                raise
            solved.append(self._solved(fit.data, fit.problem, solution))
        self._set_solutions(training, tasks, solved)
        for fit, each in zip(fits, solved, strict=True):
            self._warn_and_summarise(each.problem, each.found, each.solutions, fit.plan)
        return self

    def _training(self, X: Any, labels: NDArray[Any], weight: FloatArray) -> Training:
        """Set the classes and their weights."""
        owner = type(self).__name__
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if self.multi_class == "ovr" and self.classes_.size > 2:
            check_choice(owner, "decision_function_shape", self.decision_function_shape, ("ovr",))
        self.class_weight_ = compute_class_weight(
            self.class_weight, classes=self.classes_, y=labels
        ).astype(np.float64)
        weight = weight * self.class_weight_[codes]
        check_class_weights(owner, self.classes_, self.class_weight_, codes, weight)
        return Training(X, codes, weight, self._resolved_kernel(X))

    def _rows(
        self, training: Training, task: BinaryTask, random_state: np.random.RandomState
    ) -> tuple[IntArray, IntArray]:
        """Return the rows that a problem is trained and scored on."""
        taken = np.flatnonzero(task.takes(training.codes) & (training.weight > 0.0))
        return split_rows(taken, self.combination_fraction, random_state)

    def _starts(self, n_tasks: int) -> Sequence[FloatArray | None]:
        """Return the solutions of the fit before, where they are to be started from."""
        if not self.warm_start or len(getattr(self, "solutions_", [])) != n_tasks:
            return [None] * n_tasks
        return [each.combined[0] for each in self.solutions_]

    def _problem(
        self,
        training: Training,
        task: BinaryTask,
        rows: tuple[IntArray, IntArray],
        working_size: int | None,
        start: FloatArray | None = None,
    ) -> tuple[TrainingData, DualProblem]:
        """Return the data and the dual of two classes."""
        train, validation = rows
        labels = task.labels(training.codes)
        data = TrainingData(
            training.kernel, training.X, labels, 0.0, train, validation, self.cache_size
        )
        encoding = self._encoding(one_sided(training.weight[train], labels[train]))
        return self._dual_problem(
            data, encoding, working_size, epsilon=0.0, overlap_penalty=0.0, start=start
        )

    def _prepared(
        self,
        training: Training,
        tasks: Sequence[BinaryTask],
        direct: DirectSolver,
        random_state: np.random.RandomState,
    ) -> list[PreparedFit]:
        """Check what a fit will cost, and build its duals."""
        strategy = self._strategy(direct.deadline)
        rows = [self._rows(training, task, random_state) for task in tasks]
        sizes = [self._working_size(strategy, direct, train.size) for train, _ in rows]
        plans = [
            access_plan(self, direct, train.size, size)
            for (train, _), size in zip(rows, sizes, strict=True)
        ]
        total_plan(plans).check(direct.options.get("max_access_time"))
        seeds = random_state.randint(np.iinfo(np.int32).max, size=len(tasks)).tolist()
        return [
            PreparedFit(
                *self._problem(training, task, rows[n], sizes[n], start), direct, strategy,
                self.n_solutions, seeds[n], plans[n],
            )
            for n, (task, start) in enumerate(zip(tasks, self._starts(len(tasks)), strict=True))
        ]  # fmt: skip

    def _solved(self, data: TrainingData, problem: DualProblem, found: DualSolution) -> SolvedTask:
        solutions, _ = combine(
            problem.dual, found, data, combination=self.combination, intercept=self.intercept
        )
        return SolvedTask(data, problem, found, solutions)

    def _set_solutions(
        self, training: Training, tasks: list[BinaryTask], solved: Sequence[SolvedTask]
    ) -> None:
        """Turn what a solver found into the fitted attributes."""
        coefficients = np.zeros((len(tasks), training.codes.size))
        for row, each in zip(coefficients, solved, strict=True):
            combined = each.data.predicting(each.solutions.combined[0])
            nonzero = self._nonzero(combined)
            row[each.data.train[nonzero]] = combined[nonzero]
        support = np.flatnonzero(coefficients.any(axis=0))
        support = support[np.argsort(training.codes[support], kind="stable")]
        codes, n_classes = training.codes[support], self.classes_.size
        self._kernel, self._tasks = training.kernel, tasks
        self._coefficients = coefficients[:, support]  # (n_problems, n_SV)
        self.support_ = support.astype(np.int32)
        self.support_vectors_ = self._vectors_of(training.X, self.support_)
        self.n_support_ = np.bincount(codes, minlength=n_classes).astype(np.int32)
        self.dual_coef_ = dual_coefficients(tasks, self._coefficients, codes, n_classes)
        self.intercept_ = np.array([each.solutions.combined[1] for each in solved])
        self.energy_ = np.array([each.found.energies[0] for each in solved])
        bounds = [
            each.problem.dual.bound if each.found.bound is None else each.found.bound
            for each in solved
        ]
        self.relaxation_bound_ = np.array(bounds)
        self.solutions_ = [each.solutions for each in solved]
        self.sampler_info_ = [dict(each.found.info) for each in solved]
        self.__dict__.pop("samplesets_", None)  # of a fit before, perhaps by another sampler
        answers = [each.found.sampleset for each in solved]
        if not any(each is None for each in answers):
            self.samplesets_ = [portable_sampleset(each) for each in answers if each is not None]
        self.n_iter_ = np.array([each.found.n_qubos for each in solved], dtype=np.int32)
        self.fit_status_ = 0
        self.shape_fit_ = training.X.shape
        self.__dict__.pop("calibration_", None)

    def make_problems(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> list[QSVRProblem]:
        """Return the two-class problems of a fit as QUBOs, without opening a sampler.

        Parameters
        ----------
        X, y
            As for `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors on C per sample.

        Returns
        -------
        problems : list of QSVRProblem
            One problem for two classes. One against one: first and second class, first and third,
            and so on. One against rest: in the order of the classes.
        """
        _, _, problems, _ = self._copy()._whole_problems(X, y, sample_weight)  # noqa: SLF001
        result = []
        for _, problem in problems:
            assert isinstance(problem.dual, SVRDual)  # noqa: S101
            result.append(QSVRProblem(SVRQubo(problem.dual, problem.encoding)))
        return result

    def fit_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        samplesets: dimod.SampleSet | Sequence[dimod.SampleSet],
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the model from samples of `make_problems` that were drawn elsewhere.

        The samples are polished and combined as in `fit`. No sampler is opened, and the parameters
        of sampling have no effect.

        Parameters
        ----------
        X, y
            Data of `make_problems`.
        samplesets : dimod.SampleSet or sequence of them
            One for each problem; see `QSVRProblem.to_samples`.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors on C of `make_problems`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If ``samplesets`` has anything but sample sets.
        ValueError
            If the samples do not belong to these problems, or if ``n_refinements`` requires rounds
            that need a sampler.
        """
        check_unrefined(type(self).__name__, self.n_refinements)
        given = [samplesets] if isinstance(samplesets, dimod.SampleSet) else list(samplesets)
        training, tasks, problems, seeds = self._whole_problems(X, y, sample_weight)
        if len(given) != len(tasks):
            raise ValueError(
                f"samplesets must hold one sample set for each of the {len(tasks)} problems of "
                f"make_problems; got {len(given)}."
            )
        solved = []
        for sampleset, (data, problem), seed in zip(given, problems, seeds, strict=True):
            direct = DirectSolver(
                GivenSamples(sampleset), self.num_reads, self.polish, effective_n_jobs(self.n_jobs)
            )
            dual: Any = problem.dual
            found = direct.solve(dual, problem.encoding, n_solutions=self.n_solutions, seed=seed)
            solved.append(self._solved(data, problem, found))
        self._set_solutions(training, tasks, solved)
        for each in solved:
            self._warn_and_summarise(
                each.problem, each.found, each.solutions, None, can_refine=False
            )
        return self

    def _whole_problems(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Training, list[BinaryTask], list[tuple[TrainingData, DualProblem]], list[int]]:
        """Return the data, the problems of all samples, and the seeds of a fit."""
        self._check_parameters()
        checked, labels = validated_classes(self, X, y, self.kernel)
        training = self._training(checked, labels, checked_weight(sample_weight, checked))
        random_state = random_state_of(self.random_state)
        tasks = binary_tasks(self.multi_class, self.classes_.size)
        rows = [self._rows(training, task, random_state) for task in tasks]
        most = max(train.size for train, _ in rows)
        check_whole(type(self).__name__, vars(self), n_samples=most, n_sides=self._n_sides)
        problems = [
            self._problem(training, task, part, None)
            for task, part in zip(tasks, rows, strict=True)
        ]
        seeds = random_state.randint(np.iinfo(np.int32).max, size=len(tasks)).tolist()
        return training, tasks, problems, seeds

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the decision function.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or for a precomputed kernel the matrix (n_samples, n_training_samples).

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_pairs)
            Of two classes, positive for the second. Of more, a column for each class, or with
            ``decision_function_shape="ovo"`` for each pair, positive for its first class.
        """
        check_is_fitted(self)
        decisions = self._decisions(X)
        n_classes = self.classes_.size
        if n_classes == 2:
            return np.asarray(decisions[:, 0])
        if self._tasks[0].negative is None or self.decision_function_shape == "ovo":
            return decisions
        return np.asarray(_ovr_decision_function(decisions < 0.0, -decisions, n_classes))

    def _decisions(self, X: ArrayLike) -> FloatArray:
        """Return the decision function of each two-class problem, (n_samples, n_problems)."""
        rows = validated_rows(self, X, self.kernel)
        if not self.support_.size:
            return np.tile(self.intercept_, (rows.shape[0], 1))
        return self._by_parts(
            lambda kernel: kernel @ self._coefficients.T + self.intercept_,
            rows, self.support_, self.support_vectors_,
        )  # fmt: skip

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or for a precomputed kernel the matrix (n_samples, n_training_samples).

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        n_classes = self.classes_.size
        if n_classes == 2:
            codes = (self._decisions(X)[:, 0] > 0.0).astype(np.intp)
        elif self._tasks[0].negative is None or self.break_ties:
            codes = self.decision_function(X).argmax(axis=1)
        else:  # of equally many votes the first, as libsvm
            codes = votes(self._tasks, self._decisions(X), n_classes).argmax(axis=1)
        return np.asarray(self.classes_[codes])

    @property
    def coef_(self) -> FloatArray:
        """Weights of the features, shape (n_problems, n_features); linear kernel only."""
        if self.kernel != "linear":
            raise AttributeError("coef_ is only available with kernel='linear'.")
        return np.asarray(self._coefficients @ self.support_vectors_)

    def sampler_report(self, problem: int = 0) -> SamplerReport:
        """Print and return a comparison of a problem's samples with random bit strings.

        Parameters
        ----------
        problem : int, default=0
            Index of the two-class problem, in the order of `make_problems`.
        """
        check_is_fitted(self)
        most = len(self.sampler_info_) - 1
        number = check_integer("sampler_report", "problem", problem, low=0, high=most)
        report = SamplerReport.from_info(
            self.sampler_info_[number], float(self.relaxation_bound_[number])
        )
        say(report, lines=True)
        return report

    def to_svc(self) -> Any:
        """Return an equivalent fitted classifier of scikit-learn, which does not need this package.

        Returns
        -------
        sklearn.svm.SVC or sklearn.multiclass.OneVsRestClassifier
            The latter for three and more classes with ``multi_class="ovr"``. Probabilities are not
            exported.
        """
        from qsvr.model.export import one_vs_rest, to_svc

        check_is_fitted(self)
        of_classes: Any = {"classes": self.classes_, "n_features": self.n_features_in_}
        if len(self._tasks) > 1 and self._tasks[0].negative is None:
            result = one_vs_rest(
                self._kernel, self.support_, self.support_vectors_, self._coefficients,
                self.intercept_, **of_classes,
            )  # fmt: skip
        else:
            result = to_svc(
                self._kernel, self.support_, self.support_vectors_, self.dual_coef_,
                self.intercept_, n_support=self.n_support_, **of_classes,
            )  # fmt: skip
            result.set_params(
                decision_function_shape=self.decision_function_shape, break_ties=self.break_ties
            )
        if hasattr(self, "feature_names_in_"):
            result.feature_names_in_ = self.feature_names_in_
        return result
