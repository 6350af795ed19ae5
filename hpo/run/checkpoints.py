"""The checkpoints of a run: a directory per trial, and a file that says which run they are of.

While a trial is trained, its directory lies in that of the attempt (`hpo.run.executors.attempts`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from hpo.errors import UsageError
from hpo.files import write_atomically
from hpo.run.executors.attempts import settle
from hpo.run.journal import Header, encode_line
from hpo.trainers.faults import machine_fault

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
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_unused(self) -> None:
        """Check, before anything is written, that a new run may use the directory.

        Raises
        ------
        UsageError
            If it exists and is not empty, or is no directory.
        """
        try:
            used = self.root.exists() and any(self.root.iterdir())
        except OSError as error:
            raise UsageError(
                f"checkpoint_dir {self.root} cannot be used: {error.strerror}"
            ) from None
        if used:
            raise UsageError(
                f"checkpoint_dir {self.root} must be empty for a new run; resume the run that it "
                "belongs to, or name another directory"
            )

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
        if not identity.is_file():
            if self.root.exists() and any(self.root.iterdir()):
                raise UsageError(
                    f"checkpoint_dir {self.root} holds no {_IDENTITY}, so it is not this run's"
                )
            self.create(header)
            return False
        owner = json.loads(identity.read_text())["run_id"]
        if owner != header.run_id:
            raise UsageError(
                f"checkpoint_dir {self.root} belongs to run {owner}, the journal to run "
                f"{header.run_id}; give the directory that this run was started with"
            )
        for pattern in (".*.tmp", "trial-*/**/.*.tmp"):  # an attempt may still be running
            for leftover in self.root.glob(pattern):
                leftover.unlink(missing_ok=True)
        return True

    def restore_journal(self, journal: Path) -> None:
        """Restore the header of a journal that ends within it; otherwise do nothing."""
        identity = self.root / _IDENTITY
        if not identity.is_file() or not journal.is_file():
            return
        line, _ = encode_line(json.loads(identity.read_text()))
        kept = journal.read_bytes()
        if len(kept) < len(line) and line.startswith(kept):  # it holds nothing that could be lost
            write_atomically(journal, line)

    def checkpoint(self, trial_id: int) -> Path:
        """Return a trial's checkpoint path; its directory is created when the trial is trained."""
        return self.root / _name(trial_id) / "checkpoint"

    def attempts(self, trial_id: int) -> Path:
        """Return the directory of the attempts to train a trial."""
        return self.root / _ATTEMPTS / _name(trial_id)

    def settle(self, trial_id: int, attempt: str = "") -> None:
        """Make what an attempt has left the trial's own, once its report is accepted.

        Parameters
        ----------
        trial_id : int
        attempt : str
            Name of the attempt; by default the last one, which has failed.
        """
        settle(self.root / _name(trial_id), self.attempts(trial_id), attempt)

    def tidy(self) -> None:
        """Delete what the attempts of a finished run have left, but no state of a trial."""
        attempts = self.root / _ATTEMPTS
        if not attempts.is_dir():
            return
        for name in os.listdir(attempts):  # noqa: PTH208 - the quickest way
            if (self.root / name).is_dir():
                shutil.rmtree(attempts / name, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not empty
            attempts.rmdir()


def _name(trial_id: int) -> str:
    return f"trial-{trial_id:05d}"
