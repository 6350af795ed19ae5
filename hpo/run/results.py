"""Results of a run: trials, decisions and history, as records, tables and data frames."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.table import Table

from hpo.errors import NoBestTrialError, UsageError, import_optional
from hpo.loop import Scheduler
from hpo.run.baseline import HyperbandBaseline
from hpo.run.checkpoints import default_directory
from hpo.run.history import HistoryPoint, history
from hpo.run.journal import Damage, JournalContent, read_journal
from hpo.run.limits import stop_line, stop_of, with_parts
from hpo.run.models import ModelStore
from hpo.run.overlap import Overlap
from hpo.run.replay import RESTART, replay
from hpo.run.salvage import read_salvaged
from hpo.run.skill import Skill, realised_line
from hpo.run.spec import RunSpec
from hpo.run.state import recorded_state
from hpo.run.table import config_text, short, short_reason, shortened, trial_table
from hpo.run.timeline import Span, spans_of, waits_of
from hpo.run.trial_results import TrialResult, TrialViews
from hpo.space.search_space import SearchSpace
from hpo.text import csv_row, visible
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import (
    Done,
    Epoch,
    Event,
    Job,
    Report,
    SchedulerSummary,
    Scope,
    TrialStatus,
    best_of,
    latest_expected_improvement,
    rank_key,
)

_REASON = 120
"""Longest reason in a summary."""


@dataclass(frozen=True)
class Results:
    """Results of a run: its trials, decisions, reports and notes.

    Attributes
    ----------
    trials : tuple of TrialResult
        All trials in the order of their numbers.
    incumbent : TrialResult or None
        The best trial, as `best`. None if no trial has a finite value.
    epochs : int
        Number of resource units trained. Units that were trained again are not counted (see
        `repeated_epochs`).
    events : tuple of Event
        Decisions of the scheduler, and predictions that failed.
    reports : tuple of (float, Report), default=()
        Reports in the order of arrival, with the time in seconds since 1970. Their losses are
        minimised: if the objective is maximised, they are its negative values.
    notes : tuple of Mapping, default=()
        Notes of the journal: retries, further metrics, utilisation.
    baseline : HyperbandBaseline or None, default=None
        Plain Hyperband with the same settings, against which savings are measured.
    finished : bool, default=False
        Whether the search is over. False if a limit has ended the run.
    damage : Damage or None, default=None
        The part of a damaged journal that could not be read.
    budget : int or None, default=None
        Number of units that the search will spend; None if it is not known in advance.
    objective : Objective, default=Objective()
        What is optimised: its ``name``, and ``mode`` ``"min"`` or ``"max"``.
    models : ModelStore, default=ModelStore()
        Location of the checkpoints, and the trainer that reads them.
    space : SearchSpace or None, default=None
        Search space, if it is known.
    spans : tuple of Span, default=()
        What each worker did and when (see `timeline`).

    See Also
    --------
    Tuner.run : Runs a search and returns its results.
    hpo.report.read_status : State of a run at this moment.
    hpo.report.Comparison : Compares the results of several searches.

    Examples
    --------
    >>> from hpo import GridSearcher, SearchSpace, Tuner, make_scheduler
    >>> def train(config, start, stop, checkpoint):
    ...     return [(config["lr"] - 0.5) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
    >>> space = SearchSpace.from_dict({"lr": [0.1, 0.5, 0.9]})
    >>> scheduler = make_scheduler("random-search", GridSearcher(space), max_resource=4)
    >>> results = Tuner(train, scheduler, executor="inline").run(max_trials=3)
    >>> results.best.config, results.best.value
    ({'lr': 0.5}, 0.25)
    >>> results.epochs
    12
    """

    trials: tuple[TrialResult, ...]
    incumbent: TrialResult | None
    epochs: int
    events: tuple[Event, ...]
    reports: tuple[tuple[float, Report], ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    baseline: HyperbandBaseline | None = None
    finished: bool = False
    damage: Damage | None = None
    budget: int | None = None
    objective: Objective = LOSS_MINIMISED
    models: ModelStore = field(default_factory=ModelStore)
    space: SearchSpace | None = field(default=None, compare=False, repr=False)
    spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)

    def __repr__(self) -> str:
        """Describe the results in a line: reports and models may have hundreds of kilobytes."""
        best = self.incumbent
        found = "none" if best is None else f"trial {best.trial_id}, {self.objective.title} "
        found += "" if best is None else short(best.value)
        return f"<Results: {len(self.trials)} trials, {self.epochs} epochs, best: {found}>"

    @classmethod
    def of(  # noqa: PLR0913 - the fields of the class, most by keyword
        cls,
        summary: SchedulerSummary,
        reports: Sequence[tuple[float, Report]],
        notes: Sequence[Mapping[str, Any]],
        baseline: HyperbandBaseline | None,
        *,
        finished: bool,
        damage: Damage | None = None,
        objective: Objective = LOSS_MINIMISED,
        models: ModelStore | None = None,
        space: object = None,
        spans: Sequence[Span] = (),
    ) -> Self:
        """Combine a scheduler's summary with the recorded reports and notes.

        Parameters
        ----------
        summary : SchedulerSummary
            Final state of the scheduler.
        reports, notes, baseline, finished, damage : default of damage=None
            See the attributes.
        objective : Objective, default=Objective()
            As the run was given it.
        models : ModelStore or None, default=None
            None if the checkpoints are not known.
        space : SearchSpace or None, default=None
            None if it is not known.
        spans : sequence of Span, default=()
            Empty if no timeline was recorded.
        """
        models = models or ModelStore()
        summary = with_parts(summary, notes, objective)
        shown = TrialViews(objective, notes, models).summary(summary)
        return cls(
            trials=shown.trials,
            incumbent=shown.best,
            epochs=shown.epochs,
            events=shown.events,
            reports=tuple(reports),
            notes=tuple(notes),
            baseline=baseline,
            finished=finished and stop_of(notes) is None,
            damage=damage,
            budget=shown.budget,
            objective=shown.objective,
            models=models,
            space=space if isinstance(space, SearchSpace) else None,
            spans=tuple(spans),
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
        """Read the results of a run from its journal, finished or not. Nothing is changed.

        Parameters
        ----------
        path : Path
            Journal of the run.
        scheduler : Scheduler, default=None
            A scheduler in the state in which the run began. It is not needed if the run was built
            from a `RunSpec`. For other runs, less is known without it (see `of_lines`).
        decided : callable, default=None
            Function that is called with each decided job.
        salvage : bool, default=False
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
        scheduler, decided : default=None
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
        if finished:  # asking may have ended a bracket for which there were no configurations left
            summary = scheduler.summary()
        baseline = None if spec is None else spec.extended(content.notes()).baseline()
        return cls.of(
            summary,
            content.reports(),
            content.notes(),
            baseline,
            finished=finished,
            damage=content.damage,
            objective=header.objective,
            models=_models_of(content, spec),
            space=getattr(scheduler, "space", None),
            spans=spans_of(content),
        )

    @classmethod
    def of_lines(cls, content: JournalContent) -> Self:
        """Return the results of a run as far as its journal shows them without a scheduler.

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
        Complete for a run from Python objects that ended or was stopped cleanly (see
        `hpo.run.state`). Of one that was killed, trials between two segments count as waiting, and
        decisions are not known.
        """
        summary, finished = recorded_state(content)
        reports, notes = content.reports(), content.notes()
        return cls.of(
            summary,
            reports,
            notes,
            None,
            finished=finished,
            damage=content.damage,
            objective=content.header.objective,
            models=_models_of(content, None),
            spans=spans_of(content),
        )

    @property
    def best(self) -> TrialResult:
        """Best trial, ``best_trial()``. If there is none, it raises NoBestTrialError."""
        return self.best_trial()

    def best_trial(self, scope: Scope = "complete", epoch: Epoch = "last") -> TrialResult:
        """Return the best trial.

        By default it is the one with the best last value of those trained to the end (status
        ``"completed"``). If none is, it is the one with the best last value of those trained
        furthest. Tables, figures, pages, progress displays and trackers use this definition. Values
        that are NaN or infinite, and trials that failed, do not count; of equal trials the first
        is taken.

        Parameters
        ----------
        scope : {"complete", "any"}, default="complete"
            ``"any"`` takes the best of all trials, however far they were trained.
        epoch : {"last", "best"}, default="last"
            ``"best"`` compares the best value of each trial after any unit instead of the last
            one (`TrialResult.best_value`, `TrialResult.best_epoch`).

        Returns
        -------
        TrialResult

        Raises
        ------
        NoBestTrialError
            If no trial has a finite value; the message names the first reason.
        ValueError
            If `scope` or `epoch` is none of these.
        """
        best = best_of(self.trials, scope=scope, epoch=epoch)
        if best is None:
            raise NoBestTrialError(self.no_best_text)
        return best

    @property
    def best_checkpoint(self) -> Path:
        """Path of the best trial's checkpoint: a file or a directory, as its trainer has written.

        ``results.best.load()`` returns the model itself, if the trainer has a method `load`.

        Raises
        ------
        NoBestTrialError
            If no trial has a finite value.
        MissingCheckpointError
            If its trainer has written none, or the run had a temporary directory (no journal and
            no `checkpoint_dir`).
        """
        return self.best.checkpoint

    @property
    def stopped_by(self) -> str | None:
        """Name of the limit that ended the run (``"max_epochs"``), None if none did."""
        stop = stop_of(self.notes)
        return None if stop is None else str(stop["by"])

    @property
    def no_best_text(self) -> str:
        """Why there is no best trial, for a message."""
        reasons = [trial.reason for trial in self.trials if trial.status is TrialStatus.FAILED]
        name = self.objective.title
        text = (
            f"no trial ended with a finite {name}"
            if self.finished
            else f"no trial has a {name} yet"
        )
        if not reasons:
            return text
        return (
            f"{text}: {len(reasons)} of {len(self.trials)} failed, the first with: {reasons[0]}; "
            "once that is repaired, Tuner.resume(journal, retry_failed=True) or hpo resume "
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
        """Return the best value of the objective so far after each training report.

        Before a trial is complete, it is the best value of any trial after any unit (``complete``
        is False). From then on it is the best last value of the complete trials. Within each of the
        two phases it never gets worse, and the last point of the second is the value of `best`.
        Segments that a limit has cut have a point of their own at the end.
        """
        return history(self.reports, self.trials, self.objective, self.overlap.seconds)

    def timeline(self) -> list[dict[str, Any]]:
        """Return what each worker did and when, as one flat dict per span, in order of the start.

        The keys are the fields of `hpo.run.timeline.Span`: ``kind`` (``"train"``, ``"retry"``,
        ``"failed"``, ``"predict"``, ``"forecast"`` or ``"wait"``), ``start`` and ``end`` in seconds
        since the first decision, ``worker``, ``host``, ``pid``, ``device``, ``trial_id``, ``first``
        and ``last`` (units before and after) and ``session``. The times are those of the clock,
        pauses before a run was resumed included. A journal of an earlier version may lack the
        worker; then nothing is known about waiting.
        """
        spans = sorted([*self.spans, *waits_of(self.spans)], key=lambda span: span.start)
        return [dataclasses.asdict(span) for span in spans]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the further metrics, in the order in which they were reported first."""
        return tuple(dict.fromkeys(name for trial in self.trials for name in trial.metrics))

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict per trial, in the order of their ids.

        The keys of the objective have its name: ``last_accuracy``, ``best_accuracy`` (``last_loss``
        and ``best_loss`` without a name). ``metric_NAME`` is a further metric after the trial's
        last unit, ``config_NAME`` a hyperparameter.
        """
        return [self._record(trial, retries) for trial, retries in self._retried()]

    def curves(self) -> list[dict[str, Any]]:
        """Return one flat dict per trial and unit: the curves in long form.

        Keys are ``trial_id``, ``unit`` (from 1), ``value`` (the objective in the user's sign and
        unit) and ``metric_NAME`` for each further metric (NaN where the trainer gave none).
        """
        names = self.metrics
        records: list[dict[str, Any]] = []
        for trial in self.trials:
            missing = (math.nan,) * len(trial.values)
            columns = {f"metric_{name}": trial.metrics.get(name, missing) for name in names}
            for place, value in enumerate(trial.values):
                metrics = {name: column[place] for name, column in columns.items()}
                records.append(
                    {"trial_id": trial.trial_id, "unit": place + 1, "value": value, **metrics}
                )
        return records

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
        write_records(self.records(), path)

    def summary_lines(
        self, *, state: bool = True, realised_skill: tuple[float, int] | None = None
    ) -> list[str]:
        """Return a summary of a few lines: best trial, cost, savings and failures.

        Parameters
        ----------
        state : bool, default=True
            Whether to say that a run is not finished.
        realised_skill : (float, int) or None, default=None
            Skill of the predictions against true losses, and their number; None if it is not known
            (see `hpo.report.Run.realised_skill`).
        """
        lines = ["The run is not finished."] if state and not self.finished else []
        if (stop := stop_of(self.notes)) is not None:
            lines = [stop_line(stop)]
        if self.damage is not None:
            missing = len(set(self.damage.trials) - {trial.trial_id for trial in self.trials})
            lines.append(f"Salvaged: {self.damage}, {missing} of which are not shown at all")
        best, name = self.incumbent, self.objective.title
        if best is not None:
            lines.append(
                f"Best: trial {best.trial_id}, {name} {best.value:.6g} after "
                f"{len(best.losses)} epochs, {config_text(best.config)}"
            )
        lines.append(f"Epochs: {self.epochs}{self._cost_text()}")
        if self.repeated_epochs:
            lines.append(f"Epochs trained again after lost checkpoints: {self.repeated_epochs}")
        gain = self.expected_improvement
        if gain is not None and not self.finished:
            lines.append(
                f"Expected improvement of the best {name} by the remaining epochs: {gain:.2g}"
            )
        if (skill := Skill.of(self.events)) is not None:
            lines.append(skill.line())
        if realised_skill is not None:
            lines.append(realised_line(*realised_skill))
        lines += [line] if (line := self.overlap.line()) else []
        lines += [f"Degraded: {e.message}" for e in self.events if e.kind == "degraded"]
        failed = [trial for trial in self.trials if trial.status is TrialStatus.FAILED]
        if failed:
            reason = shortened(short_reason(failed[0].reason), _REASON)
            lines.append(
                f"Failed: {len(failed)} of {len(self.trials)} trials, the first with: {reason}"
            )
        return [visible(line) for line in lines]

    @property
    def savings(self) -> tuple[int, int]:
        """Resource units saved, and what plain Hyperband spends for the same.

        Of a run that is finished it is the cost of the whole of Hyperband, otherwise what it would
        have spent by now on the same trials. Nothing is saved where that is not defined.
        """
        if self.baseline is None:
            return 0, 0
        if self.finished:
            return self.saved or 0, self.baseline.epochs
        by_now = self.baseline.spent_by_now(self.trials)
        return (0, 0) if by_now is None else (max(0, by_now - self.epochs), by_now)

    def _cost_text(self) -> str:
        """Return what plain Hyperband takes, for the line of the epochs."""
        if self.baseline is None or (self.finished and not self.epochs):
            return ""  # where every trial failed at once, nothing was saved
        saved, whole = self.savings
        if self.finished and saved:
            return f", {saved / whole:.0%} less than the {whole} of plain Hyperband"
        text = f"; plain Hyperband takes {self.baseline.epochs}"
        if saved:
            text += f" in all, and {whole} for the same trials so far ({saved / whole:.0%} saved)"
        return text

    @property
    def expected_improvement(self) -> float | None:
        """Expected improvement of the best final value by the remaining epochs.

        An amount in units of the objective, positive in both modes, by the latest forecast; None
        if the scheduler makes none, or before a trial is complete.
        """
        return latest_expected_improvement(self.events)

    def predictor_skill(self) -> list[dict[str, Any]]:
        """Return the predictor's skill at each decision (positive: better than last value)."""
        return [
            {"bracket": e.bracket, "rung": e.rung, "resource": e.resource, "skill": e.skill}
            for e in self.events
            if e.kind == "decision"
        ]

    def table(
        self, top: int = 10, metrics: Sequence[str] | None = None, width: int | None = None
    ) -> Table:
        """Return a table of the best trials and of all that failed or reported a NaN.

        It is in the order of `hpo.trial.rank_key`, so `best` comes first.

        Parameters
        ----------
        top : int, default=10
            Number of best trials to show, and the most trials to show beside them because they
            failed or have a loss that is not finite.
        metrics : sequence of str, default=None
            Further metrics to show, after the trial's last unit; default: all, empty for none.
        width : int, default=None
            Width of the terminal, for which reasons and configurations are shortened; default:
            nothing is shortened, and the table is as wide as it gets.

        Raises
        ------
        UsageError
            If there is no such metric.
        """
        metrics = self.metrics if metrics is None else metrics
        if unknown := [name for name in metrics if name not in self.metrics]:
            known = ", ".join(self.metrics)
            raise UsageError(
                f"metrics of the table must be among {known or 'those that were recorded'}, got "
                f"{', '.join(unknown)}"
                + ("" if known else "; this search has recorded its objective only")
            )
        ranked = sorted(self._retried(), key=lambda pair: rank_key(pair[0]))
        records = [self._record(trial, retries) for trial, retries in ranked]
        best, rest = records[:top], records[top:]
        failed = [record for record in rest if record["trouble"]] if self.incumbent else []
        shown = best + failed[:top]
        title = f"{'Best ' if self.incumbent else ''}{len(best)} of {len(records)} trials"
        if len(failed) > top:
            title += f", and {top} of {len(failed)} others that failed"
        return trial_table(shown, self.objective.title, metrics, title, width)

    def _retried(self) -> list[tuple[TrialResult, int]]:
        """Return all trials with the number of their retries."""
        retries = Counter(n["trial_id"] for n in self.notes if n.get("what") == "retry")
        return [(trial, retries[trial.trial_id]) for trial in self.trials]

    def _record(self, trial: TrialResult, retries: int) -> dict[str, Any]:
        name = self.objective.title
        bad = next((i for i, value in enumerate(trial.values, 1) if not math.isfinite(value)), None)
        trouble = "" if bad is None else f"{name} {trial.values[bad - 1]} after unit {bad}"
        if trial.status is TrialStatus.FAILED:
            trouble = trial.reason or "failed"
        return {
            "trial_id": trial.trial_id,
            "bracket": trial.bracket,
            "rung": trial.rung,
            "status": str(trial.status),
            "epochs": len(trial.losses),
            f"last_{name}": trial.value,
            f"best_{name}": trial.best_value,
            "retries": retries,
            "reason": trouble or trial.reason,
            "trouble": bool(trouble),
            **{f"metric_{name}": value for name, value in trial.last_metrics.items()},
            **{f"config_{name}": value for name, value in trial.config.items()},
        }


def _models_of(content: JournalContent, spec: RunSpec | None) -> ModelStore:
    """Return where the checkpoints of a journal's run lie, and the name of its trainer."""
    named = "" if spec is None else spec.checkpoint_dir
    root = Path(named or default_directory(content.path)).absolute()
    return ModelStore(root, (spec and spec.trainer) or None)


def write_records(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write records to a new CSV file, with a column for each name (see `Results.write_csv`).

    Parameters
    ----------
    records : sequence of Mapping
        Flat; a name that one of them lacks is an empty cell of it.
    path : Path
        Must not exist.

    Raises
    ------
    UsageError
        If the file exists or cannot be written.
    """
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
