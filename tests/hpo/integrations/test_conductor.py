"""The conductor: whoever trains, and in whatever order, our schedulers decide the same."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.integrations.conductor import Arrivals, Conductor, NotYetError
from hpo.loop import drive
from hpo.predictors import make_predictor, run_predict_job
from hpo.schedulers import make_scheduler
from hpo.searchers import ListSearcher
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.trial import TrialStatus

UNITS = 9
SETTINGS = {
    "swift-hyperband": {"reduction_factor": 3, "min_curves": 4, "train_ahead": False},
    "fast-hyperband": {"reduction_factor": 3, "min_curves": 4},
    "hyperband": {"reduction_factor": 3},
    "successive-halving": {"reduction_factor": 2},
}


def table_of(n, seed=0):
    rng = np.random.default_rng(seed)
    rate, level = rng.uniform(0.2, 1.2, (n, 1)), rng.uniform(0, 0.3, (n, 1))
    losses = level + 3 * np.arange(1, UNITS + 1) ** -rate
    return CurveTable(tuple({"row": row} for row in range(n)), losses)


def our_own(name, table):
    """Return the summary of our own loop on the table's rows, in their order."""
    scheduler = make_scheduler(
        name, ListSearcher(list(table.configs)), max_resource=UNITS, **SETTINGS[name]
    )
    predictor = make_predictor("last-value")
    drive(scheduler, SimulatedRunner(table, lambda job: job.trial_id, predictor=predictor))
    return scheduler.summary()


def conducted(name, table, seed, failing=()):
    """Train one unit of any trial that has a job at a time; trials arrive now and then."""
    arrivals, rng = Arrivals(), np.random.default_rng(seed)
    scheduler = make_scheduler(name, arrivals, max_resource=UNITS, **SETTINGS[name])
    predictor = make_predictor("last-value")
    conductor = Conductor(scheduler, arrivals, lambda job: run_predict_job(job, predictor))
    waiting = list(range(len(table)))
    while True:
        if waiting and (rng.random() < 0.2 or not conductor.jobs):
            conductor.arrive(table.configs[waiting.pop(0)])
        if not waiting:
            conductor.close()
        conductor.settle()
        if conductor.done:
            return scheduler.summary()
        if conductor.jobs:
            trial = int(rng.choice(list(conductor.jobs)))
            if trial in failing:
                conductor.fail(trial, "it was to fail")
                continue
            unit = len(conductor.losses[trial]) + 1
            conductor.result(trial, unit, float(table.losses[trial, unit - 1]))


def outcome(summary):
    return [(t.trial_id, t.status, t.losses, t.reason, dict(t.config)) for t in summary.trials]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("n", [5, 17])
@pytest.mark.parametrize("seed", [0, 1])
def test_decisions_are_those_of_our_own_loop(name, n, seed):
    table = table_of(n)
    assert outcome(conducted(name, table, seed)) == outcome(our_own(name, table))


def test_a_trial_that_fails_counts_as_worst():
    summary = conducted("hyperband", table_of(17), 0, failing={3})
    assert summary.trials[3].status is TrialStatus.FAILED
    assert summary.trials[3].reason.startswith("it was to fail")
    assert summary.best.trial_id != 3


def test_known_losses_are_not_trained_again():
    arrivals = Arrivals()
    scheduler = make_scheduler("hyperband", arrivals, max_resource=UNITS, reduction_factor=3)
    conductor = Conductor(scheduler, arrivals, lambda job: None)
    conductor.arrive({"row": 0})
    conductor.settle()
    conductor.result(0, 3, 0.5)  # two units left out
    assert conductor.losses[0] == [0.5, 0.5, 0.5]
    conductor.result(0, 1, 9.0)  # trained again from the beginning
    assert conductor.losses[0] == [0.5, 0.5, 0.5]
    conductor.finish(0)  # ended by itself
    conductor.close()
    conductor.settle()
    assert conductor.done
    trial = scheduler.summary().trials[0]
    assert (trial.status, trial.losses) == (TrialStatus.COMPLETED, (0.5, 0.5, 0.5))


def test_arrivals_wait_for_what_may_come():
    arrivals = Arrivals()
    with pytest.raises(NotYetError):
        arrivals.propose(0)
    arrivals.closed = True
    assert arrivals.propose(0) is None
