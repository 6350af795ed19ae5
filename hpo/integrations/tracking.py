"""What trackers share: they are told the state of a run now and then, and write what is new.

A tracker is a `hpo.run.progress.Progress`: a run takes it as ``Tuner(..., progress=tracker)``;
`Several` shows and tracks at the same time. A run that is over is written by `track`. A service
that cannot be reached never ends a run: what could not be written is tried again, and what is left
at the end is said in the log.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hpo.run.baseline import HyperbandBaseline
from hpo.run.progress import Progress
from hpo.run.results import Results
from hpo.trial import SchedulerSummary, TrialSummary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """What is new of one trial.

    Attributes
    ----------
    trial : TrialSummary
        Its present state.
    start : int
        Units that were written before.
    first : bool
        Whether nothing was written of it before.
    over : bool
        Whether it is stopped, completed or failed.
    """

    trial: TrialSummary
    start: int
    first: bool
    over: bool

    @property
    def losses(self) -> Sequence[float]:
        """Losses after the units from ``start + 1`` on."""
        return self.trial.losses[self.start :]


class Tracker(ABC):
    """A `Progress` that writes each trial's losses once."""

    def __init__(self) -> None:
        self._written: dict[int, tuple[int, bool]] = {}  # trial -> units, over
        self._trouble = ""

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Write what is new in `summary`, and what was saved relative to the `baseline`."""
        try:
            for trial in summary.trials:
                self._bring_up_to_date(trial)
            self._write_summary(summary, baseline)
        except Exception as error:  # noqa: BLE001 - whatever a client of a service may raise
            if not self._trouble:
                _log.warning("%s: %s; the run goes on", type(self).__name__, error)
            self._trouble = f"{type(error).__name__}: {error}"
        else:
            self._trouble = ""

    def _bring_up_to_date(self, trial: TrialSummary) -> None:
        units, over = self._written.get(trial.trial_id, (0, False))
        now = (len(trial.losses), trial.status.over)
        if now != (units, over) or trial.trial_id not in self._written:
            first = trial.trial_id not in self._written
            self._write(Update(trial, units, first, now[1]))
            self._written[trial.trial_id] = now

    @abstractmethod
    def _open(self) -> None:
        """Get ready."""

    @abstractmethod
    def _write(self, update: Update) -> None:
        """Write what is new of a trial."""

    @abstractmethod
    def _write_summary(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Write the state of the whole run."""

    @abstractmethod
    def _close(self, *, failed: bool) -> None:
        """Finish; `failed` says whether the run ended by an exception."""

    def __enter__(self) -> Self:
        """Get ready; a mistake in the settings shows here, before anything is trained."""
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish."""
        if self._trouble:
            _log.error("%s did not write everything: %s", type(self).__name__, self._trouble)
        try:
            self._close(failed=kind is not None)
        except Exception as trouble:  # noqa: BLE001 - as above
            _log.error("%s: %s", type(self).__name__, trouble)


class Several:
    """Shows a run in several ways.

    Parameters
    ----------
    *parts : Progress
        Such as ``RichProgress()`` and a tracker.
    """

    def __init__(self, *parts: Progress) -> None:
        self._parts = parts
        self._stack = ExitStack()

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Show the state `summary` and what was saved relative to the `baseline`."""
        for part in self._parts:
            part.show(summary, baseline)

    def __enter__(self) -> Self:
        """Begin in order."""
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
        """End in the opposite order."""
        self._stack.__exit__(kind, error, trace)


def track(results: Results, tracker: Tracker) -> None:
    """Write a run that is over, or as far as it is.

    Parameters
    ----------
    results : Results
        Such as ``Results.from_journal(path)``.
    tracker : Tracker
        Where to.
    """
    summary = SchedulerSummary(results.trials, results.best, results.epochs, results.events)
    with tracker:
        tracker.show(summary, results.baseline)
