"""Journals that are open in one process only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

from hpo.errors import JournalError, JournalInUseError
from hpo.files import LockedError, lock_file, write_atomically


class LockedFile:
    """A journal, open for appending and locked against other processes.

    Parameters
    ----------
    path : Path
        The journal.
    temporary : Path or None, default=None
        Where it lies until it gets its name.

    Raises
    ------
    JournalError
        If it cannot be opened, or another process has it.
    """

    def __init__(self, path: Path, temporary: Path | None = None) -> None:
        place = path if temporary is None else temporary
        try:
            self.file = place.open("ab", buffering=0)
        except OSError as error:
            raise JournalError(
                f"cannot open journal {path} for writing: {error.strerror}"
            ) from None
        self._path = path
        self._release: Callable[[], None] | None = None
        try:
            self._release = lock_file(self.file, path)
            if not os.path.samestat(os.fstat(self.file.fileno()), place.stat()):
                raise LockedError(None, "wait for it or stop it first")  # it was just replaced
        except OSError as error:
            self.close()
            if isinstance(error, LockedError | FileNotFoundError):
                raise JournalInUseError(
                    f"journal {path} is in use by another process; {error.strerror}"
                ) from None
            raise JournalError(f"cannot lock journal {path}: {error.strerror}") from None

    @classmethod
    def create(cls, path: Path, content: bytes) -> Self:
        """Write a new journal that is locked from the moment at which it is there.

        Otherwise a process that waits for it could lock it first, and take the search for one that
        nobody leads.

        Raises
        ------
        OSError
            If it exists or cannot be written.
        """
        if os.name == "nt":  # an open file gets no other name there
            write_atomically(path, content, overwrite=False)
            return cls(path)
        made: list[Self] = []

        def write(file: IO[bytes]) -> None:
            file.write(content)
            made.append(cls(path, Path(file.name)))

        try:
            write_atomically(path, write, overwrite=False)
        except BaseException:
            for locked in made:
                locked.close()
            raise
        return made[0]

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
