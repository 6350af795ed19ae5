"""Recording a run: to the journal first, then to the progress display."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from hpo.loop import Scheduler
from hpo.run.baseline import HyperbandBaseline
from hpo.run.deadline import PART
from hpo.run.journal import Journal, JournalContent
from hpo.run.limits import with_parts
from hpo.run.overlap import Overlap
from hpo.run.progress import Progress
from hpo.run.timeline import TimelineRecorder, take_in
from hpo.run.trial_results import TrialResult, TrialViews
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import Job, Report, TrainFailure, TrainReport, TrialSummary

LEADER = "leader"
"""Kind of the journal's note of the process that leads the run from there on."""
SEGMENT = "segment"
"""Kind of the note of where a segment ran, which is kept with its report."""

_SHOW_EVERY = 0.2
"""Least seconds between two updates of the progress display."""
_SHOW_SHARE = 0.02
"""Largest share of the time that the display may take: a summary of many trials takes long."""
_SHOW_AT_ONCE = 0.2
"""Seconds that it may take beyond this share, so that a burst of events is shown."""


def leader_of(notes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the process that leads a run, or last did; empty if its notes do not say.

    Parameters
    ----------
    notes : iterable of Mapping
        Notes of its journal, in order.
    """
    latest: Mapping[str, Any] = {}
    for note in notes:
        if note.get("what") == LEADER:
            latest = note
    return {name: value for name, value in latest.items() if name != "what"}


class RunRecorder:
    """A `hpo.loop.Recorder`: writes to the journal first, then updates the display.

    Parameters
    ----------
    scheduler : Scheduler
        Scheduler whose state is shown.
    journal : Journal or None
        Journal to write to, if any.
    progress : Progress
        Display.
    baseline : HyperbandBaseline or None
        What savings are measured against.
    before : JournalContent or None, default=None
        Content of the journal when the run was resumed.
    objective : Objective
        What the search optimises.

    Attributes
    ----------
    reports : list of (float, Report)
        Reports so far with their times of arrival, in seconds since the epoch.
    notes : list of Mapping
        Notes so far: retries, extra metrics, overlap figures.
    timeline : TimelineRecorder
        What each worker has done so far.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        journal: Journal | None,
        progress: Progress,
        baseline: HyperbandBaseline | None,
        before: JournalContent | None = None,
        objective: Objective = LOSS_MINIMISED,
    ) -> None:
        self._scheduler = scheduler
        self._journal = journal
        self._progress = progress
        self._baseline = baseline
        self._shown, self._spent = -math.inf, 0.0  # last update of the display, and its seconds
        self._begun, self._spent_in_all = time.monotonic(), 0.0
        self._is_newer = False  # than what is displayed
        self.timeline = TimelineRecorder()
        if before is not None:
            take_in(self.timeline, before)
        self._places: dict[tuple[int, int], Mapping[str, Any]] = {}
        self.reports: list[tuple[float, Report]] = [] if before is None else before.reports()
        self.notes: list[Mapping[str, Any]] = [] if before is None else before.notes()
        self._has_parts = any(note.get("what") == PART for note in self.notes)
        self._objective = objective
        self._views = TrialViews(objective, self.notes)

    def decided(self, job: Job) -> None:
        """Record a decision."""
        self.timeline.decided(_named(job), time.time())
        if self._journal is not None:
            self._journal.decided(job)
        self._show_sometimes()

    def reported(self, report: Report) -> None:
        """Record a report."""
        where = None
        if isinstance(report, TrainReport | TrainFailure):
            where = self._places.pop((report.trial_id, report.start), None)
        if self._journal is not None:
            self._journal.reported(report, where)
        self.timeline.reported(_named(report), time.time(), where)
        self.reports.append((time.time(), report))
        self._show_sometimes()

    def note(self, data: Mapping[str, Any]) -> None:
        """Record a retry, extra metrics or overlap figures.

        Where a segment ran is written in the line of its report, which follows.
        """
        if data.get("what") == SEGMENT:
            self._places[data["trial_id"], data["start"]] = data["where"]
            return
        if self._journal is not None:
            self._journal.append("note", data)
        self.timeline.note(data, time.time())
        self._has_parts |= data.get("what") == PART
        self.notes.append(data)
        self._views.note(data)

    def view(self, trial: TrialSummary) -> TrialResult:
        """Return a trial as users see it."""
        return self._views.of(trial)

    def finish(self, overlap: Overlap) -> None:
        """Record how busy the workers were, and show the final state."""
        if overlap.capacity > 0:
            self.note(overlap.to_note())
        self.show()

    def _show_sometimes(self) -> None:
        """Show the state before a decision or a report takes effect."""
        if time.monotonic() >= self._shown + max(_SHOW_EVERY, self._spent / _SHOW_SHARE):
            self.show()
        self._is_newer = True

    def idle(self) -> float | None:
        """Show the state of this moment before the run waits, unless that takes too long.

        Returns
        -------
        float or None
            Seconds after which this should be called again; None if that is not needed.
        """
        due = None
        if self._is_newer:
            spare = _SHOW_AT_ONCE + _SHOW_SHARE * (time.monotonic() - self._begun)
            due = max(0.0, self._spent_in_all - spare) / _SHOW_SHARE
        if due == 0:
            self.show()
            due = None
        again = self._progress.tick()
        return min((each for each in (due, again) if each is not None), default=None)

    def show(self) -> None:
        """Show the state of this moment."""
        begun = time.monotonic()
        summary = self._scheduler.summary()
        if self._has_parts:
            summary = with_parts(summary, self.notes, self._objective)
        self._progress.show(self._views.summary(summary), self._baseline)
        self._is_newer, self._shown, self._spent = False, begun, time.monotonic() - begun
        self._spent_in_all += self._spent


def _named(value: Job | Report) -> dict[str, Any]:
    """Return the type and the short fields of a job or a report, as its line of the journal has."""
    names = ("trial_id", "start", "stop", "job_id")
    known = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {"type": type(value).__name__, **known}
