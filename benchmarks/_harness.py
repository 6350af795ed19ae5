"""Shared parts of the benchmarks: arguments, tables, acceptance thresholds, test problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Where tables of learning curves are looked for: where tools/fetch_tables.py writes them, else
# beside the checkout.
_FETCHED = Path(__file__).parent / "data"
_BESIDE = Path(__file__).parents[1].parent / "shared" / "data"
TABLES = _BESIDE if _BESIDE.is_dir() and not _FETCHED.is_dir() else _FETCHED
MLPF_TABLE = TABLES / "mlpf_curves.csv"
HOW_TO_GET_TABLES = "python tools/fetch_tables.py fetches it (needs a network)"

Data = tuple[NDArray[np.float64], NDArray[np.float64]]


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``--quick`` (under a minute) and ``--check`` (acceptance thresholds)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small part, in under a minute")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with status 1 if an acceptance threshold is missed",
    )
    return parser


def arguments(description: str | None) -> argparse.Namespace:
    """Parse the options that every benchmark takes."""
    return argument_parser(description).parse_args()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, columns aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    print(flush=True)


@dataclass
class Thresholds:
    """Collects the figures that miss an acceptance threshold."""

    failures: list[str] = field(default_factory=list)

    def at_least(self, name: str, value: float, threshold: float) -> None:
        """Note a failure where value < threshold."""
        if not value >= threshold:
            self.failures.append(f"{name}: {value:.4g} is below {threshold:.4g}")

    def at_most(self, name: str, value: float, threshold: float) -> None:
        """Note a failure where value > threshold."""
        if not value <= threshold:
            self.failures.append(f"{name}: {value:.4g} is above {threshold:.4g}")

    def hold(self, what: str, holds: bool) -> None:
        """Print whether a threshold is met, and note a failure if it is not."""
        print(f"  [{'ok' if holds else 'MISSED'}] {what}")
        if not holds:
            self.failures.append(what)

    def finish(self, check: bool) -> None:
        """Print the failures; with `check`, exit with status 1 if there is one."""
        for failure in self.failures:
            print(f"THRESHOLD MISSED  {failure}")
        if not self.failures:
            print("All acceptance thresholds are met.")
        sys.exit(1 if check and self.failures else 0)


def scaled_data(name: str, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n samples of a data set, features and target scaled to [0, 1]."""
    # Here, since worker processes import the script that starts them.
    from sklearn.datasets import load_diabetes, make_friedman1
    from sklearn.preprocessing import minmax_scale

    if name == "friedman1":
        X, y = make_friedman1(n, noise=1.0, random_state=seed)
    else:
        X, y = load_diabetes(return_X_y=True)
        rows = np.random.RandomState(seed).permutation(len(y))[:n]
        X, y = X[rows], y[rows]
    return minmax_scale(X), minmax_scale(y)


def mlpf_task(path: Path) -> Data:
    """Return the papers' task from the table of MLPF curves, quantile-transformed.

    Inputs are every second of the first 25 losses, (n_curves, 13); the target is the last loss but
    one, (n_curves,). The curve with the largest final loss is dropped, as in the papers.
    """
    from sklearn.preprocessing import QuantileTransformer

    names = path.open().readline().strip().split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    losses = table[:, names.index("loss_0") :]
    losses = np.delete(losses, np.argmax(losses[:, -1]), axis=0)
    transform = QuantileTransformer(n_quantiles=50, random_state=0)
    inputs = np.asarray(transform.fit_transform(losses[:, :25:2]))
    return inputs, np.asarray(transform.fit_transform(losses[:, 98:99]))[:, 0]
