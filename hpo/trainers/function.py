"""A trainer made of a plain function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo.trainers.base import Metrics
from hpo.trial import Config

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
