"""Append-only, crash-safe log of a run: what was decided and what came back.

A journal is a text file of one entry a line, ``<checksum> <JSON>``. The checksum (CRC-32, eight
hexadecimal digits) continues the checksum of the line before, so that a line that was changed,
lost or moved shows. The first line is the header: format version, run id and the specification
from which the scheduler can be built again. Every line is on disk (``fsync``) before it takes
effect, hence a crash can only tear the *last* line; a torn last line is cut off when the run goes
on, and damage anywhere else is refused.

Whatever a scheduler decides follows from the header and the entries, so
`hpo.run.replay` builds it again.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "run.jsonl"
>>> with Journal.create(path, spec={"seed": 0}) as journal:
...     journal.append("note", {"text": "hello"})
>>> [entry.kind for entry in read_journal(path).entries]
['note']
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hpo.errors import JournalError, JournalWriteError
from hpo.files import write_atomically
from hpo.trial import ForecastJob, Job, PredictJob, Report, from_json

FORMAT = 1
"""Version of the file format; another version is refused, never guessed at."""


@dataclass(frozen=True)
class Header:
    """First line of a journal.

    Attributes
    ----------
    run_id : str
        Unique name of the run; its checkpoints carry it too.
    spec : Mapping
        Plain values from which the run can be built again (see `hpo.run.spec.RunSpec`); empty for a
        run that was built from Python objects.
    created : float
        Seconds since the epoch.
    """

    run_id: str
    spec: Mapping[str, Any]
    created: float

    def to_json(self) -> dict[str, Any]:
        """Return the header as plain values."""
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "created": self.created,
            "spec": dict(self.spec),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Self:
        """Rebuild the header of the journal at `path` from the `data` that `to_json` wrote.

        Raises
        ------
        JournalError
            If it is of another format version, or no header at all.
        """
        if not isinstance(data, Mapping) or "format" not in data:
            raise JournalError(f"{path} is not a journal of hpo: its first line is no header")
        if data["format"] != FORMAT:
            raise JournalError(
                f"journal {path} has format version {data['format']!r}, this hpo reads version "
                f"{FORMAT}; resume it with the hpo version that wrote it"
            )
        try:
            return cls(str(data["run_id"]), dict(data["spec"]), float(data["created"]))
        except (KeyError, TypeError, ValueError):
            raise JournalError(
                f"the header of journal {path} lacks a field; the file was edited or is damaged"
            ) from None


def _encode(data: Mapping[str, Any], checksum: int) -> tuple[bytes, int]:
    """Return a line of plain values, and its checksum, which continues the `checksum` before."""
    payload = json.dumps(data, separators=(",", ":")).encode()
    checksum = zlib.crc32(payload, checksum)
    return b"%08x " % checksum + payload + b"\n", checksum


def header_line(header: Header) -> bytes:
    """Return the first line of a journal, for its `header`, as it stands in the file."""
    return _encode(header.to_json(), 0)[0]


def _whole_lines(raw: bytes, path: Path) -> tuple[list[Any], int, int]:
    """Return the valid lines, where they end, and the last checksum; check the header first."""
    lines: list[Any] = []
    end, checksum = 0, 0
    while (newline := raw.find(b"\n", end)) >= 0:
        payload = raw[end + 9 : newline]
        following = zlib.crc32(payload, checksum)
        if raw[end : end + 9] != b"%08x " % following:
            if lines and newline + 1 < len(raw):
                raise JournalError(
                    f"journal {path} is damaged in line {len(lines) + 1} (checksum), with more "
                    "lines after it; restore the file from a copy, nothing was changed"
                )
            break
        lines.append(json.loads(payload))
        if len(lines) == 1:
            Header.from_json(lines[0], path)  # another version may have other rules for the rest
        end, checksum = newline + 1, following
    return lines, end, checksum


@dataclass(frozen=True)
class Entry:
    """One line after the header.

    Attributes
    ----------
    kind : str
        ``"decided"``, ``"reported"`` or ``"note"``.
    data : Mapping
        JSON form of the job or the report, or the note's plain values.
    time : float
        Seconds since the epoch.
    line : int
        Line number in the file, from 1.
    """

    kind: str
    data: Mapping[str, Any]
    time: float
    line: int


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds.

    Attributes
    ----------
    path : Path
        The file.
    header : Header
        Its first line.
    entries : tuple of Entry
        Whole entries, in order.
    end : int
        Bytes up to the end of the last whole entry; anything after it is a torn line.
    checksum : int
        Checksum of the last whole line.
    """

    path: Path
    header: Header
    entries: tuple[Entry, ...]
    end: int
    checksum: int

    def reports(self) -> list[tuple[float, Report]]:
        """Return (time in seconds since the epoch, report) in the order of arrival."""
        return [(e.time, self.report(e)) for e in self.entries if e.kind == "reported"]

    def report(self, entry: Entry) -> Report:
        """Return the report of an entry.

        Raises
        ------
        JournalError
            If it is of another version.
        """
        try:
            report: Report = from_json(entry.data)
        except ValueError as error:
            raise JournalError(
                f"line {entry.line} of journal {self.path} is of another version: {error}"
            ) from None
        return report

    def notes(self) -> list[Mapping[str, Any]]:
        """Return the notes (retries, extra metrics, resumptions)."""
        return [entry.data for entry in self.entries if entry.kind == "note"]


def read_journal(path: Path) -> JournalContent:
    """Read the journal at `path` without changing it.

    Raises
    ------
    JournalError
        If the file is missing or no journal, of another version, without a whole header, or
        damaged elsewhere than in its last line.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise JournalError(
            f"cannot read journal {path}: {error.strerror}; give the path of an existing journal"
        ) from None
    lines, end, checksum = _whole_lines(raw, path)
    if not lines:
        raise _headerless(raw, path)
    header = Header.from_json(lines[0], path)
    entries = tuple(_entry(data, number, path) for number, data in enumerate(lines[1:], 2))
    return JournalContent(path, header, entries, end, checksum)


def _headerless(raw: bytes, path: Path) -> JournalError:
    looks_torn = b"\n" not in raw and (not raw or b'"format"' in raw or len(raw) < 32)
    if looks_torn:
        msg = f"journal {path} ends within its header, so it holds nothing to resume"
    else:
        msg = f"{path} is not a journal of hpo (its first line has no valid checksum)"
    return JournalError(msg + "; start a new run with another --journal")


def _entry(data: Any, line: int, path: Path) -> Entry:
    try:
        return Entry(str(data["kind"]), data["data"], float(data["time"]), line)
    except (KeyError, TypeError, ValueError):
        raise JournalError(
            f"line {line} of journal {path} is no entry; the file was edited or is damaged"
        ) from None


class Journal:
    """An open journal, locked against other processes; also a `hpo.loop.Recorder`.

    Build one with `create` or `open`, which give it its `path`, the locked `file`, the `header` and
    the `checksum` of the last line. Use as a context manager.
    """

    def __init__(self, path: Path, file: IO[bytes], header: Header, checksum: int) -> None:
        self.path = path
        self.header = header
        self._file = file
        self._checksum = checksum

    @classmethod
    def create(cls, path: Path, spec: Mapping[str, Any]) -> Self:
        """Start a journal of a run built from `spec` at `path`, which must not exist yet.

        Raises
        ------
        JournalError
            If the file exists (nothing is ever written over) or cannot be written.
        """
        path = Path(path)
        cls.check_new(path)
        header = Header(uuid.uuid4().hex, spec, time.time())
        line, checksum = _encode(header.to_json(), 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, line, overwrite=False)
            return cls._locked(path, header, checksum)
        except OSError as error:
            raise JournalError(
                f"cannot write journal {path}: {error.strerror}; name a writable place"
            ) from None

    @staticmethod
    def check_new(path: Path) -> None:
        """Check that nothing is at `path` yet.

        Raises
        ------
        JournalError
            If the file exists.
        """
        if Path(path).exists():
            raise JournalError(
                f"journal {path} exists already; resume it (hpo resume {path}) or name another"
            )

    @classmethod
    def open(cls, path: Path) -> tuple[Self, JournalContent]:
        """Open the journal at `path` to go on, cutting off a torn last line.

        Returns
        -------
        journal : Journal
        content : JournalContent
            What it held.

        Raises
        ------
        JournalError
            As `read_journal`, and if another process has the journal open.
        """
        path = Path(path)
        read_journal(path)  # complain about a file that is no journal before opening it to write
        journal = cls._locked(path, Header("", {}, 0.0), 0)
        try:
            return journal, journal.cut_torn_line()
        except BaseException:
            journal.close()
            raise

    def cut_torn_line(self) -> JournalContent:
        """Cut a torn last line off and return what the journal holds."""
        content = read_journal(self.path)  # again, now that nobody else can write
        self._file.truncate(content.end)
        os.fsync(self._file.fileno())
        self.header, self._checksum = content.header, content.checksum
        return content

    @classmethod
    def _locked(cls, path: Path, header: Header, checksum: int) -> Self:
        try:
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise JournalError(
                f"cannot open journal {path} for writing: {error.strerror}"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise JournalError(
                f"journal {path} is in use by another process; wait for it or stop it first"
            ) from None
        return cls(path, file, header, checksum)

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Write one entry, its `kind` and plain `data`, and wait until it is on disk.

        Raises
        ------
        JournalWriteError
            If that is not possible.
        """
        entry = {"kind": kind, "time": round(time.time(), 3), "data": data}
        line, self._checksum = _encode(entry, self._checksum)
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalWriteError(
                f"cannot write journal {self.path}: {error.strerror}; make room and resume"
            ) from None

    def decided(self, job: Job) -> None:
        """Write down a job before it is submitted."""
        self.append("decided", compact(job))

    def reported(self, report: Report) -> None:
        """Write down a report before the scheduler is told."""
        self.append("reported", report.to_json())

    def close(self) -> None:
        """Close the file and release the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def compact(job: Job) -> dict[str, Any]:
    """Return a job's JSON form, with the curves of a prediction as a digest.

    Every curve stands in the journal already, as reports; once per prediction would make its
    size quadratic.

    Parameters
    ----------
    job : Job
        The job.

    Returns
    -------
    dict
        Plain values.
    """
    data = job.to_json()
    names: tuple[str, ...] = ()
    if isinstance(job, PredictJob):
        names = ("train", "query")
    elif isinstance(job, ForecastJob):
        names = ("running", "curves")
    if names:
        curves = json.dumps([data.pop(name) for name in names]).encode()
        data["curves"] = hashlib.sha256(curves).hexdigest()
    return data
