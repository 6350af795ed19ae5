"""The contract of `hpo.loop.Scheduler`, which every scheduler keeps whatever is reported to it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.brackets import floor_log, hyperband_brackets
from hpo.loop import RetiresTrials
from hpo.schedulers import FORECASTING, SCHEDULERS, SwiftHyperband, make_scheduler
from hpo.schedulers.halving import BracketScheduler, SwiftRule
from hpo.searchers import ListSearcher, make_searcher
from hpo.space.search_space import SearchSpace
from hpo.trial import (
    Done,
    ForecastJob,
    ForecastReport,
    ModelJob,
    PredictFailure,
    PredictJob,
    PredictReport,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    Wait,
    from_json,
    same,
)

NAMES = [*SCHEDULERS, "asha-stopping", "swift-as-published", "several-decisions"]
OPTIONS = {"swift-hyperband": {"min_curves": 3}, "fast-hyperband": {"min_curves": 3}}
OPTIONS["early-stopping"] = {"min_curves": 3}
OPTIONS["asha-stopping"] = {"type": "stopping"}
ENDED = {TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.FAILED}


@dataclass(frozen=True)
class SeveralDecisions(SwiftRule):
    """A rule of a user's own, which decides by one prediction after every other unit."""

    def points(self, start, stop):
        return tuple(range(start + 1, stop, 2))


def build(name, max_resource=9, reduction_factor=3, n_configs=1000, **options):
    searcher = ListSearcher([{"x": i} for i in range(n_configs)])
    settings = {"max_resource": max_resource, "reduction_factor": reduction_factor, **options}
    if name == "swift-as-published":
        return SwiftHyperband.as_published(searcher, **settings)
    if name == "several-decisions":
        return BracketScheduler(searcher, rule=SeveralDecisions(min_curves=1), **settings)
    key = "asha" if name == "asha-stopping" else name
    return make_scheduler(key, searcher, **settings, **OPTIONS.get(name, {}))


def most_trials(name, max_resource, reduction_factor):
    brackets = hyperband_brackets(max_resource, reduction_factor)
    if name in FORECASTING:  # one unit a trial, and enough to train one to its end
        return max(sum(b.epochs for b in brackets), max_resource)
    if name in ("random-search", "early-stopping"):
        return sum(b.epochs for b in brackets) // max_resource
    if name == "successive-halving":
        return reduction_factor ** floor_log(max_resource, reduction_factor)
    return sum(b.n_trials for b in brackets)


def asked_curves(job):
    return job.curves if isinstance(job, ForecastJob) else job.query


def answer(job, predictions, stds, skill=None):
    report = ForecastReport if isinstance(job, ForecastJob) else PredictReport
    return report(job.job_id, predictions, stds, skill)


@dataclass
class World:
    """Runs a search in a random order of reports, with failures, NaN and duplicates."""

    scheduler: object
    random: Random
    n_workers: int = 3
    failures: float = 0.0
    nans: float = 0.0
    duplicates: float = 0.0
    retries: float = 0.0
    ends: float = 0.0  # jobs in which training ends by itself
    digits: int = 16
    pending: list = field(default_factory=list)
    log: list = field(default_factory=list)
    units: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)  # trial -> its last loss

    def run(self, limit=20_000):
        told = []
        for _ in range(limit):
            busy = sum(isinstance(job, TrainJob) for job in self.pending)
            decision = self.scheduler.ask() if busy < self.n_workers else Wait()
            if isinstance(decision, Done):
                assert not self.pending
                self.log.append(("ask", decision.to_json()))  # as `Results.from_journal` does
                return self.scheduler.summary()
            if not isinstance(decision, Wait):
                self.log.append(("ask", decision.to_json()))
                self.check(decision)
                self.pending.append(decision)
                continue
            assert self.pending, "waits for nothing"
            if busy < self.n_workers:
                self.check_idempotent()
            job = self.pending.pop(self.random.randrange(len(self.pending)))
            report = self.report(job)
            told.append(report)
            self.tell(report)
            if self.retries and self.random.random() < self.retries:
                self.retry()
            if self.random.random() < self.duplicates:
                before = repr(self.scheduler.summary())
                self.tell(self.random.choice(told))
                assert repr(self.scheduler.summary()) == before
        pytest.fail("the search does not end")

    def tell(self, report):
        self.log.append(("tell", report.to_json()))
        self.scheduler.tell(report)

    def failed(self):
        """Return the trials whose last report is a failure."""
        reports = [from_json(data) for kind, data in self.log if kind == "tell"]
        reports = [r for r in reports if isinstance(r, TrainReport | TrainFailure)]
        latest = {report.trial_id: report for report in reports}
        trials = self.scheduler.summary().trials
        return [
            trial
            for trial, report in sorted(latest.items())
            if isinstance(report, TrainFailure) and trials[trial].status is TrialStatus.FAILED
        ]

    def retry(self):
        failed = self.failed()
        self.log.append(("retry", failed))
        self.scheduler.retry(failed)

    def limit(self, n_trials):
        self.log.append(("limit", n_trials))
        self.scheduler.limit_trials(n_trials)

    def check(self, job):
        if isinstance(job, ForecastJob):
            assert all(1 <= len(curve.losses) <= job.target for curve in job.curves)
            assert all(not curve.losses for curve in job.running)
            ids = [curve.trial_id for curve in (*job.curves, *job.running)]
            assert len(set(ids)) == len(ids) > 0
            return
        if isinstance(job, PredictJob):
            assert all(len(curve.losses) < job.target for curve in job.query)
            assert all(len(curve.losses) >= job.target for curve in job.train)
            return
        out = [j.trial_id for j in self.pending if isinstance(j, TrainJob)]
        assert job.trial_id not in out, "two jobs of one trial at a time"
        assert job.start == self.units.get(job.trial_id, 0), "does not go on where it stopped"
        assert job.start < job.stop
        assert job.trial_id not in self.ended, "trained further although training has ended"
        trial = self.scheduler.summary().trials[job.trial_id]
        assert trial.status is TrialStatus.RUNNING
        assert (job.bracket, job.rung) == (trial.bracket, trial.rung)
        assert not trial.reason, "resumed after it was given up"

    def check_idempotent(self):
        before = repr(self.scheduler.summary())
        assert isinstance(self.scheduler.ask(), Wait)
        assert repr(self.scheduler.summary()) == before

    def report(self, job):
        failed = self.random.random() < self.failures
        if isinstance(job, ModelJob):
            if failed:
                return PredictFailure(job.job_id, "offline")
            numbers = tuple(self.number() for _ in asked_curves(job))
            return answer(job, numbers, (0.1,) * len(numbers), 0.5)
        if failed:
            return TrainFailure(job.trial_id, job.start, job.stop, "boom")
        self.units[job.trial_id] = job.stop
        losses = self.losses(job)
        if self.random.random() >= self.ends:
            return TrainReport(job.trial_id, job.start, job.stop, losses)
        losses = losses[: self.random.randint(0 if job.start else 1, len(losses))]
        self.ended[job.trial_id] = losses[-1] if losses else None
        return TrainReport(job.trial_id, job.start, job.stop, losses, finished=True)

    def losses(self, job):
        special = (math.nan, math.inf, -math.inf)
        return tuple(
            self.random.choice(special) if self.random.random() < self.nans else self.number()
            for _ in range(job.start, job.stop)
        )

    def number(self):
        return round(self.random.random(), self.digits)


worlds = st.fixed_dictionaries(
    {
        # One seed, not each of its draws: the longest searches take too many of them.
        "random": st.integers(0, 2**32 - 1).map(Random),
        "n_workers": st.integers(1, 9),
        "failures": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "nans": st.sampled_from([0.0, 0.1, 1.0]),
        "duplicates": st.sampled_from([0.0, 0.3]),
        "digits": st.sampled_from([16, 1, 0]),  # with few of them there are ties
        "ends": st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    }
)
relaxed = settings(
    max_examples=50 if os.environ.get("THOROUGH") else 25,  # `make thorough`
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)


@pytest.mark.parametrize("name", NAMES)
@relaxed
@given(world=worlds, max_resource=st.integers(1, 12), reduction_factor=st.integers(2, 4))
def test_any_order_of_reports_failures_and_duplicates(name, world, max_resource, reduction_factor):
    scheduler = build(name, max_resource, reduction_factor)
    run = World(scheduler, **world)
    summary = run.run()

    assert len(summary.trials) <= most_trials(name, max_resource, reduction_factor)
    assert all(trial.status in ENDED for trial in summary.trials)
    assert all(len(trial.losses) <= max_resource for trial in summary.trials)
    assert summary.epochs == sum(len(trial.losses) for trial in summary.trials)
    completed = [t for t in summary.trials if t.status is TrialStatus.COMPLETED]
    assert all(len(t.losses) == max_resource or t.trial_id in run.ended for t in completed)
    assert all(t.reason for t in summary.trials if t.status is not TrialStatus.COMPLETED)
    for trial in run.ended:
        last = summary.trials[trial].losses[-1]
        expected = TrialStatus.COMPLETED if math.isfinite(last) else TrialStatus.FAILED
        assert summary.trials[trial].status is expected
    assert isinstance(scheduler.ask(), Done)
    assert_repeats(run, build(name, max_resource, reduction_factor))


def assert_repeats(run, twin):
    """Check that a journal of a search rebuilds its scheduler."""
    for kind, data in run.log:
        match kind:
            case "ask":
                assert same(twin.ask(), from_json(data))
            case "tell":
                twin.tell(from_json(data))
            case "limit":
                twin.limit_trials(data)
            case "retry":
                twin.retry(data)
    assert repr(twin.summary()) == repr(run.scheduler.summary())


@pytest.mark.parametrize("name", NAMES)
@settings(relaxed, max_examples=15)
@given(
    world=worlds,
    max_resource=st.integers(1, 12),
    first=st.integers(1, 40),
    second=st.none() | st.integers(1, 60),
)
def test_a_limit_on_trials_is_kept_and_can_be_raised(name, world, max_resource, first, second):
    scheduler = build(name, max_resource, 2)
    run = World(scheduler, **(world | {"duplicates": 0.0}))
    run.limit(first)
    limited = run.run()
    assert len(limited.trials) <= first
    assert all(trial.status in ENDED for trial in limited.trials)
    if len(limited.trials) < min(first, most_trials(name, max_resource, 2)):
        assert limited.epochs <= limited.budget, "all epochs are spent"
    run.limit(second)
    raised = run.run()
    most = most_trials(name, max_resource, 2)
    assert len(raised.trials) <= (most if second is None else max(len(limited.trials), second))
    for old, new in zip(limited.trials, raised.trials, strict=False):
        assert new.losses[: len(old.losses)] == pytest.approx(old.losses, nan_ok=True)
    assert_repeats(run, build(name, max_resource, 2))
    if name in FORECASTING:  # its epochs are the limit
        return
    expected = most if second is None else min(max(len(limited.trials), second), most)
    assert len(raised.trials) == expected
    assert scheduler.trials_withheld == (expected < most)


@pytest.mark.parametrize("name", list(SCHEDULERS))
@pytest.mark.parametrize("min_resource", [1, 2, 4, 9, 27])
def test_no_trial_is_given_up_before_the_least_resource(name, min_resource):
    scheduler = build(name, 27, 3, min_resource=min_resource)
    world = World(scheduler, Random(min_resource), failures=0.1)
    summary = world.run()
    stopped = [t for t in summary.trials if t.status is TrialStatus.STOPPED]
    assert all(len(trial.losses) >= min_resource for trial in stopped)
    first = [data for kind, data in world.log if kind == "ask" and data.get("start") == 0]
    assert all(job["stop"] >= min_resource for job in first)
    assert first


@pytest.mark.parametrize("name", list(SCHEDULERS))
@pytest.mark.parametrize("min_resource", [0, 10, 2.0, True])
def test_a_least_resource_out_of_range_is_named(name, min_resource):
    with pytest.raises(ValueError, match="min_resource must"):
        make_scheduler(name, ListSearcher([{}]), max_resource=9, min_resource=min_resource)


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_ends_by_itself_is_complete_and_the_best(name):
    """It converges to the lowest loss after two units, and is not trained further."""
    scheduler = build(name, 9, 3)
    world = World(scheduler, Random(1), n_workers=1)

    def report(job):
        if isinstance(job, ModelJob):
            last = tuple(curve.losses[-1] for curve in asked_curves(job))
            return answer(job, last, (0.01,) * len(last))
        if job.trial_id == 2 and job.stop >= 2:
            assert job.start < 2
            return TrainReport(2, job.start, job.stop, (0.0,) * (2 - job.start), finished=True)
        world.units[job.trial_id] = job.stop
        loss = 0.1 + abs(job.trial_id - 2) / 10
        return TrainReport(job.trial_id, job.start, job.stop, (loss,) * (job.stop - job.start))

    world.report = report
    best = world.run().best
    assert (best.trial_id, best.status, best.last_loss) == (2, TrialStatus.COMPLETED, 0.0)
    assert len(best.losses) == 2


@pytest.mark.parametrize("losses", [(), (0.5,) * 99])
def test_a_finished_report_needs_a_loss_and_no_more_than_were_asked_for(losses):
    scheduler = build("random-search")
    job = scheduler.ask()
    with pytest.raises(ValueError, match="needs 1 to 9 losses, since training ended by itself"):
        scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses, finished=True))


@pytest.mark.parametrize("name", NAMES)
@relaxed
@given(
    world=worlds,
    max_resource=st.integers(1, 12),
    reduction_factor=st.integers(2, 4),
    retries=st.sampled_from([0.0, 0.2]),
)
def test_failed_trials_are_taken_back(name, world, max_resource, reduction_factor, retries):
    scheduler = build(name, max_resource, reduction_factor)
    run = World(scheduler, **(world | {"duplicates": 0.0}), retries=retries)
    if run.failures == 1.0:
        run.retries = 0.0  # it would never end
    run.run()
    failed = run.failed()
    before = scheduler.summary()
    run.retry()
    run.failures = run.retries = run.ends = 0.0
    summary = run.run()

    assert not run.failed()
    assert all(trial.status in ENDED for trial in summary.trials)
    assert isinstance(scheduler.ask(), Done)
    assert len(summary.trials) <= most_trials(name, max_resource, reduction_factor)
    assert summary.budget is None or summary.epochs <= summary.budget
    assert summary.epochs == sum(len(trial.losses) for trial in summary.trials)
    for trial in failed:
        assert len(summary.trials[trial].losses) > len(before.trials[trial].losses)
    for old, new in zip(before.trials, summary.trials, strict=False):
        assert new.losses[: len(old.losses)] == pytest.approx(old.losses, nan_ok=True)
        if old.status is TrialStatus.COMPLETED:
            assert repr(new) == repr(old)

    assert_repeats(run, build(name, max_resource, reduction_factor))


@pytest.mark.parametrize("name", NAMES)
@relaxed
@given(
    world=worlds,
    max_resource=st.integers(1, 12),
    reduction_factor=st.integers(2, 4),
    retries=st.sampled_from([0.0, 0.2]),
)
def test_retired_trials_get_no_further_job(name, world, max_resource, reduction_factor, retries):
    """Checkpoints of such trials are deleted."""
    scheduler = build(name, max_resource, reduction_factor)
    assert isinstance(scheduler, RetiresTrials)
    run = World(scheduler, **(world | {"duplicates": 0.0}))
    run.retries = 0.0 if run.failures == 1.0 else retries
    retired = frozenset()
    check, tell, retry = run.check, run.tell, run.retry

    def checked(job):
        assert not isinstance(job, TrainJob) or job.trial_id not in retired
        check(job)

    def told(report):
        nonlocal retired
        tell(report)
        now = scheduler.retired()
        assert now >= retired
        assert now is scheduler.retired()
        retired = now
        running = {job.trial_id for job in run.pending if isinstance(job, TrainJob)}
        assert not now & running

    def taken_back():
        nonlocal retired
        retry()
        retired = scheduler.retired()

    run.check, run.tell, run.retry = checked, told, taken_back
    summary = run.run()
    over = {trial.trial_id for trial in summary.trials}
    assert scheduler.retired() == over - set(run.failed())
    run.failures = run.retries = 0.0
    run.retry()
    run.run()
    assert scheduler.retired() == {trial.trial_id for trial in scheduler.summary().trials}


@pytest.mark.parametrize("name", NAMES)
def test_only_failed_trials_are_taken_back(name):
    scheduler = build(name)
    job = scheduler.ask()
    with pytest.raises(ValueError, match=f"got trial {job.trial_id}: running"):
        scheduler.retry([job.trial_id])
    nan = (math.nan,) * (job.stop - job.start)
    scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, nan))
    for trial, state in ((job.trial_id, "failed loss is nan"), (99, "unknown"), (-1, "unknown")):
        with pytest.raises(ValueError, match=f"got trial {trial}: {state}"):
            scheduler.retry([trial])


@pytest.mark.parametrize("name", ["hyperband", "successive-halving", "random-search"])
@pytest.mark.parametrize("n_failures", [1, 5, 1000])
def test_first_failures_taken_back_change_nothing_in_halving(name, n_failures):
    """Where the first trials failed of a disk that was full, the search ends as without it."""

    def run(n_failures, n_workers):
        world = World(build(name), Random(n_workers), n_workers=n_workers)
        failing = n_failures

        def report(job):
            nonlocal failing
            if failing > 0:
                failing -= 1
                return TrainFailure(job.trial_id, job.start, job.stop, "disk full")
            world.units[job.trial_id] = job.stop
            draws = Random(job.trial_id)
            losses = tuple(draws.random() for _ in range(job.stop))
            return TrainReport(job.trial_id, job.start, job.stop, losses[job.start :])

        world.report = report
        world.run()
        failing = 0
        world.retry()
        return {(t.trial_id, t.status, t.losses) for t in world.run().trials}

    calm, disturbed = run(0, 1), run(n_failures, 3)
    if n_failures == 1000:  # every bracket is decided again as a whole
        assert disturbed == calm
    completed = {trial for trial, status, _ in disturbed if status is TrialStatus.COMPLETED}
    assert completed >= {trial for trial, status, _ in calm if status is TrialStatus.COMPLETED}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_configs", [1, 2, 5, 7])
def test_ends_when_the_searcher_has_no_more(name, n_configs):
    scheduler = build(name, n_configs=n_configs)
    summary = World(scheduler, Random(0)).run()
    assert len(summary.trials) <= n_configs
    assert all(trial.status in ENDED for trial in summary.trials)


HALVING = (
    "hyperband",
    "swift-hyperband",
    "fast-hyperband",
    "swift-as-published",
    "several-decisions",
)


@pytest.mark.parametrize("name", HALVING)
@relaxed
@given(world=worlds, n_configs=st.integers(1, 90), max_resource=st.integers(1, 40))
def test_brackets_end_wherever_the_searcher_runs_out(name, world, n_configs, max_resource):
    scheduler = build(name, max_resource, reduction_factor=2, n_configs=n_configs)
    summary = World(scheduler, **world).run()
    assert len(summary.trials) == min(n_configs, most_trials(name, max_resource, 2))
    assert all(trial.status in ENDED for trial in summary.trials)


@pytest.mark.parametrize("name", NAMES)
def test_the_best_trial_is_found_where_losses_are_constant(name):
    scheduler = build(name, 9, 3)
    world = World(scheduler, Random(1), n_workers=1)
    world.losses = lambda job: (abs(job.trial_id - 4) / 10,) * (job.stop - job.start)

    def report(job):
        if isinstance(job, ModelJob):
            last = tuple(curve.losses[-1] for curve in asked_curves(job))
            return answer(job, last, (0.01,) * len(last))
        world.units[job.trial_id] = job.stop
        return TrainReport(job.trial_id, job.start, job.stop, world.losses(job))

    world.report = report
    assert world.run().best.config == {"x": 4}


@pytest.mark.parametrize("name", ["swift-hyperband", "early-stopping", "swift-asha"])
def test_a_report_of_the_other_kind_is_refused(name):
    scheduler = build(name)
    world = World(scheduler, Random(0), n_workers=1)
    while not isinstance(job := scheduler.ask(), ModelJob):
        scheduler.tell(world.report(job))
    numbers = (0.5,) * len(asked_curves(job))
    wrong = PredictReport if isinstance(job, ForecastJob) else ForecastReport
    with pytest.raises(ValueError, match=f"its job is a {type(job).__name__}"):
        scheduler.tell(wrong(job.job_id, numbers, numbers))
    scheduler.tell(answer(job, numbers, numbers))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "report",
    [
        TrainReport(99, 0, 1, (0.5,)),
        TrainReport(-1, 0, 1, (0.5,)),
        TrainReport(0, 5, 6, (0.5,)),
        TrainFailure(99, 0, 1, "boom"),
        PredictReport(99, (0.5,), (0.1,)),
        ForecastReport(99, (0.5,), (0.1,)),
        PredictFailure(99, "boom"),
    ],
    ids=lambda report: type(report).__name__,
)
def test_reports_that_fit_no_job_are_refused(name, report):
    scheduler = build(name)
    scheduler.ask()
    with pytest.raises(ValueError, match=r"report fits no job|requests no predictions"):
        scheduler.tell(report)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_with_too_few_losses_is_refused(name):
    scheduler = build(name)
    job = scheduler.ask()
    with pytest.raises(ValueError, match=r"needs .* losses"):
        scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, ()))


@pytest.mark.parametrize("name", NAMES)
def test_a_second_report_with_other_losses_is_refused(name):
    scheduler = build(name)
    job = scheduler.ask()
    size = job.stop - job.start
    scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, (0.5,) * size))
    with pytest.raises(ValueError, match="report fits no job"):
        scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, (0.6,) * size))


@pytest.mark.parametrize("name", list(SCHEDULERS))
@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"max_resource": 0}, "max_resource .* at least 1, got 0"),
        ({"max_resource": 9, "reduction_factor": 1}, "reduction_factor .* at least 2, got 1"),
        ({"max_resource": 2.5}, "max_resource .* integer"),
        ({"max_resource": 9, "colour": "red"}, "takes the options .*colour"),
    ],
)
def test_bad_settings_are_named(name, settings_, message):
    with pytest.raises(ValueError, match=message):
        make_scheduler(name, ListSearcher([{}]), **settings_)


@pytest.mark.parametrize("name", NAMES)
def test_initial_configurations_are_tried_first(name):
    first = [{"x": -1}, {"x": -2}, {"x": -3}]
    scheduler = build(name, max_resource=27)
    scheduler.enqueue(first)
    summary = World(scheduler, Random(0)).run()
    assert [trial.config for trial in summary.trials[:4]] == [*first, {"x": 0}]
    with pytest.raises(RuntimeError, match="search has begun"):
        scheduler.enqueue(first)


EXTENSIONS = {
    "random-search": {"n_trials": 15},
    "early-stopping": {"n_trials": 15},
    "hyperband": {"iterations": 2},
    "fast-hyperband": {"iterations": 3},
    "swift-hyperband": {"iterations": 2},
    "swift-as-published": {"iterations": 2},
    "several-decisions": {"iterations": 2},
    "asha": {"n_trials": 25, "max_resource": 27},
    "asha-stopping": {"n_trials": 25, "max_resource": 20},
    "swift-asha": {"max_resource": 27},
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_a_search_that_has_ended_goes_on(name):
    scheduler = build(name)
    before = World(scheduler, Random(0)).run()
    scheduler.extend(**EXTENSIONS[name])
    world = World(scheduler, Random(1), duplicates=0.2)
    world.units = {trial.trial_id: len(trial.losses) for trial in before.trials}
    after = world.run()
    assert after.epochs > before.epochs
    for old, new in zip(before.trials, after.trials, strict=False):
        assert (old.config, old.losses) == (new.config, new.losses[: len(old.losses)])
    if "n_trials" in EXTENSIONS[name]:
        assert len(after.trials) == EXTENSIONS[name]["n_trials"]
    if "iterations" in EXTENSIONS[name]:
        assert len(after.trials) == EXTENSIONS[name]["iterations"] * len(before.trials)
    longest = EXTENSIONS[name].get("max_resource", 9)
    done = [len(t.losses) for t in after.trials if t.status is TrialStatus.COMPLETED]
    assert set(done) == {longest}
    assert max(len(trial.losses) for trial in after.trials) == longest
    assert {trial.status for trial in after.trials} <= ENDED


@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_must_be_one(name):
    scheduler = build(name)
    for setting, value in EXTENSIONS[name].items():
        for bad in (1, "3", float("nan"), True, None):
            with pytest.raises(ValueError, match=f"{setting} must be an integer above"):
                scheduler.extend(**{setting: bad})
        assert value > 1
    with pytest.raises(ValueError, match=r"can be extended by .*; got colour.* warm_start"):
        scheduler.extend(colour=3)


def test_successive_halving_names_what_to_do_instead():
    with pytest.raises(ValueError, match=r"SuccessiveHalving cannot be extended.*warm_start="):
        build("successive-halving").extend(n_trials=100)


def test_what_is_no_searcher_is_refused() -> None:
    space = SearchSpace.from_dict({"x": [1, 2]})
    with pytest.raises(ValueError, match="searcher must be a Searcher, got SearchSpace"):
        make_scheduler("asha", space, max_resource=9)
    with pytest.raises(ValueError, match="must be a SearchSpace, got dict"):
        make_searcher("random", {"x": [1, 2]})


def test_a_searcher_that_would_never_learn_is_refused() -> None:
    searcher = make_searcher("curves", SearchSpace.from_dict({"x": [1, 2]}))
    with pytest.raises(ValueError, match="'asha' asks for none; use one of swift-asha"):
        make_scheduler("asha", searcher, max_resource=9)
