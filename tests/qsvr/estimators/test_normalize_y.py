"""normalize_y: C and epsilon in units of the standard deviation of y, all else in units of y."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from friedman import X_NEW, X, Y, make_model
from qsvr import QSVR, QSVREnsemble

TARGETS = 300.0 + 77.0 * Y  # Y has a standard deviation of 1


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"combination": "mse", "combination_fraction": 0.2},
        {"intercept": "kkt", "combination": "best"},
        {"n_refinements": 3},
        {"max_variables": 60},
        {"kernel": "linear"},
    ],
)
def test_predictions_are_those_of_targets_normalised_outside(parameters):
    inside = make_model(C=3.0, normalize_y=True, **parameters).fit(X, TARGETS)
    outside = TransformedTargetRegressor(
        make_model(C=3.0, **parameters), transformer=StandardScaler()
    )
    outside.fit(X, TARGETS)
    np.testing.assert_allclose(inside.predict(X_NEW), outside.predict(X_NEW), rtol=1e-6)
    model = outside.regressor_
    assert inside.y_std_ == pytest.approx(77.0)
    assert inside.energy_ == pytest.approx(model.energy_, rel=1e-6)
    assert inside.relaxation_bound_ == pytest.approx(model.relaxation_bound_, rel=1e-4)
    # b is in the box of C in units of y
    assert np.abs(inside.dual_coef_).max() <= 3.0 * 77.0 * (1 + 1e-12)
    assert inside.solutions_.combined[0].sum() == pytest.approx(inside.dual_coef_.sum())


def test_standard_deviations_are_in_units_of_y():
    std = make_model(normalize_y=True).fit(X, TARGETS).predict(X_NEW, return_std=True)[1]
    expected = make_model().fit(X, Y).predict(X_NEW, return_std=True)[1]
    np.testing.assert_allclose(std, 77.0 * expected, rtol=1e-6)


def test_the_formula_of_the_prediction_and_the_export_are_in_units_of_y():
    model = make_model(kernel="linear", normalize_y=True).fit(X, TARGETS)
    expected = model.predict(X_NEW)
    formula = model.kernel_matrix(X_NEW) @ model.dual_coef_[0] + model.intercept_
    np.testing.assert_allclose(formula, expected, rtol=1e-12)
    np.testing.assert_allclose(X_NEW @ model.coef_[0] + model.intercept_, expected, rtol=1e-12)
    svr = model.to_svr()
    np.testing.assert_allclose(svr.predict(X_NEW), expected, rtol=1e-12)
    assert svr.epsilon == pytest.approx(0.1 * 77.0)


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 1e9, 1e200])
def test_units_of_y_do_not_matter(factor):
    model = make_model(normalize_y=True).fit(X, factor * Y)
    expected = make_model(normalize_y=True).fit(X, Y)
    np.testing.assert_allclose(model.predict(X) / factor, expected.predict(X), rtol=1e-3, atol=0.02)
    np.testing.assert_allclose(
        model.predict(X, return_std=True)[1] / factor,
        expected.predict(X, return_std=True)[1],
        rtol=0.05,
    )


@pytest.mark.parametrize("value", [0.0, 7.5, 0.1, 1e9])
def test_constant_targets_have_a_unit_of_one(value):
    """The standard deviation of 0.1, 0.1, 0.1 is 1e-17 in floating point."""
    model = QSVR(normalize_y=True, random_state=0).fit(X, np.full(len(X), value))
    assert model.y_std_ == 1.0
    prediction, std = model.predict(X_NEW, return_std=True)
    np.testing.assert_allclose(prediction, value, rtol=1e-12)
    np.testing.assert_allclose(std, 0.0, atol=1e-6 * max(value, 1.0))


def test_samples_without_weight_do_not_count():
    weight = np.ones(len(X))
    weight[:5] = 0.0
    spoilt = TARGETS.copy()
    spoilt[:5] = 1e9
    model = make_model(normalize_y=True, gamma=0.1).fit(X, spoilt, sample_weight=weight)
    assert model.y_std_ == pytest.approx(TARGETS[5:].std())
    expected = make_model(normalize_y=True, gamma=0.1).fit(X[5:], TARGETS[5:]).predict(X_NEW)
    np.testing.assert_allclose(model.predict(X_NEW), expected, rtol=1e-12)


def test_weights_are_factors_on_C_as_without():
    weight = 1.0 + np.arange(len(X)) % 2
    model = make_model(normalize_y=True).fit(X, TARGETS, sample_weight=weight)
    expected = make_model().fit(X, (TARGETS - TARGETS.mean()) / TARGETS.std(), sample_weight=weight)
    np.testing.assert_allclose(
        model.predict(X_NEW), TARGETS.mean() + 77.0 * expected.predict(X_NEW), rtol=1e-6
    )


def test_a_warm_start_goes_on_from_the_fit_before_in_any_units():
    model = make_model(normalize_y=True, max_variables=60, warm_start=True, C=3.0).fit(X, TARGETS)
    first, before = model.n_iter_, model.predict(X_NEW)
    assert first > 1
    model.fit(X, TARGETS)
    assert model.n_iter_ <= max(2, first // 2)
    np.testing.assert_allclose(model.predict(X_NEW), before, atol=0.2)
    model.set_params(normalize_y=False, C=231.0, epsilon=7.7, tol=0.077).fit(X, TARGETS)
    assert model.n_iter_ <= max(2, first // 2)
    np.testing.assert_allclose(model.predict(X_NEW), before, atol=0.5)


def test_members_of_an_ensemble_normalise_by_their_own_targets():
    ensemble = QSVREnsemble(make_model(normalize_y=True), n_estimators=3, random_state=0)
    ensemble.fit(X, TARGETS)
    for member, samples in zip(ensemble.estimators_, ensemble.estimators_samples_, strict=True):
        assert member.y_std_ == pytest.approx(TARGETS[samples].std())
    assert ensemble.score(X, TARGETS) > 0.5
    assert clone(ensemble).estimator.normalize_y is True


def test_the_recommended_pipeline_gives_standard_deviations():
    rows, targets = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), QSVR(normalize_y=True, random_state=0))
    prediction, std = model.fit(rows[:80], targets[:80]).predict(rows[80:160], return_std=True)
    inside = np.abs(prediction - targets[80:160]) < 1.645 * std
    assert 0.8 < inside.mean() < 1.0
    assert 40 < std.mean() < 80  # the targets' standard deviation is 77
