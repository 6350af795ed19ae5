"""`QSVREnsemble`: an ensemble of small models, each of a size that fits an annealer.

>>> from sklearn.datasets import make_friedman1
>>> from qsvr import QSVR, QSVREnsemble
>>> X, y = make_friedman1(200, random_state=0)
>>> model = QSVREnsemble(QSVR(C=5), n_estimators=8, random_state=0).fit(X, y)
>>> len(model.estimators_), model.predict(X[:2]).shape
(8, (2,))
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import r2_score
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr._validation import check_boolean, check_choice, check_integer, check_real
from qsvr.estimators._machine import SupportVectorMachine
from qsvr.estimators._parameters import (
    check_n_jobs,
    checked_weight,
    random_state_of,
    validated,
    validated_rows,
)
from qsvr.estimators._prepared import Begun, solve_together
from qsvr.estimators.svr import QSVR
from qsvr.exceptions import MemberFailedWarning, QSVRError, SamplerError
from qsvr.samplers import StackSampler, open_sampler
from qsvr.solve import DualSolution

__all__ = ["MemberFailure", "QSVREnsemble", "SAMPLINGS", "draw_subsamples"]

SAMPLINGS = ("random", "stratified", "kmeans")


def draw_subsamples(
    sampling: str,
    X: Any,
    y: NDArray[Any],
    *,
    size: int,
    n_members: int,
    random_state: np.random.RandomState,
) -> list[IntArray]:
    """Return the sorted sample indices of each member.

    Parameters
    ----------
    sampling : {"random", "stratified", "kmeans"}
        ``"stratified"`` takes one sample from each of ``size`` groups of neighbouring targets,
        ``"kmeans"`` one from each of ``size`` clusters of the features.
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    size : int
        Samples of a member, at most ``n_samples``.
    n_members : int
    random_state : RandomState
    """
    if sampling == "random":
        groups = [np.arange(y.size)]
    elif sampling == "stratified":
        groups = np.array_split(np.argsort(y, kind="stable"), size)
    else:
        clusters = MiniBatchKMeans(size, n_init=1, random_state=random_state)
        with threadpool_limits(1):  # small products, for which threads only wait for one another
            labels = clusters.fit_predict(X)
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    quotient, remainder = divmod(size, len(groups))
    members: list[list[IntArray]] = [[] for _ in range(n_members)]
    for g, group in enumerate(groups):
        # Samples of the group per member; the group is shuffled anew when all have been used.
        n = quotient + (g < remainder)
        n_rounds = max(-(-n * n_members // group.size), 1)
        stream = np.concatenate([random_state.permutation(group) for _ in range(n_rounds)])
        for m, parts in enumerate(members):
            parts.append(stream[m * n : (m + 1) * n])
    return [np.unique(np.concatenate(parts)) for parts in members]


_COMBINATIONS = ("mean", "median", "oob")
# Default number of samples of a member: 180 variables with 3 bits.
_DEFAULT_SAMPLES = 30
_ANNEALER_VARIABLES = 1_000


@dataclass(frozen=True)
class MemberFailure:
    """A member of an ensemble that failed.

    Attributes
    ----------
    member : int
        Index of the member, from 0.
    error : QSVRError
        The error.

    Examples
    --------
    >>> from qsvr import CapacityError
    >>> from qsvr.estimators.ensemble import MemberFailure
    >>> MemberFailure(2, CapacityError("too many variables")).member
    2
    """

    member: int
    error: QSVRError


class SubsampleEnsemble(MetaEstimatorMixin, BaseEstimator):
    """Base class of ensembles on subsamples, with the parameters of `QSVREnsemble`."""

    _member_type: type[SupportVectorMachine]

    def _fit_members(
        self, X: Any, y: NDArray[Any], weight: FloatArray, groups: NDArray[Any]
    ) -> IntArray:
        """Fit the members to checked data, and return the rows of positive weight.

        ``groups`` are the numbers by which samples are stratified, of shape (n_samples,).
        """
        random_state = random_state_of(self.random_state)
        rows = np.flatnonzero(weight)
        subsamples = draw_subsamples(
            self.sampling, X[rows], groups[rows], size=self._size(rows.size),
            n_members=self.n_estimators, random_state=random_state,
        )  # fmt: skip
        parts = [rows[part] for part in subsamples]
        parts = self._completed_parts(parts, rows, groups, random_state)
        self._check_access_time(parts, groups)
        n_members: int = self.n_estimators
        seeds = random_state.randint(np.iinfo(np.int32).max, size=n_members).tolist()
        members = self._members(seeds)
        results = self._fitted(members, seeds, X, y, weight, parts)
        solved = [n for n, each in enumerate(results) if not isinstance(each, MemberFailure)]
        self.estimators_ = [results[n] for n in solved]
        self.estimators_samples_ = [parts[n] for n in solved]
        self.failures_ = [result for result in results if isinstance(result, MemberFailure)]
        self.weights_ = np.full(len(solved), 1.0 / max(len(solved), 1))
        return rows

    def _completed_parts(
        self,
        parts: list[IntArray],
        rows: IntArray,
        groups: Any,
        random_state: np.random.RandomState,
    ) -> list[IntArray]:
        """Return the samples of the members, changed if the task requires it."""
        del rows, groups, random_state
        return parts

    def _check_access_time(self, parts: list[IntArray], groups: Any) -> None:
        """Raise CostLimitError if the members exceed ``max_access_time``."""
        del groups
        member = self._members([0])[0]
        member._check_access_time(self.n_estimators, max(map(len, parts)))  # noqa: SLF001

    def _unseen(self, n_samples: int, rows: IntArray) -> BoolArray:
        """Return the samples that each member was not trained on, (n_members, n_samples)."""
        unseen = np.zeros((len(self.estimators_), n_samples), dtype=np.bool_)
        unseen[:, rows] = True
        for n, samples in enumerate(self.estimators_samples_):
            unseen[n, samples] = False
        return unseen

    def _by_members(self, X: Any, method: str) -> FloatArray:
        """Return the results of a method of all members, (n_members, n_samples, ...)."""
        precomputed = self._template().kernel == "precomputed"
        pairs = zip(self.estimators_, self.estimators_samples_, strict=True)
        return np.stack(
            [getattr(member, method)(X[:, part] if precomputed else X) for member, part in pairs]
        )

    def _fitted(
        self,
        members: list[Any],
        seeds: list[int],
        X: Any,
        y: NDArray[Any],
        weight: FloatArray,
        parts: list[IntArray],
    ) -> list[Any]:
        """Return the fitted members, solved together if the sampler supports it."""
        n_jobs = min(effective_n_jobs(self.n_jobs), len(members))
        if not self._is_solved_together(members[0]):
            jobs = [
                delayed(_fit_member)(member, *_part(member, X, y, weight, part), number)
                for number, (member, part) in enumerate(zip(members, parts, strict=True))
            ]
            return list(Parallel(n_jobs=n_jobs, prefer="threads")(jobs))
        # They differ in their seeds.
        members[0]._check_parameters()  # noqa: SLF001
        direct, state = members[0]._direct_solver(), np.random.RandomState()  # noqa: SLF001
        results: dict[int, Any] = {}
        begun: dict[int, Begun] = {}
        for number, (member, part) in enumerate(zip(members, parts, strict=True)):
            rows, targets, weights = _part(member, X, y, weight, part)
            member.n_features_in_ = rows.shape[1]
            state.seed(seeds[number])  # a new generator takes as long as a kernel
            try:
                begun[number] = member._begun(direct, rows, targets, weights, state)  # noqa: SLF001
            except QSVRError as error:
                results[number] = MemberFailure(number, error)
        found = solve_together([fit for each in begun.values() for fit in each.fits], n_jobs=n_jobs)
        first = 0
        for number, each in begun.items():
            solutions = [found.get(first + n) for n in range(len(each.fits))]
            results[number] = _solve_member(each, solutions, number)
            first += len(each.fits)
        return [results[number] for number in range(len(members))]

    def _is_solved_together(self, member: Any) -> bool:
        """Whether members are solved together; a time limit per member prevents it."""
        sampler, _ = open_sampler(member.sampler, member.sampler_options)
        return isinstance(sampler, StackSampler) and member.time_limit is None

    def _template(self) -> Any:
        return self._member_type() if self.estimator is None else self.estimator

    def _members(self, seeds: list[int]) -> list[Any]:
        """Return unfitted members. Not `clone`, which would copy a live sampler."""
        template = self._template()
        parameters = {**template.get_params(deep=False), "n_jobs": 1}
        return [type(template)(**{**parameters, "random_state": seed}) for seed in seeds]

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        kind = self._member_type.__name__
        if not isinstance(self._template(), self._member_type):
            raise TypeError(
                f"estimator of {owner} must be a {kind}; got {type(self.estimator).__name__}. Use "
                "bagging from sklearn.ensemble for other estimators."
            )
        check_integer(owner, "n_estimators", self.n_estimators, low=1)
        check_choice(owner, "sampling", self.sampling, SAMPLINGS)
        check_choice(owner, "combination", self.combination, _COMBINATIONS)
        check_boolean(owner, "oob_score", self.oob_score)
        check_n_jobs(owner, self.n_jobs)
        random_state_of(self.random_state, owner)
        if self.sampling == "kmeans" and self._template().kernel == "precomputed":
            raise ValueError(
                f"sampling of {owner} must not be 'kmeans' with kernel='precomputed', which has no "
                "features to cluster; got 'kmeans'. Use 'random' or 'stratified'."
            )
        size: Any = self.max_samples
        if isinstance(size, Integral):
            check_integer(owner, "max_samples", size, low=2)
        elif not (isinstance(size, str) and size == "auto"):
            check_real(
                owner, "max_samples", size, strict=True, high=1.0 + 1e-12,
                hint="It may be 'auto', a number of samples, or a fraction.",
            )  # fmt: skip

    def _size(self, n_samples: int) -> int:
        """Return the number of samples of a member."""
        size: Any = self.max_samples
        if isinstance(size, str):  # "auto"
            member = self._template()
            sampler, _ = open_sampler(member.sampler, member.sampler_options)
            limit = sampler.max_variables
            sides = member._n_sides  # noqa: SLF001
            size = 2 * _DEFAULT_SAMPLES // sides
            if limit is not None and limit < _ANNEALER_VARIABLES:
                size = limit // (sides * member.n_bits)
        elif not isinstance(size, Integral):
            size = int(float(size) * n_samples)
        return int(min(max(int(size), 2), n_samples))

    def _report_failures(self) -> None:
        if not self.failures_:
            return
        n_failed = len(self.failures_)
        first = self.failures_[0].error
        message = (
            f"{n_failed} of {self.n_estimators} members of {type(self).__name__} failed; the first "
            f"with {type(first).__name__}: {str(first).rstrip('.')}."
        )
        if 2 * len(self.estimators_) < self.n_estimators:
            error = SamplerError(
                f"{message} At least half must succeed. The others are in the partial_model of "
                "this error."
            )
            error.partial_model = self if self.estimators_ else None
            raise error from first
        warnings.warn(
            f"{message} Predictions use the other members; failures_ lists the errors.",
            MemberFailedWarning,
            stacklevel=3,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._template().kernel == "precomputed"
        tags.input_tags.sparse = self._template().kernel != "precomputed"
        return tags


class QSVREnsemble(RegressorMixin, SubsampleEnsemble):
    """Ensemble of `QSVR` models on subsamples sized to an annealer.

    Members are independent, so the time grows with the number of members and not with a power of
    the number of samples. With the annealer of this package all members are solved together, each
    round in one call, with the same result as one by one. A live sampler is shared by all members,
    which reuse its cached embedding if they have the same size.

    Parameters
    ----------
    estimator : QSVR, default=None
        Member with the parameters of all members. None is ``QSVR()``.
    n_estimators : int, default=10
        Number of members.
    max_samples : "auto", int or float, default="auto"
        Number or fraction of samples of a member. ``"auto"`` is the number that fits the sampler
        if it holds fewer than 1000 variables, as annealers do, and 30 otherwise.
    sampling : {"stratified", "random", "kmeans"}, default="stratified"
        Choice of the subsamples: one sample from each of as many groups of neighbouring targets,
        random samples, or one sample from each of as many clusters of the features, which suits
        data with little noise.
    combination : {"mean", "median", "oob"}, default="mean"
        Combination of the members' predictions. ``"oob"`` weights members by the inverse of their
        mean squared error on the samples that they were not trained on.
    oob_score : bool, default=False
        Whether to compute ``oob_score_``. ``combination="oob"`` always computes it.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    random_state : int or RandomState instance, default=None
        Seed of the subsamples and of the members.

    Attributes
    ----------
    estimators_ : list of QSVR
        Fitted members, without those that failed.
    estimators_samples_ : list of ndarray
        Indices of the training samples of each fitted member.
    weights_ : ndarray of shape (n_members,)
        Weights of the members; not used by the median.
    failures_ : list of MemberFailure
        Members that failed, with their errors.
    oob_score_ : float
        R2 of ``oob_prediction_``.
    oob_prediction_ : ndarray of shape (n_samples,)
        Predictions for the training samples by the members that were not trained on them; NaN for
        samples that every member was trained on.
    n_features_in_ : int
        Number of features seen in fit.

    See Also
    --------
    QSVR : Trains one model on all samples, by decomposition.
    sklearn.ensemble.BaggingRegressor : Bagging of any estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> QSVREnsemble(QSVR(C=50), oob_score=True, random_state=0).fit(X, y).oob_score_ > 0.2
    True
    """

    _member_type = QSVR

    def __init__(
        self,
        estimator: QSVR | None = None,
        *,
        n_estimators: int = 10,
        max_samples: int | float | str = "auto",
        sampling: str = "stratified",
        combination: str = "mean",
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.sampling = sampling
        self.combination = combination
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the members.

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
        CostLimitError
            If the estimated access time of all members exceeds ``max_access_time``.
        SamplerError
            If fewer than half of the members were solved. The error's ``partial_model`` is the
            ensemble of those that were, or None.
        """
        self._check_parameters()
        X_checked, targets = validated(self, X, y, self._template().kernel)
        weight = checked_weight(sample_weight, X_checked)
        rows = self._fit_members(X_checked, targets, weight, targets)
        if self.estimators_:
            self._weigh(X_checked, targets, rows)
        self._report_failures()
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or for a precomputed kernel the matrix (n_samples, n_training_samples).

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        predictions = self._by_members(validated_rows(self, X, self._template().kernel), "predict")
        if self.combination == "median":
            return np.asarray(np.median(predictions, axis=0))
        return np.asarray(self.weights_ @ predictions)

    def _weigh(self, X: Any, y: FloatArray, rows: IntArray) -> None:
        """Set weights and scores from samples that members were not trained on."""
        if not self.oob_score and self.combination != "oob":
            return
        predictions, unseen = self._by_members(X, "predict"), self._unseen(y.size, rows)
        if self.combination == "oob" and unseen.any(axis=1).all():  # else equal weights
            self.weights_ = _inverse_errors(predictions, y, unseen)
        self.oob_prediction_ = self._oob_combined(predictions, unseen)
        known = ~np.isnan(self.oob_prediction_)
        unit = _unit(y)
        scores = y[known] / unit, self.oob_prediction_[known] / unit
        self.oob_score_ = float(r2_score(*scores)) if known.sum() > 1 else np.nan

    def _oob_combined(self, predictions: FloatArray, unseen: BoolArray) -> FloatArray:
        result = np.full(predictions.shape[1], np.nan)
        known = unseen.any(axis=0)
        if self.combination == "median":
            masked = np.ma.masked_array(predictions[:, known], ~unseen[:, known])
            result[known] = np.ma.median(masked, axis=0).filled(np.nan)  # type: ignore[no-untyped-call]
            return result
        weights = self.weights_[:, None] * unseen[:, known]
        result[known] = (weights * predictions[:, known]).sum(axis=0) / weights.sum(axis=0)
        return result


def _part(
    member: Any, X: Any, y: NDArray[Any], weight: FloatArray, samples: IntArray
) -> tuple[Any, NDArray[Any], FloatArray]:
    """Return the data of some samples."""
    part = X[np.ix_(samples, samples)] if member.kernel == "precomputed" else X[samples]
    return part, y[samples], weight[samples]


def _fit_member(member: Any, X: Any, y: NDArray[Any], weight: FloatArray, number: int) -> Any:
    try:
        return member.fit(X, y, sample_weight=weight)
    except QSVRError as error:
        return MemberFailure(number, error)


def _solve_member(begun: Begun, found: list[DualSolution | None], number: int) -> Any:
    try:
        return begun.complete(found)
    except QSVRError as error:
        return MemberFailure(number, error)


def _inverse_errors(predictions: FloatArray, y: FloatArray, unseen: BoolArray) -> FloatArray:
    """Return weights by the inverse mean squared error on unseen samples, (n_members,)."""
    unit = _unit(y)
    squares = (predictions / unit - y / unit) ** 2
    errors = (squares * unseen).sum(axis=1) / unseen.sum(axis=1)
    least = 1e-12 * max(float(np.var(y / unit)), np.finfo(float).tiny)
    weights = 1.0 / np.maximum(errors, least)
    return np.asarray(weights / weights.sum())


def _unit(y: FloatArray) -> float:
    """Return a power of two near the largest target, as a unit in which squares are finite."""
    return 2.0 ** int(np.frexp(np.abs(y).max())[1] - 1)
