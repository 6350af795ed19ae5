"""State of a run from the lines of its journal alone, for one that was started from Python objects.

Such a journal cannot build its scheduler again, which would say what became of each trial. So the
run writes that down itself when it ends or is stopped cleanly: a note of kind ``state``. What
comes after the last such note, or everything if there is none, is taken from the decisions and the
reports.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpo.run.journal import Entry, JournalContent, collector_paused
from hpo.trial import (
    Event,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    TrialSummary,
    best_of,
    with_tuples,
)

STATE = "state"
"""Kind of the journal's note of the state of a search whose scheduler it cannot name."""


def state_note(summary: SchedulerSummary, *, finished: bool) -> dict[str, Any]:
    """Return the state of a search as plain values for the journal.

    Parameters
    ----------
    summary : SchedulerSummary
        State of the scheduler. Configurations and losses are in the journal already.
    finished : bool
        Whether the search is over.
    """
    return {
        "what": STATE,
        "finished": finished,
        "budget": summary.budget,
        "trials": [
            [trial.trial_id, trial.bracket, trial.rung, str(trial.status), trial.reason]
            for trial in summary.trials
        ],
        "events": [_without_defaults(event) for event in summary.events],
    }


def _without_defaults(event: Event) -> dict[str, Any]:
    data = dataclasses.asdict(event)
    defaults = {field.name: field.default for field in dataclasses.fields(Event)}
    return {name: value for name, value in data.items() if value != defaults[name]}


@collector_paused()
def recorded_state(content: JournalContent) -> tuple[SchedulerSummary, bool]:
    """Return the state of a run, and whether it is known to be over.

    A trial whose report came after the last note counts as waiting: whether it was stopped or is
    complete, only its scheduler knows.

    Parameters
    ----------
    content : JournalContent
        Content of the journal.

    Raises
    ------
    JournalError
        If a line holds a report that is none.
    """
    known = _Known()
    for entry in content.entries:
        if entry.kind == "decided":
            known.decided(entry.data)
        elif entry.kind == "reported":
            known.reported(content.report(entry))
        elif entry.data.get("what") == STATE:
            known.noted(entry)
    trials = tuple(known.trials[trial_id] for trial_id in sorted(known.trials))
    epochs = sum(len(trial.losses) for trial in trials)
    summary = SchedulerSummary(trials, best_of(trials), epochs, known.events, known.budget)
    return summary, known.finished


class _Known:
    """What the lines so far say."""

    def __init__(self) -> None:
        self.trials: dict[int, TrialSummary] = {}
        self.events: tuple[Event, ...] = ()
        self.budget: int | None = None
        self.finished = False

    def decided(self, job: Mapping[str, Any]) -> None:
        self.finished = False
        if job.get("type") != TrainJob.__name__:
            return
        try:
            train = TrainJob.from_json(job)
        except ValueError:  # of another version: its report counts nothing
            return
        before = self.trials.get(train.trial_id)
        self.trials[train.trial_id] = TrialSummary(
            train.trial_id,
            with_tuples(train.config),
            train.bracket,
            train.rung,
            TrialStatus.RUNNING,
            () if before is None else before.losses,
        )

    def reported(self, report: object) -> None:
        self.finished = False
        if not isinstance(report, TrainReport | TrainFailure):
            return
        trial = self.trials.get(report.trial_id)
        if trial is None:
            return
        if isinstance(report, TrainFailure):
            changed = dataclasses.replace(trial, status=TrialStatus.FAILED, reason=report.reason)
        else:
            changed = dataclasses.replace(
                trial,
                status=TrialStatus.COMPLETED if report.finished else TrialStatus.WAITING,
                losses=trial.losses[: report.start] + report.losses,
            )
        self.trials[trial.trial_id] = changed

    def noted(self, entry: Entry) -> None:
        for trial_id, bracket, rung, status, reason in entry.data["trials"]:
            if trial_id in self.trials:
                self.trials[trial_id] = dataclasses.replace(
                    self.trials[trial_id],
                    bracket=bracket,
                    rung=rung,
                    status=TrialStatus(status),
                    reason=reason,
                )
        self.events = tuple(_event(data) for data in entry.data["events"])
        self.budget = entry.data["budget"]
        self.finished = entry.data["finished"]


def _event(data: Mapping[str, Any]) -> Event:
    lists = {name: tuple(data.get(name, ())) for name in ("kept", "dropped")}
    return Event(**{**data, **lists})
