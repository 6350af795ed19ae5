"""Rebuilds a scheduler from a journal, by the same calls as in the run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.errors import JournalError
from hpo.loop import (
    Extendable,
    LimitsTrials,
    RetriesTrials,
    Scheduler,
    TakesInitial,
    expect_workers,
)
from hpo.run.checks import shown
from hpo.run.journal import Entry, JournalContent, collector_paused, compact
from hpo.trainers.base import describe
from hpo.trial import Job, TrainJob, with_tuples

WORKERS = "workers"
"""Kind of the journal's note of the number of workers for which the run began."""
RETRY_FAILED = "retry-failed"
"""Kind of the journal's note that the scheduler took failed trials back."""
INITIAL = "initial"
"""Kind of the journal's note of the configurations that are tried first."""
EXTENDED = "extended"
"""Kind of the journal's note that the search goes on beyond its end, and by which settings."""
RESTART = "restart"
"""Kind of the journal's note that a trial starts afresh, since its checkpoint was lost."""
LIMITS = "limits"
"""Kind of the journal's note of the limits of a run from there on (see `hpo.run.limits`)."""
CHECKPOINTS = "checkpoints"
"""Kind of the journal's note that the trainer keeps checkpoints."""


@collector_paused()
def replay(
    content: JournalContent,
    scheduler: Scheduler,
    decided: Callable[[Job], None] | None = None,
) -> list[Job]:
    """Bring a fresh scheduler to the state that the journal holds.

    Parameters
    ----------
    content : JournalContent
        From `read_journal` or `Journal.open`.
    scheduler : Scheduler
        In the state in which the run began.
    decided : callable, optional
        Called with each job that was decided.

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
    reports = iter(content.reports())
    for entry in content.entries:
        if entry.kind == "decided":
            job = _asked(scheduler, entry, content.path)
            pending[_key(job)] = job
            if decided is not None:
                decided(job)
        elif entry.kind == "note" and entry.data.get("what") in _TAKE_IN:
            _TAKE_IN[entry.data["what"]](scheduler, entry, content.path)
        elif entry.kind == "reported":
            _, report = next(reports)
            with _blaming(entry, content.path):
                scheduler.tell(report)
            pending.pop(_key(report), None)
    return list(pending.values())


@contextlib.contextmanager
def _blaming(entry: Entry, path: Path) -> Iterator[None]:
    """Turn an exception of the scheduler into the journal's: what it was given comes from there.

    A scheduler checks that reports fit its jobs; what a forecast holds beyond that can make any
    step fail that calculates with it.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        what = str(error) if isinstance(error, ValueError) else describe(error)
        raise JournalError(
            f"line {entry.line} of journal {path} does not fit this run: {what}"
        ) from error


def _retry(scheduler: Scheduler, entry: Entry, path: Path) -> None:
    """Let the scheduler take failed trials back, as in the run."""
    if not isinstance(scheduler, RetriesTrials):
        raise JournalError(
            f"line {entry.line} of journal {path} takes failed trials back, which "
            f"{type(scheduler).__name__} cannot; use the scheduler that the run was resumed with"
        )
    with _blaming(entry, path):
        scheduler.retry(entry.data["trials"])


def _limit(scheduler: Scheduler, entry: Entry, path: Path) -> None:
    """Limit the trials of the scheduler, as in the run."""
    if isinstance(scheduler, LimitsTrials):
        with _blaming(entry, path):
            scheduler.limit_trials(entry.data["max_trials"])
    elif entry.data["max_trials"] is not None:
        raise JournalError(
            f"line {entry.line} of journal {path} limits the number of trials, which "
            f"{type(scheduler).__name__} cannot; use the scheduler that the run was begun with"
        )


def _enqueue(scheduler: Scheduler, entry: Entry, path: Path) -> None:
    """Let the scheduler try configurations first, as in the run."""
    if not isinstance(scheduler, TakesInitial):
        raise JournalError(
            f"line {entry.line} of journal {path} names configurations to try first, which "
            f"{type(scheduler).__name__} cannot; use the scheduler that the run began with"
        )
    with _blaming(entry, path):
        scheduler.enqueue([with_tuples(config) for config in entry.data["configs"]])


def _extend(scheduler: Scheduler, entry: Entry, path: Path) -> None:
    """Extend the search beyond its end, as in the run."""
    if not isinstance(scheduler, Extendable):
        raise JournalError(
            f"line {entry.line} of journal {path} extends the search, which "
            f"{type(scheduler).__name__} cannot; use the scheduler that the run was extended with"
        )
    with _blaming(entry, path):
        scheduler.extend(**entry.data["settings"])


def _expect_workers(scheduler: Scheduler, entry: Entry, path: Path) -> None:
    with _blaming(entry, path):
        expect_workers(scheduler, entry.data["n_workers"])


_TAKE_IN: Mapping[str, Callable[[Scheduler, Entry, Path], None]] = {
    WORKERS: _expect_workers,
    INITIAL: _enqueue,
    RETRY_FAILED: _retry,
    LIMITS: _limit,
    EXTENDED: _extend,
}
"""What a scheduler does about a note."""


def restarting(content: JournalContent) -> set[int]:
    """Return the trials whose last job started them from the beginning and has no report.

    Parameters
    ----------
    content : JournalContent
    """
    trials: set[int] = set()
    for entry in content.entries:
        if entry.kind == "decided" and entry.data.get("type") == TrainJob.__name__:
            trials.discard(entry.data.get("trial_id", -1))
        elif entry.kind == "note" and entry.data.get("what") == RESTART:
            trials.add(entry.data["trial_id"])
    return trials


def _key(value: Any) -> tuple[str, int]:
    """Return what a job and its report have in common."""
    if hasattr(value, "job_id"):
        return "predict", int(value.job_id)
    return "train", int(value.trial_id)


def _asked(scheduler: Scheduler, entry: Entry, path: Path) -> Job:
    """Ask the scheduler and check that it decides as in the journal."""
    with _blaming(entry, path):
        decision = scheduler.ask()
    if isinstance(decision, Job):
        # Compared as text, in which NaN equals NaN, and first in the order of writing, which is
        # quicker and mostly the same.
        now, then = compact(decision), entry.data
        if repr(now) == repr(then) or _sorted(now) == _sorted(then):
            return decision
    raise JournalError(
        f"journal {path} belongs to another run or version: in line {entry.line} it decided "
        f"{_short(entry.data)}, but this scheduler decides {_short(decision.to_json())}; resume it "
        "with the settings and the hpo version that it was started with"
    )


def _sorted(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True)


def _short(data: Mapping[str, Any]) -> str:
    """Return a decision in a few words."""
    kind, job = data.get("type"), data.get("job_id")
    if kind != "TrainJob":
        return shown(kind) if job is None else f"{shown(kind)} {shown(job)}"
    trial, start, stop = (shown(data.get(name)) for name in ("trial_id", "start", "stop"))
    return f"to train trial {trial} ({data.get('config')!s:.200}) from {start} to {stop}"
