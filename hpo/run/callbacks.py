"""Callbacks: user code that is called during a search and may stop a trial or the search.

>>> class Patience(Callback):
...     def on_epoch(self, trial, unit, value):
...         return Stop.TRIAL if unit >= 3 and value > min(trial.values) else None
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from hpo.errors import CallbackError, UsageError
from hpo.loop import Runner, Scheduler, drive
from hpo.run.limits import LimitReachedError
from hpo.trainers.failures import describe
from hpo.trial import Job, Report, TrainReport, TrialSummary

if TYPE_CHECKING:
    from hpo.run.recorder import RunRecorder
    from hpo.run.results import Results
    from hpo.run.trial_results import TrialResult


class Stop(Enum):
    """Values that a callback returns to stop a trial or the search. None continues.

    See Also
    --------
    Callback : Base class of callbacks.

    Examples
    --------
    >>> [each.name for each in Stop]
    ['TRIAL', 'SEARCH']
    """

    TRIAL = "trial"
    """Train this trial no further. It is complete with the losses that it has, as if its training
    had ended by itself."""
    SEARCH = "search"
    """End the run cleanly, as a limit does (see `Tuner.run`). The results are returned, and a
    run with a journal can be resumed. Segments that still run are ended."""


class Callback:
    """Base class of callbacks. Override the methods that you need.

    Callbacks run in the process that leads the run, one after the other, between its decisions, so
    a slow callback delays the search. A callback that raises an exception stops the run with
    a `hpo.errors.CallbackError` that names it. A resumed run calls callbacks for new
    events only.

    See Also
    --------
    Stop : Values that a callback may return.
    Tuner : Takes callbacks in its parameter `callbacks`.

    Examples
    --------
    Stop trials whose objective is above 2 after three epochs:

    >>> class StopBadTrials(Callback):
    ...     def on_epoch(self, trial, unit, value):
    ...         return Stop.TRIAL if unit >= 3 and value > 2.0 else None
    """

    def on_epoch(self, trial: TrialResult, unit: int, value: float) -> Stop | None:
        """Receive the objective after one unit (epoch) of a trial.

        The leading process learns of units when their segment ends, so the calls for all units of a
        segment come together, in order.

        Parameters
        ----------
        trial : TrialResult
            The trial, with its ``values`` and further ``metrics`` up to this unit.
        unit : int
            Number of the unit, from 1.
        value : float
            Objective after this unit, in the sign and unit of the trainer.

        Returns
        -------
        Stop or None
            What to stop. None continues.
        """
        del trial, unit, value
        return None

    def on_trial_end(self, trial: TrialResult) -> Stop | None:
        """Receive a trial that is completed, stopped or failed, once.

        Parameters
        ----------
        trial : TrialResult
            The trial; its ``status`` says how it ended.

        Returns
        -------
        Stop or None
            What to stop. None continues.
        """
        del trial
        return None

    def on_search_end(self, results: Results) -> None:
        """Receive the results when the run ends, is stopped or is interrupted, once.

        Parameters
        ----------
        results : Results
            ``results.finished`` is False for a run that was stopped and can be resumed.
        """
        del results


class CallbackRunner:
    """A `hpo.loop.Runner` that calls the callbacks for what happens.

    Stopping a trial changes the report of its segment before the report is written to the journal,
    so the journal is replayed without the callbacks.

    Parameters
    ----------
    runner : Runner
        Runs the jobs.
    scheduler : Scheduler
        Scheduler that receives the reports.
    callbacks : sequence of Callback
    view : callable
        Returns a trial as users see it.
    """

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        callbacks: Sequence[Callback],
        view: Callable[[TrialSummary], TrialResult],
    ) -> None:
        self._runner = runner
        self._view = view
        self._scheduler = scheduler
        self._callbacks = tuple(callbacks)
        self._stop: LimitReachedError | CallbackError | None = None
        self._over = {t.trial_id for t in scheduler.summary().trials if t.status.over}

    def submit(self, job: Job) -> None:
        """Accept a job."""
        self._runner.submit(job)

    @property
    def free(self) -> int:
        """Number of training jobs that may be submitted now; 0 once a callback stops the run."""
        return 0 if self._stop is not None else self._runner.free

    def wait(self) -> Sequence[Report]:
        """Wait for reports and show them to the callbacks.

        Raises
        ------
        LimitReachedError
            If a callback has stopped the search.
        CallbackError
            If a callback has failed.
        """
        self.show_trials()
        return [self._shown(report) for report in self._runner.wait()]

    def show_trials(self) -> None:
        """Show the trials that have ended since the last call.

        Raises
        ------
        LimitReachedError, CallbackError
            As `wait`.
        """
        if self._stop is None:
            for trial in self._scheduler.summary().trials:
                if trial.status.over and trial.trial_id not in self._over:
                    self._over.add(trial.trial_id)
                    self._ask("on_trial_end", self._view(trial))
        if self._stop is not None:
            raise self._stop

    def _shown(self, report: Report) -> Report:
        """Return the report, of a trial that ends here if a callback says so."""
        if not isinstance(report, TrainReport) or self._stop is not None:
            return report
        trial = self._scheduler.summary().trials[report.trial_id]
        stops = False
        for number in range(1, len(report.losses) + 1):
            losses = trial.losses + report.losses[:number]
            known = self._view(dataclasses.replace(trial, losses=losses))
            stops |= self._ask("on_epoch", known, len(losses), known.values[-1])
        return dataclasses.replace(report, finished=True) if stops else report

    def _ask(self, method: str, *arguments: object) -> bool:
        """Call all callbacks; return whether one of them stops the trial."""
        stops = False
        for callback in self._callbacks:
            if isinstance(self._stop, CallbackError):
                break
            try:
                answer = _called(callback, method, *arguments)
            except CallbackError as error:
                self._stop = error
                break
            stops |= answer is Stop.TRIAL
            if answer is Stop.SEARCH and self._stop is None:
                self._stop = LimitReachedError(f"callback {type(callback).__name__}")
        return stops


def _called(callback: Callback, method: str, *arguments: object) -> object:
    """Call a callback and check its answer.

    Raises
    ------
    CallbackError
        If it fails.
    """
    name = f"callback {type(callback).__name__}.{method}"
    try:
        answer: object = getattr(callback, method)(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CallbackError(f"{name} failed: {describe(error)}; correct it and resume") from error
    if answer is None or isinstance(answer, Stop):
        return answer
    raise CallbackError(
        f"{name} must return None, Stop.TRIAL or Stop.SEARCH, got {answer!r:.80}; correct it and "
        "resume"
    )


def check_callbacks(callbacks: object) -> None:
    """Check the callbacks of a run.

    Raises
    ------
    UsageError
        If they are no sequence of `Callback` objects.
    """
    if isinstance(callbacks, Callback):
        raise UsageError(
            f"callbacks must be a list of objects of subclasses of hpo.Callback, got one "
            f"{type(callbacks).__name__}; put it into a list"
        )
    listed = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    for each in listed:
        if not isinstance(each, Callback):
            name = each.__name__ if isinstance(each, type) else type(each).__name__
            raise UsageError(
                f"callbacks must be a list of objects of subclasses of hpo.Callback, got {name}"
                + (", a class: make an object of it" if isinstance(each, type) else "")
            )


def drive_with_callbacks(
    scheduler: Scheduler, runner: Runner, recorder: RunRecorder, callbacks: Sequence[Callback]
) -> None:
    """Run the search to its end (see `hpo.loop.drive`), and show it to callbacks.

    Raises
    ------
    LimitReachedError
        If a limit or a callback has ended the run.
    CallbackError
        If a callback fails.
    """
    if not callbacks:
        drive(scheduler, runner, recorder)
        return
    shown = CallbackRunner(runner, scheduler, callbacks, recorder.view)
    drive(scheduler, shown, recorder)
    with contextlib.suppress(LimitReachedError):  # it is over anyway
        shown.show_trials()


def show_results(callbacks: Sequence[Callback], results: Results) -> None:
    """Show the results of a run to its callbacks, and keep them if one fails.

    Raises
    ------
    CallbackError
        If one fails; the others are called before.
    """
    failed: CallbackError | None = None
    for callback in callbacks:
        try:
            _called(callback, "on_search_end", results)
        except CallbackError as error:
            error.results = results
            failed = failed or error
    if failed is not None:
        raise failed
