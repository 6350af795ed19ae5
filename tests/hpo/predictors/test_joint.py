"""Forecasts of the joint predictor: from hyperparameters and curves at once, calibrated."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from hpo.predictors import JointPredictor, MixedPredictor, PredictionContext
from hpo.surrogates import BentScale, JointProcess, LogScale, Points, scale_of
from hpo.trial import Curve

TARGET = 30


def whole_curves(count, seed=0):
    """Return losses of shape (count, TARGET) that hang on one of two hyperparameters."""
    rng = np.random.default_rng(seed)
    configs = [{"x": float(x), "y": float(y)} for x, y in rng.random((count, 2))]
    level = np.array([(config["x"] - 0.3) ** 2 for config in configs])
    speed = rng.uniform(0.5, 1.0, count)
    units = np.arange(1, TARGET + 1)
    losses = level[:, None] + 0.5 * units ** -speed[:, None]
    return configs, losses + rng.normal(0, 0.002, losses.shape)


def search_state(count=60, seed=0):
    """Return curves as a search has them, a few of them whole, and the losses at the target."""
    configs, losses = whole_curves(count, seed)
    lengths = np.random.default_rng(seed).choice(
        [1, 2, 4, 8, TARGET], count, p=[0.4, 0.2, 0.2, 0.1, 0.1]
    )
    lengths[0] = TARGET
    curves = [
        Curve(i, config, tuple(row[:length].tolist()))
        for i, (config, row, length) in enumerate(zip(configs, losses, lengths, strict=True))
    ]
    return curves, losses[:, -1], lengths


def test_beats_the_last_value_and_knows_its_errors():
    away, skills = [], []
    for seed in range(6):
        curves, final, lengths = search_state(seed=seed)
        forecast = JointPredictor().forecast(curves, TARGET)
        open_ = lengths < TARGET
        truth = forecast.scale.of(final)[open_]
        last = forecast.scale.of(np.array([c.losses[-1] for c in curves]))[open_]
        error = truth - forecast.mean[open_]
        skills.append(1 - np.mean(error**2) / np.mean((truth - last) ** 2))
        away.append(np.abs(error) / forecast.std[open_])
    assert np.mean(skills) > 0.5
    assert 0.7 < np.mean(np.concatenate(away) < 1.2816) <= 1.0


def test_a_whole_curve_keeps_its_last_loss():
    curves, final, lengths = search_state()
    forecast = JointPredictor().forecast(curves, TARGET)
    done = lengths == TARGET
    np.testing.assert_allclose(forecast.loss[done], final[done], rtol=1e-9)
    assert np.all(forecast.std[done] == 0)
    assert np.all(forecast.std[~done] > 0)


def test_good_forecasts_go_below_the_lowest_loss_seen():
    """Curves that all fall on: the best of the short ones must be expected below all losses."""
    units = np.arange(1, TARGET + 1)
    curves = []
    for i, level in enumerate(np.linspace(0, 1, 20)):
        losses = level + 2.0 - 0.4 * np.log(units)
        length = TARGET if level > 0.5 else 6
        curves.append(Curve(i, {"x": float(level)}, tuple(losses[:length].tolist())))
    forecast = JointPredictor().forecast(curves, TARGET)
    assert forecast.loss[0] < min(min(curve.losses) for curve in curves)


def test_untried_configurations_are_expected_by_their_hyperparameters():
    curves, _, _ = search_state()
    surrogate = JointPredictor().forecast(curves, TARGET).surrogate
    good, bad = {"x": 0.3, "y": 0.5}, {"x": 0.95, "y": 0.5}
    mean, std = surrogate.predict([good, bad])
    assert mean[0] + std[0] < mean[1]
    draws = surrogate.sample([good, bad], 2000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.1)


def test_what_is_expected_of_a_configuration_does_not_depend_on_the_others():
    curves, _, _ = search_state()
    surrogate = JointPredictor().forecast(curves, TARGET).surrogate
    configs = [{"x": float(x), "y": 0.5} for x in np.linspace(0.0, 1.0, 5)]
    mean, std = surrogate.predict(configs)
    for place, config in enumerate(configs):
        alone = surrogate.predict([config])
        np.testing.assert_allclose([each[0] for each in alone], [mean[place], std[place]])


def test_more_losses_than_it_takes_change_little():
    curves, _, lengths = search_state(150)
    whole = JointPredictor().forecast(curves, TARGET)
    bounded = JointPredictor(max_points=100).forecast(curves, TARGET)
    assert bounded.info["n_rows"] <= 100
    open_ = lengths < TARGET
    assert np.corrcoef(whole.mean[open_], bounded.mean[open_])[0, 1] > 0.9
    assert np.all(np.isfinite(bounded.std))


def test_a_warm_start_saves_the_fit_and_repeats_the_forecast():
    curves, _, _ = search_state()
    first = JointPredictor().forecast(curves, TARGET)
    warm = PredictionContext(warm_start_state=first.warm_start_state)
    again = JointPredictor().forecast(curves, TARGET, warm)
    np.testing.assert_array_equal(first.mean, again.mean)
    assert again.warm_start_state == first.warm_start_state
    more, _, _ = search_state(100)
    later = JointPredictor().forecast(more, TARGET, warm)
    assert later.warm_start_state["n_points"] > first.warm_start_state["n_points"]
    other = [Curve(c.trial_id, {"z": float(c.trial_id)}, c.losses) for c in curves]
    JointPredictor().forecast(other, TARGET, warm)  # other settings


@pytest.mark.parametrize("factor", [1e-9, 1e9, -1.0])
def test_units_and_signs_of_the_loss_do_not_matter(factor):
    curves, _, _ = search_state()
    shifted = [
        Curve(c.trial_id, c.config, tuple(abs(factor) * v + (factor < 0) * -50 for v in c.losses))
        for c in curves
    ]
    plain, other = (JointPredictor().forecast(each, TARGET) for each in (curves, shifted))
    np.testing.assert_allclose(
        plain.mean, other.mean, atol=0.05
    )  # of unit spread; rounding moves fits


@pytest.mark.parametrize("losses", [(1.0,), (1.0, 1.0, 1.0), (1e-300, 1e300), (0.0, 0.0)], ids=str)
def test_degenerate_curves_are_forecast(losses):
    curves = [Curve(i, {"x": i}, losses) for i in range(3)]
    forecast = JointPredictor().forecast(curves, 9)
    assert np.all(np.isfinite(forecast.mean))
    assert np.all(forecast.std >= 0)
    assert np.all(np.isfinite(forecast.loss))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_points": 5}, "max_points must be at least 20, got 5"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        JointPredictor(**settings)


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ([], "at least one curve"),
        ([Curve(7, {}, (float("nan"),))], "leave out trial 7"),
        ([Curve(7, {}, ())], "leave out trial 7"),
    ],
)
def test_curves_that_cannot_be_used_are_named(curves, message):
    with pytest.raises(ValueError, match=message):
        JointPredictor().forecast(curves, 9)


@pytest.mark.parametrize("scale", [LogScale(-2.0), BentScale(1.0, 0.5, 0.3, 2.0)])
def test_scales_go_both_ways_and_through_plain_values(scale):
    losses = np.array([1.01, 1.2, 1.5, 3.0, 1e6])
    np.testing.assert_allclose(scale.to_loss(scale.of(losses)), losses)
    assert np.all(np.diff(scale.of(losses)) > 0)
    assert scale_of(asdict(scale)) == scale


def test_a_bent_scale_has_one_slope_at_its_bend_and_room_below():
    scale = BentScale.fitted(np.array([1.0, 2.0, 3.0, 9.0]), np.array([2.0, 3.0, 9.0]))
    bend = scale.low + scale.width
    left, right = scale.of(np.array([bend - 1e-6, bend, bend + 1e-6])).tolist()[::2]
    middle = scale.of(np.array([bend]))[0]
    assert (middle - left) == pytest.approx(right - middle, rel=1e-4)
    assert scale.to_loss(scale.of(np.array([scale.low - 5.0])))[0] == pytest.approx(scale.low - 5.0)


def test_a_report_without_a_scale_is_refused():
    with pytest.raises(ValueError, match="scale must hold the values of"):
        scale_of({})


def test_mixed_forecasts_take_turns_and_hand_the_state_on():
    curves, _, _ = search_state()
    joint, pooled = (
        MixedPredictor().forecast(curves, TARGET, PredictionContext(seed=seed)) for seed in (0, 1)
    )
    assert joint.info["predictor"] == "JointPredictor"
    assert joint.surrogate is not None
    assert pooled.info["predictor"] == "PooledPredictor"
    assert pooled.surrogate is None
    three = MixedPredictor(["nusvr", "extra-trees"])
    turns = [three.forecast(curves, TARGET, PredictionContext(seed=seed)).info for seed in range(4)]
    assert [info.get("regressor") for info in turns] == [
        None,
        pooled.info["regressor"],
        "ExtraTreesRegressor",
        None,
    ]
    state = joint.warm_start_state
    first, second = (PredictionContext(seed, warm_start_state=state) for seed in (1, 2))
    later = MixedPredictor().forecast(curves, TARGET, first)
    assert later.warm_start_state == state
    alone = JointPredictor().forecast(curves, TARGET, second)
    mixed = MixedPredictor().forecast(curves, TARGET, second)
    np.testing.assert_array_equal(mixed.mean, alone.mean)


def test_mixed_needs_someone_to_forecast():
    with pytest.raises(ValueError, match="forecasters must contain at least one"):
        MixedPredictor(forecasters=[])


def slow_learners(count=40):
    """Return curves, long and short, whose rate of learning leads to a floor the lower it is."""
    rng = np.random.default_rng(0)
    rate = 10 ** rng.uniform(-2, 0, count)
    units = np.arange(1, 65)
    losses = 0.3 * rate[:, None] + np.exp(-rate[:, None] * units)
    lengths = [64 if i % 4 == 0 else 16 if i % 4 == 1 else 2 for i in range(count)]
    return [
        Curve(i, {"rate": float(np.log10(rate[i]))}, tuple(losses[i, : lengths[i]].tolist()))
        for i in range(count)
    ]


def test_first_losses_that_tell_little_are_found_out():
    assert 1 < JointPredictor().forecast(slow_learners(), 64).min_informative_resource <= 16
    few = JointPredictor().forecast(slow_learners(12), 64)
    assert few.min_informative_resource == 1, "48 losses are too few to judge by"
    curves, _, _ = search_state()
    assert JointPredictor().forecast(curves, TARGET).min_informative_resource == 1
    assert (
        JointPredictor().forecast([Curve(0, {"x": 1.0}, (0.5,))], 1).min_informative_resource == 1
    )


def test_first_losses_are_used_again_on_clear_evidence_only():
    def forecast(curves, target, state):
        return JointPredictor().forecast(curves, target, PredictionContext(warm_start_state=state))

    slow = JointPredictor().forecast(slow_learners(), 64)
    kept = slow.min_informative_resource
    few = forecast(slow_learners(12), 64, slow.warm_start_state)
    assert few.min_informative_resource == kept, "48 losses are too few to judge by"
    curves, _, _ = search_state()
    fresh = JointPredictor().forecast(curves, TARGET).warm_start_state
    once = forecast(curves, TARGET, fresh | {"min_informative_resource": kept})
    assert once.min_informative_resource == kept
    twice = forecast(curves, TARGET, once.warm_start_state)
    assert twice.min_informative_resource == 1
    # Settings of the process by which first and final losses correlate by 0.3 to 0.4.
    theta = np.array(fresh["theta"])
    theta[:8] = np.log([0.55, 0.75, 0.09, 0.3, 0.35, 0.03, 0.5, 0.75])
    for drift in np.linspace(0.5, 2.0, 200):
        theta[1] = np.log(drift)
        points = Points(np.zeros((1, 2)), np.ones(1), np.zeros(1, int))
        process = JointProcess(points, np.zeros(1), theta)
        if 0.32 < process.correlation_with_end(np.zeros(1))[0] < 0.38:
            break
    unclear = {"theta": theta.tolist(), "n_points": 10**6, "min_informative_resource": 7}
    for n_clear in (0, 1):
        found = forecast(curves, TARGET, unclear | {"n_clear": n_clear})
        assert found.min_informative_resource == 7
        assert found.warm_start_state["n_clear"] == 0


def test_held_out_lasts_are_the_forecasts_of_processes_without_these_losses():
    rng = np.random.default_rng(0)
    trial = np.repeat(np.arange(5), [1, 3, 2, 4, 1])
    x = rng.random((5, 2))[trial]
    when = np.concatenate([np.linspace(0, 0.7, n) for n in (1, 3, 2, 4, 1)])
    values = rng.normal(size=len(trial))
    process = JointProcess(Points(x, when, trial), values).condition()
    errors, rows = process.held_out_lasts()
    assert rows.tolist() == [1, 2, 4, 6, 7, 8]
    for error, row in zip(errors, rows, strict=True):
        end = int(np.flatnonzero(trial == trial[row])[-1])
        keep = np.array([i for i in range(len(trial)) if not row < i <= end])
        cut = JointProcess(process.points.take(keep), values[keep]).condition()
        mean, std = cut.each(process.points.take(np.array([end])))
        noise = np.exp(2 * process.theta[5]) + 1e-6
        assert error == pytest.approx((values[end] - mean[0]) / np.sqrt(std[0] ** 2 + noise))


def test_an_encoder_of_the_searcher_is_what_the_process_sees():
    curves, _, _ = search_state()
    seen = []

    def encoder(configs):
        seen.append(len(configs))
        return np.array([[config["x"]] for config in configs])

    forecast = MixedPredictor().forecast(curves, TARGET, PredictionContext(encoder=encoder))
    assert len(forecast.warm_start_state["theta"]) == 8 + 1
    forecast.surrogate.predict([{"x": 0.5}])
    assert seen == [len(curves), 1]
