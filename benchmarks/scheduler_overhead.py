"""Cost of decisions: 10,000 simulated trials on 500 workers, for every scheduler.

    python benchmarks/scheduler_overhead.py [--quick] [--check]

Time is that spent inside ``ask`` and ``tell``, prediction models left out; memory is what a
scheduler holds at the end of a search, at 2,500 and at 10,000 trials.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from _harness import Thresholds
from _hpo_common import options, show
from hpo.loop import Scheduler, drive
from hpo.predictors import make_predictor
from hpo.schedulers import make_scheduler
from hpo.searchers import Searcher
from hpo.simulation import CurveTable, CyclicTableSearcher, SimulatedRunner
from hpo.trial import Decision, Job, Report, SchedulerSummary

N_WORKERS = 500
R = 81
EPOCHS_PER_TRIAL = 9  # of Swift-ASHA's trials, about
PER_ITERATION = 143  # trials of Hyperband's brackets at R = 81, reduction_factor 3

Make = Callable[[Searcher, int], Scheduler]


class Timed:
    """A scheduler that measures the time spent in it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.jobs = 0
        self.seconds = 0.0
        self.worst = 0.0

    def ask(self) -> Decision:
        """Pass on, and count a job."""
        start = time.perf_counter()
        decision = self.scheduler.ask()
        self._add(time.perf_counter() - start)
        self.jobs += isinstance(decision, Job)
        return decision

    def tell(self, report: Report) -> None:
        """Pass on."""
        start = time.perf_counter()
        self.scheduler.tell(report)
        self._add(time.perf_counter() - start)

    def summary(self) -> SchedulerSummary:
        """Pass on."""
        return self.scheduler.summary()

    def _add(self, seconds: float) -> None:
        self.seconds += seconds
        self.worst = max(self.worst, seconds)


@dataclass(frozen=True)
class Figures:
    """What one search cost."""

    trials: int
    jobs: int
    mean: float  # s per job handed out
    worst: float  # s
    bytes: int


def curves(n_rows: int = 1000) -> CurveTable:
    """Return power-law curves with noise."""
    rng = np.random.default_rng(0)
    units = np.arange(1, R + 1)
    level, scale = rng.uniform(0, 1, (n_rows, 1)), rng.uniform(0.5, 2, (n_rows, 1))
    losses = level + scale * units ** -rng.uniform(0.3, 1.5, (n_rows, 1))
    return CurveTable(
        tuple({"row": row} for row in range(n_rows)),
        losses + rng.normal(0, 0.01, losses.shape),
        rng.uniform(0.5, 2, n_rows),
    )


def makers() -> dict[str, Make]:
    def by_trials(name: str, **options: str) -> Make:
        return lambda searcher, n: make_scheduler(
            name, searcher, max_resource=R, reduction_factor=3, n_trials=n, **options
        )

    def by_iterations(name: str) -> Make:
        return lambda searcher, n: make_scheduler(
            name,
            searcher,
            max_resource=R,
            reduction_factor=3,
            iterations=max(round(n / PER_ITERATION), 1),
        )

    return {
        "random-search": by_trials("random-search"),
        "successive-halving": by_trials("successive-halving"),
        "hyperband": by_iterations("hyperband"),
        "swift-hyperband": by_iterations("swift-hyperband"),
        "fast-hyperband": by_iterations("fast-hyperband"),
        "swift-asha": lambda searcher, n: make_scheduler(
            "swift-asha", searcher, max_resource=R, max_epochs=EPOCHS_PER_TRIAL * n
        ),
        "asha": by_trials("asha"),
        "asha-stopping": by_trials("asha", type="stopping"),
    }


def search(make: Make, table: CurveTable, n_trials: int, *, memory: bool) -> Figures:
    """Run one search, either with the clock or with the memory counter."""
    searcher = CyclicTableSearcher(table)
    if memory:
        tracemalloc.start()
    timed = Timed(make(searcher, n_trials))
    predictor = make_predictor("last-value", folds=0)
    runner = SimulatedRunner(table, searcher.row_of, n_workers=N_WORKERS, predictor=predictor)
    drive(timed, runner)
    held = tracemalloc.get_traced_memory()[0] if memory else 0
    if memory:
        tracemalloc.stop()
    trials = len(timed.summary().trials)
    return Figures(trials, timed.jobs, timed.seconds / timed.jobs, timed.worst, held)


def main() -> None:
    args = options(__doc__)
    table = curves()
    thresholds = Thresholds()
    rows = []
    full, small = 10_000, 2_500
    for name, make in makers().items():
        timed = search(make, table, full, memory=False)
        cells: list[object] = [
            name,
            timed.trials,
            timed.jobs,
            f"{1e6 * timed.mean:.1f}",
            f"{1e3 * timed.worst:.1f}",
        ]
        thresholds.hold(
            f"{name}: {1e3 * timed.mean:.4f} ms per decision, below 1 ms", timed.mean < 1e-3
        )
        if not args.quick:
            few = search(make, table, small, memory=True)
            many = search(make, table, full, memory=True)
            per_trial = few.bytes / few.trials, many.bytes / many.trials
            growth = per_trial[1] / per_trial[0]
            cells += [f"{per_trial[0]:.0f}", f"{per_trial[1]:.0f}", f"{growth:.2f}"]
            thresholds.hold(f"{name}: bytes per trial grow by {growth:.2f} (1.25)", growth <= 1.25)
        rows.append(cells)
    header = ["scheduler", "trials", "jobs", "us/job", "worst ms"]
    if not args.quick:
        header += [f"B/trial at {small}", f"at {full}", "ratio"]
    show(f"{N_WORKERS} workers, R = {R}, reduction_factor 3, unequal epoch times", header, rows)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
