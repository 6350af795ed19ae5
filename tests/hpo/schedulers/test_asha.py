from __future__ import annotations

from random import Random

import pytest

from calls import calls_during
from hpo.schedulers import ASHA
from hpo.searchers import ListSearcher
from hpo.simulation import simulate
from hpo.trial import Done, TrainJob, TrainReport, TrialStatus, Wait


def searcher(count=100):
    return ListSearcher([{"x": i} for i in range(count)])


def finish(scheduler, job, loss):
    losses = (loss,) * (job.stop - job.start)
    scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))


def test_promotes_as_soon_as_one_of_eta_is_known():
    scheduler = ASHA(searcher(), max_resource=9, reduction_factor=3, n_trials=6)
    jobs = [scheduler.ask() for _ in range(3)]
    assert [(job.start, job.stop) for job in jobs] == [(0, 1)] * 3
    finish(scheduler, jobs[0], 3.0)
    finish(scheduler, jobs[1], 1.0)
    assert scheduler.ask().trial_id == 3  # two of three are not enough to promote
    finish(scheduler, jobs[2], 2.0)
    promoted = scheduler.ask()
    assert (promoted.trial_id, promoted.start, promoted.stop) == (1, 1, 3)
    (event,) = scheduler.summary().events
    assert (event.kind, event.resource, event.kept, event.dropped) == ("rung", 1, (1,), ())
    assert scheduler.ask().trial_id == 4
    assert scheduler.ask().trial_id == 5
    assert isinstance(scheduler.ask(), Wait)


def test_worse_promotions_do_not_use_up_the_share():
    scheduler = ASHA(searcher(), max_resource=9, reduction_factor=3, n_trials=9)
    jobs = [scheduler.ask() for _ in range(9)]
    for job in jobs[:3]:
        finish(scheduler, job, 5.0 + job.trial_id)
    assert scheduler.ask().trial_id == 0
    for job in jobs[3:6]:
        finish(scheduler, job, 1.0 + job.trial_id)
    # Of six, two may go on: trials 3 and 4, though trial 0 went on before.
    assert [scheduler.ask().trial_id for _ in range(2)] == [3, 4]


def test_stopping_goes_on_at_once_or_stops_for_good():
    scheduler = ASHA(searcher(), type="stopping", max_resource=9, reduction_factor=3, n_trials=4)
    first = scheduler.ask()
    finish(scheduler, first, 2.0)
    going_on = scheduler.ask()
    assert (going_on.trial_id, going_on.start, going_on.stop) == (0, 1, 3)
    second = scheduler.ask()
    finish(scheduler, second, 3.0)
    trial = scheduler.summary().trials[1]
    assert trial.status is TrialStatus.STOPPED
    assert "not among the best after 1 units" in trial.reason


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_finds_a_good_trial_on_many_workers(kind, falling):
    result = simulate(
        lambda s: ASHA(s, type=kind, max_resource=27, reduction_factor=3, n_trials=150),
        falling,
        n_workers=20,
    )
    assert len(result.summary.trials) == 150
    finals = sorted(falling.losses[:, -1])
    assert result.summary.best.last_loss < finals[40]
    assert result.summary.epochs < 150 * 27 / 4


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_settings(kind):
    with pytest.raises(ValueError, match="min_resource"):
        ASHA(searcher(), type=kind, max_resource=9, min_resource=10)
    with pytest.raises(ValueError, match="n_trials"):
        ASHA(searcher(), type=kind, max_resource=9, n_trials=0)
    scheduler = ASHA(
        searcher(), type=kind, max_resource=10, reduction_factor=3, min_resource=2, n_trials=1
    )
    finish(scheduler, scheduler.ask(), 1.0)
    while not isinstance(job := scheduler.ask(), Done):
        finish(scheduler, job, 1.0)
    assert scheduler.summary().trials[0].status in (TrialStatus.STOPPED, TrialStatus.COMPLETED)


def test_the_type_is_checked():
    with pytest.raises(ValueError, match="type must be 'promotion' or 'stopping', got 'pause'"):
        ASHA(searcher(), max_resource=9, type="pause")


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_no_call_costs_more_as_the_search_grows(kind):
    def worst(n_trials):
        search = ASHA(
            ListSearcher([{"x": i} for i in range(n_trials)]),
            max_resource=9,
            reduction_factor=3,
            n_trials=n_trials,
            type=kind,
        )
        random, most = Random(0), 0

        def counted(work, *args):
            nonlocal most
            result, python, n_c = calls_during(lambda: work(*args))
            most = max(most, sum(python.values()) + n_c)
            return result

        while isinstance(job := counted(search.ask), TrainJob):
            losses = tuple(random.random() for _ in range(job.start, job.stop))
            counted(search.tell, TrainReport(job.trial_id, job.start, job.stop, losses))
        assert isinstance(job, Done)
        trials = search.summary().trials
        assert len(trials) == n_trials
        stopped = [trial for trial in trials if trial.status is TrialStatus.STOPPED]
        assert len(stopped) > n_trials // 2
        assert all(t.reason == f"not among the best after {len(t.losses)} units" for t in stopped)
        return most

    assert worst(2000) <= worst(200) + 10
