"""Limits of a run: time, epochs, trials, and a loss that is good enough.

A limit ends a run cleanly, with results, and is no part of the search: a resumed run goes on
from there, with another limit or without one. Whatever a limit cuts off is trained in the next
session, so that a search in parts is the same search. Only `max_trials` is known to the scheduler,
which finishes the trials that it has.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

from hpo.errors import UsageError
from hpo.loop import LimitsTrials, Scheduler
from hpo.run.deadline import PART, Deadline, Moment, seconds_of, seconds_until
from hpo.run.overlap import RESUMED
from hpo.run.replay import LIMITS, RESTART
from hpo.trainers.objective import Objective
from hpo.trial import SchedulerSummary, TrialStatus, best_of

STOPPED = "stopped"
"""Kind of the journal's note that a limit has ended the run."""


class LimitReachedError(Exception):
    """A limit has ended the run cleanly.

    Parameters
    ----------
    by : str
        Name of the limit.
    """

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


@dataclass(frozen=True)
class Limits:
    """Limits of a run; None for no limit.

    Attributes
    ----------
    max_time : float, timedelta, str or None, default=None
        Time of this call in seconds, or as text (``"55m"``, ``"1h30m"``, ``"01:30:00"``).
    max_epochs : int or None, default=None
        Resource units of the whole search.
    max_trials : int or None, default=None
        Trials that the whole search starts.
    target : float or None, default=None
        The run ends as soon as a value as good as this is reported, in the user's sign: at or below
        it if the objective is minimised, at or above it if it is maximised.

    Raises
    ------
    UsageError
        If a value is out of range.
    """

    max_time: float | timedelta | str | None = None
    max_epochs: int | None = None
    max_trials: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.max_time is not None:
            seconds_of("max_time", self.max_time)
        _check_count("max_epochs", self.max_epochs)
        _check_count("max_trials", self.max_trials)
        if self.target is not None and not _is_finite(self.target):
            raise UsageError(
                f"target must be a finite number, the value at which to stop, or None, got "
                f"{self.target!r:.60}"
            )

    @property
    def seconds(self) -> float:
        """Time of this call in seconds; infinity for no limit."""
        return math.inf if self.max_time is None else seconds_of("max_time", self.max_time)

    def begun(self, scheduler: Scheduler, deadline: Moment | None = None) -> Bounds:
        """Return the limits of a run that starts now.

        Parameters
        ----------
        scheduler : Scheduler
        deadline : Moment or None, default=None
            Deadline of the run, at which it raises; `max_time` counts if it comes first.

        Raises
        ------
        UsageError
            If the scheduler cannot limit its trials, or the deadline is over.
        """
        if self.max_trials is not None and not isinstance(scheduler, LimitsTrials):
            raise UsageError(
                f"max_trials needs a scheduler that limits its trials (method limit_trials), got "
                f"{type(scheduler).__name__}; leave max_trials out, or use max_epochs or max_time"
            )
        at_deadline = math.inf if deadline is None else seconds_until(deadline)
        seconds = min(at_deadline, self.seconds)
        if seconds == math.inf:
            return Bounds(self, None)
        return Bounds(self, Deadline(seconds, is_limit=self.seconds < at_deadline))

    def values(self) -> dict[str, Any]:
        """Return the limits that are set as plain numbers, by name."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given["max_time"] = None if self.max_time is None else self.seconds
        return {
            name: int(value) if isinstance(value, Integral) else float(value)
            for name, value in given.items()
            if value is not None
        }

    def stop_note(self, by: str) -> dict[str, Any]:
        """Return the journal's note that a limit has ended the run.

        Parameters
        ----------
        by : str
            Name of the limit, or of what else has ended it.
        """
        return {"what": STOPPED, "by": by, "limit": self.values().get(by)}

    def begin(
        self, scheduler: Scheduler, notes: Iterable[Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """Let the scheduler know its limit; return the note for the journal, None if there is none.

        Parameters
        ----------
        scheduler : Scheduler
        notes : iterable of Mapping
            Notes of the run before.
        """
        before = [note for note in notes if note.get("what") == LIMITS]
        was = before[-1] if before else {}
        if not self.values() and not any(was.get(field.name) for field in fields(self)):
            return None
        if isinstance(scheduler, LimitsTrials) and self.max_trials != was.get("max_trials"):
            scheduler.limit_trials(self.max_trials)
        return {"what": LIMITS, "max_trials": None, **self.values()}

    def is_reached(self, summary: SchedulerSummary, objective: Objective) -> bool:
        """Return whether the target was reached before.

        Parameters
        ----------
        summary : SchedulerSummary
            State of the search, parts of segments included (see `with_parts`).
        objective : Objective
        """
        if self.target is None:
            return False
        target = objective.loss(self.target)
        return any(trial.best_loss <= target for trial in summary.trials)

    def withholds_trials(self, scheduler: Scheduler) -> bool:
        """Return whether a scheduler that is done would continue without `max_trials`.

        Parameters
        ----------
        scheduler : Scheduler
        """
        return (
            self.max_trials is not None
            and isinstance(scheduler, LimitsTrials)
            and scheduler.trials_withheld
        )


@dataclass(frozen=True)
class Bounds:
    """Limits of a run that has started.

    Attributes
    ----------
    limits : Limits
    deadline : Deadline or None
        The earlier of the deadline and `max_time`.
    """

    limits: Limits
    deadline: Deadline | None


def stop_of(notes: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the note of the limit that has ended a run, None if none has or it was resumed since.

    Parameters
    ----------
    notes : iterable of Mapping
        Notes of a journal, in order.
    """
    found = None
    for note in notes:
        if note.get("what") in (STOPPED, RESUMED):
            found = note if note["what"] == STOPPED else None
    return found


def limits_of(notes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the limits for a process that takes over the lead of the run.

    Parameters
    ----------
    notes : iterable of Mapping
        Notes of a journal, in order.

    Returns
    -------
    dict
        Parameters of `Tuner.resume`: those of the whole search, none if a limit has ended the run.
    """
    notes = list(notes)
    latest: Mapping[str, Any] = {}
    for note in notes:
        if note.get("what") == LIMITS:
            latest = note
    names = ("max_epochs", "max_trials", "target")
    return {} if stop_of(notes) else {name: latest[name] for name in names if name in latest}


def stop_line(note: Mapping[str, Any]) -> str:
    """Return a line of text about the limit or callback that ended a run.

    Parameters
    ----------
    note : Mapping
        From `stop_of`.
    """
    limit = note.get("limit")
    if limit is None:  # a callback
        return f"Stopped by {note['by']}; resume the run to continue."
    value = f"={limit:g}" if isinstance(limit, float) else f"={limit}"
    unit = " s" if note["by"] == "max_time" else ""
    return (
        f"Stopped by {note['by']}{value}{unit}; resume the run with another limit, or without one "
        "to its end."
    )


def with_parts(
    summary: SchedulerSummary, notes: Iterable[Mapping[str, Any]], objective: Objective
) -> SchedulerSummary:
    """Add the losses of segments that were cut at a limit, which the scheduler does not know yet.

    Parameters
    ----------
    summary : SchedulerSummary
    notes : iterable of Mapping
        Notes of the journal, in order, with values in the user's sign.
    objective : Objective
    """
    parts: dict[int, Mapping[str, Any]] = {}
    for note in notes:
        what = note.get("what")
        if what == PART:
            parts[note["trial_id"]] = note
        elif what == RESTART:
            parts.pop(note["trial_id"], None)
        elif what == RESUMED and not note.get("checkpoints", True):
            parts.clear()  # the trials start afresh
    trials = list(summary.trials)
    epochs = summary.epochs
    for trial_id, note in parts.items():
        trial = trials[trial_id] if trial_id < len(trials) else None
        if trial is None or trial.status is not TrialStatus.RUNNING:
            continue
        if len(trial.losses) == note["start"]:
            losses = objective.losses(tuple(map(float, note["losses"])))
            trials[trial_id] = replace(trial, losses=trial.losses + losses)
            epochs += len(losses)
    if epochs == summary.epochs:
        return summary
    return replace(summary, trials=tuple(trials), best=best_of(trials), epochs=epochs)


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UsageError(f"{name} must be an integer of at least 1 or None, got {value!r}")


def check_at_least(name: str, value: object, least: int) -> None:
    """Check an integer setting.

    Raises
    ------
    UsageError
        If it is no integer, or too low.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be an integer of at least {least}, got {value!r}")


def check_seconds(name: str, value: float | None) -> None:
    """Check a time limit in seconds, None for no limit.

    Raises
    ------
    UsageError
        If it is not positive, or not finite.
    """
    if value is not None and not 0 < value <= threading.TIMEOUT_MAX:
        raise UsageError(
            f"{name} must be a positive number of seconds, finite, or None for no limit, got "
            f"{value!r}"
        )
