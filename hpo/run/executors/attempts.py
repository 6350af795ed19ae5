"""Attempts to train a segment: one at a time per trial, each in a directory of its own.

The state of a trial is a directory, ``trial-00007``, with the checkpoint in it. There is one such
directory, and it is moved, never copied:

- It lies in the directory of the checkpoints while nobody trains the trial.
- An attempt moves it into a directory of its own (``attempts/trial-00007/000003-9f3c21aa/``),
  trains there, and writes the losses beside it (``outcome.json``).
- The leading process moves it back when it accepts the report.

So an attempt that was given up, on a machine that was taken for lost, has lost its place, and
cannot write into a trial that goes on. Each attempt holds the lock of its trial, until all
processes that its trainer has started are gone (`hpo.run.executors.guardian`); the next one waits
for that. If the earlier one has finished the segment, although its report never came (the leading
process was killed), its losses are the result, and nothing is trained again. If it was interrupted,
the next one goes on from what it left.

The locks are those of `flock`, which also hold between the machines of a shared file system (NFS
since Linux 2.6.12, Lustre where it is mounted with ``flock``). Where there are none, the places of
their own remain.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.run.executors.guardian import guardian
from hpo.text import say
from hpo.trainers.base import Outcome, Segment, Trainer, failed_call, run_segment, set_aside

try:
    import fcntl
except ImportError:  # not POSIX
    _has_flock = False
else:
    _has_flock = True

_OUTCOME = "outcome.json"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5  # seconds between two tries to get a lock
_SILENT = 5.0  # seconds of waiting without a message


def run_attempt(trainer: Trainer, segment: Segment) -> Outcome:
    """Run a segment as an attempt of its own; see `hpo.trainers.base.run_segment`.

    Parameters
    ----------
    trainer : Trainer
    segment : Segment
        One without `attempts` is trained in its checkpoint as it is.
    """
    if segment.attempts is None:
        with guardian().marked():
            return run_segment(trainer, segment)
    try:
        with _locked(segment.attempts / "lock"):
            place, outcome = _claim(segment, segment.attempts)
            if outcome is None:
                checkpoint = place / segment.checkpoint.parent.name / segment.checkpoint.name
                if segment.fresh:
                    set_aside(checkpoint.parent, segment.checkpoint.parent)
                placed = replace(segment, checkpoint=checkpoint, fresh=False)
                with guardian().marked():
                    outcome = run_segment(trainer, placed)
                if not outcome.reason:
                    _write(outcome, segment, place)
            return replace(outcome, attempt=place.name)
    except OSError as error:  # no place to train in
        return failed_call(error)


def settle(home: Path, attempts: Path, attempt: str = "") -> None:
    """Move the state of a trial back from the attempt that has ended.

    Parameters
    ----------
    home : Path
        Directory of the trial's state while nobody trains it.
    attempts : Path
        Directory of the trial's attempts.
    attempt : str, default=""
        Name of the attempt; by default the last one.
    """
    # What fails to move is found by the next attempt.
    with contextlib.suppress(OSError):
        names = [attempt] if attempt else [each.name for each in reversed(_those_in(attempts))]
        for name in names:
            if not home.exists() and (attempts / name / home.name).is_dir():
                (attempts / name / home.name).rename(home)


def _claim(segment: Segment, attempts: Path) -> tuple[Path, Outcome | None]:
    """Move the trial's state into a new attempt; the outcome, if an earlier one has it already."""
    home = segment.checkpoint.parent
    earlier = _those_in(attempts)
    states = [each / home.name for each in reversed(earlier) if (each / home.name).is_dir()]
    if home.is_dir() and not (states and _removed(home)):  # accepted, so the others are out of date
        states.insert(0, home)
    for each in reversed(earlier):
        outcome = _read(each, segment)
        if outcome is not None and states and states[0] in (home, each / home.name):
            return each, outcome
    number = 1 + (int(earlier[-1].name.partition("-")[0]) if earlier else 0)
    # Nobody else has ever had a place of this name, not even an attempt that is long forgotten.
    place = attempts / f"{number:06d}-{os.urandom(4).hex()}"
    place.mkdir()
    state = place / home.name
    if states:
        states[0].rename(state)
        if states[0] != home:
            for leftover in state.rglob(".*.tmp"):  # it was interrupted
                leftover.unlink(missing_ok=True)
    for each in earlier:
        shutil.rmtree(each, ignore_errors=True)
    return place, None


def _removed(folder: Path) -> bool:
    """Remove a directory if it is empty; return whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _those_in(attempts: Path) -> list[Path]:
    """Return the directories of attempts, the oldest first."""
    with os.scandir(attempts) as entries:
        found = [e.name for e in entries if e.name[:6].isdigit() and e.is_dir()]
    return [attempts / name for name in sorted(found)]


def _key(segment: Segment) -> list[Any]:
    config = json.dumps(dict(segment.config), sort_keys=True, default=str)
    return [segment.start, segment.stop, config]


def _write(outcome: Outcome, segment: Segment, place: Path) -> None:
    """Keep the outcome of a finished segment; not to disk, as after a power cut it is trained."""
    extra = {name: list(values) for name, values in outcome.extra.items()}
    data = {
        "segment": _key(segment),
        "losses": list(outcome.losses),
        "extra": extra,
        "objective": outcome.objective,
        "kept": outcome.kept,
        "finished": outcome.finished,
        "place": dict(outcome.place),
    }
    temporary = place / f".{_OUTCOME}.tmp"
    with contextlib.suppress(OSError):  # the report may come through
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(place / _OUTCOME)


def _read(place: Path, segment: Segment) -> Outcome | None:
    """Return the outcome of the same segment, if the attempt has finished it."""
    try:
        data = json.loads((place / _OUTCOME).read_text(encoding="utf-8"))
        if data["segment"] != _key(segment):
            return None
        losses = tuple(map(float, data["losses"]))
        extra = {str(name): tuple(map(float, each)) for name, each in data["extra"].items()}
        kept, where = bool(data["kept"]), dict(data["place"])
        finished = bool(data.get("finished", False))  # not in that of an earlier version
        name = str(data.get("objective", ""))
        return Outcome(losses, extra, kept=kept, place=where, finished=finished, objective=name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # there is none, or a power cut has damaged it


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock; wait while another process, or one that it started, holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32" or not _has_flock:
        from filelock import FileLock

        with FileLock(path):
            yield
        return
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _wait_for_lock(fd, path)
        with guardian().holding(fd):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)  # also for the guardian
    finally:
        os.close(fd)


def _wait_for_lock(fd: int, path: Path) -> None:
    if sys.platform == "win32":
        raise NotImplementedError  # not reached: `_locked` takes filelock there
    begun = time.monotonic()
    pause, said = _FIRST_PAUSE, False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not said and time.monotonic() - begun > _SILENT:
                holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
                say(f"waiting for {path}: {holder} still trains this trial", err=True)
                said = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except OSError as error:
            if error.errno in _NO_LOCKS:  # of this file system
                return
            raise
        else:
            break
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
