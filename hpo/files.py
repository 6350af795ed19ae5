"""Files that survive a crash: written whole or not at all, and locked until a process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
"""How a file system says that it does not have an operation, such as links on a USB stick."""
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.tmp")


def write_atomically(
    path: Path, content: bytes | Callable[[IO[bytes]], object], *, overwrite: bool = True
) -> None:
    """Write a file completely or not at all: temporary file, fsync, rename, fsync of the directory.

    Parameters
    ----------
    path : Path
        The file; the temporary file is created in the same directory.
    content : bytes or callable
        The bytes, or a function that writes them to an open file.
    overwrite : bool, default=True
        Whether an existing file may be replaced.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If the directory is missing, not writable or full. The old file is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file to a name that must be free."""
    if os.name == "nt":
        old.rename(new)  # fails where the file exists, as a link does elsewhere
        return
    try:
        os.link(old, new)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        if new.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        old.rename(new)
    else:
        old.unlink()


def is_temporary(path: Path) -> bool:
    """Return whether a file is named as the temporary files of `write_atomically` are."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(path: Path) -> None:
    """Remove temporary files of killed writers of `path`; no process may be writing it."""
    for leftover in _temporaries(path):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _temporaries(path: Path) -> Iterator[Path]:
    try:
        beside = list(path.parent.iterdir())
    except OSError:  # a directory that may be written but not listed
        return
    for file in beside:
        match = _TEMPORARY.fullmatch(file.name)
        if match is not None and match["name"] == path.name:
            yield file


def sync_directory(path: Path) -> None:
    """Write the entries of a directory to disk, so that a rename in it survives a power cut.

    Windows and some network file systems cannot do this, and a directory that may not be read
    cannot be opened for it: nothing is done there, and the rename is as safe as the system makes
    it. Any other error is raised, such as that of a full or failing disk.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)


class LockedError(OSError):
    """Another process holds the lock of a file. The message names the remedy."""


def lock_file(file: IO[bytes], path: Path) -> Callable[[], None]:
    """Lock a file against other processes until it is released or this process ends, however.

    On Linux and macOS the file itself is locked (``flock``), which processes that only read do not
    notice. Windows refuses others to read a locked file, so a file beside it is locked there
    (``NAME.lock``). Both are released by the system with the process, also after ``kill -9``.
    Where there is no such lock (a file system without ``flock``), the file beside it names its
    owner, and is taken over if this was a process of this machine that has ended.

    Parameters
    ----------
    file : binary file
        The file, open for writing.
    path : Path
        Its path.

    Returns
    -------
    callable
        Releases the lock; to be called before the file is closed.

    Raises
    ------
    LockedError
        If another process, or this one, holds the lock already.
    OSError
        If the file cannot be locked for another reason.
    """
    import filelock  # takes as long as all else that a report of a run imports from here

    if filelock.has_fcntl:
        try:
            free = filelock.lock_descriptor(file.fileno(), blocking=False)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            if not free:
                raise LockedError(errno.EWOULDBLOCK, "wait for it or stop it first")
            return lambda: filelock.unlock_descriptor(file.fileno())
    kind = filelock.SoftFileLock if filelock.has_fcntl else filelock.FileLock
    lock = kind(path.with_name(f"{path.name}.lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        remedy = f"wait for it or stop it first; if there is none, delete {lock.lock_file}"
        raise LockedError(errno.EWOULDBLOCK, remedy) from None
    return lock.release
