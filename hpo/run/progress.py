"""What a user sees while a run goes on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hpo.run.baseline import HyperbandBaseline
from hpo.trial import SchedulerSummary, TrialStatus


class Progress(Protocol):
    """Shows the state of a run; used as a context manager around it."""

    def show(self, summary: SchedulerSummary, plan: HyperbandBaseline | None) -> None:
        """Show a state, and what was saved against the plan where there is one."""
        ...

    def __enter__(self) -> Self:
        """Start showing."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """The figures that the display shows.

    Attributes
    ----------
    epochs : int
        Resource units trained.
    saved : int or None
        Units saved against plain Hyperband so far; None where there is no such plan.
    planned : int or None
        Units that plain Hyperband would spend in all.
    running, alive, trials, failed : int
        Trials that train now, that may still go on, that were started, and that failed.
    best : float
        Lowest last loss, infinity before the first.
    best_trial : int or None
        Its trial.
    bracket, rung : int or None
        Where the newest training goes on.
    skill : float or None
        Latest measured skill of the predictor against keeping the last value.
    degraded : int
        Decisions that fell back to plain Hyperband.
    """

    epochs: int
    saved: int | None
    planned: int | None
    running: int
    alive: int
    trials: int
    failed: int
    best: float
    best_trial: int | None
    bracket: int | None
    rung: int | None
    skill: float | None
    degraded: int

    @classmethod
    def of(cls, summary: SchedulerSummary, plan: HyperbandBaseline | None) -> Self:
        """Take the figures from a summary."""
        status = [trial.status for trial in summary.trials]
        running = [t for t in summary.trials if t.status is TrialStatus.RUNNING]
        place = max(running, key=lambda trial: trial.trial_id, default=None)
        skills = [event.skill for event in summary.events if event.skill is not None]
        return cls(
            epochs=summary.epochs,
            saved=None if plan is None else plan.saved(summary.trials),
            planned=None if plan is None else plan.epochs,
            running=len(running),
            alive=len(running) + status.count(TrialStatus.WAITING),
            trials=len(status),
            failed=status.count(TrialStatus.FAILED),
            best=math.inf if summary.best is None else summary.best.last_loss,
            best_trial=None if summary.best is None else summary.best.trial_id,
            bracket=None if place is None else place.bracket,
            rung=None if place is None else place.rung,
            skill=skills[-1] if skills else None,
            degraded=sum(event.kind == "degraded" for event in summary.events),
        )

    def fields(self) -> list[tuple[str, str]]:
        """Return (label, text) pairs in the order in which they are shown."""
        spent = str(self.epochs) + (f" of at most {self.planned}" if self.planned else "")
        trials = f"{self.alive} alive ({self.running} running) of {self.trials}"
        if self.failed:
            trials += f", {self.failed} failed"
        best = "none yet" if self.best_trial is None else f"{self.best:.5g} (#{self.best_trial})"
        fields = [("epochs", spent), ("trials", trials), ("best loss", best)]
        if self.bracket is not None:
            fields.append(("bracket, rung", f"{self.bracket}, {self.rung}"))
        if self.saved is not None:
            share = f" ({self.saved / self.planned:.0%} of Hyperband)" if self.planned else ""
            fields.append(("saved", f"{self.saved}{share}"))
        if self.skill is not None:
            fields.append(("predictor skill", f"{skill_text(self.skill)} vs last value"))
        if self.degraded:
            fields.append(("degraded", f"{self.degraded} rounds as plain Hyperband"))
        return fields


def skill_text(skill: float) -> str:
    """Return a skill as text; it is unbounded below, and beyond -10 only its sign matters."""
    return f"{skill:+.2f}" if skill > -10 else "below -10"


class NoProgress:
    """Shows nothing."""

    def show(self, summary: SchedulerSummary, plan: HyperbandBaseline | None) -> None:
        """Show nothing."""

    def __enter__(self) -> Self:
        """Start nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop nothing."""


class RichProgress:
    """A live display on a terminal; single lines now and then where there is none (a log file).

    Parameters
    ----------
    title : str
        Shown above the figures.
    console : rich.console.Console or None
        Where to; default: standard error.
    """

    LINES_EVERY = 10.0
    """Seconds between two lines where there is no terminal."""

    def __init__(self, title: str = "", console: Console | None = None) -> None:
        self._title = title
        self._console = Console(stderr=True) if console is None else console
        self._live: Live | None = None
        self._snapshot: Snapshot | None = None
        self._begun = self._lines = time.monotonic()

    def show(self, summary: SchedulerSummary, plan: HyperbandBaseline | None) -> None:
        """Show a state."""
        self._snapshot = Snapshot.of(summary, plan)
        if self._live is None and time.monotonic() - self._lines >= self.LINES_EVERY:
            self._print_line()

    def __enter__(self) -> Self:
        """Start the display."""
        self._begun = self._lines = time.monotonic()
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
        self._lines = time.monotonic()
        if self._snapshot is not None:
            text = "  ".join(f"{label}: {value}" for label, value in self._snapshot.fields())
            line = f"[{self._elapsed()}] {text}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        return f"{minutes}:{seconds:02d}"

    def _render(self) -> Any:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", justify="right")
        table.add_column()
        table.add_row("time", f"{self._elapsed()}  {self._title}")
        fields = [("", "starting workers")] if self._snapshot is None else self._snapshot.fields()
        for label, value in fields:
            table.add_row(label, value)
        return table
