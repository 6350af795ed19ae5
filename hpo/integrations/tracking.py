"""Base of the trackers, which write a run to a service while it goes on.

A tracker is a `hpo.run.progress.Progress`: pass it as ``Tuner(..., progress=tracker)``, or together
with a progress display in `Several`. `track` writes a run that is over. An unreachable service
never ends a run: the tracker tries again, and logs what could not be written in the end.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hpo.run.baseline import HyperbandBaseline
from hpo.run.limits import Bounds
from hpo.run.progress import Activity, Progress
from hpo.run.results import Results
from hpo.run.trial_results import RunSummary, TrialResult, TrialViews
from hpo.text import visible
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import SchedulerSummary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """What is new about a trial since the last update.

    Attributes
    ----------
    trial : TrialResult
        The trial with all its values.
    start : int
        Units written before.
    first : bool
        Whether this is the first update of the trial.
    over : bool
        Whether it is stopped, completed or failed.
    objective : Objective
        What the run optimises.
    """

    trial: TrialResult
    start: int
    first: bool
    over: bool
    objective: Objective

    @property
    def losses(self) -> Sequence[float]:
        """What is minimised: `values`, or minus the values if the objective is maximised."""
        return self.trial.losses[self.start :]

    @property
    def values(self) -> Sequence[float]:
        """Objective after the units from ``start + 1`` on, in the user's sign and unit."""
        return self.trial.values[self.start :]

    @property
    def curves(self) -> dict[str, Sequence[float]]:
        """The new part of all curves by name: the objective and the further metrics."""
        metrics = {name: values[self.start :] for name, values in self.trial.metrics.items()}
        return {**metrics, self.objective.title: self.values}


class Tracker(Progress, ABC):
    """A `Progress` that writes the values of each trial once: objective and further metrics."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[int, bool]] = {}  # trial -> units, over
        self._epochs = -1  # of the run, when its state was written last
        self._trouble = ""

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Write what is new in `summary`, and what was saved relative to the `baseline`."""
        if not isinstance(summary, RunSummary):  # from a program of the user's own
            summary = TrialViews(LOSS_MINIMISED).summary(summary)
        try:
            for trial in summary.trials:
                before = self._written.get(trial.trial_id)
                now = (len(trial.losses), trial.status.over)
                if now != before:
                    start = 0 if before is None else before[0]
                    self._write(Update(trial, start, before is None, now[1], summary.objective))
                    self._written[trial.trial_id] = now
            if summary.epochs != self._epochs:
                self._write_summary(summary, baseline)
                self._epochs = summary.epochs
        except Exception as error:  # noqa: BLE001 - whatever a client of a service may raise
            if not self._trouble:
                _log.warning("%s: %s; the run goes on", type(self).__name__, visible(error))
            self._trouble = f"{type(error).__name__}: {error}"
        else:
            self._trouble = ""

    @abstractmethod
    def _open(self) -> None:
        """Connect to the service."""

    @abstractmethod
    def _write(self, update: Update) -> None:
        """Write the new part of a trial."""

    @abstractmethod
    def _write_summary(self, summary: RunSummary, baseline: HyperbandBaseline | None) -> None:
        """Write the state of the whole run."""

    @abstractmethod
    def _close(self, *, failed: bool) -> None:
        """Disconnect; `failed` says whether the run ended with an exception."""

    def __enter__(self) -> Self:
        """Connect; an invalid setting is reported here, before anything is trained."""
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        if self._trouble:
            _log.error(
                "%s did not write everything: %s", type(self).__name__, visible(self._trouble)
            )
        try:
            self._close(failed=kind is not None)
        except Exception as trouble:  # noqa: BLE001 - as above
            _log.error("%s: %s", type(self).__name__, visible(trouble))


class Several(Progress):
    """Shows a run in several ways.

    Parameters
    ----------
    *parts : Progress
        Displays and trackers, such as ``RichProgress()``.
    """

    def __init__(self, *parts: Progress) -> None:
        self._parts = parts
        self._stack = ExitStack()

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Show the state `summary` and what was saved relative to the `baseline`."""
        for part in self._parts:
            part.show(summary, baseline)

    def announce(self, line: str) -> None:
        """Show a line before the run starts."""
        for part in self._parts:
            part.announce(line)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Show that workers are being started."""
        with ExitStack() as stack:
            for part in self._parts:
                stack.enter_context(part.starting())
            yield

    def follow(
        self, activity: Callable[[], Activity], bounds: Bounds, n_trials: int | None = None
    ) -> None:
        """Take note of what runs the search, and of its limits."""
        for part in self._parts:
            part.follow(activity, bounds, n_trials)

    def tick(self) -> float | None:
        """Update what changes by itself."""
        due = [part.tick() for part in self._parts]
        return min((seconds for seconds in due if seconds is not None), default=None)

    def conclude(self, outcome: str) -> None:
        """Take note of how the run ended."""
        for part in self._parts:
            part.conclude(outcome)

    def __enter__(self) -> Self:
        """Start the parts in order."""
        with ExitStack() as stack:
            for part in self._parts:
                stack.enter_context(part)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the parts in reverse order."""
        self._stack.__exit__(kind, error, trace)


def track(results: Results, tracker: Tracker) -> None:
    """Write a run that is over, or the part of it so far.

    Parameters
    ----------
    results : Results
        Results, such as ``Results.from_journal(path)``.
    tracker : Tracker
        Tracker that writes them.
    """
    summary = RunSummary(
        results.trials,
        results.incumbent,
        results.epochs,
        results.events,
        objective=results.objective,
    )
    with tracker:
        tracker.show(summary, results.baseline)
