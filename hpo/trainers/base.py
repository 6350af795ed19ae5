"""The trainer protocol, and how a segment of training is run and checked.

A trainer trains *one configuration from one resource unit to another* and returns the loss after
each unit. It stores its state in a checkpoint, so that training can be continued:

>>> class Halving:
...     def train(self, config, start, stop, checkpoint):
...         return [config["scale"] / 2**unit for unit in range(start + 1, stop + 1)]
>>> run_segment(Halving(), Segment({"scale": 8.0}, 1, 3, Path("unused"))).losses
(2.0, 1.0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hpo.trainers import failures
from hpo.trainers.failures import describe as describe  # noqa: PLC0414 - part of this module
from hpo.trial import Config


@dataclass(frozen=True)
class Metrics:
    """Losses and further metrics of a segment, as a trainer may return them.

    Attributes
    ----------
    losses : sequence of float
        Loss after each unit of the segment, lower is better.
    extra : Mapping of str to sequence of float
        Further metrics by name, one number per unit; kept in the journal, not used for decisions.
    """

    losses: Sequence[float]
    extra: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Trainer(Protocol):
    """Trains one configuration for some resource units."""

    def train(
        self, config: Config, start: int, stop: int, checkpoint: Path
    ) -> Sequence[float] | Metrics:
        """Train from `start` units done to `stop` units done.

        Parameters
        ----------
        config : Config
            The trial's hyperparameters.
        start, stop : int
            Absolute resource units, ``0 <= start < stop``. The same call may be repeated after a
            crash; units that the checkpoint covers need not be trained again.
        checkpoint : Path
            Place for the state of this trial, an absolute path. Its directory exists and belongs
            to the trial; the path itself does not exist before the trainer creates it (a file or a
            directory). The path differs from call to call, what is in it does not: keep no path
            in a checkpoint.

        Returns
        -------
        sequence of float or Metrics
            Loss after each unit, ``stop - start`` numbers. NaN and infinity count as worst.
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
    attempts : Path or None
        Directory of the trial's attempts, each of which trains in a place of its own (see
        `hpo.run.executors.attempts`); None trains in `checkpoint`.
    call_id : str
        Distinguishes the attempts of a segment: Dask answers equal calls with the same result.
    """

    config: Config
    start: int
    stop: int
    checkpoint: Path
    attempts: Path | None = None
    call_id: str = ""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a segment, in plain values, since not every exception can be pickled.

    Attributes
    ----------
    losses : tuple of float
        Loss after each unit; empty for a failure.
    extra : Mapping of str to tuple of float
        Further metrics.
    reason : str
        Reason of the failure in one line; empty for a success.
    retry : bool
        Whether another attempt may be made.
    attempt : str
        Name of the attempt, empty for a segment without `attempts`.
    """

    losses: tuple[float, ...] = ()
    extra: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reason: str = ""
    retry: bool = True
    attempt: str = ""


def run_segment(trainer: Trainer, segment: Segment) -> Outcome:
    """Run a segment and turn the result or an exception into an `Outcome`.

    The only exception raised is KeyboardInterrupt (in the in-process executor only, since workers
    ignore Ctrl-C). The full traceback, and what a failed command has printed if that was captured,
    is written to ``error.txt`` beside the checkpoint.

    Parameters
    ----------
    trainer : Trainer
    segment : Segment
    """
    output = failures.Log(failures.own_log)
    try:
        segment.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        result = trainer.train(segment.config, segment.start, segment.stop, segment.checkpoint)
        metrics = result if isinstance(result, Metrics) else Metrics(result)
        n = segment.stop - segment.start
        losses = _floats(metrics.losses, "losses", n)
        extra = {str(key): _floats(each, str(key), n) for key, each in metrics.extra.items()}
        return Outcome(losses, extra)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a trial must not end a worker
        _keep_traceback(error, segment)
        return Outcome(reason=failures.describe_with_output(error, output))


def _floats(values: Sequence[float], name: str, expected: int) -> tuple[float, ...]:
    """Check what a trainer has returned."""
    try:
        listed = list(values)
    except TypeError:
        raise TypeError(
            f"trainer must return a sequence of {name}, got {type(values).__name__}"
        ) from None
    numbers = tuple(_number(value, name) for value in listed)
    if len(numbers) != expected:
        raise ValueError(
            f"trainer must return one of {name} per unit: {expected} here, got {len(numbers)}"
        )
    return numbers


def _number(value: object, name: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"trainer must return numbers as {name}, got {type(value).__name__}"
        ) from None


def _keep_traceback(error: BaseException, segment: Segment) -> None:
    """Write the traceback (code only, no values of variables) beside the checkpoint."""
    try:
        text = failures.full_text(error)
        with (segment.checkpoint.parent / "error.txt").open("a", encoding="utf-8") as file:
            file.write(f"units {segment.start} to {segment.stop}\n{text}\n")
    except Exception:  # noqa: BLE001, S110 - disk full, odd exception: the reason is kept anyway
        pass


TrainFunction = Callable[[Config, int, int, Path], Sequence[float] | Metrics]


@dataclass(frozen=True)
class FunctionTrainer:
    """Trains by calling a function.

    Parameters
    ----------
    function : callable
        ``function(config, start, stop, checkpoint)``, with the meaning of `Trainer.train`.

    Examples
    --------
    >>> def losses(config, start, stop, checkpoint):
    ...     return [config["lr"] / (unit + 1) for unit in range(start, stop)]
    >>> FunctionTrainer(losses).train({"lr": 1.0}, 0, 2, Path("unused"))
    [1.0, 0.5]
    """

    function: TrainFunction

    def train(
        self, config: Config, start: int, stop: int, checkpoint: Path
    ) -> Sequence[float] | Metrics:
        """Call the function."""
        return self.function(config, start, stop, checkpoint)
