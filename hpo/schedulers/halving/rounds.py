"""One round of one bracket, as a state machine over its trials.

The first `n_full` trials, in the order in which they enter, are trained to the end of the round
unconditionally; the others pause at the next decision point of the rule. When the former are done
and the latter have all paused, the rule decides. All of this depends on the order and the losses of
the trials, never on when a report arrives, so a search takes the same decisions on one worker and
on fifty.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.brackets import Bracket
from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.rules import RoundRule, RoundView
from hpo.trial import Curve, Event


@dataclass(frozen=True)
class RoundPlan:
    """Figures of a round.

    Attributes
    ----------
    bracket, rung : int
        Numbers of the bracket and of the round within it.
    start, stop : int
        Resource of a trial at the beginning and at the end of the round.
    n_next : int
        Number of trials that the next round needs; 1 for the last round.
    n_full : int
        Number of trials that are trained in full unconditionally.
    points : tuple of int
        Decision points, ascending, between start and stop.
    """

    bracket: int
    rung: int
    start: int
    stop: int
    n_next: int
    n_full: int
    points: tuple[int, ...]


class CurvePool:
    """Curves of full trainings, by resource and bracket, which train the predictors.

    Parameters
    ----------
    max_curves : int
        Maximum number of curves, the latest, that train a predictor.
    """

    def __init__(self, max_curves: int) -> None:
        self._max_curves = max_curves
        # Both by resource and bracket; brackets are announced in ascending order.
        self._points: dict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)
        self._curves: dict[int, dict[int, tuple[Curve, ...]]] = defaultdict(dict)
        self.n_expected: Counter[int] = Counter()  # curves by resource, according to the plans

    def expect(self, plan: RoundPlan) -> None:
        """Announce the curves of a round."""
        self._points[plan.stop][plan.bracket] = plan.points
        self.n_expected[plan.stop] += plan.n_full

    def give(self, bracket: int, resource: int, curves: tuple[Curve, ...]) -> None:
        """Hand in all curves that a bracket has for a resource."""
        self._curves[resource][bracket] = curves

    def ready(self, bracket: int, resource: int) -> bool:
        """Return whether all earlier brackets have handed in their curves."""
        given = self._curves[resource]
        return all(other in given for other in self._points[resource] if other < bracket)

    def curves(self, bracket: int, resource: int) -> tuple[Curve, ...]:
        """Return the curves of all brackets up to this one, oldest first."""
        found: list[Curve] = []
        for other in reversed(self._points[resource]):
            if other <= bracket:
                found[:0] = self._curves[resource].get(other, ())
            if len(found) >= self._max_curves:
                break
        return tuple(found[-self._max_curves :])

    def first_curves(
        self, bracket: int, resource: int, point: int, min_curves: int
    ) -> tuple[Curve, ...]:
        """Return the curves that were there when this prediction could first be trained."""
        for other, points in self._points[resource].items():
            if other < bracket and point in points:
                curves = self.curves(other, resource)
                if len(curves) >= min_curves:
                    return curves
        return self.curves(bracket, resource)


def plan_bracket(
    number: int, bracket: Bracket, rule: RoundRule, pool: CurvePool, min_resource: int = 1
) -> tuple[RoundPlan, ...]:
    """Plan the rounds of a bracket, which follows those planned before.

    How many trials are trained in full depends on the number of curves that earlier brackets
    contribute. That number is taken from their plans, not from their progress, so it does not
    depend on the number of workers.

    Parameters
    ----------
    number : int
        Number of the bracket.
    bracket : Bracket
        Its rungs.
    rule : RoundRule
        States how many trials are trained in full and where the others pause.
    pool : CurvePool
        Curves of earlier brackets; the new ones are announced to it.
    min_resource : int
        Units before which no decision is taken.
    """
    plans: list[RoundPlan] = []
    for index, rung in enumerate(bracket.rungs):
        start = plans[-1].stop if plans else 0
        n_next = bracket.rungs[index + 1].n_trials if index + 1 < len(bracket.rungs) else 1
        n_full = min(rule.n_full(n_next, pool.n_expected[rung.resource]), rung.n_trials)
        points = tuple(p for p in rule.points(start, rung.resource) if p >= min_resource)
        plans.append(RoundPlan(number, index, start, rung.resource, n_next, n_full, points))
        pool.expect(plans[-1])
    return tuple(plans)


class Round:
    """State of a round.

    Parameters
    ----------
    plans : sequence of RoundPlan
        Plan of this round and of those that follow in its bracket.
    n_trials : int
        Number of trials that enter.
    trials : TrialStore
        Trials of the search.
    train : callable
        ``train(round, trial_id, stop)`` queues a training job.
    """

    def __init__(
        self,
        plans: Sequence[RoundPlan],
        n_trials: int,
        trials: TrialStore,
        train: Callable[[Round, int, int], None],
    ) -> None:
        self.plan = plans[0]
        self.later = plans[1:]
        self.members: dict[int, int] = {}  # trial -> position, in the order in which they entered
        self.full: list[int] = []  # trained in full unconditionally
        self.paused: dict[int, int] = {}  # trial -> its decision point
        self.given = False  # curves handed to the pool
        self._n_trials = n_trials
        self._unasked: set[int] = set()  # paused trials whose prediction was not requested
        self._dropped: set[int] = set()  # by a decision
        self._busy: set[int] = set()
        self._trials = trials
        self._train = train

    # -- trials enter and arrive -------------------------------------------------------------

    @property
    def filling(self) -> bool:
        """Some trials have not entered yet."""
        return len(self.members) < self._n_trials

    @property
    def settled(self) -> bool:
        """Every trial has reached its decision point or the end of the round."""
        return not self._busy and not self.filling

    @property
    def over(self) -> bool:
        """Nothing is left to train or to decide."""
        return self.settled and not self.paused

    def enter(self, trial_id: int) -> None:
        """Admit a trial and queue its first job of this round."""
        self.members[trial_id] = len(self.members)
        if len(self.members) <= self.plan.n_full:
            self._train_fully(trial_id)
        else:
            self._send(trial_id, self.next_stop(self.plan.start))

    def truncate(self, reduction_factor: int) -> None:
        """Reduce the bracket to the trials that have entered, because there are no more."""
        size = self._n_trials = len(self.members)
        self.plan, *self.later = (
            replace(plan, n_next=min(plan.n_next, max(size // reduction_factor**power, 1)))
            for power, plan in enumerate((self.plan, *self.later), 1)
        )

    def retry(self, trial_id: int) -> None:
        """Train a trial to the end of the round that failed in it, unless it awaits a decision."""
        if trial_id not in self.paused:
            self._send(trial_id, self.plan.stop)

    def arrived(self, trial_id: int) -> bool:
        """Record that a job of the trial ended; return whether the round waited for it.

        It did not if an idle worker trained the trial ahead of its decision.
        """
        if trial_id not in self._busy:
            return False
        self._busy.remove(trial_id)
        self._pause(trial_id)
        return True

    def _pause(self, trial_id: int) -> None:
        """Let the trial wait for a decision, unless it failed or is at the end of the round."""
        if not self._trials.failed(trial_id) and not self._trials.reached(trial_id, self.plan.stop):
            self.paused[trial_id] = self._trials.resource(trial_id)
            self._unasked.add(trial_id)

    def _train_fully(self, trial_id: int) -> None:
        self.full.append(trial_id)
        self._send(trial_id, self.plan.stop)

    def _send(self, trial_id: int, stop: int) -> None:
        """Have a trial trained up to `stop`, unless it failed or was trained that far ahead."""
        if self._trials.failed(trial_id) or self._trials.reached(trial_id, stop):
            return
        self._busy.add(trial_id)
        if not self._trials.running(trial_id):
            self._train(self, trial_id, stop)

    # -- decisions ---------------------------------------------------------------------------

    def next_stop(self, point: int) -> int:
        """Return how far a trial is trained that continues at the decision point `point`."""
        return next((p for p in self.plan.points if p > point), self.plan.stop)

    def full_curves(self) -> tuple[Curve, ...]:
        """Return the curves of the trials trained in full, except those that failed."""
        curves = (self._trials.curve(trial, self.plan.stop) for trial in self.full)
        return tuple(curve for curve in curves if curve is not None)

    def reinforce(self, missing: int) -> None:
        """Train `missing` paused trials in full, as replacements for some that failed."""
        for trial in sorted(self.paused, key=self.members.__getitem__)[:missing]:
            self._resume(trial)
            self._train_fully(trial)

    def take_queries(self) -> list[int]:
        """Return the paused trials to predict, in their order, each only once."""
        trials = sorted(self._unasked, key=self.members.__getitem__)
        self._unasked.clear()
        return trials

    def decide(
        self, rule: RoundRule, trials: Sequence[int], mean: Sequence[float], std: Sequence[float]
    ) -> Event:
        """Let the rule choose among `trials`; the chosen continue and the others stop."""
        view = RoundView(
            n_next=self.plan.n_next,
            full=np.array([curve.losses[-1] for curve in self.full_curves()]),
            mean=np.nan_to_num(
                np.array(mean, dtype=float), nan=np.inf, posinf=np.inf, neginf=-np.inf
            ),
            std=np.nan_to_num(np.array(std, dtype=float), nan=0.0),
        )
        keep = rule.keep(view)
        point = self.paused[trials[0]]
        kept = tuple(trial for trial, chosen in zip(trials, keep, strict=True) if chosen)
        dropped = tuple(trial for trial, chosen in zip(trials, keep, strict=True) if not chosen)
        for trial in kept:
            self._send(trial, self.next_stop(self._resume(trial)))
            if trial not in self._busy:  # trained ahead to its next decision point
                self._pause(trial)
        self._dropped.update(dropped)
        for trial in dropped:
            self._resume(trial)
            self._trials.stop(trial, f"prediction after {point} units misses the cut")
        return Event("decision", self.plan.bracket, self.plan.rung, point, kept, dropped)

    def release(self, trials: Sequence[int]) -> None:
        """Have paused trials trained to the end of the round without further decisions."""
        for trial in trials:
            self._resume(trial)
            self._send(trial, self.plan.stop)

    def _resume(self, trial: int) -> int:
        """End the pause of a trial; return its decision point."""
        self._unasked.discard(trial)
        return self.paused.pop(trial)

    # -- the end -----------------------------------------------------------------------------

    def ranking(self) -> list[int]:
        """Return the trials that were trained to the end of the round and not stopped, best first.

        One that was trained ahead and then stopped is left out; one whose training ended by itself
        takes part with its last loss.
        """
        stop = self.plan.stop
        losses = {trial: self._trials.loss(trial, stop) for trial in self.members}
        ended = [t for t in self.members if losses[t] < np.inf and t not in self._dropped]
        return sorted(ended, key=losses.__getitem__)
