"""Errors that a user can cause or meet; each message says what is wrong and what to do."""

from __future__ import annotations

import importlib
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any


class UsageError(ValueError):
    """The user asked for something that cannot be done; the message names the remedy.

    The command line prints the message on one line and exits with status 2.
    """


class MissingPackageError(UsageError, ModuleNotFoundError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class JournalError(UsageError):
    """A journal is missing, damaged, in use, or belongs to another run or version."""


class TrainerError(UsageError):
    """A trainer cannot be found, imported or sent to the workers."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; raised while a trial trains, so that only this trial fails."""


class ExecutorBrokenError(RuntimeError):
    """No worker is left and none can be started; the journal keeps the state of the run."""


class ExecutorLostError(BrokenExecutor):
    """The executor as a whole is lost, such as its scheduler process; no job caused it."""


class JournalWriteError(RuntimeError):
    """The journal cannot be written, for example on a full disk; its content is safe."""


class InterruptedRunError(KeyboardInterrupt):
    """The run was stopped by Ctrl-C or SIGTERM, in good order.

    Parameters
    ----------
    signum : int
        The signal.
    journal : Path or None
        Journal of the run; None for a run without one, which cannot be resumed.
    """

    def __init__(self, signum: int, journal: Path | None = None) -> None:
        super().__init__(signum, journal)
        self.signum = signum
        self.journal = journal

    @property
    def exit_code(self) -> int:
        """Exit status by the convention of shells: 128 plus the signal (130 for Ctrl-C)."""
        return 128 + self.signum

    def __str__(self) -> str:
        """Say what was kept and how to go on."""
        if self.journal is None:
            return "Stopped. The run had no journal, so it cannot be resumed."
        return f"Stopped; every finished report is kept in {self.journal}."


def usage_checked(build: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call ``build(*args, **kwargs)``.

    Raises
    ------
    UsageError
        If it refuses an argument, cannot use a file, or cannot import a module.
    """
    try:
        return build(*args, **kwargs)
    except UsageError:
        raise
    except OSError as error:
        msg = f"cannot use {error.filename}: {error.strerror}"
        raise UsageError(msg if error.filename else str(error)) from error
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(" ".join(str(error).split())) from error


def import_optional(module: str, user: str, extra: str = "") -> Any:
    """Import a module that is not a dependency of the core.

    Parameters
    ----------
    module : str
        Name of the module.
    user : str
        What needs it, for the message.
    extra : str
        Extra of this distribution that installs it; empty for none.

    Raises
    ------
    MissingPackageError
        If it is not installed or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # the latter: torchvision built for another torch
        missing = isinstance(error, ModuleNotFoundError)
        why = "is not installed" if missing else f"cannot be imported ({error})"
        source = f"'qsvr[{extra}]'" if extra else module
        raise MissingPackageError(
            f"{user} needs {module}, which {why}: pip install {source}", module
        ) from error
