"""One round of one bracket, as a state machine over its trials.

The first `n_full` trials, in the order in which they entered, are trained to the round's end
without question; the others halt at the rule's next decision point. Once the former are done and
the latter have all come to their point, the rule decides. Which trial is which depends on their
order and their losses, never on when a report came in; that is what makes a search on one worker
and on fifty take the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hpo.brackets import Bracket, make_bracket
from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.rules import RoundRule, RoundView
from hpo.trial import Curve, Event


@dataclass(frozen=True)
class RoundPlan:
    """The figures of a round.

    Attributes
    ----------
    bracket, rung : int
        Where.
    start, stop : int
        Units that its trials have at the beginning and at the end.
    n_trials, n_next : int
        Trials that enter it, and that the next one needs.
    n_full : int
        Trials that are fully trained without question.
    points : tuple of int
        Decision points, rising, between start and stop.
    last : bool
        Whether no round follows.
    """

    bracket: int
    rung: int
    start: int
    stop: int
    n_trials: int
    n_next: int
    n_full: int
    points: tuple[int, ...]
    last: bool


class Planner:
    """Plans rounds, bracket by bracket.

    How many trials of a round are trained without question depends on the curves that earlier
    brackets will give. That count is known beforehand, so it is taken from the plan and not from
    what happens to be finished: on any number of workers it is the same.

    Parameters
    ----------
    brackets : sequence of Bracket
        In the order in which they are opened.
    reduction_factor : int
        eta.
    rule : RoundRule or None
        How rounds save training.
    pool : CurvePool
        Told which curves to expect.
    """

    def __init__(
        self,
        brackets: Sequence[Bracket],
        reduction_factor: int,
        rule: RoundRule | None,
        pool: CurvePool,
    ) -> None:
        self._brackets = list(brackets)
        self._eta = reduction_factor
        self._rule = rule
        self._pool = pool
        self._curves: dict[int, int] = {}  # resource -> curves that the open brackets will give
        self._n_full: dict[int, list[int]] = {}  # open bracket -> rung -> without question

    def __len__(self) -> int:
        return len(self._brackets)

    def open(self, bracket: int) -> RoundPlan:
        """Plan a bracket, which follows those opened before, and return its first round."""
        self._n_full[bracket] = [
            self._plan_rung(bracket, rung) for rung in range(len(self._brackets[bracket].rungs))
        ]
        return self.round(bracket, 0, self._brackets[bracket].n_trials)

    def close(self, bracket: int) -> None:
        """Forget a bracket that is over."""
        del self._n_full[bracket]

    def resize(self, bracket: int, n_trials: int) -> int:
        """Plan for fewer trials, there being no more; return what the second round needs."""
        rungs = self._brackets[bracket].rungs
        top, depth = rungs[-1].resource, len(rungs) - 1
        self._brackets[bracket] = make_bracket(top, self._eta, depth, max(n_trials, 1))
        return self._n_next(bracket, 0)

    def round(self, bracket: int, rung: int, n_trials: int) -> RoundPlan:
        """Return the figures of a round that `n_trials` trials enter."""
        start, stop = self._span(bracket, rung)
        return RoundPlan(
            bracket=bracket,
            rung=rung,
            start=start,
            stop=stop,
            n_trials=n_trials,
            n_next=self._n_next(bracket, rung),
            n_full=self._n_full[bracket][rung],
            points=self._rule.points(start, stop) if self._rule else (),
            last=rung == len(self._brackets[bracket].rungs) - 1,
        )

    def resources_after(self, bracket: int, rung: int) -> list[int]:
        """Return the resources of the rungs that follow."""
        return [later.resource for later in self._brackets[bracket].rungs[rung + 1 :]]

    def _plan_rung(self, bracket: int, rung: int) -> int:
        size = self._brackets[bracket].rungs[rung].n_trials
        if self._rule is None:
            return size
        start, stop = self._span(bracket, rung)
        known = self._curves.get(stop, 0)
        n_full = min(self._rule.n_full(self._n_next(bracket, rung), known), size)
        self._curves[stop] = known + n_full
        self._pool.expect(bracket, stop, self._rule.points(start, stop))
        return n_full

    def _span(self, bracket: int, rung: int) -> tuple[int, int]:
        rungs = self._brackets[bracket].rungs
        return rungs[rung - 1].resource if rung else 0, rungs[rung].resource

    def _n_next(self, bracket: int, rung: int) -> int:
        rungs = self._brackets[bracket].rungs
        return rungs[rung + 1].n_trials if rung + 1 < len(rungs) else 1


@dataclass
class _Shelf:
    """The curves of one resource: what each bracket gave, and what is due."""

    due: list[int] = field(default_factory=list)  # brackets with this rung, in order
    points: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of each bracket
    given: dict[int, tuple[Curve, ...]] = field(default_factory=dict)
    first_missing: int = 0  # position in `due`


class CurvePool:
    """Curves by resource and bracket.

    Parameters
    ----------
    max_curves : int
        At most so many curves, the latest, train one predictor.
    """

    def __init__(self, max_curves: int) -> None:
        self._max_curves = max_curves
        self._shelves: dict[int, _Shelf] = {}

    def expect(self, bracket: int, resource: int, points: tuple[int, ...]) -> None:
        """Announce that a bracket, opened now, will give curves of this length."""
        shelf = self._shelves.setdefault(resource, _Shelf())
        shelf.due.append(bracket)
        shelf.points[bracket] = points

    def give(self, bracket: int, resource: int, curves: tuple[Curve, ...]) -> None:
        """Hand in a bracket's curves, all at once; a second time changes nothing."""
        shelf = self._shelves[resource]
        shelf.given.setdefault(bracket, curves)
        while (
            shelf.first_missing < len(shelf.due) and shelf.due[shelf.first_missing] in shelf.given
        ):
            shelf.first_missing += 1

    def ready(self, bracket: int, resource: int) -> bool:
        """Tell whether all brackets before this one have handed in theirs."""
        shelf = self._shelves[resource]
        return shelf.first_missing >= len(shelf.due) or shelf.due[shelf.first_missing] >= bracket

    def curves(self, bracket: int, resource: int) -> tuple[Curve, ...]:
        """Return the curves of the brackets up to and including this one, oldest first."""
        shelf = self._shelves[resource]
        found: list[Curve] = []
        for owner in reversed([b for b in shelf.due if b <= bracket]):
            found[:0] = shelf.given.get(owner, ())
            if len(found) >= self._max_curves:
                break
        return tuple(found[-self._max_curves :])

    def first_curves(
        self, bracket: int, resource: int, point: int, min_curves: int
    ) -> tuple[Curve, ...]:
        """Return the curves there were when this prediction could first be trained."""
        shelf = self._shelves[resource]
        for owner in shelf.due:
            if owner < bracket and point in shelf.points[owner]:
                curves = self.curves(owner, resource)
                if len(curves) >= min_curves:
                    return curves
        return self.curves(bracket, resource)


class Round:
    """State of a round.

    Parameters
    ----------
    plan : RoundPlan
        Its figures.
    ledger : TrialStore
        Trials of the search.
    train : callable
        ``train(round, trial_id, stop)`` queues a job.
    """

    def __init__(
        self, plan: RoundPlan, ledger: TrialStore, train: Callable[[Round, int, int], None]
    ) -> None:
        self.plan = plan
        self.n_trials = plan.n_trials
        self.members: dict[int, int] = {}  # trial -> place, in the order in which they entered
        self.full: list[int] = []  # trained without question
        self.waiting: dict[int, int] = {}  # trial -> its decision point
        self.given = False  # curves handed to the pool
        self._unasked: set[int] = set()  # waiting trials that no prediction is under way for
        self._busy_full: set[int] = set()
        self._busy: set[int] = set()  # on the way to a decision point, or chosen to finish
        self._ledger = ledger
        self._train = train

    # -- trials come in and arrive ------------------------------------------------------------

    @property
    def open_places(self) -> int:
        """Trials that have not entered yet."""
        return self.n_trials - len(self.members)

    @property
    def settled(self) -> bool:
        """Every trial has come to its decision point or to the end."""
        return not (self._busy_full or self._busy or self.open_places)

    @property
    def over(self) -> bool:
        """Nothing is left to train or to decide."""
        return self.settled and not self.waiting

    def enter(self, trial_id: int) -> None:
        """Let a trial in and queue its first job of this round."""
        self.members[trial_id] = len(self.members)
        if len(self.members) <= self.plan.n_full:
            self._train_fully(trial_id)
        else:
            self._send(trial_id, self.next_stop(self.plan.start))

    def truncate(self, n_next: int) -> None:
        """Let no more trials in: there are none."""
        self.n_trials = len(self.members)
        self.plan = replace(self.plan, n_trials=self.n_trials, n_next=n_next)

    def arrived(self, trial_id: int) -> bool:
        """Take note that a job of the trial ended; return whether the round waited for it.

        It did not where an idle worker had trained the trial ahead of its decision.
        """
        if trial_id not in self._busy_full and trial_id not in self._busy:
            return False
        self._busy_full.discard(trial_id)
        self._busy.discard(trial_id)
        self._halt(trial_id)
        return True

    def _halt(self, trial_id: int) -> None:
        """Have the trial wait for a decision, unless it is at the end or failed."""
        resource = self._ledger.resource(trial_id)
        if not self._ledger.failed(trial_id) and resource < self.plan.stop:
            self.waiting[trial_id] = resource
            self._unasked.add(trial_id)

    def _train_fully(self, trial_id: int) -> None:
        self.full.append(trial_id)
        if self._run(trial_id, self.plan.stop):
            self._busy_full.add(trial_id)

    def _send(self, trial_id: int, stop: int) -> None:
        if self._run(trial_id, stop):
            self._busy.add(trial_id)

    def _run(self, trial_id: int, stop: int) -> bool:
        """Have a trial trained up to `stop`; return whether that is still to be waited for."""
        if self._ledger.failed(trial_id) or self._ledger.resource(trial_id) >= stop:
            return False
        if not self._ledger.running(trial_id):
            self._train(self, trial_id, stop)
        return True

    # -- decisions ---------------------------------------------------------------------------

    def next_stop(self, point: int) -> int:
        """Return where a trial goes that passes the decision at `point`."""
        return next((p for p in self.plan.points if p > point), self.plan.stop)

    def full_curves(self) -> tuple[Curve, ...]:
        """Return the curves of the fully trained trials, those that failed left out."""
        curves = (self._ledger.curve(trial, self.plan.stop) for trial in self.full)
        return tuple(curve for curve in curves if curve is not None)

    def reinforce(self, missing: int) -> None:
        """Train so many more trials without question, in place of some that failed."""
        for trial in sorted(self.waiting, key=self.members.__getitem__)[:missing]:
            self._forget(trial)
            self._train_fully(trial)

    def take_queries(self) -> list[int]:
        """Return the waiting trials to predict, in their order; they are not returned again."""
        trials = sorted(self._unasked, key=self.members.__getitem__)
        self._unasked.clear()
        return trials

    def decide(
        self, rule: RoundRule, trials: Sequence[int], mean: Sequence[float], std: Sequence[float]
    ) -> Event:
        """Let the rule choose among `trials`, send the chosen on and stop the others."""
        view = RoundView(
            n_next=self.plan.n_next,
            full=np.array([curve.losses[-1] for curve in self.full_curves()]),
            mean=np.nan_to_num(np.array(mean, dtype=float), nan=np.inf),
            std=np.nan_to_num(np.array(std, dtype=float), nan=0.0),
        )
        keep = rule.keep(view)
        point = self.waiting[trials[0]]
        kept = tuple(trial for trial, chosen in zip(trials, keep, strict=True) if chosen)
        dropped = tuple(trial for trial, chosen in zip(trials, keep, strict=True) if not chosen)
        self.release(kept)
        for trial in dropped:
            self._forget(trial)
            self._ledger.stop(trial, f"prediction after {point} units misses the cut")
        return Event("decision", self.plan.bracket, self.plan.rung, point, kept, dropped)

    def release(self, trials: Sequence[int]) -> None:
        """Send waiting trials on to their next point or the round's end."""
        for trial in trials:
            stop = self.next_stop(self._forget(trial))
            self._send(trial, stop)
            if trial not in self._busy:
                self._halt(trial)

    def release_to_end(self, trials: Sequence[int]) -> None:
        """Send waiting trials to the round's end without further decisions."""
        for trial in trials:
            self._forget(trial)
            self._send(trial, self.plan.stop)

    def _forget(self, trial: int) -> int:
        self._unasked.discard(trial)
        return self.waiting.pop(trial)

    # -- the end -----------------------------------------------------------------------------

    def ranking(self) -> list[int]:
        """Return the trials that were trained to the end by decision, best first."""
        stop = self.plan.stop
        losses = {trial: self._ledger.loss(trial, stop) for trial in self.members}
        ended = [t for t in self.members if losses[t] < np.inf and not self._ledger.stopped(t)]
        return sorted(ended, key=losses.__getitem__)
