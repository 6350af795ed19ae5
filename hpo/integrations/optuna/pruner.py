"""A pruner that looks ahead: trials go on whose *predicted final* value is among the best.

Swift-Hyperband needs rounds; an Optuna study has none, trials come and go one by one. So the
pruner is asynchronous, as ASHA is: at each rung, a trial is compared with all others that have come
so far, by what a model says their value at the end will be. The model is trained on the curves of
trials that were trained to the end. Before there are enough of them, and where its cross-validated
skill against keeping the last value is not positive, the last value itself is compared, so that a
useless model does no harm.

>>> import optuna
>>> optuna.logging.set_verbosity(optuna.logging.WARNING)
>>> def objective(trial):
...     rate = trial.suggest_float("rate", 0.1, 1.0)
...     for epoch in range(1, 17):
...         trial.report(1 - rate + epoch**-rate, epoch)
...         if trial.should_prune():
...             raise optuna.TrialPruned
...     return 1 - rate + 16**-rate
>>> sampler = optuna.samplers.RandomSampler(seed=0)
>>> study = optuna.create_study(sampler=sampler, pruner=SwiftPruner(16, min_curves=8))
>>> study.optimize(objective, n_trials=40)
>>> sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials) > 15
True
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo._typing import FloatArray
from hpo.brackets import check_resources, floor_log, round_half_even
from hpo.predictors import CurvePredictor, PredictionContext, make_predictor
from hpo.trial import Curve

_KEPT_DECISIONS = 10_000


@dataclass(frozen=True)
class PrunerDecision:
    """What the pruner decided at one rung of one trial, and by what.

    Attributes
    ----------
    trial : int
        Number of the trial.
    resource : int
        Values that it had reported.
    score, threshold : float
        What was compared, lower is better: predicted final values, or last values. For a study
        that maximizes, both have their sign changed.
    skill : float or None
        Of the model against keeping the last value; None where it was not asked, or not measured.
    by_model : bool
        Whether the model decided; else the last value did.
    pruned : bool
        Whether the trial was to stop.
    """

    trial: int
    resource: int
    score: float
    threshold: float
    skill: float | None
    by_model: bool
    pruned: bool


class SwiftPruner(BasePruner):
    """Prunes trials whose predicted final value is not among the best so far.

    Deterministic: the same study history gives the same decisions. Nothing is written to the
    study's storage.

    Parameters
    ----------
    max_resource : int
        Values that a trial reports when it is not pruned. Report one value per unit (epoch, say)
        and ask ``trial.should_prune()`` after each.
    reduction_factor : int
        Trials are judged after about ``max_resource / reduction_factor**k`` values, k = 1, 2, ...
    min_resource : int
        No trial is judged before so many values.
    quantile : float or None
        A trial goes on when its score is at most this quantile of the scores of all trials that
        have come as far, in (0, 1). None: ``1 / reduction_factor``, as in successive halving.
    predictor : str or CurvePredictor
        What predicts final values; options go by `hpo.make_predictor`.
    n_startup_trials : int
        Nothing is pruned before so many trials were trained to the end; 1 or more.
    min_curves : int
        The model is not asked before so many trials were trained to the end; 2 or more. Until
        then last values are compared.
    max_curves : int
        At most so many curves, the latest, train the model.

    Attributes
    ----------
    decisions : list of PrunerDecision
        The latest decisions of this object, for a look at what it does and why.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, by keyword
        self,
        max_resource: int,
        *,
        reduction_factor: int = 3,
        min_resource: int = 1,
        quantile: float | None = None,
        predictor: str | CurvePredictor = "nusvr",
        n_startup_trials: int = 5,
        min_curves: int = 15,
        max_curves: int = 200,
    ) -> None:
        check_resources(max_resource, reduction_factor)
        _check(1 <= min_resource <= max_resource, "min_resource", "1..max_resource", min_resource)
        quantile = 1 / reduction_factor if quantile is None else quantile
        _check(0 < quantile < 1, "quantile", "(0, 1)", quantile)
        _check(n_startup_trials >= 1, "n_startup_trials", "1 and more", n_startup_trials)
        _check(min_curves >= 2, "min_curves", "2 and more", min_curves)
        _check(max_curves >= min_curves, "max_curves", f"{min_curves} (min_curves) on", max_curves)
        self.max_resource = max_resource
        self.rungs = _rungs(max_resource, reduction_factor, min_resource)
        self.quantile = quantile
        self.n_startup_trials = n_startup_trials
        self.min_curves = min_curves
        self.max_curves = max_curves
        self.decisions: list[PrunerDecision] = []
        self._predictor = make_predictor(predictor)
        self._models: dict[int, tuple[tuple[int, ...], CurvePredictor]] = {}
        self._lock = threading.Lock()  # a study may run trials in threads

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether the trial is to stop.

        Parameters
        ----------
        study : optuna.study.Study
            Of one objective.
        trial : optuna.trial.FrozenTrial
            The trial, after its latest report.

        Raises
        ------
        ValueError
            If the trial has reported more values than `max_resource`.
        """
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        curve = _curve(trial, sign)
        known = len(curve.losses)
        if known > self.max_resource:
            raise ValueError(
                f"max_resource of the pruner is {self.max_resource}, but trial {trial.number} has "
                f"reported {known} values; report one per unit, and give their number"
            )
        if known and not math.isfinite(curve.losses[-1]):
            return True
        if known not in self.rungs:
            return False
        with self._lock:
            return self._judged(curve, _curves(study, trial, sign))

    def _judged(self, curve: Curve, others: Sequence[tuple[Curve, bool]]) -> bool:
        """Decide on a curve beside others, each with whether it was trained to the end."""
        known = len(curve.losses)
        complete = [c for c, ended in others if ended and len(c.losses) >= self.max_resource]
        training = [c for c in complete if _finite(c, self.max_resource)][-self.max_curves :]
        if len(training) < self.n_startup_trials:
            return False
        field = [curve, *(c for c, _ in others if len(c.losses) >= known and _finite(c, known))]
        scores, skill, by_model = self._scores(training, field, known)
        threshold = float(np.quantile(scores, self.quantile))
        pruned = bool(scores[0] > threshold)
        score = float(scores[0])
        self.decisions.append(
            PrunerDecision(curve.trial_id, known, score, threshold, skill, by_model, pruned)
        )
        del self.decisions[:-_KEPT_DECISIONS]
        return pruned

    def _scores(
        self, training: Sequence[Curve], field: Sequence[Curve], known: int
    ) -> tuple[FloatArray, float | None, bool]:
        """Return what is compared, the model's skill, and whether the model says so."""
        last = np.array([curve.losses[known - 1] for curve in field])
        if len(training) < self.min_curves:
            return last, None, False
        prediction = self._model(training, known).predict(field)
        useful = prediction.skill is not None and prediction.skill > 0
        if not useful or not np.all(np.isfinite(prediction.mean)):
            return last, prediction.skill, False
        return prediction.mean, prediction.skill, True

    def _model(self, training: Sequence[Curve], known: int) -> CurvePredictor:
        """Return the model of a rung, fitted anew when there are new curves."""
        numbers = tuple(curve.trial_id for curve in training)
        if known not in self._models or self._models[known][0] != numbers:
            context = PredictionContext(seed=known)
            model = copy.copy(self._predictor).fit(training, known, self.max_resource, context)
            self._models[known] = (numbers, model)
        return self._models[known][1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be pickled, and models, which are fitted again."""
        return {**self.__dict__, "_lock": None, "_models": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickled state."""
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _rungs(max_resource: int, reduction_factor: int, min_resource: int) -> frozenset[int]:
    depth = floor_log(max_resource, reduction_factor)
    ends = (round_half_even(max_resource, reduction_factor**k) for k in range(1, depth + 1))
    return frozenset(end for end in ends if min_resource <= end < max_resource)


def _curves(study: Study, trial: FrozenTrial, sign: float) -> list[tuple[Curve, bool]]:
    """Return the curves of all other trials by number, and whether they ran to their end."""
    others = (t for t in study.get_trials(deepcopy=False) if t.number != trial.number)
    return [(_curve(other, sign), other.state == TrialState.COMPLETE) for other in others]


def _curve(trial: FrozenTrial, sign: float) -> Curve:
    values = trial.intermediate_values
    losses = tuple(sign * float(values[step]) for step in sorted(values))
    return Curve(trial.number, trial.params, losses)


def _finite(curve: Curve, length: int) -> bool:
    return all(map(math.isfinite, curve.losses[:length]))


def _check(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} of SwiftPruner must lie in {rule}, got {value!r}")
