"""How the last epochs are dealt to workers that never wait, so that all of them stop together.

With W workers and E epochs left, each has a *runway* of E / W epochs. Where workers are many it is
hardly longer than one full training from the very beginning, and a training that is left for the
end runs alone while all other workers idle. So, once the runway is short:

- A share of the workers, none at first and all of them in the end, trains *finishers* side by side:
  the most promising of the trials that can come to their end within the runway. One that falls
  behind what is left makes room for another.
- Jobs shrink with the runway, to one epoch at last.
- No trial starts that could not come to its end even if it were far faster than the others.
- While no trial is finished, the epochs that finish one are kept for it.

There is no clock in this: a trial is as slow as the epochs that a worker reports on average, its
own included, while it has a job, for each epoch of the job (`Speeds`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo._typing import BoolArray, FloatArray
from hpo.schedulers.freeze_thaw.options import FreezeThawOptions
from hpo.schedulers.freeze_thaw.policy import Candidate, Choice, ForecastSampler, drawn_choice

Int64Array = NDArray[np.int64]

_BEGIN = 1.2
"""The endgame begins with a runway of so many full trainings."""
_SHORT = 1 / 3
"""No trial starts with a runway of less: it would have to be three times as fast as the others."""
_PIECES = 3
"""A job takes at most this part of the runway, by what is known of its trial's speed."""
_PRIOR = 0.5
"""Epochs, of average speed, that steady what a trial's first job tells."""
_ROUNDING = 0.5
"""Epochs by which a finisher may fall behind the runway: it is known no better."""


class Speeds:
    """How slow trials are beside each other, by what all workers report while a job is out."""

    def __init__(self) -> None:
        self._reported = 0
        self._since: dict[int, int] = {}  # trial with a job -> epochs reported before it
        self._most = self._most_before = 0
        self._lag: list[float] = []  # by trial: epochs that a worker reported meanwhile
        self._epochs: list[float] = []  # by trial: its own

    @property
    def n_workers(self) -> int:
        """Most jobs that ran at a time, of late."""
        return max(self._most, self._most_before, 1)

    def mark(self) -> None:
        """Forget how many jobs ran at a time before the last mark."""
        self._most, self._most_before = len(self._since), self._most

    def began(self, trial: int) -> None:
        """Note that a trial has a job; trials come with consecutive numbers."""
        if trial == len(self._lag):
            self._lag.append(_PRIOR)
            self._epochs.append(_PRIOR)
        self._since[trial] = self._reported
        self._most = max(self._most, len(self._since))

    def ended(self, trial: int, epochs: int) -> None:
        """Note that its job came back after so many epochs."""
        self._reported += epochs
        self._lag[trial] += (self._reported - self._since.pop(trial)) / self.n_workers
        self._epochs[trial] += epochs

    def slowness(self) -> FloatArray:  # (n_trials,)
        """Return the time of an epoch of each trial, in epochs of an average one."""
        return np.asarray(np.array(self._lag) / np.array(self._epochs))


@dataclass(frozen=True)
class Moment:
    """All trials at one call of ``ask()``, in arrays of shape (n_trials,).

    Attributes
    ----------
    units : ndarray of int
        Units, those of the present job included.
    stop, thawed : ndarray of int
        Where the next job of a finisher would end; where that of another would.
    mean : ndarray
        Expected final losses; NaN where there is no forecast.
    idle, running : ndarray of bool
        Whether it may have a job; whether it has one.
    able : ndarray of bool
        Whether it can come to its end within the runway.
    short : ndarray of bool
        Whether its next job is affordable, and is over before the epochs are.
    """

    units: Int64Array
    stop: Int64Array
    thawed: Int64Array
    mean: FloatArray
    idle: BoolArray
    running: BoolArray
    able: BoolArray
    short: BoolArray

    def candidates(self, of: BoolArray) -> list[Candidate]:
        """Return those of these trials that have a forecast and may have a short job."""
        which = np.flatnonzero(of & self.idle & self.short & ~np.isnan(self.mean))
        return [Candidate(int(t), int(self.units[t]), int(self.thawed[t])) for t in which]

    def lowest(self, of: BoolArray, key: FloatArray | Int64Array) -> Choice | None:
        """Return the job of the first of these idle trials by `key`."""
        which = np.flatnonzero(of & self.idle)
        if not len(which):
            return None
        trial = int(which[np.argmin(key[which])])
        return Choice(trial, int(self.stop[trial]))


class Endgame:
    """Gives out the last epochs.

    Parameters
    ----------
    max_resource : int
        R, the most units of a trial.
    options : FreezeThawOptions
        How epochs are dealt.
    """

    def __init__(self, max_resource: int, options: FreezeThawOptions) -> None:
        self._max = max_resource
        self._options = options
        self._speeds = Speeds()
        self._units: list[int] = []  # by trial, those of its job included
        self._idle: list[bool] = []
        self._running: list[bool] = []
        self._acted: list[bool] = []  # had a job since the forecast was asked for
        self._finished = False  # one trial at least
        self._means: tuple[ForecastSampler | None, FloatArray] = (None, np.empty(0))

    # -- what happens ------------------------------------------------------------------------

    def began(self, trial: int, stop: int) -> None:
        """Note a job; trials come with consecutive numbers."""
        if trial == len(self._units):
            for each in (self._idle, self._running, self._acted):
                each.append(False)
            self._units.append(0)
        self._units[trial] = stop
        self._idle[trial] = False
        self._running[trial] = self._acted[trial] = True
        self._speeds.began(trial)

    def ended(self, trial: int, units: int, epochs: int, *, over: bool) -> None:
        """Note that a job of so many epochs came back, and whether its trial has ended with it."""
        self._units[trial] = units
        self._idle[trial] = not over
        self._running[trial] = False
        self._finished |= over and units >= self._max
        self._speeds.ended(trial, epochs)

    def forecast_asked(self) -> None:
        """Note that the next forecast knows what was reported so far."""
        self._acted = list(self._running)
        self._speeds.mark()

    # -- what to do --------------------------------------------------------------------------

    def begun(self, left: int) -> bool:
        """Tell whether the runway is short, with so many epochs left."""
        return self._runway(left) <= _BEGIN * self._max

    def starts_trials(self, left: int) -> bool:
        """Tell whether the runway is long enough for new trials."""
        return self._runway(left) >= _SHORT * self._max

    def affords_trial(self, left: int) -> bool:
        """Tell whether a trial may start, and one can be finished all the same."""
        first = np.array([self._options.min_resource])
        return bool(self._affordable(np.zeros_like(first), first, left)[0])

    def choose(
        self,
        draws: ForecastSampler,
        left: int,
        new: Callable[[float], Choice | None],
        *,
        forecasting: bool,
    ) -> Choice | None:
        """Return the next job: of a finisher, or what wins by its draw, or any that there is.

        Parameters
        ----------
        draws : ForecastSampler
            From the latest forecast.
        left : int
            Epochs that no job has taken.
        new : callable
            ``new(loss)`` is a new trial whose draw is below a loss.
        forecasting : bool
            Whether a forecast is on its way, which is worth waiting for.
        """
        now = self._moment(draws, left)
        known = ~np.isnan(now.mean)
        if (now.running & now.able).sum() < self._n_finishers(left):
            finisher = now.lowest(now.able & known, now.mean)
            if finisher is not None:
                return finisher
        acted = np.array(self._acted, dtype=bool)
        starts = self.starts_trials(left) and self.affords_trial(left)
        drawn = drawn_choice(draws, now.candidates(~acted), new if starts else None)
        if drawn is not None or forecasting:
            return drawn
        again = drawn_choice(draws, now.candidates(known), None)
        return again or now.lowest(now.short, now.units) or self._nearest_its_end(now)

    def _nearest_its_end(self, now: Moment) -> Choice | None:
        """Go on with a trial for which epochs are kept, as slow as it may be."""
        return None if self._finished else now.lowest(now.idle, -now.units)

    # -- where the search stands -------------------------------------------------------------

    def _runway(self, left: int) -> float:
        return left / self._speeds.n_workers

    def _n_finishers(self, left: int) -> int:
        share = 1 - self._runway(left) / (_BEGIN * self._max)
        return max(1, round(share * self._speeds.n_workers))

    def _moment(self, draws: ForecastSampler, left: int) -> Moment:
        runway = self._runway(left)
        slow = self._speeds.slowness()
        units = np.array(self._units, dtype=np.int64)
        stop = self._stops(units, slow, runway)
        affordable = self._affordable(units, stop, left)
        in_time = slow * (self._max - units) <= runway + _ROUNDING
        return Moment(
            units=units,
            stop=stop,
            thawed=np.minimum(stop, self._grown(units)),
            mean=self._mean(draws),
            idle=np.array(self._idle, dtype=bool) & affordable,
            running=np.array(self._running, dtype=bool),
            able=in_time,
            short=slow <= max(runway, 1.0),
        )

    def _stops(self, units: Int64Array, slow: FloatArray, runway: float) -> Int64Array:
        part = (runway / (_PIECES * slow)).astype(np.int64)
        most = self._options.max_step or self._max
        return np.asarray(np.minimum(units + np.clip(part, 1, most), self._max))

    def _grown(self, units: Int64Array) -> Int64Array:
        """Return the next lengths (see `hpo.brackets.next_length`)."""
        grown = np.rint(units * self._options.growth).astype(np.int64)
        return np.asarray(np.minimum(np.maximum(units + 1, grown), self._max))

    def _affordable(self, units: Int64Array, stop: Int64Array, left: int) -> BoolArray:
        """Tell of jobs whether the epochs pay for them, and for one training to the end."""
        after = left - (stop - units)
        held = 0 if self._finished else self._max - self._furthest()
        if held > left:
            held = 0
        return np.asarray(after >= np.minimum(held, self._max - stop))

    def _furthest(self) -> int:
        states = zip(self._units, self._idle, self._running, strict=True)
        return max((units for units, idle, running in states if idle or running), default=0)

    def _mean(self, draws: ForecastSampler) -> FloatArray:
        """Return expected final losses by trial; NaN where there is no forecast."""
        known, mean = self._means
        if known is not draws or len(mean) != len(self._units):
            trials = range(len(self._units))
            mean = np.array([draws.mean(t) if draws.knows(t) else np.nan for t in trials])
            self._means = (draws, mean)
        return mean
