"""Atomic writing of files: a crash leaves either the old or the new content."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

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
    overwrite : bool
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
            os.link(temporary, path)  # unlike a rename, a link fails where the file exists
            temporary.unlink()
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def is_temporary(path: Path) -> bool:
    """Return whether a file is named as the temporary files of `write_atomically` are."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` left; nobody may be writing it."""
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
    """Write the entries of a directory to disk, so that a rename in it survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
