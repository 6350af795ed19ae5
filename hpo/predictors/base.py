"""What a curve predictor is, and what all of ours share: checks, cross-validation and skill.

A predictor is trained on complete learning curves and says, for curves of which only the first
`known` losses are known, what the loss at `target` will be. Its errors are measured by
cross-validation on the training curves; they give the standard deviation of a prediction and the
*skill*: one minus the ratio of its mean squared error to that of keeping the last known loss. A
predictor with no positive skill is worth nothing.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from hpo._typing import FloatArray
from hpo.trial import Curve


@dataclass(frozen=True)
class Prediction:
    """What a predictor says about some curves.

    Attributes
    ----------
    mean : ndarray of shape (n_curves,)
        Predicted losses at the target.
    std : ndarray of shape (n_curves,)
        Standard deviations, NaN where they are not known.
    skill : float or None
        Against keeping the last value; None where it was not measured.
    info : dict
        What the predictor tells about itself, in plain values.
    """

    mean: FloatArray
    std: FloatArray
    skill: float | None = None
    info: dict[str, Any] = field(default_factory=dict)


class CurvePredictor(Protocol):
    """Predicts a loss later in training from the losses so far."""

    def fit(self, curves: Sequence[Curve], known: int, target: int) -> Self:
        """Learn to predict the loss at `target` from the first `known` losses.

        Parameters
        ----------
        curves : sequence of Curve
        known, target : int
            Units, ``1 <= known < target``.
        """
        ...

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target, from the first `known` losses of each curve.

        Parameters
        ----------
        curves : sequence of Curve
            Of at least `known` losses.
        """
        ...


class Seeded:
    """Draws random numbers by a seed, which a copy may change."""

    seed: int

    def with_seed(self, seed: int) -> Self:
        """Return an unfitted copy with another seed."""
        twin = copy.copy(self)
        twin.seed = seed
        return twin


class BasePredictor(Seeded, ABC):
    """A predictor of one number a curve, with cross-validated errors.

    Parameters
    ----------
    folds : int
        Parts of the cross-validation; fewer where there are fewer curves, 0 for none.
    seed : int
        For predictors that draw random numbers.
    """

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        self.folds = folds
        self.seed = seed

    def fit(self, curves: Sequence[Curve], known: int, target: int) -> Self:
        """Learn to predict the loss at `target` from the first `known` losses.

        Parameters
        ----------
        curves : sequence of Curve
            Of at least `target` finite losses each; one or more.
        known, target : int
            Units, ``1 <= known < target``.

        Raises
        ------
        ValueError
            If there is no curve, one is too short or not finite, or the units are out of order.
        """
        values = check_training(curves, known, target)  # (n_curves, target)
        self.known_, self.target_ = known, target
        self._cross_validate(curves, values)
        self._fit(curves, values)
        return self

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target.

        Parameters
        ----------
        curves : sequence of Curve
            Of at least `known` finite losses each; later ones are not looked at.

        Raises
        ------
        ValueError
            If a curve is too short or not finite.
        """
        if not curves:
            return Prediction(np.empty(0), np.empty(0), self.skill_, self._info())
        mean = self._predict(curves, first_losses(curves, self.known_))
        std = np.full(len(curves), self.error_)
        return Prediction(np.asarray(mean, dtype=float), std, self.skill_, self._info())

    @abstractmethod
    def _fit(self, curves: Sequence[Curve], values: FloatArray) -> None:
        """Learn from losses of shape (n_curves, target)."""

    @abstractmethod
    def _predict(self, curves: Sequence[Curve], values: FloatArray) -> FloatArray:
        """Predict from losses of shape (n_curves, known); return (n_curves,)."""

    def _info(self) -> dict[str, Any]:
        return {"predictor": type(self).__name__, "n_curves": self.n_curves_}

    def _cross_validate(self, curves: Sequence[Curve], values: FloatArray) -> None:
        """Set the error of a prediction, and the skill against keeping the last value."""
        self.n_curves_ = len(curves)
        self.error_: float = np.nan
        self.skill_: float | None = None
        folds = min(self.folds, len(curves))
        if folds < 2:
            return
        errors = self._held_out(curves, values, folds) - values[:, -1]
        last_value = values[:, self.known_ - 1] - values[:, -1]
        self.error_ = float(np.sqrt(np.mean(errors**2)))
        if np.any(last_value):
            self.skill_ = float(1 - np.mean(errors**2) / np.mean(last_value**2))

    def _held_out(self, curves: Sequence[Curve], values: FloatArray, folds: int) -> FloatArray:
        """Predict each curve from a model of the others, every `folds`-th curve at a time."""
        predictions = np.empty(len(curves))
        part = np.arange(len(curves)) % folds
        for fold in range(folds):
            outside = [curve for curve, p in zip(curves, part, strict=True) if p != fold]
            inside = [curve for curve, p in zip(curves, part, strict=True) if p == fold]
            model = copy.copy(self)
            model._fit(outside, values[part != fold])  # noqa: SLF001 - a copy of this very object
            known = values[part == fold, : self.known_]
            predictions[part == fold] = model._predict(inside, known)  # noqa: SLF001
        return predictions


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
    broken = [c.trial_id for c, row in zip(curves, values, strict=True) if not _finite(row)]
    if broken:
        raise ValueError(f"losses must be finite; leave out the curves of trials {broken}")
    return values


def _finite(row: FloatArray) -> bool:
    return bool(np.all(np.isfinite(row)))
