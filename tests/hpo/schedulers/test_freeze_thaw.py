"""Swift-ASHA: the budget is kept, the best is finished, one worker repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpo.brackets import hyperband_brackets, next_length
from hpo.predictors import PooledPredictor
from hpo.schedulers import SwiftASHA, SwiftHyperband, make_scheduler
from hpo.searchers import ListSearcher
from hpo.simulation import CurveTable, TableCurveSearcher, TableSearcher, simulate
from hpo.surrogates import Surface
from hpo.trial import (
    Done,
    ForecastJob,
    ForecastReport,
    ModelJob,
    PredictFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
)

HYPERBAND = sum(bracket.epochs for bracket in hyperband_brackets(27, 2))


class Failing:
    """A predictor that is always offline."""

    def forecast(self, curves, target, context):
        raise ConnectionError("the annealer is offline")


class Jobs:
    """Keeps the training jobs in the order of the decisions."""

    def __init__(self):
        self.decided_on = []

    def decided(self, job):
        if isinstance(job, TrainJob):
            self.decided_on.append(job)

    def reported(self, report):
        """Nothing to note."""


def search(table, make=SwiftASHA, *, seed=0, learns=True, predictor=None, **settings):
    simulation = {
        name: settings.pop(name) for name in ("n_workers", "recorder") if name in settings
    }
    quick = TableCurveSearcher(table, seed, surface=Surface(iterations=3))
    searcher = quick if learns else TableSearcher(table, seed)
    return simulate(
        lambda s: make(s, max_resource=table.max_resource, seed=seed, **settings),
        table,
        searcher=searcher,
        predictor=PooledPredictor("ridge") if predictor is None else predictor,
        **simulation,
    )


def test_a_small_share_still_pays_for_one_full_training_beside_ten_starts():
    def spent(fraction, max_resource):
        searcher = ListSearcher([{"x": i} for i in range(900)])
        scheduler = SwiftASHA(searcher, max_resource=max_resource, budget_fraction=fraction)
        while not isinstance(job := scheduler.ask(), Done):
            if isinstance(job, TrainJob):
                losses = (1.0 / (1 + job.trial_id),) * (job.stop - job.start)
                scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
            else:
                scheduler.tell(PredictFailure(job.job_id, "offline"))
        return scheduler.summary().epochs

    assert 27 < spent(1e-6, 27) <= 27 + 10
    assert spent(1e-6, 1) <= sum(bracket.epochs for bracket in hyperband_brackets(1, 2))


@pytest.mark.parametrize("make", [SwiftASHA, SwiftHyperband])
def test_a_predictor_draws_by_the_schedulers_seed(make):
    def first_seed(seed):
        searcher = ListSearcher([{"x": i} for i in range(900)])
        scheduler = make(searcher, max_resource=27, seed=seed)
        while not isinstance(job := scheduler.ask(), ModelJob):
            losses = (1.0 / (1 + job.trial_id),) * (job.stop - job.start)
            scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
        return job.seed

    assert first_seed(0) == first_seed(0)
    assert len({first_seed(seed) for seed in range(3)}) == 3


def test_a_first_job_may_be_a_whole_training_and_no_more():
    searcher = ListSearcher([{"x": i} for i in range(9)])
    job = SwiftASHA(searcher, max_resource=27, min_resource=27).ask()
    assert (job.start, job.stop) == (0, 27)
    with pytest.raises(ValueError, match=r"min_resource must lie in 1\.\.27 .*got 28"):
        SwiftASHA(searcher, max_resource=27, min_resource=28)


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("fraction", [0.2, 0.45])
def test_the_budget_is_kept_and_nearly_used(falling, learns, fraction):
    summary = search(falling, learns=learns, budget_fraction=fraction).summary
    assert 0.9 * fraction * HYPERBAND <= summary.epochs <= fraction * HYPERBAND
    assert summary.best.status is TrialStatus.COMPLETED
    stopped = [t for t in summary.trials if t.status is TrialStatus.STOPPED]
    assert all("unlikely to be the best" in trial.reason for trial in stopped)


def test_it_finds_better_trials_than_hyperband_with_less_than_half_its_epochs(falling):
    final = falling.losses[:, -1]
    ours, theirs = [], []
    for seed in range(3):
        ours.append(search(falling, seed=seed).summary.best.last_loss)
        hyperband = simulate(
            lambda s: make_scheduler("hyperband", s, max_resource=27), falling, seed=seed
        )
        theirs.append(hyperband.summary.best.last_loss)
    assert np.mean(ours) - final.min() < 0.5 * (np.mean(theirs) - final.min())


def test_one_worker_repeats_itself(falling):
    first, second = (search(falling).summary for _ in range(2))
    assert first == second


def test_no_worker_waits(falling):
    result = search(falling, n_workers=20, max_epochs=1500)
    assert result.utilisation > 0.9
    assert result.summary.epochs <= 1500


def test_the_most_promising_trial_is_complete_before_half_of_the_epochs_are_spent(falling):
    budget = int(0.45 * HYPERBAND)
    runs = _completions(SwiftASHA(TableCurveSearcher(falling), max_resource=27), falling)
    assert runs[0] <= 0.5 * budget
    assert runs[-1] <= budget


class Telling(PooledPredictor):
    """A predictor that finds losses to tell nothing before so many units."""

    def __init__(self, units):
        super().__init__("ridge")
        self.units = units

    def forecast(self, curves, target, context):
        found = super().forecast(curves, target, context)
        return replace(found, min_informative_resource=self.units)


def _stops(table, make=SwiftASHA, units=7, **settings):
    """Return where first jobs ended, those before any forecast aside, and where other jobs did."""
    jobs = Jobs()
    search(table, make, recorder=jobs, predictor=Telling(units), n_first=10, **settings)
    first = [job.stop for job in jobs.decided_on if not job.start and job.trial_id > 10]
    return first, [job.stop for job in jobs.decided_on if job.start]


def test_no_job_ends_before_losses_tell_enough(falling):
    first, others = _stops(falling, max_step=27)
    early = first[: len(first) // 2]  # before the endgame, whose jobs are short
    assert set(early) == {7}
    assert len(early) >= 3
    assert min(others[: len(others) // 2]) == 7
    first, others = _stops(falling, units=1)
    assert set(first) == {1}
    assert min(others) == 2


def test_jobs_are_no_longer_than_they_may_be_all_the_same(falling):
    first, _ = _stops(falling, SwiftASHA, max_step=3)
    assert set(first) <= {1, 3}
    assert 3 in first


def _completions(scheduler, table):
    """Epochs after which each full training came to its end."""
    done = []
    predictor = PooledPredictor("ridge")
    searcher = scheduler.searcher

    class Watch:
        def decided(self, job):
            """Nothing to note."""

        def reported(self, report):
            if isinstance(report, TrainReport) and report.stop == table.max_resource:
                done.append(scheduler.summary().epochs + report.stop - report.start)

    simulate(lambda s: scheduler, table, searcher=searcher, predictor=predictor, recorder=Watch())
    return done


def test_a_failing_forecast_is_visible_and_the_search_goes_on(falling):
    summary = search(falling, predictor=Failing(), learns=False).summary
    degraded = [event for event in summary.events if event.kind == "degraded"]
    assert degraded
    assert "the annealer is offline" in degraded[0].message
    assert summary.best.status is TrialStatus.COMPLETED
    assert summary.epochs >= 0.9 * 0.45 * HYPERBAND


def test_a_proposal_wins_only_with_the_lower_draw():
    """One trial known for certain, one proposal worse, one better: only the better one starts."""
    from hpo.trial import Proposal

    scheduler, forecast = _first_forecast(improvement_fraction=0.0)
    proposals = (
        Proposal({"x": "worse"}, 0.5, 0.5, 0.1),
        Proposal({"x": "better"}, -0.5, -0.5, 0.1),
    )
    scheduler.tell(ForecastReport(forecast.job_id, (0.0,), (0.0,), 0.1, {}, proposals))
    following = [scheduler.ask() for _ in range(2)]
    assert following[0].trial_id == 0  # resumes
    assert following[1].config == {"x": "better"}


def test_what_is_likeliest_to_improve_goes_on():
    """Of two with one mean the less certain one starts; one surely worse than both never does."""
    from hpo.trial import Proposal

    scheduler, forecast = _first_forecast(improvement_fraction=1.0)
    proposals = (
        Proposal({"x": "worse"}, -9.0, 1.0, 0.01),
        Proposal({"x": "sure"}, 0.1, 0.1, 0.01),
        Proposal({"x": "unsure"}, 0.1, 0.1, 1.0),
    )
    scheduler.tell(ForecastReport(forecast.job_id, (0.0,), (0.01,), 0.1, {}, proposals))
    assert scheduler.ask().config == {"x": "unsure"}
    assert scheduler.ask().trial_id == 0  # resumes: its mean is the incumbent's
    assert scheduler.ask().config == {"x": "sure"}


def test_without_proposals_anyone_new_competes_with_the_trials():
    """Good trials are likelier to be a little better, someone new to be much better."""
    scheduler = SwiftASHA(
        ListSearcher([{"x": i} for i in range(400)]),
        max_resource=27,
        n_first=4,
        improvement_fraction=1.0,
    )
    while not isinstance(job := scheduler.ask(), ForecastJob):
        scheduler.tell(TrainReport(job.trial_id, 0, job.stop, (1.0,)))
    scheduler.tell(ForecastReport(job.job_id, (0.0, 0.0, 3.0, 3.0), (0.3,) * 4, 0.1))
    wave = []
    while not isinstance(job := scheduler.ask(), ForecastJob):
        wave.append(job.trial_id)
        scheduler.tell(
            TrainReport(job.trial_id, job.start, job.stop, (1.0,) * (job.stop - job.start))
        )
    assert {0, 1} & set(wave)
    assert any(trial >= 4 for trial in wave)


def test_a_forecast_is_told_what_the_one_before_left():
    scheduler, forecast = _first_forecast()
    assert forecast.warm_start_state == {}
    state = {"theta": [0.5], "n_points": 1}
    scheduler.tell(ForecastReport(forecast.job_id, (0.0,), (0.0,), warm_start_state=state))
    while not isinstance(job := scheduler.ask(), ForecastJob):
        losses = (1.0,) * (job.stop - job.start)
        scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
    assert job.warm_start_state == state


def _first_forecast(**options):
    scheduler = SwiftASHA(_Learning(), max_resource=27, n_first=1, **options)
    job = scheduler.ask()
    scheduler.tell(TrainReport(job.trial_id, 0, job.stop, (1.0,)))
    forecast = scheduler.ask()
    assert isinstance(forecast, ForecastJob)
    return scheduler, forecast


class _Learning(ListSearcher):
    def __init__(self):
        super().__init__([{"x": i} for i in range(100)])

    def suggest(self, curves, n, *, max_resource, seed):
        return []


def test_a_learning_searcher_with_nothing_left_does_not_end_the_search():
    scheduler = SwiftASHA(_Learning(), max_resource=27, n_first=5)
    while not isinstance(job := scheduler.ask(), Done):
        if isinstance(job, ForecastJob):
            zeros = (0.0,) * len(job.curves)
            scheduler.tell(ForecastReport(job.job_id, zeros, zeros))
        else:
            losses = (1.0 + job.trial_id,) * (job.stop - job.start)
            scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
    summary = scheduler.summary()
    assert len(summary.trials) == 5
    assert all(trial.status is TrialStatus.COMPLETED for trial in summary.trials)


def test_failed_forecasts_fall_back_to_new_trials_of_the_searcher():
    scheduler = SwiftASHA(_Learning(), max_resource=27, n_first=3)
    while not isinstance(job := scheduler.ask(), Done):
        if isinstance(job, ForecastJob):
            scheduler.tell(PredictFailure(job.job_id, "offline"))
        else:
            losses = (1.0 + job.trial_id,) * (job.stop - job.start)
            scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
    assert len(scheduler.summary().trials) > 3


def test_lengths_grow_by_the_factor_and_end_at_the_most():
    lengths = [1]
    while lengths[-1] < 51:
        lengths.append(next_length(lengths[-1], 51, 1.5))
    assert lengths == [1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 51]


def test_losses_that_explode_do_not_stop_the_search():
    rng = np.random.default_rng(0)
    losses = rng.random((60, 9)) + 1
    losses[::3, 4:] = 1e18
    losses[1::3, 2:] = np.nan
    table = CurveTable(tuple({"x": float(i)} for i in range(60)), losses)
    summary = search(table, budget_fraction=1.0).summary
    assert summary.best.last_loss < 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget_fraction": 0.0}, "budget_fraction .* must be above 0 and at most 1000, got 0.0"),
        ({"n_first": 0}, "n_first must be at least 1, got 0"),
        ({"forecast_interval": 0.0}, r"forecast_interval must be in \(0, 1\], got 0.0"),
        ({"min_resource": 28}, r"min_resource must lie in 1..27 \(max_resource\), got 28"),
        ({"n_workers": 0}, "n_workers must be an integer of at least 1, got 0"),
        ({"max_step": 0}, "max_step must be at least 1 or None, got 0"),
        ({"n_proposals": 0}, "n_proposals must be in 1..10000, got 0"),
        ({"improvement_fraction": 1.5}, r"improvement_fraction must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SwiftASHA(ListSearcher([{}]), max_resource=27, **settings)


def test_too_few_epochs_are_named():
    with pytest.raises(ValueError, match=r"max_epochs must be at least max_resource=27.*got 26"):
        SwiftASHA(ListSearcher([{}]), max_resource=27, max_epochs=26)


@pytest.mark.parametrize(("n_workers", "epochs"), [(None, 213), (1, 213), (8, 324), (50, 2025)])
def test_the_budget_follows_the_workers(n_workers, epochs):
    """0.45 of Hyperband's 475 epochs, or one and a half full trainings for every worker."""
    scheduler = SwiftASHA(ListSearcher([{}]), max_resource=27, n_workers=n_workers)
    assert scheduler.budget.epochs == scheduler.summary().budget == epochs
    late = SwiftASHA(ListSearcher([{}]), max_resource=27)
    if n_workers is not None:
        late.expect_workers(n_workers)
    assert late.budget == scheduler.budget
    assert str(late.budget).startswith(f"{epochs} epochs (")
    assert ("8 workers need 1.5 full trainings" in str(late.budget)) is (n_workers == 8)


def test_a_given_number_of_workers_or_epochs_goes_first():
    scheduler = SwiftASHA(ListSearcher([{}]), max_resource=27, n_workers=8)
    scheduler.expect_workers(100)
    assert scheduler.budget.epochs == 324
    scheduler = SwiftASHA(ListSearcher([{}]), max_resource=27, max_epochs=50)
    scheduler.expect_workers(100)
    assert scheduler.budget.epochs == 50
    scheduler.ask()
    with pytest.raises(RuntimeError, match="the search has begun"):
        scheduler.expect_workers(2)


@pytest.mark.parametrize("n_workers", [2, 8])
def test_a_simulation_tells_the_number_of_workers(falling, n_workers):
    result = search(falling, n_workers=n_workers)
    assert result.summary.budget == max(213, 81 * n_workers // 2)
    assert result.utilisation > 0.95


@pytest.mark.parametrize("name", ["swift", "swift-fast"])
def test_the_wave_forms_are_gone_by_name(name):
    with pytest.raises(ValueError, match=f"scheduler '{name}' no longer exists; use swift-asha"):
        make_scheduler(name, ListSearcher([{}]), max_resource=27)
