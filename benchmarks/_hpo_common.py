"""Shared parts of the benchmarks of `hpo`: the MLPF table as recorded curves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from _harness import HOW_TO_GET_TABLES, MLPF_TABLE, argument_parser, print_table
from hpo.simulation import CurveTable
from hpo.simulation.datasets import load_mlpf


def options(description: str | None) -> argparse.Namespace:
    """Parse the options that every benchmark takes, and the table's path."""
    parser = argument_parser(description)
    parser.add_argument("--table", type=Path, default=None, help="path of mlpf_curves.csv")
    return parser.parse_args()


def mlpf_table(path: Path | None) -> CurveTable:
    """Load the MLPF table from where it was put, or download it."""
    if path is None and MLPF_TABLE.exists():
        path = MLPF_TABLE
    try:
        return load_mlpf(path)
    except (OSError, ValueError) as error:
        sys.exit(f"the MLPF table is needed: {error}; {HOW_TO_GET_TABLES}")


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table under its title."""
    print(f"\n{title}")
    print_table([str(cell) for cell in header], [[str(cell) for cell in row] for row in rows])
