"""Timeline of a run: which worker did what, from when to when, as the journal recorded it.

A worker notes where and when it trained a segment (`hpo.trainers.place`), and the journal keeps
that in the line of the report. Journals of earlier versions lack the end, or the worker: the end is
then the time of the report, and the start the time of the decision.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.run.checks import is_integer, is_number
from hpo.run.deadline import PART
from hpo.run.journal import JournalContent
from hpo.run.overlap import RESUMED
from hpo.trial import ForecastJob, PredictJob, TrainFailure, TrainJob, TrainReport

_PROCESS = re.compile(r"^(?:Forked|Spawn|Fork|ForkServer)Process-(\d+)$")
"""Names that Python gives to processes: those of workers in journals of earlier versions."""
PREDICTIONS = "predictions"
"""Row of the predictions and forecasts in a timeline."""


def worker_name(process: str) -> str:
    """Return the name by which people see a worker, without the kind of its process.

    >>> worker_name("ForkedProcess-2"), worker_name("rank 3")
    ('worker 2', 'rank 3')
    """
    return _PROCESS.sub(r"worker \1", process)


@dataclass(frozen=True)
class Span:
    """What one worker did for some time.

    Attributes
    ----------
    kind : str
        ``"train"`` (a segment of a trial), ``"retry"`` (an attempt that failed and was repeated),
        ``"failed"`` (an attempt after which the trial failed), ``"predict"``, ``"forecast"`` or
        ``"wait"`` (a worker had no segment).
    start, end : float
        Seconds since the first decision of the run.
    worker, host, device : str
        Who did it; empty where that was not recorded.
    pid : int or None
        Its process.
    trial_id, first, last : int or None
        Trial, and its units before and after; None for a prediction.
    session : int
        Number of times that the run had been resumed before.
    """

    kind: str
    start: float
    end: float
    worker: str = ""
    host: str = ""
    device: str = ""
    pid: int | None = None
    trial_id: int | None = None
    first: int | None = None
    last: int | None = None
    session: int = 0

    @property
    def lane(self) -> tuple[str, str]:
        """Host and name of the worker: what one row of a timeline shows."""
        if self.kind in ("predict", "forecast"):
            return "", PREDICTIONS
        name = worker_name(self.worker)
        return self.host, name or ("" if self.pid is None else f"process {self.pid}")


class TimelineRecorder:
    """Collects the spans of a run from its decisions, reports and notes, in their order."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._origin: float | None = None
        self._session = 0
        self._training: dict[int, tuple[float, int, int]] = {}  # since, first and last unit
        self._predicting: dict[int, tuple[float, str]] = {}  # since, kind

    def decided(self, job: Mapping[str, Any], time: float) -> None:
        """Record a decision: plain values of a job, with their ``type``."""
        self._origin = time if self._origin is None else self._origin
        kind, trial, number = job.get("type"), job.get("trial_id"), job.get("job_id")
        if kind == TrainJob.__name__ and _is_segment(job):
            self._training[int(trial or 0)] = time, int(job["start"]), int(job["stop"])
        elif kind in (PredictJob.__name__, ForecastJob.__name__) and is_integer(number):
            name = "forecast" if kind == ForecastJob.__name__ else "predict"
            self._predicting[int(number or 0)] = time, name

    def reported(
        self, report: Mapping[str, Any], time: float, where: Mapping[str, Any] | None = None
    ) -> None:
        """Record a report: plain values with their ``type``, and where its segment ran."""
        kind, trial, number = report.get("type"), report.get("trial_id"), report.get("job_id")
        if kind in (TrainReport.__name__, TrainFailure.__name__) and is_integer(trial):
            failed = kind == TrainFailure.__name__
            self._ended("failed" if failed else "train", int(trial or 0), time, where)
            self._training.pop(int(trial or 0), None)
        elif is_integer(number) and (begun := self._predicting.pop(int(number or 0), None)):
            self._add(Span(begun[1], begun[0], time, PREDICTIONS))

    def note(self, note: Mapping[str, Any], time: float) -> None:
        """Record a note of the run."""
        what, trial = note.get("what"), note.get("trial_id")
        if what == RESUMED:
            self._session += 1
            self._training = {
                trial: (time, first, last) for trial, (_, first, last) in self._training.items()
            }
            self._predicting = {
                number: (time, kind) for number, (_, kind) in self._predicting.items()
            }
        elif what == "retry" and trial in self._training:
            self._ended("retry", int(trial), time, note.get("where"))
        elif what == PART and trial in self._training and isinstance(note.get("losses"), list):
            begun, first, last = self._training[int(trial)]
            done = min(last, int(note.get("start", first)) + len(note["losses"]))
            self._training[int(trial)] = begun, first, done
            self._ended("train", int(trial), time, note.get("where"))
            self._training[int(trial)] = time, done, last

    def _ended(self, kind: str, trial: int, time: float, where: object) -> None:
        """Add the span of a segment, and let the next attempt begin now."""
        begun, first, last = self._training.get(trial, (time, None, None))
        place = where if isinstance(where, Mapping) else {}
        started, ended, pid = (place.get(name) for name in ("started", "ended", "pid"))
        start = float(started) if is_number(started) else begun  # type: ignore[arg-type]
        end = float(ended) if is_number(ended) else time  # type: ignore[arg-type]
        worker, host, device = (str(place.get(name, "")) for name in ("worker", "host", "device"))
        self._add(
            Span(
                kind,
                start,
                max(start, end),
                worker,
                host,
                device,
                pid if isinstance(pid, int) else None,
                trial_id=trial,
                first=first,
                last=last,
            )
        )
        if first is not None and last is not None:
            self._training[trial] = time, first, last

    def _add(self, span: Span) -> None:
        origin = span.start if self._origin is None else self._origin
        if math.isfinite(span.start) and math.isfinite(span.end):
            start, end = round(span.start - origin, 3), round(span.end - origin, 3)
            self.spans.append(replace(span, start=start, end=end, session=self._session))


def _is_segment(job: Mapping[str, Any]) -> bool:
    return all(is_integer(job.get(name)) for name in ("trial_id", "start", "stop"))


def spans_of(content: JournalContent) -> tuple[Span, ...]:
    """Return what the journal of a run has recorded of its workers.

    Parameters
    ----------
    content : JournalContent
    """
    recorder = TimelineRecorder()
    take_in(recorder, content)
    return tuple(recorder.spans)


def take_in(recorder: TimelineRecorder, content: JournalContent) -> None:
    """Let a recorder see the entries of a journal."""
    for entry in content.entries:
        if entry.kind == "decided":
            recorder.decided(entry.data, entry.time)
        elif entry.kind == "reported":
            recorder.reported(entry.data, entry.time, entry.where)
        else:
            recorder.note(entry.data, entry.time)


def waits_of(spans: Iterable[Span]) -> list[Span]:
    """Return when each worker had no segment, from its first one on, in each session.

    Parameters
    ----------
    spans : iterable of Span
        All of a run. If the worker of one of them was not recorded, no waiting is known.
    """
    spans = tuple(spans)
    if not all(span.lane[1] for span in spans):
        return []
    ends: dict[int, float] = defaultdict(float)
    lanes: dict[tuple[int, tuple[str, str]], list[Span]] = defaultdict(list)
    for span in spans:
        ends[span.session] = max(ends[span.session], span.end)
        if span.trial_id is not None:
            lanes[span.session, span.lane].append(span)
    waits = []
    for (session, _), found in lanes.items():
        ordered = sorted(found, key=lambda span: span.start)
        free = ordered[0].end
        for span in [*ordered[1:], Span("", ends[session], ends[session])]:
            if span.start > free:
                wait = replace(ordered[0], kind="wait", trial_id=None, first=None, last=None)
                waits.append(replace(wait, start=free, end=span.start))
            free = max(free, span.end)
    return waits


def without_pauses(spans: Sequence[Span]) -> list[Span]:
    """Return the spans as if each session had begun when the one before ended.

    Parameters
    ----------
    spans : sequence of Span
    """
    shifted: list[Span] = []
    before = 0.0
    for session in sorted({span.session for span in spans}):
        found = [span for span in spans if span.session == session]
        shift = before - min(span.start for span in found) if shifted else 0.0
        shifted += [replace(span, start=span.start + shift, end=span.end + shift) for span in found]
        before = max(span.end for span in shifted)
    return shifted


def lanes_of(spans: Sequence[Span]) -> tuple[list[str], list[int], bool]:
    """Return the rows of a timeline: their names, the row of each span, and if they are workers.

    Parameters
    ----------
    spans : sequence of Span
        If the worker of one of them was not recorded, segments are put into as few rows as
        possible, and the rows are no workers.
    """
    recorded = all(span.lane[1] for span in spans)
    if recorded:
        several = len({span.host for span in spans if span.host}) > 1
        keys = sorted({span.lane for span in spans}, key=_in_order)
        names = [f"{host}, {worker}" if several and host else worker for host, worker in keys]
        places = {key: place for place, key in enumerate(keys)}
        return names, [places[span.lane] for span in spans], True
    free: list[float] = []  # when each row is free again
    rows = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda place: spans[place].start):
        span = spans[place]
        if span.trial_id is None:
            rows[place] = -1
            continue
        row = next((row for row, end in enumerate(free) if end <= span.start), len(free))
        free[row : row + 1] = [span.end]
        rows[place] = row
    names = [f"row {row + 1}" for row in range(len(free))]
    if -1 in rows:
        rows = [len(names) if row < 0 else row for row in rows]
        names.append(PREDICTIONS)
    return names, rows, False


def _in_order(lane: tuple[str, str]) -> tuple[bool, str, list[tuple[int, str]]]:
    """Return a key that sorts worker 10 after worker 2, and predictions last."""
    host, worker = lane
    digits = "".join(each if each.isdecimal() else " " for each in worker).split()
    return worker == PREDICTIONS, host, [(int(each), "") for each in digits] + [(0, worker)]
