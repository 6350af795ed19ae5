"""What an estimator is trained for: epochs, trees, boosting rounds, iterations or samples.

A `Resource` trains an estimator on from `start` to `stop`. Most kinds continue the model of
before: `Epochs` by ``partial_fit``, `WarmStart` by ``warm_start``, `Rounds` by the keyword that
XGBoost and LightGBM have for it. `Refits` and `Samples` train a new model each time.
"""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight

_MAX_EPOCHS = 100
"""Epochs of ``partial_fit`` that ``max_resource="auto"`` takes at most.

The ``max_iter`` of scikit-learn's estimators bounds a fit that mostly ends much earlier.
"""
_DEFAULT_ROUNDS = 100
"""Rounds of XGBoost and LightGBM whose ``n_estimators`` is None."""
_OWN_CONTINUATION = {"xgboost": "xgb_model", "lightgbm": "init_model"}
"""Packages, and the keyword of ``fit`` that takes the model to continue."""


class Resource(ABC):
    """How one kind of estimator is trained on.

    Attributes
    ----------
    name : str
        Name of the resource: a parameter of the estimator, ``"partial_fit"`` or ``"n_samples"``.
    """

    name: str
    continues: ClassVar[bool] = True
    """Whether `advance` trains the model of before on; otherwise it trains a new one."""

    @abstractmethod
    def advance(
        self, estimator: Any, X: Any, y: Any, start: int, stop: int, fit_params: Mapping[str, Any]
    ) -> bool:
        """Train an estimator in place; return whether further training would change nothing.

        Parameters
        ----------
        estimator : estimator
            As the call up to `start` left it; unfitted if `start` is 0. For a pipeline its last
            step.
        X, y : array-like
            Training rows; y may be None.
        start, stop : int
            Resource before and after.
        fit_params : Mapping
            Parameters of ``fit``.
        """

    def params(self, resource: int) -> dict[str, Any]:  # noqa: ARG002 - none in general
        """Return the parameters with which ``fit`` trains for `resource`; none if there are none.

        Parameters
        ----------
        resource : int
        """
        return {}

    def default_maximum(self, estimator: Any, n_samples: int) -> int:  # noqa: ARG002
        """Return the maximum resource if none is given.

        Parameters
        ----------
        estimator : estimator
        n_samples : int
            Rows of the smallest training set.
        """
        value = estimator.get_params()[self.name]
        if isinstance(value, Integral) and int(value) >= 1:
            return int(value)
        raise ValueError(
            f"max_resource of SwiftSearchCV must be given if {self.name} of the estimator is no "
            f"positive integer, got {self.name}={value!r}; set max_resource to the largest value "
            f"of {self.name}"
        )


@dataclass(frozen=True)
class Epochs(Resource):
    """Passes over the training set by ``partial_fit``."""

    name: str = "partial_fit"

    def advance(
        self, estimator: Any, X: Any, y: Any, start: int, stop: int, fit_params: Mapping[str, Any]
    ) -> bool:
        """Call ``partial_fit`` once for each unit, each with a seed of its own."""
        kept = {
            name: value
            for name, value in estimator.get_params(deep=False).items()
            if name in ("random_state", "class_weight")
        }
        known = dict(fit_params)
        if start == 0 and "classes" in inspect.signature(estimator.partial_fit).parameters:
            known["classes"] = np.unique(y)
        if kept.get("class_weight") == "balanced":  # which partial_fit refuses
            classes = np.unique(y)
            weights = compute_class_weight("balanced", classes=classes, y=y)
            estimator.set_params(class_weight=dict(zip(classes, weights, strict=True)))
        seed = kept.get("random_state")
        arrays = (X,) if y is None else (X, y)
        try:
            for epoch in range(start, stop):
                if isinstance(seed, Integral):  # with one seed, all epochs have one order of rows
                    estimator.set_params(random_state=(int(seed) + epoch) % 2**32)
                estimator.partial_fit(*arrays, **known)
                known.pop("classes", None)
        finally:
            estimator.set_params(**kept)
        return False

    def default_maximum(self, estimator: Any, n_samples: int) -> int:  # noqa: ARG002
        """Return ``max_iter`` of the estimator, but 100 at most."""
        value = estimator.get_params().get("max_iter", _MAX_EPOCHS)
        return min(int(value), _MAX_EPOCHS) if isinstance(value, Integral) else _MAX_EPOCHS


@dataclass(frozen=True)
class WarmStart(Resource):
    """A parameter that grows from one ``fit`` with ``warm_start=True`` to the next.

    Attributes
    ----------
    name : str
        ``"n_estimators"`` or ``"max_iter"``, in general.
    is_total : bool, default=True
        Whether the parameter counts all units, as of an ensemble, or those of one call, as of an
        iterative solver.
    """

    name: str
    is_total: bool = True

    def advance(
        self, estimator: Any, X: Any, y: Any, start: int, stop: int, fit_params: Mapping[str, Any]
    ) -> bool:
        """Fit with a larger value."""
        before = estimator.get_params(deep=False)["warm_start"]
        asked = stop if self.is_total else stop - start
        estimator.set_params(warm_start=True, **{self.name: asked})
        try:
            with warnings.catch_warnings():
                # Too few iterations are meant, and the classes' weights are those of all rows.
                warnings.simplefilter("ignore", _convergence_warning())
                warnings.filterwarnings("ignore", "class_weight presets", UserWarning)
                _fit(estimator, X, y, fit_params)
        finally:
            estimator.set_params(warm_start=before, **{self.name: stop})
        done = getattr(estimator, "n_iter_" if self.name == "max_iter" else f"{self.name}_", None)
        return done is not None and bool(np.max(done) < asked)

    def params(self, resource: int) -> dict[str, Any]:
        """Return the parameter."""
        return {self.name: resource}


@dataclass(frozen=True)
class Rounds(Resource):
    """Boosting rounds of XGBoost or LightGBM.

    Attributes
    ----------
    keyword : str
        Parameter of ``fit`` that takes the model to continue.
    """

    keyword: str
    name: str = "n_estimators"

    def advance(
        self, estimator: Any, X: Any, y: Any, start: int, stop: int, fit_params: Mapping[str, Any]
    ) -> bool:
        """Add the rounds to the model of before."""
        model = None
        if start:
            is_xgboost = self.keyword == "xgb_model"
            model = estimator.get_booster() if is_xgboost else estimator.booster_
        estimator.set_params(n_estimators=stop - start)
        try:
            _fit(estimator, X, y, {**fit_params, self.keyword: model})
        finally:
            estimator.set_params(n_estimators=stop)
        return False

    def params(self, resource: int) -> dict[str, Any]:
        """Return the number of rounds."""
        return {self.name: resource}

    def default_maximum(self, estimator: Any, n_samples: int) -> int:
        """Return ``n_estimators``; 100 if it is None."""
        if estimator.get_params()[self.name] is None:
            return _DEFAULT_ROUNDS
        return super().default_maximum(estimator, n_samples)


@dataclass(frozen=True)
class Refits(Resource):
    """A parameter of an estimator that cannot be trained on, and is trained anew each time."""

    name: str
    continues: ClassVar[bool] = False

    def advance(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        start: int,  # noqa: ARG002 - from the beginning
        stop: int,
        fit_params: Mapping[str, Any],
    ) -> bool:
        """Fit with a larger value."""
        estimator.set_params(**{self.name: stop})
        _fit(estimator, X, y, fit_params)
        return False

    def params(self, resource: int) -> dict[str, Any]:
        """Return the parameter."""
        return {self.name: resource}


@dataclass(frozen=True)
class Samples(Resource):
    """Rows of the training set; each is in all larger sets too."""

    name: str = "n_samples"
    continues: ClassVar[bool] = False

    def advance(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        start: int,  # noqa: ARG002 - from the beginning
        stop: int,  # noqa: ARG002 - the rows are chosen by the caller
        fit_params: Mapping[str, Any],
    ) -> bool:
        """Fit to the rows."""
        _fit(estimator, X, y, fit_params)
        return False

    def default_maximum(self, estimator: Any, n_samples: int) -> int:  # noqa: ARG002
        """Return the number of rows."""
        return n_samples


def resource_of(
    resource: str, estimator: Any, searched: Collection[str], *, routed: bool
) -> Resource:
    """Return the resource of a search.

    Parameters
    ----------
    resource : str
        ``"auto"``, ``"partial_fit"``, ``"n_samples"``, or a parameter of the estimator (of its
        last step, if it is a pipeline).
    estimator : estimator
    searched : collection of str
        Parameters that the search chooses.
    routed : bool
        Whether a pipeline must pass the parameters of ``fit`` to its steps by itself.

    Raises
    ------
    ValueError
        If the estimator does not have the resource, or the search chooses it.
    """
    learner, prefix = learner_of(estimator)
    own = {name.removeprefix(prefix) for name in searched if name.startswith(prefix)}
    may_continue = not (prefix and (routed or prefix.removesuffix("__") in searched))
    if resource == "auto":
        return (_automatic(learner, own) if may_continue else None) or Samples()
    if resource == "n_samples":
        return Samples()
    if not may_continue:
        raise ValueError(
            f"resource of SwiftSearchCV must be 'n_samples' for a pipeline whose last step is "
            f"searched, or that routes parameters of fit by itself, got {resource!r}"
        )
    if resource == "partial_fit":
        if not hasattr(learner, "partial_fit"):
            raise ValueError(
                f"resource='partial_fit' of SwiftSearchCV needs an estimator with a method "
                f"partial_fit, got {type(learner).__name__}; use 'auto' or 'n_samples'"
            )
        return Epochs()
    name = resource.removeprefix(prefix)
    if not hasattr(learner, "get_params") or name not in learner.get_params():
        raise ValueError(
            "resource of SwiftSearchCV must be 'auto', 'n_samples', 'partial_fit' or a parameter "
            f"of {type(learner).__name__}, got {resource!r}"
        )
    if name in own:
        raise ValueError(
            f"param_distributions of SwiftSearchCV must not hold the resource, got {resource!r} in "
            "both; leave it out of param_distributions and set max_resource"
        )
    if name == "n_estimators" and (keyword := _own_keyword(learner)):
        return Rounds(keyword)
    if "warm_start" not in learner.get_params() or "warm_start" in own:
        return Refits(name)
    return WarmStart(name, is_total=name != "max_iter" or _is_histogram(learner))


def learner_of(estimator: Any) -> tuple[Any, str]:
    """Return what is trained on, and the prefix of its parameters.

    Parameters
    ----------
    estimator : estimator
        For a pipeline, that is its last step; otherwise the estimator itself, without a prefix.
    """
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        name, step = estimator.steps[-1]
        if hasattr(step, "fit"):
            return step, f"{name}__"
    return estimator, ""


def _automatic(learner: Any, searched: Collection[str]) -> Resource | None:
    """Return how an estimator is best trained on, None if it is not or a search chooses it."""
    if not hasattr(learner, "get_params"):
        return None
    params = learner.get_params(deep=False)
    if "n_estimators" in params and "n_estimators" not in searched:
        if keyword := _own_keyword(learner):
            return Rounds(keyword)
        if "warm_start" in params and "warm_start" not in searched:
            return WarmStart("n_estimators")
    if _is_histogram(learner) and {"max_iter", "warm_start"}.isdisjoint(searched):
        return WarmStart("max_iter")
    # Without max_iter it passes over the data once, as naive Bayes does. A solver without
    # partial_fit may be among those that are searched, and early stopping excludes it.
    is_iterative = "max_iter" in params and hasattr(learner, "partial_fit")
    fixed = {"solver", "early_stopping", "max_iter"}.isdisjoint(searched)
    if is_iterative and fixed and params.get("early_stopping") is not True:
        return Epochs()
    return None


def _is_histogram(learner: Any) -> bool:
    return isinstance(learner, HistGradientBoostingClassifier | HistGradientBoostingRegressor)


def _own_keyword(learner: Any) -> str | None:
    """Return the keyword of ``fit`` by which an estimator of another package is trained on."""
    packages = {kind.__module__.partition(".")[0] for kind in type(learner).__mro__}
    for package, keyword in _OWN_CONTINUATION.items():
        if package in packages and keyword in inspect.signature(learner.fit).parameters:
            return keyword
    return None


def _fit(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
    fit: Callable[..., Any] = estimator.fit
    if y is None:
        fit(X, **fit_params)
    else:
        fit(X, y, **fit_params)


def _convergence_warning() -> type[Warning]:
    from sklearn.exceptions import ConvergenceWarning

    return ConvergenceWarning  # type: ignore[no-any-return]


def fitted(
    resource: Resource, estimator: Any, X: Any, y: Any, units: int, fit_params: Mapping[str, Any]
) -> Any:
    """Train an unfitted estimator, or pipeline, for `units` of the resource, and return it.

    Parameters
    ----------
    resource : Resource
    estimator : estimator
        With its parameters set.
    X, y : array-like
        y may be None.
    units : int
        Resource; not used for samples, which are all rows.
    fit_params : Mapping
        Parameters of ``fit``.
    """
    if not isinstance(resource, Epochs):  # its parameters say how long it is trained
        _fit(estimator, X, y, fit_params)
        return estimator
    trained = Trained.begin(estimator, X, y, fit_params)
    trained.advance(resource, X, y, 0, units, fit_params)
    return trained.model


@dataclass
class Trained:
    """A model that may be trained further, with the data that this needs.

    Attributes
    ----------
    model : estimator
        The estimator, or a pipeline of fitted steps and the last one, which is trained on.
    rows : array-like or None, default=None
        Transformed training rows of a pipeline; None if it has none of its own.
    is_finished : bool, default=False
        Whether further training would change nothing.
    """

    model: Any
    rows: Any = None
    is_finished: bool = False

    @classmethod
    def begin(
        cls, estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], shared: Any = None
    ) -> Trained:
        """Return an estimator that is ready to be trained on: a pipeline's first steps are fitted.

        Parameters
        ----------
        estimator : estimator
            Unfitted, with its parameters set.
        X, y : array-like
        fit_params : Mapping
            Parameters of ``fit``.
        shared : tuple or None, default=None
            Fitted first steps and transformed rows that several models share (see `prepared`).
        """
        _, prefix = learner_of(estimator)
        if not prefix:
            return cls(estimator)
        first, rows = shared or prepared(estimator, X, y, fit_params)
        model = clone_shallow(estimator, [*first.steps, estimator.steps[-1]])
        return cls(model, None if shared else rows)

    def advance(
        self,
        resource: Resource,
        X: Any,
        y: Any,
        start: int,
        stop: int,
        fit_params: Mapping[str, Any],
    ) -> None:
        """Train on from `start` to `stop`; the parameters are those of `Resource.advance`.

        For a pipeline, X is the transformed rows if they are shared.
        """
        if self.is_finished:
            return
        learner, prefix = learner_of(self.model)
        own = {
            name.removeprefix(prefix): value
            for name, value in fit_params.items()
            if name.startswith(prefix)
        }
        rows = X if self.rows is None else self.rows
        self.is_finished = resource.advance(learner, rows, y, start, stop, own)


def prepared(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Fit the steps of a pipeline before its last one; return them and the transformed rows.

    Parameters
    ----------
    estimator : Pipeline
        Its steps are fitted in place, unless the pipeline has a cache.
    X, y : array-like
    fit_params : Mapping
        Parameters of ``fit``; those of the last step are left out.
    """
    _, prefix = learner_of(estimator)
    first = estimator[:-1]
    own = {name: value for name, value in fit_params.items() if not name.startswith(prefix)}
    return first, first.fit_transform(X, y, **own)


def clone_shallow(pipeline: Pipeline, steps: list[tuple[str, Any]]) -> Pipeline:
    """Return a pipeline with other steps, which are not copied.

    Parameters
    ----------
    pipeline : Pipeline
    steps : list of (str, estimator)
    """
    others = {k: v for k, v in pipeline.get_params(deep=False).items() if k != "steps"}
    return type(pipeline)(steps, **others)


def configured(estimator: Any, params: Mapping[str, Any]) -> Any:
    """Return an unfitted copy of an estimator with other parameters, copied if they are estimators.

    Parameters
    ----------
    estimator : estimator
    params : Mapping

    Raises
    ------
    ValueError
        If the estimator does not have a parameter.
    """
    return clone(estimator).set_params(**clone(dict(params), safe=False))
