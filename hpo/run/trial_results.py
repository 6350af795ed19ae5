"""Trials as users see them, with the values and metrics that the trainer returned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.run.models import ModelStore, TrialModel
from hpo.run.objective import OBJECTIVE, named
from hpo.trainers.objective import LOSS, LOSS_MINIMISED, Objective
from hpo.trial import (
    SchedulerSummary,
    TrialSummary,
    best_of,
    finite_or_worst,
    not_finite,
)

__all__ = ["RunSummary", "TrialResult"]

METRICS = "metrics"
"""Kind of the journal's note of the further metrics of a segment."""


@dataclass(frozen=True)
class TrialResult(TrialSummary):
    """A trial with the values and metrics that its trainer returned.

    A search minimises losses. `losses` and `last_loss` equal `values` if the objective is
    minimised, and have the opposite sign if it is maximised.

    Attributes
    ----------
    values : tuple of float, default=()
        Objective after each unit trained so far, in the trainer's sign and unit.
    metrics : Mapping of str to tuple of float, default={}
        Further metrics by name, one number per unit; NaN for a unit without this metric.
    saved : TrialModel or None, default=None
        The trial's checkpoint and the trainer that reads it; None if they are not known.

    See Also
    --------
    Results.trials : All trials of a run.
    Results.best : The best trial.

    Examples
    --------
    >>> from hpo.run.trial_results import TrialResult
    >>> from hpo.trial import TrialStatus
    >>> losses = (0.5, 0.3, 0.4)
    >>> trial = TrialResult(0, {"lr": 0.1}, 0, 0, TrialStatus("completed"), losses, values=losses)
    >>> trial.value, trial.best_value, trial.best_epoch
    (0.4, 0.3, 2)
    """

    values: tuple[float, ...] = ()
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    saved: TrialModel | None = field(default=None, compare=False, repr=False)

    @property
    def checkpoint(self) -> Path:
        """Path of the trial's checkpoint, a file or a directory.

        Raises
        ------
        MissingCheckpointError
            If the trial has no checkpoint.
        """
        return self._saved.checkpoint

    def load(self, trainer: Any = None, **options: Any) -> Any:
        """Return the trained model.

        Parameters
        ----------
        trainer : Trainer, str or None, default=None
            Trainer that reads the checkpoint. None takes the trainer of the run.
        **options
            Further arguments of its method `load`, such as `which` of `TorchTrainer.load`.

        Raises
        ------
        MissingCheckpointError
            If there is no checkpoint.
        UsageError
            If the trainer is not known, or has no method `load`.
        """
        return self._saved.load(trainer, **options)

    @property
    def _saved(self) -> TrialModel:
        return self.saved or TrialModel(ModelStore(), self.trial_id)

    @property
    def value(self) -> float:
        """Objective after the last unit; NaN before the first."""
        return self.values[-1] if self.values else math.nan

    @property
    def best_epoch(self) -> int | None:
        """Unit after which the objective was best, from 1; None without a finite value."""
        losses = list(map(finite_or_worst, self.losses))
        lowest = min(losses, default=math.inf)
        return losses.index(lowest) + 1 if math.isfinite(lowest) else None

    @property
    def best_value(self) -> float:
        """Best finite value after any unit; NaN without one."""
        epoch = self.best_epoch
        return math.nan if epoch is None else self.values[epoch - 1]

    @property
    def last_metrics(self) -> dict[str, float]:
        """Each further metric after the last unit; NaN where there is none."""
        return {name: values[-1] if values else math.nan for name, values in self.metrics.items()}


@dataclass(frozen=True)
class RunSummary(SchedulerSummary):
    """State of a search in the user's sign and unit, as progress displays and trackers get it.

    Attributes
    ----------
    trials : tuple of TrialResult
        In the order of their ids.
    best : TrialResult or None
        The best trial (see `hpo.run.results.Results.best_trial`).
    epochs, events, budget : default of budget=None
        As in `SchedulerSummary`.
    objective : Objective, default=Objective()
        What is optimised.

    Examples
    --------
    >>> from hpo.run.trial_results import RunSummary
    >>> RunSummary(trials=(), best=None, epochs=0, events=()).epochs
    0
    """

    trials: tuple[TrialResult, ...]
    best: TrialResult | None
    objective: Objective = LOSS_MINIMISED


class TrialViews:
    """Makes `TrialResult` objects of a scheduler's trials and the notes of the run.

    Parameters
    ----------
    objective : Objective
        As the run was given it.
    notes : iterable of Mapping, default=()
        Notes so far.
    models : ModelStore or None, default=None
        Where the checkpoints lie, if that is known.
    """

    def __init__(
        self,
        objective: Objective,
        notes: Iterable[Mapping[str, object]] = (),
        models: ModelStore | None = None,
    ) -> None:
        self.objective = objective
        self._models = models
        self._columns: dict[int, dict[str, dict[int, float]]] = {}  # trial, metric, unit
        self._made: dict[int, tuple[TrialSummary, TrialResult]] = {}
        for note in notes:
            self.note(note)

    def note(self, note: Mapping[str, object]) -> None:
        """Take in a note of the run."""
        if note.get("what") == OBJECTIVE:
            self.objective = named(self.objective, (note,))
        if note.get("what") != METRICS:
            return
        trial, start, extra = note.get("trial_id"), note.get("start"), note.get("extra")
        if not isinstance(trial, int) or not isinstance(start, int) or not isinstance(extra, dict):
            return
        self._made.pop(trial, None)
        columns = self._columns.setdefault(trial, {})
        for name, values in extra.items():
            columns.setdefault(str(name), {}).update(enumerate(values, start + 1))

    def of(self, trial: TrialSummary) -> TrialResult:
        """Return a trial as users see it."""
        known = self._made.get(trial.trial_id)
        if known is not None and known[0] is trial:
            return known[1]
        units = range(1, len(trial.losses) + 1)
        result = TrialResult(
            trial.trial_id,
            trial.config,
            trial.bracket,
            trial.rung,
            trial.status,
            trial.losses,
            self._reason(trial),
            values=self.objective.values(trial.losses),
            metrics={
                name: tuple(float(column.get(unit, math.nan)) for unit in units)
                for name, column in self._columns.get(trial.trial_id, {}).items()
            },
            saved=None if self._models is None else TrialModel(self._models, trial.trial_id),
        )
        self._made[trial.trial_id] = trial, result
        return result

    def _reason(self, trial: TrialSummary) -> str:
        """Return its reason, in which a scheduler names what is not finite as a loss."""
        losses = trial.losses
        if losses and trial.reason == not_finite(LOSS, losses[-1], len(losses)):
            value = self.objective.value(losses[-1])
            return not_finite(self.objective.title, value, len(losses))
        return trial.reason

    def summary(self, summary: SchedulerSummary) -> RunSummary:
        """Return the state of a search as users see it."""
        trials = tuple(map(self.of, summary.trials))
        return RunSummary(
            trials,
            best_of(trials),
            summary.epochs,
            summary.events,
            summary.budget,
            objective=self.objective,
        )
