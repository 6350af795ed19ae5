"""Tables of recorded curves for the comparison of schedulers: loading, fitting, features."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _harness import HOW_TO_GET_TABLES, MLPF_TABLE
from hpo.brackets import hyperband_brackets, hyperband_epochs
from hpo.simulation import CurveTable
from hpo.simulation.datasets import clean_rows, read_table

REDUCTION_FACTOR = 2
DEVELOPMENT = MLPF_TABLE.parent / "curves"


@dataclass(frozen=True)
class Task:
    """One table to search, and the figures that searches on it are compared with.

    Attributes
    ----------
    name : str
        Name in the printed tables.
    table : CurveTable
        Thinned to a number of units for which Hyperband's configurations fit its rows.
    fingerprint : str
        Hash of the contents of the table.
    best, median : float
        Best and median loss after the last unit.
    epochs : int
        Number of epochs that Hyperband plans to spend, with ``reduction_factor`` 2.
    """

    name: str
    table: CurveTable
    fingerprint: str
    best: float
    median: float
    epochs: int

    def regret(self, loss: float) -> float:
        """Return how far a final loss is from the best, the median being 1 away."""
        return (loss - self.best) / (self.median - self.best)


def make_task(name: str, table: CurveTable) -> Task:
    """Measure a table, thinned first where it has to be."""
    table = thinned(table)
    final = table.losses[:, -1]
    best, median = float(final.min()), float(np.median(final))
    if not median > best:
        sys.exit(f"{name}: the median of the final losses must lie above the best, got {best:.6g}")
    digest = hashlib.sha256(table.losses.tobytes())
    digest.update(repr(table.configs).encode())
    epochs = hyperband_epochs(table.max_resource, REDUCTION_FACTOR)
    return Task(name, table, digest.hexdigest()[:12], best, median, epochs)


def thinned(table: CurveTable) -> CurveTable:
    """Keep every k-th unit, the last one included, with the least k for which the rows suffice.

    Hyperband on R units wants a number of configurations that grows with R: 163 at R = 100, which
    the clean part of the MLPF table (128 rows) does not have. Fifty units of two epochs want 84.
    """
    for step in range(1, table.max_resource + 1):
        losses = table.losses[:, ::-1][:, ::step][:, ::-1]
        brackets = hyperband_brackets(losses.shape[1], REDUCTION_FACTOR)
        if sum(bracket.n_trials for bracket in brackets) <= len(table):
            cost = None if table.cost is None else table.cost * step
            return CurveTable(table.configs, np.ascontiguousarray(losses), cost)
    raise AssertionError  # one unit wants one configuration


def load_tasks(paths: Sequence[Path]) -> list[Task]:
    """Load the tables at these paths (files or folders), or the development tables.

    ``mlpf_curves.csv`` gives two tasks: the whole table, and its clean part.
    """
    chosen = list(paths) or [MLPF_TABLE, DEVELOPMENT]
    files: list[Path] = []
    for path in chosen:
        if not path.exists():
            sys.exit(
                f"tables of learning curves are needed: {path} is not there; "
                f"{HOW_TO_GET_TABLES}, or use --tables"
            )
        found = (*path.glob("*.csv"), *path.glob("*.npz")) if path.is_dir() else (path,)
        files += sorted(found)
    if not files:
        sys.exit(f"no .csv or .npz file in {', '.join(map(str, chosen))}")
    tasks: list[Task] = []
    for file in files:
        table = read_table(file)
        name = "mlpf" if file.name == MLPF_TABLE.name else file.stem
        tasks.append(make_task(name, table))
        if name == "mlpf":
            tasks.append(make_task("mlpf clean", table.take(clean_rows(table))))
    return tasks


def features(table: CurveTable) -> NDArray[np.float64]:  # (n_rows, n_features)
    """Return the hyperparameters scaled to [0, 1].

    Numbers that span more than a factor of 100 are taken logarithmic; anything else than a number
    becomes one column per value.
    """
    columns: list[NDArray[np.float64]] = []
    for name in table.configs[0]:
        values = [config[name] for config in table.configs]
        if all(isinstance(v, int | float) for v in values):
            columns.append(_scaled(np.array(values, dtype=float)))
        else:
            kinds = sorted(set(map(str, values)))
            columns += [np.array([float(str(v) == kind) for v in values]) for kind in kinds]
    return np.column_stack(columns)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = values.min(), values.max()
    if low > 0 and high > 100 * low:
        values, low, high = np.log(values), np.log(low), np.log(high)
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
