"""Searches of other packages compared with those of `hpo`: the same tables, the same epochs.

    python benchmarks/league.py [--quick] [--check] [--jobs 2] [--methods NAME ...]
        [--tables PATH ...] [--seeds 2] [--workers 1 8] [--cache DIR] [--markdown [FILE]]
        [--peers-python PATH] [--dehb-python PATH]

SMAC3 (Hyperband with a random forest), DEHB, Syne Tune's ASHA and BOHB, and Optuna's TPE with its
HyperbandPruner run through their own ask-and-tell interfaces with their own defaults, each in a
process of its own environment; benchmarks/peers_env/README.md describes their installation. A
package that is not installed is named and left out. All of them, and Hyperband, ASHA and
Swift-ASHA, are read after 0.25, 0.45 and 1.0 of Hyperband's epochs, with one worker and with eight,
whose epochs take unequally long in virtual time. docs/research/appendix.md defines the columns.

Runs are kept in the cache folder, so that a benchmark that was interrupted continues.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from _curve_report import markdown, put_into, table_parser
from _curve_tables import Task, load_tasks
from _harness import Thresholds
from _hpo_common import show
from _league_runs import ENTRIES, ENVIRONMENTS, OURS, PEERS, SHARES, Result, Work, installed

REFERENCE, CHAMPION = "hyperband", "swift-asha"
MIDDLE = SHARES.index(0.45)
CAP = 1.0  # of the regret of a run, the median row: in some tables a few trainings explode late
MARKS = "<!-- league: begin -->", "<!-- league: end -->"
CACHE = Path(__file__).parent / "out" / "league"
PLACE = Path(__file__).parent / "peers_env"
QUICK_TABLES, QUICK_METHODS = 2, tuple(name for name in ENTRIES if name != "smac")
HEADER = (
    "workers",
    "method",
    *(f"regret at {share:g}" for share in SHARES),
    *(f"log-mean at {share:g}" for share in SHARES),
    "tables won at 0.45",
    "time at 0.45",
    "time at 1",
    "seeds",
)

Cell = tuple[int, str]  # workers, method
Results = dict[Cell, list[list[Result]]]  # for each table, for each seed


@dataclass(frozen=True)
class Row:
    """One method on so many workers, over tables.

    Attributes
    ----------
    regrets : ndarray of shape (n_tables, n_shares)
        Means over seeds.
    references : ndarray of shape (n_tables,)
        Regrets of whole Hyperbands on as many workers, with the same seeds.
    times : ndarray of shape (n_tables, n_shares)
        Virtual time in whole Hyperbands, means over seeds.
    n_seeds : int
        Seeds.
    """

    regrets: NDArray[np.float64]
    references: NDArray[np.float64]
    times: NDArray[np.float64]
    n_seeds: int

    def ratios(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ratios of mean regrets at every share, and their jackknife errors over tables."""
        values = self.regrets.mean(axis=0) / self.references.mean()
        n = len(self.regrets)
        if n < 2:
            return values, np.full(len(SHARES), np.nan)
        left = (self.regrets.sum(axis=0) - self.regrets) / (
            self.references.sum() - self.references
        )[:, None]
        return values, np.sqrt((n - 1) / n * np.sum((left - left.mean(axis=0)) ** 2, axis=0))

    def log_means(self) -> NDArray[np.float64]:
        """Return geometric means of (regret + 0.1 h) / (1.1 h), h being the reference's regret."""
        h = np.maximum(self.references, 1e-4)[:, None]
        means: NDArray[np.float64] = np.exp(
            np.mean(np.log((self.regrets + 0.1 * h) / (1.1 * h)), axis=0)
        )
        return means


def summed_up(results: Results, cell: Cell) -> Row:
    """Compare a method with Hyperband on as many workers, paired by seed."""
    ours, reference = results[cell], results[cell[0], REFERENCE]
    n_seeds = min(len(seeds) for seeds in ours)
    pairs = [
        list(zip(seeds, known, strict=False)) for seeds, known in zip(ours, reference, strict=True)
    ]
    return Row(
        regrets=np.array(
            [np.mean([np.minimum(r.regrets, CAP) for r, _ in table], axis=0) for table in pairs]
        ),
        references=np.array(
            [np.mean([min(h.regrets[-1], CAP) for _, h in table]) for table in pairs]
        ),
        times=np.array(
            [
                np.mean([np.divide(r.times, h.times[-1]) for r, h in table], axis=0)
                for table in pairs
            ]
        ),
        n_seeds=n_seeds,
    )


def cells_of(rows: Mapping[Cell, Row]) -> list[list[str]]:
    """Return the printed table."""
    cells = []
    for (n_workers, name), row in rows.items():
        values, errors = row.ratios()
        champion = rows.get((n_workers, CHAMPION))
        won = "-"
        if champion is not None and name != CHAMPION:
            lower = row.regrets[:, MIDDLE] < champion.regrets[:, MIDDLE]
            won = f"{lower.sum()} of {len(lower)}"
        cells.append(
            [
                str(n_workers),
                ENTRIES[name].label,
                *(
                    f"{value:.2f} ± {error:.2f}"
                    for value, error in zip(values, errors, strict=True)
                ),
                *(f"{value:.2f}" for value in row.log_means()),
                won,
                f"{_geometric_mean(row.times[:, MIDDLE]):.2f}",
                f"{_geometric_mean(row.times[:, -1]):.2f}",
                str(row.n_seeds),
            ]
        )
    return cells


def _geometric_mean(values: NDArray[np.float64]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def by_table(
    rows: Mapping[Cell, Row], tasks: Sequence[Task], n_workers: int
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of regrets at 0.45, in bold what is below Swift-ASHA's."""
    known = {name: row for (workers, name), row in rows.items() if workers == n_workers}
    cells = []
    for place, task in enumerate(tasks):
        threshold = known[CHAMPION].regrets[place, MIDDLE] if CHAMPION in known else -np.inf
        line = [task.name, f"{known[REFERENCE].references[place]:.4f}"]
        for row in known.values():
            regret = row.regrets[place, MIDDLE]
            line.append(f"**{regret:.4f}**" if regret < threshold else f"{regret:.4f}")
        cells.append(line)
    return ["table", "Hyperband, whole", *(ENTRIES[name].label for name in known)], cells


def check(thresholds: Thresholds, rows: Mapping[Cell, Row]) -> None:
    """Hold Swift-ASHA's regret at 0.45 of Hyperband's epochs, on one worker, below all others'.

    On eight workers that share is hardly more than a full training by every worker, and the figure
    does not hold: docs/research/appendix.md shows by how much.
    """
    if (1, CHAMPION) not in rows:
        thresholds.hold(f"{CHAMPION} on one worker: was not run", holds=False)
        return
    ratios = {name: row.ratios()[0][MIDDLE] for (n, name), row in rows.items() if n == 1}
    ours = ratios.pop(CHAMPION)
    for name, ratio in ratios.items():
        what = f"{CHAMPION}'s regret at 0.45 on one worker, {ours:.2f}"
        thresholds.hold(f"{what}, is below {name}'s, {ratio:.2f}", ours < ratio)


def run_all(
    args: argparse.Namespace, packages: Mapping[str, str], tasks: Sequence[Task]
) -> Results:
    """Run every method on every table with every number of workers, what is cached aside."""
    names = [*OURS, *packages]
    wanted = [name for name in names if name in (REFERENCE, *args.methods)]
    cells = list(product(args.workers, wanted))
    pythons = {place: getattr(args, f"{place}_python") for place in ENVIRONMENTS}
    work = [
        Work(name, packages.get(name, ""), task, n_workers, _seeds(name, args), args.cache, pythons)
        for n_workers, name in cells
        for task in tasks
    ]
    found = list(_computed(work, args.jobs))
    n = len(tasks)
    return {cell: found[n * place : n * (place + 1)] for place, cell in enumerate(cells)}


def _seeds(name: str, args: argparse.Namespace) -> range:
    return range(min(args.seeds, ENTRIES[name].max_seeds or args.seeds))


def _computed(work: Sequence[Work], n_jobs: int) -> Iterator[list[Result]]:
    if n_jobs == 1:
        with threadpool_limits(1):
            yield from map(Work.results, work)
        return
    with ProcessPoolExecutor(n_jobs, initializer=_one_thread) as pool:
        yield from pool.map(Work.results, work)


def _one_thread() -> None:
    threadpool_limits(1)


def present(args: argparse.Namespace) -> dict[str, str]:
    """Return the versions of the peers that are installed; name those that are not."""
    pythons = {place: getattr(args, f"{place}_python") for place in ENVIRONMENTS}
    packages = {}
    for name in PEERS:
        if name not in args.methods:
            continue
        found = installed(name, pythons)
        if found is None:
            print(
                f"{ENTRIES[name].label}: not installed in {pythons[PEERS[name].environment or '']}"
            )
        else:
            packages[name] = found
    return packages


def options() -> argparse.Namespace:
    parser = table_parser(__doc__, n_seeds=2)
    parser.add_argument("--methods", nargs="+", choices=ENTRIES, help="default: all")
    parser.add_argument("--workers", nargs="+", type=int, help="default: 1 8; quick: 1")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of runs")
    for place, variable in ENVIRONMENTS.items():
        default = os.environ.get(variable)
        if default is None:
            own = PLACE / place / "bin" / "python"
            default = str(own) if own.exists() else sys.executable
        parser.add_argument(f"--{place}-python", default=default, help=f"default: ${variable}")
    return parser.parse_args()


def main() -> None:
    args = options()
    tasks = load_tasks(args.tables)
    args.methods = args.methods or (QUICK_METHODS if args.quick else tuple(ENTRIES))
    args.workers = args.workers or ([1] if args.quick else [1, 8])
    if args.quick:
        tasks, args.seeds = sorted(tasks, key=lambda task: task.epochs)[:QUICK_TABLES], 1
    packages = present(args)
    results = run_all(args, packages, tasks)
    rows = {cell: summed_up(results, cell) for cell in results}
    cells = cells_of(rows)
    show(f"{len(tasks)} tables, relative to a whole Hyperband's, paired by seed", HEADER, cells)
    parts = [markdown(HEADER, cells)]
    for n_workers in args.workers:
        header, lines = by_table(rows, tasks, n_workers)
        title = f"Regret at 0.45 of Hyperband's epochs, workers: {n_workers}"
        show(title, header, lines)
        parts.append(
            f"{title}; in bold what is lower than Swift-ASHA's.\n\n{markdown(header, lines)}"
        )
    if args.markdown:
        versions = ", ".join(sorted({f"{n} {v}" for n, v in packages.items()}))
        put_into(args.markdown, "\n\n".join([*parts, f"Versions: {versions}."]), MARKS)
        print(f"tables written into {args.markdown}")
    thresholds = Thresholds()
    check(thresholds, rows)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
