"""Wall-clock of searches on 1 to 200 workers whose epochs take unequally long, in virtual time.

    python benchmarks/wallclock.py [--quick] [--check] [--jobs 2] [--methods NAME ...]
        [--tables PATH ...] [--seeds 10] [--workers 1 4 16 50 200] [--size 1] [--markdown [FILE]]
        [--cache FOLDER]

Epoch times: a table's ``cost`` where it tells rows apart, else log-normal ones (sigma 0.5, drawn
for each seed), mean 1. The reference is Hyperband that runs one bracket after the other and waits
for all of its workers after each batch of jobs, as the papers' implementation does.
docs/research/appendix.md defines the columns.

A search of Hyperband's size has too few trials for 200 workers, whatever the scheduler. ``--size
K`` runs the brackets K times (ASHA: K times the trials), rows being tried again once a table is
through.

Swift-ASHA forecasts for real, which takes nearly all of the time: runs are kept in a folder, by the
code of `hpo` and of the form, and a benchmark that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from _curve_methods import Form, forms
from _curve_report import WALLCLOCK_MARKS, markdown, put_into, table_parser
from _curve_runs import Trace, code_of, code_of_hpo, final_regret
from _curve_tables import Task, load_tasks
from _harness import Thresholds
from _hpo_common import show
from hpo.files import write_atomically
from hpo.loop import drive
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.trial import Job, Report, TrainJob

WORKERS = (1, 4, 16, 50, 200)
REFERENCES = ("barrier", "in-turn", "hyperband")
SIGMA = 0.5
CACHE = Path(__file__).parent / "out" / "wallclock"
HEADER = (
    "workers",
    "method",
    "speed-up",
    "makespan / in turn",
    "makespan / side by side",
    "epochs",
    "regret",
    "utilisation",
    "lowest",
    "until last start",
)


class WatchedRunner(SimulatedRunner):
    """Workers that remember when they were busy, and when the last new trial was started."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._n_workers = self.free
        self._spans: list[tuple[float, float]] = []  # beginning and end of every training job
        self._last_start = 0.0

    def submit(self, job: Job) -> None:
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
    """One search: virtual time, epochs, regret, and utilisation: in all, until the last start.

    `possible` is the utilisation if every row of the table had been trained, by a worker of its
    own, from the beginning to its last unit or to the end of the search.
    """

    makespan: float
    epochs: int
    regret: float
    utilisation: float
    filling: float
    possible: float


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
    times = epoch_times(task.table, seed)
    runner = (BarrierRunner if form.barrier else WatchedRunner)(
        task.table,
        setup.searcher.row_of,
        n_workers=n_workers,
        epoch_times=times,
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
        possible=min(_most_busy(task.table, times, runner.now) / (runner.now * n_workers), 1.0),
    )


def _most_busy(table: CurveTable, times: NDArray[np.float64], end: float) -> float:
    return float(np.minimum(times * table.max_resource, end).sum())


Timings = dict[tuple[int, str], NDArray[np.float64]]
"""Workers and form -> the fields of `Timing`: (6, n_tables), means over seeds."""


@dataclass(frozen=True)
class Work:
    """One form on one table and so many workers."""

    task: Task
    n_workers: int
    name: str
    n_seeds: int
    size: int
    cache: Path


def run_all(args: argparse.Namespace, names: Sequence[str], tasks: Sequence[Task]) -> Timings:
    """Run every form on every table and number of workers."""
    cells = list(product(args.workers, names))
    fixed = (args.seeds, args.size, args.cache)
    work = [Work(task, *cell, *fixed) for cell in cells for task in tasks]
    means = np.array(list(_computed(work, args.jobs))).reshape(len(cells), len(tasks), 6)
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
    runs = [_measured(work, seed) for seed in range(work.n_seeds)]
    return tuple(np.mean([astuple(run) for run in runs], axis=0).tolist())


def _measured(work: Work, seed: int) -> Timing:
    """Return a run, from the folder where it is there."""
    form = forms(work.size)[work.name]
    key = f"{work.task.fingerprint}-{work.size}-{work.n_workers}-{seed}-{_version(form)}"
    path = work.cache / work.name / f"{key}.json"
    if path.exists():
        return Timing(**json.loads(path.read_text(encoding="utf-8")))
    timing = measure(work.task, form, seed, work.n_workers)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(timing)).encode())
    return timing


def _version(form: Form) -> str:
    code = code_of_hpo() + code_of(form.for_workers or form.build)
    return hashlib.sha256(code).hexdigest()[:12]


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
    utilisation, lowest, filling : float
        Mean; of the table where it is lowest, among those with a row for every worker (NaN where
        there is none); mean until the last new trial began (NaN where all began at once).
    """

    speedup: float
    in_turn: float
    side_by_side: float
    epochs: float
    regret: float
    utilisation: float
    lowest: float
    filling: float

    def cells(self) -> list[str]:
        """Return the cells of the printed table."""
        return ["-" if np.isnan(number) else f"{number:.2f}" for number in astuple(self)]


def summed_up(timings: Timings, enough: NDArray[np.bool_], n_workers: int, name: str) -> Row:
    """Compare a form with Hyperband on as many workers."""
    makespan, epochs, regret, utilisation, filling, _ = timings[n_workers, name]
    barrier, in_turn, conserving = (timings[n_workers, reference] for reference in REFERENCES)
    return Row(
        speedup=_geometric_mean(barrier[0] / makespan),
        in_turn=_geometric_mean(makespan / in_turn[0]),
        side_by_side=_geometric_mean(makespan / conserving[0]),
        epochs=float(np.mean(epochs / conserving[1])),
        regret=_ratio(float(regret.mean()), float(conserving[2].mean())),
        utilisation=float(utilisation.mean()),
        lowest=float(utilisation[enough].min()) if enough.any() else float("nan"),
        filling=float(filling.mean()),
    )


def _geometric_mean(ratios: NDArray[np.float64]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def _ratio(regret: float, reference: float) -> float:
    if reference > 0:
        return regret / reference
    return 1.0 if regret <= 0 else float("inf")


def check(thresholds: Thresholds, rows: Mapping[tuple[int, str], Row]) -> None:
    """Hold Swift-ASHA against its thresholds on 50 and 200 workers."""
    for n_workers in (50, 200):
        what = f"swift-asha on {n_workers} workers"
        row = rows.get((n_workers, "swift-asha"))
        if row is None:
            thresholds.hold(f"{what}: was not run", holds=False)
            continue
        for order, ratio in (("in turn", row.in_turn), ("side by side", row.side_by_side)):
            reference = f"of work-conserving Hyperband's with brackets {order}"
            thresholds.hold(f"{what}: makespan {ratio:.2f} {reference}, at most 0.5", ratio <= 0.5)
        thresholds.hold(
            f"{what}: regret {row.regret:.2f} of Hyperband's, at most 1", row.regret <= 1
        )
        busy, lowest = row.utilisation, row.lowest
        thresholds.hold(f"{what}: mean utilisation {busy:.3f}, at least 0.9", busy >= 0.9)
        where = "on the worst table with a row for every worker"
        # NaN, where no table has so many rows, holds no worker up.
        thresholds.hold(f"{what}: utilisation {lowest:.3f} {where}, at least 0.9", not lowest < 0.9)


def show_scarce(timings: Timings, tasks: Sequence[Task], names: Sequence[str]) -> None:
    """Say how busy workers could have been at most where a table has fewer rows than workers."""
    for (n_workers, name), numbers in timings.items():
        for place, task in enumerate(tasks):
            busy, possible = numbers[3, place], numbers[5, place]
            if name in names and len(task.table) < n_workers:
                rows = f"{len(task.table)} rows for {n_workers} workers"
                print(f"{name} on {task.name}, {rows}: utilisation {busy:.3f}, ", end="")
                print(f"at most {possible:.3f} with every row trained all the time")


def options() -> argparse.Namespace:
    parser = table_parser(__doc__, n_seeds=10)
    parser.add_argument("--methods", nargs="+", choices=forms(), default=list(forms()))
    parser.add_argument("--workers", nargs="+", type=int, default=list(WORKERS))
    parser.add_argument("--size", type=int, default=1, help="how often Hyperband's brackets run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of runs")
    return parser.parse_args()


def main() -> None:
    args = options()
    tasks = load_tasks(args.tables)
    if args.quick:
        tasks, args.seeds = tasks[::4], min(args.seeds, 2)
    names = [name for name in forms() if name in (*REFERENCES, *args.methods)]
    timings = run_all(args, names, tasks)
    sizes = np.array([len(task.table) for task in tasks])
    rows = {cell: summed_up(timings, sizes >= cell[0], *cell) for cell in timings}
    cells = [[str(n), forms()[name].label, *row.cells()] for (n, name), row in rows.items()]
    title = f"{len(tasks)} tables, {args.seeds} seeds, unequal epoch times, size {args.size}"
    show(title, HEADER, cells)
    show_scarce(timings, tasks, ["swift-asha"])
    if args.markdown:
        put_into(args.markdown, markdown(HEADER, cells), WALLCLOCK_MARKS)
        print(f"table written into {args.markdown}")
    if args.check:
        thresholds = Thresholds()
        check(thresholds, rows)
        thresholds.finish(check=True)


if __name__ == "__main__":
    main()
