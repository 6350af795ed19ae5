"""Forecasts of final losses: skill, spread and time of each regressor; what forecasting costs.

    python benchmarks/forecasts.py [--quick] [--check] [--tables PATH ...] [--seeds 5]
        [--markdown [FILE]]

Regressors: those of the package by name, and a Gaussian process and a neural network that are no
part of it (`_regressors.py`).

Part 1. From each table 80 trials, of lengths as a search has them (many short, few long), are
forecast to the end by one pooled model, with each regressor inside. Skill is one minus the ratio
of mean squared errors (of the log loss above the base) to that of keeping the last value: positive
is better than last value. Coverage is the share of final losses within the intervals that should
hold 80% and 95% of them. The differences from extra trees and from QSVR are those of the skills
averaged over a table's seeds, their mean over tables with its standard error, and the number of
tables on which the row's regressor is better.

Part 2. Calibration by the length of the trial, of both models of the default search: share of final
losses more than two standard deviations below the forecast, of all unfinished trials and of those
among the lowest 5% of the table. The trials are those of whole searches, half way and at the end.
Of normally distributed losses 2.3% lie there. Among the truly best it is more even if the forecast
is calibrated, since they are chosen by what the forecast cannot know.

Part 3. Processor time of all models, searcher included, in one search.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from _calibration import CALIBRATION_HEADER, calibration, report_calibration
from _curve_report import markdown, put_into, table_parser
from _curve_tables import Task, load_tasks
from _harness import Thresholds
from _hpo_common import show
from _regressors import MEASURED
from hpo.predictors import PooledPredictor, PredictionContext, make_regressor
from hpo.predictors._pairs import CurveSet, lengths_up_to
from hpo.schedulers import SwiftASHA
from hpo.simulation import CurveTable, TableCurveSearcher, simulate
from hpo.trial import Curve, ForecastJob, Report

REGRESSORS = ("last-value", "extra-trees", "nusvr", "ridge", "gp", "mlp", "qsvr")
COMPARED = ("extra-trees", "qsvr")
HEADER = (
    "regressor",
    "skill",
    "tables > 0",
    *(f"less {name}" for name in COMPARED),
    "claimed",
    "in 80%",
    "in 95%",
    "ms",
)
MARKS = "<!-- forecasts: begin -->", "<!-- forecasts: end -->"
N_TRIALS = 80
QUICK_TABLES = 4
CALIBRATION_SEEDS = 2


@dataclass(frozen=True)
class Score:
    """One forecast against the truth."""

    skill: float
    claimed: float
    within80: float
    within95: float
    seconds: float


def trials(task: Task, seed: int) -> tuple[list[Curve], np.ndarray]:
    """Return curves as a search has them, and their final losses."""
    rng = np.random.default_rng(seed)
    table = task.table
    grid = np.array(lengths_up_to(table.max_resource))
    share = grid**-0.8 / np.sum(grid**-0.8)
    rows = rng.choice(len(table), min(N_TRIALS, len(table)), replace=False)
    lengths = rng.choice(grid, len(rows), p=share)
    lengths[:3] = table.max_resource
    curves = [
        Curve(place, table.configs[row], tuple(table.losses[row, :length].tolist()))
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True))
    ]
    return curves, table.losses[rows, -1]


def score(task: Task, regressor: str, seed: int) -> Score:
    """Forecast once."""
    curves, final = trials(task, seed)
    data = CurveSet(curves)
    open_ = data.lengths < task.table.max_resource
    truth = np.log(np.maximum(final - data.base, 1e-3 * (np.median(final) - data.base)))[open_]
    inside = MEASURED[regressor]() if regressor in MEASURED else make_regressor(regressor)
    model = PooledPredictor(inside)
    start = time.process_time()
    forecast = model.forecast(curves, task.table.max_resource, PredictionContext(seed=seed))
    seconds = time.process_time() - start
    error = truth - forecast.mean[open_]
    away = np.abs(error) / forecast.std[open_]
    return Score(
        skill=float(1 - np.mean(error**2) / np.mean((truth - data.last[open_]) ** 2)),
        claimed=np.nan if forecast.skill is None else forecast.skill,
        within80=float(np.mean(away < 1.2816)),
        within95=float(np.mean(away < 1.96)),
        seconds=seconds,
    )


@dataclass(frozen=True)
class Scores:
    """All forecasts with one regressor: a row of seeds for each table."""

    each: tuple[tuple[Score, ...], ...]

    def of(self, what: str) -> np.ndarray:  # (n_tables, n_seeds)
        """Return one figure of every forecast."""
        return np.array([[getattr(score, what) for score in row] for row in self.each])

    def less(self, other: Scores) -> str:
        """Return how much more skill there is than the other's, and on how many tables."""
        more = (self.of("skill") - other.of("skill")).mean(axis=1)
        error = more.std(ddof=1) / np.sqrt(len(more)) if len(more) > 1 else np.nan
        return f"{more.mean():+.2f} ± {error:.2f} ({np.sum(more > 0)})"

    def cells(self, compared: Sequence[Scores]) -> list[str]:
        """Return the figures under `HEADER`, but for the name."""
        skill = self.of("skill")
        return [
            f"{np.median(skill):+.2f}",
            f"{np.mean(skill.mean(axis=1) > 0):.0%}",
            *("" if other is self else self.less(other) for other in compared),
            f"{np.nanmedian(self.of('claimed')):+.2f}",
            f"{np.mean(self.of('within80')):.2f}",
            f"{np.mean(self.of('within95')):.2f}",
            f"{1e3 * np.mean(self.of('seconds')):.0f}",
        ]


def all_scores(tasks: Sequence[Task], n_seeds: int) -> dict[str, Scores]:
    """Forecast with every regressor, on every table, with every seed."""
    found = {}
    for name in REGRESSORS:
        score(tasks[0], name, 0)  # compiles what is compiled
        found[name] = Scores(
            tuple(tuple(score(task, name, seed) for seed in range(n_seeds)) for task in tasks)
        )
    return found


def compare(scores: Mapping[str, Scores], title: str) -> list[list[str]]:
    """Print and return a row for each regressor."""
    compared = [scores[name] for name in COMPARED]
    rows = [[name, *each.cells(compared)] for name, each in scores.items()]
    show(title, HEADER, rows)
    return rows


def check_coverage(scores: Scores, thresholds: Thresholds) -> None:
    """Hold the default's intervals against what they claim."""
    within80, within95 = (float(np.mean(scores.of(what))) for what in ("within80", "within95"))
    thresholds.hold(f"coverage of 80% intervals {within80:.2f} in 0.7..0.9", 0.7 <= within80 <= 0.9)
    thresholds.hold(f"coverage of 95% intervals {within95:.2f}, at least 0.85", within95 >= 0.85)


class Stopwatch:
    """Processor time of forecasts: from the decision to the report, which follow at once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def decided(self, job: object) -> None:
        """Start at a forecast."""
        self._start = time.process_time() if isinstance(job, ForecastJob) else self._start

    def reported(self, report: Report) -> None:
        """Stop at its report."""
        if self._start and hasattr(report, "predictions"):
            self.seconds += time.process_time() - self._start
            self._start = 0.0


def cost(max_resource: int, iterations: int) -> tuple[int, int, float]:
    """Run one search over made-up curves; return trials, epochs and model seconds."""
    rng = np.random.default_rng(0)
    x = rng.random((2000, 7))
    units = np.arange(1, max_resource + 1)
    level = np.sum((x - 0.4) ** 2, axis=1, keepdims=True)
    losses = level + (0.5 + x[:, :1]) * units ** -(0.3 + x[:, 1:2])
    losses += rng.normal(0, 0.005, losses.shape)
    configs = tuple({f"h{i}": float(v) for i, v in enumerate(row)} for row in x)
    table = CurveTable(configs, losses)
    watch = Stopwatch()
    result = simulate(
        lambda s: SwiftASHA(s, max_resource=max_resource, budget_fraction=0.45 * iterations),
        table,
        searcher=TableCurveSearcher(table),
        predictor=PooledPredictor(),
        recorder=watch,
    )
    return len(result.summary.trials), result.summary.epochs, watch.seconds


def report_cost(thresholds: Thresholds, *, quick: bool) -> None:
    """Print what the models of a search take."""
    rows = []
    for max_resource, iterations in ((51, 1),) if quick else ((51, 1), (100, 1), (100, 5)):
        n_trials, epochs, seconds = cost(max_resource, iterations)
        share = seconds / epochs
        rows.append(
            [f"R = {max_resource}", str(n_trials), str(epochs), f"{seconds:.1f}", f"{share:.2%}"]
        )
        thresholds.hold(
            f"R = {max_resource}: {share:.2%} of epochs of 1 s, at most 2%", share <= 0.02
        )
        if n_trials >= 900:
            thresholds.hold(
                f"{n_trials} trials: {seconds:.1f} s of models, at most 10", seconds <= 10
            )
    header = ["search", "trials", "epochs", "model s", "of epochs of 1 s"]
    show("Processor time of all forecasts and proposals of one search", header, rows)


def options() -> argparse.Namespace:
    parser = table_parser(__doc__, n_seeds=5)
    return parser.parse_args()


def main() -> None:
    args = options()
    tasks, n_seeds = load_tasks(args.tables), args.seeds
    if args.quick:
        tasks, n_seeds = tasks[:: max(len(tasks) // QUICK_TABLES, 1)], 2
    thresholds = Thresholds()
    with threadpool_limits(1):
        scores = all_scores(tasks, n_seeds)
        title = f"{len(tasks)} tables, {n_seeds} seeds, {N_TRIALS} trials each"
        rows = compare(scores, title)
        found = report_calibration(calibration(tasks, min(n_seeds, CALIBRATION_SEEDS)), thresholds)
        if args.markdown:
            both = ((HEADER, rows), (CALIBRATION_HEADER, found))
            put_into(args.markdown, "\n\n".join(markdown(*each) for each in both), MARKS)
            print(f"table written into {args.markdown}")
        check_coverage(scores["extra-trees"], thresholds)
        report_cost(thresholds, quick=args.quick)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
