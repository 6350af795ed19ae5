"""Classifies errors: of a trial, of its checkpoint, or of the machine.

A trial that fails is a result of the search. A full disk is not: it does not depend on the trial,
and every later trial would fail as well. So errors of the machine stop the run cleanly, and a
checkpoint that is lost or damaged makes its trial start afresh.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import sys
import zlib
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path

from hpo.errors import CheckpointError

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room within the quota",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "make the place writable",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files of the system",
    errno.EIO: "check the disk",
    errno.ENOMEM: "free some memory",
}
_WRITING_FAILED = re.compile(
    r"PytorchStreamWriter failed"  # torch.save, which hides the reason
    r"|enforce fail at inline_container\.cc"  # the same, when it closes the file
    r"|\d+ requested and \d+ written"  # numpy.ndarray.tofile
    r"|database or disk is full"  # SQLite
    r"|errno = 28\b"  # HDF5
)
_DAMAGED = (  # what readers of truncated or overwritten files raise
    CheckpointError,
    EOFError,
    pickle.UnpicklingError,
    zlib.error,
    JSONDecodeError,
    UnicodeDecodeError,
)
_DAMAGED_TOO = {
    "BadZipFile",
    "BadGzipFile",
    "LZMAError",
    "SafetensorError",
}  # not imported for this
_READING_FAILED = re.compile(
    r"PytorchStreamReader failed"  # torch.load
    r"|Failed to interpret file|file contains pickled|Failed to read all data|reading array data"
)
_FULL = 1 << 16
"""Bytes that are left on a disk that counts as full."""


def machine_fault(error: BaseException, *, memory: bool = False) -> str:
    """Return the remedy for an error of the machine; empty for another error.

    Parameters
    ----------
    error : BaseException
        Searched with its causes.
    memory : bool, default=False
        Whether the lack of memory counts. It does in the tuner, whereas a trial may have a model
        that is too large.

    Examples
    --------
    >>> machine_fault(OSError(errno.ENOSPC, "No space left on device"))
    'make room'
    >>> machine_fault(ValueError("learning rate"))
    ''
    """
    for each in _chain(error):
        if isinstance(each, MemoryError) and memory:
            return _REMEDIES[errno.ENOMEM]
        code = each.errno if isinstance(each, OSError) else None
        text = _text(each)
        for known, remedy in _REMEDIES.items():
            if known == errno.ENOMEM and not memory:
                continue
            if code == known or (code is None and os.strerror(known) in text):
                return remedy
        if _WRITING_FAILED.search(text):
            return _REMEDIES[errno.ENOSPC]
    return ""


def disk_fault(place: Path) -> str:
    """Return the remedy for a full or read-only disk; empty if there is room.

    For libraries that hide why they could not write a checkpoint.

    Parameters
    ----------
    place : Path
        A directory.
    """
    if sys.platform == "win32":
        return ""
    try:
        state = os.statvfs(place)
    except (OSError, AttributeError):
        return ""
    if state.f_flag & getattr(os, "ST_RDONLY", 0):
        return _REMEDIES[errno.EROFS]
    return _REMEDIES[errno.ENOSPC] if 0 <= state.f_bavail * state.f_frsize < _FULL else ""


def is_checkpoint_fault(error: BaseException, folder: Path) -> bool:
    """Return whether an error was raised because a checkpoint is missing or cannot be read.

    Parameters
    ----------
    error : BaseException
    folder : Path
        Directory of the trial.
    """
    for each in _chain(error):
        if isinstance(each, _DAMAGED) or type(each).__name__ in _DAMAGED_TOO:
            return True
        if _READING_FAILED.search(_text(each)):
            return True
        name = each.filename if isinstance(each, OSError) else None
        if isinstance(name, str | os.PathLike) and folder in Path(name).parents:
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it was raised from, each once."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        context = None if each.__suppress_context__ else each.__context__
        waiting += [other for other in (context, each.__cause__) if other is not None]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a message that cannot be made says nothing
        return ""
