"""Rebuilding a scheduler from a journal: ask and tell exactly as the run did."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo.errors import JournalError
from hpo.loop import Scheduler
from hpo.run.journal import Entry, JournalContent, compact
from hpo.trial import Job, Report


def replay(
    content: JournalContent,
    scheduler: Scheduler,
    told: Callable[[Report], None] | None = None,
) -> list[Job]:
    """Bring a fresh scheduler to the state that the journal holds.

    Parameters
    ----------
    content : JournalContent
        From `read_journal` or `Journal.open`.
    scheduler : Scheduler
        As the run began with; it is asked and told exactly as it was then.
    told : callable, optional
        Called with each report after the scheduler was told.

    Returns
    -------
    list of Job
        Jobs that were decided and have no report yet, in order; to be submitted again.

    Raises
    ------
    JournalError
        If the scheduler decides otherwise than the journal says: it has other settings, or is of
        another version.
    """
    pending: dict[tuple[str, int], Job] = {}
    for entry in content.entries:
        if entry.kind == "decided":
            job = _asked(scheduler, entry, content.path)
            pending[_key(job)] = job
        elif entry.kind == "reported":
            report = content.report(entry)
            _tell(scheduler, report, content.path, entry.line)
            pending.pop(_key(report), None)
            if told is not None:
                told(report)
    return list(pending.values())


def _tell(scheduler: Scheduler, report: Report, path: Path, line: int) -> None:
    try:
        scheduler.tell(report)
    except ValueError as error:
        raise JournalError(
            f"line {line} of journal {path} does not fit this run: {error}"
        ) from None


def _key(value: Any) -> tuple[str, int]:
    if hasattr(value, "job_id"):
        return "predict", int(value.job_id)
    return "train", int(value.trial_id)


def _asked(scheduler: Scheduler, entry: Entry, path: Path) -> Job:
    """Ask the scheduler and check that it decides as it did in the journal."""
    decision = scheduler.ask()
    if isinstance(decision, Job) and _equal(compact(decision), entry.data):
        return decision
    raise JournalError(
        f"journal {path} belongs to another run or version: in line {entry.line} it decided "
        f"{_short(entry.data)}, but this scheduler decides {_short(decision.to_json())}; resume it "
        "with the settings and the hpo version that it was started with"
    )


def _equal(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Compare plain values, NaN being equal to NaN."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _short(data: Mapping[str, Any]) -> str:
    if data.get("type") == "TrainJob":
        return (
            f"to train trial {data['trial_id']} ({data['config']}) from {data['start']} to "
            f"{data['stop']}"
        )
    if data.get("type") == "PredictJob":
        return f"to predict for bracket {data['bracket']}, rung {data['rung']}"
    if data.get("type") == "ForecastJob":
        return f"to forecast (job {data['job_id']})"
    return f"{data.get('type')}"
