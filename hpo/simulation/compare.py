"""Schedulers side by side on recorded learning curves, in virtual time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import UsageError, usage_checked

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes
    ----------
    schedulers : sequence of str
        Names; the first is what the others are compared with.
    predictor : str
        Name of the curve predictor.
    max_resource : int or None
        None takes all units of the table.
    reduction_factor : int
        One of how many trials goes on.
    seeds : int
        Runs of each scheduler, with seeds 0, 1, ...
    n_workers : int
        Simulated workers.
    predictor_options : Mapping
        Further options of the predictor.
    """

    schedulers: Sequence[str]
    predictor: str
    max_resource: int | None
    reduction_factor: int
    seeds: int
    n_workers: int
    predictor_options: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One simulated run.

    Attributes
    ----------
    scheduler : str
        Name.
    seed : int
        Of the run.
    epochs : int
        Units trained.
    loss : float
        Of the best trial.
    trial : int or None
        The best trial.
    makespan : float
        Virtual time.
    utilisation : float
        Share of the workers' time spent training.
    """

    scheduler: str
    seed: int
    epochs: int
    loss: float
    trial: int | None
    makespan: float
    utilisation: float


def simulate_all(table_path: Path, setting: Setting) -> list[Row]:
    """Run every scheduler with every seed over a table.

    Raises
    ------
    UsageError
        If the table cannot be read or a setting is refused.
    """
    from hpo.predictors import make_predictor
    from hpo.simulation.datasets import read_table

    if setting.seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {setting.seeds}")
    table = usage_checked(read_table, table_path)
    predictor = usage_checked(make_predictor, setting.predictor, **setting.predictor_options)
    return [
        _simulated(name, seed, table, predictor, setting)
        for name in setting.schedulers
        for seed in range(setting.seeds)
    ]


def _simulated(name: str, seed: int, table: Any, predictor: Any, setting: Setting) -> Row:
    from hpo.schedulers import make_scheduler
    from hpo.simulation.simulator import simulate

    make = partial(
        make_scheduler,
        name,
        max_resource=_units(table, setting.max_resource),
        reduction_factor=setting.reduction_factor,
        seed=seed,
    )
    result = usage_checked(
        simulate, make, table, seed=seed, n_workers=setting.n_workers, predictor=predictor
    )
    best = result.summary.best
    return Row(
        scheduler=name,
        seed=seed,
        epochs=result.summary.epochs,
        loss=math.nan if best is None else best.last_loss,
        trial=None if best is None else best.trial_id,
        makespan=result.makespan,
        utilisation=result.utilisation,
    )


def _units(table: Any, max_resource: int | None) -> int:
    if max_resource is None:
        return int(table.max_resource)
    if max_resource > table.max_resource:
        raise UsageError(
            f"max_resource must be at most the table's {table.max_resource}, got {max_resource}"
        )
    return max_resource


def table_of(rows: Sequence[Row], setting: Setting) -> Table:
    """Summarise runs: one line per scheduler, compared with the first."""
    from rich.table import Table

    table = Table(title=f"{setting.seeds} seeds, {setting.n_workers} workers, {setting.predictor}")
    for heading in ("scheduler", "epochs", "saved", "loss", "same best", "makespan", "busy"):
        table.add_column(heading, justify="left" if heading == "scheduler" else "right")
    first = [row for row in rows if row.scheduler == setting.schedulers[0]]
    for name in setting.schedulers:
        table.add_row(name, *_cells([row for row in rows if row.scheduler == name], first))
    return table


def _cells(rows: Sequence[Row], first: Sequence[Row]) -> list[str]:
    epochs = [float(row.epochs) for row in rows]
    saved = 1 - statistics.mean(epochs) / statistics.mean(row.epochs for row in first)
    same = statistics.mean(row.trial == peer.trial for row, peer in zip(rows, first, strict=True))
    return [
        _mean(epochs, 0),
        f"{saved:.1%}",
        _mean([row.loss for row in rows], 4),
        f"{same:.0%}",
        _mean([row.makespan for row in rows], 0),
        f"{statistics.mean(row.utilisation for row in rows):.0%}",
    ]


def _mean(values: Sequence[float], digits: int) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"
