"""Results of a run: trials, decisions and history, as records, tables and data frames."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from rich.table import Table

from hpo.errors import NoBestTrialError, UsageError, import_optional
from hpo.loop import Scheduler
from hpo.run.baseline import HyperbandBaseline
from hpo.run.journal import Damage, JournalContent, read_journal
from hpo.run.overlap import Overlap
from hpo.run.progress import skill_text
from hpo.run.replay import RESTART, replay
from hpo.run.salvage import read_salvaged
from hpo.run.spec import RunSpec
from hpo.run.state import recorded_state
from hpo.text import cell, csv_row, visible
from hpo.trial import (
    Done,
    Event,
    Job,
    Report,
    SchedulerSummary,
    TrainReport,
    TrialStatus,
    TrialSummary,
    latest_expected_improvement,
)


@dataclass(frozen=True)
class HistoryPoint:
    """State of a run after one training report.

    Attributes
    ----------
    epochs : int
        Resource units trained so far.
    seconds : float
        Seconds since the first report of the run.
    best : float
        Lowest loss reported so far, infinity before the first finite one.
    """

    epochs: int
    seconds: float
    best: float


@dataclass(frozen=True)
class Results:
    """Trials, decisions, reports and notes of a run.

    Attributes
    ----------
    trials : tuple of TrialSummary
        All trials in the order of their ids.
    incumbent : TrialSummary or None
        Trial with the lowest last loss; None before the first finite one, and where all failed.
    epochs : int
        Resource units trained, each of a trial counted once (see `repeated_epochs`).
    events : tuple of Event
        Decisions and degradations.
    reports : tuple of (float, Report)
        Reports in the order of arrival, with seconds since the epoch.
    notes : tuple of Mapping
        Retries, extra metrics and overlap figures.
    baseline : HyperbandBaseline or None
        What savings are measured against.
    finished : bool
        Whether the run came to its end.
    damage : Damage or None
        What was left out of a damaged journal.
    budget : int or None
        Units that the search will spend; None if that is not known beforehand.
    """

    trials: tuple[TrialSummary, ...]
    incumbent: TrialSummary | None
    epochs: int
    events: tuple[Event, ...]
    reports: tuple[tuple[float, Report], ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    baseline: HyperbandBaseline | None = None
    finished: bool = False
    damage: Damage | None = None
    budget: int | None = None

    @classmethod
    def of(
        cls,
        summary: SchedulerSummary,
        reports: Sequence[tuple[float, Report]],
        notes: Sequence[Mapping[str, Any]],
        baseline: HyperbandBaseline | None,
        *,
        finished: bool,
        damage: Damage | None = None,
    ) -> Self:
        """Combine a scheduler's summary with the recorded reports and notes.

        Parameters
        ----------
        summary : SchedulerSummary
            Final state of the scheduler.
        reports, notes, baseline, finished, damage
            See the attributes.
        """
        return cls(
            trials=summary.trials,
            incumbent=summary.best,
            epochs=summary.epochs,
            events=summary.events,
            reports=tuple(reports),
            notes=tuple(notes),
            baseline=baseline,
            finished=finished,
            damage=damage,
            budget=summary.budget,
        )

    @classmethod
    def from_journal(
        cls,
        path: Path,
        scheduler: Scheduler | None = None,
        *,
        decided: Callable[[Job], None] | None = None,
        salvage: bool = False,
    ) -> Self:
        """Read the results of a run, finished or not, without changing anything.

        Parameters
        ----------
        path : Path
            The journal.
        scheduler : Scheduler, optional
            A scheduler in the state in which the run began. A run that was built from a `RunSpec`
            needs none; of any other, the journal's lines are read without it (see `of_lines`).
        decided : callable, optional
            Called with each job that was decided.
        salvage : bool
            Whether to read a damaged journal up to the damage (see the attribute ``damage``).

        Raises
        ------
        JournalError
            If the journal cannot be used or does not fit the scheduler.
        """
        content = read_salvaged(path) if salvage else read_journal(path)
        return cls.of_content(content, scheduler, decided=decided)

    @classmethod
    def of_content(
        cls,
        content: JournalContent,
        scheduler: Scheduler | None = None,
        *,
        decided: Callable[[Job], None] | None = None,
    ) -> Self:
        """Return the results of a run whose journal has been read.

        Parameters
        ----------
        content : JournalContent
            Content of its journal.
        scheduler, decided
            As in `from_journal`.

        Raises
        ------
        JournalError
            If the journal does not fit the scheduler.
        """
        header = content.header
        spec = RunSpec.from_json(header.spec, content.path) if header.spec else None
        if scheduler is None:
            if spec is None:
                return cls.of_lines(content)
            scheduler = spec.scheduler_of(content.path)
        pending = replay(content, scheduler, decided)
        summary = scheduler.summary()
        finished = not pending and isinstance(scheduler.ask(), Done)
        baseline = None if spec is None else spec.extended(content.notes()).baseline()
        return cls.of(
            summary,
            content.reports(),
            content.notes(),
            baseline,
            finished=finished,
            damage=content.damage,
        )

    @classmethod
    def of_lines(cls, content: JournalContent) -> Self:
        """Return the results of a run as far as the lines of its journal say them themselves.

        Parameters
        ----------
        content : JournalContent
            Content of the journal.

        Raises
        ------
        JournalError
            If a line holds a report that is none.

        Notes
        -----
        Complete for a run from Python objects that ended or was stopped in good order (see
        `hpo.run.state`). Of one that was killed, trials between two segments count as waiting, and
        decisions are not known.
        """
        summary, finished = recorded_state(content)
        reports, notes = content.reports(), content.notes()
        return cls.of(summary, reports, notes, None, finished=finished, damage=content.damage)

    @property
    def best(self) -> TrialSummary:
        """Trial with the lowest last loss (`incumbent` is None where there is none).

        Raises
        ------
        NoBestTrialError
            If no trial has a finite loss; the message names the first reason.
        """
        if self.incumbent is None:
            raise NoBestTrialError(self.no_best_text)
        return self.incumbent

    @property
    def no_best_text(self) -> str:
        """Why there is no best trial, for a message."""
        reasons = [trial.reason for trial in self.trials if trial.status is TrialStatus.FAILED]
        text = "no trial ended with a finite loss" if self.finished else "no trial has a loss yet"
        if not reasons:
            return text
        return (
            f"{text}: {len(reasons)} of {len(self.trials)} failed, the first with: {reasons[0]}; "
            "once that is mended, Tuner.resume(journal, retry_failed=True) or hpo resume "
            "--retry-failed trains them again"
        )

    @property
    def repeated_epochs(self) -> int:
        """Resource units trained again because checkpoints were lost or damaged."""
        return sum(note["start"] for note in self.notes if note.get("what") == RESTART)

    @property
    def saved(self) -> int | None:
        """Resource units saved by decisions within rounds; None without a baseline."""
        return None if self.baseline is None else self.baseline.saved(self.trials)

    @property
    def overlap(self) -> Overlap:
        """How busy the workers were, and what they did while models predicted."""
        return Overlap.of_notes(self.notes)

    @property
    def utilisation(self) -> float | None:
        """Busy time of the workers / (workers * wall-clock); None if it was not recorded."""
        return self.overlap.utilisation

    def history(self) -> list[HistoryPoint]:
        """Return the best loss so far after each training report."""
        points: list[HistoryPoint] = []
        epochs, best = 0, math.inf
        for time, report in self.reports:
            if isinstance(report, TrainReport):
                epochs += len(report.losses)
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
        MissingPackageError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", "Results.to_frame")
        return pandas.DataFrame.from_records(self.records())

    def write_csv(self, path: Path) -> None:
        """Write the records to a new CSV file (no pandas needed).

        Control characters in text are written as escapes, and a text that a spreadsheet would take
        for a formula gets an apostrophe in front (`hpo.text.csv_cell`); numbers stay as they are.

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
                writer = csv.writer(file)
                writer.writerow(csv_row(names))
                rows = ((record.get(name, "") for name in names) for record in records)
                writer.writerows(map(csv_row, rows))
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}; name a new file in a writable place"
            ) from None

    def summary_lines(self) -> list[str]:
        """Return a summary of a few lines: best trial, cost, savings and failures."""
        lines = [] if self.finished else ["The run is not finished."]
        if self.damage is not None:
            missing = len(set(self.damage.trials) - {trial.trial_id for trial in self.trials})
            lines.append(f"Salvaged: {self.damage}, {missing} of which are not shown at all")
        best = self.incumbent
        if best is not None:
            config = ", ".join(f"{k}={short(v)}" for k, v in best.config.items())
            lines.append(
                f"Best: trial {best.trial_id}, loss {best.last_loss:.6g} after "
                f"{len(best.losses)} epochs, {config}"
            )
        lines.append(f"Epochs: {self.epochs}")
        if self.baseline is not None and self.saved is not None:
            total = self.baseline.epochs
            lines[-1] += f"; plain Hyperband takes {total}"
            if self.saved:
                lines[-1] += f", saved so far {self.saved / total:.1%}"
        if self.repeated_epochs:
            lines.append(f"Epochs trained again after lost checkpoints: {self.repeated_epochs}")
        gain = self.expected_improvement
        if gain is not None and not self.finished:
            lines.append(
                f"Expected improvement of the best loss by the remaining epochs: {gain:.2g}"
            )
        skills = [event.skill for event in self.events if event.skill is not None]
        if skills:
            lines.append(
                f"Predictor: {len(skills)} decisions, median skill {skill_text(median(skills))} "
                "against keeping the last value (positive: better)"
            )
        lines += [line] if (line := self.overlap.line()) else []
        lines += [f"Degraded: {e.message}" for e in self.events if e.kind == "degraded"]
        failed = sum(trial.status is TrialStatus.FAILED for trial in self.trials)
        lines += [f"Failed: {failed} of {len(self.trials)} trials"] if failed else []
        return [visible(line) for line in lines]

    @property
    def expected_improvement(self) -> float | None:
        """Expected improvement of the best final loss by the remaining epochs.

        In units of the loss, by the latest forecast; None if the scheduler makes none, or before a
        trial is complete.
        """
        return latest_expected_improvement(self.events)

    def predictor_skill(self) -> list[dict[str, Any]]:
        """Return the predictor's skill at each decision (positive: better than last value)."""
        return [
            {"bracket": e.bracket, "rung": e.rung, "resource": e.resource, "skill": e.skill}
            for e in self.events
            if e.kind == "decision"
        ]

    def table(self, top: int = 10) -> Table:
        """Return a table of the best trials and of all that failed or reported a NaN.

        Parameters
        ----------
        top : int
            Number of best trials to show.
        """
        records = sorted(self.records(), key=_by_progress)
        shown = records[:top] + [record for record in records[top:] if record["trouble"]]
        named = dict.fromkeys(name for record in records for name in record)
        names = [name for name in named if name.startswith("config_")]
        table = Table(title=f"Best {min(top, len(records))} of {len(records)} trials")
        for heading in ("trial", "status", "epochs", "last loss", "retries"):
            table.add_column(heading, justify="right" if heading != "status" else "left")
        for name in names:
            table.add_column(cell(name.removeprefix("config_")), overflow="fold")
        table.add_column("reason", overflow="fold")
        for record in shown:
            cells = map(cell, _cells(record, names))
            table.add_row(*cells, style="red" if record["trouble"] else None)
        return table


def _record(trial: TrialSummary, retries: int) -> dict[str, Any]:
    finite = [loss for loss in trial.losses if math.isfinite(loss)]
    bad = next((i for i, loss in enumerate(trial.losses, 1) if not math.isfinite(loss)), None)
    trouble = "" if bad is None else f"loss {trial.losses[bad - 1]} after unit {bad}"
    if trial.status is TrialStatus.FAILED:
        trouble = trial.reason or "failed"
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


def _by_progress(record: Mapping[str, Any]) -> tuple[bool, float, int]:
    loss = record["last_loss"]
    worst = record["trouble"] or not math.isfinite(loss)
    return (worst, loss if math.isfinite(loss) else 0.0, record["trial_id"])


def _cells(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        str(record["trial_id"]),
        record["status"],
        str(record["epochs"]),
        short(record["last_loss"]),
        str(record["retries"]),
        *(short(record.get(name, "")) for name in names),
        record["reason"],
    ]


def short(value: object) -> str:
    """Return a value as text; a float with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
