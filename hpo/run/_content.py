"""What a journal holds, read without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import JournalError
from hpo.run._lines import Header, whole_lines
from hpo.trial import Report
from hpo.values import from_json


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
            msg = f"line {entry.line} of journal {self.path} is of another version: {error}"
            raise JournalError(msg) from None
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
        msg = f"cannot read journal {path}: {error.strerror}; give the path of an existing journal"
        raise JournalError(msg) from None
    lines, end, checksum = whole_lines(raw, path)
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
        msg = f"line {line} of journal {path} is no entry; the file was edited or is damaged"
        raise JournalError(msg) from None
