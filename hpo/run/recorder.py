"""Small parts between the tuner and the loop: recording, predicting, stopping."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from hpo.loop import Scheduler
from hpo.predictors import CurvePredictor, Forecaster, make_predictor, run_predict_job
from hpo.run.baseline import HyperbandBaseline
from hpo.run.journal import Journal, JournalContent
from hpo.run.overlap import Overlap
from hpo.run.progress import Progress
from hpo.run.results import TimedReport
from hpo.run.runner import JobRunner
from hpo.searchers import Searcher
from hpo.trainers.base import describe
from hpo.trial import Job, ModelJob, ModelReport, PredictFailure, Report

_SHOW_EVERY = 0.2
"""Seconds between two updates of the progress display."""


class RunRecorder:
    """A `hpo.loop.Recorder`: writes to the journal first, then updates the display.

    Parameters
    ----------
    scheduler : Scheduler
        Whose state is shown.
    journal : Journal or None
        Where to write; None writes nowhere.
    progress : Progress
        What shows.
    plan : HyperbandBaseline or None
        What savings are measured against.
    before : JournalContent or None
        What the journal held when the run was resumed.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        journal: Journal | None,
        progress: Progress,
        plan: HyperbandBaseline | None,
        before: JournalContent | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._journal = journal
        self._progress = progress
        self._plan = plan
        self._shown = 0.0
        self.reports: list[TimedReport] = [] if before is None else before.reports()
        self.notes: list[Mapping[str, Any]] = [] if before is None else before.notes()

    def decided(self, job: Job) -> None:
        """Record a decision."""
        if self._journal is not None:
            self._journal.decided(job)
        self._show()

    def reported(self, report: Report) -> None:
        """Record a report."""
        if self._journal is not None:
            self._journal.reported(report)
        self.reports.append((time.time(), report))
        self._show()

    def note(self, data: Mapping[str, Any]) -> None:
        """Record a retry or extra metrics."""
        if self._journal is not None:
            self._journal.append("note", data)
        self.notes.append(data)

    def note_overlap(self, overlap: Overlap) -> None:
        """Record the last figures of a run that predicted."""
        if overlap.predictions:
            self.note(overlap.to_note())

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown >= _SHOW_EVERY:
            self._shown = now
            self.show()

    def show(self) -> None:
        """Show the present state."""
        self._progress.show(self._scheduler.summary(), self._plan)


@dataclass(frozen=True)
class PredictCall:
    """Runs prediction jobs; whatever a predictor raises becomes a `PredictFailure`.

    Attributes
    ----------
    predictor : CurvePredictor or Forecaster
        What predicts.
    searcher : Searcher or None
        What proposes new configurations with a forecast.
    """

    predictor: CurvePredictor | Forecaster
    searcher: Searcher | None = None

    @classmethod
    def of(cls, predictor: CurvePredictor | Forecaster | str | None, scheduler: Scheduler) -> Self:
        """Take a predictor, its name, or None for what suits the scheduler."""
        searcher = getattr(scheduler, "searcher", None)  # of a scheduler that forecasts
        if predictor is None:
            predictor = "nusvr" if searcher is None else "mixed"
        if isinstance(predictor, str):
            predictor = make_predictor(predictor)
        return cls(predictor, searcher)

    def __call__(self, job: ModelJob) -> ModelReport:
        """Run a job."""
        try:
            return run_predict_job(job, self.predictor, self.searcher)
        except Exception as error:  # noqa: BLE001 - it runs in a thread that nobody else watches
            return PredictFailure(job.job_id, describe(error))


@contextlib.contextmanager
def signals_stop(runner: JobRunner) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run in good order; a second Ctrl-C stops it at once.

    Signal handlers belong to the main thread; in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
        runner.stop(signum)
        if not runner.background:
            os.write(2, b"\nStopping after the segment in flight; Ctrl-C again stops at once.\n")

    stoppers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {signum: signal.signal(signum, stop) for signum in stoppers}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
