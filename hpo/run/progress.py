"""Progress display of a run on the terminal."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hpo.run.baseline import HyperbandBaseline
from hpo.text import cell
from hpo.trainers.objective import LOSS, LOSS_MINIMISED
from hpo.trial import SchedulerSummary, TrialStatus, latest_expected_improvement


class Progress:
    """Shows the state of a run; a context manager around it. This base class shows nothing."""

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Show the state `summary` and, given a `baseline`, what was saved relative to it.

        Parameters
        ----------
        summary : SchedulerSummary
            In a run it is a `hpo.run.trial_results.RunSummary`: its trials have the objective in
            the user's sign and unit, and the further metrics.
        baseline : HyperbandBaseline or None
            What savings are measured against.
        """

    def announce(self, line: str) -> None:
        """Show a line before the run starts, such as its budget."""

    max_epochs: int | None = None
    """Limit of the resource units of the run, if there is one."""

    def limit_epochs(self, max_epochs: int | None) -> None:
        """Take note of the limit before the run starts."""
        self.max_epochs = max_epochs

    def __enter__(self) -> Self:
        """Start the display."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the display."""


@dataclass(frozen=True)
class Snapshot:
    """The figures that the display shows.

    Attributes
    ----------
    epochs : int
        Resource units trained.
    budget : int or None
        Units that the search will spend; None if that is not known beforehand.
    max_epochs : int or None
        Units at which the run stops, by its limit.
    saved : int or None
        Units saved relative to plain Hyperband so far; None without a baseline.
    baseline_epochs : int or None
        Units that plain Hyperband spends in total.
    running, alive, trials, failed : int
        Trials that train now, that may still be continued, that were started, and that failed.
    best : float
        Objective of the best trial after its last unit; infinity before the first.
    best_trial : int or None
        The best trial (see `hpo.trial.best_of`).
    bracket, rung : int or None
        Position of the newest running trial.
    skill : float or None
        Latest measured skill of the predictor relative to keeping the last value.
    expected_improvement : float or None
        Expected improvement of the best loss by the rest of the budget, by the latest forecast.
    degraded : int
        Decisions that fell back to plain Hyperband.
    objective : str
        Name of the objective.
    """

    epochs: int
    budget: int | None
    max_epochs: int | None
    saved: int | None
    baseline_epochs: int | None
    running: int
    alive: int
    trials: int
    failed: int
    best: float
    best_trial: int | None
    bracket: int | None
    rung: int | None
    skill: float | None
    expected_improvement: float | None
    degraded: int
    objective: str = LOSS

    @classmethod
    def of(
        cls,
        summary: SchedulerSummary,
        baseline: HyperbandBaseline | None,
        max_epochs: int | None = None,
    ) -> Self:
        """Take the figures from a summary, of a run with a limit `max_epochs` if it has one."""
        status = [trial.status for trial in summary.trials]
        running = [t for t in summary.trials if t.status is TrialStatus.RUNNING]
        newest = max(running, key=lambda trial: trial.trial_id, default=None)
        skills = [event.skill for event in summary.events if event.skill is not None]
        objective = getattr(summary, "objective", LOSS_MINIMISED)
        best = summary.best
        return cls(
            epochs=summary.epochs,
            budget=summary.budget,
            max_epochs=max_epochs,
            saved=None if baseline is None else baseline.saved(summary.trials),
            baseline_epochs=None if baseline is None else baseline.epochs,
            running=len(running),
            alive=len(running) + status.count(TrialStatus.WAITING),
            trials=len(status),
            failed=status.count(TrialStatus.FAILED),
            best=objective.value(math.inf if best is None else best.last_loss),
            best_trial=None if best is None else best.trial_id,
            bracket=None if newest is None else newest.bracket,
            rung=None if newest is None else newest.rung,
            skill=skills[-1] if skills else None,
            expected_improvement=latest_expected_improvement(summary.events),
            degraded=sum(event.kind == "degraded" for event in summary.events),
            objective=objective.title,
        )

    def fields(self) -> list[tuple[str, str]]:
        """Return (label, text) pairs in display order."""
        limit = f" of at most {self.baseline_epochs}" if self.baseline_epochs else ""
        limit = limit if self.budget is None else f" of {self.budget}"
        if self.max_epochs is not None and self.max_epochs < (
            self.budget or self.baseline_epochs or math.inf
        ):
            limit = f" of {self.max_epochs}"
        trials = f"{self.alive} alive ({self.running} running) of {self.trials}"
        if self.failed:
            trials += f", {self.failed} failed"
        best = "none yet" if self.best_trial is None else f"{self.best:.5g} (#{self.best_trial})"
        fields = [
            ("epochs", f"{self.epochs}{limit}"),
            ("trials", trials),
            (f"best {self.objective}", best),
        ]
        if self.bracket is not None and self.budget is None:  # with one, there are no brackets
            fields.append(("bracket, rung", f"{self.bracket}, {self.rung}"))
        if self.saved is not None and self.budget is None:
            share = self.saved / self.baseline_epochs if self.baseline_epochs else 0.0
            of = f" ({share:.0%} of Hyperband)" if self.baseline_epochs else ""
            fields.append(("saved", f"{self.saved}{of}"))
        if self.skill is not None:
            fields.append(("predictor skill", f"{skill_text(self.skill)} vs last value"))
        if self.expected_improvement is not None:
            fields.append(("may still gain", f"{self.expected_improvement:.2g}"))
        if self.degraded:
            fields.append(("degraded", f"{self.degraded} rounds as plain Hyperband"))
        return fields


def skill_text(skill: float) -> str:
    """Return a skill as text; skills have no lower bound, so those below -10 are not written out.

    >>> skill_text(0.25), skill_text(-123.0)
    ('+0.25', 'below -10')
    """
    return f"{skill:+.2f}" if skill > -10 else "below -10"


class _Display(Console):
    """A console on which nothing is shown any more once its pipe is closed: the run goes on."""

    def on_broken_pipe(self) -> None:
        """Show nothing from now on, where Rich would end the process."""
        self.quiet = True


class RichProgress(Progress):
    """A live display on a terminal, or a line every ten seconds where there is none (a log file).

    Parameters
    ----------
    title : str
        Shown above the figures.
    console : rich.console.Console or None
        Console to write to; default: standard error.
    """

    LINES_EVERY = 10.0
    """Seconds between two lines where there is no terminal."""

    def __init__(self, title: str = "", console: Console | None = None) -> None:
        self._title = title
        self._console = _Display(stderr=True) if console is None else console
        self._live: Live | None = None
        self._snapshot: Snapshot | None = None
        self._started = self._last_line = time.monotonic()

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Show the state `summary` and what was saved relative to the `baseline`."""
        self._snapshot = Snapshot.of(summary, baseline, self.max_epochs)
        if self._live is None and time.monotonic() - self._last_line >= self.LINES_EVERY:
            self._print_line()

    def announce(self, line: str) -> None:
        """Show a line before the run starts."""
        self._print(line)

    def __enter__(self) -> Self:
        """Start the display."""
        self._started = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._render, refresh_per_second=5
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        else:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        if self._snapshot is not None:
            text = "  ".join(f"{label}: {value}" for label, value in self._snapshot.fields())
            self._print(f"[{self._elapsed()}] {text}")

    def _print(self, line: str) -> None:
        self._console.print(cell(line), highlight=False, soft_wrap=True)

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02d}"

    def _render(self) -> Any:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", justify="right")
        table.add_column()
        table.add_row("time", cell(f"{self._elapsed()}  {self._title}"))
        fields = [("", "starting workers")] if self._snapshot is None else self._snapshot.fields()
        for label, value in fields:
            table.add_row(cell(label), cell(value))
        return table
