"""Deletes the checkpoints of trials that will not be trained further, during the run.

The journal says first which checkpoints are deleted, so a run that is killed in between deletes
the rest when it is resumed, and a trial that is taken back nevertheless (`hpo.loop.RetriesTrials`)
is known to start from the beginning.

While the search goes on, the checkpoints of a few of these trials stay: whatever happens to the
trials that are trained further, the best trial by each definition of `hpo.Results.best_trial` has
its checkpoint. At the end that of `hpo.Results.best` stays.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpo.errors import MissingObjectiveError
from hpo.loop import RetiresTrials, Runner, Scheduler
from hpo.run.checkpoints import CheckpointStore
from hpo.run.journal import Journal
from hpo.run.replay import RESTART
from hpo.trial import (
    Epoch,
    Job,
    Report,
    SchedulerSummary,
    Scope,
    TrialStatus,
    TrialSummary,
    best_of,
)

REMOVED = "removed"
"""Kind of the journal's note of the trials whose checkpoints are deleted."""

_SHARE = 0.02
"""Largest fraction of the time that is spent on finding such trials before the search is over."""


def removed_before(notes: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the trials whose checkpoints were deleted and that have not started again since.

    Parameters
    ----------
    notes : iterable of Mapping
        Notes of the run so far, in order.
    """
    trials: set[int] = set()
    for note in notes:
        if note.get("what") == REMOVED:
            trials.update(note["trials"])
        elif note.get("what") == RESTART:
            trials.discard(note["trial_id"])
    return trials


@contextlib.contextmanager
def discarded_without_objective(journal: Journal, store: CheckpointStore) -> Iterator[None]:
    """Delete a new run if its trainer does not return the objective.

    The header of the journal names the objective, so resuming the run could only fail again. No
    value was reported yet, so nothing is lost, and the corrected command can use the same names.
    """
    try:
        yield
    except MissingObjectiveError:
        journal.close()
        journal.path.unlink()
        shutil.rmtree(store.root, ignore_errors=True)
        raise


class RemovingRunner:
    """A `hpo.loop.Runner` that deletes checkpoints before it waits for reports.

    Parameters
    ----------
    runner : Runner
        Runs the jobs.
    scheduler : Scheduler
        States which trials it will not train any more, if it is a `RetiresTrials`; otherwise
        checkpoints are deleted at the end of the search.
    checkpoints : CheckpointStore
        Checkpoints of the run.
    note : callable
        Called with what goes into the journal, before anything is deleted.
    keep : bool, default=False
        Whether to delete nothing.
    """

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        checkpoints: CheckpointStore,
        note: Callable[[Mapping[str, Any]], None],
        *,
        keep: bool = False,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._checkpoints = checkpoints
        self._note = note
        self._keep = keep
        self._settled = set(checkpoints.removed)  # retired trials that have no checkpoint any more
        self._seen: object = None  # the retired trials when they were last looked at
        self._next = -math.inf
        for trial in () if keep else checkpoints.removed:  # the run may have been killed in between
            checkpoints.remove(trial)

    @property
    def free(self) -> int:
        """Number of further training jobs that may be submitted now."""
        return self._runner.free

    def submit(self, job: Job) -> None:
        """Pass a job on."""
        self._runner.submit(job)

    def wait(self) -> Sequence[Report]:
        """Delete what is not needed any more, then wait for reports."""
        begun = time.monotonic()
        is_due = begun >= self._next and not self._keep
        if is_due and isinstance(self._scheduler, RetiresTrials):
            self._remove(self._scheduler)
            now = time.monotonic()
            self._next = now + (now - begun) / _SHARE
        return self._runner.wait()

    def finish(self) -> None:
        """Delete all but the best trial's checkpoint, of those that are not trained any more."""
        if self._keep:
            return
        summary = self._scheduler.summary()
        over = {t.trial_id for t in summary.trials if t.status.over}
        if len(over) < len(summary.trials):
            return  # the search can go on
        if isinstance(self._scheduler, RetiresTrials):
            over = set(self._scheduler.retired())
        else:  # a trial that failed may be taken back
            over = {t for t in over if summary.trials[t].status is not TrialStatus.FAILED}
        self._delete(over - self._settled - _best_of(summary))

    def _remove(self, scheduler: RetiresTrials) -> None:
        """Delete the checkpoints of retired trials, except those of the best ones so far."""
        retired = scheduler.retired()
        if retired is self._seen:
            return
        self._seen = retired
        self._settled &= retired  # others were taken back
        trials = set(retired - self._settled)
        summary = self._scheduler.summary()
        best = _best_by_any_definition([summary.trials[trial] for trial in trials])
        self._delete(trials - best - _best_of(summary))

    def _delete(self, trials: set[int]) -> None:
        self._settled |= trials
        # A trainer may keep no checkpoints: its trials go on without them if they are taken back.
        found = [trial for trial in sorted(trials) if self._checkpoints.found(trial) is not None]
        if not found:
            return
        self._note({"what": REMOVED, "trials": found})
        self._checkpoints.removed.update(found)
        for trial in found:
            self._checkpoints.remove(trial)


def _best_of(summary: SchedulerSummary) -> set[int]:
    return set() if summary.best is None else {summary.best.trial_id}


def _best_by_any_definition(trials: Sequence[TrialSummary]) -> set[int]:
    """Return the best trials by each definition that `hpo.Results.best_trial` offers."""
    scopes: tuple[Scope, ...] = ("complete", "any")
    epochs: tuple[Epoch, ...] = ("last", "best")
    best = (best_of(trials, scope=scope, epoch=epoch) for scope in scopes for epoch in epochs)
    return {trial.trial_id for trial in best if trial is not None}
