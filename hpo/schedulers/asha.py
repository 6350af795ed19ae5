"""ASHA: successive halving without rounds, for many workers and unequal epoch times.

Two forms. *Promotion*: a trial pauses at each rung and goes on once it is among the best
``1 / reduction_factor`` of those that have come so far. *Stopping*: a trial that reaches a rung
goes on at once if it is among the best ``1 / reduction_factor`` there, and stops for good if not.
Decisions depend on the order in which reports come; that is what makes the method asynchronous.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from hpo.brackets import check_resources, hyperband_brackets, make_bracket
from hpo.schedulers._trials import TrialStore
from hpo.searchers.base import Searcher
from hpo.trial import Decision, Done, Event, ModelReport, Report, SchedulerSummary, TrainJob, Wait


class _Rung:
    """The losses seen at one resource."""

    def __init__(self, resource: int) -> None:
        self.resource = resource
        self.n_seen = 0
        self.paused: list[tuple[float, int]] = []  # loss and trial, best first
        self._promoted: list[float] = []  # losses of those that went on, sorted

    def best_paused(self, reduction_factor: int) -> int | None:
        """Return the best paused trial if it is among the best 1/eta of all seen, else None."""
        if not self.paused:
            return None
        loss, trial = self.paused[0]
        rank = bisect_left(self._promoted, loss)
        return trial if rank < self.n_seen // reduction_factor else None

    def promote_best(self) -> None:
        """Note that the best paused trial goes on."""
        loss, _ = self.paused.pop(0)
        insort(self._promoted, loss)


class _Asynchronous:
    """What both forms share: trials are started on demand, and trained from rung to rung."""

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,  # noqa: ARG002 - nothing is drawn but configurations
        n_trials: int | None = None,
        min_resource: int = 1,
    ) -> None:
        check_resources(max_resource, reduction_factor)
        if n_trials is None:
            brackets = hyperband_brackets(max_resource, reduction_factor)
            n_trials = sum(bracket.n_trials for bracket in brackets)
        if not 1 <= min_resource <= max_resource:
            raise ValueError(
                f"min_resource must lie in 1..{max_resource} (max_resource), got {min_resource}"
            )
        make_bracket(max_resource, reduction_factor, 0, n_trials)  # checks n_trials
        self._searcher = searcher
        self._eta = reduction_factor
        self._n_trials: int = n_trials
        self._ledger = TrialStore()
        self._rungs = [_Rung(r) for r in _levels(min_resource, max_resource, reduction_factor)]
        self._at: dict[int, int] = {}  # trial -> the rung that it is on its way to

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._ledger.summary()

    def _arrive(self, report: Report) -> tuple[int, int] | None:
        """Take in a report; return trial and rung where a finite loss has come to a rung."""
        if isinstance(report, ModelReport):
            raise ValueError(f"this scheduler asks for no predictions, got {report}")
        if not self._ledger.receive(report):
            return None
        trial = report.trial_id
        level = self._at.pop(trial)
        self._rungs[level].n_seen += 1
        return None if self._ledger.failed(trial) else (trial, level)

    def _send(self, trial: int, level: int) -> TrainJob:
        self._at[trial] = level
        return self._ledger.start(trial, self._rungs[level].resource, level)

    def _new_trial(self) -> TrainJob | None:
        if self._ledger.n_trials >= self._n_trials:
            return None
        config = self._searcher.propose(self._ledger.n_trials)
        if config is None:
            self._n_trials = self._ledger.n_trials
            return None
        return self._send(self._ledger.add(config), 0)

    def _loss(self, trial: int, level: int) -> float:
        return self._ledger.loss(trial, self._rungs[level].resource)

    def _event(self, trial: int, level: int, *, kept: bool) -> None:
        who = (trial,)
        resource = self._rungs[level].resource
        event = Event("rung", 0, level, resource, who if kept else (), () if kept else who)
        self._ledger.events.append(event)


class ASHA(_Asynchronous):
    """Asynchronous successive halving, the form that pauses and promotes.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta: one of how many trials goes on.
    seed : int
        Not used: nothing is drawn but configurations.
    n_trials : int or None
        Trials to start. None: as many as Hyperband starts.
    min_resource : int
        Units at the first rung.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020.
    """

    def ask(self) -> Decision:
        """Return the highest promotion there is, else a new trial, `Wait` or `Done`."""
        return self._promotion() or self._new_trial() or self._nothing()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        arrival = self._arrive(report)
        if arrival is not None:
            self._pause(*arrival)
        if self._over():
            self._stop_paused()

    def _pause(self, trial: int, level: int) -> None:
        if level == len(self._rungs) - 1:
            self._ledger.complete(trial)
        else:
            insort(self._rungs[level].paused, (self._loss(trial, level), trial))

    def _promotion(self) -> TrainJob | None:
        for level in range(len(self._rungs) - 2, -1, -1):
            trial = self._rungs[level].best_paused(self._eta)
            if trial is not None:
                self._rungs[level].promote_best()
                self._event(trial, level, kept=True)
                return self._send(trial, level + 1)
        return None

    def _over(self) -> bool:
        """Nothing runs, nothing can be promoted and no trial is left to start."""
        return (
            self._ledger.n_outstanding == 0
            and self._ledger.n_trials >= self._n_trials
            and all(rung.best_paused(self._eta) is None for rung in self._rungs)
        )

    def _stop_paused(self) -> None:
        for rung in self._rungs:
            for _, trial in rung.paused:
                self._ledger.stop(trial, f"not among the best after {rung.resource} units")
            rung.paused.clear()

    def _nothing(self) -> Decision:
        if self._ledger.n_outstanding:
            return Wait()
        self._stop_paused()  # here only where the searcher turned out to have no more trials
        return Done()


class ASHAStopping(_Asynchronous):
    """Asynchronous successive halving, the form that stops or goes on at once.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta: one of how many trials goes on.
    seed : int
        Not used: nothing is drawn but configurations.
    n_trials : int or None
        Trials to start. None: as many as Hyperband starts.
    min_resource : int
        Units at the first rung.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020; the stopping form
    is that of Ray Tune and Syne Tune.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        n_trials: int | None = None,
        min_resource: int = 1,
    ) -> None:
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            seed=seed,
            n_trials=n_trials,
            min_resource=min_resource,
        )
        self._seen: list[list[float]] = [[] for _ in self._rungs]  # losses, sorted
        self._go_on: deque[tuple[int, int]] = deque()

    def ask(self) -> Decision:
        """Return the next leg of a trial that goes on, else a new trial, `Wait` or `Done`."""
        if self._go_on:
            return self._send(*self._go_on.popleft())
        return self._new_trial() or (Wait() if self._ledger.n_outstanding else Done())

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        arrival = self._arrive(report)
        if arrival is None:
            return
        trial, level = arrival
        if level == len(self._rungs) - 1:
            self._ledger.complete(trial)
            return
        loss = self._loss(trial, level)
        rank = bisect_left(self._seen[level], loss)
        insort(self._seen[level], loss)
        kept = rank < max(self._rungs[level].n_seen // self._eta, 1)
        self._event(trial, level, kept=kept)
        if kept:
            self._go_on.append((trial, level + 1))
        else:
            resource = self._rungs[level].resource
            self._ledger.stop(trial, f"not among the best after {resource} units")


def _levels(min_resource: int, max_resource: int, reduction_factor: int) -> list[int]:
    """Return the rungs' resources: geometric from the least, the last one the most."""
    levels = []
    while min_resource < max_resource:
        levels.append(min_resource)
        min_resource *= reduction_factor
    return [*levels, max_resource]
