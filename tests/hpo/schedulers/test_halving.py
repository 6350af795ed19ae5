"""Successive halving and Hyperband against the sizes of the algorithm, worked out by hand."""

from __future__ import annotations

from collections import defaultdict

import pytest

from hpo.schedulers import Hyperband, SuccessiveHalving
from hpo.searchers import ListSearcher
from hpo.trial import Done, TrainReport


def values_trained(scheduler):
    """Run a search whose loss is the value of x; return the values of each (start, stop)."""
    found = defaultdict(list)
    while not isinstance(job := scheduler.ask(), Done):
        x = job.config["x"]
        found[job.start, job.stop].append(x)
        losses = (float(x),) * (job.stop - job.start)
        scheduler.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
    return {units: sorted(values) for units, values in found.items()}


def searcher(count):
    return ListSearcher([{"x": count - place} for place in range(count)])  # the best one last


@pytest.mark.parametrize(
    ("n_configs", "sizes"),
    [(1, [1, 1, 1, 1]), (3, [3, 1, 1, 1]), (5, [5, 2, 1, 1]), (8, [8, 4, 2, 1])],
)
def test_as_many_go_on_as_there_are_configurations_for(n_configs, sizes):
    scheduler = SuccessiveHalving(
        searcher(n_configs), max_resource=8, reduction_factor=2, n_trials=8
    )
    rungs = [(0, 1), (1, 2), (2, 4), (4, 8)]
    best_first = list(range(1, n_configs + 1))
    expected = {rung: best_first[:size] for rung, size in zip(rungs, sizes, strict=True)}
    assert values_trained(scheduler) == expected


def test_brackets_of_hyperband_where_configurations_run_out():
    """Of 12 the first bracket takes 9, the second what is left, the third nothing."""
    scheduler = Hyperband(searcher(12), max_resource=9, reduction_factor=3, side_by_side=False)
    assert values_trained(scheduler) == {
        (0, 1): [4, 5, 6, 7, 8, 9, 10, 11, 12],
        (1, 3): [4, 5, 6],
        (0, 3): [1, 2, 3],
        (3, 9): [1, 4],
    }
