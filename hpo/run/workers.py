"""The parts that a run works with: its trainer, its workers, and its forecasting process."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import UsageError
from hpo.loop import Scheduler
from hpo.predictors import CurvePredictor, Forecaster
from hpo.run.executors import check_executor, make_pool
from hpo.run.executors.pools import (
    ExecutorPool,
    ExecutorSource,
    InlinePool,
    WorkerPool,
)
from hpo.run.forecasting import ModelRunner, model_runner
from hpo.run.interrupts import interrupts_ignored
from hpo.trainers import Trainer, as_trainer
from hpo.trainers.loading import named_trainer
from hpo.trainers.sending import sendable


@dataclass(frozen=True)
class WorkerSettings:
    """Which workers a run has (see the parameters of `hpo.Tuner`).

    Attributes
    ----------
    executor : str, Executor or callable
    n_workers : int or None
    options : Mapping
        Options of an executor that is given by name.

    Raises
    ------
    UsageError
        If the executor is none, or options are given for one that has no name.
    """

    executor: str | ExecutorSource
    n_workers: int | None
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.executor, str):
            check_executor(self.executor, self.options)
        elif not isinstance(self.executor, Executor) and not callable(self.executor):
            raise UsageError(
                "executor must be the name of one, an Executor or a function that builds one, got "
                f"{type(self.executor).__name__}"
            )
        elif self.options:
            raise UsageError(
                f"executor_options are for executors given by name, got {dict(self.options)!r}"
            )

    def checked(self, trainer: Any) -> Trainer:
        """Return a trainer in a form that these workers can be sent.

        Parameters
        ----------
        trainer : Trainer, callable or str

        Raises
        ------
        UsageError, TrainerError
            If that is not possible, or a worker runs the user's script again.
        """
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise UsageError(
                "this script starts a run when it is imported, which its workers do; put the call "
                "under: if __name__ == '__main__':"
            )
        if self.executor in ("process", "shared") and isinstance(trainer, str):
            return named_trainer(trainer)  # the first worker imports it
        built: Trainer = as_trainer(trainer)
        if self.executor == "inline":
            return built
        return sendable(built, checked=self.executor == "process")

    def started(
        self,
        trainer: Trainer,
        root: Path,
        forecasts: tuple[CurvePredictor | Forecaster | str | None, Scheduler],
        notes: Sequence[Mapping[str, Any]],
        stack: contextlib.ExitStack,
    ) -> Workers:
        """Start the workers and the forecasting process, which are closed with the stack.

        Parameters
        ----------
        trainer : Trainer
            From `checked`.
        root : Path
            Folder of the checkpoints.
        forecasts : tuple
            Predictor of learning curves, and the scheduler that asks for its forecasts.
        notes : sequence of Mapping
            Notes of the run, of which the predictor receives the warm start.
        stack : ExitStack
        """
        pool: WorkerPool
        if isinstance(self.executor, str):
            pool = make_pool(self.executor, self.n_workers, log_dir=root, options=self.options)
        else:
            pool = ExecutorPool(self.executor, self.n_workers or 1)
        stack.callback(_close, pool)
        pool.start(trainer)
        background = not isinstance(pool, InlinePool)
        model = model_runner(*forecasts, notes, background=background)
        stack.callback(_close, model)
        return Workers(trainer, pool, model)


@dataclass(frozen=True)
class Workers:
    """Workers that were started.

    Attributes
    ----------
    trainer : Trainer
    pool : WorkerPool
        The workers.
    model : ModelRunner
        What forecasts.
    """

    trainer: Trainer
    pool: WorkerPool
    model: ModelRunner


def _close(workers: WorkerPool | ModelRunner) -> None:
    with interrupts_ignored():
        workers.close()
