"""Files by which the processes of one search exchange work, on a file system that all of them see.

```text
members/                    in the directory of the checkpoints
    leader.json             who leads, with which trainer; written again every second
    lead.lock               held by the one member that takes the lead
    node7-812-9f3c21aa/     one member
        lock                held by the member as long as it lives
        hello.json          who it is
        beat.json           written again every second
        task.json           the segment that it is to train; written by the leader
        answer.json         the outcome of the last segment
```

Each file has one writer, exists from the start and is replaced as a whole. A client of NFS asks the
server about each file that it opens, whereas it may remember for a minute that a name was free or
what a directory held. So a process that waits opens a file again and again, and lists no directory.

All content is JSON. A trainer is sent by its name, never as a pickle.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hpo.errors import UsageError
from hpo.files import lock_file
from hpo.run.executors.parcel import digest_of
from hpo.space.values import plain_value
from hpo.trainers.base import Outcome, Probe, Segment, Trainer
from hpo.trainers.loading import NamedTrainer
from hpo.trainers.script import ScriptTrainer

MEMBERS = "members"
LEADER, LEAD = "leader.json", "lead.lock"
LOCK, HELLO, BEAT, TASK, ANSWER = "lock", "hello.json", "beat.json", "task.json", "answer.json"

BEAT_EVERY = 1.0
"""Seconds between two beats of a process."""
STALE = 3.0
"""Seconds without a beat after which the lead may be free; its lock decides."""

LEADS, LEFT, ENDED, UNKNOWN = "leads", "left", "ended", "unknown"
"""States of a leader: it leads, it has stopped (another process may lead), the search is over, or
it says that it leads and is not yet known to be alive."""

_FIRST_PAUSE, _LONGEST_PAUSE, _SHARE = 0.005, 0.2, 0.05


def pause_after(seconds: float) -> float:
    """Return how long to wait before the next look, given the seconds since something happened."""
    return min(_LONGEST_PAUSE, max(_FIRST_PAUSE, _SHARE * seconds))


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a file, without syncing it to disk: after a power cut, everything is sent again.

    Raises
    ------
    OSError
        If that is not possible.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(data), encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Return the content of a file; empty if there is none, or it is not whole."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def this_process() -> dict[str, Any]:
    """Return a text that identifies this process."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def this_version() -> dict[str, str]:
    """Return what must be equal in all processes of a search, besides the trainer."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "digest": digest_of(str(Path(__file__).parents[2]))}


class Watch:
    """The beats of another process, by the clock of this one.

    Parameters
    ----------
    path : Path
        File that holds them (``beat``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[Any, Any] | None = None
        self._since = time.monotonic()
        self.moved = False
        """Whether it has been seen alive: there was a beat since the first look."""

    def look(self) -> dict[str, Any]:
        """Return the content of the file, and note whether there was a beat."""
        data = read(self._path)
        seen = data.get("id"), data.get("beat")
        if data and seen != self._seen:
            self.moved = self._seen is not None
            self._seen, self._since = seen, time.monotonic()
        return data

    @property
    def age(self) -> float:
        """Seconds since the last beat that was seen, or since the first look."""
        return time.monotonic() - self._since


def is_held(lock: Path) -> bool:
    """Return whether a process holds a lock; True where that cannot be found out."""
    try:
        with lock.open("ab") as file:
            lock_file(file, lock)()
    except FileNotFoundError:
        return False
    except OSError:  # a `LockedError`, or a file system without locks, where the beats decide
        return True
    return False


def trainer_to_json(trainer: Trainer) -> dict[str, Any]:
    """Return the name of a trainer, or the settings of a script.

    Raises
    ------
    UsageError
        If it has none by which other processes could import it.
    """
    if isinstance(trainer, Probe):
        return {}
    if isinstance(trainer, NamedTrainer):
        return {"name": trainer.name, "fingerprint": trainer.fingerprint()}
    if isinstance(trainer, ScriptTrainer):
        return {"script": trainer.to_dict(), "fingerprint": trainer.fingerprint()}
    raise UsageError(
        "executor 'shared' needs a trainer that is given by its name, 'FILE.py:name' or "
        "'package.module:name', as other processes import it, or a ScriptTrainer; got "
        f"{type(trainer).__name__}"
    )


def trainer_from_json(data: Mapping[str, Any]) -> Trainer:
    """Return the trainer of this name."""
    if "script" in data:
        return ScriptTrainer(**data["script"])
    return NamedTrainer(data["name"]) if data else Probe()


def segment_to_json(segment: Segment) -> dict[str, Any]:
    """Return a segment as plain values."""
    return {**_plain(segment), "config": dict(segment.config)}


def segment_from_json(data: Mapping[str, Any]) -> Segment:
    """Return the segment that plain values describe."""
    config = {name: plain_value(value) for name, value in data["config"].items()}
    segment: Segment = _typed({**data, "config": config}, Segment)
    return segment


def _plain(value: Any) -> Any:
    """Return a field's value as plain values: the type of the field tells what they were."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {each.name: _plain(getattr(value, each.name)) for each in fields}
    return str(value) if isinstance(value, Path) else value


def _typed(value: Any, hint: Any) -> Any:
    """Return the value of a field of this type that `_plain` has written."""
    for kind in (hint, *get_args(hint)):  # of `Path | None`, the path
        if kind is Path and isinstance(value, str):
            return Path(value)
        if get_origin(kind) is tuple and isinstance(value, list):
            return tuple(value)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            hints = get_type_hints(kind)
            return kind(**{name: _typed(each, hints[name]) for name, each in value.items()})
    return value


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values."""
    return dataclasses.asdict(outcome)


def outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    """Return the outcome that plain values describe."""
    extra = {name: tuple(map(float, each)) for name, each in data["extra"].items()}
    return Outcome(**{**data, "losses": tuple(map(float, data["losses"])), "extra": extra})
