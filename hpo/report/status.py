"""State of a run at this moment, from its journal: also while it runs, and without its lock.

What a process writes can be read at any time: a line that is being written counts as torn and is
left out. The lock of the journal shows whether the leading process still runs. The lock is looked
up and not taken.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo.errors import UsageError
from hpo.loop import Scheduler
from hpo.run.checkpoints import CheckpointStore, default_directory
from hpo.run.checks import is_integer, is_number
from hpo.run.journal import JournalContent
from hpo.run.objective import named
from hpo.run.overlap import RESUMED
from hpo.run.recorder import LEADER, leader_of
from hpo.run.results import Results
from hpo.run.salvage import read_salvaged
from hpo.run.table import config_text
from hpo.run.timeline import worker_name
from hpo.trainers.objective import LOSS

_BEGINNING = 30.0
"""Seconds within which a run that has created its journal writes who leads it."""


@dataclass(frozen=True)
class RunningSegment:
    """A segment that was started and has not been reported.

    Attributes
    ----------
    trial_id, start, stop : int
        Trial and its units before and after.
    since : float
        When it started, in seconds since the epoch.
    attempt : int, default=1
        Number of the attempt, from 1.
    host, worker, device : str, default=""
        Where it runs; empty where that is not known.
    pid : int or None, default=None
        Its process.

    Examples
    --------
    >>> from hpo.report import RunningSegment
    >>> RunningSegment(trial_id=3, start=9, stop=27, since=0.0, worker="1").stop
    27
    """

    trial_id: int
    start: int
    stop: int
    since: float
    attempt: int = 1
    host: str = ""
    worker: str = ""
    device: str = ""
    pid: int | None = None

    def line(self, now: float, *, interrupted: bool = False) -> str:
        """Return one line of text.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        interrupted : bool, default=False
            Whether it does not run any more.
        """
        age = _duration(now - self.since)
        text = f"trial {self.trial_id}, epochs {self.start} to {self.stop}, "
        text += f"started {age} ago" if interrupted else f"for {age}"
        text += f", attempt {self.attempt}" if self.attempt > 1 else ""
        where = [self.host, f"process {self.pid}" if self.pid else "", worker_name(self.worker)]
        where.append(f"device {self.device}" if self.device else "")
        known = ", ".join(part for part in where if part)
        return f"{text}, on {known}" if known else text


@dataclass(frozen=True)
class RunStatus:
    """State of a run.

    Attributes
    ----------
    journal, run_id, trainer, scheduler : str
        Its journal, its unique name, and what it tunes with what (empty where it is not known).
    state : str
        ``"running"``; ``"stopped"``: it can be resumed, or its scheduler is not known and nothing
        runs; ``"finished"``; or ``"unknown"``: it is led by another host, whose locks cannot be
        seen here, or its journal does not say who leads it.
    leader : Mapping
        Host and process that lead it, or last did; empty for a journal of an earlier version.
    started, last_entry : float
        Times of the first and the last line, in seconds since the epoch.
    last_report : float or None
        Time of the last report.
    trials : Mapping of str to int
        Number of trials by state. Those that a run was stopped in are ``"interrupted"``. Where the
        scheduler is not known, those that are neither running nor failed are ``"other"``.
    best : Mapping or None
        ``trial_id``, ``units`` and ``config`` of the best trial so far (`hpo.trial.best_of`), and
        its last value by the name of the objective (``loss`` without one).
    units, budget, left : int or None
        Resource units trained, to be trained in all, and left; None where it is not known.
    n_workers : int or None
        Segments that run at the same time.
    hosts : Mapping of str to int
        Number of segments in flight on each host; empty for a run that is not running.
    segments : tuple of RunningSegment
        Segments in flight; of a run that is not running, those that it was interrupted in.
    predictions : int
        Predictions and forecasts in flight.
    torn : bool
        Whether the last line is not whole.
    problem : str
        What is wrong with the journal, empty for nothing.
    objective : str, default="loss"
        Name of the objective.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo.report import read_status
    >>> status = read_status(Path("run.jsonl"))  # doctest: +SKIP
    >>> status.state, status.units  # doctest: +SKIP
    """

    journal: str
    run_id: str
    trainer: str
    scheduler: str
    state: str
    leader: Mapping[str, Any]
    started: float
    last_entry: float
    last_report: float | None
    trials: Mapping[str, int]
    best: Mapping[str, Any] | None
    units: int
    budget: int | None
    left: int | None
    n_workers: int | None
    hosts: Mapping[str, int]
    segments: tuple[RunningSegment, ...]
    predictions: int
    torn: bool
    problem: str
    objective: str = LOSS

    @property
    def doubt(self) -> str:
        """Reason why the state of the run is unknown; empty if it is known."""
        if self.state != "unknown":
            return ""
        if not self.leader:
            return "the journal does not say which process leads the run"
        return f"the locks of {self.leader['host']}, which leads the run, cannot be seen from here"

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers that JSON does not have are None."""
        data: dict[str, Any] = _finite(asdict(self))
        return data

    def lines(self, now: float | None = None) -> list[str]:
        """Return the state as lines of text.

        Parameters
        ----------
        now : float, default=None
            Seconds since the epoch; default: the time.
        """
        now = time.time() if now is None else now
        what = " of ".join(part for part in (self.scheduler, self.trainer) if part)
        lines = [f"Run {self.run_id[:8]}: {self.state}" + (f" ({what})" if what else "")]
        if doubt := self.doubt:
            lines.append(f"Whether it runs is not known: {doubt}")
        if self.leader:
            lines.append(f"Leader: process {self.leader['pid']} on {self.leader['host']}")
        lines.append(f"Started: {_moment(self.started)}, {_duration(now - self.started)} ago")
        last = (
            "none yet" if self.last_report is None else f"{_duration(now - self.last_report)} ago"
        )
        lines.append(f"Last report: {last}")
        states = ", ".join(f"{n} {state}" for state, n in self.trials.items() if n)
        lines.append(f"Trials: {sum(self.trials.values())}" + (f" ({states})" if states else ""))
        if self.best is not None:
            lines.append(
                f"Best: trial {self.best['trial_id']}, {self.objective} "
                f"{self.best[self.objective]:.6g} after "
                f"{self.best['units']} epochs, {config_text(self.best['config'])}"
            )
        budget = "" if self.budget is None else f" of {self.budget}, {self.left} left"
        lines.append(f"Epochs: {self.units}{budget}")
        over = self.state in ("stopped", "finished")
        if self.n_workers is not None and not over:
            hosts = ", ".join(f"{n} on {host}" for host, n in self.hosts.items())
            busy = f"{len(self.segments)} of {self.n_workers} busy"
            lines.append(f"Workers: {busy}" + (f" ({hosts})" if hosts else ""))
        lines += [
            f"{'Interrupted' if over else 'In flight'}: {segment.line(now, interrupted=over)}"
            for segment in self.segments
        ]
        if self.predictions:
            lines.append(f"Predictions in flight: {self.predictions}")
        if self.torn and self.state != "running":  # in a running search it is being written
            lines.append("The last line of the journal is incomplete; 'hpo resume' drops it.")
        return lines + ([f"Note: {self.problem}"] if self.problem else [])


def read_status(journal: Path, scheduler: Scheduler | None = None) -> RunStatus:
    """Return the state of a run, running or not; nothing is changed, and no lock is taken.

    Parameters
    ----------
    journal : Path
        Its journal; a damaged one is read up to the damage.
    scheduler : Scheduler, default=None
        A scheduler in the state in which the run began, for one that was not built from a
        `RunSpec`: without it, what became of a trial and the budget are known only once the run
        has ended or was stopped cleanly; until then, trials between two segments count as
        waiting.

    Raises
    ------
    JournalError
        If there is no journal to read.
    """
    content = read_salvaged(Path(journal))
    try:
        return status_of(content, Results.of_content(content, scheduler))
    except UsageError as error:
        return status_of(content, None, str(error))


def status_of(content: JournalContent, results: Results | None, problem: str = "") -> RunStatus:
    """Return the state of a run whose journal has just been read.

    Parameters
    ----------
    content : JournalContent
        Its content.
    results : Results or None
        Its results; None where they cannot be known.
    problem : str
        Why they cannot.
    """
    journal = content.path
    leader = leader_of(content.notes())
    locked = is_locked(journal, leader.get("pid"))
    problem = problem if content.damage is None else str(content.damage)
    spec = content.header.spec
    segments = _segments(content)
    predictions = _predictions(content)
    if locked is None and leader:
        locked = _is_alive(leader)
    over = "stopped" if results is None or not results.finished else "finished"
    state = {True: "running", False: over, None: "unknown"}[locked]
    if locked is None and (over == "finished" or (not leader and _is_left_behind(content))):
        state = over
    reports = [entry for entry in content.entries if entry.kind == "reported"]
    objective = named(content.header.objective, content.notes())
    units, trials, best = _known(results or _of_readable_lines(content))
    if best is not None:
        best[objective.title] = objective.value(best.pop("loss"))
    active = segments if state in ("running", "unknown") else ()
    if not active and "running" in trials:
        trials = {"interrupted" if name == "running" else name: n for name, n in trials.items()}
    budget = None if results is None else _budget(results, spec)
    return RunStatus(
        journal=str(journal),
        run_id=content.header.run_id,
        trainer=str(spec.get("trainer") or _command(spec)),
        scheduler=str(spec.get("scheduler", "")),
        state=state,
        leader=leader,
        started=content.header.created,
        last_entry=content.entries[-1].time if content.entries else content.header.created,
        last_report=reports[-1].time if reports else None,
        trials=trials,
        best=best,
        units=units,
        budget=budget,
        left=None if budget is None else max(0, budget - units),
        n_workers=leader.get("n_workers"),
        hosts=dict(Counter(each.host for each in active if each.host)),
        segments=segments,
        predictions=predictions,
        torn=content.damage is None and journal.stat().st_size > content.end,
        problem=problem,
        objective=objective.title,
    )


def is_locked(journal: Path, pid: int | None = None) -> bool | None:
    """Return True if a process of this host has the journal open to write; None if it is not known.

    The lock is looked up in Linux's table, not tried: trying would keep a run from starting.

    Parameters
    ----------
    journal : Path
        The file.
    pid : int, optional
        Its leading process, as far as is known.
    """
    if sys.platform == "win32":
        return None
    try:
        table = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        file = journal.stat()
    except (OSError, ValueError):
        return None
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
    for line in table:
        # 1: FLOCK  ADVISORY  WRITE 708 08:01:12345 0 EOF
        match = re.search(r"FLOCK +\w+ +\w+ +(-?\d+) (\w+:\w+):(\d+) ", line)
        if match is None or int(match[3]) != file.st_ino:
            continue
        if match[2] == device or int(match[1]) == pid:  # some file systems show another device
            return True
    return None


def _is_alive(leader: Mapping[str, Any]) -> bool | None:
    """Return whether the leading process still runs; None if that is not known."""
    if leader["host"] != socket.gethostname() or os.name == "nt":  # where asking would end it
        return None
    if Path("/proc/locks").exists():
        return False  # its lock would have been there
    try:
        os.kill(leader["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _is_left_behind(content: JournalContent) -> bool:
    """Return whether a run ended before it wrote down who leads it and what it does."""
    age = time.time() - content.header.created
    return age > _BEGINNING and all(entry.kind == "note" for entry in content.entries)


def _segments(content: JournalContent) -> tuple[RunningSegment, ...]:
    """Return the training jobs without a report, with where they run."""
    started: dict[int, RunningSegment] = {}
    for entry in content.entries:
        data = entry.data
        trial: Any = data.get("trial_id")
        begin: Any = data.get("start")
        end: Any = data.get("stop")
        what = data.get("what") if entry.kind == "note" else None
        if what in (RESUMED, LEADER):  # whatever was in flight is begun again
            started = {
                each.trial_id: RunningSegment(each.trial_id, each.start, each.stop, entry.time)
                for each in started.values()
            }
        if not is_integer(trial):
            continue
        if entry.kind == "decided" and is_integer(begin) and is_integer(end):
            started[trial] = RunningSegment(trial, begin, end, entry.time)
        elif entry.kind == "reported":
            started.pop(trial, None)
        elif what == "retry" and trial in started:
            before = started[trial]
            started[trial] = RunningSegment(
                trial, before.start, before.stop, entry.time, before.attempt + 1
            )
    spec = content.header.spec
    directory = Path(str(spec.get("checkpoint_dir") or default_directory(content.path)))
    store = CheckpointStore(directory)
    return tuple(_placed(each, store.place(each.trial_id)) for each in started.values())


def _placed(segment: RunningSegment, place: Mapping[str, Any]) -> RunningSegment:
    """Add what the worker has written down, if it is about this attempt."""
    began, end = place.get("started"), place.get("stop")
    if not is_integer(end) or not segment.start < end <= segment.stop:  # type: ignore[operator]
        return segment  # one that started afresh, or trains a part, has another start
    if not is_number(began) or began < segment.since - 60:  # type: ignore[operator]  # clocks
        return segment
    pid = place.get("pid")
    texts = {name: str(place.get(name, "")) for name in ("host", "worker", "device")}
    return RunningSegment(
        segment.trial_id,
        segment.start,
        segment.stop,
        float(began),  # type: ignore[arg-type]  # a number
        segment.attempt,
        pid=pid if is_integer(pid) else None,
        **texts,
    )


def _predictions(content: JournalContent) -> int:
    jobs: set[object] = set()
    for entry in content.entries:
        job = entry.data.get("job_id")
        if is_integer(job) and entry.kind == "decided":
            jobs.add(job)
        elif entry.kind == "reported":
            jobs.discard(job if is_integer(job) else None)
    return len(jobs)


def _of_readable_lines(content: JournalContent) -> Results:
    """Return what the lines say before the first that is no report."""
    entries = []
    for entry in content.entries:
        if entry.kind == "reported":
            try:
                content.report(entry)
            except UsageError:
                break
        entries.append(entry)
    return Results.of_lines(replace(content, entries=tuple(entries)))


def _known(results: Results) -> tuple[int, dict[str, int], dict[str, Any] | None]:
    """Return units, trials by state and the best trial."""
    best = None
    if (trial := results.incumbent) is not None:
        best = _best(trial.trial_id, trial.last_loss, len(trial.losses), trial.config)
    return results.epochs, dict(Counter(str(trial.status) for trial in results.trials)), best


def _command(spec: Mapping[str, Any]) -> object:
    """Return the command of a run's script, empty for a run without one."""
    script = spec.get("script")
    command = script.get("command", "") if isinstance(script, Mapping) else ""
    return shlex.join(map(str, command)) if isinstance(command, list) else command


def _best(trial: int, loss: float, units: int, config: Any) -> dict[str, Any]:
    config = dict(config) if isinstance(config, Mapping) else {}
    return {"trial_id": trial, "loss": loss, "units": units, "config": config}


def _budget(results: Results, spec: Mapping[str, Any]) -> int | None:
    """Return the units that the run will spend, at most for a form of Hyperband."""
    if results.budget is not None:
        return results.budget
    hyperband = str(spec.get("scheduler", "")).endswith("hyperband")
    return results.baseline.epochs if hyperband and results.baseline is not None else None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _duration(seconds: float) -> str:
    """Return a number of seconds as text.

    >>> _duration(4.2), _duration(125), _duration(7500), _duration(200_000)
    ('4 s', '2 min 5 s', '2 h 5 min', '2 d 7 h')
    """
    whole = max(0, int(seconds))
    for size, unit, small, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {name}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
