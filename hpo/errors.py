"""Errors and warnings for users. Each message names the problem and the remedy."""

from __future__ import annotations

import importlib
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from qsvr._text import install_hint


class UsageError(ValueError):
    """A setting or a request is invalid. The message names the remedy.

    The command line prints the message on one line and exits with status 2.
    """


class MissingPackageError(UsageError, ModuleNotFoundError):
    """An optional dependency is not installed. The message names the extra to install."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class JournalError(UsageError):
    """A journal is missing, damaged, in use, or belongs to another run or version."""


class JournalInUseError(JournalError):
    """Another process has opened the journal for writing, because it leads the run."""


class TrainerError(UsageError):
    """A trainer cannot be found, imported or sent to the workers."""


class ObjectiveError(ValueError):
    """The objective is not among the metrics that a trainer returned, or it is ambiguous."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used. Only the trial that it belongs to is affected."""


class StoppedRunError(RuntimeError):
    """The run cannot continue, for a reason that no trial is responsible for.

    The journal keeps the state of the run.

    Attributes
    ----------
    results : Results or None, default=None
        The results so far. None if the run did not begin.
    """

    results: Any = None


class MissingObjectiveError(StoppedRunError):
    """The trainer does not return the objective. A new run is discarded with its journal."""


class ExecutorBrokenError(StoppedRunError):
    """No worker is left and none can be started. The journal keeps the state of the run."""


class MachineError(StoppedRunError):
    """The machine fails: a full disk, a read-only file system, no memory, too many open files.

    No trial is recorded as failed. Correct the cause that the message names, and resume.
    """


class CallbackError(StoppedRunError):
    """A callback failed or returned an invalid value. The message names the callback."""


class ExecutorLostError(BrokenExecutor):
    """The executor as a whole is lost, for example its scheduler process. No job caused it."""


class JournalWriteError(MachineError):
    """The journal cannot be written, for example because the disk is full. Its content is safe."""


class NoBestTrialError(RuntimeError):
    """No trial has a finite loss, so there is no best trial. The message names the first reason."""


class MissingCheckpointError(UsageError, LookupError):
    """A trial has no checkpoint to load a model from. The message names the reason."""


class AllTrialsFailedWarning(RuntimeWarning):
    """The run is over, and no trial has a finite loss."""


AT_DEADLINE = 0
"""Used instead of the number of a signal if the run stopped at its deadline."""

_EXIT_AT_DEADLINE = 75  # EX_TEMPFAIL of sysexits.h: try again later


class InterruptedRunError(KeyboardInterrupt):
    """The run was stopped by a signal such as Ctrl-C, or at its deadline.

    Parameters
    ----------
    signum : int
        Number of the signal; `AT_DEADLINE` if the run stopped at its deadline.
    journal : Path or None, default=None
        Journal of the run. A run without a journal (None) cannot be resumed.
    results : Results or None, default=None
        The results so far.
    """

    def __init__(self, signum: int, journal: Path | None = None, results: Any = None) -> None:
        super().__init__(signum, journal)
        self.signum = signum
        self.journal = journal
        self.results = results

    @property
    def exit_code(self) -> int:
        """Exit status: 128 plus the signal (130 for Ctrl-C), as in a shell; 75 at the deadline."""
        return 128 + self.signum if self.signum != AT_DEADLINE else _EXIT_AT_DEADLINE

    def __str__(self) -> str:
        """Return what was kept."""
        stopped = "Stopped" if self.signum != AT_DEADLINE else "Stopped at the deadline"
        if self.journal is None:
            return (
                f"{stopped}. The run had no journal, so it cannot be resumed. The attribute "
                "results of this exception has the results so far."
            )
        return f"{stopped}; every finished report is kept in {self.journal}."


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
    except (ArithmeticError, AttributeError, LookupError, RecursionError) as error:
        message = " ".join(str(error).split())
        raise UsageError(f"a value does not fit: {type(error).__name__}: {message}") from error


def import_optional(module: str, user: str, extra: str = "") -> Any:
    """Import a module that is not a dependency of the core.

    Parameters
    ----------
    module : str
        Name of the module.
    user : str
        Name of the object that needs it, for the message.
    extra : str, default=""
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
        name = getattr(error, "name", None)
        if missing and module.startswith(f"{name}."):  # of matplotlib.figure
            module = str(name)
        why = "is not installed" if missing else f"cannot be imported ({error})"
        hint = install_hint(extra) if extra else f"pip install {module}"
        raise MissingPackageError(f"{user} needs {module}, which {why}: {hint}", module) from error
