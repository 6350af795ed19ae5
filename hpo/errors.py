"""Errors that a user can cause or meet; each message says what is wrong and what to do."""

from __future__ import annotations

import importlib
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from qsvr._text import install_hint


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


class JournalInUseError(JournalError):
    """Another process has the journal open: it leads the run."""


class TrainerError(UsageError):
    """A trainer cannot be found, imported or sent to the workers."""


class ObjectiveError(ValueError):
    """What a trainer returned does not say what to optimise: the objective is not among it."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; raised while a trial trains, so that only this trial fails."""


class StoppedRunError(RuntimeError):
    """The run cannot go on for a reason that is no trial's; the journal keeps its state.

    Attributes
    ----------
    results : Results or None, default=None
        What the run found; None if it did not begin.
    """

    results: Any = None


class MissingObjectiveError(StoppedRunError):
    """The trainer does not return the objective. A new run is discarded with its journal."""


class ExecutorBrokenError(StoppedRunError):
    """No worker is left and none can be started; the journal keeps the state of the run."""


class MachineError(StoppedRunError):
    """The machine fails: a full disk, a read-only place, no memory or open file left.

    No trial is to blame, and none is judged. Mend what the message names, and resume.
    """


class CallbackError(StoppedRunError):
    """A callback failed, or returned what it must not; the message names it."""


class ExecutorLostError(BrokenExecutor):
    """The executor as a whole is lost, such as its scheduler process; no job caused it."""


class JournalWriteError(MachineError):
    """The journal cannot be written, for example on a full disk; its content is safe."""


class NoBestTrialError(RuntimeError):
    """No trial has a finite loss, so none is the best; the message names the first reason."""


class MissingCheckpointError(UsageError, LookupError):
    """A trial has no checkpoint that a model could be loaded from; the message says why."""


class AllTrialsFailedWarning(RuntimeWarning):
    """The run came to its end, and no trial has a finite loss."""


AT_DEADLINE = 0
"""In place of a signal: the run stopped at its deadline."""

_EXIT_AT_DEADLINE = 75  # EX_TEMPFAIL of sysexits.h: try again later


class InterruptedRunError(KeyboardInterrupt):
    """The run was stopped by a signal such as Ctrl-C, or at its deadline, in good order.

    Parameters
    ----------
    signum : int
        The signal; `AT_DEADLINE` for none.
    journal : Path or None, default=None
        Journal of the run; None for a run without one, which cannot be resumed.
    results : Results or None, default=None
        What the run found so far.
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
        """Say what was kept and how to go on."""
        stopped = "Stopped" if self.signum != AT_DEADLINE else "Stopped at the deadline"
        if self.journal is None:
            return (
                f"{stopped}. The run had no journal, so it cannot be resumed; what it found is the "
                "attribute results of this exception."
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
        What needs it, for the message.
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
        why = "is not installed" if missing else f"cannot be imported ({error})"
        hint = install_hint(extra) if extra else f"pip install {module}"
        raise MissingPackageError(f"{user} needs {module}, which {why}: {hint}", module) from error
