"""`QSVR`: support vector regression by (quantum) annealing, with scikit-learn's conventions.

Wiring only: parameters are checked, the dual is built, a solver samples its QUBO, and the best
distinct solutions are combined into one regression function.

>>> from sklearn.datasets import make_friedman1
>>> from qsvr import QSVR
>>> X, y = make_friedman1(60, random_state=0)
>>> model = QSVR(C=5, random_state=0).fit(X, y)
>>> model.predict(X[:2]).shape, bool(model.energy_ >= model.relaxation_bound_)
((2,), True)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from qsvr._validation import check_choice, check_integer, check_real, checked_weight
from qsvr.combination import COMBINATIONS
from qsvr.dual import SVRDual
from qsvr.encoding import MAX_BITS, FixedPointEncoding
from qsvr.exceptions import CoarseEncodingWarning, SamplerError
from qsvr.intercept import INTERCEPTS
from qsvr.kernels import Kernel, KernelFunction, gram, symmetric
from qsvr.report import SamplerReport
from qsvr.samplers import Sampler, check_portable, open_sampler
from qsvr.samplers.base import check_options
from qsvr.samplers.dwave.cost import AccessPlan, fit_budget
from qsvr.solutions import combine
from qsvr.solvers import DirectSolver, check_capacity

__all__ = ["QSVR"]


class QSVR(RegressorMixin, BaseEstimator):
    """Support vector regression whose dual is solved as a QUBO.

    Each dual coefficient is written with ``n_bits`` bits, and the resulting quadratic problem over
    bits goes to a sampler: simulated annealing on this machine by default, or any dimod sampler.
    The best distinct solutions are averaged.

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
    overlap_penalty : float
        Weight of sum(a_n * ah_n). Not needed for epsilon > 0, where an optimum has no overlap.
    sampler : None, str, SamplerFactory or dimod.Sampler
        None is ``"structured"``, this package's annealer; also ``"sa"``, ``"neal"``, ``"tabu"``,
        ``"exact"``, ``"relax-round"``, and D-Wave's ``"qpu"``, ``"clique"``, ``"hybrid"``,
        ``"cqm"``. A live client is accepted, but such a model cannot be cloned or pickled.
    sampler_options : dict, optional
        Options of the sampler, such as ``{"num_sweeps": 500}``, or for D-Wave ``{"solver": ...,
        "annealing_time": 50, "max_access_time": 1, "fallback": "structured"}``. Unknown ones raise.
    num_reads : int
        Samples to draw.
    polish : bool
        Descend from each sample by single and pair moves. Raw energies are kept in
        ``sampler_info_``.
    n_solutions : int
        How many of the best distinct solutions are combined.
    combination : str
        How: ``"mean"``, ``"best"``, ``"boltzmann"``, or by errors ``"mse"``, ``"log-cosh"``,
        ``"r2"`` and their ``"-softmax"`` forms.
    combination_fraction : float
        Share of the training samples held out to weight the solutions; 0 uses all for both.
    intercept : {"primal", "kkt"}
        The offset that minimises the training loss, or the mean over free support vectors.
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
        The offset.
    n_support_ : ndarray of shape (1,)
        Number of support vectors.
    coef_ : ndarray of shape (1, n_features)
        Weights of the features; linear kernel only.
    energy_ : float
        Lowest dual energy found.
    relaxation_bound_ : float
        No solution, of any number of bits, has a lower energy than this.
    solutions_ : Solutions
        The solutions that were combined.
    sampler_info_ : dict
        The sampler's report: raw and polished energies of all reads, timing, options.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
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
        n_bits: int = 3,
        base: float | None = None,
        exponent_shift: float = 0.0,
        equality_penalty: float | str = "scale",
        overlap_penalty: float = 0.0,
        sampler: object = None,
        sampler_options: Mapping[str, Any] | None = None,
        num_reads: int = 64,
        polish: bool = True,
        n_solutions: int = 50,
        combination: str = "mean",
        combination_fraction: float = 0.0,
        intercept: str = "primal",
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
        self.n_bits = n_bits
        self.base = base
        self.exponent_shift = exponent_shift
        self.equality_penalty = equality_penalty
        self.overlap_penalty = overlap_penalty
        self.sampler = sampler
        self.sampler_options = sampler_options
        self.num_reads = num_reads
        self.polish = polish
        self.n_solutions = n_solutions
        self.combination = combination
        self.combination_fraction = combination_fraction
        self.intercept = intercept
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
            If the sampler cannot take so many samples in one QUBO.
        SamplerError
            If the sampler fails; its ``partial_model`` is this model where it could be fitted to
            what came back before.
        CostLimitError
            If the access time exceeds ``max_access_time`` of ``sampler_options``.
        """
        self._check_parameters()
        sampler, options = self._open_sampler()
        X, y = self._validate(X, y)
        weight = checked_weight(sample_weight, X)
        random_state = check_random_state(self.random_state)
        learning, scored = self._split(np.flatnonzero(weight), random_state)
        check_capacity(sampler, learning.size, self.n_bits, _name_of(self.sampler))

        kernel = Kernel.resolve(
            self.kernel, gamma=self.gamma, degree=self.degree, coef0=self.coef0, X=X
        )
        matrix = symmetric(gram(kernel, X, learning, learning))
        # The exact dual does not see a constant in y; the penalised one is better off without.
        centre = float(np.median(y[learning]))
        dual, encoding = self._build(matrix, y[learning] - centre, weight[learning])
        num_reads = options.pop("num_reads", self.num_reads)
        solver = DirectSolver(
            sampler, num_reads, self.polish, effective_n_jobs(self.n_jobs),
            options,
        )  # fmt: skip
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        failure: SamplerError | None = None
        with fit_budget(self._plan(sampler, num_reads, options, encoding), options):
            try:
                found = solver.solve(dual, encoding, n_solutions=self.n_solutions, seed=seed)
            except SamplerError as error:
                if error.partial_solution is None:
                    raise
                failure, found = error, error.partial_solution
        score_matrix = matrix if scored is learning else gram(kernel, X, scored, learning)
        self.solutions_ = combine(
            dual, found, score_matrix, y[scored] - centre,
            combination=self.combination, intercept=self.intercept,
        )  # fmt: skip

        self._kernel = kernel
        self._keep_support(X, learning, centre)
        self.energy_ = float(found.energies[0])
        self.relaxation_bound_ = dual.relax().bound
        self.sampler_info_ = dict(found.info)
        if dual.smallest_curvature == 0.0:  # else the bound is loose, whatever the levels
            self._warn_if_coarse(encoding)
        if self.verbose:
            print(self._summary())
        if failure is not None:
            failure.partial_model = self
            raise failure
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Or the kernel matrix (n_samples, n_training_samples) for a precomputed kernel.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        rows: Any = validate_data(
            self, X, accept_sparse=self._accepts_sparse(), dtype=np.float64, reset=False,
            accept_large_sparse=self.kernel != "laplacian",
        )  # fmt: skip
        if self.support_.size == 0:
            return np.full(rows.shape[0], self.intercept_[0])
        precomputed = self._kernel.function == "precomputed"
        matrix = (
            rows[:, self.support_] if precomputed else self._kernel(rows, self.support_vectors_)
        )
        return np.asarray(matrix @ self.dual_coef_[0] + self.intercept_[0])

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Weights of the features, shape (1, n_features); linear kernel only."""
        if self.kernel != "linear":
            raise AttributeError("coef_ is only available with kernel='linear'.")
        return np.asarray(self.dual_coef_ @ self.support_vectors_)

    def sampler_report(self) -> SamplerReport:
        """Print how good the samples were, raw and polished, and return the figures."""
        check_is_fitted(self)
        report = SamplerReport.from_info(self.sampler_info_, self.relaxation_bound_)
        print(report)
        return report

    def to_svr(self) -> Any:
        """Return an equivalent fitted `sklearn.svm.SVR` for export; see `qsvr.export.to_svr`."""
        from qsvr.export import to_svr

        check_is_fitted(self)
        return to_svr(self)

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        check_integer(
            owner, "n_bits", self.n_bits, low=1, high=MAX_BITS,
            hint="2 to 3 bits suit an annealer, 8 bits agree with scikit-learn's SVR.",
        )  # fmt: skip
        self._check_box(owner)
        check_real(owner, "epsilon", self.epsilon)
        check_integer(owner, "degree", self.degree, low=0)
        check_real(owner, "coef0", self.coef0, low=-np.inf, strict=True)
        if self.equality_penalty != "scale":
            check_real(
                owner, "equality_penalty", self.equality_penalty,
                hint="'scale' chooses it from the kernel.",
            )  # fmt: skip
        check_real(owner, "overlap_penalty", self.overlap_penalty)
        check_integer(owner, "num_reads", self.num_reads, low=1)
        check_integer(owner, "n_solutions", self.n_solutions, low=1)
        check_choice(owner, "combination", self.combination, COMBINATIONS)
        check_real(owner, "combination_fraction", self.combination_fraction, high=1.0)
        check_choice(owner, "intercept", self.intercept, INTERCEPTS)

    def _check_box(self, owner: str) -> None:
        if self.base is None:
            check_real(
                owner, "C", self.C, strict=True,
                hint="C='implied' needs base, whose weights imply the box.",
            )  # fmt: skip
            return
        check_real(owner, "base", self.base, strict=True)
        check_real(owner, "exponent_shift", self.exponent_shift, low=-np.inf, strict=True)
        implied = FixedPointEncoding.implied_box(self.n_bits, self.base, self.exponent_shift)
        is_number = isinstance(self.C, Real)
        if self.C != "implied" and not (is_number and np.isclose(self.C, implied, rtol=1e-9)):
            raise ValueError(
                f"C of {owner} must be 'implied' or {implied:.12g} when base is given, because the "
                f"bits' weights base ** (i - exponent_shift) add up to it; got {self.C!r}. Leave "
                "base out to choose C freely."
            )

    def _accepts_sparse(self) -> str | bool:
        return False if self.kernel == "precomputed" else "csr"

    def _validate(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, NDArray[np.float64]]:
        X, y = validate_data(
            self, X, y, accept_sparse=self._accepts_sparse(), dtype=np.float64, y_numeric=True,
            ensure_min_samples=2, accept_large_sparse=self.kernel != "laplacian",
        )  # fmt: skip
        return X, np.asarray(y, dtype=np.float64)

    def _open_sampler(self) -> tuple[Sampler, dict[str, Any]]:
        sampler, options = open_sampler(self.sampler, self.sampler_options)
        # A service's problems cost time each, so that its options say how many reads one has.
        more = {"num_reads"} if hasattr(sampler, "plan") else frozenset[str]()
        check_options(_name_of(self.sampler), options, sampler.parameters | more)
        return sampler, options

    def _plan(
        self,
        sampler: Sampler,
        num_reads: int,
        options: dict[str, Any],
        encoding: FixedPointEncoding,
    ) -> AccessPlan | None:
        """Return what the fit will cost where the sampler's time costs anything."""
        if not hasattr(sampler, "plan"):
            return None
        plan: AccessPlan | None = sampler.plan(
            encoding.n_variables, n_problems=1, num_reads=num_reads, options=options
        )
        if self.verbose and plan is not None:
            print(f"[QSVR] estimate: {plan}")
        return plan

    def _split(
        self, rows: NDArray[np.intp], random_state: np.random.RandomState
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows to learn from and those on which solutions are scored."""
        n_held_out = int(np.ceil(self.combination_fraction * rows.size))
        if n_held_out == 0:
            return rows, rows
        if rows.size - n_held_out < 2:
            raise ValueError(
                f"combination_fraction={self.combination_fraction} leaves {rows.size - n_held_out} "
                f"of {rows.size} samples to learn from; at least 2 are needed. Make it smaller."
            )
        shuffled = random_state.permutation(rows)
        return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])

    def _build(
        self, matrix: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[SVRDual, FixedPointEncoding]:
        """Return the dual of centred targets and the encoding of its coefficients."""
        if self.base is None:
            encoding = FixedPointEncoding.for_box(weight * float(self.C), self.n_bits)
        else:
            encoding = FixedPointEncoding.from_base(
                weight, self.n_bits, base=self.base, exponent_shift=self.exponent_shift
            )
        penalty = self.equality_penalty
        if penalty == "scale":
            penalty = 2.0 * float(np.abs(np.diag(matrix)).mean())
        dual = SVRDual(
            matrix, y, self.epsilon, encoding.width[0], float(penalty), self.overlap_penalty
        )
        return dual, encoding

    def _keep_support(self, X: Any, learning: NDArray[np.intp], centre: float) -> None:
        combined, offset = self.solutions_.combined
        nonzero = np.flatnonzero(np.abs(combined) > 1e-12 * np.abs(combined).max(initial=0.0))
        self.intercept_ = np.array([centre + offset])
        self.support_ = learning[nonzero].astype(np.int32)
        empty = self.kernel == "precomputed"
        self.support_vectors_ = np.empty((0, 0)) if empty else X[self.support_]
        self.dual_coef_ = combined[nonzero][None, :]
        self.n_support_ = np.array([nonzero.size], dtype=np.int32)

    def _warn_if_coarse(self, encoding: FixedPointEncoding) -> None:
        """Warn where the energy misses more than half of what the bound allows."""
        gap = self.energy_ - self.relaxation_bound_
        if gap <= 0.5 * abs(self.relaxation_bound_):
            return
        level = float(encoding.width.max()) * float(np.diff(encoding.grid).max())
        warnings.warn(
            f"the best energy found, {self.energy_:.4g}, is far above the bound of "
            f"{self.relaxation_bound_:.4g}: {self.n_bits} bits make levels of {level:.3g} in a box "
            f"of C={encoding.width.max():.4g}, too coarse for these targets, or the sampler got "
            "stuck. Use more bits (n_bits=8), a smaller C, or more reads.",
            CoarseEncodingWarning,
            stacklevel=3,
        )

    def _summary(self) -> str:
        info = self.sampler_info_
        gap = self.energy_ - self.relaxation_bound_
        return (
            f"[QSVR] {info['n_variables']} variables, {info['n_reads']} reads by "
            f"{info['sampler']} in {info['sampling_time']:.3g} s; energy {self.energy_:.6g} (raw "
            f"{info['raw_energies'].min():.6g}), at most {gap:.3g} above the best possible; "
            f"{len(self.solutions_.energies)} solutions combined, "
            f"{self.n_support_[0]} support vectors"
        )

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


def _name_of(sampler: object) -> str:
    if sampler is None:
        return "structured"
    return sampler if isinstance(sampler, str) else type(sampler).__name__
