"""What the benchmarks of `hpo` share: options, the MLPF table, and bars that may fall short."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo.datasets import load_mlpf
from hpo.simulation import CurveTable

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "mlpf_curves.csv"


def options(description: str | None) -> argparse.Namespace:
    """Parse the options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, under a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar falls short")
    parser.add_argument("--table", type=Path, default=None, help="path of mlpf_curves.csv")
    return parser.parse_args()


def mlpf_table(path: Path | None) -> CurveTable:
    """Load the MLPF table from where it was put, or download it."""
    if path is None and SHARED.exists():
        path = SHARED
    try:
        return load_mlpf(path)
    except (OSError, ValueError) as error:
        sys.exit(f"the MLPF table is needed: {error}")


@dataclass
class Bars:
    """Figures that must hold."""

    short: list[str] = field(default_factory=list)

    def hold(self, what: str, holds: bool) -> None:
        """Note whether a bar holds."""
        print(f"  [{'ok' if holds else 'SHORT'}] {what}")
        if not holds:
            self.short.append(what)

    def finish(self, *, check: bool) -> None:
        """End the benchmark; exit 1 where a bar falls short and that was asked for."""
        if self.short:
            print("falls short: " + "; ".join(self.short))
        if check and self.short:
            sys.exit(1)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}")
    for place, line in enumerate(lines):
        first, *rest = zip(line, widths, strict=True)
        print("  " + "  ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))
        if place == 0:
            print("  " + "-" * (sum(widths) + 2 * (len(widths) - 1)))
