"""The engine behind every scheduler that halves in rounds.

It opens brackets, deals jobs and passes reports on to the rounds. It is work-conserving: a worker
that asks gets a prediction if one is due, else a job of a bracket that is under way, else a new
trial, else the first job of the next bracket, and, where that is allowed, the job that a trial
waiting for a decision would get if the decision were in its favour.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.brackets import Bracket
from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.predictions import Predictions
from hpo.schedulers.halving.rounds import CurvePool, Planner, Round
from hpo.schedulers.halving.rules import RoundRule
from hpo.searchers.base import Searcher
from hpo.trial import (
    Decision,
    Done,
    Event,
    ForecastReport,
    PredictFailure,
    PredictReport,
    Report,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    Wait,
)


@dataclass(frozen=True)
class BracketOptions:
    """How the engine deals.

    Attributes
    ----------
    side_by_side : bool
        Open the next bracket while an earlier one waits.
    train_ahead : bool
        Let idle workers train trials ahead of their decision.
    retrain : bool
        Train a predictor anew for each decision, not only the first time.
    max_curves : int
        At most so many curves, the latest, train a predictor.
    seed : int
        For predictors that draw random numbers.
    """

    side_by_side: bool = True
    train_ahead: bool = False
    retrain: bool = True
    max_curves: int = 200
    seed: int = 0


class BracketScheduler:
    """Scheduler over a sequence of brackets (see `hpo.loop.Scheduler` for the methods).

    Parameters
    ----------
    brackets : sequence of Bracket
        In the order in which they are opened.
    reduction_factor : int
        eta: one of how many trials goes on.
    searcher : Searcher
        Gives configurations.
    rule : RoundRule or None
        How rounds save training; None trains every trial of a round to its end.
    options : BracketOptions
        How the engine deals.
    """

    def __init__(
        self,
        brackets: Sequence[Bracket],
        reduction_factor: int,
        searcher: Searcher,
        rule: RoundRule | None = None,
        options: BracketOptions | None = None,
    ) -> None:
        options = options or BracketOptions()
        self._searcher = searcher
        self._together = rule is None or rule.together
        self._options = options
        self._ledger = TrialStore()
        self._pool = CurvePool(options.max_curves)
        self._planner = Planner(brackets, reduction_factor, rule, self._pool)
        self._predictions = (
            Predictions(self._ledger, self._pool, rule, retrain=options.retrain, seed=options.seed)
            if rule
            else None
        )
        self._n_opened = 0
        self._exhausted = False  # the searcher has no more configurations
        self._rounds: dict[int, Round] = {}  # bracket -> its round under way
        self._filling: Round | None = None  # the round that takes in new trials
        self._blocked: dict[int, list[Round]] = {}  # resource -> rounds that wait for its curves
        self._stirred: deque[Round] = deque()  # rounds to look at, since something changed
        self._ready: list[tuple[int, int, int, int]] = []  # bracket, serial number, trial, stop
        self._ahead: list[tuple[int, float, int, int]] = []  # bracket, loss, trial, point
        self._serial = 0

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`)."""
        prediction = self._predictions.pop() if self._predictions else None
        return (
            prediction
            or self._ready_job()
            or self._new_trial()
            or self._job_ahead()
            or self._nothing()
        )

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._ledger.receive(report):
                    self._arrived(report.trial_id)
            case PredictReport() | PredictFailure():
                if self._ledger.answer(report) and self._predictions:
                    self._stirred.append(self._predictions.apply(report))
            case ForecastReport():
                self._ledger.answer(report)  # refuses it: no forecast was asked for
        self._settle()

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._ledger.summary()

    # -- dealing -----------------------------------------------------------------------------

    def _ready_job(self) -> TrainJob | None:
        if not self._ready:
            return None
        bracket, _, trial, stop = heapq.heappop(self._ready)
        return self._ledger.start(trial, stop, self._rounds[bracket].plan.rung)

    def _queue(self, round_: Round, trial: int, stop: int) -> None:
        self._serial += 1
        heapq.heappush(self._ready, (round_.plan.bracket, self._serial, trial, stop))

    def _new_trial(self) -> TrainJob | None:
        """Start a new trial, in the bracket that fills up or in the next one."""
        # Kept before the searcher is asked: one that raises leaves nothing half done.
        round_ = self._filling = self._filling or self._open_bracket()
        if round_ is None:
            return None
        config = self._searcher.propose(self._ledger.n_trials)
        if config is None:
            self._exhaust(round_)
            return self._ready_job()
        round_.enter(self._ledger.add(config, round_.plan.bracket))
        self._filling = round_ if round_.open_places else None
        return self._ready_job()

    def _exhaust(self, round_: Round) -> None:
        self._exhausted = True
        self._filling = None
        round_.truncate(self._planner.resize(round_.plan.bracket, len(round_.members)))
        self._stirred.append(round_)
        self._settle()

    def _job_ahead(self) -> TrainJob | None:
        """Train the most promising waiting trial ahead of its decision, if none is imminent."""
        if self._ledger.n_predicting:
            return None
        while self._ahead:
            bracket, _, trial, point = heapq.heappop(self._ahead)
            round_ = self._rounds.get(bracket)
            if round_ is not None and round_.waiting.get(trial) == point:
                return self._ledger.start(trial, round_.next_stop(point), round_.plan.rung)
        return None

    def _nothing(self) -> Decision:
        if self._ledger.n_outstanding:
            return Wait()
        if self._rounds:
            raise RuntimeError(
                f"brackets {sorted(self._rounds)} neither run nor wait; please report this"
            )
        return Done()

    # -- brackets and rounds -----------------------------------------------------------------

    def _open_bracket(self) -> Round | None:
        """Open the next bracket, None where there is none to open now."""
        if self._exhausted or self._n_opened == len(self._planner):
            return None
        if self._rounds and not self._options.side_by_side:
            return None
        round_ = Round(self._planner.open(self._n_opened), self._ledger, self._queue)
        self._rounds[self._n_opened] = round_
        self._n_opened += 1
        return round_

    def _arrived(self, trial: int) -> None:
        round_ = self._rounds.get(self._ledger.bracket(trial))
        if round_ is None or not round_.arrived(trial):
            return
        if self._options.train_ahead and trial in round_.waiting:
            point = round_.waiting[trial]
            entry = (round_.plan.bracket, self._ledger.loss(trial, point), trial, point)
            heapq.heappush(self._ahead, entry)
        self._stirred.append(round_)

    def _settle(self) -> None:
        """Look at the rounds to which something happened, until nothing more follows."""
        while self._stirred:
            round_ = self._stirred.popleft()
            if self._rounds.get(round_.plan.bracket) is not round_:
                continue  # it ended meanwhile
            if not round_.given and not self._give(round_):
                continue
            if round_.over:
                self._end(round_)
            elif self._predictions and (round_.settled or not self._together):
                self._predictions.request(round_)

    def _give(self, round_: Round) -> bool:
        """Hand the round's full curves to the pool; return False where that is too early."""
        if not round_.settled:
            return False
        round_.given = True
        if self._predictions is None:
            return True
        bracket, resource = round_.plan.bracket, round_.plan.stop
        if round_.waiting:
            if not self._pool.ready(bracket, resource):
                round_.given = False
                self._blocked.setdefault(resource, []).append(round_)
            elif (missing := self._predictions.missing(round_)) > 0:
                round_.given = False
                round_.reinforce(missing)
                self._stirred.append(round_)
        if round_.given:
            self._hand_in(bracket, resource, round_)
        return round_.given

    def _hand_in(self, bracket: int, resource: int, round_: Round | None) -> None:
        self._pool.give(bracket, resource, round_.full_curves() if round_ else ())
        self._stirred.extend(self._blocked.pop(resource, ()))

    def _end(self, round_: Round) -> None:
        """Rank the trials of a round, stop the losers and begin the next round."""
        plan = round_.plan
        ranking = round_.ranking()
        kept = ranking if plan.last else ranking[: plan.n_next]
        dropped = tuple(ranking[len(kept) :])
        for trial in dropped:
            self._ledger.stop(trial, f"not among the best {plan.n_next} after {plan.stop} units")
        event = Event("rung", plan.bracket, plan.rung, plan.stop, tuple(kept), dropped)
        self._ledger.events.append(event)
        if plan.last or not kept:
            self._close(round_, kept)
        else:
            self._next_round(round_, kept)

    def _close(self, round_: Round, winners: Sequence[int]) -> None:
        for trial in winners:
            self._ledger.complete(trial)
        bracket = round_.plan.bracket
        if self._predictions:
            for resource in self._planner.resources_after(bracket, round_.plan.rung):
                self._hand_in(bracket, resource, None)
        self._planner.close(bracket)
        del self._rounds[bracket]

    def _next_round(self, round_: Round, trials: Sequence[int]) -> None:
        bracket, rung = round_.plan.bracket, round_.plan.rung + 1
        following = Round(
            self._planner.round(bracket, rung, len(trials)), self._ledger, self._queue
        )
        self._rounds[bracket] = following
        for trial in trials:
            following.enter(trial)
