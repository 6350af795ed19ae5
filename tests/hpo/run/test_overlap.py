"""Utilisation of workers, and their waiting for predictions: arithmetic, and real runs."""

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
    assert figures.workers_waited == (n_workers - busy)[predicting].sum()
    assert figures.utilisation == pytest.approx(busy.mean() / n_workers)


def test_parts_of_a_resumed_run_add_up() -> None:
    first, killed, last = (Overlap(*(float(n),) * 6) for n in (1, 2, 4))
    notes = [
        {"what": "retry"},
        first.to_note(),
        killed.to_note(),  # figures are of the part so far: these stand for the ones before
        {"what": "resumed"},
        last.to_note(),
    ]
    assert Overlap.of_notes(notes) == killed.plus(last)
    assert Overlap.of_notes([]).line() == ""


def test_notes_of_earlier_versions_are_read() -> None:
    note = {
        "what": "overlap",
        "predictions": 3,
        "seconds": 10.0,
        "capacity": 20.0,
        "training": 15.0,
        "predicting": 4.0,
        "covered": 4.0,
        "available": 8.0,
        "workers_waited": 2.0,
    }
    assert Overlap.of_notes([note]) == Overlap(3, 10.0, 20.0, 15.0, 4.0, 2.0)
    assert Overlap.of_notes([note]).utilisation == 0.75


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
    settings = {"predictor": Annealer()} | settings
    return Tuner.from_spec(spec, journal=workshop.journal, **settings).run()


def test_predictions_in_turn_let_the_worker_wait(workshop) -> None:
    figures = search(workshop).overlap
    assert figures.predictions > 1
    assert figures.predicting >= figures.predictions * Annealer.SECONDS
    assert figures.workers_waited == pytest.approx(figures.predicting, abs=1e-3)


def test_training_goes_on_while_the_annealer_is_asked(workshop) -> None:
    workshop.slow(0.01)

    class Watching(Annealer):
        """Ends when an epoch has begun meanwhile, where there is one to train."""

        def predict(self, curves):
            begun, end = workshop.epochs(), time.monotonic() + 0.5
            while workshop.epochs() < begun + 2 and time.monotonic() < end:
                time.sleep(0.005)
            return super().predict(curves)

    how = {"executor": lambda: ThreadPoolExecutor(2), "n_workers": 2, "predictor": Watching()}
    results = search(workshop, **how)
    figures = results.overlap
    assert figures.predictions > 1
    assert figures.workers_waited < 2 * figures.predicting
    epochs = len(workshop.trace()) * 0.01
    assert epochs <= figures.training + 1e-3
    assert figures.training <= figures.capacity <= 2 * figures.seconds + 1e-3
    assert results.utilisation == figures.training / figures.capacity
    line = next(line for line in results.summary_lines() if line.startswith("Utilisation"))
    assert line.startswith(f"Utilisation: {results.utilisation:.1%} of ")
    assert f"{figures.predictions} predictions" in line
    again = Results.from_journal(workshop.journal)
    assert again.overlap == Overlap.of_notes(results.notes)
    assert again.overlap.predictions == figures.predictions


def test_idle_workers_show_in_the_utilisation_of_a_run_without_predictions(workshop) -> None:
    """Successive halving waits for the losses of a rung; no prediction is under way then."""
    workshop.slow(0.02)
    spec = workshop.spec(scheduler="successive-halving")
    settings = {"executor": lambda: ThreadPoolExecutor(4), "n_workers": 4}
    results = Tuner.from_spec(spec, journal=workshop.journal, **settings).run()
    assert results.overlap.predictions == 0
    assert 0.0 < results.utilisation < 1.0  # one trial is the last, and three workers idle
    assert Results.from_journal(workshop.journal).utilisation == results.utilisation
    line = next(line for line in results.summary_lines() if line.startswith("Utilisation"))
    assert "predictions" not in line
