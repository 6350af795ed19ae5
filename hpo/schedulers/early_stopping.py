"""Early stopping by performance prediction: trials one after the other, hopeless ones cut short.

Unlike in Hyperband no trial competes with others of a round. Each is compared with the best one
so far: it stops when its predicted final loss is unlikely to be lower. That suits searchers that
learn from one trial after the other, which are told of every trial's end, known or predicted.
"""

from __future__ import annotations

import math
from collections import deque

from scipy.special import ndtr

from hpo.brackets import check_resources, hyperband_epochs, make_bracket
from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.predictions import mix_seed
from hpo.schedulers.swift import check_curves, check_fraction
from hpo.searchers.base import RewardedSearcher, Searcher
from hpo.trial import (
    Curve,
    Decision,
    Done,
    Event,
    ForecastReport,
    PredictFailure,
    PredictJob,
    PredictReport,
    Report,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    Wait,
)


class EarlyStopping:
    """Trains every trial to the end unless it is predicted not to beat the best one so far.

    The first `min_curves` trials are trained in full; their curves, and those of later trials that
    were, train the predictor.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations; one with a method ``observe(trial_id, loss)`` is told of every
        trial's final loss: the last one of a trial that was trained in full, the predicted one of
        a trial that was stopped, infinity for a failure.
    max_resource : int
        R, the units of full training.
    reduction_factor : int
        Only used to work out the default of `n_trials`.
    seed : int
        For predictors that draw random numbers.
    n_trials : int or None
        How many trials. None: as many as Hyperband's epochs would pay for in full.
    threshold : float
        A trial stops when the probability that its final loss beats the best is below this, in
        [0, 1]. 0 stops none and asks for no predictions.
    tolerance : float
        Added to the best loss before it is compared; not negative. Keeps trials that come close.
    first, interval : int
        Units before the first decision, and between two decisions; at least 1.
    min_curves, max_curves : int
        Full curves that train the predictor, at least and at most (the latest).

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Baker et al., Accelerating Neural Architecture Search using Performance Prediction,
    arXiv 1705.10823, section 4.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        n_trials: int | None = None,
        threshold: float = 0.05,
        tolerance: float = 0.0,
        first: int = 1,
        interval: int = 1,
        min_curves: int = 15,
        max_curves: int = 200,
    ) -> None:
        check_resources(max_resource, reduction_factor)
        if n_trials is None:
            n_trials = hyperband_epochs(max_resource, reduction_factor) // max_resource
        make_bracket(max_resource, reduction_factor, 0, n_trials)  # checks n_trials
        check_fraction("threshold", threshold, ends=True)
        check_curves(min_curves, max_curves)
        _check_limits(first, interval, tolerance)
        self._searcher = searcher
        self._stop = max_resource
        self._n_trials: int = n_trials
        self._threshold = threshold
        self._tolerance = tolerance
        self._points = tuple(range(first, max_resource, interval)) if threshold > 0 else ()
        self._min_curves = min_curves
        self._max_curves = max_curves
        self._seed = seed
        self._ledger = TrialStore()
        self._full: list[Curve] = []  # in the order in which they were completed
        self._best = math.inf
        self._ready: deque[int] = deque()  # trials that go on
        self._due: deque[PredictJob] = deque()

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        if self._due:
            return self._ledger.predict(self._due.popleft())
        if self._ready:
            return self._go_on(self._ready.popleft())
        return self._new_trial() or (Wait() if self._ledger.n_outstanding else Done())

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._ledger.receive(report):
                    self._arrived(report.trial_id)
            case _:
                job = self._ledger.answer(report)
                if isinstance(job, PredictJob) and not isinstance(report, ForecastReport):
                    self._answered(job, report)

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._ledger.summary()

    # -- training ----------------------------------------------------------------------------

    def _new_trial(self) -> TrainJob | None:
        if self._ledger.n_trials >= self._n_trials:
            return None
        config = self._searcher.propose(self._ledger.n_trials)
        if config is None:
            self._n_trials = self._ledger.n_trials
            return None
        return self._go_on(self._ledger.add(config))

    def _go_on(self, trial: int) -> TrainJob:
        """Train to the next decision, or to the end while too few curves are there to decide."""
        done = self._ledger.resource(trial)
        later = [point for point in self._points if point > done]
        if not later or len(self._full) < self._min_curves:
            return self._ledger.start(trial, self._stop, len(self._points))
        return self._ledger.start(trial, later[0], len(self._points) - len(later))

    def _arrived(self, trial: int) -> None:
        if self._ledger.failed(trial):
            self._observe(trial, math.inf)
            return
        done = self._ledger.resource(trial)
        if done == self._stop:
            self._completed(trial)
            return
        curve = self._ledger.curve(trial, done)
        if curve is None:  # a NaN on the way, and a number after it: cannot be predicted
            self._ready.append(trial)
            return
        self._due.append(self._job(curve))

    def _completed(self, trial: int) -> None:
        self._ledger.complete(trial)
        loss = self._ledger.loss(trial, self._stop)
        self._best = min(self._best, loss)
        curve = self._ledger.curve(trial, self._stop)
        if curve is not None:
            self._full.append(curve)
        self._observe(trial, loss)

    # -- deciding ----------------------------------------------------------------------------

    def _job(self, curve: Curve) -> PredictJob:
        point = len(curve.losses)
        return PredictJob(
            job_id=self._ledger.next_job_id(),
            bracket=0,
            rung=self._points.index(point),
            target=self._stop,
            train=tuple(self._full[-self._max_curves :]),
            query=(curve,),
            seed=mix_seed(self._seed, curve.trial_id, point),
        )

    def _answered(self, job: PredictJob, report: PredictReport | PredictFailure) -> None:
        (curve,) = job.query
        trial, point = curve.trial_id, len(curve.losses)
        if isinstance(report, PredictFailure):
            message = f"prediction failed ({report.reason}); the trial goes on"
            self._event("degraded", job, trial, message=message)
            self._ready.append(trial)
            return
        mean, std = report.predictions[0], report.stds[0]
        chance = _chance_below(self._best + self._tolerance, mean, std)
        goes_on = chance >= self._threshold
        message = f"predicted {mean:.6g} after {self._stop} units, best {self._best:.6g}"
        self._event("decision", job, trial, report.skill, goes_on=goes_on, message=message)
        if goes_on:
            self._ready.append(trial)
            return
        self._ledger.stop(trial, f"{message}: a chance of {chance:.1%} after {point} units")
        self._observe(trial, mean)

    def _event(
        self,
        kind: str,
        job: PredictJob,
        trial: int,
        skill: float | None = None,
        *,
        goes_on: bool = True,
        message: str,
    ) -> None:
        kept, dropped = ((trial,), ()) if goes_on else ((), (trial,))
        point = len(job.query[0].losses)
        event = Event(kind, 0, job.rung, point, kept, dropped, skill, message)
        self._ledger.events.append(event)

    def _observe(self, trial: int, loss: float) -> None:
        if isinstance(self._searcher, RewardedSearcher):
            self._searcher.observe(trial, loss)


def _chance_below(bound: float, mean: float, std: float) -> float:
    """Return the probability that a normally distributed loss is below a bound.

    A prediction that is not finite tells nothing; without a standard deviation the mean decides.
    """
    if not math.isfinite(mean) or math.isinf(bound):
        return 1.0
    if not (math.isfinite(std) and std > 0):
        return float(mean < bound)
    return float(ndtr((bound - mean) / std))


def _check_limits(first: int, interval: int, tolerance: float) -> None:
    for name, value in (("first", first), ("interval", interval)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be at least 0 and finite, got {tolerance!r}")
