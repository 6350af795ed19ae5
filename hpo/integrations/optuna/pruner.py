"""A pruner that continues the trials whose *predicted final* value is among the best.

Swift-Hyperband works in rounds, which an Optuna study does not have. So the pruner is asynchronous,
as ASHA is: at each rung, a trial is compared with all others that have reached the rung, by the
final values that a model predicts. The model is trained on the curves of trials that were trained
to the end. Before there are enough of them, and if its cross-validated skill relative to keeping
the last value is not positive, last values are compared, so that a useless model does no harm.

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
_MOST_POINTS = 256
"""Maximum number of points of a curve: steps may be counted in thousands."""


@dataclass(frozen=True)
class PrunerDecision:
    """A decision of the pruner at one rung of one trial.

    Attributes
    ----------
    trial : int
        Number of the trial.
    resource : int
        Units (steps) that it had been trained.
    score, threshold : float
        Score of the trial and largest score that continues, lower is better: predicted final
        values, or last values. In a study that maximizes, both have the opposite sign.
    skill : float or None
        Skill of the model relative to keeping the last value; None if it was not measured.
    by_model : bool
        Whether the model decided; otherwise the last value did.
    pruned : bool
        Whether the trial was pruned.

    Examples
    --------
    >>> from hpo.integrations.optuna import PrunerDecision
    >>> decision = PrunerDecision(
    ...     trial=3, resource=9, score=0.6, threshold=0.5, skill=0.4, by_model=True, pruned=True
    ... )
    >>> decision.pruned
    True
    """

    trial: int
    resource: int
    score: float
    threshold: float
    skill: float | None
    by_model: bool
    pruned: bool


class SwiftPruner(BasePruner):
    """Pruner for Optuna that compares trials by their predicted final values.

    Deterministic: the same study history gives the same decisions. Nothing is written to the
    study's storage.

    Values may be reported after each unit of training (an epoch, for example) or after every 2, 5
    or 10 of them: what counts is the ``step`` of ``trial.report(value, step)``, not the number of
    values. Steps count from 1, or from 0 if the trial has reported step 0. A rung is reached with
    the first step at or after it; values between two reports are interpolated.

    Parameters
    ----------
    max_resource : int
        Units that a trial is trained if it is not pruned, which is its largest step.
    reduction_factor : int, default=3
        Trials are judged after about ``max_resource / reduction_factor**k`` units, k = 1, 2, ...
    min_resource : int, default=1
        Number of units before a trial is judged for the first time.
    quantile : float or None, default=None
        A trial continues if its score is at most this quantile of the scores of all trials that
        have reached the rung, in (0, 1). None: ``1 / reduction_factor``, as in successive halving.
    predictor : str or CurvePredictor, default="nusvr"
        Predictor of final values; see `hpo.make_predictor` for its options.
    n_startup_trials : int, default=5
        Number of trials trained to the end before any trial is pruned; 1 or more.
    min_curves : int, default=15
        Number of trials trained to the end before the model is used; 2 or more. Until then last
        values are compared.
    max_curves : int, default=200
        Maximum number of curves, the latest, that train the model.

    Attributes
    ----------
    decisions : list of PrunerDecision
        The latest decisions of this object.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.integrations.optuna.export_journal : Writes a run of this package into an Optuna storage.
    hpo.searchers.optuna.OptunaSearcher : A searcher that uses Optuna's samplers.

    Examples
    --------
    >>> import optuna
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 0.1, 1.0)
    ...     for epoch in range(1, 10):
    ...         trial.report(1 - rate + epoch**-rate, epoch)
    ...         if trial.should_prune():
    ...             raise optuna.TrialPruned
    ...     return 1 - rate + 9**-rate
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> sampler = optuna.samplers.RandomSampler(seed=0)
    >>> study = optuna.create_study(pruner=SwiftPruner(max_resource=9), sampler=sampler)
    >>> study.optimize(objective, n_trials=20)
    >>> len(study.trials)
    20
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
        depth = floor_log(max_resource, reduction_factor)
        ends = (round_half_even(max_resource, reduction_factor**k) for k in range(1, depth + 1))
        self.rungs = frozenset(end for end in ends if min_resource <= end < max_resource)
        self._grid = min(max_resource, _MOST_POINTS)
        self.quantile = quantile
        self.n_startup_trials = n_startup_trials
        self.min_curves = min_curves
        self.max_curves = max_curves
        self.decisions: list[PrunerDecision] = []
        self._predictor = make_predictor(predictor)
        self._models: dict[int, tuple[tuple[int, ...], CurvePredictor]] = {}
        self._reached: dict[tuple[str, int], tuple[int, int]] = {}  # rung and units, when judged
        self._lock = threading.Lock()  # a study may run trials in threads

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is to stop.

        Parameters
        ----------
        study : optuna.study.Study
            Study of one objective.
        trial : optuna.trial.FrozenTrial
            Trial with its latest report.

        Raises
        ------
        ValueError
            If the trial has reported a step beyond `max_resource`.
        """
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        trained, values = _reports(trial, sign)
        if not trained:
            return False
        if (last := max(trial.intermediate_values)) > self.max_resource:
            raise ValueError(
                f"max_resource of the pruner is {self.max_resource}, but trial {trial.number} has "
                f"reported step {last}; give the largest step that a trial reports"
            )
        if not math.isfinite(values[-1]):
            return True
        units = min(trained[-1], self.max_resource)
        if not self._is_due((study.study_name, trial.number), units):
            return False
        others = [
            (self._curve(other, sign), other.state == TrialState.COMPLETE)
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
        ]
        with self._lock:
            return self._judged(self._curve(trial, sign), units, others)

    def _is_due(self, key: tuple[str, int], units: int) -> bool:
        """Return whether a trial has reached a rung since it was judged, or is asked for again."""
        rung = max((rung for rung in self.rungs if rung <= units), default=0)
        last, judged_at = self._reached.get(key, (0, 0))
        if rung <= last and units != judged_at:
            return False
        self._reached[key] = rung, units
        return rung > 0

    def _curve(self, trial: FrozenTrial, sign: float) -> Curve:
        """Return a trial's losses at the points of the grid that it has reached."""
        units, losses = _reports(trial, sign)
        if not units:
            return Curve(trial.number, trial.params, ())
        size, end = self._grid, units[-1]
        due = end + max(np.diff([0, *units]))  # the next report
        reached = end * size // self.max_resource
        if (
            trial.state == TrialState.COMPLETE and due >= self.max_resource
        ):  # steps may count from 0
            reached = size
        grid = np.arange(1, min(reached, size) + 1) * (self.max_resource / size)
        return Curve(trial.number, trial.params, tuple(np.interp(grid, units, losses).tolist()))

    def _judged(self, curve: Curve, units: int, others: Sequence[tuple[Curve, bool]]) -> bool:
        """Decide on a curve; others come with a flag whether they were trained to the end."""
        known, size = len(curve.losses), self._grid
        complete = [c for c, ended in others if ended and len(c.losses) >= size]
        training = [c for c in complete if _finite(c, size)][-self.max_curves :]
        if len(training) < self.n_startup_trials:
            return False
        field = [curve, *(c for c, _ in others if len(c.losses) >= known and _finite(c, known))]
        scores, skill, by_model = self._scores(training, field, known)
        threshold = float(np.quantile(scores, self.quantile))
        pruned = bool(scores[0] > threshold)
        score = float(scores[0])
        self.decisions.append(
            PrunerDecision(curve.trial_id, units, score, threshold, skill, by_model, pruned)
        )
        del self.decisions[:-_KEPT_DECISIONS]
        return pruned

    def _scores(
        self, training: Sequence[Curve], field: Sequence[Curve], known: int
    ) -> tuple[FloatArray, float | None, bool]:
        """Return the scores, the skill of the model, and whether the scores are the model's."""
        last = np.array([curve.losses[known - 1] for curve in field])
        if len(training) < self.min_curves:
            return last, None, False
        prediction = self._model(training, known).predict(field)
        useful = prediction.skill is not None and prediction.skill > 0
        if not useful or not np.all(np.isfinite(prediction.mean)):
            return last, prediction.skill, False
        return prediction.mean, prediction.skill, True

    def _model(self, training: Sequence[Curve], known: int) -> CurvePredictor:
        """Return the model of a rung, fitted again if there are new curves."""
        numbers = tuple(curve.trial_id for curve in training)
        if known not in self._models or self._models[known][0] != numbers:
            context = PredictionContext(seed=known)
            model = copy.copy(self._predictor).fit(training, known, self._grid, context)
            self._models[known] = (numbers, model)
        return self._models[known][1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be pickled, and models, which are fitted again."""
        return {**self.__dict__, "_lock": None, "_models": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickled state."""
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _reports(trial: FrozenTrial, sign: float) -> tuple[list[int], list[float]]:
    """Return the units after which a trial has reported, and its losses."""
    values = trial.intermediate_values
    steps = sorted(values)
    first = 1 if steps and steps[0] == 0 else 0  # step 0 is the end of the first unit
    return [step + first for step in steps], [sign * float(values[step]) for step in steps]


def _finite(curve: Curve, length: int) -> bool:
    return all(map(math.isfinite, curve.losses[:length]))


def _check(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} of SwiftPruner must lie in {rule}, got {value!r}")
