"""The objective of a run in its journal, which contains the values that the trainer returned.

Inside a run, losses are minimised. The header of the journal says what the numbers of its reports
are (`hpo.trainers.objective.Objective`), and `turned` is applied where a report is written and
where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from hpo.errors import UsageError
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import TrainReport

OBJECTIVE = "objective"
"""Kind of the journal's note of the metric that was found in what the trainer returned."""

_Report = TypeVar("_Report")


def turned(report: _Report, objective: Objective) -> _Report:
    """Return a report with losses for the user's values, or the reverse; other reports as they are.

    Parameters
    ----------
    report : Report
    objective : Objective
    """
    if objective.mode == "min" or not isinstance(report, TrainReport):
        return report
    return replace(report, losses=objective.losses(report.losses))


def to_header(objective: Objective) -> dict[str, Any]:
    """Return the entry of an objective in the header of a journal; empty for the default."""
    if objective == LOSS_MINIMISED:
        return {}
    return {"objective": {"name": objective.name, "mode": objective.mode}}


def of_header(data: Mapping[str, Any]) -> Objective:
    """Return the objective that a checked header names."""
    return Objective(**data.get("objective", {}))


def named(objective: Objective, notes: Iterable[Mapping[str, Any]]) -> Objective:
    """Return the objective with the name that was found in the run, if it was given none.

    Parameters
    ----------
    objective : Objective
    notes : iterable of Mapping
        Notes of the run.
    """
    if objective.name:
        return objective
    found = (note["name"] for note in notes if note.get("what") == OBJECTIVE)
    return replace(objective, name=next(found, ""))


def resumed_with(objective: Objective, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a resumed run with the objective that it began with.

    Parameters
    ----------
    objective : Objective
        From the header of its journal.
    settings : Mapping
        Settings that the user gave.

    Raises
    ------
    UsageError
        If they name another objective.
    """
    kept = {"objective": objective.name or None, "mode": objective.mode}
    for name, value in kept.items():
        if settings.get(name, value) != value:
            raise UsageError(
                f"{name} of a resumed run must be that which it began with, {value!r}, got "
                f"{settings[name]!r}; leave it out, or start a new run"
            )
    return {**settings, **kept}
