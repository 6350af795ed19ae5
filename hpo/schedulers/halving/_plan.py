"""The figures of every round, worked out from the sizes alone, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.brackets import Bracket, make_bracket
from hpo.schedulers.halving._pool import CurvePool
from hpo.schedulers.halving.rules import RoundRule


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
    brackets will give.  That count is known beforehand, so it is taken from the plan and not from
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
