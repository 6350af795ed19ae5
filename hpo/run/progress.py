"""Progress display of a run: on a terminal, in a log file, and in a notebook.

The leading process learns of the epochs of a segment when it ends. Between two reports the display
shows what the runner does (`Activity`), which it asks for when it draws.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console

from hpo.run.baseline import HyperbandBaseline
from hpo.run.history import best_so_far
from hpo.run.limits import Bounds, Limits
from hpo.run.pace import Extent, Pace, extent
from hpo.run.screens import (
    Compilation,
    LogScreen,
    NotebookScreen,
    ProgressConsole,
    Screen,
    TerminalScreen,
    View,
    clock,
    in_notebook,
    print_line,
)
from hpo.run.skill import Skill
from hpo.trainers.objective import LOSS, LOSS_MINIMISED
from hpo.trial import SchedulerSummary, TrialStatus, latest_expected_improvement

STARTING = "starting workers"


@dataclass(frozen=True)
class Activity:
    """What the runner does at this moment.

    Attributes
    ----------
    training : int
        Segments that train now.
    waiting : int
        Segments that wait for a worker.
    predicting : int
        Predictions and forecasts that run now.
    stopping : bool
        Whether the run is being stopped.
    in_turn : bool
        Whether segments train in this process (executor "inline").
    """

    training: int = 0
    waiting: int = 0
    predicting: int = 0
    stopping: bool = False
    in_turn: bool = False

    @property
    def words(self) -> str:
        """What happens now: a training that runs comes before a forecast beside it."""
        if self.stopping:
            return "stopping"
        if self.training:
            return "training"
        if self.predicting:
            return "forecasting"
        return "waiting for workers" if self.waiting else "deciding"


class Progress:
    """Shows the state of a run; a context manager around it. This base class shows nothing.

    Attributes
    ----------
    bounds : Bounds
        Limits of the run.
    n_trials : int or None
        Trials that the scheduler starts in all; None if that is not known beforehand.
    activity : callable or None
        Returns what the runner does at this moment; None before it is known.
    """

    bounds = Bounds(Limits(), None)
    n_trials: int | None = None
    activity: Callable[[], Activity] | None = None

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

    def starting(self) -> contextlib.AbstractContextManager[None]:
        """Show that workers are being started, before the run begins."""
        return contextlib.nullcontext()

    def follow(
        self, activity: Callable[[], Activity], bounds: Bounds, n_trials: int | None = None
    ) -> None:
        """Take note of what runs the search, and of its limits, before it starts.

        Parameters
        ----------
        activity : callable
            Returns what the runner does at this moment; safe to call from any thread.
        bounds : Bounds
            Limits of the run.
        n_trials : int or None
            Trials that the scheduler starts in all.
        """
        self.activity, self.bounds, self.n_trials = activity, bounds, n_trials

    def tick(self) -> float | None:
        """Update what changes by itself, such as the time, while the run waits for a report.

        Returns
        -------
        float or None
            Seconds after which it should be called again; None if that is not needed.
        """
        return None

    def conclude(self, outcome: str) -> None:
        """Take note of how the run ended, such as ``"finished"``, before the last `show`."""

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
    limits : Limits
        Limits of the run.
    saved : int or None
        Units saved relative to what plain Hyperband would have spent by now on the same trials;
        None where that is not defined (see `HyperbandBaseline.spent_by_now`).
    baseline_epochs : int or None
        Units that plain Hyperband spends in total.
    running, waiting, trials, failed, over : int
        Trials that train now, that wait to be continued, that were started, that failed, and that
        are never trained again.
    best : float
        Best value of the objective so far (see `hpo.run.history`).
    best_trial : int or None
        The trial that has reached it.
    complete : bool
        Whether that trial is complete.
    skill : Skill or None
        Skill of the predictor over the decisions so far.
    expected_improvement : float or None
        Expected improvement of the best loss by the rest of the budget, by the latest forecast.
    degraded : int
        Decisions that fell back to plain Hyperband.
    objective : str
        Name of the objective.
    n_trials : int or None
        Trials that the scheduler starts in all; None if that is not known beforehand.
    """

    epochs: int
    budget: int | None
    limits: Limits
    saved: int | None
    baseline_epochs: int | None
    running: int
    waiting: int
    trials: int
    failed: int
    over: int
    best: float
    best_trial: int | None
    complete: bool
    skill: Skill | None
    expected_improvement: float | None
    degraded: int
    objective: str = LOSS
    n_trials: int | None = None

    @classmethod
    def of(
        cls,
        summary: SchedulerSummary,
        baseline: HyperbandBaseline | None,
        limits: Limits | None = None,
        n_trials: int | None = None,
    ) -> Self:
        """Take the figures from a summary of a run with these limits."""
        status = [trial.status for trial in summary.trials]
        objective = getattr(summary, "objective", LOSS_MINIMISED)
        best = best_so_far(summary.trials)
        by_now = None if baseline is None else baseline.spent_by_now(summary.trials)
        return cls(
            epochs=summary.epochs,
            budget=summary.budget,
            limits=limits or Limits(),
            saved=None if by_now is None else by_now - summary.epochs,
            baseline_epochs=None if baseline is None else baseline.epochs,
            running=status.count(TrialStatus.RUNNING),
            waiting=status.count(TrialStatus.WAITING),
            trials=len(status),
            failed=status.count(TrialStatus.FAILED),
            over=sum(each.over for each in status),
            best=objective.value(best.loss),
            best_trial=best.trial_id,
            complete=best.complete,
            skill=Skill.of(summary.events),
            expected_improvement=latest_expected_improvement(summary.events),
            degraded=sum(event.kind == "degraded" for event in summary.events),
            objective=objective.title,
            n_trials=n_trials,
        )

    @property
    def max_epochs(self) -> int | None:
        """Units at which the run ends at the latest; None if that is not known."""
        known = [self.limits.max_epochs, self.budget or self.baseline_epochs]
        return min((each for each in known if each is not None), default=None)

    @property
    def parts(self) -> dict[str, tuple[float, float]]:
        """What is done and the total, for each limit that is counted in epochs or trials.

        What a form of Hyperband has saved within rounds will not be trained any more.
        """
        parts: dict[str, tuple[float, float]] = {}
        if self.limits.max_epochs is not None:
            parts["max_epochs"] = self.epochs, self.limits.max_epochs
        if self.budget is not None:
            parts["budget"] = self.epochs, self.budget
        elif self.baseline_epochs is not None and self.saved is not None:
            parts["hyperband"] = self.epochs + self.saved, self.baseline_epochs
        elif self.n_trials is not None:
            parts["trials"] = self.over, self.n_trials
        if self.limits.max_trials is not None:
            parts["max_trials"] = self.over, self.limits.max_trials
        return parts

    def fields(self, activity: Activity | None = None, *, ended: bool = False) -> dict[str, str]:
        """Return texts by label, in display order.

        Parameters
        ----------
        activity : Activity or None
            What the runner does now, whose counts are newer.
        ended : bool
            Whether the run has ended, so that trials that still trained were interrupted.
        """
        limit = "" if self.max_epochs is None else f" of {self.max_epochs}"
        if self.max_epochs == self.baseline_epochs and limit:
            limit = f" of at most {self.max_epochs}"
        best = "none yet"
        if self.best_trial is not None:
            phase = "" if self.complete else ", no trial complete"
            best = f"{self.best:.5g} (trial {self.best_trial}{phase})"
        fields = {
            "epochs": f"{self.epochs}{limit}",
            "trials": self._trials(activity, ended=ended),
            f"best {self.objective}": best,
        }
        if self.saved:
            share = self.saved / (self.saved + self.epochs)
            fields["saved"] = f"{self.saved} epochs, {share:.0%} of plain Hyperband so far"
        if self.skill is not None:
            fields["skill"] = self.skill.short()
        gain = self.expected_improvement
        # Where the forecast's spread is wide, it extends below zero: no gain to be shown.
        if gain is not None and not ended and gain <= abs(self.best):
            fields["may still gain"] = f"{gain:.2g}"
        if self.degraded:
            rounds = f"{self.degraded} round{'s' if self.degraded > 1 else ''}"
            fields["degraded"] = f"{rounds} decided as plain Hyperband"
        return fields

    def _trials(self, activity: Activity | None, *, ended: bool) -> str:
        running, waiting = self.running, self.waiting
        if activity is not None and not ended:
            running = activity.training
            waiting = max(0, self.running + self.waiting - running)
        parts = {"interrupted" if ended else "running": running, "waiting": waiting}
        parts["failed"] = self.failed
        states = ", ".join(f"{number} {name}" for name, number in parts.items() if number)
        most = self.n_trials if self.limits.max_trials is None else self.limits.max_trials
        text = f"{self.trials}" if most is None or ended else f"{self.trials} of {most}"
        return f"{text} ({states})" if states else text


class RichProgress(Progress):
    """A live display on a terminal or in a notebook, and lines where there is neither.

    A terminal without cursor control (``TERM=dumb``) gets lines, too.

    Parameters
    ----------
    title : str
        Shown in front of what happens now.
    console : rich.console.Console or None
        Console to write to; default: the notebook that this process is the kernel of, or standard
        error.
    """

    LINES_EVERY = 10.0
    """Least seconds between two lines of a log file."""

    def __init__(self, title: str = "", console: Console | None = None) -> None:
        self._title = f"{title}: " if title else ""
        self._console = ProgressConsole(stderr=True) if console is None else console
        self._is_terminal = self._console.is_terminal and not self._console.is_dumb_terminal
        self._in_notebook = console is None and in_notebook()
        self._screen: Screen | None = None
        self._snapshot: Snapshot | None = None
        self._compilation = Compilation()
        self._outcome = ""
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._ended = math.inf
        self._is_starting = False

    def show(self, summary: SchedulerSummary, baseline: HyperbandBaseline | None) -> None:
        """Show the state `summary` and what was saved relative to the `baseline`."""
        snapshot = Snapshot.of(summary, baseline, self.bounds.limits, self.n_trials)
        now = time.monotonic()
        with self._lock:
            self._snapshot = snapshot
            for name, (done, _) in snapshot.parts.items():
                self._paces.setdefault(name, Pace()).add(now, done)
        self.tick()

    def announce(self, line: str) -> None:
        """Show a line before the run starts."""
        if not self._in_notebook:
            print_line(self._console, line)

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Show that workers are being started; in a log file, once it takes some seconds."""
        self._started, self._is_starting = time.monotonic(), True
        if self._is_terminal or self._in_notebook:
            screen = self._open()
            try:
                yield
            finally:
                if isinstance(screen, TerminalScreen):  # the next one begins at the same place
                    screen.clear()
            return
        line = f"[{clock(0)}]  {STARTING}"
        timer = threading.Timer(self.LINES_EVERY / 2, print_line, (self._console, line))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def tick(self) -> float | None:
        """Print the next line if it is due."""
        if self._screen is None:
            return None
        self._screen.draw()
        return self._screen.interval

    def conclude(self, outcome: str) -> None:
        """Take note of how the run ended."""
        self._outcome = outcome

    def __enter__(self) -> Self:
        """Start the display."""
        if not self._is_starting:  # the start of workers counts as time elapsed
            self._started = time.monotonic()
        self._is_starting = False
        self._outcome, self._ended = "", math.inf
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        self._outcome = self._outcome or ("finished" if kind is None else "stopped")
        self._ended = time.monotonic()
        self._compilation.close()
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    def _open(self) -> Screen:
        screen = self._screen
        if not isinstance(screen, NotebookScreen):  # whose output stays the same
            if self._in_notebook:
                screen = NotebookScreen(self.view)
            elif self._is_terminal:
                screen = TerminalScreen(self.view, self._console)
            else:
                screen = LogScreen(self.view, self._console, self.LINES_EVERY)
        self._screen = screen
        screen.open()
        return screen

    def view(self) -> View:
        """Return what is to be shown now."""
        now = min(time.monotonic(), self._ended)
        elapsed = now - self._started
        activity = None if self.activity is None else self.activity()
        words = STARTING if activity is None else activity.words
        if activity is not None and self._compilation and words != "stopping":
            words = "compiling" if activity.in_turn or not activity.training else words
        words = self._title + (self._outcome or words)
        ended = bool(self._outcome)
        snapshot = self._snapshot
        if snapshot is None:
            return View(words, elapsed, ended=ended)
        with self._lock:
            parts = [(*part, self._paces[name]) for name, part in snapshot.parts.items()]
            how_far = self._sooner(extent(parts, now), elapsed)
        return View(words, elapsed, how_far, snapshot.fields(activity, ended=ended), ended)

    def _sooner(self, known: Extent | None, elapsed: float) -> Extent | None:
        """Return how much is done, given that the run ends at its deadline at the latest."""
        deadline = self.bounds.deadline
        if deadline is None:
            return known
        left = deadline.remaining
        fraction = elapsed / (elapsed + left) if elapsed + left > 0 else 1.0
        if known is None:
            return Extent(fraction, left)
        return Extent(
            max(fraction, known.fraction), left if known.left is None else min(left, known.left)
        )
