"""A predictor that is heard only while it knows better than the last value."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

from hpo.predictors.base import BasePredictor, CurvePredictor, Prediction
from hpo.predictors.baselines import LastValuePredictor
from hpo.predictors.regression import CurveRegressor
from hpo.trial import Curve


class SkilledPredictor:
    """Predicts with another predictor where its skill is positive, else keeps the last value.

    The skill is measured anew with every fit, by cross-validation on the training curves, and goes
    into the report, and so into the journal, whichever of the two was used.

    Parameters
    ----------
    predictor : CurvePredictor, optional
        Measures its skill. Default: NuSVR on the curve.
    least_skill : float
        The other is heard above this.
    """

    def __init__(
        self, predictor: CurvePredictor | None = None, *, least_skill: float = 0.0
    ) -> None:
        self.predictor = CurveRegressor() if predictor is None else predictor
        self.least_skill = least_skill
        self.fallback: BasePredictor = LastValuePredictor()

    def with_seed(self, seed: int) -> Self:
        """Return an unfitted copy with another seed."""
        twin = copy.copy(self)
        if hasattr(self.predictor, "with_seed"):
            twin.predictor = self.predictor.with_seed(seed)
        return twin

    def fit(self, curves: Sequence[Curve], known: int, target: int) -> Self:
        """Fit both (see `CurvePredictor.fit`)."""
        self.predictor.fit(curves, known, target)
        self.fallback.fit(curves, known, target)
        return self

    def predict(self, curves: Sequence[Curve]) -> Prediction:
        """Predict the losses at the target (see `CurvePredictor.predict`)."""
        prediction = self.predictor.predict(curves)
        skilled = prediction.skill is not None and prediction.skill > self.least_skill
        used = prediction if skilled else self.fallback.predict(curves)
        info: dict[str, Any] = {**prediction.info, "used": skilled}
        return Prediction(used.mean, used.std, prediction.skill, info)
