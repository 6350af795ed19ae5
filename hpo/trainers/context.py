"""Information about the current trial, for trainers that need more than their arguments.

>>> def train(config, start, stop, checkpoint):
...     trial = current_trial()
...     trial.logger.info("training on %s", trial.devices or "the CPU")
...     return [config["lr"]] * (stop - start)
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from hpo.errors import UsageError
from hpo.trainers.objective import LOSS_MINIMISED, Objective

LOG = "log.txt"
"""Name of the file beside the checkpoint that takes the lines of `TrialContext.logger`."""

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@dataclass(frozen=True)
class TrialContext:
    """Information about a trial while a segment of it is trained.

    `current_trial` returns it inside a trainer.

    Attributes
    ----------
    trial_id : int
        Number of the trial, from 0.
    attempt : int
        Number of the attempt to train this segment, from 1: 2 is the first retry.
    start, stop : int
        Units (epochs) before and after the segment, as `Trainer.train` receives them.
    folder : Path
        Directory of the trial, with its checkpoint. It belongs to the trial alone. Its path
        differs from segment to segment, its content is kept.
    host : str
        Name of the machine.
    worker : str, default=""
        Name of the worker: that of Dask, the rank under MPI, or the name of the process; empty in
        the process that leads the run.
    devices : tuple of str, default=()
        Devices that the worker may use, from an environment variable such as
        ``CUDA_VISIBLE_DEVICES``; empty if there is none.
    deadline : float or None, default=None
        Time at which the run stops, in seconds since 1970; None without a deadline. Segments that
        run at that time are ended, and trained again after ``hpo resume``.
    objective : Objective, default=Objective()
        What the search optimises: its ``name`` (empty if it has none) and ``mode``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo import TrialContext
    >>> context = TrialContext(0, attempt=1, start=0, stop=3, folder=Path("trial-0"), host="node1")
    >>> context.remaining is None
    True
    """

    trial_id: int
    attempt: int
    start: int
    stop: int
    folder: Path
    host: str
    worker: str = ""
    devices: tuple[str, ...] = ()
    deadline: float | None = None
    objective: Objective = LOSS_MINIMISED

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for a process of the trainer (see `from_json`)."""
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the context from plain values.

        Parameters
        ----------
        data : Mapping
            From `to_json`.
        """
        parts = {
            "folder": Path(data["folder"]),
            "devices": tuple(data["devices"]),
            "objective": Objective(**data["objective"]),
        }
        return cls(**{**data, **parts})

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, at least 0; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.time())

    @cached_property
    def logger(self) -> logging.Logger:
        """Logger whose lines are appended to ``log.txt`` beside the checkpoint, from INFO on.

        The file stays with the trial: lines of earlier segments and of failed attempts remain. The
        records also go to the handlers of the logger ``hpo.trial`` and of its parents, if the
        worker has any.
        """
        logger = logging.Logger(f"hpo.trial.{self.trial_id}", logging.INFO)
        logger.parent = logging.getLogger("hpo.trial")
        handler = logging.FileHandler(
            self.folder / LOG, encoding="utf-8", delay=True, errors="backslashreplace"
        )
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        return logger


_current: ContextVar[TrialContext | None] = ContextVar("hpo_current_trial", default=None)


def trial_or_none() -> TrialContext | None:
    """Return the context as `current_trial` does, None if no trial is trained here."""
    return _current.get()


def current_trial() -> TrialContext:
    """Return the context of the trial that is trained by the calling trainer.

    Call it in the thread in which `Trainer.train` was called. Pass the context, or the values that
    are needed, to threads and processes that the trainer starts.

    Returns
    -------
    TrialContext

    Raises
    ------
    UsageError
        If no trial is trained here.
    """
    found = _current.get()
    if found is None:
        raise UsageError(
            "current_trial() must be called while a trainer trains a trial, in the thread that "
            "called it; no trial is trained here. In a thread or process that the trainer starts, "
            "pass on what it needs"
        )
    return found


@contextlib.contextmanager
def trial_context(trial: TrialContext) -> Iterator[None]:
    """Let `current_trial` return `trial` meanwhile, and close its log at the end."""
    token = _current.set(trial)
    try:
        yield
    finally:
        _current.reset(token)
        if "logger" in vars(trial):
            for handler in trial.logger.handlers:
                handler.close()
