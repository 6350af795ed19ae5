"""Journals that are open in one process only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hpo.errors import JournalError, JournalInUseError
from hpo.files import LockedError, lock_file, write_atomically


class LockedFile:
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
                raise JournalInUseError(
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


@contextlib.contextmanager
def locked_journal(path: Path) -> Iterator[None]:
    """Keep other processes from opening a journal to write.

    Parameters
    ----------
    path : Path
        The journal, which is not changed.

    Raises
    ------
    JournalError
        If another process has it open.
    """
    locked = LockedFile(path)
    try:
        yield
    finally:
        locked.close()
