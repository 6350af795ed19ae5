"""Schedulers without rounds: every trial is frozen after each job, and thaws when it may be best.

`hpo.schedulers.freeze_thaw.policy` holds the policy. Here is the bookkeeping around it: when a
forecast is due, what it costs, when the epochs are spent, and that the most promising trial is
finished with the last of them. In one form (`together`) decisions come in waves: a forecast, the
jobs chosen by its draws, and the next forecast when all of them have ended, so that nothing depends
on the number of workers or on their order. In the other a worker never waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpo.brackets import next_length
from hpo.schedulers._trials import TrialStore, mix_seed
from hpo.schedulers.freeze_thaw.endgame import Endgame
from hpo.schedulers.freeze_thaw.options import FreezeThawOptions
from hpo.schedulers.freeze_thaw.policy import Candidate, Choice, ForecastSampler, drawn_choice
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

_EARLY, _LATE = 2.0, 0.7
"""Where workers do not wait, a trial is finished while there is work for the others for between
these multiples of the time that it takes: its epochs may be slower than theirs."""


class FreezeThaw:
    """Scheduler that thaws trials by draws from forecasts (see `hpo.loop.Scheduler`).

    Parameters
    ----------
    searcher : Searcher
        Gives configurations; one that learns (`LearningSearcher`) proposes with each forecast.
    max_resource : int
        R, the most units that one trial is trained.
    options : FreezeThawOptions
        How epochs are dealt.
    """

    def __init__(self, searcher: Searcher, max_resource: int, options: FreezeThawOptions) -> None:
        if options.min_resource > max_resource:
            raise ValueError(
                f"min_resource must lie in 1..{max_resource} (max_resource), got "
                f"{options.min_resource}"
            )
        self.searcher = searcher
        self._learns = isinstance(searcher, LearningSearcher)
        self._max = max_resource
        self._options = options
        self._ledger = TrialStore()
        self._left = options.budget  # epochs that no job has taken yet
        spare = (options.budget - max_resource) // options.min_resource
        self._n_first = max(1, min(options.n_first, spare + 1))
        self._exhausted = False  # the searcher has no more configurations
        self._over = False
        self._endgame = None if options.together else Endgame(max_resource, options)
        self._draws: ForecastSampler | None = None  # of the latest forecast
        self._memory: Mapping[str, Any] = {}  # what it left for the next
        self._telling = 1  # units after which losses tell enough, by the latest that knows
        self._forecasting: tuple[ForecastJob, list[int]] | None = None
        self._acted: set[int] = set()  # trials that got a job since that forecast was asked for
        self._open: dict[int, Candidate] = {}  # trials that may go on by the latest forecast
        self._bar = math.inf  # lowest mean of those that are whole or were touched since
        self._wave = 0  # epochs given out in this wave
        self._news = 0  # epochs reported since a forecast was asked for

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        if self._over:
            return Done()
        job = self._forecast_job() or self._train_job()
        # A searcher that turned out to have no more makes a forecast due with the trials there are.
        return job or self._forecast_job() or self._nothing()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._ledger.receive(report):
                    self._arrived(report)
            case ForecastReport() | PredictFailure():
                if self._ledger.answer(report) is not None:
                    self._forecast_came(report)
            case PredictReport():
                self._ledger.answer(report)  # refuses it: only forecasts are asked for
        self._end_if_over()

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._ledger.summary()

    # -- reports -----------------------------------------------------------------------------

    def _arrived(self, report: TrainReport | TrainFailure) -> None:
        trial = report.trial_id
        epochs = report.stop - report.start
        self._news += epochs
        if self._endgame is not None:
            units = self._ledger.resource(trial)
            self._endgame.ended(trial, units, epochs, over=self._ended(trial))
        if self._completed(trial):
            self._ledger.complete(trial)

    def _forecast_came(self, report: ForecastReport | PredictFailure) -> None:
        assert self._forecasting is not None  # noqa: S101 - the ledger has checked the report
        job, trials = self._forecasting
        self._forecasting = None
        if isinstance(report, PredictFailure):
            report, event = _without_model(job, report)
        else:
            kept = tuple(trial for trial in trials if not self._ended(trial))
            event = Event("forecast", 0, job.job_id, 0, kept, skill=report.skill)
            self._memory = report.warm_start_state
            if report.min_informative_resource is not None:
                self._telling = report.min_informative_resource
        self._ledger.events.append(event)
        whole = [len(curve.losses) >= self._max for curve in job.curves]
        bests = [p for p, done in zip(report.predictions, whole, strict=True) if done]
        self._draws = ForecastSampler(
            trials,
            report,
            mix_seed(self._options.seed, job.job_id),
            incumbent=min(bests or report.predictions, default=math.inf),
            improve=self._options.improve,
            blind=event.kind == "degraded",
        )
        self._survey()

    def _survey(self) -> None:
        """Sort out which trials may go on by the latest forecast, and what they have to beat."""
        if self._draws is None:
            return
        trials = [t for t in range(self._ledger.n_trials) if self._draws.knows(t)]
        # One that was touched since counts whatever came of it, which may not be known yet.
        rivals = [t for t in trials if t in self._acted or self._completed(t)]
        self._bar = min(map(self._draws.mean, rivals), default=math.inf)
        self._open = {
            trial: self._candidate(trial)
            for trial in trials
            if not (trial in self._acted or self._ended(trial) or self._ledger.running(trial))
        }

    def _touch(self, trial: int) -> None:
        """Note that a trial got a job."""
        self._acted.add(trial)
        self._open.pop(trial, None)
        if self._draws is not None and self._draws.knows(trial):
            self._bar = min(self._bar, self._draws.mean(trial))

    # -- forecasts ---------------------------------------------------------------------------

    def _forecast_job(self) -> ForecastJob | None:
        if self._forecasting is not None or not self._forecast_due():
            return None
        curves = tuple(
            curve
            for trial in range(self._ledger.n_trials)
            if (curve := self._ledger.curve(trial, self._ledger.resource(trial))) is not None
            and curve.losses
        )
        if not curves:
            return None
        number = self._ledger.next_job_id()
        running = {t for t in range(self._ledger.n_trials) if self._ledger.running(t)}
        job = ForecastJob(
            job_id=number,
            target=self._max,
            curves=curves,
            running=self._ledger.without_loss(),
            seed=mix_seed(self._options.seed, number),
            n_proposals=self._n_proposals(len(running)),
            warm_start_state=self._memory,
        )
        self._forecasting = (job, [curve.trial_id for curve in curves])
        self._acted = running
        self._survey()  # until it comes, by the forecast before
        if self._endgame is not None:
            self._endgame.forecast_asked()
        self._wave = 0
        self._news = 0
        self._ledger.predict(job)
        return job

    def _n_proposals(self, n_running: int) -> int:
        if self._ending is not None and not self._ending.starts_trials(self._left):
            return 0
        return max(self._options.n_new, n_running)

    def _forecast_due(self) -> bool:
        if not self._news or self._left <= 0:
            return False
        if self._ledger.n_trials < self._n_first and not self._exhausted:
            return False
        if self._options.together:
            return self._ledger.n_outstanding == 0 and not self._wave_goes_on()
        enough = self._news >= self._options.refresh * self._options.budget
        if self._ending is not None and self._ledger.n_outstanding:
            return self._draws is None or enough  # there is always something to train meanwhile
        # A quarter of the running jobs, so that many workers do not ask after every report.
        some = 4 * self._news >= self._ledger.n_outstanding
        return self._draws is None or enough or (some and self._spent_up())

    def _wave_goes_on(self) -> bool:
        """Whether the present forecast has more jobs to give."""
        if self._draws is None or self._wave >= self._options.refresh * self._options.budget:
            return False
        return not self._spent_up()

    def _spent_up(self) -> bool:
        """Whether the present forecast has nothing more to offer."""
        if self._draws is None:
            return True
        return not (self._draws.n_proposals or self._may_try_anyone() or self._open)

    def _may_try_anyone(self) -> bool:
        """Whether new configurations come straight from the searcher."""
        unlearned = not self._learns or (self._draws is not None and self._draws.blind)
        return unlearned and not self._exhausted

    # -- training jobs -----------------------------------------------------------------------

    def _train_job(self) -> TrainJob | None:
        game, draws = self._ending, self._draws
        if game is None or draws is None:
            choice = self._choose()
        else:
            waits = self._forecasting is not None
            choice = game.choose(draws, self._left, self._new, forecasting=waits)
        if choice is None:
            return None
        trial = choice.trial_id
        if trial is None:
            config = choice.config
            if config is None:
                config = self.searcher.propose(self._ledger.n_trials)
            if config is None:
                self._exhausted = True
                return self._train_job() if self._draws is not None else None
            trial = self._ledger.add(config)
        cost = choice.stop - self._ledger.resource(trial)
        self._left -= cost
        self._wave += cost
        self._touch(trial)
        if self._endgame is not None:
            self._endgame.began(trial, choice.stop)
        return self._ledger.start(trial, choice.stop, 0)

    def _choose(self) -> Choice | None:
        if self._draws is None:
            return self._first()
        if self._options.together and (self._forecasting or not self._wave_goes_on()):
            return None
        candidates = list(self._open.values())
        final = self._finish(candidates)
        if final is not None:
            return final
        affordable = [c for c in candidates if c.stop - c.units <= self._left]
        if self._draws.improves():
            return self._likeliest(affordable)
        return drawn_choice(self._draws, affordable, self._new if self._may_start() else None)

    def _first(self) -> Choice | None:
        """Start a trial before anything is known."""
        if self._exhausted or self._left < self._options.min_resource:
            return None
        if self._options.together and self._ledger.n_trials >= self._n_first:
            return None
        if self._endgame is not None and not self._endgame.affords_trial(self._left):
            return None
        return Choice(None, self._options.min_resource)

    @property
    def _ending(self) -> Endgame | None:
        """What deals the last epochs, once it does."""
        game = self._endgame
        return game if game is not None and game.begun(self._left) else None

    def _likeliest(self, candidates: list[Candidate]) -> Choice | None:
        """Train what is likeliest to beat the incumbent, be it a trial or a proposal."""
        assert self._draws is not None  # noqa: S101 - called where there is a forecast
        starts, anyone = self._may_start(), self._may_try_anyone()
        found = self._draws.likeliest(candidates, new=starts, anyone=starts and anyone)
        match found:
            case Candidate():
                return Choice(found.trial_id, found.stop)
            case Proposal():
                return Choice(None, self._start(), found.config)
        return self._new(math.inf)

    def _start(self) -> int:
        """Return how long a new trial's first job is."""
        least = self._options.min_resource
        return least if self._ending is not None else self._told(0, least)

    def _told(self, units: int, stop: int) -> int:
        """Return where a job ends that would end at `stop`: not before losses tell enough."""
        stop = max(stop, min(self._telling, units + self._left))
        most = self._options.max_step
        return stop if most is None else min(stop, units + most)

    def _may_start(self) -> bool:
        """Whether there are epochs for one more trial."""
        if self._left < self._options.min_resource:
            return False
        return self._spent < self._options.explore * self._options.budget

    def _new(self, below: float) -> Choice | None:
        """Return a new trial whose draw is lower than the best of the others."""
        if self._draws is None or not self._may_start():
            return None
        start = self._start()
        if self._may_try_anyone():
            return Choice(None, start) if self._draws.anyone() < below else None
        proposal = self._draws.next_proposal(below)
        return None if proposal is None else Choice(None, start, proposal.config)

    def _finish(self, candidates: list[Candidate]) -> Choice | None:
        """Train the most promising trial to its end while the epochs last."""
        draws = self._draws
        assert draws is not None  # noqa: S101 - called where there is a forecast
        best = min(
            (c for c in candidates if self._max - c.units <= self._left),
            key=lambda c: draws.mean(c.trial_id),
            default=None,
        )
        if best is None or draws.mean(best.trial_id) >= self._bar:
            return None
        cost = self._max - best.units
        ends = (round(share * self._options.budget) for share in self._options.milestones)
        left = min(e - self._spent - cost for e in ends if e - self._spent >= cost)
        step = max(c.stop - c.units for c in candidates)
        # Workers that do not wait go on beside it: it must not be the last one running for long.
        beside = 0 if self._options.together else self._ledger.n_outstanding * cost
        if left >= max(self._options.reserve * self._options.budget, step, _EARLY * beside):
            return None
        if left < _LATE * beside and self._bar < math.inf:
            return None
        return Choice(best.trial_id, self._max)

    @property
    def _spent(self) -> int:
        """Epochs that jobs have taken."""
        return self._options.budget - self._left

    def _candidate(self, trial: int) -> Candidate:
        """Return an unfinished trial, and where its next job would end."""
        units = self._ledger.resource(trial)
        stop = next_length(units, self._max, self._options.growth)
        return Candidate(trial, units, self._told(units, stop))

    def _completed(self, trial: int) -> bool:
        return self._ended(trial) and not self._ledger.failed(trial)

    def _ended(self, trial: int) -> bool:
        return self._ledger.failed(trial) or self._ledger.resource(trial) >= self._max

    # -- the end -----------------------------------------------------------------------------

    def _nothing(self) -> Decision:
        if self._ledger.n_outstanding:
            return Wait()
        self._end()
        return Done()

    def _end_if_over(self) -> None:
        """End the search where no epoch is left and nothing runs."""
        if self._left <= 0 and not self._ledger.n_outstanding:
            self._end()

    def _end(self) -> None:
        self._over = True
        for trial in range(self._ledger.n_trials):
            if not self._ended(trial):
                self._ledger.stop(trial, "unlikely to be the best when the epochs were spent")


def _without_model(job: ForecastJob, failure: PredictFailure) -> tuple[ForecastReport, Event]:
    """Return last losses in place of a forecast that failed, and the event that says so."""
    lasts = tuple(curve.losses[-1] for curve in job.curves)
    width = (sorted(lasts)[len(lasts) // 2] - min(lasts)) if lasts else 0.0
    stds = tuple(
        0.3 * width * math.sqrt(math.log(job.target / len(curve.losses))) for curve in job.curves
    )
    message = f"forecast failed ({failure.reason}); last losses are used instead"
    event = Event("degraded", 0, job.job_id, 0, message=message)
    return ForecastReport(job.job_id, lasts, stds), event
