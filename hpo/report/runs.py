"""What a report needs of a run beyond its results: which trials each prediction was about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import JournalError
from hpo.loop import Scheduler
from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.surrogates import scale_of
from hpo.trial import (
    Decision,
    ForecastJob,
    ForecastReport,
    ModelJob,
    PredictReport,
    Report,
    SchedulerSummary,
)


class Listening:
    """A scheduler that passes everything on to another and keeps the predictions it asks for.

    Parameters
    ----------
    scheduler : Scheduler
        Decides.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.jobs: list[ModelJob] = []

    def ask(self) -> Decision:
        """Return the scheduler's decision."""
        decision = self._scheduler.ask()
        if isinstance(decision, ModelJob):
            self.jobs.append(decision)
        return decision

    def tell(self, report: Report) -> None:
        """Pass a report on."""
        self._scheduler.tell(report)

    def summary(self) -> SchedulerSummary:
        """Return the scheduler's summary."""
        return self._scheduler.summary()


@dataclass(frozen=True)
class Forecast:
    """One predicted loss, beside the last known one and, where it was trained so far, the true one.

    Attributes
    ----------
    trial_id, bracket : int
        Whose.
    resource, target : int
        Units known, and units that the prediction is for.
    predicted, last : float
        Predicted loss, and the loss after `resource` units.
    true : float or None
        Loss after `target` units; None where the trial was stopped before.
    """

    trial_id: int
    bracket: int
    resource: int
    target: int
    predicted: float
    last: float
    true: float | None


@dataclass(frozen=True)
class Run:
    """A run as a report shows it.

    Attributes
    ----------
    name : str
        Its title.
    results : Results
        Trials, decisions and history.
    jobs : tuple of PredictJob or ForecastJob
        Predictions that were asked for.
    settings : Mapping
        What the run was started with, in plain values; empty where that is not known.
    """

    name: str
    results: Results
    jobs: tuple[ModelJob, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def forecasts(self) -> Iterator[Forecast]:
        """Yield every prediction that was made."""
        answers = {
            report.job_id: report
            for _, report in self.results.reports
            if isinstance(report, PredictReport | ForecastReport)
        }
        curves = {trial.trial_id: trial.losses for trial in self.results.trials}
        for job in self.jobs:
            if job.job_id not in answers:
                continue
            asked = job.curves if isinstance(job, ForecastJob) else job.query
            for curve, value in zip(asked, _losses(answers[job.job_id]), strict=True):
                losses = curves[curve.trial_id]
                if len(curve.losses) >= job.target:
                    continue  # a forecast of the whole search is asked about these as well
                yield Forecast(
                    trial_id=curve.trial_id,
                    bracket=0 if isinstance(job, ForecastJob) else job.bracket,
                    resource=len(curve.losses),
                    target=job.target,
                    predicted=value,
                    last=curve.losses[-1],
                    true=losses[job.target - 1] if len(losses) >= job.target else None,
                )


def _losses(report: PredictReport | ForecastReport) -> tuple[float, ...]:
    """Return the predicted losses, a forecast's converted from its scale."""
    if isinstance(report, PredictReport):
        return report.predictions
    losses = scale_of(report.scale).to_loss(np.array(report.predictions, dtype=float))
    return tuple(losses.tolist())


def read_run(journal: Path, scheduler: Scheduler | None = None) -> Run:
    """Read a run, finished or not, without changing anything.

    Parameters
    ----------
    journal : Path
        Its journal.
    scheduler : Scheduler, optional
        Fresh, as the run began with; needed where it was not built from a `RunSpec`.

    Raises
    ------
    JournalError
        If the journal cannot be used, does not fit the scheduler, or needs one and got none.
    """
    journal = Path(journal)
    settings = read_journal(journal).header.spec
    if scheduler is None:
        if not settings:
            raise JournalError(
                f"journal {journal} was started from Python objects; read it from Python with "
                "read_run(journal, scheduler) and a scheduler as the run began with"
            )
        scheduler = RunSpec.from_json(settings).build_scheduler()
    listening = Listening(scheduler)
    results = Results.from_journal(journal, listening)
    return Run(journal.stem, results, tuple(listening.jobs), settings)
