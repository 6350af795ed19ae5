"""What can go wrong for a user, as exceptions whose message is the whole story."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any


class UsageError(ValueError):
    """The user asked for something that cannot be done; the message names the remedy.

    The command line prints the message alone, on one line, and ends with exit code 2.
    """


class JournalError(UsageError):
    """A journal is missing, damaged, in use, or belongs to another run or version."""


class TrainerError(UsageError):
    """A trainer cannot be found, imported or sent to the workers."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; raised while a trial trains, so that only this trial fails."""


class ExecutorBrokenError(RuntimeError):
    """No worker is left to run on and none can be started; the journal keeps the run's state."""


class ExecutorLostError(BrokenExecutor):
    """The engine as a whole is gone (its scheduler, say), which is no job's fault."""


class JournalWriteError(RuntimeError):
    """The journal cannot be written any more (disk full, say); what it holds is safe."""


class InterruptedRunError(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C or SIGTERM) and has stopped in good order.

    Parameters
    ----------
    signum : int
        The signal that came.
    journal : Path or None
        Where the state is kept; None for a run without a journal, which cannot be resumed.
    """

    def __init__(self, signum: int, journal: Path | None = None) -> None:
        super().__init__(signum, journal)
        self.signum = signum
        self.journal = journal

    @property
    def exit_code(self) -> int:
        """Exit code by the convention of shells: 128 plus the signal (130 for Ctrl-C)."""
        return 128 + self.signum

    def __str__(self) -> str:
        """Say what was kept and how to go on."""
        if self.journal is None:
            return "Stopped. The run had no journal, so it cannot be resumed."
        return f"Stopped; every finished report is kept in {self.journal}."


def usage_checked(build: Any, *args: Any, **kwargs: Any) -> Any:
    """Call `build`; what it refuses, or cannot import, becomes a `UsageError`."""
    try:
        return build(*args, **kwargs)
    except UsageError:
        raise
    except OSError as error:
        msg = f"cannot use {error.filename}: {error.strerror}"
        raise UsageError(msg if error.filename else str(error)) from error
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(" ".join(str(error).split())) from error
