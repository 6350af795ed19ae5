"""Atomic writing of files: a crash leaves either the old or the new content."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO


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


def sync_directory(path: Path) -> None:
    """Write the entries of a directory to disk, so that a rename in it survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
