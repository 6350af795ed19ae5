"""Comparison of schedulers on recorded learning curves, in virtual time."""

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

    from hpo.simulation.simulator import SimulationResult


@dataclass(frozen=True)
class Setting:
    """Settings of a comparison.

    Attributes
    ----------
    schedulers : sequence of str
        Names; the others are compared with the first.
    predictor : str
        Name of the curve predictor; ``"auto"`` is that of `hpo run` for each scheduler.
    max_resource : int or None
        Maximum resource per trial; None for all units of the table.
    reduction_factor : int
        Halving rate, eta.
    seeds : int
        Number of runs of each scheduler, with seeds 0, 1, ...
    n_workers : int
        Number of simulated workers.
    predictor_options : Mapping
        Further options of the predictor.
    min_resource : int
        Least resource of a rung (see each scheduler).
    mode : {"min", "max"}
        Whether lower or higher values of the table are better.
    """

    schedulers: Sequence[str]
    predictor: str
    max_resource: int | None
    reduction_factor: int
    seeds: int
    n_workers: int
    predictor_options: Mapping[str, Any]
    min_resource: int = 1
    mode: str = "min"

    def predictor_of(self, scheduler: str) -> str:
        """Return the name of the predictor that a scheduler gets.

        Raises
        ------
        ValueError
            If there is no such scheduler.
        """
        from hpo.schedulers.registry import asks_for_forecasts

        if self.predictor != "auto":
            return self.predictor
        return "mixed" if asks_for_forecasts(scheduler) else "nusvr"


def simulate_all(table_path: Path | None, setting: Setting) -> dict[str, list[SimulationResult]]:
    """Run every scheduler with every seed on a table; return the results by scheduler.

    Parameters
    ----------
    table_path : Path or None
        A file that `hpo.simulation.read_table` reads; None for the sample table of this package.
    setting : Setting
        What is compared.

    Raises
    ------
    UsageError
        If the table cannot be read or a setting is refused.
    """
    from hpo.predictors import make_predictor
    from hpo.schedulers import make_scheduler
    from hpo.simulation.datasets import SAMPLE, read_table
    from hpo.simulation.simulator import simulate

    if setting.seeds < 1:
        raise UsageError(f"seeds must be at least 1, got {setting.seeds}")
    table = usage_checked(read_table, table_path or SAMPLE, setting.mode)
    names = {name: usage_checked(setting.predictor_of, name) for name in setting.schedulers}
    predictors = {
        name: usage_checked(make_predictor, name, **setting.predictor_options)
        for name in names.values()
    }
    max_resource = setting.max_resource
    if max_resource is None:
        max_resource = table.max_resource
    if max_resource > table.max_resource:
        raise UsageError(
            f"max_resource must be at most the table's {table.max_resource}, got {max_resource}"
        )
    results: dict[str, list[SimulationResult]] = {}
    for name in setting.schedulers:
        results[name] = []
        for seed in range(setting.seeds):
            make = partial(
                make_scheduler,
                name,
                max_resource=max_resource,
                reduction_factor=setting.reduction_factor,
                min_resource=setting.min_resource,
                seed=seed,
            )
            predictor = predictors[names[name]]
            options = {"seed": seed, "n_workers": setting.n_workers, "predictor": predictor}
            results[name].append(usage_checked(simulate, make, table, **options))
    return results


def table_of(results: Mapping[str, Sequence[SimulationResult]], setting: Setting) -> Table:
    """Summarise runs: one line per scheduler, compared with the first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from hpo.schedulers.registry import asks_for_predictor

    seeds = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''}"
    workers = f"{setting.n_workers} worker{'s' if setting.n_workers > 1 else ''}"
    predicting = filter(asks_for_predictor, setting.schedulers)
    predictors = dict.fromkeys(setting.predictor_of(name) for name in predicting)
    meanings = (
        "±: standard deviation over the seeds.",
        "saved: fewer epochs than in the first row.",
        "same: searches that end with the best trial of the first row.",
        "time: simulated, an epoch takes 1.",
        "busy: share of the time in which workers train.",
    )
    n_columns = 4 if setting.n_workers == 1 else 6  # one worker is busy all the time
    table = Table(
        title=", ".join((seeds, workers, *predictors)),
        caption="\n".join(meanings[: n_columns - 1]),
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    value = "loss" if setting.mode == "min" else "value"
    headings = ("epochs", "saved", value, "same", "time", "busy")[:n_columns]
    table.add_column("scheduler", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in setting.schedulers:
        cells = _cells(results[name], results[setting.schedulers[0]], setting.mode)
        table.add_row(name, *cells[:n_columns])
    return table


def _cells(
    results: Sequence[SimulationResult], first: Sequence[SimulationResult], mode: str
) -> tuple[str, ...]:
    sign = 1.0 if mode == "min" else -1.0
    epochs = [float(result.summary.epochs) for result in results]
    saved = 1 - statistics.mean(epochs) / statistics.mean(r.summary.epochs for r in first)
    bests = [result.summary.best for result in results]
    ids = [None if best is None else best.trial_id for best in bests]
    reference = (result.summary.best for result in first)
    reference_ids = [None if best is None else best.trial_id for best in reference]
    same = statistics.mean(a == b for a, b in zip(ids, reference_ids, strict=True))
    return (
        _mean(epochs, 0),
        f"{saved:.1%}",
        _mean([math.nan if best is None else sign * best.last_loss for best in bests], 4),
        f"{same:.0%}",
        _mean([result.makespan for result in results], 0),
        f"{statistics.mean(result.utilisation for result in results):.0%}",
    )


def _mean(values: Sequence[float], digits: int) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"
