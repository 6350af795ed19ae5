"""Hyperband's family decides the same whatever the order of reports and the number of workers."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.schedulers import make_scheduler
from hpo.schedulers.halving import BracketScheduler, SwiftRule
from hpo.searchers import ListSearcher
from hpo.trial import (
    Done,
    PredictFailure,
    PredictJob,
    PredictReport,
    TrainFailure,
    TrainReport,
    TrialStatus,
    Wait,
)

OPTIONS = {
    "hyperband": {},
    "swift-hyperband": {"min_curves": 3},
    "fast-hyperband": {"min_curves": 3},
    "several-decisions": {"train_ahead": False},
    "several-decisions-ahead": {"train_ahead": True},
}


class SeveralDecisions(SwiftRule):
    """A rule of a user's own, which decides by one prediction after every other unit."""

    def points(self, start, stop):
        return tuple(range(start + 1, stop, 2))


def outcome(job, seed, fails):
    """What comes of a job, by the seed alone."""
    if isinstance(job, PredictJob):
        rng = np.random.default_rng([seed, job.bracket, job.rung, len(job.train)])
        if rng.random() < fails / 2:
            return PredictFailure(job.job_id, "offline")
        # By what is known of a trial, so that grouping does not matter.
        numbers = tuple(
            curve.losses[-1] + (len(job.train) * (curve.trial_id + 1)) % 7 / 20
            for curve in job.query
        )
        return PredictReport(job.job_id, numbers, (0.2,) * len(numbers))
    rng = np.random.default_rng([seed, job.trial_id])
    losses = rng.random(20)
    dies_at, nan_at = (rng.integers(20) if rng.random() < fails else 99 for _ in range(2))
    if job.start <= dies_at < job.stop:
        return TrainFailure(job.trial_id, job.start, job.stop, "boom")
    losses[nan_at:] = math.nan
    return TrainReport(job.trial_id, job.start, job.stop, tuple(losses[job.start : job.stop]))


def run(scheduler, order, n_workers, seed, fails):
    pending = []
    while True:
        decision = scheduler.ask() if len(pending) < n_workers else Wait()
        if isinstance(decision, Done):
            return scheduler.summary()
        if isinstance(decision, Wait):
            scheduler.tell(outcome(pending.pop(order.randrange(len(pending))), seed, fails))
        else:
            pending.append(decision)


def decided(summary):
    events = [(e.kind, e.bracket, e.rung, e.resource, e.kept, e.dropped) for e in summary.events]
    # Where no trial was trained to the end, the best of the rest depends on what was trained ahead.
    done = any(trial.status is TrialStatus.COMPLETED for trial in summary.trials)
    return sorted(events), summary.best.trial_id if done else None


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    fails=st.sampled_from([0.0, 0.2, 0.6]),
    n_workers=st.integers(1, 30),
    order=st.integers(0, 10_000).map(Random),
    n_configs=st.sampled_from([13, 1000]),
)
def test_any_order_on_any_number_of_workers(name, seed, fails, n_workers, order, n_configs):
    def build():
        searcher = ListSearcher([{"x": i} for i in range(n_configs)])
        if name.startswith("several"):
            rule = SeveralDecisions(min_curves=1)
            return BracketScheduler(searcher, max_resource=16, rule=rule, **OPTIONS[name])
        return make_scheduler(name, searcher, max_resource=16, **OPTIONS[name])

    alone = run(build(), Random(0), 1, seed, fails)
    together = run(build(), order, n_workers, seed, fails)
    assert decided(alone) == decided(together)
