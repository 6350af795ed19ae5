"""Swift-ASHA: a trial pauses after every job and is resumed if it may be the best.

`hpo.schedulers.freeze_thaw.policy` chooses what to train next, and
`hpo.schedulers.freeze_thaw.endgame` hands out the last epochs. This module decides when a forecast
is due, keeps the budget, and completes the most promising trial now and then.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from hpo._typing import BoolArray
from hpo.schedulers._extension import enqueued
from hpo.schedulers._trials import TrialStore, mix_seed
from hpo.schedulers.freeze_thaw.arrays import Int64Array, TrialArrays
from hpo.schedulers.freeze_thaw.endgame import Endgame
from hpo.schedulers.freeze_thaw.gain import expected_improvement, most_promising
from hpo.schedulers.freeze_thaw.options import Budget, FreezeThawOptions
from hpo.schedulers.freeze_thaw.policy import (
    Candidates,
    Choice,
    ForecastSampler,
    due_for_completion,
    next_lengths,
    sampled_choice,
)
from hpo.searchers.base import LearningSearcher, Searcher
from hpo.space.search_space import SearchSpace
from hpo.surrogates.scales import scale_of
from hpo.trial import (
    Config,
    Curve,
    Decision,
    Done,
    Event,
    ForecastJob,
    ForecastReport,
    PredictFailure,
    PredictReport,
    Proposal,
    Report,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    Wait,
)

_SPENT = "unlikely to be the best when the epochs were spent"
"""Why trials are stopped at the end."""


class SwiftASHA:
    """Asynchronous freeze-thaw search by forecasts of learning curves.

    Every trial pauses after a few units and may be resumed at any time. A free worker gets a job at
    once, chosen from the latest forecast: to resume a trial, or to start a new configuration. With
    one worker a search repeats exactly; with more, decisions depend on the order of reports.

    Towards the end, more and more workers complete the most promising trials side by side, so that
    all workers stop at about the same time. A trial slower than the others is not completed then.

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations. A `LearningSearcher`, such as `CurveSearcher`, updates its
        proposals with every forecast, which brings most of the gain.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int, default=2
        Halving rate, eta, of the Hyperband that `budget_fraction` refers to.
    seed : int, default=0
        Seed of the random number generator.
    budget_fraction : float, default=0.45
        Epochs to spend, as a fraction of Hyperband's with the same R and eta; above 0. At least
        ``max_resource + 10`` are spent if Hyperband spends as many, and
        ``1.5 * max_resource * n_workers``, enough to keep all workers busy.
    max_epochs : int or None, default=None
        Epochs to spend, in place of `budget_fraction`; at least `max_resource`.
    n_workers : int or None, default=None
        Number of workers for which there are epochs. None: those of the run.
    min_resource : int, default=1
        Units of a new trial's first job, whatever `max_step` is; more if the forecasts find that
        losses so early do not inform about final losses. The Hyperband that `budget_fraction`
        refers to has rungs from one unit on.
    max_step : int or None, default=None
        Maximum number of units of a job, except one that completes a trial, and fewer towards the
        end; None for an eighth of `max_resource`.
    n_first : int, default=10
        Number of trials that start before the first forecast.
    forecast_interval : float, default=0.03
        Fraction of the epochs between two forecasts.
    n_proposals : int, default=24
        Minimum number of configurations to propose with each forecast.
    improvement_fraction : float, default=0.85
        Fraction of choices made by the probability of improving on the incumbent by a random
        margin; the others are made by Thompson sampling.
    min_improvement : float or None, default=None
        The search ends early, once two forecasts in a row expect the remaining epochs to improve
        the best final loss by less, in units of the loss; above 0. None: the budget is spent.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.CurveSearcher : The searcher that proposes configurations from the forecasts.
    hpo.MixedPredictor : The predictor that makes the forecasts.
    hpo.ASHA : The same without a model.
    hpo.Hyperband : The baseline that the budget refers to.

    References
    ----------
    Li et al., A System for Massively Parallel Hyperparameter Tuning, :arxiv:`1810.05934` (ASHA).
    Swersky et al., Freeze-Thaw Bayesian Optimization, :arxiv:`1406.3896`. Garcia Amboage et al.,
    :arxiv:`2311.17508` (future work).

    Examples
    --------
    >>> from hpo import CurveSearcher, SearchSpace, SwiftASHA
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 0.1}})
    >>> scheduler = SwiftASHA(CurveSearcher(space, seed=0), max_resource=27)
    >>> print(scheduler.budget)
    213 epochs (0.45 of Hyperband's 474)
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        budget_fraction: float = 0.45,
        max_epochs: int | None = None,
        n_workers: int | None = None,
        min_resource: int = 1,
        max_step: int | None = None,
        n_first: int = 10,
        forecast_interval: float = 0.03,
        n_proposals: int = 24,
        improvement_fraction: float = 0.85,
        min_improvement: float | None = None,
    ) -> None:
        self._set_budget(
            Budget(max_resource, reduction_factor, budget_fraction, max_epochs, n_workers)
        )
        self._has_default_step = max_step is None
        self._options = FreezeThawOptions(
            min_resource=min_resource,
            max_step=max(max_resource // 8, 1) if max_step is None else max_step,
            n_first=n_first,
            forecast_interval=forecast_interval,
            n_proposals=n_proposals,
            improvement_fraction=improvement_fraction,
            min_improvement=min_improvement,
            seed=seed,
        )
        if min_resource > max_resource:
            raise ValueError(
                f"min_resource must lie in 1..{max_resource} (max_resource), got {min_resource}"
            )
        self.searcher = searcher
        self._learns = isinstance(searcher, LearningSearcher)
        self._max_resource = max_resource
        self._store = TrialStore()
        self._trials = TrialArrays()
        self._endgame = Endgame(max_resource, self._options, self._trials)
        self._exhausted = False  # the searcher has no more configurations
        self._over = False
        self._max_trials: int | None = None  # see `limit_trials`
        self._pending: tuple[ForecastJob, Int64Array] | None = None  # a forecast, and its trials
        self._sampler: ForecastSampler | None = None  # of the latest forecast
        self._warm_start_state: Mapping[str, Any] = {}
        self._min_informative_resource = 1
        self._stops: Int64Array = np.empty(0, np.int64)  # units after the next job, by trial
        self._mean_to_beat = math.inf  # lowest mean of completed and scheduled trials
        self._new_epochs = 0  # epochs reported since a forecast was asked for
        self._end_reason = _SPENT
        self._left_over = 0  # epochs that were not spent, since they promised little
        self._expects_little = False  # by the latest forecast
        self._failed_jobs: dict[int, int] = {}  # trial that failed -> units after its job
        self._retries: deque[Choice] = deque()  # such jobs, to be handed out again

    # -- the budget --------------------------------------------------------------------------

    @property
    def budget(self) -> Budget:
        """Number of epochs to spend, never exceeded; those of failed jobs count until `retry`."""
        return self._budget

    def expect_workers(self, n_workers: int) -> None:
        """Take note of the number of workers of the run, before the first `ask`.

        It sets the default budget; an `n_workers` of the constructor goes first.

        Parameters
        ----------
        n_workers : int
            At least 1.

        Raises
        ------
        RuntimeError
            If the search has begun.
        """
        if self._store.n_trials:
            raise RuntimeError("expect_workers comes before the first ask(); the search has begun")
        if self._budget.n_workers is None:
            self._set_budget(replace(self._budget, n_workers=n_workers))

    def _set_budget(self, budget: Budget) -> None:
        self._budget = budget
        self._remaining = budget.epochs  # epochs that no job has taken

    @property
    def _n_first(self) -> int:
        spare = (self._budget.epochs - self._max_resource) // self._options.min_resource
        wanted = max(self._options.n_first, len(getattr(self.searcher, "initial", ())))
        n_first = max(1, min(wanted, spare + 1))
        return n_first if self._max_trials is None else min(n_first, self._max_trials)

    @property
    def _interval(self) -> float:
        """Epochs between two forecasts."""
        return self._options.forecast_interval * self._budget.epochs

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        if self._over:
            return Done()
        # A forecast may become due while a training job is sought: the searcher has no more.
        job = self._forecast_job() or self._train_job() or self._forecast_job()
        if job is not None:
            return job
        if self._store.n_outstanding:
            return Wait()
        self._end()
        return Done()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._store.receive(report):
                    self._train_ended(report)
            case ForecastReport() | PredictFailure():
                if self._store.answer(report) is not None:
                    self._forecast_ended(report)
            case PredictReport():
                self._store.answer(report)  # raises: only forecasts are asked for
        if self._remaining <= 0 and not self._store.n_outstanding:
            self._end()

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return replace(self._store.summary(), budget=self._budget.epochs)

    def retired(self) -> frozenset[int]:
        """Return the trials that get no further job (see `hpo.loop.RetiresTrials`)."""
        return self._store.retired()

    def retry(self, trial_ids: Sequence[int]) -> None:
        """Take failed trials back (see `hpo.loop.RetriesTrials`).

        The epochs of the jobs that failed are given back to the budget, and the jobs are handed out
        again before all others. Then the trials are resumed or not by their forecasts.

        Parameters
        ----------
        trial_ids : sequence of int
        """
        for trial in trial_ids:
            self._store.retry(trial)
            stop = self._failed_jobs.pop(trial)
            self._trials.reopened(trial)
            self._remaining += stop - self._store.resource(trial)
            self._retries.append(Choice(trial, stop))
        if trial_ids:
            self._reopen()

    @property
    def trials_withheld(self) -> bool:
        """Whether `limit_trials` keeps trials from being started."""
        return self._is_limited and not self._exhausted and self._affords_trial()

    def limit_trials(self, n_trials: int | None) -> None:
        """Start no more trials than this (see `hpo.loop.LimitsTrials`).

        The epochs are spent on the trials that have begun. What is left of them once these are
        complete can be spent when the limit is raised.

        Parameters
        ----------
        n_trials : int or None
        """
        self._max_trials = n_trials
        if self.trials_withheld or not self._affords_trial():
            return
        self._reopen()

    @property
    def _is_limited(self) -> bool:
        return self._max_trials is not None and self._store.n_trials >= self._max_trials

    def _reopen(self) -> None:
        """Go on with a search that has ended."""
        self._over = False
        self._store.resume_waiting()

    @property
    def space(self) -> SearchSpace | None:
        """Search space of the searcher; None if it has none."""
        return getattr(self.searcher, "space", None)

    def enqueue(self, configs: Sequence[Config]) -> None:
        """Try these configurations first (see `hpo.loop.TakesInitial`), before any forecast.

        Parameters
        ----------
        configs : sequence of Config
        """
        self.searcher = enqueued(self._store, self.searcher, configs)

    def extend(self, **settings: Any) -> None:
        """Spend more epochs, or train further (see `hpo.loop.Extendable`).

        All trials that did not fail may be resumed again, by the next forecast.

        Parameters
        ----------
        **settings
            ``budget_fraction``, ``max_epochs`` (the total, earlier epochs included) and
            ``max_resource``, which also raises what `budget_fraction` amounts to.
        """
        before, after = self._budget, self._budget.extended(self, settings)
        self._remaining += after.epochs - before.epochs + self._left_over
        self._left_over = 0
        self._budget = after
        if after.max_resource > self._max_resource:
            self._train_further(after.max_resource)
        self._expects_little = False
        self._end_reason = _SPENT
        self._reopen()
        self._new_epochs = max(self._new_epochs, math.ceil(self._interval))  # a forecast is due
        if self._sampler is not None:
            self._update()

    def _train_further(self, max_resource: int) -> None:
        """Raise the maximum resource: complete trials are so no longer."""
        self._max_resource = max_resource
        if self._has_default_step:
            self._options = replace(self._options, max_step=max(max_resource // 8, 1))
        for trial in np.flatnonzero(self._trials.complete).tolist():
            if not self._store.ended(trial):
                self._trials.reopened(trial)
                self._store.reopen(trial)
        self._endgame.train_further(max_resource, self._options)

    # -- reports -----------------------------------------------------------------------------

    def _train_ended(self, report: TrainReport | TrainFailure) -> None:
        trial = report.trial_id
        epochs = report.stop - report.start
        units, failed = self._store.resource(trial), self._store.failed(trial)
        if self._store.ended(trial):  # what its job has not spent is left for others
            self._remaining += report.stop - units
            epochs = units - report.start
        self._new_epochs += max(epochs, 1)
        over = failed or self._store.reached(trial, self._max_resource)
        self._trials.ended(trial, units, over=over, failed=failed)
        self._endgame.ended(trial, epochs)
        if failed:
            self._failed_jobs[trial] = report.stop
        elif over:
            self._store.complete(trial)

    def _forecast_ended(self, report: ForecastReport | PredictFailure) -> None:
        assert self._pending is not None  # noqa: S101 - the trial store has checked the report
        job, trials = self._pending
        self._pending = None
        if isinstance(report, PredictFailure):
            report, event = _without_model(job, report)
        else:
            kept = tuple(trials[~self._trials.over[trials]].tolist())
            gain = self._expected_improvement(report, trials)
            event = Event(
                "forecast",
                0,
                job.job_id,
                0,
                kept,
                skill=report.skill,
                expected_improvement=gain,
            )
            self._end_if_little(gain)
            self._warm_start_state = report.warm_start_state
            if report.min_informative_resource is not None:
                self._min_informative_resource = report.min_informative_resource
        self._store.events.append(event)
        complete = [
            prediction
            for curve, prediction in zip(job.curves, report.predictions, strict=True)
            if len(curve.losses) >= self._max_resource
        ]
        proposals = tuple(self._store.new_proposals(report.proposals, self.searcher))
        self._sampler = ForecastSampler(
            replace(report, proposals=proposals),
            mix_seed(self._options.seed, job.job_id),
            incumbent=min(complete or report.predictions, default=math.inf),
            improvement_fraction=self._options.improvement_fraction,
            is_fallback=event.kind == "degraded",
        )
        self._trials.forecast_ended(trials, np.array(report.predictions), np.array(report.stds))
        self._update()

    def _update(self) -> None:
        """Find the next lengths of trials and the mean to beat, by the latest forecast."""
        trials = self._trials
        self._stops = self._bounded_stops(
            trials.units, next_lengths(trials.units, self._max_resource)
        )
        # A scheduled trial counts whatever its new losses are, which may not be known yet.
        counts = trials.scheduled | trials.complete
        means = trials.mean[counts & ~np.isnan(trials.mean)]
        self._mean_to_beat = float(means.min(initial=math.inf))

    def _expected_improvement(self, report: ForecastReport, trials: Int64Array) -> float | None:
        """Return the expected improvement of the best final loss by the remaining epochs."""
        done = self._trials.complete
        if not done.any() or not report.scale:
            return None
        scale = scale_of(report.scale)
        best = min(
            self._store.loss(trial, self._max_resource) for trial in np.flatnonzero(done).tolist()
        )
        open_ = ~self._trials.over[trials]
        proposals = report.proposals
        mean = np.append(np.array(report.predictions)[open_], [p.mean for p in proposals])
        std = np.append(np.array(report.stds)[open_], [p.std for p in proposals])
        left = self._max_resource - self._trials.units[trials[open_]]
        cost = np.append(left, np.full(len(proposals), self._max_resource))
        # The epochs of running jobs are not among the remaining ones, and are no cost any more.
        goal = float(scale.of(np.array([best]))[0])
        chosen = most_promising(mean, std, np.maximum(cost, 1), goal, self._remaining)
        return expected_improvement(mean[chosen], std[chosen], scale, best)

    def _end_if_little(self, gain: float | None) -> None:
        """End the search if two forecasts in a row expect too little of the remaining epochs."""
        least = self._options.min_improvement
        if least is None or gain is None:
            return
        if gain < least and self._expects_little:
            self._left_over, self._remaining = self._remaining, 0
            self._end_reason = f"expected to improve the best loss by less than {least:g}"
        self._expects_little = gain < least

    # -- forecasts ---------------------------------------------------------------------------

    def _forecast_job(self) -> ForecastJob | None:
        if self._pending is not None or not self._is_forecast_due():
            return None
        curves = tuple(
            curve
            for trial in range(self._store.n_trials)
            if (curve := self._known_curve(trial)) is not None and curve.losses
        )
        if not curves:
            return None
        ending = self._endgame.begun(self._remaining) and not self._endgame.starts_trials(
            self._remaining
        )
        n_running = int(self._trials.running.sum())
        number = self._store.next_job_id()
        job = ForecastJob(
            job_id=number,
            target=self._max_resource,
            curves=curves,
            running=self._store.without_loss(),
            seed=mix_seed(self._options.seed, number),
            n_proposals=0
            if ending or self._is_limited
            else max(self._options.n_proposals, n_running),
            warm_start_state=self._warm_start_state,
        )
        self._pending = (job, np.array([curve.trial_id for curve in curves]))
        self._trials.forecast_asked()
        self._endgame.forecast_asked()
        if self._sampler is not None:
            self._update()  # used until the new forecast ends
        self._new_epochs = 0
        self._store.predict(job)
        return job

    def _known_curve(self, trial: int) -> Curve | None:
        """Return the losses of a trial, with those that count if its training ended by itself."""
        ended = self._store.ended(trial)
        return self._store.curve(
            trial, self._max_resource if ended else self._store.resource(trial)
        )

    def _is_forecast_due(self) -> bool:
        if not self._new_epochs or self._remaining <= 0:
            return False
        if self._store.n_trials < self._n_first and not self._exhausted:
            return False
        if self._sampler is None or self._new_epochs >= self._interval:
            return True
        if self._endgame.begun(self._remaining) and self._store.n_outstanding:
            return False  # there is always something to train meanwhile
        # Many workers do not ask after every report, but after a quarter of the running jobs.
        return 4 * self._new_epochs >= self._store.n_outstanding and self._is_used_up(self._sampler)

    def _is_used_up(self, sampler: ForecastSampler) -> bool:
        """Return whether the latest forecast has neither proposals nor trials to resume."""
        if not self._is_limited and (sampler.n_proposals or self._starts_unmodelled(sampler)):
            return False
        return not self._resumable.any()

    @property
    def _resumable(self) -> BoolArray:
        """Whether each trial may be resumed by the latest forecast."""
        trials = self._trials
        return trials.idle & ~trials.scheduled & ~np.isnan(trials.mean)

    def _starts_unmodelled(self, sampler: ForecastSampler) -> bool:
        """Return whether new configurations come from the searcher without a prediction."""
        return (not self._learns or sampler.is_fallback) and not self._exhausted

    # -- training jobs -----------------------------------------------------------------------

    def _train_job(self) -> TrainJob | None:
        sampler = self._sampler
        choice: Choice | None
        if self._retries:
            choice = self._retries.popleft()
        elif sampler is None:
            choice = self._first_trial()
        elif self._endgame.begun(self._remaining):
            forecasting = self._pending is not None
            choice = self._endgame.choose(
                sampler, self._remaining, partial(self._pick, sampler), forecasting=forecasting
            )
        else:
            choice = self._choose(sampler)
        if choice is None:
            return None
        trial = choice.trial_id
        if trial is None:
            config = choice.config
            if config is None:
                config = self._store.next_config(self.searcher)
            if config is None:
                self._exhausted = True
                return self._train_job() if sampler is not None else None
            trial = self._store.add(config)
            self._trials.add()
        self._remaining -= choice.stop - self._store.resource(trial)
        if not np.isnan(self._trials.mean[trial]):
            self._mean_to_beat = min(self._mean_to_beat, float(self._trials.mean[trial]))
        self._trials.began(trial, choice.stop)
        self._endgame.began(trial)
        return self._store.start(trial, choice.stop, 0)

    def _first_trial(self) -> Choice | None:
        """Start a trial before the first forecast."""
        if self._exhausted or not self._can_start():
            return None
        if not self._endgame.affords_trial(self._remaining):
            return None
        return Choice(None, self._options.min_resource)

    def _choose(self, sampler: ForecastSampler) -> Choice | None:
        """Choose by the latest forecast, before the endgame."""
        candidates = self._candidates()
        completion = self._completion(candidates)
        if completion is not None:
            return completion
        affordable = candidates.take(candidates.cost <= self._remaining)
        return self._pick(sampler, affordable, self._can_start())

    def _pick(
        self, sampler: ForecastSampler, candidates: Candidates, can_start: bool
    ) -> Choice | None:
        """Choose among trials that may be resumed and new ones; without any, draw nothing."""
        startable = sampler.n_proposals or self._starts_unmodelled(sampler)
        can_start = can_start and bool(startable) and not self._is_limited
        if not len(candidates) and not can_start:
            return None
        if not sampler.draws_improvement():
            return sampled_choice(sampler, candidates, self._new_trial if can_start else None)
        found = sampler.most_likely_to_improve(
            candidates,
            proposals=can_start,
            unmodelled=can_start and self._starts_unmodelled(sampler),
        )
        match found:
            case Choice():
                return found
            case Proposal():
                return Choice(None, self._first_stop(), found.config)
        return self._new_trial(math.inf) if can_start else None

    def _candidates(self) -> Candidates:
        which = np.flatnonzero(self._resumable)
        stop = self._stops[which]
        trials = self._trials
        return Candidates(
            which, stop - trials.units[which], stop, trials.mean[which], trials.std[which]
        )

    def _completion(self, candidates: Candidates) -> Choice | None:
        """Complete the most promising trial before the epochs up to a milestone are spent."""
        place = due_for_completion(
            candidates,
            self._max_resource - self._trials.units[candidates.trials],
            self._mean_to_beat,
            budget=self._budget.epochs,
            remaining=self._remaining,
            n_running=self._store.n_outstanding,
        )
        return None if place is None else Choice(int(candidates.trials[place]), self._max_resource)

    def _new_trial(self, below: float) -> Choice | None:
        """Return a new trial whose sampled final loss is below a loss."""
        if self._sampler is None or not self._can_start():
            return None
        if self._starts_unmodelled(self._sampler):
            is_lower = self._sampler.sample_unmodelled() < below
            return Choice(None, self._first_stop()) if is_lower else None
        proposal = self._sampler.next_proposal(below)
        return None if proposal is None else Choice(None, self._first_stop(), proposal.config)

    def _can_start(self) -> bool:
        return self._affords_trial() and not self._is_limited

    def _affords_trial(self) -> bool:
        return self._remaining >= self._options.min_resource

    def _first_stop(self) -> int:
        """Return the length of a new trial's first job."""
        least = self._options.min_resource
        if self._endgame.begun(self._remaining):
            return least
        return max(least, int(self._bounded_stops(np.zeros(1, np.int64), np.array([least]))[0]))

    def _bounded_stops(self, units: Int64Array, stops: Int64Array) -> Int64Array:
        """Move the ends of jobs to where losses are informative, within the maximum step."""
        informative = np.minimum(self._min_informative_resource, units + self._remaining)
        return np.minimum(np.maximum(stops, informative), units + self._options.max_step)

    # -- the end -----------------------------------------------------------------------------

    def _end(self) -> None:
        self._over = True
        self._store.stop_waiting(self._end_reason)


def _without_model(job: ForecastJob, failure: PredictFailure) -> tuple[ForecastReport, Event]:
    """Return last losses in place of a forecast that failed, and the event that reports it."""
    lasts = tuple(curve.losses[-1] for curve in job.curves)
    width = (sorted(lasts)[len(lasts) // 2] - min(lasts)) if lasts else 0.0
    stds = tuple(
        0.3 * width * math.sqrt(math.log(job.target / len(curve.losses))) for curve in job.curves
    )
    message = f"forecast failed ({failure.reason}); last losses are used instead"
    event = Event("degraded", 0, job.job_id, 0, message=message)
    return ForecastReport(job.job_id, lasts, stds), event
