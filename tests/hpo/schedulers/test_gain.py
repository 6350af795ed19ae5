"""What the remaining epochs may gain: against sampling, and as the reason to end a search."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.predictors import PooledPredictor
from hpo.schedulers import SwiftASHA
from hpo.schedulers.freeze_thaw.gain import expected_improvement, most_promising
from hpo.searchers import ListSearcher
from hpo.simulation import TableSearcher, simulate
from hpo.surrogates.scales import BentScale, LogScale
from hpo.trial import TrialStatus


@pytest.mark.parametrize("scale", [LogScale(0.5), BentScale(0.2, 0.3, 0.1, 0.7)])
@pytest.mark.parametrize("n_trials", [1, 3, 20])
@pytest.mark.parametrize("incumbent", [0.6, 0.9, 2.0])
def test_it_is_the_expectation(scale, n_trials, incumbent):
    rng = np.random.default_rng(n_trials)
    mean, std = rng.normal(0, 1, n_trials), rng.uniform(0.1, 1, n_trials)
    losses = scale.to_loss(mean + std * rng.standard_normal((400_000, n_trials)))
    sampled = np.maximum(incumbent - losses.min(axis=1), 0)
    error = sampled.std() / np.sqrt(len(sampled))
    found = expected_improvement(mean, std, scale, incumbent)
    assert found == pytest.approx(sampled.mean(), abs=5 * error + 1e-3 * sampled.mean())


def test_nothing_to_train_gains_nothing():
    none = np.empty(0)
    assert expected_improvement(none, none, LogScale(), 1.0) == 0
    assert expected_improvement(np.array([9.0]), np.array([0.1]), LogScale(), 1.0) == 0
    assert expected_improvement(
        np.array([-9.0]), np.array([0.0]), LogScale(), 1.0
    ) == pytest.approx(1 - np.exp(-9), rel=1e-2)


def test_the_epochs_go_to_what_improves_most_per_epoch():
    mean, std = np.array([0.0, 0.0, 3.0, -1.0]), np.array([1.0, 1.0, 0.1, 1.0])
    cost = np.array([10, 5, 1, 20])
    assert most_promising(mean, std, cost, 0.0, 16).tolist() == [1]
    assert most_promising(mean, std, cost, 0.0, 100).tolist() == [1, 3, 0, 2]
    assert most_promising(mean, std, cost, 0.0, 0).tolist() == []
    # Nothing improves on the lowest value of a logarithmic scale.
    assert most_promising(mean, std, cost, -np.inf, 100).tolist() == [0, 1, 2, 3]


def search(table, **settings):
    return simulate(
        lambda s: SwiftASHA(s, max_resource=27, **settings),
        table,
        searcher=TableSearcher(table),
        predictor=PooledPredictor("ridge"),
    ).summary


def test_every_forecast_after_a_complete_trial_tells_the_gain(falling):
    events = [event for event in search(falling).events if event.kind == "forecast"]
    gains = [event.expected_improvement for event in events]
    assert gains[0] is None
    known = [gain for gain in gains if gain is not None]
    assert len(known) > len(gains) / 3
    assert all(0 <= gain < 1 for gain in known)
    assert known[-1] < np.mean(known)


def test_a_search_ends_once_little_is_expected(falling):
    whole = search(falling)
    short = search(falling, min_improvement=0.05)
    assert short.epochs < 0.9 * whole.epochs
    assert short.best.status is TrialStatus.COMPLETED
    gains = [event.expected_improvement for event in short.events if event.kind == "forecast"]
    assert max(gains[-2:]) < 0.05
    reasons = {t.reason for t in short.trials if t.status is TrialStatus.STOPPED}
    assert reasons == {"expected to improve the best loss by less than 0.05"}
    # At the very end nothing can be completed any more.
    assert search(falling, min_improvement=1e-12).epochs > 0.9 * whole.epochs


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_minimum_that_is_none_is_named(value):
    with pytest.raises(ValueError, match="min_improvement must be above 0 and finite, or None"):
        SwiftASHA(ListSearcher([{}]), max_resource=27, min_improvement=value)
