"""Checks of an estimator's parameters and data before a fit."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from qsvr._typing import FloatArray
from qsvr._validation import (
    MAX_INTEGER,
    check_boolean,
    check_choice,
    check_integer,
    check_real,
    float_of,
    shown,
)
from qsvr.model import COMBINATIONS, INTERCEPTS
from qsvr.problem import MAX_BITS, PSD_METHODS, FixedPointEncoding, check_kernel

_LARGEST_TARGET = 1e300

__all__ = [
    "check_class_parameters",
    "check_n_jobs",
    "check_parameters",
    "checked_weight",
    "random_state_of",
    "validated",
    "validated_classes",
    "validated_rows",
]


def check_parameters(owner: str, values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first invalid parameter of an estimator.

    The parameters that only regressors have may be missing.
    """
    values = {"epsilon": 0.0, "overlap_penalty": 0.0, "normalize_y": False, **values}

    def integer(name: str, **rule: Any) -> None:
        check_integer(owner, name, values[name], **rule)

    def real(name: str, **rule: Any) -> None:
        check_real(owner, name, values[name], **rule)

    def boolean(name: str) -> None:
        check_boolean(owner, name, values[name])

    check_kernel(values["kernel"])
    integer(
        "n_bits", low=1, high=MAX_BITS,
        hint="2 to 3 bits suit an annealer; 8 bits give the accuracy of scikit-learn's SVR.",
    )  # fmt: skip
    real("exponent_shift", low=-np.inf, strict=True)
    if values["base"] is None:
        implied = "C='implied' requires base, whose weights determine the bound."
        hint = implied if _is_one_of(values["C"], "implied") else "The default is 1.0."
        real("C", strict=True, hint=hint)
    else:
        real("base", strict=True)
        _check_implied_box(owner, values)
    real("epsilon")
    if not _is_one_of(values["gamma"], "scale", "auto"):
        real("gamma", hint="'scale' and 'auto' derive it from X.")
    integer("degree", low=0)
    real("coef0", low=-np.inf, strict=True)
    if not _is_one_of(values["equality_penalty"], "scale"):
        real("equality_penalty", hint="'scale' derives it from the kernel.")
    real("overlap_penalty")
    if values["psd"] is not None:
        check_choice(owner, "psd", values["psd"], PSD_METHODS)
    boolean("normalize_y")
    integer("num_reads", low=1)
    integer("n_solutions", low=1)
    if not _is_one_of(values["n_refinements"], "auto"):
        integer("n_refinements", low=0, hint="'auto' adds as many as are needed.")
    if not _is_one_of(values["max_variables"], "auto", None):
        integer(
            "max_variables", low=1,
            hint="'auto' is the sampler's capacity; None allows one QUBO only.",
        )  # fmt: skip
    real("tol", strict=True)
    integer("max_iter", low=1)
    real("cache_size", strict=True)
    check_choice(owner, "combination", values["combination"], COMBINATIONS)
    real("combination_fraction", high=1.0)
    check_choice(owner, "intercept", values["intercept"], INTERCEPTS)
    boolean("polish")
    boolean("warm_start")
    _check_remaining(owner, values)


def check_class_parameters(owner: str, values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first invalid parameter that only classifiers have."""
    check_boolean(owner, "probability", values["probability"])
    check_boolean(owner, "break_ties", values["break_ties"])
    check_choice(owner, "multi_class", values["multi_class"], ("ovo", "ovr"))
    shape = values["decision_function_shape"]
    check_choice(owner, "decision_function_shape", shape, ("ovr", "ovo"))
    if shape == "ovo" and values["break_ties"]:
        raise ValueError(
            f"break_ties of {owner} must be False when decision_function_shape is 'ovo', which "
            "has no column for each class; got True. Set decision_function_shape='ovr'."
        )


def _check_remaining(owner: str, values: Mapping[str, Any]) -> None:
    if not isinstance(values["verbose"], bool | np.bool_):
        check_integer(owner, "verbose", values["verbose"], low=0, hint="True and False are valid.")
    check_n_jobs(owner, values["n_jobs"])
    if values["time_limit"] is not None:
        check_real(
            owner, "time_limit", values["time_limit"], strict=True, hint="None means no limit."
        )
    random_state_of(values["random_state"], owner)


def _is_one_of(value: object, *choices: str | None) -> bool:
    """Return whether a value, which may be an array, is one of some strings or None."""
    return (value is None or isinstance(value, str)) and value in choices


def check_n_jobs(owner: str, n_jobs: Any) -> None:
    """Raise ValueError unless ``n_jobs`` is None or an integer other than 0."""
    if n_jobs is not None:
        hint = "None is accepted too; -1 uses all processors."
        check_integer(owner, "n_jobs", n_jobs, low=-MAX_INTEGER, hint=hint)
        if n_jobs == 0:
            raise ValueError(f"n_jobs of {owner} must not be 0; got 0. {hint}")


def _check_implied_box(owner: str, values: Mapping[str, Any]) -> None:
    C, base, shift = values["C"], values["base"], values["exponent_shift"]
    implied = FixedPointEncoding.implied_box(values["n_bits"], base, shift)
    is_number = isinstance(C, Real) and abs(float_of(C)) < np.inf
    if not _is_one_of(C, "implied") and not (is_number and np.isclose(C, implied, rtol=1e-9)):
        raise ValueError(
            f"C of {owner} must be 'implied' or {implied:.12g} when base is given, because the "
            f"bits' weights base ** (i - exponent_shift) add up to it; got {shown(C)}. Leave "
            "base out to choose C freely."
        )


def accepts_sparse(kernel: object) -> str | bool:
    """Return the sparse format that a kernel accepts, or False for a precomputed matrix."""
    return False if kernel == "precomputed" else "csr"


def validated(estimator: Any, X: ArrayLike, y: ArrayLike, kernel: object) -> tuple[Any, FloatArray]:
    """Return training data checked by scikit-learn's conventions, with at least two samples."""
    X, y = _validated(estimator, X, y, kernel, y_numeric=True)
    y = np.asarray(y, dtype=np.float64)
    largest = float(np.abs(y).max())
    if largest > _LARGEST_TARGET:
        raise ValueError(
            f"y must be at most {_LARGEST_TARGET:.0e} in size, because differences and sums of "
            f"larger values overflow; got {largest:.3g}. Scale y."
        )
    return X, y


def validated_classes(
    estimator: Any, X: ArrayLike, y: ArrayLike, kernel: object
) -> tuple[Any, NDArray[Any]]:
    """Return training data and labels with at least two classes."""
    X, labels = _validated(estimator, X, y, kernel)
    labels = column_or_1d(labels, warn=True)
    check_classification_targets(labels)
    classes = np.unique(labels)
    if classes.size < 2:
        raise ValueError(
            f"y of {type(estimator).__name__} must have at least 2 classes; got {classes.size} "
            f"class: {classes.tolist()}."
        )
    return X, labels


def _validated(
    estimator: Any, X: ArrayLike, y: ArrayLike, kernel: object, **options: Any
) -> tuple[Any, Any]:
    with np.errstate(all="ignore"):  # sums of large values overflow in the check for NaN
        X, y = validate_data(
            estimator, X, y, accept_sparse=accepts_sparse(kernel), dtype=np.float64,
            ensure_min_samples=2, accept_large_sparse=kernel != "laplacian", **options,
        )  # fmt: skip
    return X, y


def validated_rows(estimator: Any, X: ArrayLike, kernel: object) -> Any:
    """Return samples to predict, checked by scikit-learn's conventions."""
    with np.errstate(all="ignore"):
        return validate_data(
            estimator, X, accept_sparse=accepts_sparse(kernel), dtype=np.float64, reset=False
        )


def checked_weight(sample_weight: ArrayLike | None, X: Any) -> FloatArray:
    """Return sample weights, by default ones. None may be negative, and two must be positive."""
    weight = np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64))
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative; got {weight.min()} as its smallest value. Use "
            "0 to leave a sample out."
        )
    if np.count_nonzero(weight) < 2:
        raise ValueError(
            f"sample_weight must be positive for at least 2 samples; got "
            f"{np.count_nonzero(weight)} of {weight.size}. Add samples, or raise their weights."
        )
    return weight


def random_state_of(value: Any, owner: str = "QSVR") -> np.random.RandomState:
    """Return a random state. None and numpy.random give a new one, never the global one."""
    if value is None or value is np.random:
        return np.random.RandomState()
    try:
        if isinstance(value, bool | np.bool_):
            raise ValueError("a bool is no seed")
        state: np.random.RandomState = check_random_state(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"random_state of {owner} must be an integer from 0 to 2**32 - 1, a "
            f"numpy.random.RandomState or None; got {shown(value)}."
        ) from error
    return state
