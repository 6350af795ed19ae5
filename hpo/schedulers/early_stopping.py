"""Early stopping by performance prediction: trials one after the other, poor ones cut short.

Unlike in Hyperband, a trial does not compete with others of a round. It is compared with the best
trial so far, and stops if its predicted final loss is unlikely to be lower. That suits searchers
that learn from one trial after the other: they are given the final loss of every trial, measured or
predicted.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from hpo.brackets import (
    check_curves,
    check_fraction,
    check_integer,
    check_resources,
    hyperband_epochs,
)
from hpo.schedulers._extension import TriesFirst, check_extension
from hpo.schedulers._trials import TrialStore, mix_seed
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


class EarlyStopping(TriesFirst):
    """Trains every trial to the end unless it is predicted not to beat the best one so far.

    The first `min_curves` trials are trained in full. The predictor is trained on their curves and
    on those of later trials that were trained in full.

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations. A `RewardedSearcher` receives the final loss of every trial: the
        last one of a trial trained in full, the predicted one of a trial that was stopped, infinity
        for a failure.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int, default=2
        Used only for the default of `n_trials`.
    seed : int, default=0
        Seed of the random numbers that predictors draw.
    n_trials : int or None, default=None
        Number of trials. None: as many full trainings as Hyperband's epochs allow.
    threshold : float, default=0.05
        A trial stops if the probability that its final loss beats the best one is below this, in
        [0, 1]. With 0 no trial stops, and no predictions are requested.
    tolerance : float, default=0.0
        Added to the best loss before the comparison; not negative. Keeps trials that come close.
    first, interval : int, default=1
        Units before the first decision, and between two decisions; at least 1.
    min_curves, max_curves : int, default=15, 200
        Minimum and maximum number of full curves (the latest) that train the predictor.
    min_resource : int, default=1
        Units before which no trial stops, whatever `first` is. Used for the default of `n_trials`
        too.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.QLearningSearcher : A searcher that learns from trial to trial.
    hpo.RandomSearch : The same without predictions.
    hpo.make_predictor : The predictors.

    References
    ----------
    Baker et al., Accelerating Neural Architecture Search using Performance Prediction,
    :arxiv:`1705.10823`, section 4.

    Examples
    --------
    >>> from hpo import EarlyStopping, make_predictor
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> predictor = make_predictor("last-value")
    >>> result = simulate(
    ...     lambda searcher: EarlyStopping(searcher, max_resource=27, min_curves=5),
    ...     table,
    ...     predictor=predictor,
    ... )
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (17, 295, 0.277)
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
        min_resource: int = 1,
    ) -> None:
        check_resources(max_resource, reduction_factor, min_resource)
        if n_trials is None:
            epochs = hyperband_epochs(max_resource, reduction_factor, min_resource)
            n_trials = epochs // max_resource
        check_integer("n_trials", n_trials, 1)
        check_fraction("threshold", threshold, ends=True)
        check_curves(min_curves, max_curves)
        check_integer("first", first, 1)
        check_integer("interval", interval, 1)
        if not 0 <= tolerance < math.inf:
            raise ValueError(f"tolerance must be at least 0 and finite, got {tolerance!r}")
        self._searcher = searcher
        self._stop = max_resource
        self._n_trials = n_trials
        self._max_trials: int | None = None  # see `limit_trials`
        self._threshold = threshold
        self._tolerance = tolerance
        points = range(max(first, min_resource), max_resource, interval)
        self._points = tuple(points) if threshold > 0 else ()
        self._min_curves = min_curves
        self._max_curves = max_curves
        self._seed = seed
        self._trials = TrialStore()
        self._full: list[Curve] = []  # in the order of completion
        self._best = math.inf
        self._ready: deque[int] = deque()  # trials that continue
        self._due: deque[PredictJob] = deque()

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        if self._due:
            return self._trials.predict(self._due.popleft())
        if self._ready:
            return self._train(self._ready.popleft())
        return self._new_trial() or (Wait() if self._trials.n_outstanding else Done())

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._trials.receive(report):
                    self._arrived(report.trial_id)
            case _:
                job = self._trials.answer(report)
                if isinstance(job, PredictJob) and not isinstance(report, ForecastReport):
                    self._answered(job, report)

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._trials.summary()

    def retired(self) -> frozenset[int]:
        """Return the trials that get no further job (see `hpo.loop.RetiresTrials`)."""
        return self._trials.retired()

    @property
    def n_trials(self) -> int:
        """Number of trials that the whole search starts."""
        return self._n_trials

    @property
    def trials_withheld(self) -> bool:
        """Whether `limit_trials` keeps trials from being started."""
        return self._max_trials is not None and self._max_trials <= self._trials.n_trials < (
            self._n_trials
        )

    def limit_trials(self, n_trials: int | None) -> None:
        """Start no more trials than this (see `hpo.loop.LimitsTrials`)."""
        self._max_trials = n_trials

    def retry(self, trial_ids: Sequence[int]) -> None:
        """Take failed trials back (see `hpo.loop.RetriesTrials`), to go on as all others do.

        A `RewardedSearcher` receives their final losses too, after the infinity of their failure.
        """
        for trial in trial_ids:
            self._trials.retry(trial)
            self._ready.append(trial)

    def extend(self, **settings: Any) -> None:
        """Try more trials (see `hpo.loop.Extendable`).

        Parameters
        ----------
        **settings
            ``n_trials``.
        """
        checked = check_extension(self, settings, {"n_trials": self._n_trials})
        self._n_trials = checked["n_trials"]

    # -- training ----------------------------------------------------------------------------

    def _new_trial(self) -> TrainJob | None:
        if self._trials.n_trials >= self._n_trials or self.trials_withheld:
            return None
        config = self._searcher.propose(self._trials.n_trials)
        if config is None:
            self._n_trials = self._trials.n_trials
            return None
        return self._train(self._trials.add(config))

    def _train(self, trial: int) -> TrainJob:
        """Train to the next decision point, or to the end while there are too few curves."""
        done = self._trials.resource(trial)
        later = [point for point in self._points if point > done]
        if not later or len(self._full) < self._min_curves:
            return self._trials.start(trial, self._stop, len(self._points))
        return self._trials.start(trial, later[0], len(self._points) - len(later))

    def _arrived(self, trial: int) -> None:
        if self._trials.failed(trial):
            self._observe(trial, math.inf)
            return
        done = self._trials.resource(trial)
        curve = self._trials.curve(trial, done)  # None: has a NaN in it, cannot be predicted
        if self._trials.reached(trial, self._stop):
            self._trials.complete(trial)
            loss = self._trials.loss(trial, done)
            self._best = min(self._best, loss)
            curve = self._trials.curve(trial, self._stop)
            if curve is not None:
                self._full.append(curve)
            self._observe(trial, loss)
        elif curve is None:
            self._ready.append(trial)
        else:
            self._due.append(self._job(curve))

    # -- deciding ----------------------------------------------------------------------------

    def _job(self, curve: Curve) -> PredictJob:
        point = len(curve.losses)
        return PredictJob(
            job_id=self._trials.next_job_id(),
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
        where = 0, job.rung, point
        if isinstance(report, PredictFailure):
            message = f"prediction failed ({report.reason}); the trial goes on"
            self._trials.events.append(Event("degraded", *where, (trial,), message=message))
            self._ready.append(trial)
            return
        mean, std = report.predictions[0], report.stds[0]
        chance = _chance_below(self._best + self._tolerance, mean, std)
        message = f"predicted {mean:.6g} after {self._stop} units, best {self._best:.6g}"
        goes_on = chance >= self._threshold
        kept, dropped = ((trial,), ()) if goes_on else ((), (trial,))
        self._trials.events.append(Event("decision", *where, kept, dropped, report.skill, message))
        if goes_on:
            self._ready.append(trial)
        else:
            self._trials.stop(trial, f"{message}: a chance of {chance:.1%} after {point} units")
            self._observe(trial, mean)

    def _observe(self, trial: int, loss: float) -> None:
        if isinstance(self._searcher, RewardedSearcher):
            self._searcher.observe(trial, loss)


def _chance_below(bound: float, mean: float, std: float) -> float:
    """Return the probability that a normally distributed loss is below a bound.

    A prediction that is not finite carries no information; without a standard deviation the mean
    decides.
    """
    from scipy.special import ndtr

    if not math.isfinite(mean) or math.isinf(bound):
        return 1.0
    if not (math.isfinite(std) and std > 0):
        return float(mean < bound)
    return float(ndtr((bound - mean) / std))
