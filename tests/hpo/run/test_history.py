"""The best value so far: one definition for history, progress, figures and pages."""

from __future__ import annotations

import math

import pytest

from hpo.run.history import BestSoFar, BestValue, best_so_far
from hpo.run.progress import Progress
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.schedulers import ASHA, Hyperband
from hpo.searchers import ListSearcher
from hpo.trainers.objective import Objective
from hpo.trial import SchedulerSummary, TrainReport, TrialStatus, TrialSummary


def bumpy(config, start, stop, checkpoint):
    """Return losses that are lowest early, so that a complete trial is worse than its past."""
    if config["x"] == 0.3 and stop > 1:
        raise ValueError("out of memory")
    return [config["x"] + abs(unit - 2) / 10 for unit in range(start + 1, stop + 1)]


def search(scheduler=Hyperband, mode="min", **options) -> Results:
    sign = 1 if mode == "min" else -1

    def train(config, start, stop, checkpoint):
        return [sign * value for value in bumpy(config, start, stop, checkpoint)]

    searcher = ListSearcher([{"x": n / 10} for n in (9, 3, 5, 1, 7, 2, 8, 4, 6)])
    options = {"max_retries": 0, "executor": "inline", "mode": mode, **options}
    return Tuner(train, scheduler(searcher, max_resource=4, reduction_factor=2), **options).run()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("scheduler", [Hyperband, ASHA])
def test_it_never_gets_worse_within_a_phase(scheduler, mode) -> None:
    results = search(scheduler, mode)
    points = results.history()
    phases = [point.complete for point in points]
    assert phases == sorted(phases)
    assert set(phases) == {False, True}
    for complete in (False, True):
        losses = [results.objective.loss(p.best) for p in points if p.complete == complete]
        assert losses == sorted(losses, reverse=True)
    assert points[-1].best == results.best.value
    before = [results.objective.loss(p.best) for p in points if not p.complete]
    assert before[-1] < results.best.last_loss  # a value that no complete trial has


def test_the_state_of_the_search_gives_the_same_value_as_its_reports() -> None:
    seen: list[tuple[int, BestValue]] = []

    class Watch(Progress):
        def show(self, summary: SchedulerSummary, baseline: object) -> None:
            seen.append((summary.epochs, best_so_far(summary.trials)))

    results = search(progress=Watch())
    points = {point.epochs: point for point in results.history()}
    known = [(epochs, best) for epochs, best in seen if epochs in points]
    assert known
    for epochs, best in known:
        assert (best.loss, best.complete) == (points[epochs].best, points[epochs].complete)


def test_trials_that_failed_or_are_not_finite() -> None:
    status = TrialStatus
    failed = TrialSummary(0, {}, 0, 0, status.FAILED, (0.2, math.nan))
    running = TrialSummary(1, {}, 0, 0, status.RUNNING, (0.4, -math.inf, 0.6))
    nan = TrialSummary(2, {}, 0, 0, status.COMPLETED, (0.1, math.nan))
    done = TrialSummary(3, {}, 0, 0, status.COMPLETED, (0.1, 0.7))
    assert best_so_far([]) == BestValue(math.inf, complete=False, trial_id=None)
    assert best_so_far([running]) == BestValue(0.4, complete=False, trial_id=1)
    assert best_so_far([failed, running]).trial_id == 0  # or it would get worse by the failure
    assert best_so_far([failed, running, nan]).loss == 0.1
    assert best_so_far([failed, running, nan, done]) == BestValue(0.7, complete=True, trial_id=3)


def test_equal_trials_and_training_that_ended_by_itself() -> None:
    ends = [TrialSummary(n, {}, 0, 0, TrialStatus.COMPLETED, (0.5,)) for n in range(2)]
    best = BestSoFar(ends)
    assert best.after(TrainReport(1, 0, 1, (0.5,))).trial_id == 1
    assert best.after(TrainReport(0, 0, 1, (0.5,))).trial_id == 0
    assert best_so_far(ends).trial_id == 0
    ended = BestSoFar(ends[:1])
    ended._ends = {0: 2}
    assert not ended.after(TrainReport(0, 0, 1, (0.5,))).complete
    assert ended.after(TrainReport(0, 1, 4, (), finished=True)) == BestValue(
        0.5, complete=True, trial_id=0
    )
    assert best_so_far(ends).phase == "best complete trial so far"


def test_a_run_cut_before_a_trial_is_complete_says_so() -> None:
    trials = (TrialSummary(0, {}, 0, 0, TrialStatus.RUNNING, (0.9, 0.3, 0.4)),)
    results = Results.of(
        SchedulerSummary(trials, trials[0], 3, ()),
        [(5.0, TrainReport(0, 0, 1, (0.9,)))],
        [],
        None,
        finished=False,
        objective=Objective("", "min"),
    )
    points = results.history()
    assert [(p.epochs, p.best, p.complete) for p in points] == [(1, 0.9, False), (3, 0.3, False)]
    assert results.best.value == 0.4
