"""When to stop: the expected improvement, and what ``--min-improvement`` saves.

    python benchmarks/stopping.py [--quick] [--check] [--tables PATH ...] [--seeds 4] [--jobs 2]

Swift-ASHA runs on every table, one worker, with its default budget and without a minimum. At each
forecast the expected improvement of the best final loss is noted; a search with a minimum would
have ended at the first forecast that, like the one before, expects less. Improvements, minima and
regrets are in units of a table's spread: the difference between its median and its best final loss.

The last row of the table is the whole budget. *Expected* and *true* compare the expectation at the
moment of stopping with the improvement that the rest of the budget brought.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from threadpoolctl import threadpool_limits

from _curve_methods import METHODS
from _curve_report import markdown, put_into, table_parser
from _curve_tables import Task, load_tasks
from _harness import Thresholds
from _hpo_common import show
from hpo.loop import Scheduler, drive
from hpo.simulation import SimulatedRunner
from hpo.trial import ForecastReport, Job, Report, TrialStatus

MINIMA = (0.1, 0.05, 0.02, 0.01, 0.005)
HEADER = ("minimum", "searches ended", "epochs", "regret", "of the whole", "expected", "true")
MARKS = "<!-- stopping: begin -->", "<!-- stopping: end -->"
QUICK_TABLES = 4


@dataclass(frozen=True)
class Moment:
    """The state at one forecast: epochs, regret of the best complete trial, expected gain."""

    epochs: int
    regret: float
    expected: float | None


class Watch:
    """Records epochs and regret at every forecast."""

    def __init__(self, task: Task, scheduler: Scheduler) -> None:
        self._task = task
        self._scheduler = scheduler
        self.states: list[tuple[int, float]] = []

    def decided(self, job: Job) -> None:
        """Nothing to note."""

    def reported(self, report: Report) -> None:
        """Note the state at a forecast."""
        if isinstance(report, ForecastReport):
            self.note()

    def note(self) -> None:
        """Note the state of the search now."""
        summary = self._scheduler.summary()
        done = [t.last_loss for t in summary.trials if t.status is TrialStatus.COMPLETED]
        self.states.append((summary.epochs, self._task.regret(min(done)) if done else math.inf))


def search(task: Task, seed: int) -> list[Moment]:
    """Return the state at every forecast, and that at the end."""
    with threadpool_limits(1):
        setup = METHODS["swift-asha"].build(task.table, seed)
        watch = Watch(task, setup.scheduler)
        runner = SimulatedRunner(
            task.table, setup.searcher.row_of, predictor=setup.predictor, searcher=setup.searcher
        )
        drive(setup.scheduler, runner, watch)
    watch.note()
    final = task.table.losses[:, -1]
    spread = float(np.median(final) - final.min())
    events = setup.scheduler.summary().events
    gains = [event.expected_improvement for event in events if event.kind == "forecast"]
    expected = [None if gain is None else gain / spread for gain in gains]
    # The end has no forecast of its own.
    pairs = zip(watch.states, [*expected, expected[-1]], strict=True)
    return [Moment(epochs, regret, gain) for (epochs, regret), gain in pairs]


def stopped(moments: Sequence[Moment], least: float) -> Moment:
    """Return the moment at which a search with a minimum ends."""
    for before, now in pairwise(moments[:-1]):
        known = before.expected is not None and now.expected is not None
        if known and before.expected < least and now.expected < least:
            return now
    return moments[-1]


def row(runs: Sequence[Sequence[Moment]], least: float) -> tuple[list[str], float, float]:
    """Return the cells of a minimum, the fraction of epochs and of the whole budget's regret."""
    ends = [run[-1] for run in runs]
    at = [stopped(run, least) for run in runs]
    early = [(now, end) for now, end in zip(at, ends, strict=True) if now is not end]
    epochs = float(np.mean([now.epochs / end.epochs for now, end in zip(at, ends, strict=True)]))
    regret = float(np.mean([now.regret for now in at]))
    ratio = regret / float(np.mean([end.regret for end in ends]))
    expected = np.mean([now.expected for now, _ in early]) if early else math.nan
    true = np.mean([now.regret - end.regret for now, end in early]) if early else math.nan
    cells = [
        f"{least:g}" if least else "none",
        f"{len(early)} of {len(runs)}",
        f"{epochs:.2f}",
        f"{regret:.3f}",
        f"{ratio:.2f}",
        f"{expected:.4f}",
        f"{true:.4f}",
    ]
    return cells, epochs, ratio


def main() -> None:
    parser = table_parser(__doc__, n_seeds=4)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    tasks, n_seeds = load_tasks(args.tables), args.seeds
    if args.quick:
        tasks, n_seeds = tasks[:: max(len(tasks) // QUICK_TABLES, 1)], 1
    works = list(product(tasks, range(n_seeds)))
    with ProcessPoolExecutor(args.jobs) as pool:
        runs = list(pool.map(search, *zip(*works, strict=True)))
    thresholds = Thresholds()
    rows = []
    for least in (*MINIMA, 0.0):
        cells, epochs, ratio = row(runs, least)
        rows.append(cells)
        if least == MINIMA[-1]:
            thresholds.hold(
                f"a minimum of {least}: {epochs:.2f} of the epochs, below 1", epochs < 1
            )
            thresholds.hold(
                f"a minimum of {least}: {ratio:.2f} of the regret, at most 1.5", ratio <= 1.5
            )
    show(f"{len(tasks)} tables, {n_seeds} seeds, one worker", HEADER, rows)
    if args.markdown:
        put_into(args.markdown, markdown(HEADER, rows), MARKS)
        print(f"table written into {args.markdown}")
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
