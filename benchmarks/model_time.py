"""Cost of forecasts: time of all models of one search, proposals included, and of its epochs.

    python benchmarks/model_time.py [--quick] [--check]

Two searches on artificial curves of 100 units, with one worker: of the size of Hyperband's
brackets, and of more than 1,000 trials. Time is processor time of the forecasts, with one BLAS
thread as everywhere; an epoch is assumed to last one second. The acceptance thresholds are 2% of
the run, and 10 s for the search of 1,000 trials.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from _harness import Thresholds
from _hpo_common import options, show
from hpo.loop import drive
from hpo.predictors import MixedPredictor
from hpo.schedulers import SwiftASHA
from hpo.simulation import SimulatedRunner, TableCurveSearcher
from hpo.simulation.synthetic import synthetic_table
from hpo.trial import ForecastJob, Job

R = 100
LARGEST_SHARE, LARGEST_TIME = 0.02, 10.0


@dataclass(frozen=True)
class Figures:
    """What one search cost."""

    trials: int
    epochs: int
    forecasts: int
    seconds: float
    longest: float  # s, of one forecast

    @property
    def share(self) -> float:
        """Of a run whose epochs take a second each."""
        return self.seconds / (self.epochs + self.seconds)


class Stopwatch(SimulatedRunner):
    """Measures forecasts."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.times: list[float] = []

    def submit(self, job: Job) -> None:
        """Measure a forecast, which is made where it is submitted."""
        start = time.process_time()
        super().submit(job)
        if isinstance(job, ForecastJob):
            self.times.append(time.process_time() - start)


def search(iterations: int, n_proposals: int) -> Figures:
    """Run Swift-ASHA with so many proposals a forecast."""
    table = synthetic_table(400 * iterations, R, seed=0)
    searcher = TableCurveSearcher(table, 0)
    scheduler = SwiftASHA(
        searcher, max_resource=R, budget_fraction=0.45 * iterations, n_proposals=n_proposals
    )
    runner = Stopwatch(table, searcher.row_of, predictor=MixedPredictor(), searcher=searcher)
    drive(scheduler, runner)
    summary = scheduler.summary()
    return Figures(
        len(summary.trials), summary.epochs, len(runner.times), sum(runner.times), max(runner.times)
    )


def main() -> None:
    args = options(__doc__)
    thresholds = Thresholds()
    rows: list[list[object]] = []
    for iterations, n_proposals in ((1, 24),) if args.quick else ((1, 24), (8, 56)):
        found = search(iterations, n_proposals)
        rows.append(
            [
                found.trials,
                found.epochs,
                found.forecasts,
                f"{found.seconds:.1f}",
                f"{found.seconds / found.forecasts:.2f}",
                f"{found.longest:.2f}",
                f"{found.share:.2%}",
            ]
        )
        name = f"{found.trials} trials"
        thresholds.at_most(f"{name}: share of a run with 1 s epochs", found.share, LARGEST_SHARE)
        if found.trials >= 1000:
            thresholds.at_most(
                f"{name} x {R} epochs: seconds of models", found.seconds, LARGEST_TIME
            )
    header = ["trials", "epochs", "forecasts", "s", "s/forecast", "longest", "share at 1 s/epoch"]
    show(f"Swift-ASHA, max_resource {R}: processor time of all models of a search", header, rows)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
