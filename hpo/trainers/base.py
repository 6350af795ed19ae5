"""The trainer protocol, and the function that runs a segment and checks its result.

A trainer trains one configuration from one resource unit to another and returns the loss after
each unit. It stores its state in a checkpoint, so that training can be continued:

>>> class Halving:
...     def train(self, config, start, stop, checkpoint):
...         return [config["scale"] / 2**unit for unit in range(start + 1, stop + 1)]
>>> run_segment(Halving(), Segment({"scale": 8.0}, 1, 3, Path("unused"))).losses
(2.0, 1.0)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from hpo.errors import ObjectiveError, TrainerError, UsageError
from hpo.trainers import failures
from hpo.trainers.context import TrialContext, trial_context
from hpo.trainers.failures import describe as describe  # noqa: PLC0414 - part of this module
from hpo.trainers.faults import disk_fault, is_checkpoint_fault, machine_fault
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trainers.objective import Metrics as Metrics  # noqa: PLC0414 - part of this module
from hpo.trainers.place import ended, here, write_place
from hpo.trial import Config

Result = Sequence[float] | Metrics | Sequence[Mapping[str, float]] | Mapping[str, Sequence[float]]
"""What a trainer may return for a segment (see `Trainer.train`)."""


class Trainer(Protocol):
    """Protocol of trainers, which train one configuration for some resource units.

    See Also
    --------
    FunctionTrainer : A trainer that calls a function.
    TorchTrainer : A trainer for PyTorch models.
    ScriptTrainer : A trainer that runs a command.

    Examples
    --------
    A trainer is any object with a method `train`. It continues from its checkpoint:

    >>> class Slope:
    ...     def train(self, config, start, stop, checkpoint):
    ...         weight = float(checkpoint.read_text()) if checkpoint.exists() else 0.0
    ...         losses = []
    ...         for _ in range(start, stop):
    ...             weight -= config["lr"] * 2 * (weight - 3.0)
    ...             losses.append((weight - 3.0) ** 2)
    ...         checkpoint.write_text(repr(weight))
    ...         return losses
    """

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Train from `start` units done to `stop` units done.

        Parameters
        ----------
        config : Config
            The trial's hyperparameters.
        start, stop : int
            Absolute resource units, ``0 <= start < stop``. The same call may be repeated after a
            crash; units that the checkpoint covers need not be trained again.
        checkpoint : Path
            Absolute path for the state of this trial. Its directory exists and belongs to the
            trial. The trainer creates the path itself, as a file or a directory. The path differs
            from call to call, so a checkpoint must not contain it.

        Returns
        -------
        sequence of float, Metrics, sequence of Mapping, or Mapping of str to sequence
            The loss, or another objective, after each unit: ``stop - start`` numbers (see the
            parameters ``objective`` and ``mode`` of `hpo.Tuner`). With further metrics: `Metrics`;
            a mapping of numbers per unit, such as ``[{"loss": 0.3, "accuracy": 0.9}]``; or a
            mapping of sequences. If training has ended early, there may be fewer, with
            ``Metrics(..., finished=True)``. NaN and infinity of either sign count as worst.
        """
        ...


@dataclass(frozen=True)
class Segment:
    """One call of `Trainer.train`, as a picklable value.

    Attributes
    ----------
    config : Config
        The trial's hyperparameters.
    start, stop : int
        Units done before and after.
    checkpoint : Path
        The trial's checkpoint.
    attempts : Path or None, default=None
        Directory of the trial's attempts, each of which trains in a place of its own (see
        `hpo.run.executors.attempts`); None trains in `checkpoint`.
    call_id : str, default=""
        Distinguishes the attempts of a segment: Dask answers equal calls with the same result.
    fresh : bool, default=False
        Whether the trial starts from the beginning; its directory is then moved aside.
    expects_checkpoint : bool, default=False
        Whether the trainer keeps checkpoints, so that one that is missing has been lost.
    trial_id : int, default=0
        Number of the trial.
    attempt : int, default=1
        Number of the attempt to train the segment, from 1.
    deadline : float or None, default=None
        When the run stops, in seconds since the epoch; None without a deadline.
    objective : Objective, default=Objective()
        What the search optimises.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo.trainers import Segment
    >>> segment = Segment({"lr": 0.1}, start=3, stop=9, checkpoint=Path("trial-0.ckpt"))
    >>> segment.stop - segment.start
    6
    """

    config: Config
    start: int
    stop: int
    checkpoint: Path
    attempts: Path | None = None
    call_id: str = ""
    fresh: bool = False
    expects_checkpoint: bool = False
    trial_id: int = 0
    attempt: int = 1
    deadline: float | None = None
    objective: Objective = LOSS_MINIMISED


Cause = Literal["trial", "objective", "checkpoint", "lost", "executor", "machine"]
"""Cause of a failure: the trial itself; the objective, which the trainer did not return; the
checkpoint, without which the trial starts from the beginning; the worker, which was lost while it
trained; the executor, which failed to run the segment; or the machine, on which nothing can run
until it is repaired."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a segment, in plain values, since not every exception can be pickled.

    Attributes
    ----------
    losses : tuple of float, default=()
        Loss after each unit, which is minimised (see `Objective.losses`); empty for a failure.
    extra : Mapping of str to tuple of float, default={}
        Further metrics, as the trainer returned them.
    reason : str, default=""
        Reason of the failure in one line; empty for a success.
    retry : bool, default=True
        Whether another attempt may be made.
    place : Mapping, default={}
        Where and when it ran, if that is known (see `hpo.trainers.place`).
    cause : {"trial", "objective", "checkpoint", "lost", "executor", "machine"}, default="trial"
        Cause of the failure (see `Cause`).
    kept : bool, default=False
        Whether there is a checkpoint after the segment.
    attempt : str, default=""
        Name of the attempt, empty for a segment without `attempts`.
    finished : bool, default=False
        Whether training has ended by itself (see `Metrics`).
    objective : str, default=""
        Name of the metric that the losses are of; empty if the trainer gave none.
    waited : float, default=0.0
        Seconds that the segment waited for a worker after it was submitted, where that is known.

    Examples
    --------
    >>> from hpo.trainers import Outcome
    >>> Outcome(losses=(0.9, 0.5)).losses[-1]
    0.5
    """

    losses: tuple[float, ...] = ()
    extra: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reason: str = ""
    retry: bool = True
    place: Mapping[str, Any] = field(default_factory=dict, compare=False)
    cause: Cause = "trial"
    kept: bool = False
    attempt: str = ""
    finished: bool = False
    objective: str = ""
    waited: float = field(default=0.0, compare=False)


def run_segment(trainer: Trainer, segment: Segment) -> Outcome:
    """Run a segment and turn the result or an exception into an `Outcome`.

    Meanwhile `hpo.current_trial` describes the trial. The only exception raised is
    KeyboardInterrupt (in the in-process executor only, since workers ignore Ctrl-C). The full
    traceback, and what a failed command has printed if that was captured, is written to
    ``error.txt`` beside the checkpoint.

    Parameters
    ----------
    trainer : Trainer
    segment : Segment
    """
    where = here()
    with trial_context(_context(segment, where)):
        return _run_segment(trainer, segment, where)


def _run_segment(trainer: Trainer, segment: Segment, where: Mapping[str, Any]) -> Outcome:
    output = failures.Log(failures.own_log)
    folder = segment.checkpoint.parent
    try:
        if segment.fresh:
            set_aside(folder, folder)
        elif segment.start > 0 and _is_lost(segment):
            return Outcome(reason=f"its checkpoint is gone from {folder}", cause="checkpoint")
        folder.mkdir(parents=True, exist_ok=True)
        if segment.attempts is not None:  # of a run, which has a directory for each trial
            write_place(folder, where, segment.start, segment.stop)
        result = trainer.train(segment.config, segment.start, segment.stop, segment.checkpoint)
        n_units = segment.stop - segment.start
        measured = segment.objective.measured(result, n_units, begun=segment.start > 0)
        return Outcome(
            segment.objective.losses(measured.values),
            measured.extra,
            kept=segment.checkpoint.exists(),
            place=ended(where),
            finished=measured.finished,
            objective=measured.name,
        )
    except KeyboardInterrupt:
        raise
    except TrainerError as error:  # it cannot be imported, so no trial can be trained here
        return Outcome(reason=f"{error}; correct this", cause="machine")
    except ObjectiveError as error:
        return Outcome(reason=str(error), cause="objective", place=ended(where))
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a trial must not end a worker
        remedy = machine_fault(error) or disk_fault(folder)
        if remedy:
            return Outcome(reason=f"{describe(error)}, in {folder}; {remedy}", cause="machine")
        _keep_traceback(error, segment)
        reason = failures.describe_with_output(error, output)
        damaged = segment.checkpoint.exists() or segment.start > 0
        is_checkpoint = damaged and is_checkpoint_fault(error, folder)
        cause: Cause = "checkpoint" if is_checkpoint else "trial"
        return Outcome(reason=reason, cause=cause, place=ended(where))


def _context(segment: Segment, where: Mapping[str, Any]) -> TrialContext:
    """Return what a trainer may ask about a segment that runs in a place (see `here`)."""
    return TrialContext(
        segment.trial_id,
        segment.attempt,
        segment.start,
        segment.stop,
        segment.checkpoint.parent,
        host=where["host"],
        worker=where.get("worker", ""),
        devices=tuple(filter(None, where.get("device", "").split(","))),
        deadline=segment.deadline,
        objective=segment.objective,
    )


def _is_lost(segment: Segment) -> bool:
    """Return whether a trial that was trained has lost its checkpoint."""
    place = segment.checkpoint if segment.expects_checkpoint else segment.checkpoint.parent
    return not place.exists()


def set_aside(folder: Path, home: Path) -> None:
    """Move the directory of a trial out of the way, if there is one, so that it starts afresh.

    Parameters
    ----------
    folder : Path
        The directory.
    home : Path
        Where it lies while nobody trains the trial: ``trial-00003`` becomes
        ``trial-00003.damaged-1`` there.

    Raises
    ------
    OSError
        If that is not possible.
    """
    numbers = itertools.count(1)
    while folder.exists():
        place = home.with_name(f"{home.name}.damaged-{next(numbers)}")
        if not place.exists():
            folder.rename(place)


class Probe:
    """A trainer that trains nothing, to find out whether a worker works."""

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Return zeros."""
        del config, checkpoint
        return [0.0] * (stop - start)


_DEATHS = ("KilledWorker", "WorkerCrashedError", "OutOfMemoryError")
"""Errors of Dask and Ray that a worker died, which its trial may have caused."""


def failed_call(error: BaseException) -> Outcome:
    """Return the outcome of a segment that an executor failed to run.

    `run_segment` turns whatever a trainer raises into an `Outcome`, so an exception that reaches
    the tuner is the executor's or the machine's.

    Parameters
    ----------
    error : BaseException
        Raised by the executor's future.
    """
    reason = describe(error)
    if isinstance(error, UsageError):  # a worker cannot be set up, nor can any other
        return Outcome(reason=f"{error}; correct this", cause="machine")
    remedy = machine_fault(error)
    if remedy:
        return Outcome(reason=f"{reason}; {remedy}", cause="machine")
    return Outcome(reason=reason, cause="lost" if type(error).__name__ in _DEATHS else "executor")


def _keep_traceback(error: BaseException, segment: Segment) -> None:
    """Write the traceback (code only, no values of variables) beside the checkpoint."""
    try:
        text = failures.full_text(error)
        with (segment.checkpoint.parent / "error.txt").open("a", encoding="utf-8") as file:
            file.write(f"units {segment.start} to {segment.stop}\n{text}\n")
    except Exception:  # noqa: BLE001, S110 - disk full, odd exception: the reason is kept anyway
        pass


TrainFunction = Callable[[Config, int, int, Path], Result]


@dataclass(frozen=True)
class FunctionTrainer:
    """Trainer that calls a function.

    A function that is passed to `hpo.Tuner` becomes a `FunctionTrainer` automatically.

    Parameters
    ----------
    function : callable
        ``function(config, start, stop, checkpoint)``, with the meaning of `Trainer.train`.

    See Also
    --------
    Trainer : The protocol, with the meaning of the arguments.
    TorchTrainer : A trainer for PyTorch models.
    ScriptTrainer : A trainer that runs a command.

    Examples
    --------
    >>> def losses(config, start, stop, checkpoint):
    ...     return [config["lr"] / (unit + 1) for unit in range(start, stop)]
    >>> FunctionTrainer(losses).train({"lr": 1.0}, 0, 2, Path("unused"))
    [1.0, 0.5]
    """

    function: TrainFunction

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Call the function."""
        return self.function(config, start, stop, checkpoint)
