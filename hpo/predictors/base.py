"""Curve predictors: protocol, context, and a base class with checks and cross-validation.

A predictor is trained on complete learning curves and predicts, for curves of which only the first
`known` losses are known, the loss at `target`. Its errors are measured by cross-validation on the
training curves. They give the standard deviation of a prediction and the *skill*: one minus the
ratio of its mean squared error to that of keeping the last known loss. A predictor without positive
skill is of no use.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from hpo._typing import FloatArray
from hpo.space.search_space import SearchSpace
from hpo.trial import Config, Curve

Encoder = Callable[[Sequence[Config]], FloatArray]
"""From configurations to an array of shape (n_configs, n_features), in [0, 1]."""


@dataclass(frozen=True)
class Prediction:
    """Predicted losses of some curves.

    Attributes
    ----------
    mean : ndarray of shape (n_curves,)
        Predicted losses at the target.
    std : ndarray of shape (n_curves,)
        Standard deviations, NaN if they were not measured.
    skill : float or None, default=None
        Skill relative to keeping the last value; None if it was not measured.
    info : dict, default={}
        Diagnostics of the predictor in plain values, for display only.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.predictors import Prediction
    >>> Prediction(mean=np.array([0.5]), std=np.array([0.1]), skill=0.3).skill
    0.3
    """

    mean: FloatArray
    std: FloatArray
    skill: float | None = None
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionContext:
    """Inputs of a predictor other than the curves.

    Attributes
    ----------
    seed : int, default=0
        Seed of the random number generator.
    encoder : callable or None, default=None
        Encodes configurations as the searcher does: from a sequence of configurations to an array
        of shape (n_configs, n_features), in [0, 1].
    space : SearchSpace or None, default=None
        The search space, if the searcher has one.
    warm_start_state : Mapping, default={}
        `Forecast.warm_start_state` of the previous forecast of the same search.

    Examples
    --------
    >>> from hpo.predictors import PredictionContext
    >>> PredictionContext(seed=3).seed
    3
    """

    seed: int = 0
    encoder: Encoder | None = None
    space: SearchSpace | None = None
    warm_start_state: Mapping[str, Any] = field(default_factory=dict)


DEFAULT_CONTEXT = PredictionContext()


class CurvePredictor(Protocol):
    """Predicts a loss later in training from the losses so far."""

    def fit(
        self,
        curves: Sequence[Curve],
        known: int,
        target: int,
        context: PredictionContext = DEFAULT_CONTEXT,
    ) -> Self:
        """Learn to predict the loss at `target` from the first `known` losses.

        In a search a copy of the predictor is fitted for each job.

        Parameters
        ----------
        curves : sequence of Curve
            One or more, each of at least `target` finite losses.
        known, target : int
            Units, ``1 <= known < target``.
        context : PredictionContext, default=PredictionContext()

        Raises
        ------
        ValueError
            If there is no curve, one is too short or not finite, or the units are out of order.
        """
        ...

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target, from the first `known` losses of each curve.

        Parameters
        ----------
        curves : sequence of Curve
            Of at least `known` finite losses each; later ones are ignored.

        Raises
        ------
        ValueError
            If a curve is too short or not finite.
        """
        ...


class BasePredictor(ABC):
    """Base class of predictors with cross-validated errors.

    Parameters
    ----------
    folds : int, default=5
        Number of cross-validation folds, at most the number of curves; 0 for no cross-validation.

    See Also
    --------
    hpo.CurvePredictor : The protocol.
    hpo.predictors.ForecastingPredictor : Base class of predictors for curves of any length.

    Examples
    --------
    A predictor of the mean of the training curves:

    >>> import numpy as np
    >>> from hpo.predictors import BasePredictor
    >>> from hpo.trial import Curve
    >>> class MeanPredictor(BasePredictor):
    ...     def _fit(self, curves, values, context):
    ...         self.mean_ = values[:, -1].mean()
    ...
    ...     def _predict(self, curves, values):
    ...         return np.full(len(curves), self.mean_)
    >>> curves = [Curve(0, {}, (3.0, 2.0)), Curve(1, {}, (2.0, 1.0))]
    >>> MeanPredictor().fit(curves, known=1, target=2).predict(curves).mean
    array([1.5, 1.5])
    """

    def __init__(self, folds: int = 5) -> None:
        self.folds = folds

    def fit(
        self,
        curves: Sequence[Curve],
        known: int,
        target: int,
        context: PredictionContext = DEFAULT_CONTEXT,
    ) -> Self:
        """Learn from losses up to `target` (see `CurvePredictor.fit`); uses the context's seed."""
        values = check_training(curves, known, target)  # (n_curves, target)
        self.known_, self.target_ = known, target
        self._cross_validate(curves, values, context)
        self._fit(curves, values, context)
        return self

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target (see `CurvePredictor.predict`)."""
        if not curves:
            return Prediction(np.empty(0), np.empty(0), self.skill_, self._info())
        mean = self._predict(curves, first_losses(curves, self.known_))
        std = np.full(len(curves), self.error_)
        return Prediction(np.asarray(mean, dtype=float), std, self.skill_, self._info())

    @abstractmethod
    def _fit(self, curves: Sequence[Curve], values: FloatArray, context: PredictionContext) -> None:
        """Learn from losses of shape (n_curves, target)."""

    @abstractmethod
    def _predict(self, curves: Sequence[Curve], values: FloatArray) -> FloatArray:
        """Predict from losses of shape (n_curves, known); return (n_curves,)."""

    def _info(self) -> dict[str, Any]:
        return {"predictor": type(self).__name__, "n_curves": self.n_curves_}

    def _cross_validate(
        self, curves: Sequence[Curve], values: FloatArray, context: PredictionContext
    ) -> None:
        """Set the error of a prediction, and the skill relative to keeping the last value."""
        self.n_curves_ = len(curves)
        self.error_: float = np.nan
        self.skill_: float | None = None
        folds = min(self.folds, len(curves))
        if folds < 2:
            return
        predictions = np.empty(len(curves))
        part = np.arange(len(curves)) % folds  # every folds-th curve is held out at a time
        for fold in range(folds):
            outside = [curve for curve, p in zip(curves, part, strict=True) if p != fold]
            inside = [curve for curve, p in zip(curves, part, strict=True) if p == fold]
            model = copy.copy(self)
            model._fit(outside, values[part != fold], context)  # noqa: SLF001 - a copy of self
            known = values[part == fold, : self.known_]
            predictions[part == fold] = model._predict(inside, known)  # noqa: SLF001
        errors = predictions - values[:, -1]
        last_value = values[:, self.known_ - 1] - values[:, -1]
        self.error_ = float(np.sqrt(np.mean(errors**2)))
        if np.any(last_value):
            self.skill_ = float(1 - np.mean(errors**2) / np.mean(last_value**2))


def check_training(curves: Sequence[Curve], known: int, target: int) -> FloatArray:
    """Check what `CurvePredictor.fit` is given; return the losses, (n_curves, target).

    Raises
    ------
    ValueError
        If there is no curve, one is too short or not finite, or the units are out of order.
    """
    if not 1 <= known < target:
        raise ValueError(f"known must lie in 1..target-1, got known={known}, target={target}")
    if not curves:
        raise ValueError("a curve predictor needs at least one training curve, got none")
    return first_losses(curves, target)


def first_losses(curves: Sequence[Curve], length: int) -> FloatArray:
    """Return the first losses of each curve, of shape (n_curves, length).

    Raises
    ------
    ValueError
        If a curve is shorter or not finite.
    """
    short = [curve.trial_id for curve in curves if len(curve.losses) < length]
    if short:
        raise ValueError(
            f"each curve must have at least {length} losses; trials {short} have fewer"
        )
    values = np.array([curve.losses[:length] for curve in curves], dtype=float)
    broken = [
        curve.trial_id
        for curve, row in zip(curves, values, strict=True)
        if not np.all(np.isfinite(row))
    ]
    if broken:
        raise ValueError(f"losses must be finite; leave out the curves of trials {broken}")
    return values
