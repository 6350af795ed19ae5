"""The contract of `hpo.predictors.CurvePredictor`, which every predictor keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hpo.predictors import PREDICTORS, make_predictor, run_predict_job
from hpo.trial import Curve, PredictFailure, PredictJob, PredictReport

NAMES = [*PREDICTORS, "ridge"]


def build(name, **options):
    if name in ("joint", "mixed"):
        options.pop("folds", None)  # the former leaves out one loss at a time
    return make_predictor(Ridge() if name == "ridge" else name, **options)


def curves(count, length, seed=0, first_id=0):
    rng = np.random.default_rng(seed)
    level = rng.uniform(0, 1, (count, 1))
    fall = rng.uniform(0.5, 1, (count, 1)) * np.arange(1, length + 1) ** -0.7
    losses = level + fall + rng.normal(0, 0.001, (count, length))
    return [Curve(first_id + i, {"lr": 0.1}, tuple(row.tolist())) for i, row in enumerate(losses)]


@pytest.mark.parametrize("name", NAMES)
def test_predicts_one_finite_number_a_curve(name):
    predictor = build(name)
    fitted = predictor.fit(curves(16, 10), 4, 10)
    assert fitted is predictor
    prediction = fitted.predict(curves(5, 4, seed=1, first_id=50))
    assert prediction.mean.shape == prediction.std.shape == (5,)
    assert np.all(np.isfinite(prediction.mean))
    assert np.all(prediction.std >= 0)
    assert prediction.skill is None or prediction.skill <= 1


@pytest.mark.parametrize("name", NAMES)
def test_looks_at_no_later_loss(name):
    long = curves(5, 10, seed=1)
    short = [Curve(c.trial_id, c.config, c.losses[:4]) for c in long]
    fitted = build(name, folds=0).fit(curves(16, 10), 4, 10)
    np.testing.assert_array_equal(fitted.predict(long).mean, fitted.predict(short).mean)


@pytest.mark.parametrize("name", NAMES)
def test_repeats_itself(name):
    first, second = (
        build(name, seed=3, folds=2).fit(curves(30, 8), 3, 8).predict(curves(4, 3, seed=1))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.std, second.std)
    assert first.skill == second.skill


@pytest.mark.parametrize("name", NAMES)
def test_empty_query_is_answered_empty(name):
    prediction = build(name, folds=0).fit(curves(16, 6), 2, 6).predict([])
    assert prediction.mean.shape == (0,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("train", "known", "target", "message"),
    [
        ([], 2, 6, "at least one training curve"),
        (curves(4, 5), 2, 6, "at least 6 losses"),
        (curves(4, 6), 6, 6, "known must lie in"),
        (curves(4, 6), 0, 6, "known must lie in"),
        ([*curves(3, 2), Curve(9, {}, (1.0, math.nan))], 1, 2, "finite.*trials \\[9\\]"),
    ],
)
def test_bad_training_curves_are_named(name, train, known, target, message):
    with pytest.raises(ValueError, match=message):
        build(name).fit(train, known, target)


@pytest.mark.parametrize("name", NAMES)
def test_a_job_is_answered_with_a_report_or_a_failure(name):
    train, query = tuple(curves(16, 8)), tuple(curves(3, 4, seed=2))
    job = PredictJob(7, 0, 1, 8, train, query, seed=5)
    predictor = build(name)
    report = run_predict_job(job, predictor)
    assert isinstance(report, PredictReport)
    assert report == run_predict_job(job, predictor), "the same job gives the same numbers"
    assert report.job_id == 7
    assert len(report.predictions) == len(report.stds) == 3
    assert PredictReport.from_json(report.to_json()) == report

    failure = run_predict_job(PredictJob(8, 0, 1, 8, (), query, seed=5), predictor)
    assert isinstance(failure, PredictFailure)
    assert "at least one training curve" in failure.reason
