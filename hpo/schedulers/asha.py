"""ASHA: successive halving without rounds, for many workers and unequal epoch times.

A trial that reaches a rung continues if it is among the best ``1 / reduction_factor`` of the trials
that have reached the rung so far. Of the two types, *promotion* pauses all trials at each rung and
promotes those that come to qualify; *stopping* decides once, when a trial arrives, and stops it for
good if it does not qualify. Decisions depend on the order in which reports arrive; that is what
makes the method asynchronous.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, Literal

from hpo.brackets import check_integer, check_resources, hyperband_brackets
from hpo.schedulers._extension import TriesFirst, check_extension
from hpo.schedulers._trials import TrialStore
from hpo.searchers.base import Searcher
from hpo.trial import (
    Decision,
    Done,
    Event,
    ModelReport,
    Report,
    SchedulerSummary,
    TrainJob,
    Wait,
)


class _Rung:
    """The losses seen at one resource."""

    def __init__(self, resource: int, reduction_factor: int) -> None:
        self.resource = resource
        self.n_seen = 0  # trials that arrived, failed ones included
        self.paused: list[tuple[float, int]] = []  # loss and trial, a heap
        self._eta = reduction_factor
        self._ranked: list[float] = []  # losses that others are compared with, ascending

    def best_paused(self) -> int | None:
        """Return the best paused trial if it qualifies beside those promoted before."""
        if not self.paused:
            return None
        loss, trial = self.paused[0]
        return trial if bisect_left(self._ranked, loss) < self.n_seen // self._eta else None

    def promote_best(self) -> None:
        """Record that the best paused trial continues."""
        insort(self._ranked, heappop(self.paused)[0])

    def qualifies(self, loss: float) -> bool:
        """Record a loss; return whether it is among the best 1/eta so far (the first one is)."""
        rank = bisect_left(self._ranked, loss)
        insort(self._ranked, loss)
        return rank < max(self.n_seen // self._eta, 1)


class ASHA(TriesFirst):
    """Asynchronous successive halving.

    Parameters
    ----------
    searcher : Searcher
        Proposes configurations.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    reduction_factor : int, default=2
        Halving rate, eta: the best 1/eta of the trials continue at a rung.
    type : {"promotion", "stopping"}, default="promotion"
        Whether trials pause at a rung until they qualify to continue, or stop unless they qualify
        on arrival.
    n_trials : int or None, default=None
        Number of trials. None: as many as Hyperband starts.
    min_resource : int, default=1
        Resource of the first rung.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.SwiftASHA : Resumes trials by forecasts of their final losses.
    hpo.SuccessiveHalving, hpo.Hyperband : The same comparisons in rounds.

    References
    ----------
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020,
    :arxiv:`1810.05934`. The stopping type is that of Ray Tune and Syne Tune.

    Examples
    --------
    >>> from hpo import ASHA
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> result = simulate(lambda searcher: ASHA(searcher, max_resource=27), table)
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (43, 234, 0.27)
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        type: Literal["promotion", "stopping"] = "promotion",  # noqa: A002 - Syne Tune's name
        n_trials: int | None = None,
        min_resource: int = 1,
    ) -> None:
        check_resources(max_resource, reduction_factor, min_resource)
        if type not in ("promotion", "stopping"):
            raise ValueError(f"type must be 'promotion' or 'stopping', got {type!r}")
        if n_trials is None:
            brackets = hyperband_brackets(max_resource, reduction_factor)
            n_trials = sum(bracket.n_trials for bracket in brackets)
        check_integer("n_trials", n_trials, 1)
        self._searcher = searcher
        self._eta = reduction_factor
        self._stopping = type == "stopping"
        self._n_trials = n_trials
        self._max_trials: int | None = None  # see `limit_trials`
        self._trials = TrialStore()
        self._rungs: list[_Rung] = []  # resources rise by the factor; the last is max_resource
        while min_resource < max_resource:
            self._rungs.append(_Rung(min_resource, reduction_factor))
            min_resource *= reduction_factor
        self._rungs.append(_Rung(max_resource, reduction_factor))
        self._target: dict[int, int] = {}  # running trial -> level of the rung it is trained to
        self._failed_at: dict[int, int] = {}  # trial -> level of the rung that it failed to reach
        # Trials that continue without being promoted, and the levels they are to be trained to.
        self._continuing: deque[tuple[int, int]] = deque()

    # -- the scheduler's three methods -------------------------------------------------------

    def ask(self) -> Decision:
        """Continue a trial (by promotion: at the highest rung), else start one."""
        job = self._next_continuation() or self._new_trial()
        if job is not None:
            return job
        if self._trials.n_outstanding:
            return Wait()
        self._trials.stop_waiting()  # here only if the searcher turned out to have no more trials
        return Done()

    def tell(self, report: Report) -> None:
        """Take in a report (see `hpo.loop.Scheduler.tell`)."""
        if isinstance(report, ModelReport):
            raise ValueError(f"ASHA requests no predictions, got {report}")
        if not self._trials.receive(report):
            return
        self._arrived(report.trial_id)
        if (
            self._trials.n_outstanding == 0
            and not self._continuing
            and (self._trials.n_trials >= self._n_trials or self.trials_withheld)
            and all(rung.best_paused() is None for rung in self._rungs)
        ):
            self._trials.stop_waiting()

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
        """Start no more trials than this (see `hpo.loop.LimitsTrials`).

        Trials that paused when a search under a lower limit ended wait again.
        """
        self._max_trials = n_trials
        if self._trials.n_trials < self._n_trials and not self.trials_withheld:
            self._trials.resume_waiting()

    def retry(self, trial_ids: Sequence[int]) -> None:
        """Take failed trials back (see `hpo.loop.RetriesTrials`): they did not reach their rungs.

        Trials that paused when the search ended wait again, since fewer have been seen.
        """
        if trial_ids:
            self._trials.resume_waiting()
        for trial in trial_ids:
            self._trials.retry(trial)
            level = self._failed_at.pop(trial)
            self._rungs[level].n_seen -= 1
            self._continuing.append((trial, level))

    def extend(self, **settings: Any) -> None:
        """Start more trials, or train the best ones further (see `hpo.loop.Extendable`).

        Parameters
        ----------
        **settings
            ``n_trials``, ``max_resource``. With a larger `max_resource`, rungs are added: trials
            that were trained to the present one are compared there like those of any rung, and the
            best one goes on at least.
        """
        top = self._rungs[-1].resource
        present = {"n_trials": self._n_trials, "max_resource": top}
        checked = check_extension(self, settings, present)
        check_resources(checked["max_resource"], self._eta)
        self._n_trials = checked["n_trials"]
        self._trials.resume_waiting()
        level = len(self._rungs) - 1
        while self._rungs[-1].resource < checked["max_resource"]:
            resource = min(self._rungs[-1].resource * self._eta, checked["max_resource"])
            self._rungs.append(_Rung(resource, self._eta))
        if len(self._rungs) - 1 > level:
            self._reopen_complete(level)

    def _reopen_complete(self, level: int) -> None:
        """Compare the trials that are complete at what was the last rung; the best one goes on."""
        rung = self._rungs[level]
        trials = [
            (self._trials.loss(trial, rung.resource), trial)
            for trial in range(self._trials.n_trials)
            if self._trials.complete_at(trial, rung.resource)
        ]
        for _, trial in sorted(trials):
            self._trials.reopen(trial)
            self._decide(trial, level)
        if rung.paused and rung.best_paused() is None:  # too few for one to qualify
            _, best = rung.paused[0]
            rung.promote_best()
            self._record(level, kept=(best,))
            self._continuing.append((best, level + 1))

    # -- decisions ---------------------------------------------------------------------------

    def _arrived(self, trial: int) -> None:
        """Decide on a trial at the rung that it was trained to."""
        level = self._target.pop(trial)
        if self._trials.failed(trial):
            self._rungs[level].n_seen += 1
            self._failed_at[trial] = level
        else:
            self._compare(trial, level)
        self._promote_ended()

    def _compare(self, trial: int, level: int) -> None:
        """Compare a trial with those that have reached the rung."""
        rung = self._rungs[level]
        rung.n_seen += 1
        if level == len(self._rungs) - 1:
            self._trials.complete(trial)
            return
        self._decide(trial, level)

    def _decide(self, trial: int, level: int) -> None:
        """Let a trial that reached a rung pause, go on or stop."""
        rung = self._rungs[level]
        loss = self._trials.loss(trial, rung.resource)
        if not self._stopping:
            heappush(rung.paused, (loss, trial))
        elif rung.qualifies(loss):
            self._record(level, kept=(trial,))
            if self._trials.ended(trial):
                self._compare(trial, level + 1)
            else:
                self._continuing.append((trial, level + 1))
        else:
            self._record(level, dropped=(trial,))
            self._trials.stop(trial, f"not among the best after {rung.resource} units")

    def _promote_ended(self) -> None:
        """Promote trials whose training ended by itself: they need no job for that."""
        level = 0
        while level < len(self._rungs) - 1:
            trial = self._rungs[level].best_paused()
            if trial is None or not self._trials.ended(trial):
                level += 1
                continue
            self._rungs[level].promote_best()
            self._record(level, kept=(trial,))
            self._compare(trial, level + 1)  # at a later level

    def _next_continuation(self) -> TrainJob | None:
        if self._continuing:
            return self._train(*self._continuing.popleft())
        for level in range(len(self._rungs) - 2, -1, -1):
            trial = self._rungs[level].best_paused()
            if trial is not None:
                self._rungs[level].promote_best()
                self._record(level, kept=(trial,))
                self._promote_ended()
                return self._train(trial, level + 1)
        return None

    def _new_trial(self) -> TrainJob | None:
        if self._trials.n_trials >= self._n_trials or self.trials_withheld:
            return None
        config = self._searcher.propose(self._trials.n_trials)
        if config is None:
            self._n_trials = self._trials.n_trials
            return None
        return self._train(self._trials.add(config), 0)

    def _train(self, trial: int, level: int) -> TrainJob:
        self._target[trial] = level
        return self._trials.start(trial, self._rungs[level].resource, level)

    def _record(
        self, level: int, kept: tuple[int, ...] = (), dropped: tuple[int, ...] = ()
    ) -> None:
        resource = self._rungs[level].resource
        self._trials.events.append(Event("rung", 0, level, resource, kept, dropped))
