"""Calibration by length: from held-out errors on the lower side, shrunk, never narrower."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.predictors import PooledPredictor
from hpo.predictors._calibration import widening
from hpo.trial import Curve


def test_normal_errors_need_no_widening_and_wide_ones_get_their_spread():
    rng = np.random.default_rng(0)
    lengths = np.repeat([1, 32], 4000)
    errors = rng.standard_normal(8000) * np.where(lengths == 1, 2.0, 1.0)
    short, long = widening(errors, lengths, np.array([1, 32]))
    assert short == pytest.approx(2.0, rel=0.08)  # a little less: errors beyond 5 count as 5
    assert long == pytest.approx(1.0, rel=0.08)


def test_only_losses_below_the_forecast_widen_and_nothing_narrows():
    lengths = np.ones(200)
    assert widening(np.full(200, 4.0), lengths, np.array([1, 2])).tolist() == [1.0, 1.0]
    assert widening(np.full(200, -0.1), lengths, np.array([1, 2])).tolist() == [1.0, 1.0]
    assert widening(np.full(200, -3.0), lengths, np.array([1]))[0] == pytest.approx(3.0, rel=0.05)


def test_few_errors_are_shrunk():
    none = np.empty(0)
    assert widening(none, none, np.array([1, 10])).tolist() == [1.0, 1.0]
    one = widening(np.array([-50.0]), np.array([1.0]), np.array([1]))
    assert 1 < one[0] < 2.5  # of 5


def test_pooled_forecasts_of_short_trials_hold_late_falls():
    """One trial of five falls late, which its first losses do not show."""
    rng = np.random.default_rng(0)
    far = []
    for _ in range(4):
        falls = rng.random(60) < 0.2
        units = np.arange(1, 33)
        losses = 1 + 0.3 * rng.random((60, 1)) + 0.02 * rng.standard_normal((60, 32))
        losses -= 0.7 * (falls[:, None] & (units > 4))
        lengths = np.where(np.arange(60) % 3 == 0, 32, rng.choice([1, 2, 4], 60))
        curves = [
            Curve(i, {"x": float(rng.random())}, tuple(losses[i, : lengths[i]].tolist()))
            for i in range(60)
        ]
        forecast = PooledPredictor("nusvr", gap=1.0).forecast(curves, 32)
        short = lengths < 32
        error = (forecast.scale.of(losses[:, -1]) - forecast.mean)[short] / forecast.std[short]
        far.append(np.mean(error < -2))
    assert np.mean(far) < 0.08, "15% without the calibration, 2.3% if the errors were normal"
