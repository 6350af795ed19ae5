from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trial import (
    Curve,
    Done,
    ForecastJob,
    ForecastReport,
    PredictFailure,
    PredictJob,
    PredictReport,
    Proposal,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    TrialSummary,
    Wait,
    best_of,
    from_json,
    same,
)

CURVE = Curve(3, {"lr": 0.1, "kind": "a", "flag": True, "none": None}, (1.0, 0.5))
VALUES = [
    CURVE,
    TrainJob(1, {"lr": 0.1}, 0, 3, bracket=1, rung=2),
    PredictJob(4, 0, 1, 8, (CURVE,), (CURVE, CURVE), seed=7),
    ForecastJob(4, 8, (CURVE, CURVE), (Curve(5, {}, ()),), 7, 24, {"theta": [0.5, -1.0]}),
    Wait(),
    Done(),
    TrainReport(1, 0, 2, (0.1 + 0.2, math.inf)),
    TrainFailure(1, 0, 2, "out of memory"),
    PredictReport(4, (0.3,), (math.inf,), 0.2, {"n_curves": 3}),
    ForecastReport(
        job_id=4,
        predictions=(0.3,),
        stds=(0.1,),
        scale={"base": 0.5},
        proposals=(Proposal({"x": 1}, -math.inf, 0.0, 0.1),),
        min_informative_resource=3,
        warm_start_state={"n": 2},
    ),
    PredictFailure(4, "offline"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_json_and_back_is_the_same_value(value):
    assert from_json(json.loads(json.dumps(value.to_json()))) == value


@given(st.lists(st.floats(width=64)))
def test_floats_survive_json_exactly(losses):
    report = TrainReport(0, 0, len(losses), tuple(losses))
    again = from_json(json.loads(json.dumps(report.to_json())))
    assert same(again, report)
    assert [math.copysign(1, x) for x in again.losses if not math.isnan(x)] == [
        math.copysign(1, x) for x in losses if not math.isnan(x)
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "'type' must be one of"),
        ({"type": "Bogus"}, "'type' must be one of"),
        ({"type": "TrainFailure", "trial_id": 1}, "missing"),
        ({"type": "Wait", "colour": "red"}, "colour"),
    ],
)
def test_damaged_json_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        from_json(data)


def test_from_json_of_another_type_is_refused():
    with pytest.raises(ValueError, match="needs type='Done'"):
        Done.from_json(Wait().to_json())


def test_best_ignores_nan_and_infinity():
    def trial(number, *losses):
        return TrialSummary(number, {}, 0, 0, TrialStatus.COMPLETED, losses)

    worst = [trial(0, math.nan), trial(1, math.inf), trial(2, -math.inf), trial(3)]
    assert best_of(worst) is None
    assert best_of([*worst, trial(4, 0.5), trial(5, 0.5)]).trial_id == 4
