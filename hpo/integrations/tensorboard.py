"""Tracker for TensorBoard: a directory per trial, with its metrics and hyperparameters."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from hpo.errors import UsageError, import_optional
from hpo.integrations.tracking import Tracker, Update
from hpo.run.baseline import HyperbandBaseline
from hpo.run.trial_results import RunSummary
from hpo.text import visible

_MOST_OPEN = 64
"""Maximum number of open event files; each has a thread."""


class TensorBoardTracker(Tracker):
    """Tracker that writes the event files of TensorBoard: metrics and hyperparameters.

    Parameters
    ----------
    directory : str or Path
        Log directory, new or empty, for ``tensorboard --logdir DIRECTORY``.

    Raises
    ------
    MissingPackageError
        If TensorBoard is not installed.

    See Also
    --------
    hpo.integrations.mlflow.MLflowTracker : The same for MLflow.
    hpo.integrations.tracking.track : Writes a run that is over.

    Examples
    --------
    >>> from hpo import Tuner
    >>> from hpo.integrations.tensorboard import TensorBoardTracker
    >>> tracker = TensorBoardTracker("logs")  # doctest: +SKIP
    >>> results = Tuner(train, scheduler, progress=tracker).run()  # doctest: +SKIP
    """

    def __init__(self, directory: str | Path) -> None:
        super().__init__()
        import_optional("tensorboard", "TensorBoardTracker", "tensorboard")
        self._directory = Path(directory)
        self._writers: dict[str, Any] = {}

    def _open(self) -> None:
        if self._directory.exists() and any(self._directory.iterdir()):
            raise UsageError(
                f"directory {self._directory} is not empty; name a new one for this run"
            )

    def _write(self, update: Update) -> None:
        trial = update.trial
        name = f"trial-{trial.trial_id:05d}"
        if update.first:
            from tensorboard.plugins.hparams.summary_v2 import hparams_pb

            known = (bool, int, float)  # what TensorBoard takes beside text
            config = {
                visible(k): v if isinstance(v, known) else visible(v)
                for k, v in trial.config.items()
            }
            self._add(name, hparams_pb(config, trial_id=name), 0)
        for tag, values in update.curves.items():
            for step, value in enumerate(values, update.start + 1):
                self._scalar(name, visible(tag), value, step)
        if update.over:
            last = trial.value if math.isfinite(trial.value) else update.objective.worst
            self._scalar(name, f"last_{visible(update.objective.title)}", last, len(trial.losses))
            self._writers.pop(name).close()

    def _write_summary(self, summary: RunSummary, baseline: HyperbandBaseline | None) -> None:
        best = summary.objective.worst if summary.best is None else summary.best.value
        tag = f"best_{visible(summary.objective.title)}"
        self._scalar("search", tag, best, summary.epochs)
        if baseline is not None:
            self._scalar("search", "epochs_saved", baseline.saved(summary.trials), summary.epochs)

    def _close(self, *, failed: bool) -> None:  # noqa: ARG002 - event files have no state
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _scalar(self, name: str, tag: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=float(value))]
        self._add(name, Summary(value=values), step)

    def _add(self, name: str, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, summary=summary)
        self._writer(name).add_event(event)

    def _writer(self, name: str) -> Any:
        """Return the open writer of a directory; the least recently used one may be closed."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if name in self._writers:
            self._writers[name] = self._writers.pop(name)  # now the latest
        else:
            if len(self._writers) >= _MOST_OPEN:
                self._writers.pop(next(iter(self._writers))).close()
            self._writers[name] = EventFileWriter(str(self._directory / name))
        return self._writers[name]
