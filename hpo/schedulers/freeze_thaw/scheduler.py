"""Freeze-thaw schedulers: a trial pauses after every job and is resumed if it may be the best.

`hpo.schedulers.freeze_thaw.policy` chooses what to train next. This module decides when a forecast
is due, keeps the budget, and completes the most promising trial with the last epochs. `SwiftASHA`
never lets a worker wait. `SynchronousSwift` decides in waves: a forecast, the jobs chosen from it,
and the next forecast when all of them have ended, so that the result depends neither on the number
of workers nor on the order of reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpo.brackets import check_iterations, next_length
from hpo.schedulers._trials import TrialStore, mix_seed
from hpo.schedulers.freeze_thaw.endgame import Endgame
from hpo.schedulers.freeze_thaw.options import GROWTH, FreezeThawOptions, epochs_to_spend
from hpo.schedulers.freeze_thaw.policy import Candidate, Choice, ForecastSampler, sampled_choice
from hpo.searchers.base import LearningSearcher, Searcher
from hpo.trial import (
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

FAST_BUDGET_FRACTION = 0.33
"""Fraction of Hyperband's epochs that ``swift-fast`` spends."""
_RESERVE = 0.05
"""A trial is completed before less than this fraction of the budget is left to a milestone."""
_EARLIEST, _LATEST = 2.0, 0.7
"""With asynchronous workers a trial is completed while the other workers have work for between
these multiples of its time, since its epochs may be slower than theirs."""


class FreezeThaw:
    """Base class of the freeze-thaw schedulers (see `hpo.loop.Scheduler`).

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations. A `LearningSearcher` updates its proposals with every forecast.
    max_resource : int
        Maximum resource per trial, R.
    options : FreezeThawOptions
    """

    def __init__(self, searcher: Searcher, max_resource: int, options: FreezeThawOptions) -> None:
        if options.min_resource > max_resource:
            raise ValueError(
                f"min_resource must lie in 1..{max_resource} (max_resource), got "
                f"{options.min_resource}"
            )
        self.searcher = searcher
        self._learns = isinstance(searcher, LearningSearcher)
        self._max_resource = max_resource
        self._options = options
        self._trials = TrialStore()
        self._remaining = options.budget  # epochs that no job has taken
        spare = (options.budget - max_resource) // options.min_resource
        self._n_first = max(1, min(options.n_first, spare + 1))
        self._exhausted = False  # the searcher has no more configurations
        self._over = False
        self._endgame = None if options.together else Endgame(max_resource, options)
        self._pending: tuple[ForecastJob, list[int]] | None = None  # a forecast, and its trials
        self._sampler: ForecastSampler | None = None  # of the latest forecast
        self._warm_start_state: Mapping[str, Any] = {}
        self._min_informative_resource = 1
        self._candidates: dict[int, Candidate] = {}  # trials that may be resumed by that forecast
        self._scheduled: set[int] = set()  # trials with a job since a forecast was asked for
        self._mean_to_beat = math.inf  # lowest mean of completed and scheduled trials
        self._wave_epochs = 0  # epochs handed out in this wave
        self._new_epochs = 0  # epochs reported since a forecast was asked for

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        if self._over:
            return Done()
        # A forecast may become due while a training job is sought: the searcher has no more.
        job = self._forecast_job() or self._train_job() or self._forecast_job()
        if job is not None:
            return job
        if self._trials.n_outstanding:
            return Wait()
        self._end()
        return Done()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._trials.receive(report):
                    self._train_ended(report)
            case ForecastReport() | PredictFailure():
                if self._trials.answer(report) is not None:
                    self._forecast_ended(report)
            case PredictReport():
                self._trials.answer(report)  # raises: only forecasts are asked for
        if self._remaining <= 0 and not self._trials.n_outstanding:
            self._end()

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._trials.summary()

    # -- reports -----------------------------------------------------------------------------

    def _train_ended(self, report: TrainReport | TrainFailure) -> None:
        trial = report.trial_id
        epochs = report.stop - report.start
        self._new_epochs += epochs
        if self._endgame is not None:
            units = self._trials.resource(trial)
            self._endgame.ended(trial, units, epochs, over=self._has_ended(trial))
        if self._is_complete(trial):
            self._trials.complete(trial)

    def _forecast_ended(self, report: ForecastReport | PredictFailure) -> None:
        assert self._pending is not None  # noqa: S101 - the trial store has checked the report
        job, trials = self._pending
        self._pending = None
        if isinstance(report, PredictFailure):
            report, event = _without_model(job, report)
        else:
            kept = tuple(trial for trial in trials if not self._has_ended(trial))
            event = Event("forecast", 0, job.job_id, 0, kept, skill=report.skill)
            self._warm_start_state = report.warm_start_state
            if report.min_informative_resource is not None:
                self._min_informative_resource = report.min_informative_resource
        self._trials.events.append(event)
        complete = [
            prediction
            for curve, prediction in zip(job.curves, report.predictions, strict=True)
            if len(curve.losses) >= self._max_resource
        ]
        self._sampler = ForecastSampler(
            trials,
            report,
            mix_seed(self._options.seed, job.job_id),
            incumbent=min(complete or report.predictions, default=math.inf),
            improvement_fraction=self._options.improvement_fraction,
            is_fallback=event.kind == "degraded",
        )
        self._update_candidates(self._sampler)

    def _update_candidates(self, sampler: ForecastSampler) -> None:
        """Find the trials that may be resumed by the latest forecast, and the mean to beat."""
        self._candidates = {}
        self._mean_to_beat = math.inf
        for trial in range(self._trials.n_trials):
            if trial not in sampler:
                continue
            if trial in self._scheduled or self._is_complete(trial):
                # A scheduled trial counts whatever its new losses are, which may not be known yet.
                self._mean_to_beat = min(self._mean_to_beat, sampler.mean(trial))
            elif not (self._has_ended(trial) or self._trials.running(trial)):
                units = self._trials.resource(trial)
                stop = next_length(units, self._max_resource, GROWTH)
                self._candidates[trial] = Candidate(trial, units, self._bounded_stop(units, stop))

    # -- forecasts ---------------------------------------------------------------------------

    def _forecast_job(self) -> ForecastJob | None:
        if self._pending is not None or not self._is_forecast_due():
            return None
        curves = tuple(
            curve
            for trial in range(self._trials.n_trials)
            if (curve := self._trials.curve(trial, self._trials.resource(trial))) is not None
            and curve.losses
        )
        if not curves:
            return None
        running = {t for t in range(self._trials.n_trials) if self._trials.running(t)}
        endgame = self._active_endgame
        ending = endgame is not None and not endgame.starts_trials(self._remaining)
        number = self._trials.next_job_id()
        job = ForecastJob(
            job_id=number,
            target=self._max_resource,
            curves=curves,
            running=self._trials.without_loss(),
            seed=mix_seed(self._options.seed, number),
            n_proposals=0 if ending else max(self._options.n_proposals, len(running)),
            warm_start_state=self._warm_start_state,
        )
        self._pending = (job, [curve.trial_id for curve in curves])
        self._scheduled = running
        if self._sampler is not None:
            self._update_candidates(self._sampler)  # used until the new forecast ends
        if self._endgame is not None:
            self._endgame.forecast_asked()
        self._wave_epochs = 0
        self._new_epochs = 0
        self._trials.predict(job)
        return job

    def _is_forecast_due(self) -> bool:
        if not self._new_epochs or self._remaining <= 0:
            return False
        if self._trials.n_trials < self._n_first and not self._exhausted:
            return False
        if self._options.together:
            return self._trials.n_outstanding == 0 and not self._wave_continues()
        interval = self._options.forecast_interval * self._options.budget
        if self._sampler is None or self._new_epochs >= interval:
            return True
        if self._active_endgame is not None and self._trials.n_outstanding:
            return False  # there is always something to train meanwhile
        # Many workers do not ask after every report, but after a quarter of the running jobs.
        return 4 * self._new_epochs >= self._trials.n_outstanding and self._is_used_up()

    def _wave_continues(self) -> bool:
        """Return whether the latest forecast has more jobs to hand out."""
        interval = self._options.forecast_interval * self._options.budget
        if self._sampler is None or self._wave_epochs >= interval:
            return False
        return not self._is_used_up()

    def _is_used_up(self) -> bool:
        """Return whether the latest forecast has neither proposals nor trials to resume."""
        if self._sampler is None:
            return True
        return not (self._sampler.n_proposals or self._starts_unmodelled() or self._candidates)

    def _starts_unmodelled(self) -> bool:
        """Return whether new configurations come from the searcher without a prediction."""
        is_fallback = self._sampler is not None and self._sampler.is_fallback
        return (not self._learns or is_fallback) and not self._exhausted

    # -- training jobs -----------------------------------------------------------------------

    def _train_job(self) -> TrainJob | None:
        endgame, sampler = self._active_endgame, self._sampler
        if sampler is None:
            choice = self._first_trial()
        elif endgame is None:
            choice = self._choose(sampler)
        else:
            forecasting = self._pending is not None
            choice = endgame.choose(
                sampler, self._remaining, self._new_trial, forecasting=forecasting
            )
        if choice is None:
            return None
        trial = choice.trial_id
        if trial is None:
            config = choice.config
            if config is None:
                config = self.searcher.propose(self._trials.n_trials)
            if config is None:
                self._exhausted = True
                return self._train_job() if sampler is not None else None
            trial = self._trials.add(config)
        cost = choice.stop - self._trials.resource(trial)
        self._remaining -= cost
        self._wave_epochs += cost
        self._scheduled.add(trial)
        self._candidates.pop(trial, None)
        if sampler is not None and trial in sampler:
            self._mean_to_beat = min(self._mean_to_beat, sampler.mean(trial))
        if self._endgame is not None:
            self._endgame.began(trial, choice.stop)
        return self._trials.start(trial, choice.stop, 0)

    def _first_trial(self) -> Choice | None:
        """Start a trial before the first forecast."""
        if self._exhausted or self._remaining < self._options.min_resource:
            return None
        if self._options.together and self._trials.n_trials >= self._n_first:
            return None
        if self._endgame is not None and not self._endgame.affords_trial(self._remaining):
            return None
        return Choice(None, self._options.min_resource)

    def _choose(self, sampler: ForecastSampler) -> Choice | None:
        """Choose by the latest forecast, before the endgame."""
        if self._options.together and (self._pending or not self._wave_continues()):
            return None
        candidates = list(self._candidates.values())
        completion = self._completion(sampler, candidates)
        if completion is not None:
            return completion
        affordable = [c for c in candidates if c.stop - c.units <= self._remaining]
        can_start = self._can_start()
        if not sampler.draws_improvement():
            return sampled_choice(sampler, affordable, self._new_trial if can_start else None)
        found = sampler.most_likely_to_improve(
            affordable, proposals=can_start, unmodelled=can_start and self._starts_unmodelled()
        )
        match found:
            case Candidate():
                return Choice(found.trial_id, found.stop)
            case Proposal():
                return Choice(None, self._first_stop(), found.config)
        return self._new_trial(math.inf)

    def _completion(self, sampler: ForecastSampler, candidates: list[Candidate]) -> Choice | None:
        """Complete the most promising trial before the epochs up to a milestone are spent."""
        best = min(
            (c for c in candidates if self._max_resource - c.units <= self._remaining),
            key=lambda c: sampler.mean(c.trial_id),
            default=None,
        )
        if best is None or sampler.mean(best.trial_id) >= self._mean_to_beat:
            return None
        budget = self._options.budget
        spent = budget - self._remaining
        cost = self._max_resource - best.units
        ends = (round(fraction * budget) for fraction in self._options.milestones)
        spare = min(end - spent - cost for end in ends if end - spent >= cost)
        step = max(c.stop - c.units for c in candidates)
        # Asynchronous workers go on meanwhile: this trial must not be the last one for long.
        meanwhile = 0 if self._options.together else self._trials.n_outstanding * cost
        if spare >= max(_RESERVE * budget, step, _EARLIEST * meanwhile):
            return None
        if spare < _LATEST * meanwhile and self._mean_to_beat < math.inf:
            return None
        return Choice(best.trial_id, self._max_resource)

    def _new_trial(self, below: float) -> Choice | None:
        """Return a new trial whose sampled final loss is below a loss."""
        if self._sampler is None or not self._can_start():
            return None
        if self._starts_unmodelled():
            is_lower = self._sampler.sample_unmodelled() < below
            return Choice(None, self._first_stop()) if is_lower else None
        proposal = self._sampler.next_proposal(below)
        return None if proposal is None else Choice(None, self._first_stop(), proposal.config)

    def _can_start(self) -> bool:
        return self._remaining >= self._options.min_resource

    def _first_stop(self) -> int:
        """Return the length of a new trial's first job."""
        least = self._options.min_resource
        return least if self._active_endgame is not None else self._bounded_stop(0, least)

    def _bounded_stop(self, units: int, stop: int) -> int:
        """Move the end of a job to where losses are informative, within the maximum step."""
        stop = max(stop, min(self._min_informative_resource, units + self._remaining))
        max_step = self._options.max_step
        return stop if max_step is None else min(stop, units + max_step)

    @property
    def _active_endgame(self) -> Endgame | None:
        """The endgame, once it has begun."""
        endgame = self._endgame
        return endgame if endgame is not None and endgame.begun(self._remaining) else None

    # -- the end -----------------------------------------------------------------------------

    def _is_complete(self, trial: int) -> bool:
        return self._has_ended(trial) and not self._trials.failed(trial)

    def _has_ended(self, trial: int) -> bool:
        return self._trials.failed(trial) or self._trials.resource(trial) >= self._max_resource

    def _end(self) -> None:
        self._over = True
        for trial in range(self._trials.n_trials):
            if not self._has_ended(trial):
                self._trials.stop(trial, "unlikely to be the best when the epochs were spent")


class SwiftASHA(FreezeThaw):
    """Asynchronous search by forecasts of learning curves.

    A free worker gets a job at once, chosen from the latest forecast: to resume a trial, or to
    start a new configuration. Forecasts are made beside the training. Decisions depend on the order
    of reports, as in ASHA.

    Towards the end, with about one full training's worth of epochs left for each worker, an
    increasing number of workers complete the most promising trials side by side, in ever shorter
    jobs, so that all workers stop at about the same time. A trial that is slower than the others,
    by what they report while it trains, is not completed then.

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations. A `LearningSearcher`, such as `CurveSearcher`, updates its
        proposals with every forecast, which brings most of the gain.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int
        Halving rate, eta, of the Hyperband that `budget_fraction` refers to.
    seed : int
        Seed of the random number generator.
    budget_fraction : float
        Epochs to spend, as a fraction of Hyperband's with the same R and eta; above 0. At least
        ``max_resource + 10`` are spent if Hyperband spends as many.
    max_epochs : int or None
        Epochs to spend, in place of `budget_fraction`. With many workers, more than Hyperband's
        epochs can pay off, since time is the limit. A search takes at least the time of one full
        training, and ``n_workers * max_resource`` epochs keep all workers busy for so long.
    min_resource : int
        Units of a new trial's first job; more if the forecasts find that losses so early do not
        inform about final losses.
    max_step : int or None
        Maximum number of units of a job, fewer towards the end; None for an eighth of
        `max_resource`.
    n_first : int
        Number of trials that start before the first forecast.
    forecast_interval : float
        Fraction of the epochs between two forecasts.
    n_proposals : int
        Minimum number of configurations to propose with each forecast.
    improvement_fraction : float
        Fraction of choices made by the probability of improving on the incumbent by a random
        margin; the others are made by Thompson sampling.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (ASHA); Swersky et
    al., Freeze-Thaw Bayesian Optimization, arXiv 1406.3896; the future work of Garcia Amboage et
    al., arXiv 2311.17508.
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
        min_resource: int = 1,
        max_step: int | None = None,
        n_first: int = 10,
        forecast_interval: float = 0.03,
        n_proposals: int = 24,
        improvement_fraction: float = 0.85,
    ) -> None:
        options = FreezeThawOptions(
            budget=epochs_to_spend(max_resource, reduction_factor, budget_fraction, max_epochs),
            together=False,
            min_resource=min_resource,
            max_step=max(max_resource // 8, 1) if max_step is None else max_step,
            n_first=n_first,
            forecast_interval=forecast_interval,
            n_proposals=n_proposals,
            improvement_fraction=improvement_fraction,
            seed=seed,
        )
        super().__init__(searcher, max_resource, options)


class SynchronousSwift(FreezeThaw):
    """Search by forecasts of learning curves in waves: Swift-Hyperband's recommended mode.

    It takes Hyperband's `max_resource` and `reduction_factor`, and spends a stated fraction of the
    epochs of Hyperband's brackets. Decisions are made in waves of a few per cent of the epochs.
    They depend on losses and forecasts alone, neither on the number of workers nor on the order of
    reports; with more workers than a wave has jobs, `SwiftASHA` keeps all of them busy.

    There are no brackets and rungs: any trial may be resumed whenever the forecasts favour it, and
    the number of epochs is known beforehand. ``docs/curves.md`` has the gain, and the tables on
    which it loses.

    Parameters
    ----------
    searcher, max_resource, reduction_factor, seed, budget_fraction, min_resource, n_first
        As for `SwiftASHA`.
    iterations : int
        Number of runs through Hyperband's brackets that `budget_fraction` refers to.
    forecast_interval : float
        Fraction of the epochs between two forecasts, for one iteration. It grows with the root of
        `iterations`, since a forecast of more trials costs more.
    milestones : tuple of float
        Fractions of the epochs by which the most promising trial is completed.
    n_proposals, improvement_fraction
        As for `SwiftASHA`.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Garcia Amboage et al., arXiv 2311.17508 (Swift-Hyperband); Swersky et al., Freeze-Thaw Bayesian
    Optimization, arXiv 1406.3896.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        budget_fraction: float = 0.45,
        iterations: int = 1,
        min_resource: int = 1,
        n_first: int = 10,
        forecast_interval: float = 0.015,
        milestones: tuple[float, ...] = (0.28, 0.55, 0.8, 1.0),
        n_proposals: int = 24,
        improvement_fraction: float = 0.85,
    ) -> None:
        check_iterations(iterations)
        options = FreezeThawOptions(
            budget=iterations * epochs_to_spend(max_resource, reduction_factor, budget_fraction),
            min_resource=min_resource,
            n_first=n_first,
            forecast_interval=min(forecast_interval * math.sqrt(iterations), 1.0),
            milestones=tuple(milestones),
            n_proposals=n_proposals,
            improvement_fraction=improvement_fraction,
            seed=seed,
        )
        super().__init__(searcher, max_resource, options)


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
