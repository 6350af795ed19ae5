"""Wall-clock of searches on 1 to 200 workers whose epochs take unequally long, in virtual time.

    python benchmarks/wallclock.py [--quick] [--check] [--jobs 2] [--methods NAME ...]
        [--tables PATH ...] [--seeds 10] [--workers 1 4 16 50 200] [--size 1] [--markdown [FILE]]

Epoch times: a table's ``cost`` where it tells rows apart, else log-normal ones (sigma 0.5, drawn
for each seed), mean 1.  The reference is Hyperband that runs one bracket after the other and waits
for all of its workers after each wave of jobs, as the papers' implementation does.  docs/curves.md
defines the columns.

A search of Hyperband's size has too few trials for 200 workers, whatever the scheduler.  ``--size
K`` runs the brackets K times (ASHA: K times the trials), rows being tried again once a table is
through.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from _curve_methods import Form, forms
from _curve_report import WALLCLOCK_MARKS, markdown, put_into, table_parser
from _curve_runs import Trace, final_regret
from _curve_tables import Task, load_tasks
from _harness import Bars
from _hpo_common import show
from hpo.loop import drive
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.trial import PredictJob, Report, TrainJob

WORKERS = (1, 4, 16, 50, 200)
REFERENCES = ("barrier", "in-turn", "hyperband")
SIGMA = 0.5
HEADER = (
    "workers",
    "method",
    "speed-up",
    "makespan / in turn",
    "makespan / side by side",
    "epochs",
    "regret",
    "utilisation",
    "until last start",
)


class WatchedRunner(SimulatedRunner):
    """Workers that remember when they were busy, and when the last new trial was started."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._n_workers = self.free
        self._spans: list[tuple[float, float]] = []  # beginning and end of every training job
        self._last_start = 0.0

    def submit(self, job: TrainJob | PredictJob) -> None:
        """Start a job."""
        before = self.busy
        super().submit(job)
        if isinstance(job, TrainJob):
            self._spans.append((self.now, self.now + self.busy - before))
            self._last_start = self.now if job.start == 0 else self._last_start

    def busy_to_last_start(self) -> float:
        """Return the busy share of the workers' time until the last new trial began.

        NaN where all of them began at once.
        """
        end = self._last_start
        busy = sum(min(stop, end) - start for start, stop in self._spans if start < end)
        workers = self._n_workers * end
        return busy / workers if workers else float("nan")


class BarrierRunner(WatchedRunner):
    """Workers that all wait for the slowest before they take new jobs."""

    def wait(self) -> list[Report]:
        """Move the clock to the end of the last job, and return all reports."""
        reports = super().wait()
        while self._pending:
            reports += super().wait()
        return reports


@dataclass(frozen=True)
class Timing:
    """One search: virtual time, epochs, regret, and utilisation: in all, until the last start."""

    makespan: float
    epochs: int
    regret: float
    utilisation: float
    filling: float


def epoch_times(table: CurveTable, seed: int) -> NDArray[np.float64]:  # (n_rows,)
    """Return the virtual time of a unit of each row, mean 1."""
    times = table.cost
    if times is None or np.ptp(times) == 0:
        times = np.random.default_rng([seed, 7]).lognormal(0.0, SIGMA, len(table))
    return np.asarray(times / times.mean())


def measure(task: Task, form: Form, seed: int, n_workers: int) -> Timing:
    """Run a form once."""
    setup = form.setup(task.table, seed, n_workers)
    trace = Trace(task, setup)
    runner = (BarrierRunner if form.barrier else WatchedRunner)(
        task.table,
        setup.searcher.row_of,
        n_workers=n_workers,
        epoch_times=epoch_times(task.table, seed),
        predictor=setup.predictor,
        searcher=setup.searcher,
    )
    drive(setup.scheduler, runner, trace)
    return Timing(
        makespan=runner.now,
        epochs=trace.epochs,
        regret=final_regret(task, setup.scheduler.summary(), trace.rows),
        utilisation=runner.busy / (runner.now * n_workers),
        filling=runner.busy_to_last_start(),
    )


Timings = dict[tuple[int, str], NDArray[np.float64]]
"""Workers and form -> makespan, epochs, regret, utilisations: (5, n_tables), means over seeds."""


@dataclass(frozen=True)
class Work:
    """One form on one table and so many workers."""

    task: Task
    n_workers: int
    name: str
    n_seeds: int
    size: int


def run_all(args: argparse.Namespace, names: Sequence[str], tasks: Sequence[Task]) -> Timings:
    """Run every form on every table and number of workers."""
    cells = list(product(args.workers, names))
    work = [Work(task, *cell, args.seeds, args.size) for cell in cells for task in tasks]
    means = np.array(list(_computed(work, args.jobs))).reshape(len(cells), len(tasks), 5)
    return {cell: means[place].T for place, cell in enumerate(cells)}


def _computed(work: Sequence[Work], n_jobs: int) -> Iterator[tuple[float, ...]]:
    if n_jobs == 1:
        with threadpool_limits(1):
            yield from map(_means, work)
        return
    with ProcessPoolExecutor(n_jobs, initializer=_one_thread) as pool:
        yield from pool.map(_means, work, chunksize=4)


def _one_thread() -> None:
    threadpool_limits(1)


def _means(work: Work) -> tuple[float, ...]:
    form = forms(work.size)[work.name]
    runs = [measure(work.task, form, seed, work.n_workers) for seed in range(work.n_seeds)]
    return tuple(np.mean([astuple(run) for run in runs], axis=0).tolist())


@dataclass(frozen=True)
class Row:
    """One form on some workers, over tables.

    Attributes
    ----------
    speedup : float
        Makespan of Hyperband with the barrier divided by the form's, geometric mean.
    in_turn, side_by_side : float
        Makespan divided by that of work-conserving Hyperband with brackets in turn, and side by
        side, geometric means.
    epochs : float
        Divided by Hyperband's, mean.
    regret : float
        Ratio of the mean regrets.
    utilisation, filling : float
        Mean; the latter until the last new trial began (NaN where all began at once).
    """

    speedup: float
    in_turn: float
    side_by_side: float
    epochs: float
    regret: float
    utilisation: float
    filling: float

    def cells(self) -> list[str]:
        """Return the cells of the printed table."""
        return ["-" if np.isnan(number) else f"{number:.2f}" for number in astuple(self)]


def summed_up(timings: Timings, n_workers: int, name: str) -> Row:
    """Compare a form with Hyperband on as many workers."""
    makespan, epochs, regret, utilisation, filling = timings[n_workers, name]
    barrier, in_turn, conserving = (timings[n_workers, reference] for reference in REFERENCES)
    return Row(
        speedup=_geometric_mean(barrier[0] / makespan),
        in_turn=_geometric_mean(makespan / in_turn[0]),
        side_by_side=_geometric_mean(makespan / conserving[0]),
        epochs=float(np.mean(epochs / conserving[1])),
        regret=_ratio(float(regret.mean()), float(conserving[2].mean())),
        utilisation=float(utilisation.mean()),
        filling=float(filling.mean()),
    )


def _geometric_mean(ratios: NDArray[np.float64]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def _ratio(regret: float, reference: float) -> float:
    if reference > 0:
        return regret / reference
    return 1.0 if regret <= 0 else float("inf")


def check(bars: Bars, rows: Mapping[tuple[int, str], Row]) -> None:
    """Hold Swift-ASHA against its bars on 50 and 200 workers."""
    for n_workers in (50, 200):
        row = rows.get((n_workers, "swift-asha"))
        if row is None:
            bars.hold(f"swift-asha on {n_workers} workers: was not run", holds=False)
            continue
        what = f"swift-asha on {n_workers} workers"
        bars.hold(f"{what}: makespan {row.in_turn:.2f}, at most 0.5", row.in_turn <= 0.5)
        bars.hold(f"{what}: regret {row.regret:.2f}, at most 1", row.regret <= 1)
        bars.hold(
            f"{what}: utilisation {row.utilisation:.2f}, at least 0.9", row.utilisation >= 0.9
        )


def options() -> argparse.Namespace:
    parser = table_parser(__doc__, n_seeds=10)
    parser.add_argument("--methods", nargs="+", choices=forms(), default=list(forms()))
    parser.add_argument("--workers", nargs="+", type=int, default=list(WORKERS))
    parser.add_argument("--size", type=int, default=1, help="how often Hyperband's brackets run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args()


def main() -> None:
    args = options()
    tasks = load_tasks(args.tables)
    if args.quick:
        tasks, args.seeds = tasks[::4], min(args.seeds, 2)
    names = [name for name in forms() if name in (*REFERENCES, *args.methods)]
    timings = run_all(args, names, tasks)
    rows = {cell: summed_up(timings, *cell) for cell in timings}
    cells = [[str(n), forms()[name].label, *row.cells()] for (n, name), row in rows.items()]
    title = f"{len(tasks)} tables, {args.seeds} seeds, unequal epoch times, size {args.size}"
    show(title, HEADER, cells)
    if args.markdown:
        put_into(args.markdown, markdown(HEADER, cells), WALLCLOCK_MARKS)
        print(f"table written into {args.markdown}")
    if args.check:
        bars = Bars()
        check(bars, rows)
        bars.finish(check=True)


if __name__ == "__main__":
    main()
