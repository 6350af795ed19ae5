"""Continues from a damaged journal, whose lines before the damage are intact.

Nothing is thrown away. The damaged file is kept beside the journal, and the checkpoints of trials
that the lines left out are about are moved aside, since they may be ahead of what is left: those
trials are trained from the beginning.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo.errors import JournalError
from hpo.files import write_atomically
from hpo.run.checkpoints import CheckpointStore, default_directory
from hpo.run.journal import (
    Damage,
    JournalContent,
    encode_line,
    parse,
    read_journal,
)
from hpo.run.locking import locked_journal

SALVAGED = "salvaged"
"""Kind of the journal's note of what was left out of a damaged one."""


@dataclass(frozen=True)
class _Kept:
    content: JournalContent
    lines: bytes


def read_salvaged(journal: Path, checkpoint_dir: Path | None = None) -> JournalContent:
    """Read a journal up to its damage, if there is any, without changing it.

    Parameters
    ----------
    journal : Path
        The journal.
    checkpoint_dir : Path, optional
        Directory of its checkpoints, which holds a copy of its first line; default: beside it.

    Returns
    -------
    JournalContent
        ``damage`` says what was left out; None if the journal is whole.

    Raises
    ------
    JournalError
        If nothing can be salvaged, or it is no journal.
    """
    return _kept(Path(journal), checkpoint_dir).content


def salvage_journal(journal: Path, checkpoint_dir: Path | None = None) -> Path | None:
    """Replace a damaged journal by its lines up to the damage, so that it can be resumed.

    Killed at any moment, it can be repeated.

    Parameters
    ----------
    journal, checkpoint_dir
        As in `read_salvaged`.

    Returns
    -------
    Path or None
        Where the damaged file is kept (``NAME.damaged-1``); None if the journal is whole.

    Raises
    ------
    JournalError
        If nothing can be salvaged, a process has the journal open, or nothing can be written.
    """
    journal = Path(journal)
    if _kept(journal, checkpoint_dir).content.damage is None:
        return None
    try:
        with locked_journal(journal):
            kept = _kept(journal, checkpoint_dir)
            content = kept.content
            if content.damage is None:
                return None
            aside = _keep_damaged(journal)
            named = str(content.header.spec.get("checkpoint_dir", ""))
            directory = checkpoint_dir or named or default_directory(journal)
            known: set[Any] = {entry.data.get("trial_id") for entry in content.entries}
            CheckpointStore(Path(directory)).set_aside(content.damage.trials, known)
            note = {
                "what": SALVAGED,
                "file": aside.name,
                "line": content.damage.line,
                "lines": content.damage.n_lines,
                "reports": content.damage.n_reports,
                "trials": list(content.damage.trials),
            }
            time = content.entries[-1].time if content.entries else content.header.created
            line, _ = encode_line({"kind": "note", "time": time, "data": note}, content.checksum)
            write_atomically(journal, kept.lines + line)
    except OSError as error:
        raise JournalError(
            f"cannot salvage journal {journal}: {error.strerror}; the damaged file was not changed"
        ) from None
    return aside


def _kept(journal: Path, checkpoint_dir: Path | None) -> _Kept:
    """Read a journal up to its damage."""
    try:
        content = read_journal(journal, salvage=True)
        return _Kept(content, journal.read_bytes()[: content.end])
    except JournalError as error:
        if journal.is_file():
            directory = Path(checkpoint_dir or default_directory(journal))
            if (kept := _with_copied_header(journal, directory)) is not None:
                return kept
        raise error from None


def _with_copied_header(journal: Path, directory: Path) -> _Kept | None:
    """Read a journal whose first line is damaged with its copy; None if that is not it."""
    line = CheckpointStore(directory).header_line()
    try:
        raw = journal.read_bytes()
        newline = raw.index(b"\n") + 1
        if line is None or raw[:newline] == line:
            return None
        raw = line + raw[newline:]
        content = parse(raw, journal, salvage=True)
    except (OSError, ValueError):
        return None
    if not content.entries:  # nothing shows that the copy is of this journal
        return None
    damage = content.damage or Damage(1, "checksum; its copy was used", 0, 0, ())
    return _Kept(replace(content, damage=damage), raw[: content.end])


def _keep_damaged(journal: Path) -> Path:
    """Give the damaged file a second name, or the one that it has already got."""
    number = 1
    while True:
        aside = journal.with_name(f"{journal.name}.damaged-{number}")
        try:
            os.link(journal, aside)
        except FileExistsError:
            if aside.samefile(journal):
                return aside
            number += 1
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            shutil.copyfile(journal, aside)  # a file system without links
            return aside
        else:
            return aside
