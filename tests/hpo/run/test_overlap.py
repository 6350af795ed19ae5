"""Overlap of training and prediction: the arithmetic, and figures of real runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.predictors.base import Prediction
from hpo.run.overlap import Overlap, OverlapMeter
from hpo.run.results import Results
from hpo.run.tuner import Tuner

SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.booleans()), min_size=1, max_size=12
)


@given(SPANS, st.integers(1, 4))
def test_meter_agrees_with_counting_every_second(spans, n_workers) -> None:
    """Spans (begin, length, is a prediction) in whole seconds; the oracle looks at each second."""
    changes = sorted(
        [(begin, +1, kind) for begin, _, kind in spans]
        + [(begin + length, -1, kind) for begin, length, kind in spans]
    )
    meter = OverlapMeter(n_workers)
    for now, sign, kind in changes:
        meter.change(float(now), training=0 if kind else sign, predicting=sign if kind else 0)
    first, last = changes[0][0], changes[-1][0]
    figures = meter.until(float(last))

    seconds = np.arange(first, last)
    under_way = [
        sum((seconds >= b) & (seconds < b + n) for b, n, k in spans if k is kind) + 0 * seconds
        for kind in (False, True)
    ]
    busy, predicting = np.minimum(under_way[0], n_workers), under_way[1] > 0
    assert figures.predictions == sum(kind for *_, kind in spans)
    assert figures.seconds == last - first
    assert figures.capacity == n_workers * (last - first)
    assert figures.training == busy.sum()
    assert figures.predicting == predicting.sum()
    assert figures.predictor_waited == (~predicting).sum()
    assert figures.covered == (predicting & (busy > 0)).sum()
    assert figures.workers_waited == (n_workers - busy)[predicting].sum()
    if predicting.any():
        assert figures.overlap == pytest.approx(busy[predicting].mean() / n_workers)
    else:
        assert figures.overlap is None


def test_parts_of_a_resumed_run_add_up() -> None:
    first, killed, last = (Overlap(*(float(n),) * 8) for n in (1, 2, 4))
    notes = [
        {"what": "retry"},
        first.to_note(),
        killed.to_note(),  # figures are of the part so far: these stand for the ones before
        {"what": "resumed"},
        last.to_note(),
    ]
    assert Overlap.of_notes(notes) == killed.plus(last)
    assert Overlap.of_notes([]).line() == ""


class Annealer:
    """A predictor that takes its time, as a queue does."""

    SECONDS = 0.05

    def fit(self, curves, known, target, context):
        return self

    def predict(self, curves):
        time.sleep(self.SECONDS)
        mean = np.array([curve.losses[-1] for curve in curves])
        return Prediction(mean, np.zeros_like(mean), skill=0.0, info={})


def search(workshop, **settings) -> Results:
    spec = workshop.spec(
        scheduler="swift-hyperband", reduction_factor=2, scheduler_options={"min_curves": 3}
    )
    tuner = Tuner.from_spec(spec, journal=workshop.journal, predictor=Annealer(), **settings)
    return tuner.run()


def test_predictions_in_turn_overlap_with_nothing(workshop) -> None:
    figures = search(workshop).overlap
    assert figures.predictions > 1
    assert figures.predicting >= figures.predictions * Annealer.SECONDS
    assert figures.covered == 0
    assert figures.overlap == pytest.approx(0, abs=1e-3)
    assert figures.workers_waited == pytest.approx(figures.predicting, abs=1e-3)


def test_training_goes_on_while_the_annealer_is_asked(workshop) -> None:
    workshop.slow(0.01)
    results = search(workshop, executor=lambda: ThreadPoolExecutor(2), n_workers=2)
    figures = results.overlap
    assert figures.predictions > 1
    assert 0 < figures.covered <= figures.predicting
    assert figures.overlap > 0.3
    epochs = len(workshop.trace()) * 0.01
    assert epochs <= figures.training + 1e-3
    assert figures.training <= figures.capacity <= 2 * figures.seconds + 1e-3
    assert figures.workers_waited <= figures.available <= 2 * figures.predicting + 1e-3
    line = next(line for line in results.summary_lines() if line.startswith("Overlap"))
    assert f"{figures.predictions} predictions" in line
    assert "the predictor waited" in line
    again = Results.from_journal(workshop.journal)
    assert again.overlap == Overlap.of_notes(results.notes)
    assert again.overlap.predictions == figures.predictions


def test_a_run_without_predictions_says_nothing_of_overlap(workshop) -> None:
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    assert results.overlap.overlap is None
    assert not any(line.startswith("Overlap") for line in results.summary_lines())
