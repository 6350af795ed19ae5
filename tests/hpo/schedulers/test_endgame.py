"""The end of Swift-ASHA: all workers stop together, with trials finished, and within the epochs."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from hpo.predictors import PooledPredictor
from hpo.schedulers import SwiftASHA
from hpo.schedulers.freeze_thaw.endgame import Speeds
from hpo.searchers import ListSearcher
from hpo.simulation import TableSearcher, simulate
from hpo.trial import Done, ForecastJob, ForecastReport, TrainJob, TrainReport, TrialStatus, Wait


class Watch:
    """Remembers the jobs in the order in which they were handed out."""

    def __init__(self):
        self.jobs = []

    def decided(self, job):
        self.jobs.append(job)

    def reported(self, report):
        """Nothing to note."""

    @property
    def trained(self):
        return [job for job in self.jobs if isinstance(job, TrainJob)]


def search(table, n_workers, *, full=1.0, times=None, seed=0):
    """Search with so many full trainings' worth of epochs for each worker."""
    watch = Watch()
    result = simulate(
        lambda s: SwiftASHA(s, max_resource=27, seed=seed, max_epochs=int(full * n_workers * 27)),
        table,
        searcher=TableSearcher(table, seed),
        n_workers=n_workers,
        epoch_times=times,
        predictor=PooledPredictor("ridge", folds=0),
        recorder=watch,
    )
    return result, watch


def completed(summary):
    return [trial for trial in summary.trials if trial.status is TrialStatus.COMPLETED]


@pytest.mark.parametrize("n_workers", [20, 60])
@pytest.mark.parametrize("seed", [0, 1])
def test_workers_with_one_full_training_each_are_busy_to_the_end(falling, n_workers, seed):
    times = np.random.default_rng(seed).lognormal(0, 0.5, len(falling))
    result, _ = search(falling, n_workers, times=times, seed=seed)
    assert result.utilisation > 0.93
    assert 0.95 * 27 * n_workers < result.summary.epochs <= 27 * n_workers
    assert len(completed(result.summary)) >= n_workers / 5


def test_a_few_trials_that_are_far_slower_do_not_hold_the_others_up(falling):
    times = np.ones(len(falling))
    times[::25] = 12.0
    result, _ = search(falling, 40, times=times)
    assert result.utilisation > 0.93


def test_jobs_shrink_to_one_epoch_and_late_ones_start_no_trial(falling):
    _, watch = search(falling, 40)
    sizes = [job.stop - job.start for job in watch.trained]
    steps = [job.stop - job.start for job in watch.trained if job.stop < 27]
    assert max(steps) == 27 // 8
    assert set(sizes[-40:]) == {1}
    # The epochs that are left when the last trial starts: a third of a training for each worker.
    last = max(place for place, job in enumerate(watch.trained) if job.start == 0)
    assert sum(sizes[last:]) >= 40 * 27 / 3


@pytest.mark.parametrize("n_workers", [5, 25, 100])
def test_more_workers_ask_for_no_more_forecasts(falling, n_workers):
    _, watch = search(falling, n_workers)
    forecasts = [job for job in watch.jobs if isinstance(job, ForecastJob)]
    assert 15 < len(forecasts) <= 1 + 1 / 0.03
    assert (
        forecasts[-1].n_proposals == 0
    )  # the surface is not fitted for trials that will not start


@pytest.mark.parametrize("n_workers", [1, 7, 50, 200])
def test_one_trial_is_finished_however_few_epochs_there_are(falling, n_workers):
    result, _ = search(falling, n_workers, full=40 / 27 / n_workers)
    assert result.summary.epochs <= 40
    assert len(completed(result.summary)) == 1


def test_a_trial_is_as_slow_as_what_is_reported_meanwhile():
    """Ten workers; trial 0 takes three times as long as the others, trial 1 half as long."""
    speeds = Speeds()
    for trial in range(10):
        speeds.began(trial)
    for tick in range(1, 61):  # an average epoch has two ticks
        for trial in range(10):
            if tick % {0: 6, 1: 1}.get(trial, 2) == 0:
                speeds.ended(trial, 1)
                speeds.began(trial)
    slow = speeds.slowness()
    assert speeds.n_workers == 10
    np.testing.assert_allclose(slow[[0, 1]] / slow[2:].mean(), [3, 0.5], rtol=0.15)


def test_workers_that_went_away_are_forgotten():
    speeds = Speeds()
    for trial in range(8):
        speeds.began(trial)
    for trial in range(6):
        speeds.ended(trial, 1)
    speeds.mark()
    assert speeds.n_workers == 8
    speeds.mark()
    assert speeds.n_workers == 2


def test_waiting_draws_nothing_and_the_same_reports_give_the_same_decisions():
    """Asked twice as often where it waits, on 30 workers that report in any order."""
    calm, eager = (_decisions(n_asks) for n_asks in (1, 3))
    assert calm == eager
    assert len(calm) > 300


def _decisions(n_asks):
    dice = Random(3)
    scheduler = SwiftASHA(
        ListSearcher([{"x": i} for i in range(90)]), max_resource=27, max_epochs=30 * 27
    )
    pending, log = [], []
    while True:
        running = sum(isinstance(job, TrainJob) for job in pending)
        decision = scheduler.ask() if running < 30 else None
        if isinstance(decision, Done):
            return log
        if decision is not None and not isinstance(decision, Wait):
            log.append(decision.to_json())
            pending.append(decision)
            continue
        for _ in range(n_asks if decision is not None else 0):
            assert isinstance(scheduler.ask(), Wait)
        job = pending.pop(dice.randrange(len(pending)))
        if isinstance(job, ForecastJob):
            lasts = tuple(curve.losses[-1] for curve in job.curves)
            scheduler.tell(ForecastReport(job.job_id, lasts, (0.1,) * len(lasts)))
        else:
            losses = tuple(job.config["x"] % 7 + 1 / u for u in range(job.start + 1, job.stop + 1))
            scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
