"""One model for curves of all lengths: what it learns, how sure it is, and bad data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from hpo.predictors import (
    REGRESSORS,
    PooledPredictor,
    PredictionContext,
    make_predictor,
    run_predict_job,
)
from hpo.predictors._pairs import CurveSet, lengths_up_to
from hpo.searchers import CurveSearcher, ListCandidates
from hpo.trial import Curve, ForecastJob, PredictFailure


def curves_of(table, lengths, rows=None):
    rows = range(len(lengths)) if rows is None else rows
    return [
        Curve(int(row), table.configs[row], tuple(table.losses[row, :length].tolist()))
        for row, length in zip(rows, lengths, strict=True)
    ]


@pytest.fixture(scope="module")
def mixed(falling):
    """60 curves, from 1 unit to all 27."""
    lengths = np.random.default_rng(3).choice([1, 2, 4, 9, 14, 27], 60)
    return curves_of(falling, lengths)


def test_pieces_are_all_pairs_of_grid_lengths_that_a_curve_has():
    curves = [Curve(0, {}, (5.0, 4.0, 3.0, 2.0)), Curve(1, {}, (5.0,))]
    pairs = CurveSet(curves).pairs(9)
    assert lengths_up_to(9) == (1, 2, 3, 4, 6, 9)
    assert [*zip(pairs.start.tolist(), pairs.stop.tolist(), strict=True)] == [
        *((1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
    ]
    assert set(pairs.trial.tolist()) == {0}


def test_the_growth_is_the_slope_of_a_power_law_above_the_base():
    curve = Curve(0, {}, tuple(1 + 2 * unit**-0.7 for unit in range(1, 28)))
    data = CurveSet([curve], gap=0.1)
    pairs = data.pairs(27)
    losses = np.array(curve.losses)
    expected = np.log(
        (losses[pairs.stop - 1] - data.base) / (losses[pairs.start - 1] - data.base)
    ) / np.sqrt(np.log(pairs.stop / pairs.start))
    np.testing.assert_allclose(data.growth(pairs), expected)


def test_the_features_are_levels_slopes_and_lengths_of_the_logarithm():
    losses = np.array([5.0, 4.0, 4.5, 3.0, 2.0])
    data = CurveSet([Curve(0, {}, tuple(losses)), Curve(1, {}, (1.5,))], gap=0.1)
    base = 1.5 - 0.1 * (np.median([2.0, 1.5]) - 1.5)
    assert data.base == pytest.approx(base)
    z, best = np.log(losses - base), np.log(1.5 - base)
    pairs = data.pairs(4)
    expected = {
        # to the curve's lowest, to the search's, over the last half and the last unit
        1: [z[0], 0.0, z[0] - best, 0.0, 0.0],
        2: [z[1], 0.0, z[1] - best, z[1] - z[0], z[1] - z[0]],
        3: [z[2], z[2] - z[1], z[2] - best, z[2] - z[0], z[2] - z[1]],
    }
    rows = [
        [*expected[start], np.log(start), np.log(stop / start)]
        for start, stop in zip(pairs.start, pairs.stop, strict=True)
    ]
    np.testing.assert_allclose(data.features(pairs), rows, atol=1e-12)


def test_forecasts_beat_the_last_value_where_curves_cross(falling, mixed):
    truth = falling.losses[:60, -1]
    lengths = np.array([len(curve.losses) for curve in mixed])
    forecast = PooledPredictor().forecast(mixed, 27, PredictionContext(seed=1))
    lasts = np.array([curve.losses[-1] for curve in mixed])
    short = lengths < 27
    ours = np.mean((forecast.loss[short] - truth[short]) ** 2)
    assert ours < 0.5 * np.mean((lasts[short] - truth[short]) ** 2)
    assert forecast.skill > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_the_spread_covers_what_it_says(falling, seed):
    lengths = np.random.default_rng(seed).choice([1, 2, 4, 9, 14, 27], 200)
    curves = curves_of(falling, lengths)
    forecast = PooledPredictor().forecast(curves, 27, PredictionContext(seed=seed))
    data = CurveSet(curves)
    z = np.log(np.maximum(falling.losses[:, -1] - data.base, 1e-12))
    away = np.abs(z - forecast.mean)[lengths < 27] / forecast.std[lengths < 27]
    assert 0.65 <= np.mean(away < 1.2816) <= 0.97  # nominal 0.80
    assert 0.85 <= np.mean(away < 1.96) <= 1.0  # nominal 0.95


def test_curves_that_are_longer_than_the_target_teach_with_all_their_pieces(falling):
    curves = curves_of(falling, [9] * 20)  # 1, 2, 3, 4, 6 and 9 units make 15 pieces of each
    assert PooledPredictor("ridge").forecast(curves, 4).info["n_rows"] == 20 * 15


def test_a_finished_curve_keeps_its_loss_with_no_spread(falling, mixed):
    forecast = PooledPredictor().forecast(mixed, 27)
    full = [place for place, curve in enumerate(mixed) if len(curve.losses) == 27]
    np.testing.assert_allclose(forecast.loss[full], falling.losses[full, -1], rtol=1e-9)
    assert np.all(forecast.std[full] == 0)


def test_without_anything_to_learn_the_last_value_is_the_forecast():
    curves = [Curve(i, {"x": i}, (float(i + 1),)) for i in range(5)]
    forecast = PooledPredictor().forecast(curves, 27)
    np.testing.assert_allclose(forecast.loss, [1, 2, 3, 4, 5])
    assert forecast.skill is None
    assert np.all(forecast.std > 0)


def test_a_model_that_knows_nothing_is_shrunk_to_the_last_value(falling):
    rng = np.random.default_rng(0)
    losses = np.exp(np.cumsum(rng.normal(0, 0.3, (40, 27)), axis=1))  # random walks
    curves = [Curve(i, {"x": float(rng.random())}, tuple(row[:9])) for i, row in enumerate(losses)]
    forecast = PooledPredictor(LinearRegression()).forecast(curves, 27)
    assert forecast.skill < 0.1
    assert forecast.info["kept"] < 0.6


@pytest.mark.parametrize(
    ("shift", "scale"), [(0.0, 1e-6), (0.0, 1e6), (-100.0, 1.0), (-100.0, 1e6), (1e6, 1e6)]
)
def test_losses_may_be_shifted_and_scaled(mixed, shift, scale):
    plain = PooledPredictor(LinearRegression()).forecast(mixed, 27)
    moved = [
        Curve(c.trial_id, c.config, tuple(shift + scale * loss for loss in c.losses)) for c in mixed
    ]
    there = PooledPredictor(LinearRegression()).forecast(moved, 27)
    np.testing.assert_allclose(there.loss, shift + scale * plain.loss, rtol=1e-4, atol=1e-3 * scale)


@pytest.mark.parametrize(
    "losses",
    [(1.0,) * 9, (1.0, 1e18, 1e18, 1e18), (-0.1, -0.5, -0.9), (3.0, 2.0, 1.0, 5.0, 4.0, 3.0)],
    ids=["plateau", "divergence", "accuracy", "restart"],
)
def test_odd_curves_give_finite_forecasts(mixed, losses):
    forecast = PooledPredictor().forecast([*mixed, Curve(99, {"level": 0.5}, losses)], 27)
    assert np.all(np.isfinite(forecast.mean))
    assert np.all(np.isfinite(forecast.std))


def test_equal_losses_everywhere_are_no_trouble():
    curves = [Curve(i, {"x": i}, (1.0,) * (1 + i % 9)) for i in range(30)]
    forecast = PooledPredictor().forecast(curves, 27)
    np.testing.assert_allclose(forecast.loss, 1.0, atol=1e-5)


@pytest.mark.parametrize("regressor", [name for name in REGRESSORS if name != "qsvr"])
def test_every_regressor_fits_in_and_repeats_itself(mixed, regressor):
    first, second = (
        PooledPredictor(regressor).forecast(mixed, 27, PredictionContext(seed=5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.mean, second.mean)
    assert np.all(np.isfinite(first.mean))


@pytest.mark.slow
def test_qsvr_fits_in(mixed):
    forecast = PooledPredictor("qsvr", max_rows=60).forecast(mixed, 27)
    assert np.all(np.isfinite(forecast.mean))
    assert forecast.info["regressor"] == "TransformedTargetRegressor"


@pytest.mark.parametrize("name", ["nusvr", "last-value", "pooled", "svr"])
def test_a_forecast_job_is_answered_with_proposals(falling, mixed, name):
    searcher = CurveSearcher(ListCandidates(falling.configs))
    job = ForecastJob(0, 27, tuple(mixed), (), seed=1, n_proposals=5)
    report = run_predict_job(job, make_predictor(name), searcher)
    assert len(report.predictions) == len(report.stds) == len(mixed)
    assert len(report.proposals) == 5
    assert run_predict_job(job, make_predictor(name), searcher) == report


class TwoOfTheirs:
    """A searcher of a user's own: it suggests the best level and the worst."""

    def propose(self, trial_id):
        return {"level": 0.5}

    def suggest(self, curves, n, *, max_resource, seed):
        return [{"level": 0.0}, {"level": 1.0}]


@pytest.mark.parametrize("name", ["pooled", "joint"])
def test_what_another_searcher_suggests_is_weighed_by_what_is_known(falling, mixed, name):
    job = ForecastJob(0, 27, tuple(mixed), (), seed=1, n_proposals=2)
    best, worst = run_predict_job(job, make_predictor(name), TwoOfTheirs()).proposals
    assert (best.config, worst.config) == ({"level": 0.0}, {"level": 1.0})
    assert best.mean + best.std < worst.mean
    assert min(best.std, worst.std) > 0


def test_a_predictor_that_cannot_forecast_says_so(mixed):
    job = ForecastJob(0, 27, tuple(mixed), (), seed=1, n_proposals=5)
    report = run_predict_job(job, make_predictor("power-law"))
    assert isinstance(report, PredictFailure)
    assert "use PooledPredictor" in report.reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "folds must be 0 or at least 2, got 1"),
        ({"max_rows": 3}, "max_rows must be at least 12, got 3"),
        ({"gap": 0.0}, "gap must be above 0, got 0.0"),
        ({"regressor": "oracle"}, "regressor must be one of extra-trees.*'oracle'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        PooledPredictor(**settings)


@pytest.mark.parametrize("curves", [[], [Curve(7, {}, ())], [Curve(7, {}, (1.0, np.nan))]])
def test_bad_curves_are_named(curves):
    with pytest.raises(ValueError, match=r"at least one curve|leave out trial 7"):
        PooledPredictor().forecast(curves, 9)
