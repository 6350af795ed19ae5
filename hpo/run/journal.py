"""Append-only, crash-safe log of a run: its decisions and its reports.

A journal is a text file with one entry per line, ``<checksum> <JSON>``. The checksum (CRC-32, eight
hexadecimal digits) continues the checksum of the line before, so that a line that was changed,
lost or moved is detected. The first line is the header: format version, run id and the
specification from which the scheduler can be built again. Every line is on disk (``fsync``) before
it takes effect, so a crash can only tear the *last* line. A torn last line is cut off when the
run is resumed. Damage anywhere else is refused; `hpo.run.salvage` goes on from the lines before it.

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
import stat
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hpo.errors import JournalError, JournalWriteError
from hpo.files import remove_temporaries
from hpo.run.checks import check_entry, check_header, decoded, shown
from hpo.run.locking import LockedFile
from hpo.run.migration import FORMAT, READABLE, migrate
from hpo.run.objective import of_header, to_header, turned
from hpo.text import shell_word
from hpo.trainers.faults import machine_fault
from hpo.trainers.objective import LOSS_MINIMISED, Objective
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
    objective : Objective, default=Objective()
        What the numbers of the reports are.

    Examples
    --------
    >>> from hpo.run.journal import Header
    >>> Header("3f0c91aa", spec={}, created=0.0).run_id
    '3f0c91aa'
    """

    run_id: str
    spec: Mapping[str, Any]
    created: float
    objective: Objective = LOSS_MINIMISED

    def to_json(self) -> dict[str, Any]:
        """Return the header as plain values."""
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "created": self.created,
            "spec": dict(self.spec),
            **to_header(self.objective),
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
    where : Mapping, default={}
        Of a training report: where and since when the segment ran (see `hpo.trainers.place`), if
        that was recorded. For display only.

    Examples
    --------
    >>> from hpo.run.journal import Entry
    >>> Entry("report", {"trial_id": 0}, time=1.5, line=4).kind
    'report'
    """

    kind: str
    data: Mapping[str, Any]
    time: float
    line: int
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Damage:
    """What is left out of a damaged journal.

    Attributes
    ----------
    line : int
        First line that is left out, from 1; the lines before it are whole.
    reason : str
        What is wrong with it.
    n_lines : int
        Number of lines left out, with that one.
    n_reports : int
        Reports in those of them that can be read at all.
    trials : tuple of int
        Trials that those lines are about.

    Examples
    --------
    >>> from hpo.run.journal import Damage
    >>> Damage(line=7, reason="checksum", n_lines=9, n_reports=3, trials=(0, 2)).trials
    (0, 2)
    """

    line: int
    reason: str
    n_lines: int
    n_reports: int
    trials: tuple[int, ...]

    def __str__(self) -> str:
        """Return one line about the lines that are left out."""
        text = f"the journal is damaged in line {self.line} ({self.reason}); "
        if not self.n_lines:
            return text + "nothing is left out"
        return text + (
            f"left out: {self.n_lines} lines, with {self.n_reports} reports that can be read, "
            f"about {len(self.trials)} trials"
        )


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
    damage : Damage or None, default=None
        What was left out, if the journal was read in spite of damage.

    Examples
    --------
    >>> from hpo.run.journal import read_journal
    >>> content = read_journal(Path("run.jsonl"))  # doctest: +SKIP
    >>> content.header.run_id, len(content.reports())  # doctest: +SKIP
    """

    path: Path
    header: Header
    entries: tuple[Entry, ...]
    format: int
    end: int
    checksum: int
    damage: Damage | None = None

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
            If it is none: the journal is of another version, or was edited.
        """
        try:
            report = from_json(entry.data)
        except ValueError as error:
            raise JournalError(
                f"line {entry.line} of journal {self.path} holds no report of this version: {error}"
            ) from None
        if not isinstance(report, Report):
            raise JournalError(
                f"line {entry.line} of journal {self.path} holds a {type(report).__name__} in "
                "place of a report; the file was edited or is damaged"
            )
        return turned(report, self.header.objective)

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
def read_journal(path: Path, *, salvage: bool = False) -> JournalContent:
    """Read the journal at `path` without changing it.

    Parameters
    ----------
    path : Path
        The journal.
    salvage : bool, default=False
        Whether to read a damaged one up to the damage, which `JournalContent.damage` describes.

    Raises
    ------
    JournalError
        If the file is missing or no journal, of a version that cannot be read, without a whole
        header, or damaged elsewhere than in its last line.

    See Also
    --------
    hpo.Results.from_journal : The results of a journal.
    hpo.report.read_run : A run for its report.
    """
    path = Path(path)
    with _opened(path) as file:
        raw = file.read()
    return parse(raw, path, salvage=salvage)


def parse(raw: bytes, path: Path, *, salvage: bool = False) -> JournalContent:
    """Return the content of a journal.

    Parameters
    ----------
    raw : bytes
        The file.
    path, salvage : default of salvage=False
        As in `read_journal`.

    Raises
    ------
    JournalError
        As in `read_journal`.
    """
    lines, end, checksum, damage = _whole_lines(raw, path)
    if damage is not None and not salvage:
        name = shell_word(path)
        raise JournalError(
            f"journal {path} is damaged in line {damage.line} ({damage.reason}), with "
            f"{damage.n_lines - 1} more lines after it; nothing was changed. Restore the file from "
            f"a copy, or use the lines before: 'hpo report --salvage {name}' shows them, "
            f"'hpo resume --salvage {name}' goes on from them"
        )
    version = lines[0]["format"]
    header, *rest = migrate(lines, path)
    entries = tuple(
        Entry(data["kind"], data["data"], float(data["time"]), number, data.get("where", {}))
        for number, data in enumerate(rest, 2)
    )
    return JournalContent(path, _header(header), entries, version, end, checksum, damage)


def read_header(path: Path) -> Header:
    """Read the first line of the journal at `path`, in the present format.

    Raises
    ------
    JournalError
        As `read_journal`, but damage after the first line is not noticed.
    """
    path = Path(path)
    with _opened(path) as file:
        raw = file.readline()
    lines, *_ = _whole_lines(raw, path)
    return _header(migrate(lines, path)[0])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a journal for reading; a pipe or a device is refused, which could be without end."""
    why = "it is no regular file"
    remedy = "give the path of an existing journal"
    try:
        if stat.S_ISREG(path.stat().st_mode) or path.is_dir():  # which cannot be opened
            with path.open("rb") as file:
                yield file
            return
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            remedy += "; a search that was just started writes it once its workers are ready"
    except ValueError as error:  # no path at all, such as one with a null character
        why = str(error)
    raise JournalError(f"cannot read journal {path}: {why}; {remedy}") from None


def checked_header(data: Any, path: Path) -> Header:
    """Return the header that plain values describe.

    Parameters
    ----------
    data : Any
        Decoded first line.
    path : Path
        Where it is from, for messages.

    Raises
    ------
    JournalError
        If it is none, or of a version that cannot be read.
    """
    if not isinstance(data, Mapping) or "format" not in data:
        raise JournalError(f"{path} is not a journal of hpo: its first line is no header")
    if data["format"] not in READABLE or type(data["format"]) is not int:
        raise JournalError(
            f"journal {path} has format version {shown(data['format'])}, this hpo reads versions "
            f"{', '.join(map(str, READABLE))}; use the hpo version that wrote it"
        )
    try:
        check_header(data)
    except ValueError as error:
        raise JournalError(
            f"line 1 of journal {path} is no header: {error}; the file was edited or is damaged"
        ) from None
    return _header(data)


def _header(data: Mapping[str, Any]) -> Header:
    created = float(data["created"])
    return Header(data["run_id"], dict(data["spec"]), created, of_header(data))


def _whole_lines(raw: bytes, path: Path) -> tuple[list[Any], int, int, Damage | None]:
    """Return the valid lines, where they end, the last checksum, and what is wrong after them.

    The version is checked first: another one may have other rules for the rest.

    Raises
    ------
    JournalError
        If there is no whole header, or a line with a valid checksum holds no header or entry.
    """
    lines: list[Any] = []
    end, checksum = 0, 0
    damage = None
    while (newline := raw.find(b"\n", end)) >= 0:
        payload = raw[end + 9 : newline]
        following = zlib.crc32(payload, checksum)
        if raw[end : end + 9] != b"%08x " % following:
            if lines and newline + 1 < len(raw):
                damage = _damage(raw[end:], len(lines) + 1, "checksum")
            break
        try:
            data = decoded(payload)
            if lines:
                check_entry(data)
        except ValueError as error:
            raise JournalError(
                f"line {len(lines) + 1} of journal {path} is no {'entry' if lines else 'header'}: "
                f"{error}; the file was edited or is damaged"
            ) from None
        if not lines:
            checked_header(data, path)
        lines.append(data)
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
    return lines, end, checksum, damage


def _damage(raw: bytes, line: int, reason: str) -> Damage:
    """Describe the lines from the damaged one on, as far as they can be read."""
    lines = raw.splitlines()
    trials: set[int] = set()
    n_reports = 0
    for each in lines:
        try:
            entry = decoded(each[9:])
            check_entry(entry)
        except ValueError:
            continue
        n_reports += entry["kind"] == "reported"
        trial, removed = entry["data"].get("trial_id"), entry["data"].get("trials")
        listed = removed if isinstance(removed, list) else [trial]  # those deleted or taken back
        trials.update(each for each in listed if type(each) is int and each >= 0)
    return Damage(line, reason, len(lines), n_reports, tuple(sorted(trials)))


def encode_line(data: Mapping[str, Any], checksum: int = 0) -> tuple[bytes, int]:
    """Return a line of a journal and its checksum.

    Parameters
    ----------
    data : Mapping
        Plain values of a header or an entry.
    checksum : int, default=0
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
    file : LockedFile
        The same file, open for appending and locked.
    header : Header
        Its first line.
    checksum : int
        Checksum of its last line.

    Examples
    --------
    >>> from hpo.run.journal import Journal
    >>> with Journal.open(Path("run.jsonl")) as journal:  # doctest: +SKIP
    ...     journal.append("note", {"text": "by hand"})
    """

    def __init__(self, path: Path, file: LockedFile, header: Header, checksum: int) -> None:
        self.path = path
        self.header = header
        self._locked = file
        self._file = file.file
        self._checksum = checksum

    @classmethod
    def create(
        cls,
        path: Path,
        spec: Mapping[str, Any],
        objective: Objective = LOSS_MINIMISED,
        notes: Iterable[Mapping[str, Any]] = (),
    ) -> Self:
        """Start a journal of a run built from `spec`, of an `objective`, at a new `path`.

        Parameters
        ----------
        path : Path
        spec : Mapping
        notes : iterable of Mapping, default=()
            Notes that the journal has from the beginning.

        Raises
        ------
        JournalError
            If the file exists (nothing is ever overwritten) or cannot be written.
        """
        path = Path(path)
        cls.check_new(path)
        header = Header(uuid.uuid4().hex, spec, time.time(), objective)
        lines, checksum = encode_line(header.to_json())
        for note in notes:
            entry = {"kind": "note", "time": round(header.created, 3), "data": note}
            line, checksum = encode_line(entry, checksum)
            lines += line
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            locked = LockedFile.create(path, lines)
        except OSError as error:
            cls.check_new(path)  # another process was quicker
            remedy = machine_fault(error) or "name a writable place"
            raise JournalError(f"cannot write journal {path}: {error.strerror}; {remedy}") from None
        remove_temporaries(path)
        return cls(path, locked, header, checksum)

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
                f"journal {path} exists already; resume it (hpo resume {path}), name another "
                "(--journal FILE), or delete it if its results are not needed"
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
        locked = LockedFile(path)
        try:
            content = read_journal(path)  # now that nobody else can write
            if content.format != FORMAT:
                _rewrite(content, locked)
                locked.close()  # the old file has no name any more
                return cls.open(path)
            locked.file.truncate(content.end)
            os.fsync(locked.file.fileno())
            remove_temporaries(path)
        except BaseException:
            locked.close()
            raise
        return cls(path, locked, content.header, content.checksum), content

    def append(
        self, kind: str, data: Mapping[str, Any], where: Mapping[str, Any] | None = None
    ) -> None:
        """Write one entry, its `kind` and plain `data`, and wait until it is on disk.

        Earlier versions of hpo ignore `where` when they read a journal.

        Raises
        ------
        JournalWriteError
            If that is not possible.
        """
        entry = {"kind": kind, "time": round(time.time(), 3), "data": data}
        if where:
            entry["where"] = where
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

    def reported(self, report: Report, where: Mapping[str, Any] | None = None) -> None:
        """Write a report, with the place of its segment, before the scheduler receives it."""
        self.append("reported", turned(report, self.header.objective).to_json(), where)

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


def _rewrite(content: JournalContent, locked: LockedFile) -> None:
    """Write a journal anew in the present format."""
    line, checksum = encode_line(content.header.to_json())
    lines = [line]
    for entry in content.entries:
        data = {"kind": entry.kind, "time": entry.time, "data": entry.data}
        if entry.where:
            data["where"] = entry.where
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
