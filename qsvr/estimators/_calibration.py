"""Probabilities of classes, from scikit-learn's calibration of decision functions."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr.estimators._multiclass import binary_tasks, total_plan
from qsvr.estimators._parameters import random_state_of
from qsvr.estimators._prepared import access_plan

__all__ = ["CalibratedProbabilities", "fit_calibrated"]

_MOST_FOLDS = 5


def _gives_probabilities(model: Any) -> bool:
    if not model.probability:
        raise AttributeError(
            "predict_proba is only available with probability=True. Set it before fit."
        )
    return True


class CalibratedProbabilities:
    """Methods of a classifier that was fitted by `fit_calibrated`."""

    probability: bool
    calibration_: CalibratedClassifierCV

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Predict the probabilities of the classes; needs ``probability=True``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, as for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of ``classes_``.
        """
        check_is_fitted(self, "calibration_")
        return np.asarray(self.calibration_.predict_proba(X))

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Predict the logarithms of the probabilities; needs ``probability=True``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, as for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Logarithms of `predict_proba`.
        """
        return np.asarray(np.log(self.predict_proba(X)))


def fit_calibrated(model: Any, X: ArrayLike, labels: NDArray[Any], weight: FloatArray) -> Any:
    """Return a `QSVC` that is fitted on all data and calibrated on left-out folds.

    Parameters
    ----------
    model : QSVC
        Model with ``classes_``.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    labels, weight : ndarray of shape (n_samples,)
    """
    codes = np.searchsorted(model.classes_, labels)
    taken = weight > 0.0
    smallest = int(np.bincount(codes[taken]).min())
    n_folds = min(_MOST_FOLDS, smallest)
    if n_folds < 2:
        raise ValueError(
            f"probability of {type(model).__name__} must be False if a class of y has fewer "
            f"than 2 samples of positive weight; got {smallest} for one class. Add samples, or set "
            "probability=False."
        )
    direct = model._direct_solver()  # noqa: SLF001
    limit = direct.options.get("max_access_time")
    if limit is not None:
        tasks = binary_tasks(model.multi_class, model.classes_.size)
        sizes = [int((task.takes(codes) & taken).sum()) for task in tasks]
        plans = [access_plan(model, direct, size, None) for size in sizes]
        total_plan(plans).times(n_folds + 1).check(limit)
    seed = model.random_state
    if not isinstance(seed, Integral):
        seed = int(random_state_of(seed).randint(np.iinfo(np.int32).max))
    parameters = {**model.get_params(deep=False), "probability": False, "random_state": seed}
    folds = n_folds if taken.all() else _folds_of_the_taken(codes, taken, n_folds)
    calibration = CalibratedClassifierCV(type(model)(**parameters), cv=folds, ensemble=False)
    calibration.fit(X, labels, sample_weight=weight)
    (calibrated,) = calibration.calibrated_classifiers_
    fitted = vars(calibrated.estimator).items()
    vars(model).update((name, value) for name, value in fitted if name not in parameters)
    model.calibration_ = calibration
    return model


def _folds_of_the_taken(
    codes: IntArray, taken: BoolArray, n_folds: int
) -> list[tuple[IntArray, IntArray]]:
    """Return rows to train on and rows left out, for folds that each have all classes.

    Samples of weight 0 are spread evenly, because scikit-learn's folds would count them.
    """
    fold_of = np.arange(codes.size) % n_folds
    rows = np.flatnonzero(taken)
    for number, (_, out) in enumerate(StratifiedKFold(n_folds).split(rows, codes[rows])):
        fold_of[rows[out]] = number
    return [(np.flatnonzero(fold_of != n), np.flatnonzero(fold_of == n)) for n in range(n_folds)]
