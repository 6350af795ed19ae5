"""Schedulers on learning curves that it records first, of kinds on which no default was chosen.

    python benchmarks/recorded.py [--quick] [--check] [--jobs 2] [--seeds 12] [--methods NAME ...]
        [--rows 240] [--kinds NAME ...] [--out DIR] [--cache DIR] [--markdown [FILE]]

Seven kinds of small models, boosted trees, networks and a linear one, are trained with
configurations drawn from the spaces of `_recorded_tasks.py`; their losses after each of 50 units
become tables in the folder ``--out``, which are kept and trained only once (about ten minutes on
two cores). Then the methods are compared as in `curves.py`. A second table has the rank
correlations of early and last losses. Boosted trees are the hardest, because the best ones learn
slowly.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

import curves
from _curve_methods import METHODS
from _curve_report import APPENDIX, HEADER, by_table, markdown, put_into
from _curve_runs import Cache
from _curve_tables import Task, load_tasks
from _harness import Thresholds, argument_parser
from _hpo_common import show
from _recorded_tasks import N_UNITS, RECORDINGS

DEFAULT = ("swift-asha", "asha-epochs", "bohb", "random")
QUICK_KINDS, QUICK_ROWS, QUICK_SEEDS = ("boosting_diabetes", "boosting_friedman"), 90, 2
MARKS = "<!-- recorded: begin -->", "<!-- recorded: end -->"


def options() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=DEFAULT)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--rows", type=int, default=240, help="configurations of a table")
    parser.add_argument("--kinds", nargs="+", choices=RECORDINGS, default=tuple(RECORDINGS))
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/recorded"))
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/out/curves"))
    parser.add_argument("--markdown", nargs="?", const=APPENDIX, type=Path)
    args = parser.parse_args()
    if args.quick:
        args.kinds, args.rows, args.seeds = QUICK_KINDS, QUICK_ROWS, QUICK_SEEDS
        args.methods, args.out = ("swift-asha", "random"), args.out / "quick"
    return args


def record(kind: str, n_rows: int, folder: Path, n_jobs: int) -> Path:
    """Return the file of a table, trained where it is not there with these configurations."""
    path = folder / f"{kind}.csv"
    configs = RECORDINGS[kind].configs(n_rows)
    header = [*configs[0], *(f"loss_{unit}" for unit in range(N_UNITS))]
    rows = [[str(value) for value in config.values()] for config in configs]
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            first, *found = csv.reader(file)
        if first == header and [row[:-N_UNITS] for row in found] == rows:
            return path
    print(f"training {n_rows} configurations of {kind}", flush=True)
    with ProcessPoolExecutor(n_jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        losses = list(pool.map(_losses, repeat(kind), configs, range(n_rows), chunksize=2))
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([*row, *curve] for row, curve in zip(rows, losses, strict=True))
    part.replace(path)
    return path


def _losses(kind: str, config: dict[str, object], seed: int) -> list[float]:
    return RECORDINGS[kind].losses(config, seed)


def ranks(tasks: Sequence[Task]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: how well losses early in training rank the last ones."""
    units = {"first unit": 1, "1/8": N_UNITS // 8, "1/4": N_UNITS // 4, "1/2": N_UNITS // 2}
    header = ["table", *units, *(f"{name}, better half" for name in units)]
    rows = []
    for task in tasks:
        losses = task.table.losses
        last = losses[:, -1]
        better = last <= np.median(last)
        cells = [
            f"{spearmanr(losses[which, unit - 1], last[which])[0]:+.2f}"
            for which in (np.ones_like(better), better)
            for unit in units.values()
        ]
        rows.append([task.name, *cells])
    return header, rows


def main() -> None:
    args = options()
    tasks = load_tasks([record(kind, args.rows, args.out, args.jobs) for kind in args.kinds])
    rank_header, rank_rows = ranks(tasks)
    show("Rank correlation of early losses with the last one", rank_header, rank_rows)
    names = curves.chosen_methods(args)
    _, results, standings = curves.compared(names, tasks, args.seeds, Cache(args.cache), args.jobs)
    rows = curves.print_standings(standings, tasks, args.seeds)
    header, cells = by_table(results, tasks)
    show("Epochs / ratio of regrets, table by table", header, cells)
    if args.markdown:
        parts = ((rank_header, rank_rows), (HEADER, rows), (header, cells))
        put_into(args.markdown, "\n\n".join(markdown(*each) for each in parts), MARKS)
        print(f"tables written into {args.markdown}")
    if args.check and "swift-asha" not in standings:
        sys.exit("--check tests Swift-ASHA: add swift-asha to --methods")
    if args.check:
        thresholds = Thresholds()
        found = standings["swift-asha"]
        epochs, regret = found.epochs.value, found.regret.value
        thresholds.hold(f"swift-asha: epochs {epochs:.3g}, at most 0.45", epochs <= 0.45)
        if not args.quick:  # two seeds on two tables are too few for regrets
            thresholds.hold(
                f"swift-asha: ratio of mean regrets {regret:.3g}, at most 0.95", regret <= 0.95
            )
        thresholds.finish(check=True)


if __name__ == "__main__":
    main()
