"""Append-only, crash-safe log of a run: what was decided and what was reported.

A journal is a text file with one entry per line, ``<checksum> <JSON>``. The checksum (CRC-32, eight
hexadecimal digits) continues the checksum of the line before, so that a line that was changed,
lost or moved is detected. The first line is the header: format version, run id and the
specification from which the scheduler can be built again. Every line is on disk (``fsync``) before
it takes effect, hence a crash can only tear the *last* line. A torn last line is cut off when the
run is resumed; damage anywhere else is refused.

The decisions of a scheduler follow from the header and the entries, so `hpo.run.replay` builds it
again.

A journal of an older format is read if the formats differ in names only (`hpo.run.migration`).
Reading changes nothing; resuming replaces the file, atomically, by its translation. If the journal
uses something that no longer exists, it is refused, and the message names it.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "run.jsonl"
>>> with Journal.create(path, spec={"seed": 0}) as journal:
...     journal.append("note", {"text": "hello"})
>>> [entry.kind for entry in read_journal(path).entries]
['note']
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpo.errors import JournalError, JournalWriteError
from hpo.files import LockedError, lock_file, write_atomically
from hpo.run.migration import FORMAT, READABLE, migrate
from hpo.trainers.faults import machine_fault
from hpo.trial import ForecastJob, Job, PredictJob, Report, from_json


@dataclass(frozen=True)
class Header:
    """First line of a journal.

    Attributes
    ----------
    run_id : str
        Unique name of the run, which its checkpoints carry too.
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


@dataclass(frozen=True)
class Entry:
    """One line after the header.

    Attributes
    ----------
    kind : str
        ``"decided"``, ``"reported"`` or ``"note"``.
    data : Mapping
        JSON form of the job or the report, or the plain values of the note.
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
    """Content of a journal, in the present format.

    Attributes
    ----------
    path : Path
        The file.
    header : Header
        Its first line.
    entries : tuple of Entry
        Whole entries, in order.
    format : int
        Format version of the file.
    end : int
        Bytes up to the end of the last whole line; anything after it is a torn line.
    checksum : int
        Checksum of the last whole line.
    """

    path: Path
    header: Header
    entries: tuple[Entry, ...]
    format: int
    end: int
    checksum: int

    def reports(self) -> list[tuple[float, Report]]:
        """Return (time in seconds since the epoch, report) in the order of arrival."""
        return list(self._reports)

    @cached_property
    def _reports(self) -> tuple[tuple[float, Report], ...]:
        return tuple((e.time, self.report(e)) for e in self.entries if e.kind == "reported")

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
        """Return the notes (retries, extra metrics, overlap figures, resumptions)."""
        return [entry.data for entry in self.entries if entry.kind == "note"]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's collector of cyclic garbage.

    Reading a journal creates many objects and no cycles. The collector would visit all of them
    again and again, for as long as the reading itself takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@collector_paused()
def read_journal(path: Path) -> JournalContent:
    """Read the journal at `path` without changing it.

    Raises
    ------
    JournalError
        If the file is missing or no journal, of a version that cannot be read, without a whole
        header, or damaged elsewhere than in its last line.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    lines, end, checksum = _whole_lines(raw, path)
    version = lines[0]["format"]
    header, *rest = migrate(lines, path)
    first = _header(header, path)
    entries = tuple(_entry(data, number, path) for number, data in enumerate(rest, 2))
    return JournalContent(path, first, entries, version, end, checksum)


def read_header(path: Path) -> Header:
    """Read the first line of the journal at `path`, in the present format.

    Raises
    ------
    JournalError
        As `read_journal`, but damage after the first line is not noticed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.readline()
    except OSError as error:
        raise _unreadable(path, error) from None
    lines, _, _ = _whole_lines(raw, path)
    return _header(migrate(lines, path)[0], path)


def _unreadable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"cannot read journal {path}: {error.strerror}; give the path of an existing journal"
    )


def _header(data: Mapping[str, Any], path: Path) -> Header:
    try:
        return Header(str(data["run_id"]), dict(data["spec"]), float(data["created"]))
    except (KeyError, TypeError, ValueError):
        raise JournalError(
            f"the header of journal {path} lacks a field; the file was edited or is damaged"
        ) from None


def _whole_lines(raw: bytes, path: Path) -> tuple[list[Any], int, int]:
    """Return the valid lines, where they end, and the last checksum; check the version first.

    Raises
    ------
    JournalError
        If there is no whole header, or a line other than the last one is damaged.
    """
    decode = json.JSONDecoder().decode  # one for all lines: `json.loads` guesses each encoding
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
        lines.append(decode(payload.decode()))
        if len(lines) == 1:
            _check_version(lines[0], path)  # another version may have other rules for the rest
        end, checksum = newline + 1, following
    if not lines:
        torn = b"\n" not in raw and (not raw or b'"format"' in raw or len(raw) < 32)
        raise JournalError(
            f"journal {path} ends within its header, so it holds nothing to resume; start a new "
            "run with another --journal"
            if torn
            else f"{path} is not a journal of hpo (its first line has no valid checksum); start a "
            "new run with another --journal"
        )
    return lines, end, checksum


def _check_version(header: Any, path: Path) -> None:
    if not isinstance(header, Mapping) or "format" not in header:
        raise JournalError(f"{path} is not a journal of hpo: its first line is no header")
    if header["format"] not in READABLE:
        raise JournalError(
            f"journal {path} has format version {header['format']!r}, this hpo reads versions "
            f"{', '.join(map(str, READABLE))}; use the hpo version that wrote it"
        )


def _entry(data: Any, line: int, path: Path) -> Entry:
    try:
        return Entry(str(data["kind"]), data["data"], float(data["time"]), line)
    except (KeyError, TypeError, ValueError):
        raise JournalError(
            f"line {line} of journal {path} is no entry; the file was edited or is damaged"
        ) from None


def encode_line(data: Mapping[str, Any], checksum: int = 0) -> tuple[bytes, int]:
    """Return a line of a journal and its checksum.

    Parameters
    ----------
    data : Mapping
        Plain values of a header or an entry.
    checksum : int
        Checksum of the line before; 0 for the header.
    """
    payload = json.dumps(data, separators=(",", ":")).encode()
    checksum = zlib.crc32(payload, checksum)
    return b"%08x " % checksum + payload + b"\n", checksum


class Journal:
    """An open journal, locked against other processes; also a `hpo.loop.Recorder`.

    Built by `create` or `open`; to be used as a context manager.

    Parameters
    ----------
    path : Path
        The file.
    file : _LockedFile
        The same file, open for appending and locked.
    header : Header
        Its first line.
    checksum : int
        Checksum of its last line.
    """

    def __init__(self, path: Path, file: _LockedFile, header: Header, checksum: int) -> None:
        self.path = path
        self.header = header
        self._locked = file
        self._file = file.file
        self._checksum = checksum

    @classmethod
    def create(cls, path: Path, spec: Mapping[str, Any]) -> Self:
        """Start a journal of a run built from `spec` at `path`, which must not exist yet.

        Raises
        ------
        JournalError
            If the file exists (nothing is ever overwritten) or cannot be written.
        """
        path = Path(path)
        cls.check_new(path)
        header = Header(uuid.uuid4().hex, spec, time.time())
        line, checksum = encode_line(header.to_json())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, line, overwrite=False)
        except OSError as error:
            raise JournalError(
                f"cannot write journal {path}: {error.strerror}; name a writable place"
            ) from None
        return cls(path, _LockedFile(path), header, checksum)

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
        """Open the journal at `path` to resume the run.

        A torn last line is cut off. A journal of an older format is replaced by its translation to
        the present one; older versions of hpo cannot read it any more.

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
        read_header(path)  # complain about a file that is no journal before opening it to write
        locked = _LockedFile(path)
        try:
            content = read_journal(path)  # now that nobody else can write
            if content.format != FORMAT:
                _rewrite(content, locked)
                locked.close()  # the old file has no name any more
                return cls.open(path)
            locked.file.truncate(content.end)
            os.fsync(locked.file.fileno())
        except BaseException:
            locked.close()
            raise
        return cls(path, locked, content.header, content.checksum), content

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Write one entry, its `kind` and plain `data`, and wait until it is on disk.

        Raises
        ------
        JournalWriteError
            If that is not possible.
        """
        entry = {"kind": kind, "time": round(time.time(), 3), "data": data}
        line, checksum = encode_line(entry, self._checksum)
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # whatever follows must not come after half a line
                self._file.truncate(self._file.tell() - written)
            remedy = machine_fault(error) or "see to its disk"
            raise JournalWriteError(
                f"cannot write journal {self.path}: {error.strerror}; {remedy} and resume"
            ) from None
        self._checksum = checksum

    def decided(self, job: Job) -> None:
        """Write down a job before it is submitted."""
        self.append("decided", compact(job))

    def reported(self, report: Report) -> None:
        """Write down a report before the scheduler is told."""
        self.append("reported", report.to_json())

    def close(self) -> None:
        """Close the file and release the lock."""
        self._locked.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _LockedFile:
    """A journal, open for appending and locked against other processes.

    Raises
    ------
    JournalError
        If it cannot be opened, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.file = path.open("ab", buffering=0)
        except OSError as error:
            raise JournalError(
                f"cannot open journal {path} for writing: {error.strerror}"
            ) from None
        self._path = path
        self._release: Callable[[], None] | None = None
        try:
            self._release = lock_file(self.file, path)
            if not os.path.samestat(os.fstat(self.file.fileno()), path.stat()):
                raise LockedError(None, "wait for it or stop it first")  # it was just replaced
        except OSError as error:
            self.close()
            if isinstance(error, LockedError | FileNotFoundError):
                raise JournalError(
                    f"journal {path} is in use by another process; {error.strerror}"
                ) from None
            raise JournalError(f"cannot lock journal {path}: {error.strerror}") from None

    def replace(self, content: bytes) -> None:
        """Write another content under the name of the file; to be closed then, and opened anew."""
        if os.name == "nt":
            self.file.close()  # an open file cannot be replaced there; the lock is another file's
        write_atomically(self._path, content)

    def close(self) -> None:
        """Release the lock and close the file; repeatable."""
        if self._release is not None:
            self._release()
            self._release = None
        self.file.close()


def _rewrite(content: JournalContent, locked: _LockedFile) -> None:
    """Write a journal anew in the present format."""
    line, checksum = encode_line(content.header.to_json())
    lines = [line]
    for entry in content.entries:
        data = {"kind": entry.kind, "time": entry.time, "data": entry.data}
        line, checksum = encode_line(data, checksum)
        lines.append(line)
    try:
        locked.replace(b"".join(lines))
    except OSError as error:
        raise JournalError(
            f"cannot translate journal {content.path} to format {FORMAT}: {error.strerror}; it was "
            "not changed"
        ) from None


def compact(job: Job) -> dict[str, Any]:
    """Return the JSON form of a job, with the curves of a prediction as a digest.

    The journal holds every curve already, as reports; repeating them with each prediction would
    make its size quadratic.

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
