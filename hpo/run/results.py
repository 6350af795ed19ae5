"""What a run found: trials, decisions and history, as records, tables and data frames."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from rich.table import Table

from hpo.errors import JournalError, UsageError
from hpo.loop import Scheduler
from hpo.run.baseline import HyperbandBaseline
from hpo.run.journal import JournalContent, read_journal
from hpo.run.overlap import Overlap
from hpo.run.progress import skill_text
from hpo.run.replay import replay
from hpo.run.spec import RunSpec
from hpo.trainers.base import first_bad_unit
from hpo.trial import Done, Event, Report, SchedulerSummary, TrainReport, TrialStatus, TrialSummary

TimedReport = tuple[float, Report]
"""Seconds since the epoch, and the report that came then."""


@dataclass(frozen=True)
class HistoryPoint:
    """State of a run after one training report.

    Attributes
    ----------
    epochs : int
        Resource units trained so far.
    seconds : float
        Since the first report of the run.
    best : float
        Lowest loss reported so far, infinity before the first finite one.
    """

    epochs: int
    seconds: float
    best: float


@dataclass(frozen=True)
class Results:
    """Everything that is known of a run.

    Attributes
    ----------
    trials : tuple of TrialSummary
        In the order of their ids.
    best : TrialSummary or None
        Lowest last loss.
    epochs : int
        Resource units trained.
    events : tuple of Event
        Decisions and degradations.
    reports : tuple of (float, Report)
        In the order of arrival.
    notes : tuple of Mapping
        Retries and extra metrics.
    plan : HyperbandBaseline or None
        What savings are measured against.
    finished : bool
        Whether the run came to its end.
    """

    trials: tuple[TrialSummary, ...]
    best: TrialSummary | None
    epochs: int
    events: tuple[Event, ...]
    reports: tuple[TimedReport, ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    plan: HyperbandBaseline | None = None
    finished: bool = False

    @classmethod
    def of(
        cls,
        summary: SchedulerSummary,
        reports: Sequence[TimedReport],
        notes: Sequence[Mapping[str, Any]],
        plan: HyperbandBaseline | None,
        *,
        finished: bool,
    ) -> Self:
        """Combine a scheduler's summary with what was recorded on the way.

        Parameters
        ----------
        summary : SchedulerSummary
        reports, notes : sequence
            As in the attributes.
        plan : HyperbandBaseline or None
            What savings are measured against.
        finished : bool
            Whether the run came to its end.
        """
        return cls(
            trials=summary.trials,
            best=summary.best,
            epochs=summary.epochs,
            events=summary.events,
            reports=tuple(reports),
            notes=tuple(notes),
            plan=plan,
            finished=finished,
        )

    @classmethod
    def from_journal(cls, path: Path, scheduler: Scheduler | None = None) -> Self:
        """Read the results of a run, finished or not, without changing anything.

        Parameters
        ----------
        path : Path
            The journal.
        scheduler : Scheduler, optional
            Fresh, as the run began with; needed where it was not built from a `RunSpec`.

        Raises
        ------
        JournalError
            If the journal cannot be used or does not fit the scheduler.
        """
        content = read_journal(path)
        spec = RunSpec.from_json(content.header.spec) if content.header.spec else None
        scheduler = _scheduler(spec, content) if scheduler is None else scheduler
        pending = replay(content, scheduler)
        summary = scheduler.summary()
        finished = not pending and isinstance(scheduler.ask(), Done)
        plan = None if spec is None else spec.plan()
        return cls.of(summary, content.reports(), content.notes(), plan, finished=finished)

    @property
    def saved(self) -> int | None:
        """Resource units saved by decisions within rounds; None where there is no plan."""
        return None if self.plan is None else self.plan.saved(self.trials)

    @property
    def overlap(self) -> Overlap:
        """How well training and predicting went on at the same time (measured on the run)."""
        return Overlap.of_notes(self.notes)

    def history(self) -> list[HistoryPoint]:
        """Return the best loss so far after each training report."""
        points: list[HistoryPoint] = []
        epochs, best = 0, math.inf
        for time, report in self.reports:
            if isinstance(report, TrainReport):
                epochs += report.stop - report.start
                best = min([best, *(loss for loss in report.losses if math.isfinite(loss))])
                points.append(HistoryPoint(epochs, time - self.reports[0][0], best))
        return points

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict per trial; hyperparameters are prefixed with ``config_``."""
        retries = Counter(n["trial_id"] for n in self.notes if n.get("what") == "retry")
        return [_record(trial, retries[trial.trial_id]) for trial in self.trials]

    def to_frame(self) -> Any:
        """Return the records as a pandas data frame, one row per trial.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed: pip install pandas"
            ) from error
        return pd.DataFrame.from_records(self.records())

    def write_csv(self, path: Path) -> None:
        """Write the records to a new CSV file (no pandas needed).

        Parameters
        ----------
        path : Path
            Must not exist.

        Raises
        ------
        UsageError
            If the file exists or cannot be written.
        """
        records = self.records()
        names = list(dict.fromkeys(name for record in records for name in record))
        try:
            with Path(path).open("x", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(records)
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}; name a new file in a writable place"
            ) from None

    def summary_lines(self) -> list[str]:
        """Return in a few lines what was found, spent and saved, and what went wrong."""
        lines = [] if self.finished else ["The run is not finished."]
        if self.best is not None:
            config = ", ".join(f"{k}={_short(v)}" for k, v in self.best.config.items())
            lines.append(
                f"Best: trial {self.best.trial_id}, loss {self.best.last_loss:.6g} after "
                f"{len(self.best.losses)} epochs, {config}"
            )
        lines.append(self._epochs_line())
        skills = [event.skill for event in self.events if event.skill is not None]
        if skills:
            lines.append(
                f"Predictor: {len(skills)} decisions, median skill {skill_text(median(skills))} "
                "against keeping the last value (positive: better)"
            )
        lines += [line] if (line := self.overlap.line()) else []
        lines += [f"Degraded: {e.message}" for e in self.events if e.kind == "degraded"]
        failed = sum(trial.status is TrialStatus.FAILED for trial in self.trials)
        return lines + ([f"Failed: {failed} of {len(self.trials)} trials"] if failed else [])

    def _epochs_line(self) -> str:
        text = f"Epochs: {self.epochs}"
        if self.plan is None or self.saved is None:
            return text
        share = self.saved / self.plan.epochs
        return f"{text}; plain Hyperband takes {self.plan.epochs}, saved so far {share:.1%}"

    def predictor_skill(self) -> list[dict[str, Any]]:
        """Return the predictor's skill at each decision (positive: better than last value)."""
        return [
            {"bracket": e.bracket, "rung": e.rung, "resource": e.resource, "skill": e.skill}
            for e in self.events
            if e.kind == "decision"
        ]

    def table(self, top: int = 10) -> Table:
        """Return a table of the best trials and of all that failed or met a NaN.

        Parameters
        ----------
        top : int
            How many of the best to show.
        """
        records = sorted(self.records(), key=_by_progress)
        shown = records[:top] + [record for record in records[top:] if record["trouble"]]
        named = dict.fromkeys(name for record in records for name in record)
        names = [name for name in named if name.startswith("config_")]
        table = Table(title=f"Best {min(top, len(records))} of {len(records)} trials")
        for heading in ("trial", "status", "epochs", "last loss", "retries"):
            table.add_column(heading, justify="right" if heading != "status" else "left")
        for name in names:
            table.add_column(name.removeprefix("config_"), overflow="fold")
        table.add_column("reason", overflow="fold")
        for record in shown:
            table.add_row(*_cells(record, names), style="red" if record["trouble"] else None)
        return table


def _scheduler(spec: RunSpec | None, content: JournalContent) -> Scheduler:
    if spec is None:
        raise JournalError(
            f"journal {content.path} was started from Python objects; read it from Python with "
            "Results.from_journal(path, scheduler)"
        )
    return spec.build_scheduler()


def _record(trial: TrialSummary, retries: int) -> dict[str, Any]:
    finite = [loss for loss in trial.losses if math.isfinite(loss)]
    trouble = _trouble(trial)
    return {
        "trial_id": trial.trial_id,
        "bracket": trial.bracket,
        "rung": trial.rung,
        "status": str(trial.status),
        "epochs": len(trial.losses),
        "last_loss": trial.losses[-1] if trial.losses else math.nan,
        "best_loss": min(finite, default=math.nan),
        "retries": retries,
        "reason": trouble or trial.reason,
        "trouble": bool(trouble),
        **{f"config_{name}": value for name, value in trial.config.items()},
    }


def _trouble(trial: TrialSummary) -> str:
    """Say what went wrong with a trial; empty if nothing did."""
    if trial.status is TrialStatus.FAILED:
        return trial.reason or "failed"
    bad = first_bad_unit(trial.losses)
    return "" if bad is None else f"loss {trial.losses[bad - 1]} after unit {bad}"


def _by_progress(record: Mapping[str, Any]) -> tuple[bool, float, int]:
    loss = record["last_loss"]
    worst = record["trouble"] or not math.isfinite(loss)
    return (worst, loss if math.isfinite(loss) else 0.0, record["trial_id"])


def _cells(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        str(record["trial_id"]),
        record["status"],
        str(record["epochs"]),
        _short(record["last_loss"]),
        str(record["retries"]),
        *(_short(record.get(name, "")) for name in names),
        record["reason"],
    ]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
