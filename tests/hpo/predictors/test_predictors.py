from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVR, NuSVR

from hpo.predictors import (
    CurveFeatures,
    CurveRegressor,
    LastValuePredictor,
    PowerLawPredictor,
    QSVRPredictor,
    make_predictor,
)
from hpo.predictors.regression import MinMax
from hpo.space import SearchSpace
from hpo.trial import Curve


def curves(losses, lr=0.1):
    return [Curve(i, {"lr": lr}, tuple(map(float, row))) for i, row in enumerate(losses)]


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 1, (40, 1))
    losses = level + np.arange(1, 13) ** -0.5 + rng.normal(0, 0.01, (40, 12))
    return curves(losses)


def test_scaling_agrees_with_scikit_learn():
    data = np.random.default_rng(0).normal(size=(10, 3))
    data[:, 1] = 2.0
    ours, theirs = MinMax(data), MinMaxScaler().fit(data)
    scaled = theirs.transform(data)
    np.testing.assert_array_equal(ours(data), scaled)
    np.testing.assert_array_equal(ours.back(scaled), theirs.inverse_transform(scaled))


def test_nusvr_agrees_with_scikit_learn_by_hand(noisy):
    train, query = noisy[:30], noisy[30:]
    x = np.array([c.losses[:5] for c in train])
    y = np.array([[c.losses[11]] for c in train])
    x_scale, y_scale = MinMaxScaler().fit(x), MinMaxScaler().fit(y)
    model = NuSVR().fit(x_scale.transform(x), y_scale.transform(y)[:, 0])
    scaled = model.predict(x_scale.transform(np.array([c.losses[:5] for c in query])))
    expected = y_scale.inverse_transform(scaled[:, None])[:, 0]
    ours = make_predictor("nusvr").fit(train, 5, 12).predict(query)
    np.testing.assert_array_equal(ours.mean, expected)


def test_skill_and_error_are_those_of_cross_validation(noisy):
    predictor = CurveRegressor(LinearRegression(), folds=4).fit(noisy, 5, 12)
    x = np.array([c.losses[:5] for c in noisy])
    y = np.array([c.losses[11] for c in noisy])
    part = np.arange(len(y)) % 4
    errors = np.concatenate(
        [
            LinearRegression().fit(x[part != k], y[part != k]).predict(x[part == k]) - y[part == k]
            for k in range(4)
        ]
    )
    assert predictor.error_ == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert predictor.skill_ == pytest.approx(1 - np.mean(errors**2) / np.mean((x[:, -1] - y) ** 2))
    assert predictor.skill_ > 0.5
    assert np.all(predictor.predict(noisy[:3]).std == predictor.error_)


def test_the_regressor_that_was_given_is_not_touched(noisy):
    model = SVR()
    make_predictor(model).fit(noisy, 5, 12)
    assert not hasattr(model, "support_")


def test_one_curve_is_enough_but_its_error_is_unknown(noisy):
    prediction = CurveRegressor(LinearRegression()).fit(noisy[:1], 5, 12).predict(noisy[:2])
    assert np.all(np.isnan(prediction.std))
    assert prediction.skill is None


def test_features():
    losses = np.array([[5.0, 3.0, 2.0], [4.0, 4.0, 1.0]])
    space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 0.2}})
    chosen = CurveFeatures(
        values=False, first_differences=True, second_differences=True, space=space
    )
    np.testing.assert_allclose(chosen(curves(losses), losses), [[-2, -1, 1, 0.5], [0, -3, -3, 0.5]])
    with pytest.raises(ValueError, match="at least one"):
        CurveFeatures(values=False)
    only = CurveFeatures(values=False, second_differences=True)
    with pytest.raises(ValueError, match="no such differences"):
        only(curves(losses[:, :2]), losses[:, :2])


def test_the_last_value_is_kept():
    train = curves([[4, 3, 2], [5, 4, 4]])
    query = curves([[9, 8], [7, 6]])
    assert LastValuePredictor().fit(train, 2, 3).predict(query).mean.tolist() == [8, 6]


def test_power_law_extrapolates_power_laws():
    units = np.arange(1, 101)
    losses = np.array([[0.3], [0.1]]) + np.array([[1.0], [2.0]]) * units ** np.array(
        [[-0.5], [-1.2]]
    )
    predictor = PowerLawPredictor().fit(curves(losses), 20, 100)
    np.testing.assert_allclose(predictor.predict(curves(losses)).mean, losses[:, -1], rtol=0.02)
    assert predictor.skill_ > 0.95
    rising = curves([[1, 2, 3, 4, 5, 6, 7]])
    assert PowerLawPredictor(folds=0).fit(rising, 6, 7).predict(rising).mean.tolist() == [6.0]


def test_qsvr_subsample_depends_on_seed_alone():
    first, second = QSVRPredictor(20), QSVRPredictor(20)
    assert len(first._choose(100, 0)) == 20
    assert np.array_equal(first._choose(100, 0), second._choose(100, 0))
    assert not np.array_equal(first._choose(100, 0), first._choose(100, 1))
    assert np.array_equal(first._choose(12, 0), np.arange(12))
    assert len(QSVRPredictor(None)._choose(500, 0)) == 500
    assert len(QSVRPredictor(2)._choose(500, 0)) == 2
    with pytest.raises(ValueError, match="max_samples"):
        QSVRPredictor(1)


def test_qsvr_beats_the_last_value(noisy):
    predictor = make_predictor("qsvr", num_reads=20)
    prediction = predictor.fit(noisy[:30], 5, 12).predict(noisy[30:])
    truth = np.array([c.losses[11] for c in noisy[30:]])
    last = np.array([c.losses[4] for c in noisy[30:]])
    assert np.mean((prediction.mean - truth) ** 2) < np.mean((last - truth) ** 2)
    assert prediction.skill > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("svm", {}, "predictor must be one of nusvr, svr, qsvr"),
        ("nusvr", {"colour": 1}, "nusvr takes the options .*nu.*colour"),
        ("last-value", {"C": 1}, "last-value takes the options folds; got C"),
        ("qsvr", {"colour": 1}, "qsvr takes the options max_samples, values.*C.*got colour"),
        (NuSVR(), {"C": 1}, "takes the options .*got C"),
        (LastValuePredictor(), {"folds": 1}, "takes no options"),
        (3, {}, "must be a name, a regressor or a curve predictor"),
    ],
)
def test_bad_predictors_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_predictor(name, **options)


def test_options_reach_the_regressor_and_the_features():
    predictor = make_predictor("nusvr", nu=0.3, first_differences=True, folds=2)
    assert predictor.regressor.nu == 0.3
    assert predictor.features == CurveFeatures(first_differences=True)
    assert predictor.folds == 2
    ready = LastValuePredictor()
    assert make_predictor(ready) is ready
