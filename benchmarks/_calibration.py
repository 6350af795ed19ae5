"""Calibration of forecasts by the length of the trial, in states of whole searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from _curve_methods import forecasting
from _curve_tables import Task
from _harness import Thresholds
from _hpo_common import show
from hpo.loop import drive
from hpo.predictors import Forecaster, JointPredictor, PooledPredictor, PredictionContext
from hpo.simulation import SimulatedRunner
from hpo.trial import Curve, ForecastJob, Job, Report, TrainJob

LENGTHS = ((1, 1), (2, 3), (4, 7), (8, 15), (16, None))
BEST = 0.05
STATES = (0.5, 1.0)
"""Which forecasts of a search are repeated, as fractions of their number."""
CALIBRATION_HEADER = (
    "model",
    "length",
    "trials",
    "beyond 2 std",
    "best 5%",
    "beyond 2 std, best 5%",
)
MODELS: Mapping[str, Forecaster] = {
    "joint": JointPredictor(),
    "pooled": PooledPredictor("nusvr", gap=1.0),
}


THRESHOLDS = {"joint": 0.08, "pooled": 0.2}


class _States:
    """Records the curves of every forecast of a search, and the row of each trial."""

    def __init__(self, row_of: Callable[[TrainJob], int]) -> None:
        self._row_of = row_of
        self.rows: dict[int, int] = {}
        self.curves: list[tuple[Curve, ...]] = []

    def decided(self, job: Job) -> None:
        """Note a trial's row, or a forecast's curves."""
        if isinstance(job, TrainJob):
            self.rows[job.trial_id] = self._row_of(job)
        elif isinstance(job, ForecastJob):
            self.curves.append(job.curves)

    def reported(self, report: Report) -> None:
        """Do nothing."""


def states(task: Task, seed: int) -> list[tuple[tuple[Curve, ...], NDArray[np.float64]]]:
    """Return curves at some forecasts of one search, and the final loss of each curve."""
    setup = forecasting("swift-asha")(task.table, seed)
    found = _States(setup.searcher.row_of)
    runner = SimulatedRunner(
        task.table, setup.searcher.row_of, predictor=setup.predictor, searcher=setup.searcher
    )
    drive(setup.scheduler, runner, found)
    chosen = [found.curves[max(round(part * len(found.curves)) - 1, 0)] for part in STATES]
    final = task.table.losses[:, -1]
    return [(curves, final[[found.rows[c.trial_id] for c in curves]]) for curves in chosen]


@dataclass(frozen=True)
class Calibration:
    """Forecasts of unfinished trials against their final losses, each of shape (n_trials,).

    Attributes
    ----------
    lengths : ndarray of int
        Units trained.
    error : ndarray
        Final loss minus forecast, in standard deviations.
    best : ndarray of bool
        Whether the final loss is among the lowest 5% of the table.
    """

    lengths: NDArray[np.int64]
    error: NDArray[np.float64]
    best: NDArray[np.bool_]

    def cells(self, low: int, high: int | None) -> list[str]:
        """Return the figures of a range of lengths under `CALIBRATION_HEADER`."""
        inside = (self.lengths >= low) & (self.lengths <= (high or np.inf))
        beyond = self.error < -2
        best = inside & self.best
        return [
            str(inside.sum()),
            f"{beyond[inside].mean():.3f}" if inside.any() else "-",
            str(best.sum()),
            f"{beyond[best].mean():.2f}" if best.any() else "-",
        ]


def calibration(tasks: Sequence[Task], n_seeds: int) -> dict[str, Calibration]:
    """Forecast the states of one search for each table and seed, with both models."""
    rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in MODELS}
    for task in tasks:
        good = np.quantile(task.table.losses[:, -1], BEST)
        for seed in range(n_seeds):
            for curves, final in states(task, seed):
                lengths = np.array([len(curve.losses) for curve in curves])
                open_ = lengths < task.table.max_resource
                for name, model in MODELS.items():
                    context = PredictionContext(seed=seed)
                    forecast = model.forecast(curves, task.table.max_resource, context)
                    error = (forecast.scale.of(final) - forecast.mean)[open_]
                    error /= forecast.std[open_]
                    rows[name].append(np.stack([lengths[open_], error, final[open_] <= good]))
    found = {}
    for name, parts in rows.items():
        lengths, error, best = np.concatenate(parts, axis=1)
        found[name] = Calibration(lengths.astype(np.int64), error, best.astype(bool))
    return found


def report_calibration(found: Mapping[str, Calibration], thresholds: Thresholds) -> list[list[str]]:
    """Print and return the share of final losses far below the forecast, by length."""
    rows = []
    for name, each in found.items():
        for low, high in LENGTHS:
            length = str(low) if high == low else f"{low} to {high}" if high else f"{low} and more"
            rows.append([name, length, *each.cells(low, high)])
        beyond = float(np.mean(each.error < -2))
        threshold = THRESHOLDS[name]
        thresholds.hold(
            f"{name}: {beyond:.1%} beyond two std, at most {threshold:.0%}", beyond <= threshold
        )
    show(
        "Final losses more than two standard deviations below the forecast",
        CALIBRATION_HEADER,
        rows,
    )
    return rows
