"""Epochs that a second search saves if it starts with what earlier searches have learned.

    python benchmarks/warm_start.py [--quick] [--check] [--tables PATH ...] [--seeds 4]
        [--sources 3]

Swift-ASHA searches recorded tables whose configurations have the same hyperparameters (the LCBench
tables), in two ways:

- *other data*: the earlier searches are on ``--sources`` other tables, that is, other data sets;
- *same problem*: the earlier search is on one half of a table's rows, the new one on the other.

Three searches are compared: one without a warm start; one that tries the best earlier
configurations first (as ``Tuner(initial=...)`` would); and one with ``warm_start``, whose forecasts
learn from the earlier trials too. A table has other rows than its sources, so the rows nearest to
the best earlier configurations stand for them. Regret is that of the trial with the lowest loss
measured so far, by its last loss: 0 for the table's best, 1 for its median. *Saved of half* is the
part that a search needs less than half of the epochs to be as good as the one without a warm start
after half of them, and *saved of all* likewise, by the geometric mean of the regrets plus 0.01.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from _curve_tables import DEVELOPMENT
from _harness import HOW_TO_GET_TABLES, Thresholds, argument_parser
from _hpo_common import show
from hpo.predictors import MixedPredictor
from hpo.predictors.warm_start import instructive, warm_started
from hpo.run.warm_start import ranked_trials
from hpo.schedulers import SwiftASHA
from hpo.searchers import ListCandidates
from hpo.simulation import CurveTable, TableCurveSearcher, simulate
from hpo.simulation.datasets import read_table
from hpo.space.encoding import ConfigEncoder
from hpo.trial import Config, Curve, Job, Report, TrainJob, TrainReport

ARMS = ("cold", "best first", "warm start")
THRESHOLDS = 0.0, 0.3
"""Least parts saved of half of the epochs: on other data, and on the same problem."""
N_FIRST = 6
FLOOR = 0.01
"""Added to regrets before their logarithm: smaller ones count as equally good."""


class Trace:
    """Records the regret after each epoch of a search, and its trials."""

    def __init__(self, table: CurveTable, searcher: TableCurveSearcher) -> None:
        last = table.losses[:, -1]
        self._regret = (last - last.min()) / (np.median(last) - last.min())
        self._searcher = searcher
        self._rows: dict[int, int] = {}
        self._lowest = np.inf
        self._losses: dict[int, list[float]] = {}
        self._configs: dict[int, Config] = {}
        self.regrets: list[float] = []

    def decided(self, job: Job) -> None:
        """Note the row of a trial."""
        if isinstance(job, TrainJob):
            self._rows[job.trial_id] = self._searcher.row_of(job)
            self._configs[job.trial_id] = job.config

    def reported(self, report: Report) -> None:
        """Note losses."""
        if not isinstance(report, TrainReport):
            return
        self._losses.setdefault(report.trial_id, []).extend(report.losses)
        regret = self.regrets[-1] if self.regrets else np.inf
        if min(report.losses) < self._lowest:
            self._lowest = min(report.losses)
            regret = float(self._regret[self._rows[report.trial_id]])
        self.regrets += [regret] * len(report.losses)

    def trials(self) -> list[Curve]:
        """Return the trials, the most promising first."""
        return ranked_trials(
            [Curve(t, self._configs[t], tuple(losses)) for t, losses in self._losses.items()]
        )


def search(
    table: CurveTable, seed: int, earlier: Sequence[Sequence[Curve]] = (), *, forecasts: bool = True
) -> Trace:
    """Search a table, after earlier searches whose trials are ranked."""
    searcher = TableCurveSearcher(table, seed)
    encoder = ConfigEncoder.of(table.configs)
    if earlier:
        best = [curve.config for turn in zip(*earlier, strict=False) for curve in turn][:N_FIRST]
        first = nearest_rows(encoder(table.configs), encoder(best))
        given = set(first)
        order = [*first, *(row for row in searcher.candidates.order if row not in given)]
        searcher.candidates = ListCandidates(table.configs, order)
    predictor = MixedPredictor()
    if earlier and forecasts:
        taken = [instructive(trials, len(earlier)) for trials in earlier]
        predictor = warm_started(predictor, taken)
    trace = Trace(table, searcher)
    simulate(
        lambda _: SwiftASHA(searcher, max_resource=table.max_resource, seed=seed),
        table,
        searcher=searcher,
        predictor=predictor,
        recorder=trace,
    )
    return trace


def nearest_rows(rows: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[int]:
    """Return the row nearest to each point, none twice."""
    found: list[int] = []
    for point in wanted:
        distance = ((rows - point) ** 2).sum(axis=1)
        distance[found] = np.inf
        found.append(int(distance.argmin()))
    return found


@dataclass
class Comparison:
    """Regrets of all searches of one kind, by arm."""

    name: str
    runs: dict[str, list[list[float]]]

    @classmethod
    def of(cls, name: str) -> Comparison:
        """Begin one."""
        return cls(name, {arm: [] for arm in ARMS})

    def add(self, table: CurveTable, seed: int, earlier: Sequence[Sequence[Curve]]) -> None:
        """Search a table in the three ways."""
        for arm, settings in zip(ARMS, ({}, {"forecasts": False}, {}), strict=True):
            known = () if arm == "cold" else earlier
            self.runs[arm].append(search(table, seed, known, **settings).regrets)

    def mean(self, arm: str) -> NDArray[np.float64]:
        """Return the geometric mean of the regrets after each epoch."""
        runs = self.runs[arm]
        length = min(map(len, runs))
        return np.exp(np.log(np.array([run[:length] for run in runs]) + FLOOR).mean(axis=0)) - FLOOR

    def saved(self, arm: str, part: float) -> float:
        """Return how much less a search needs than a part of the epochs."""
        cold = self.mean("cold")
        epochs = round(part * len(cold))
        reached = np.flatnonzero(self.mean(arm) <= cold[epochs - 1])
        return max(1 - (reached[0] + 1) / epochs, 0.0) if len(reached) else 0.0

    def rows(self) -> list[list[str]]:
        """Return a row for each arm."""
        rows = []
        for arm in ARMS:
            mean = self.mean(arm)
            parts = (len(mean) // 4, len(mean) // 2, len(mean))
            cells = [f"{mean[at - 1]:.3f}" for at in parts]
            saved = [f"{self.saved(arm, part):.0%}" for part in (0.5, 1.0)]
            rows.append([arm, *cells, *(saved if arm != "cold" else ["", ""])])
        return rows


def shared_tables(paths: Sequence[Path]) -> dict[str, CurveTable]:
    """Return the tables whose hyperparameters most of them share."""
    if missing := [path for path in paths if not path.exists()]:
        sys.exit(
            f"tables of learning curves are needed: {missing[0]} is not there; "
            f"{HOW_TO_GET_TABLES}, or use --tables. Of the tables that are fetched no two have the "
            "same hyperparameters; python benchmarks/recorded.py records some that have, in "
            "benchmarks/out/recorded"
        )
    files = [f for p in paths for f in (sorted(p.glob("*.npz")) if p.is_dir() else [p])]
    tables = {file.stem: read_table(file) for file in files}
    groups: dict[tuple[str, ...], dict[str, CurveTable]] = {}
    for name, table in tables.items():
        groups.setdefault(tuple(table.configs[0]), {})[name] = table
    largest = max(groups.values(), key=len, default={})
    if len(largest) < 2:
        sys.exit("at least two tables with the same hyperparameters are needed; use --tables")
    return largest


def compare(tables: dict[str, CurveTable], seeds: int, n_sources: int) -> list[Comparison]:
    """Search every table in every way."""
    other, same = Comparison.of("other data"), Comparison.of("same problem")
    names = list(tables)
    for seed in range(seeds):
        found = {name: search(tables[name], 100 + seed).trials() for name in names}
        for place, name in enumerate(names):
            others = [*names[place + 1 :], *names[:place]]
            chosen = [others[(seed + 2 * n) % len(others)] for n in range(n_sources)]
            other.add(tables[name], seed, [found[each] for each in dict.fromkeys(chosen)])
            rows = np.random.default_rng(seed).permutation(len(tables[name]))
            halves = [tables[name].take(part) for part in np.array_split(rows, 2)]
            same.add(halves[1], seed, [search(halves[0], 100 + seed).trials()])
    return [other, same]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tables", nargs="+", type=Path, default=[DEVELOPMENT])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--sources", type=int, default=3, help="earlier searches of other data")
    args = parser.parse_args()
    tables = shared_tables(args.tables)
    if args.quick:
        tables, args.seeds = dict(list(tables.items())[:3]), 1
    with threadpool_limits(1):
        comparisons = compare(tables, args.seeds, args.sources)
    header = ["search", "regret at 1/4", "at 1/2", "at the end", "saved of half", "saved of all"]
    for each in comparisons:
        show(f"{each.name}: {len(tables)} tables, {args.seeds} seeds", header, each.rows())
    thresholds = Thresholds()
    for each, threshold in zip(comparisons, THRESHOLDS, strict=True):
        saved = each.saved("warm start", 0.5)
        if not args.quick:
            thresholds.hold(
                f"{each.name}: saved of half {saved:.0%}, at least {threshold:.0%}",
                saved >= threshold,
            )
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
