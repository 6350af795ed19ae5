"""The last epochs of a search whose workers never wait, dealt so that all stop together.

With W workers and E epochs left, each worker has a *runway* of E / W epochs. With many workers it
is hardly longer than one full training from the beginning, and a trial that is completed last would
train alone while all other workers idle. So, once the runway is short:

- An increasing fraction of the workers, up to all of them, trains *finishers* side by side: the
  most promising trials that can be completed within the runway. A finisher that falls behind the
  runway is replaced by another.
- Jobs shrink with the runway, down to one epoch.
- No trial starts that could not be completed even if it were far faster than the others.
- As long as no trial is complete, the epochs that complete one are reserved.

There is no clock: the slowness of a trial is the number of epochs that a worker reports on average
while the trial has a job, per epoch of the job (`Speeds`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpo._typing import BoolArray, FloatArray
from hpo.schedulers.freeze_thaw.arrays import GrowingArray, Int64Array, TrialArrays
from hpo.schedulers.freeze_thaw.options import FreezeThawOptions
from hpo.schedulers.freeze_thaw.policy import (
    Candidates,
    Choice,
    ForecastSampler,
    next_lengths,
    sampled_choice,
)

_FULL_TRAININGS = 0.75
"""The endgame begins when the runway is this multiple of a full training. With 1.2 the regret on
eight workers was a third larger (16 tables, four seeds), with 0.6 workers idle for longer."""
_RESERVED_TRAININGS = 1.2
"""It begins with this multiple of a full training left if no trial is complete yet."""
_MIN_RUNWAY = 1 / 3
"""No trial starts if the runway is a smaller fraction of a full training: it would have to be three
times as fast as the others."""
_JOBS_PER_RUNWAY = 3
"""A job takes at most the runway divided by this number, by its trial's slowness."""
_PRIOR = 0.5
"""Epochs of average speed that regularise the slowness of a trial's first job."""
_TOLERANCE = 0.5
"""Epochs by which a finisher may exceed the runway, which is not known better."""


class Speeds:
    """Relative slowness of trials, from what all workers report while a trial has a job."""

    def __init__(self) -> None:
        self._reported = 0
        self._reported_before: dict[int, int] = {}  # by trial with a job
        self._max_running = self._previous_max_running = 0
        self._meanwhile = GrowingArray(np.float64)  # epochs that a worker reported during its jobs
        self._epochs = GrowingArray(np.float64)  # its own epochs, by trial

    @property
    def n_workers(self) -> int:
        """Largest number of simultaneous jobs since the last mark but one."""
        return max(self._max_running, self._previous_max_running, 1)

    def mark(self) -> None:
        """Forget the number of jobs before the last mark."""
        self._max_running, self._previous_max_running = (
            len(self._reported_before),
            self._max_running,
        )

    def began(self, trial: int) -> None:
        """Note that a trial has a job; new trials have consecutive numbers."""
        if trial == len(self._epochs.view):
            self._meanwhile.append(_PRIOR)
            self._epochs.append(_PRIOR)
        self._reported_before[trial] = self._reported
        self._max_running = max(self._max_running, len(self._reported_before))

    def ended(self, trial: int, epochs: int) -> None:
        """Note that its job of so many epochs ended."""
        self._reported += epochs
        self._meanwhile.view[trial] += (
            self._reported - self._reported_before.pop(trial)
        ) / self.n_workers
        self._epochs.view[trial] += epochs

    def slowness(self) -> FloatArray:  # (n_trials,)
        """Return the time of an epoch of each trial, relative to the average."""
        return np.asarray(self._meanwhile.view / self._epochs.view)


@dataclass(frozen=True)
class EndgameStates:
    """All trials at one call of ``ask()``, in arrays of shape (n_trials,).

    Attributes
    ----------
    trials : TrialArrays
        All trials.
    finisher_stop, other_stop : ndarray of int
        Units after the trial's next job, as a finisher and otherwise.
    idle : ndarray of bool
        Whether it may have a job that the epochs suffice for.
    completable : ndarray of bool
        Whether it can be completed within the runway.
    short : ndarray of bool
        Whether one epoch of it fits into the runway.
    """

    trials: TrialArrays
    finisher_stop: Int64Array
    other_stop: Int64Array
    idle: BoolArray
    completable: BoolArray
    short: BoolArray

    def candidates(self, of: BoolArray) -> Candidates:
        """Return the trials among these with a forecast that may have a short job."""
        trials = self.trials
        which = np.flatnonzero(of & self.idle & self.short & ~np.isnan(trials.mean))
        stop = self.other_stop[which]
        return Candidates(
            which, stop - trials.units[which], stop, trials.mean[which], trials.std[which]
        )

    def lowest(self, of: BoolArray, key: FloatArray | Int64Array) -> Choice | None:
        """Return the next job of the idle trial among these with the lowest key."""
        which = np.flatnonzero(of & self.idle)
        if not len(which):
            return None
        trial = int(which[np.argmin(key[which])])
        return Choice(trial, int(self.finisher_stop[trial]))


class Endgame:
    """Hands out the last epochs.

    Parameters
    ----------
    max_resource : int
        Maximum resource per trial, R.
    options : FreezeThawOptions
    trials : TrialArrays
        All trials, kept up to date by the caller.
    """

    def __init__(self, max_resource: int, options: FreezeThawOptions, trials: TrialArrays) -> None:
        self._max_resource = max_resource
        self._options = options
        self._trials = trials
        self._speeds = Speeds()
        self._any_complete = False

    def train_further(self, max_resource: int, options: FreezeThawOptions) -> None:
        """Raise the maximum resource; trials that are no longer complete were reopened before."""
        self._max_resource = max_resource
        self._options = options
        self._any_complete = bool(self._trials.complete.any())

    # -- events ------------------------------------------------------------------------------

    def began(self, trial: int) -> None:
        """Note a job; new trials have consecutive numbers."""
        self._speeds.began(trial)

    def ended(self, trial: int, epochs: int) -> None:
        """Note that a job of so many epochs ended, after `TrialArrays.ended`."""
        trials = self._trials
        self._any_complete |= bool(trials.over[trial] and not trials.failed[trial])
        self._speeds.ended(trial, epochs)

    def forecast_asked(self) -> None:
        """Note that the next forecast includes all reports so far."""
        self._speeds.mark()

    # -- decisions ---------------------------------------------------------------------------

    def begun(self, left: int) -> bool:
        """Return whether the runway is short with so many epochs left, or must complete a trial."""
        if not self._any_complete and left <= _RESERVED_TRAININGS * self._max_resource:
            return True
        return self._runway(left) <= _FULL_TRAININGS * self._max_resource

    def starts_trials(self, left: int) -> bool:
        """Return whether the runway is long enough for new trials."""
        return self._runway(left) >= _MIN_RUNWAY * self._max_resource

    def affords_trial(self, left: int) -> bool:
        """Return whether a trial may start while one can still be completed."""
        first = np.array([self._options.min_resource])
        return bool(self._affordable(np.zeros_like(first), first, left)[0])

    def choose(
        self,
        sampler: ForecastSampler,
        left: int,
        pick: Callable[[Candidates, bool], Choice | None],
        *,
        forecasting: bool,
    ) -> Choice | None:
        """Return the next job: a finisher's, else one by the forecast, else any possible one.

        Parameters
        ----------
        sampler : ForecastSampler
            Samples the latest forecast.
        left : int
            Epochs that no job has taken.
        pick : callable
            ``pick(candidates, starts)`` chooses among trials that may be resumed and, if `starts`,
            new ones.
        forecasting : bool
            Whether to wait for a pending forecast rather than take any job.
        """
        now, trials = self._states(left), self._trials
        known = ~np.isnan(trials.mean)
        if (trials.running & now.completable).sum() < self._n_finishers(left):
            finisher = now.lowest(now.completable & known, trials.mean)
            if finisher is not None:
                return finisher
        starts = self.starts_trials(left) and self.affords_trial(left)
        choice = pick(now.candidates(~trials.scheduled), starts)
        if choice is not None or forecasting:
            return choice
        choice = sampled_choice(sampler, now.candidates(known), None)
        choice = choice or now.lowest(now.short, trials.units)
        if choice is None and not self._any_complete:
            # Its epochs are reserved, however slow it is.
            return now.lowest(now.idle, -trials.units)
        return choice

    # -- the state of the search -------------------------------------------------------------

    def _runway(self, left: int) -> float:
        return left / self._speeds.n_workers

    def _n_finishers(self, left: int) -> int:
        fraction = 1 - self._runway(left) / (_FULL_TRAININGS * self._max_resource)
        return max(1, round(fraction * self._speeds.n_workers))

    def _states(self, left: int) -> EndgameStates:
        runway = self._runway(left)
        slow = self._speeds.slowness()
        units = self._trials.units
        stop = self._stops(units, slow, runway)
        in_time = slow * (self._max_resource - units) <= runway + _TOLERANCE
        return EndgameStates(
            trials=self._trials,
            finisher_stop=stop,
            other_stop=np.minimum(stop, next_lengths(units, self._max_resource)),
            idle=self._trials.idle & self._affordable(units, stop, left),
            completable=in_time,
            short=slow <= max(runway, 1.0),
        )

    def _stops(self, units: Int64Array, slow: FloatArray, runway: float) -> Int64Array:
        part = (runway / (_JOBS_PER_RUNWAY * slow)).astype(np.int64)
        step = np.clip(part, 1, self._options.max_step)
        return np.asarray(np.minimum(units + step, self._max_resource))

    def _affordable(self, units: Int64Array, stop: Int64Array, left: int) -> BoolArray:
        """Return whether the epochs suffice for each job, and to complete one trial."""
        after = left - (stop - units)
        reserved = 0
        if not self._any_complete:
            unfinished = self._trials.units[~self._trials.over]
            reserved = self._max_resource - int(unfinished.max(initial=0))
        if reserved > left:
            reserved = 0
        return np.asarray(after >= np.minimum(reserved, self._max_resource - stop))
