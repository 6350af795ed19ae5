"""The deadline of a run, and how much can be trained before it.

A batch job ends at a known time. A run with a deadline starts no segment that cannot end in time,
and stops cleanly. Schedulers do not use a clock; the runner compares each segment with the
time left.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hpo.errors import UsageError
from hpo.run.overlap import RESUMED
from hpo.run.replay import RESTART
from hpo.trial import TrainJob

SLURM_END = "SLURM_JOB_END_TIME"
"""Variable in which newer versions of Slurm say when the job ends, in seconds since 1970."""

PART = "part"
"""Kind of the journal's note of a part of a segment, which was cut at the deadline."""

_SLURM_MARGIN = 60.0
"""Seconds before the end of a Slurm job at which the run stops."""

_SLURM_PATIENCE = 60.0

_SAFETY = 1.2
"""A segment is expected to take so many times what was measured."""

_QUANTILE = 0.9
"""Which of the other trials' seconds per unit are expected of a trial that was not trained yet."""

_RULE = (
    "must be seconds or HH:MM:SS from the start, a number with a unit (90s, 55m, 1h30m, 2d), a "
    "date and time (2026-03-14T16:00:00), @SECONDS since 1970, or slurm"
)

_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)")
_UNITS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")

Moment = float | timedelta | datetime | str
"""What a deadline may be given as."""


def seconds_until(deadline: object) -> float:
    """Return the seconds from now to a deadline.

    Parameters
    ----------
    deadline : float, timedelta, datetime or str
        Seconds or duration from now; a moment (local time if it has no zone); or text:
        ``"00:55:00"``, ``"1-12:00:00"``, ``"55m"``, ``"3300"``, ``"2026-03-14T16:00:00"``,
        ``"@1773504000"``, or ``"slurm"``: one minute before the end of this Slurm job.

    Raises
    ------
    UsageError
        If it is none of these, or in the past.

    Examples
    --------
    >>> seconds_until("00:55:00"), seconds_until("1h30m"), seconds_until(90)
    (3300.0, 5400.0, 90.0)
    """
    try:
        seconds = _seconds(deadline)
    except UsageError:
        raise
    except (ValueError, OverflowError, OSError):  # no such date, or a number beyond all measure
        seconds = math.nan
    if not abs(seconds) <= threading.TIMEOUT_MAX:  # NaN is not
        raise UsageError(f"deadline {_RULE}; got {deadline!r}")
    if seconds <= 0:
        raise UsageError(
            f"deadline must be in the future, got {deadline!r}, which was {abs(seconds):.0f} s "
            "ago; give a later one, or a job with more time"
        )
    return seconds


def seconds_of(name: str, duration: object) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    name : str
        What it is, for the message.
    duration : float, timedelta or str
        Seconds, or text: ``"00:55:00"``, ``"1-12:00:00"``, ``"55m"``, ``"3300"``.

    Raises
    ------
    UsageError
        If it is none, or not positive.
    """
    try:
        if isinstance(duration, datetime):
            seconds = math.nan
        elif isinstance(duration, str):
            text = duration.strip()
            seconds = float(text) if (known := _duration(text)) is None else known
        else:
            seconds = _seconds(duration)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise UsageError(
            f"{name} must be a positive time: seconds, HH:MM:SS or a number with a unit (90s, 55m, "
            f"1h30m, 2d), got {duration!r}; a moment is given as deadline"
        )
    return seconds


def _seconds(deadline: object) -> float:
    """Return the seconds from now that a value means, NaN where it means nothing."""
    match deadline:
        case bool():
            return math.nan
        case timedelta():
            return deadline.total_seconds()
        case datetime():
            return deadline.timestamp() - time.time()
        case int() | float():
            return float(deadline)
        case str():
            return _read(deadline.strip())
        case _:  # another type, from Python
            return math.nan


def _read(text: str) -> float:
    """Return the seconds from now that some text means, NaN where it means nothing."""
    if text == "slurm":
        return _end_of_slurm_job() - _SLURM_MARGIN - time.time()
    if text.startswith("@"):
        return float(text[1:]) - time.time()
    if (seconds := _duration(text)) is not None:
        return seconds
    if "-" in text[1:]:
        return datetime.fromisoformat(text).timestamp() - time.time()
    return float(text)


def _duration(text: str) -> float | None:
    """Return the seconds of a duration such as 00:55:00 or 55m, None for other text."""
    parts = _CLOCK.fullmatch(text) or _UNITS.fullmatch(text)
    if not text or parts is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _end_of_slurm_job() -> float:
    """Return when this Slurm job ends, in seconds since 1970.

    Raises
    ------
    UsageError
        If this is no Slurm job, or one without a limit.
    """
    if (end := os.environ.get(SLURM_END, "")).isdecimal():
        return int(end)
    job = os.environ.get("SLURM_JOB_ID", "")
    array = os.environ.get("SLURM_ARRAY_JOB_ID", "")
    if array.isdecimal():  # one task has the id of the whole array as its SLURM_JOB_ID
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%e"]
    answer = ""
    if job.replace("_", "").isdecimal():  # an older Slurm
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_SLURM_PATIENCE, check=True
            ).stdout.strip()
    try:
        return datetime.fromisoformat(answer).timestamp()
    except ValueError:
        raise UsageError(
            f"deadline 'slurm' needs a Slurm job with a time limit (variable {SLURM_END} or "
            f"squeue --format %e), got {answer or 'none'!r}; give the time yourself, as 03:55:00"
        ) from None


class Deadline:
    """The moment at which a run stops, and how long its trials take.

    Parameters
    ----------
    seconds : float
        Time from now.
    is_limit : bool, default=False
        Whether it is the limit `max_time`, at which the run returns its results; otherwise it
        raises `InterruptedRunError`.
    """

    def __init__(self, seconds: float, *, is_limit: bool = False) -> None:
        self._end = time.monotonic() + seconds
        self.is_limit = is_limit
        self._pace: dict[int, float] = {}  # trial -> seconds per unit of its last segment

    @property
    def remaining(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def measured(self, trial_id: int, units: int, seconds: float) -> None:
        """Record how long a segment took."""
        if units:  # none were left where training has ended by itself
            self._pace[trial_id] = seconds / units

    def units(self, trial_id: int) -> float:
        """Return how many units of a trial can be trained in time, one if the pace is unknown.

        A trial is expected to continue at the pace of its last segment. For a trial that was not
        trained in this session, a slow pace among those of the other trials is used. As long as no
        pace is known, one unit is trained to measure it.
        """
        if self.remaining == 0:
            return 0.0
        pace = self._pace.get(trial_id)
        if pace is None and self._pace:
            paces = sorted(self._pace.values())
            pace = paces[min(len(paces) - 1, int(_QUANTILE * len(paces)))]
        return 1.0 if pace is None else self.remaining / (_SAFETY * max(pace, 1e-9))


def part_note(
    job: TrainJob, losses: Iterable[float], place: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the journal's note of the losses of a job that was trained in part, and where."""
    segment = {"trial_id": job.trial_id, "start": job.start, "stop": job.stop}
    note = {"what": PART, **segment, "losses": list(losses)}
    return {**note, "where": dict(place)} if place else note


def known_part(job: TrainJob, notes: Iterable[Mapping[str, Any]]) -> tuple[float, ...]:
    """Return the losses of a job that an earlier session noted by `part_note`, empty for none."""
    known: tuple[float, ...] = ()
    this = (job.trial_id, job.start, job.stop)
    for note in notes:
        lost = note.get("what") == RESUMED and not note.get("checkpoints", True)
        if lost or (note.get("what") == RESTART and note.get("trial_id") == job.trial_id):
            known = ()  # the trial starts afresh
        if note.get("what") == PART and this == tuple(map(note.get, ("trial_id", "start", "stop"))):
            known = tuple(float(loss) for loss in note["losses"])
    return known[: job.stop - job.start - 1]
