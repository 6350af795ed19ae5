"""`QSVCEnsemble`: an ensemble of small classifiers, each of a size that fits an annealer.

>>> from sklearn.datasets import load_wine
>>> from qsvr import QSVC, QSVCEnsemble
>>> X, y = load_wine(return_X_y=True)
>>> model = QSVCEnsemble(QSVC(C=5), n_estimators=4, random_state=0).fit(X, y)
>>> len(model.estimators_), model.decision_function(X[:2]).shape
(4, (2, 3))
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr.estimators._multiclass import binary_tasks, total_plan
from qsvr.estimators._parameters import checked_weight, validated_classes, validated_rows
from qsvr.estimators._prepared import access_plan
from qsvr.estimators.ensemble import SubsampleEnsemble
from qsvr.estimators.svc import QSVC

__all__ = ["QSVCEnsemble"]


class QSVCEnsemble(ClassifierMixin, SubsampleEnsemble):
    """Ensemble of `QSVC` models on subsamples sized to an annealer.

    The decision functions of the members are combined. Each member has samples of all classes: if a
    subsample lacks a class, a sample of that class replaces one of the most frequent class.

    Parameters
    ----------
    estimator : QSVC, default=None
        Member with the parameters of all members. None is ``QSVC()``.
    n_estimators : int, default=10
        Number of members.
    max_samples : "auto", int or float, default="auto"
        Number or fraction of samples of a member. ``"auto"`` is the number that fits the sampler
        if it holds fewer than 1000 variables, as annealers do, and 60 otherwise.
    sampling : {"stratified", "random", "kmeans"}, default="stratified"
        Choice of the subsamples: with the frequencies of the classes, at random, or one sample from
        each of as many clusters of the features.
    combination : {"mean", "median", "oob"}, default="mean"
        Combination of the members' decision functions. ``"oob"`` weights members by the inverse of
        their error rate on the samples that they were not trained on.
    oob_score : bool, default=False
        Whether to compute ``oob_score_``. ``combination="oob"`` always computes it.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    random_state : int or RandomState instance, default=None
        Seed of the subsamples and of the members.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes.
    estimators_ : list of QSVC
        Fitted members, without those that failed.
    estimators_samples_ : list of ndarray
        Indices of the training samples of each fitted member.
    weights_ : ndarray of shape (n_members,)
        Weights of the members; not used by the median.
    failures_ : list of MemberFailure
        Members that failed, with their errors.
    oob_score_ : float
        Accuracy of ``oob_decision_function_``.
    oob_decision_function_ : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Decision function of the training samples by the members that were not trained on them; NaN
        for samples that every member was trained on.
    n_features_in_ : int
        Number of features seen in fit.

    See Also
    --------
    QSVC : Trains one model on all samples, by decomposition.
    sklearn.calibration.CalibratedClassifierCV : Adds probabilities to an ensemble.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> QSVCEnsemble(oob_score=True, random_state=0).fit(X, y).oob_score_ > 0.85
    True
    """

    _member_type = QSVC

    def __init__(
        self,
        estimator: QSVC | None = None,
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
        CostLimitError
            If the estimated access time of all members exceeds ``max_access_time``.
        SamplerError
            If fewer than half of the members were solved. The error's ``partial_model`` is the
            ensemble of those that were, or None.
        """
        self._check_parameters()
        owner, member = type(self).__name__, self._template()
        if member.probability or member.decision_function_shape == "ovo":
            raise ValueError(
                f"estimator of {owner} must have probability=False and "
                "decision_function_shape='ovr', because decision functions by class are combined; "
                f"got {member!r}. For probabilities put the ensemble into CalibratedClassifierCV."
            )
        X_checked, labels = validated_classes(self, X, y, member.kernel)
        weight = checked_weight(sample_weight, X_checked)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        lost = np.bincount(codes, weights=weight) == 0.0
        if lost.any():
            raise ValueError(
                f"sample_weight of {owner} must be positive for samples of each class; it is 0 for "
                f"all of {self.classes_[lost].tolist()}. Leave the class out."
            )
        rows = self._fit_members(X_checked, labels, weight, codes)
        if self.estimators_ and (self.oob_score or self.combination == "oob"):
            self._weigh(X_checked, codes, rows)
        self._report_failures()
        return self

    def _completed_parts(
        self,
        parts: list[IntArray],
        rows: IntArray,
        groups: IntArray,
        random_state: np.random.RandomState,
    ) -> list[IntArray]:
        n_classes, smallest = self.classes_.size, min(map(len, parts))
        if smallest < n_classes:
            raise ValueError(
                f"max_samples of {type(self).__name__} must be at least the number of classes, "
                f"{n_classes}, so that each member has all of them; got {smallest} samples. "
                "Raise max_samples."
            )
        completed = []
        for part in parts:
            samples = part.copy()
            counts = np.bincount(groups[samples], minlength=n_classes)
            for missing in np.flatnonzero(counts == 0):
                most = int(counts.argmax())
                place = random_state.choice(np.flatnonzero(groups[samples] == most))
                samples[place] = random_state.choice(rows[groups[rows] == missing])
                counts[most] -= 1
                counts[missing] = 1
            completed.append(np.sort(samples))
        return completed

    def _check_access_time(self, parts: list[IntArray], groups: IntArray) -> None:
        member = self._members([0])[0]
        direct = member._direct_solver()  # noqa: SLF001
        limit = direct.options.get("max_access_time")
        if limit is None:
            return
        tasks = binary_tasks(member.multi_class, self.classes_.size)
        sizes = [int(task.takes(groups[part]).sum()) for part in parts for task in tasks]
        total_plan([access_plan(member, direct, size, None) for size in sizes]).check(limit)

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the combined decision functions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or for a precomputed kernel the matrix (n_samples, n_training_samples).

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Of two classes, positive for the second.
        """
        check_is_fitted(self)
        rows = validated_rows(self, X, self._template().kernel)
        decisions = self._by_members(rows, "decision_function")
        if self.combination == "median":
            return np.asarray(np.median(decisions, axis=0))
        return np.asarray(np.tensordot(self.weights_, decisions, axes=1))

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
        codes = _codes_of(self.decision_function(X))
        return np.asarray(self.classes_[codes])

    def _weigh(self, X: Any, codes: IntArray, rows: IntArray) -> None:
        """Set weights and scores that use the samples a member was not trained on."""
        decisions, unseen = self._by_members(X, "decision_function"), self._unseen(codes.size, rows)
        n_unseen = unseen.sum(axis=1)
        if self.combination == "oob" and n_unseen.all():  # else equal weights
            wrong = np.stack([_codes_of(each) for each in decisions]) != codes
            errors = np.maximum((wrong & unseen).sum(axis=1), 0.5) / n_unseen
            self.weights_ = 1.0 / errors / (1.0 / errors).sum()
        self.oob_decision_function_ = self._oob_combined(decisions, unseen)
        known = unseen.any(axis=0)
        right = _codes_of(self.oob_decision_function_[known]) == codes[known]
        self.oob_score_ = float(right.mean()) if known.any() else np.nan

    def _oob_combined(self, decisions: FloatArray, unseen: BoolArray) -> FloatArray:
        """Return the combination of the members not trained on each sample, or NaN."""
        taken = unseen.reshape(*unseen.shape, *[1] * (decisions.ndim - 2))
        if self.combination == "median":
            masked = np.ma.masked_array(decisions, np.broadcast_to(~taken, decisions.shape))
            return np.ma.median(masked, axis=0).filled(np.nan)  # type: ignore[no-untyped-call, no-any-return]
        weights = self.weights_.reshape(-1, *[1] * (decisions.ndim - 1)) * taken
        with np.errstate(invalid="ignore"):
            return np.asarray((weights * decisions).sum(axis=0) / weights.sum(axis=0))


def _codes_of(decisions: FloatArray) -> IntArray:
    """Return the places of the classes that decisions mean, (n_samples,)."""
    if decisions.ndim == 1:
        return np.asarray(decisions > 0.0, dtype=np.intp)
    return np.asarray(decisions.argmax(axis=1), dtype=np.intp)
