"""All schedulers on recorded learning curves, paired by seed: epochs, regret and speed.

    python benchmarks/curves.py [--quick] [--check] [--jobs 2] [--methods NAME ...]
        [--tables PATH ...] [--seeds 20] [--cache DIR] [--fresh] [--by-table]
        [--figure FILE] [--markdown [FILE]]

Tables: ``mlpf_curves.csv`` (whole, and its clean part) and every ``.npz`` of ``curves/`` beside it,
or the tables that ``--tables`` names. ``max_resource`` is a table's number of units,
``reduction_factor`` 2. If Hyperband needs more configurations than a table has rows, every k-th
unit is kept, with the smallest k for which the rows suffice. docs/research/curves.md defines every
column.

Runs are kept in the cache folder, so that a benchmark that was interrupted continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from _curve_methods import METHODS, REFERENCE
from _curve_report import (
    HEADER,
    PAGE,
    by_table,
    draw,
    folded,
    markdown,
    put_into,
    row,
    table_parser,
)
from _curve_runs import Cache, Key, Run, run_all
from _curve_stats import OnTable, Standing, compare, standing
from _curve_tables import Task, load_tasks
from _harness import Thresholds
from _hpo_common import show

QUICK_TABLES, QUICK_SEEDS = 4, 3
QUICK_METHODS = (
    REFERENCE,
    "swift-last",
    "asha",
    "top",
    "halving",
    "random",
    "swift-asha",
    "swift-asha-third",
)


def options() -> argparse.Namespace:
    parser = table_parser(__doc__, n_seeds=20, page=PAGE)
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/out/curves"))
    parser.add_argument("--fresh", action="store_true", help="run again what is in the cache")
    parser.add_argument("--by-table", action="store_true", help="a row for every table as well")
    parser.add_argument("--figure", type=Path, help="draw regret over epochs into this file")
    return parser.parse_args()


def chosen_methods(args: argparse.Namespace) -> list[str]:
    """Return the methods to run, Hyperband first."""
    wanted = args.methods or (QUICK_METHODS if args.quick else tuple(METHODS))
    return [name for name in dict.fromkeys((REFERENCE, *wanted)) if name in METHODS]


def compared(
    names: Sequence[str], tasks: Sequence[Task], n_seeds: int, cache: Cache, n_jobs: int
) -> tuple[dict[Key, Run], dict[str, dict[str, OnTable]], dict[str, Standing]]:
    """Run methods, and set those of which there are runs beside Hyperband."""
    runs = run_all(names, tasks, n_seeds, cache, n_jobs)
    known = [name for name in names if any(key[0] == name for key in runs)]
    results = compare(known, tasks, runs)
    return runs, results, {name: standing(list(found.values())) for name, found in results.items()}


def print_standings(
    standings: Mapping[str, Standing], tasks: Sequence[Task], n_seeds: int
) -> list[list[str]]:
    rows = [row(name, each, len(tasks), n_seeds) for name, each in standings.items()]
    title = f"{len(tasks)} tables, {n_seeds} seeds, relative to Hyperband with the same seed"
    show(title, HEADER, rows)
    for name, each in standings.items():
        if each.incomplete:
            print(f"  {name}: {each.incomplete} runs trained no trial to the end")
    return rows


def check(thresholds: Thresholds, standings: Mapping[str, Standing], n_tables: int) -> None:
    """Hold the new methods against their thresholds."""
    for name in ("swift-asha", "swift-asha-third"):
        if name not in standings:
            thresholds.hold(f"{name}: was not run", holds=False)
    if "swift-asha" in standings:
        found = standings["swift-asha"]
        _hold(thresholds, "swift-asha: epochs", found.epochs.value, 0.45)
        _hold(thresholds, "swift-asha: ratio of mean regrets", found.regret.value, 0.49)
        _hold(thresholds, "swift-asha: reach in the median table", found.reach, 0.27)
        _hold(thresholds, f"swift-asha: worse tables of {n_tables}", found.worse, 3 * n_tables / 16)
    if "swift-asha-third" in standings:
        found = standings["swift-asha-third"]
        _hold(thresholds, "swift-asha-third: epochs", found.epochs.value, 0.33)
        _hold(thresholds, "swift-asha-third: ratio of mean regrets", found.regret.value, 0.80)


def _hold(thresholds: Thresholds, what: str, value: float, threshold: float) -> None:
    thresholds.hold(f"{what} {value:.3g}, at most {threshold:.3g}", value <= threshold)


def write(
    args: argparse.Namespace,
    rows: Sequence[Sequence[str]],
    results: Mapping[str, Mapping[str, OnTable]],
    tasks: Sequence[Task],
    runs: Mapping[Key, Run],
) -> None:
    """Print and write what was asked for."""
    header, cells = by_table(results, tasks)
    if args.by_table:
        show("Epochs / ratio of regrets, table by table", header, cells)
    if args.markdown:
        put_into(args.markdown, f"{markdown(HEADER, rows)}\n\n{folded(markdown(header, cells))}")
        print(f"tables written into {args.markdown}")
    if args.figure:
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        draw(args.figure, list(results), tasks, runs)
        print(f"figure written: {args.figure}")


def main() -> None:
    args = options()
    tasks = load_tasks(args.tables)
    names = chosen_methods(args)
    n_seeds = args.seeds
    if args.quick:
        tasks, n_seeds = tasks[:: max(len(tasks) // QUICK_TABLES, 1)], min(n_seeds, QUICK_SEEDS)
    cache = Cache(args.cache, frozenset(names if args.fresh else ()))
    runs, results, standings = compared(names, tasks, n_seeds, cache, args.jobs)
    rows = print_standings(standings, tasks, n_seeds)
    write(args, rows, results, tasks, runs)
    if args.check:
        thresholds = Thresholds()
        check(thresholds, standings, len(tasks))
        thresholds.finish(check=True)


if __name__ == "__main__":
    main()
