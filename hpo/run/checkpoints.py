"""Checkpoints of a run: a directory per trial, and a file that identifies the run.

While a trial is trained, its directory lies in that of the attempt (`hpo.run.executors.attempts`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from hpo.errors import JournalError, UsageError
from hpo.files import is_temporary, write_atomically
from hpo.run.checks import is_number
from hpo.run.executors.attempts import settle
from hpo.run.journal import Header, checked_header, encode_line
from hpo.trainers.faults import machine_fault
from hpo.trainers.place import FILE

_IDENTITY = "run.json"
_ATTEMPTS = "attempts"


def default_directory(journal: Path) -> Path:
    """Return the directory beside a journal: ``run.jsonl`` -> ``run.checkpoints``.

    Raises
    ------
    UsageError
        If the path names a directory such as ``.`` and not a file.
    """
    if not journal.name or journal.is_dir():
        raise UsageError(f"journal must be a file, got the directory {journal}; name a file in it")
    return journal.with_name(f"{journal.stem}.checkpoints")


class CheckpointStore:
    """Checkpoints of one run.

    The directory holds a copy of the journal's header, so that checkpoints of another run are
    never used, and a journal that was cut within its header can be restored.

    Parameters
    ----------
    root : Path
        The directory.

    Attributes
    ----------
    removed : set of int
        Trials whose checkpoints were deleted and that have not started again since.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.removed: set[int] = set()

    def check_unused(self) -> None:
        """Check, before anything is written, that a new run may use the directory.

        Raises
        ------
        UsageError
            If it exists and is not empty, or is no directory.
        """
        if self._used():
            raise UsageError(
                f"checkpoint_dir {self.root} must be empty for a new run; resume the run that it "
                "belongs to, or name another directory"
            )

    def _used(self) -> bool:
        """Return whether the directory contains more than a killed start leaves behind."""
        try:
            return self.root.exists() and not all(map(is_temporary, self.root.iterdir()))
        except OSError as error:
            raise UsageError(
                f"checkpoint_dir {self.root} cannot be used: {error.strerror}; name another"
            ) from None

    def create(self, header: Header) -> None:
        """Create the directory for the run that `header` describes.

        Raises
        ------
        UsageError
            If that is not possible.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / _IDENTITY, json.dumps(header.to_json()).encode())
        except OSError as error:
            remedy = machine_fault(error) or "name another"
            raise UsageError(
                f"checkpoint_dir {self.root} cannot be written: {error.strerror}; {remedy}"
            ) from None

    def adopt(self, header: Header) -> bool:
        """Take the directory over for a resumed run and delete files that a crash left incomplete.

        Returns
        -------
        bool
            False if it was lost and has been created again, so that trials start from the
            beginning.

        Raises
        ------
        UsageError
            If it belongs to another run.
        """
        identity = self.root / _IDENTITY
        if not identity.exists():
            if self._used():
                raise UsageError(
                    f"checkpoint_dir {self.root} holds no {_IDENTITY}, so it is not this run's"
                )
            self.create(header)
            self._remove_temporaries()
            return False
        owner = self._owner(header.run_id)
        if owner != header.run_id:
            raise UsageError(
                f"checkpoint_dir {self.root} belongs to run {owner}, the journal to run "
                f"{header.run_id}; give the directory that this run was started with"
            )
        self._remove_temporaries()
        return True

    def _remove_temporaries(self) -> None:
        for pattern in (".*.tmp", "trial-*/**/.*.tmp"):  # an attempt may still be running
            for leftover in self.root.glob(pattern):
                leftover.unlink(missing_ok=True)

    def _owner(self, run_id: str) -> str:
        """Return the run that the directory belongs to.

        Raises
        ------
        UsageError
            If the file that says so cannot be read, or says nothing.
        """
        identity = self.root / _IDENTITY
        try:
            return str(_object(identity.read_bytes())["run_id"])
        except OSError as error:
            why = error.strerror or str(error)
        except (ValueError, RecursionError, LookupError):
            why = "it was not written by hpo"
        raise UsageError(
            f"{identity} cannot be read ({why}), and the journal is not at fault. If the "
            f'checkpoints beside it are of this run, replace the file by {{"run_id": "{run_id}"}}; '
            "if not, name another checkpoint_dir, and trials are trained from the beginning"
        )

    def header_line(self) -> bytes | None:
        """Return the first line of the run's journal, by its copy; None without a valid one."""
        identity = self.root / _IDENTITY
        try:
            copy = _object(identity.read_bytes())
            checked_header(copy, identity)
        except (OSError, ValueError, RecursionError):
            return None
        return encode_line(copy)[0]

    def restore_journal(self, journal: Path) -> None:
        """Restore the header of a journal that ends within it; otherwise do nothing.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        line = self.header_line()
        try:
            with journal.open("rb") as file:
                kept = file.read(0 if line is None else len(line))
        except (OSError, ValueError):
            return  # whoever reads the journal says what is wrong with it
        if line is None or kept == line or not line.startswith(kept):
            return
        try:
            write_atomically(journal, line)  # the file holds nothing that could be lost
        except OSError as error:
            raise JournalError(
                f"cannot restore the first line of journal {journal}: {error.strerror}"
            ) from None

    def set_aside(self, trials: Iterable[int], known: Container[int]) -> None:
        """Rename the directories of trials whose checkpoints may be ahead of the journal.

        Parameters
        ----------
        trials : iterable of int
            Trials that such a journal has lost lines about.
        known : container of int
            Trials that it knows; all others are set aside as well.

        Raises
        ------
        OSError
            If that is not possible.
        """
        ahead = set(trials)
        for pattern in ("trial-*", f"{_ATTEMPTS}/trial-*"):  # of attempts that have not ended
            for folder in sorted(self.root.glob(pattern)):
                match = re.fullmatch(r"trial-(\d+)", folder.name)
                if match is None or (int(match[1]) in known and int(match[1]) not in ahead):
                    continue
                number = 1
                while (place := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
                    number += 1
                folder.rename(place)

    def place(self, trial_id: int) -> dict[str, Any]:
        """Return where a trial was last trained (see `hpo.trainers.place`), if it is known."""
        name = trial_name(trial_id)
        attempts = self.attempts(trial_id).glob(f"*/{name}/{FILE}")
        found = [*self.root.glob(f"{name}/{FILE}"), *attempts]
        latest: dict[str, Any] = {}
        for file in found:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                place = _object(file.read_bytes())
                if is_number(place.get("started")) and place["started"] >= latest.get("started", 0):
                    latest = place
        return latest

    def checkpoint(self, trial_id: int) -> Path:
        """Return a trial's checkpoint path; its directory is created when the trial is trained."""
        return self.root / trial_name(trial_id) / "checkpoint"

    def attempts(self, trial_id: int) -> Path:
        """Return the directory of the attempts to train a trial."""
        return self.root / _ATTEMPTS / trial_name(trial_id)

    def found(self, trial_id: int) -> Path | None:
        """Return a trial's checkpoint where it lies now; None if there is none.

        That of a trial in training lies in the directory of its attempt.
        """
        name = trial_name(trial_id)
        attempts = sorted(self.attempts(trial_id).glob(f"*/{name}/checkpoint"), reverse=True)
        return next(
            (path for path in (self.checkpoint(trial_id), *attempts) if path.exists()), None
        )

    def remove(self, trial_id: int) -> None:
        """Delete a trial's checkpoint: all files in its directory named ``checkpoint*``.

        What else is there stays, such as ``error.txt`` and what the trainer has written for a
        reader. A directory without such things is deleted, if there was a checkpoint in it. What
        cannot be deleted stays as well.
        """
        name = trial_name(trial_id)
        for folder in (self.root / name, *self.attempts(trial_id).glob(f"*/{name}")):
            _remove_checkpoint(folder)

    def settle(self, trial_id: int, attempt: str = "") -> None:
        """Move the files of an attempt to the trial, after its report was accepted.

        Parameters
        ----------
        trial_id : int
        attempt : str, default=""
            Name of the attempt; by default the last one, which has failed.
        """
        settle(self.root / trial_name(trial_id), self.attempts(trial_id), attempt)

    def tidy(self) -> None:
        """Delete the files of attempts of a finished run, but no state of a trial."""
        attempts = self.root / _ATTEMPTS
        if not attempts.is_dir():
            return
        removed = set(map(trial_name, self.removed))
        for name in os.listdir(attempts):  # noqa: PTH208 - the quickest way
            if (self.root / name).is_dir() or name in removed:
                shutil.rmtree(attempts / name, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not empty
            attempts.rmdir()


def trial_name(trial_id: int) -> str:
    """Return the name of the directory of a trial, in that of the checkpoints."""
    return f"trial-{trial_id:05d}"


def _remove_checkpoint(folder: Path) -> None:
    """Delete the checkpoint in the directory of a trial, if there is one."""
    try:
        found = {path.name: path for path in folder.iterdir()}
    except OSError:  # there is no directory
        return
    parts = [path for name, path in found.items() if name.startswith(("checkpoint", ".checkpoint"))]
    for path in parts:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    if parts and set(found) - {path.name for path in parts} <= {FILE}:
        with contextlib.suppress(OSError):
            (folder / FILE).unlink(missing_ok=True)
            folder.rmdir()


def _object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that the bytes hold; ValueError if they hold something else."""
    data = json.loads(raw)
    if not isinstance(data, dict):
        raise ValueError(f"a JSON object is needed, got {type(data).__name__}")
    return data
