"""Forecasts that learn from the trials of earlier searches."""

from __future__ import annotations

import numpy as np
import pytest

from hpo import CurveSearcher, SearchSpace
from hpo.predictors import JointPredictor, PooledPredictor, PredictionContext, run_predict_job
from hpo.predictors.warm_start import MARK, converted, instructive, warm_started
from hpo.trial import Curve, ForecastJob

SPACE = SearchSpace.from_dict(
    {
        "x": {"type": "float", "low": 0.0, "high": 1.0},
        "z": {"type": "float", "low": 0.0, "high": 1.0},
    }
)
UNITS = 27


def curves_of(seed, n, length=UNITS, shift=0.0, factor=1.0):
    """Trials whose final losses depend on both hyperparameters, and whose first ones on neither."""
    rng = np.random.default_rng(seed)
    units = np.arange(1, UNITS + 1)
    found = []
    for trial in range(n):
        x, z = rng.random(2).tolist()
        level = (x - 0.3) ** 2 + 0.5 * (z - 0.6) ** 2
        curve = (1 - level) * np.exp(-units / 5) + level + 0.003 * rng.standard_normal(UNITS)
        losses = tuple((shift + factor * curve[:length]).tolist())
        found.append(Curve(trial, {"x": x, "z": z}, losses))
    return found


@pytest.mark.parametrize("forecaster", [JointPredictor(), PooledPredictor("nusvr")])
@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (20.0, 7.0)])
def test_final_losses_are_forecast_better(forecaster, shift, factor):
    """Also if the losses of the earlier search are in other units."""
    present = curves_of(0, 12, length=2)
    true = np.array([curve.losses[-1] for curve in curves_of(0, 12)])
    context = PredictionContext(seed=0, encoder=SPACE.features_of, space=SPACE)
    earlier = curves_of(1, 40, shift=shift, factor=factor)
    rest = 0.7 if factor == 1.0 else 1.0  # of the error
    cold = forecaster.forecast(present, UNITS, context)
    warm = warm_started(forecaster, [earlier]).forecast(present, UNITS, context)
    assert warm.mean.shape == warm.std.shape == (12,)
    errors = [np.abs(each.loss - true).mean() for each in (cold, warm)]
    assert errors[1] < rest * errors[0]


def test_an_earlier_search_of_another_problem_does_little_harm():
    present = curves_of(0, 40)[:30]
    short = [Curve(c.trial_id, c.config, c.losses[:8]) for c in curves_of(0, 40)[30:]]
    true = np.array([curve.losses[-1] for curve in curves_of(0, 40)[30:]])
    rng = np.random.default_rng(5)
    other = [
        Curve(c.trial_id, {"x": rng.random(), "z": rng.random()}, c.losses)
        for c in curves_of(1, 40)
    ]
    width = np.ptp(true)
    context = PredictionContext(seed=0, encoder=SPACE.features_of, space=SPACE)
    errors = [
        np.abs(each.forecast([*present, *short], UNITS, context).loss[30:] - true).mean()
        for each in (JointPredictor(), warm_started(JointPredictor(), [other]))
    ]
    assert errors[1] < errors[0] + 0.05 * width


def test_proposals_are_near_the_best_of_the_earlier_search():
    present = tuple(curves_of(0, 10, length=1))
    job = ForecastJob(0, UNITS, present, (), 2, 12)
    searcher = CurveSearcher(SPACE, seed=0, random_share=0.0)
    away = []
    for forecaster in (JointPredictor(), warm_started(JointPredictor(), [curves_of(1, 40)])):
        report = run_predict_job(job, forecaster, searcher)
        assert len(report.predictions) == 10
        assert all(MARK not in proposal.config for proposal in report.proposals)
        away.append(np.mean([abs(p.config["x"] - 0.3) for p in report.proposals]))
    assert away[1] < 0.7 * away[0]


def test_losses_are_converted_by_what_both_searches_have():
    present = curves_of(0, 20)
    assert converted(curves_of(1, 20), present) == curves_of(1, 20)  # in the same units
    earlier = curves_of(0, 20, shift=-3.0, factor=0.25)
    for found, own in zip(converted(earlier, present), present, strict=True):
        np.testing.assert_allclose(found.losses, own.losses, atol=1e-12)
    assert converted(earlier, present[:3]) == earlier  # too few to compare
    flat = [Curve(t, {}, (0.5,)) for t in range(9)]
    moved = converted(flat, [Curve(t, {}, (2.0,)) for t in range(9)])
    assert {curve.losses for curve in moved} == {(2.0,)}


def test_longer_earlier_trials_are_cut_and_shorter_ones_are_used():
    present = curves_of(0, 6, length=3)
    earlier = [*curves_of(1, 10), *curves_of(2, 10, length=4)]
    context = PredictionContext(encoder=SPACE.features_of)
    forecast = warm_started(JointPredictor(), [earlier]).forecast(present, 9, context)
    assert np.isfinite(forecast.mean).all()


def test_the_best_trials_and_some_others_are_taken_over():
    ranked = [Curve(place, {}, (float(place),)) for place in range(200)]
    for n_searches, most in ((1, 40), (3, 20), (50, 8)):
        taken = [curve.trial_id for curve in instructive(ranked, n_searches)]
        assert len(set(taken)) == len(taken) == most
        assert taken[: most // 2] == list(range(most // 2))
        assert max(taken) > 100
    assert instructive(ranked[:5], 1) == ranked[:5]
