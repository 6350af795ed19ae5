"""The journal that is being written: one process at a time, each line on disk before it counts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hpo.errors import JournalError, JournalWriteError
from hpo.files import write_atomically
from hpo.run._content import JournalContent, read_journal
from hpo.run._lines import Header, encode
from hpo.trial import PredictJob, Report, TrainJob

Job = TrainJob | PredictJob


class Journal:
    """An open journal, locked against other processes; also a `hpo.loop.Recorder`.

    Build one with `create` or `open`, which give it its `path`, the locked `file`, the `header` and
    the `checksum` of the last line.  Use as a context manager.
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
        line, checksum = encode(header.to_json(), 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, line, overwrite=False)
            return cls._locked(path, header, checksum)
        except OSError as error:
            msg = f"cannot write journal {path}: {error.strerror}; name a writable place"
            raise JournalError(msg) from None

    @staticmethod
    def check_new(path: Path) -> None:
        """Check that nothing is at `path` yet.

        Raises
        ------
        JournalError
            If the file exists.
        """
        if Path(path).exists():
            msg = f"journal {path} exists already; resume it (hpo resume {path}) or name another"
            raise JournalError(msg)

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
            msg = f"cannot open journal {path} for writing: {error.strerror}"
            raise JournalError(msg) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            msg = f"journal {path} is in use by another process; wait for it or stop it first"
            raise JournalError(msg) from None
        return cls(path, file, header, checksum)

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Write one entry, its `kind` and plain `data`, and wait until it is on disk.

        Raises
        ------
        JournalWriteError
            If that is not possible.
        """
        entry = {"kind": kind, "time": round(time.time(), 3), "data": data}
        line, self._checksum = encode(entry, self._checksum)
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            msg = f"cannot write journal {self.path}: {error.strerror}; make room and resume"
            raise JournalWriteError(msg) from None

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
    """Return a job's JSON form, with the curves of a `PredictJob` as a digest.

    Every curve stands in the journal already, as reports; once per prediction would make its
    size quadratic.

    Parameters
    ----------
    job : TrainJob or PredictJob
        The job.

    Returns
    -------
    dict
        Plain values.
    """
    data = job.to_json()
    if isinstance(job, PredictJob):
        curves = json.dumps([data.pop("train"), data.pop("query")]).encode()
        if job.n_new is None:
            del data["n_new"], data["memory"]  # as in journals from before there were forecasts
        data["curves"] = hashlib.sha256(curves).hexdigest()
    return data
