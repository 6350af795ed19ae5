"""The scheduler behind all forms of Hyperband.

It starts brackets, hands out jobs and passes reports on to the rounds. It is work-conserving: a
worker that asks gets a prediction if one is due, else a job of a bracket under way, else a new
trial, else the first job of the next bracket, and, if `train_ahead` allows it, the job that a
paused trial would get if it were chosen to continue.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hpo.brackets import Bracket, check_iterations, check_resources, hyperband_brackets
from hpo.schedulers._extension import TriesFirst, check_extension
from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.predictions import Predictions
from hpo.schedulers.halving.rounds import CurvePool, Round, RoundPlan, plan_bracket
from hpo.schedulers.halving.rules import FullTraining, RoundRule
from hpo.searchers.base import Searcher
from hpo.trial import (
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


class BracketScheduler(TriesFirst):
    """Successive halving in brackets, with a rule that saves training within rounds.

    `Hyperband` and its variants differ only in their brackets and their rule. Their decisions
    depend on losses and predictions alone, neither on the number of workers nor on the order of
    reports.

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int, default=2
        Halving rate, eta: the best 1/eta of the trials survive a rung.
    seed : int, default=0
        Seed of the random numbers that predictors draw.
    brackets : sequence of Bracket or None, default=None
        Brackets, in the order in which they are started. None: those of Hyperband.
    rule : RoundRule or None, default=None
        Decides which trials of a round are not trained to its end. None: all are.
    iterations : int, default=1
        Number of runs through all brackets, each with new trials.
    side_by_side : bool, default=True
        Start the next bracket while earlier ones wait for reports. The decisions are the same
        either way.
    train_ahead : bool, default=False
        Let workers that would otherwise idle train the most promising paused trials ahead of their
        decision. The decisions stay the same; epochs are traded for wall-clock time.
    retrain : bool, default=True
        Train a predictor anew for each decision, rather than once for each pair of rung and
        decision point.
    max_curves : int, default=200
        Maximum number of curves, the latest, that train a predictor.
    min_resource : int, default=1
        Least resource of a rung, r: no trial is given up before, and there are fewer brackets.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.Hyperband, hpo.SwiftHyperband, hpo.FastHyperband, hpo.SuccessiveHalving, hpo.RandomSearch :
        Its forms, each with particular brackets and a particular rule.

    Examples
    --------
    >>> from hpo.brackets import make_bracket
    >>> from hpo.schedulers.halving import BracketScheduler
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> brackets = (make_bracket(8, 2, 3, 8),)
    >>> result = simulate(
    ...     lambda searcher: BracketScheduler(searcher, max_resource=8, brackets=brackets),
    ...     synthetic_table(20, 8, seed=0),
    ... )
    >>> len(result.summary.trials), result.summary.epochs
    (8, 20)
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        brackets: Sequence[Bracket] | None = None,
        rule: RoundRule | None = None,
        iterations: int = 1,
        side_by_side: bool = True,
        train_ahead: bool = False,
        retrain: bool = True,
        max_curves: int = 200,
        min_resource: int = 1,
    ) -> None:
        check_resources(max_resource, reduction_factor, min_resource)
        check_iterations(iterations)
        if brackets is None:
            brackets = hyperband_brackets(max_resource, reduction_factor, min_resource)
        if not brackets:
            raise ValueError("brackets must hold at least one Bracket, got none")
        self._searcher = searcher
        self._eta = reduction_factor
        self._min_resource = min_resource
        self._rule = rule or FullTraining()
        self._side_by_side = side_by_side
        self._train_ahead = train_ahead
        self._trials = TrialStore()
        self._pool = CurvePool(max_curves)
        self._predictions = Predictions(
            self._trials, self._pool, self._rule, retrain=retrain, seed=seed
        )
        self._iterations = iterations
        self._brackets = tuple(brackets)  # of one iteration
        self._unopened = deque(enumerate(self._brackets * iterations))
        self._opened = brackets[0]  # the latest one
        self._next_number = len(self._unopened)  # of the first bracket after all of these
        self._n_planned = sum(bracket.n_trials for _, bracket in self._unopened)
        self._max_trials: int | None = None  # see `limit_trials`
        self._rounds: dict[int, Round] = {}  # bracket -> its round under way
        self._filling: Round | None = None  # the round that takes in new trials
        self._blocked: dict[int, list[Round]] = {}  # resource -> rounds that wait for its curves
        self._changed: deque[Round] = deque()  # rounds to process
        self._ready: list[tuple[int, int, int, int]] = []  # bracket, serial number, trial, stop
        self._ahead: list[tuple[int, float, int, int]] = []  # bracket, loss, trial, point
        self._serial = 0
        # By bracket and rung, of rounds that ended: their plans with those that follow, and the
        # losses of the trials that went on, ascending.
        self._ended: dict[tuple[int, int], tuple[RoundPlan, ...]] = {}
        self._passed: dict[tuple[int, int], list[float]] = {}
        self._closed: set[int] = set()  # brackets that ended
        self._late: dict[int, dict[int, int]] = {}  # bracket -> trial taken back -> its rung

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next job, `Wait` or `Done` (see `hpo.loop.Scheduler.ask`).

        Raises
        ------
        RuntimeError
            If the search can neither go on nor end, which is a bug.
        """
        job = self._due_job() or self._new_trial() or self._job_ahead()
        if job is not None:
            return job
        if self._trials.n_outstanding:
            return Wait()
        if self._rounds:
            raise RuntimeError(
                f"brackets {sorted(self._rounds)} neither run nor wait; please report this"
            )
        return Done()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        match report:
            case TrainReport() | TrainFailure():
                if self._trials.receive(report):
                    self._arrived(report.trial_id)
            case PredictReport() | PredictFailure():
                if self._trials.answer(report):
                    self._changed.append(self._predictions.apply(report))
            case ForecastReport():
                self._trials.answer(report)  # raises: no forecast was requested
        self._process()

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._trials.summary()

    def retired(self) -> frozenset[int]:
        """Return the trials that get no further job (see `hpo.loop.RetiresTrials`)."""
        return self._trials.retired()

    @property
    def n_trials(self) -> int:
        """Number of trials that the whole search starts."""
        return self._n_planned

    @property
    def trials_withheld(self) -> bool:
        """Whether `limit_trials` keeps trials from being started."""
        return self._is_limited and bool(self._unopened or self._filling)

    def limit_trials(self, n_trials: int | None) -> None:
        """Start no more trials than this (see `hpo.loop.LimitsTrials`).

        A bracket that fills up goes on with the trials that it has. Those that it lacks are started
        in a bracket of their own, after all others, once the limit is raised.

        Parameters
        ----------
        n_trials : int or None
        """
        self._max_trials = n_trials
        self._keep_limit()

    def _keep_limit(self) -> None:
        """Let the round that fills up go on if no trial may start; not only when one is sought.

        What `ask` does without a job is not in the journal.
        """
        if self._is_limited and self._filling is not None:
            self._set_aside(self._filling)
            self._complete_round(self._filling)

    @property
    def _is_limited(self) -> bool:
        return self._max_trials is not None and self._trials.n_trials >= self._max_trials

    def retry(self, trial_ids: Sequence[int]) -> None:
        """Take failed trials back (see `hpo.loop.RetriesTrials`).

        A trial whose round is under way takes part in it. The others go through the rounds of their
        bracket together, once it has ended, without predictions. They go on from a round if they
        are among its best, those that went on before included; nothing of that depends on the order
        of reports.

        Parameters
        ----------
        trial_ids : sequence of int
        """
        for trial in trial_ids:
            self._trials.retry(trial)
            bracket = self._trials.bracket(trial)
            round_ = self._rounds.get(bracket)
            if round_ is not None and trial in round_.members:
                round_.retry(trial)
            else:
                self._late.setdefault(bracket, {})[trial] = self._trials.rung(trial)
        for bracket in sorted(self._late):
            if bracket not in self._rounds:
                self._start_late_round(bracket)

    def extend(self, **settings: Any) -> None:
        """Run through all brackets again (see `hpo.loop.Extendable`).

        Parameters
        ----------
        **settings
            ``iterations``. The resources of rungs follow from `max_resource`, which stays.
        """
        checked = check_extension(self, settings, {"iterations": self._iterations})
        check_iterations(checked["iterations"])
        self._open_more(self._brackets * (checked["iterations"] - self._iterations))
        self._iterations = checked["iterations"]

    def _open_more(self, brackets: Sequence[Bracket]) -> None:
        """Plan further brackets, which start after all others."""
        self._unopened.extend(enumerate(brackets, self._next_number))
        self._next_number += len(brackets)
        self._n_planned += sum(bracket.n_trials for bracket in brackets)

    # -- jobs --------------------------------------------------------------------------------

    def _due_job(self) -> PredictJob | TrainJob | None:
        """Return a prediction that is due, else a training job of a bracket under way."""
        prediction = self._predictions.pop()
        if prediction is not None or not self._ready:
            return prediction
        bracket, _, trial, stop = heapq.heappop(self._ready)
        return self._trials.start(trial, stop, self._rounds[bracket].plan.rung)

    def _queue(self, round_: Round, trial: int, stop: int) -> None:
        self._serial += 1
        heapq.heappush(self._ready, (round_.plan.bracket, self._serial, trial, stop))

    def _new_trial(self) -> PredictJob | TrainJob | None:
        """Start a new trial, in the bracket that fills up or in the next one."""
        # Kept before the searcher is asked: one that raises leaves nothing half done.
        round_ = self._filling = self._filling or self._open_bracket()
        if round_ is None:
            return None
        config = self._searcher.propose(self._trials.n_trials)
        if config is None:
            self._unopened.clear()
            self._complete_round(round_)
        else:
            round_.enter(self._trials.add(config, round_.plan.bracket))
            self._filling = round_ if round_.filling else None
            self._keep_limit()
        return self._due_job()

    def _job_ahead(self) -> TrainJob | None:
        """Train the most promising paused trial ahead of its decision, if none is imminent."""
        if self._trials.n_predicting:
            return None
        while self._ahead:
            bracket, _, trial, point = heapq.heappop(self._ahead)
            round_ = self._rounds.get(bracket)
            if round_ is not None and round_.paused.get(trial) == point:
                return self._trials.start(trial, round_.next_stop(point), round_.plan.rung)
        return None

    # -- brackets and rounds -----------------------------------------------------------------

    def _open_bracket(self) -> Round | None:
        """Start the next bracket, None if there is none to start now."""
        if not self._unopened or self._is_limited or (self._rounds and not self._side_by_side):
            return None
        number, bracket = self._unopened.popleft()
        self._opened = bracket
        plans = plan_bracket(number, bracket, self._rule, self._pool, self._min_resource)
        return self._start_round(plans, bracket.n_trials)

    def _complete_round(self, round_: Round) -> None:
        """Let the round that fills up go on with the trials that it has."""
        self._filling = None
        round_.truncate(self._eta)
        self._changed.append(round_)
        self._process()  # which may make a prediction due

    def _set_aside(self, round_: Round) -> None:
        """Keep the trials that a bracket still lacks for a bracket after all others."""
        missing = self._opened.n_trials - len(round_.members)
        rest = self._opened.of_size(missing, self._eta)
        period = len(self._brackets)
        self._unopened.append((self._next_number + round_.plan.bracket % period, rest))
        self._next_number += period

    def _start_round(self, plans: Sequence[RoundPlan], n_trials: int) -> Round:
        round_ = Round(plans, n_trials, self._trials, self._queue)
        self._rounds[round_.plan.bracket] = round_
        return round_

    def _arrived(self, trial: int) -> None:
        round_ = self._rounds.get(self._trials.bracket(trial))
        if round_ is None or not round_.arrived(trial):
            return
        if self._train_ahead and trial in round_.paused:
            point = round_.paused[trial]
            entry = (round_.plan.bracket, self._trials.loss(trial, point), trial, point)
            heapq.heappush(self._ahead, entry)
        self._changed.append(round_)

    def _process(self) -> None:
        """Process the rounds that changed, until nothing follows from it."""
        while self._changed:
            round_ = self._changed.popleft()
            if self._rounds.get(round_.plan.bracket) is not round_:
                continue  # it has ended since
            if not round_.given and not self._give(round_):
                continue
            if round_.over:
                self._end(round_)
            elif round_.settled or not self._rule.together:
                self._predictions.request(round_)

    def _give(self, round_: Round) -> bool:
        """Hand the round's full curves to the pool; return False if that is too early."""
        if not round_.settled:
            return False
        bracket, resource = round_.plan.bracket, round_.plan.stop
        if round_.paused:
            if not self._pool.ready(bracket, resource):
                self._blocked.setdefault(resource, []).append(round_)
                return False
            missing = self._predictions.missing(round_)
            if missing > 0:
                round_.reinforce(missing)
                self._changed.append(round_)
                return False
        round_.given = True
        self._hand_in(bracket, resource, round_)
        return True

    def _hand_in(self, bracket: int, resource: int, round_: Round | None) -> None:
        self._pool.give(bracket, resource, round_.full_curves() if round_ else ())
        self._changed.extend(self._blocked.pop(resource, ()))

    def _end(self, round_: Round) -> None:
        """Rank the trials of a round, stop the losers, and start the next round or end."""
        plan = round_.plan
        kept, dropped = self._ranked(round_)
        for trial in dropped:
            self._trials.stop(trial, f"not among the best {plan.n_next} after {plan.stop} units")
        event = Event("rung", plan.bracket, plan.rung, plan.stop, tuple(kept), tuple(dropped))
        self._trials.events.append(event)
        if plan.bracket in self._closed:
            self._start_late_round(plan.bracket, round_.later, kept)
            return
        if round_.later and kept:
            self._enter(self._start_round(round_.later, len(kept)), kept)
            return
        for trial in kept:
            self._trials.complete(trial)
        for skipped in round_.later:
            self._hand_in(plan.bracket, skipped.stop, None)
        del self._rounds[plan.bracket]
        self._closed.add(plan.bracket)
        if plan.bracket in self._late:
            self._start_late_round(plan.bracket)

    def _ranked(self, round_: Round) -> tuple[list[int], list[int]]:
        """Return the trials that go on from a round, best first, and those that do not."""
        plan = round_.plan
        where = plan.bracket, plan.rung
        ranking = round_.ranking()
        losses = [self._trials.loss(trial, plan.stop) for trial in ranking]
        passed = self._passed.get(where, [])  # of earlier trials, if these ones are late
        places = [place + bisect_right(passed, loss) for place, loss in enumerate(losses)]
        n_kept = sum(place < plan.n_next for place in places) if round_.later else len(ranking)
        self._ended[where] = (plan, *round_.later)
        self._passed[where] = sorted([*passed, *losses[:n_kept]])
        return ranking[:n_kept], ranking[n_kept:]

    def _start_late_round(
        self, bracket: int, later: Sequence[RoundPlan] = (), kept: Sequence[int] = ()
    ) -> None:
        """Start a round of trials that were taken back after their bracket had ended.

        Parameters
        ----------
        bracket : int
        later : sequence of RoundPlan
            The rounds that follow the one which the trials in `kept` have passed.
        kept : sequence of int
        """
        late = self._late.get(bracket, {})
        if not later:
            for trial in kept:
                self._trials.complete(trial)
        if later and kept:
            plans = later
        elif late:
            plans = self._ended[bracket, min(late.values())]
        else:
            self._rounds.pop(bracket, None)
            return
        rung = plans[0].rung
        members = [*kept] if later else []
        members += [trial for trial, failed_at in late.items() if failed_at == rung]
        self._late[bracket] = {trial: at for trial, at in late.items() if at != rung}
        if not self._late[bracket]:
            del self._late[bracket]
        first = replace(plans[0], n_full=len(members), points=())  # all are trained to its end
        round_ = self._start_round((first, *plans[1:]), len(members))
        round_.given = True  # the curves were handed in when the bracket ended
        self._enter(round_, members)

    def _enter(self, round_: Round, trials: Sequence[int]) -> None:
        """Let trials enter a round, which is settled at once if the training of all has ended."""
        for trial in trials:
            round_.enter(trial)
        if round_.settled:
            self._changed.append(round_)
