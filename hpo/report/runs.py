"""A run as a report shows it: its results, settings and predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpo.loop import Scheduler
from hpo.run.journal import JournalContent, read_journal
from hpo.run.results import Results
from hpo.run.salvage import read_salvaged
from hpo.run.spec import extended_settings
from hpo.surrogates import scale_of
from hpo.trial import ForecastJob, ForecastReport, Job, ModelJob, PredictReport


@dataclass(frozen=True)
class Forecast:
    """A predicted loss, the last known loss and, if the trial was trained that far, the true one.

    Attributes
    ----------
    trial_id, bracket : int
        Trial and its bracket.
    resource, target : int
        Units trained when the prediction was made, and the unit that it predicts.
    predicted, last : float
        Predicted loss, and the loss after `resource` units.
    true : float or None
        Loss after `target` units; None if the trial was stopped before.
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
    jobs : tuple of PredictJob or ForecastJob, default=()
        Predictions that the scheduler asked for.
    settings : Mapping, default={}
        Settings of the run in plain values; empty where they are not known.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo.report import read_run
    >>> run = read_run(Path("run.jsonl"))  # doctest: +SKIP
    >>> run.name, run.results.best  # doctest: +SKIP
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

    def realised_skill(self) -> tuple[float, int] | None:
        """Return the skill of the predictions against true losses, and their number.

        It is ``1 - MSE(predictor) / MSE(last value)`` over the predictions whose trial was trained
        to the predicted unit. Those are the trials that were not stopped before, so that it may
        differ from the cross-validated skill. None without such a prediction.
        """
        known = [
            (f.predicted - f.true, f.last - f.true)
            for f in self.forecasts()
            if f.true is not None and math.isfinite(f.true)
        ]
        if not known:
            return None
        errors = np.array(known)
        predictor, last = np.mean(errors**2, axis=0).tolist()
        return (1 - predictor / last if last > 0 else 0.0), len(known)

    def summary_lines(self, *, state: bool = True) -> list[str]:
        """Return the lines of `hpo.Results.summary_lines`, with the `realised_skill`.

        Parameters
        ----------
        state : bool, default=True
            Whether to say that a run is not finished.
        """
        return self.results.summary_lines(state=state, realised_skill=self.realised_skill())


def _losses(report: PredictReport | ForecastReport) -> tuple[float, ...]:
    """Return the predicted losses, a forecast's converted from its scale."""
    if isinstance(report, PredictReport):
        return report.predictions
    losses = scale_of(report.scale).to_loss(np.array(report.predictions, dtype=float))
    return tuple(losses.tolist())


def read_run(journal: Path, scheduler: Scheduler | None = None, *, salvage: bool = False) -> Run:
    """Read a run, finished or not, without changing anything.

    Parameters
    ----------
    journal : Path
        Its journal.
    scheduler : Scheduler, default=None
        A scheduler in the state in which the run began. A run that was built from a `RunSpec`
        needs none; of any other, the report shows without it what the journal's lines say (see
        `hpo.Results.of_lines`), and no predictions.
    salvage : bool, default=False
        Whether to read a damaged journal up to the damage; ``results.damage`` says what is left
        out.

    Raises
    ------
    JournalError
        If the journal cannot be used, or does not fit the scheduler.
    """
    journal = Path(journal)
    return run_of(read_salvaged(journal) if salvage else read_journal(journal), scheduler)


def run_of(content: JournalContent, scheduler: Scheduler | None = None) -> Run:
    """Return a run whose journal has been read.

    Parameters
    ----------
    content : JournalContent
        Content of its journal.
    scheduler : Scheduler, optional
        As in `read_run`.

    Raises
    ------
    JournalError
        If the journal does not fit the scheduler.
    """
    jobs: list[Job] = []
    results = Results.of_content(content, scheduler, decided=jobs.append)
    predictions = tuple(job for job in jobs if isinstance(job, ModelJob))
    settings = extended_settings(content.header.spec, content.notes())
    return Run(content.path.stem, results, predictions, settings)
