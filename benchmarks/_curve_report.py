"""Tables of `curves.py`, and its figure of the regret in the course of a search."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _curve_methods import METHODS
from _curve_runs import Key, Run
from _curve_stats import OnTable, Standing, mean_curve, seeds_of
from _curve_tables import Task
from _harness import argument_parser
from hpo.report.plots.fates import RUNS
from hpo.report.plots.style import STYLE, name_ends, scale

HEADER = (
    "method",
    "epochs",
    "median",
    "regret",
    "mean of ratios",
    "median",
    "better/equal/worse",
    "reach",
    "reach, measured",
    "ms/epoch",
)
MARKS = "<!-- curves: begin -->", "<!-- curves: end -->"
PAGE = Path("docs/research/curves.md")
APPENDIX = Path("docs/research/appendix.md")
WALLCLOCK_MARKS = "<!-- wallclock: begin -->", "<!-- wallclock: end -->"


def row(name: str, result: Standing, n_tables: int, n_seeds: int) -> list[str]:
    """Return a method's cells under `HEADER`."""
    label = METHODS[name].label
    if result.n_tables < n_tables:
        label += f" ({result.n_tables} tables)"
    if result.n_seeds < n_seeds:
        label += f" ({result.n_seeds} seeds)"
    reach = _share(result.reach)
    if result.reached < result.n_tables:
        reach += f" ({result.reached})"
    return [
        label,
        str(result.epochs),
        f"{result.epochs_median.value:.2f}",
        str(result.regret),
        str(result.regret_mean),
        f"{result.regret_median.value:.2f}",
        f"{result.better}/{result.equal}/{result.worse}",
        reach,
        _share(result.reach_measured),
        f"{1e3 * result.overhead:.2f}",
    ]


def _share(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "never"


def by_table(
    results: Mapping[str, Mapping[str, OnTable]], tasks: Sequence[Task]
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of epochs and regret ratio, a method a column."""
    header = ["table", "n x R", "Hyperband's regret", *results]
    rows = []
    for task in tasks:
        first = next(iter(results.values()))[task.name]
        size = f"{len(task.table)} x {task.table.max_resource}"
        cells = [task.name, size, f"{first.reference:.4f}"]
        for tables in results.values():
            found = tables.get(task.name)
            cells.append(f"{found.epochs:.2f} / {found.ratio:.2f}" if found else "-")
        rows.append(cells)
    return header, rows


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def folded(table: str) -> str:
    """Return a Markdown table that a page shows when its reader opens it."""
    return f":::{{dropdown}} Every table: epochs / ratio of regrets\n{table}\n:::"


def put_into(path: Path, text: str, marks: tuple[str, str] = MARKS) -> None:
    """Replace what stands between the two marks in a file.

    Raises
    ------
    ValueError
        If the file lacks the marks.
    """
    page = path.read_text(encoding="utf-8")
    head, begin, rest = page.partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    if not (begin and end):
        raise ValueError(f"{path} must contain {' and '.join(marks)}, between which the table goes")
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


def draw(path: Path, names: Sequence[str], tasks: Sequence[Task], runs: Mapping[Key, Run]) -> None:
    """Draw the mean regret in the course of the search, over all tables.

    A run without an incumbent yet counts as 1, the median of a table, and so does a regret above 1:
    in some tables a few trainings explode late.
    """
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update(STYLE)
    import matplotlib.pyplot as plt
    from PIL import Image

    shares = np.geomspace(0.02, 2.0, 240)  # of Hyperband's epochs
    figure, axes = plt.subplots(2, 1, figsize=(6.8, 13), sharex=True, layout="constrained")
    titles = ("best fully trained trial", "trial with the lowest loss measured so far")
    for axis, kind, title in zip(axes, ("trained", "measured"), titles, strict=True):
        ends = []
        for place, name in enumerate(names):
            style = _style(place, name)
            known = [task for task in tasks if seeds_of(name, task.name, runs)]
            curve = np.mean([_curve(kind, name, task, runs, shares) for task in known], axis=0)
            end = np.mean([_end(name, task, runs) for task in known])
            shown = (curve < 1) & (shares <= end * 1.02)
            axis.plot(shares[shown], curve[shown], **style)
            if shown.any():
                last = float(shares[shown][-1]), float(curve[shown][-1])
                axis.plot(*last, "o", color=style["color"], markersize=5)
                label = "\n".join(textwrap.wrap(METHODS[name].label, 21))
                ends.append((*last, label, style["color"]))
        scale(axis, "x", (0.02, 2.0), log=True)
        scale(axis, "y", (min((y for _, y, *_ in ends), default=0.1), 1.0), log=True)
        axis.set_title(title, loc="left")
        axis.set_ylabel("mean regret (a table's median = 1)")
        axis.grid(color="#dddddd", linewidth=0.6)
        name_ends(axis, ends)
    axes[1].set_xlabel("epochs (Hyperband's = 1)")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    with Image.open(path) as picture:  # in few colours, a quarter of the size
        small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


_GREYS = ("#444444", "#6B6B6B", "#8A8A8A")


def _style(place: int, name: str) -> dict[str, Any]:
    """Return the look of a method: colours for those of this project and Hyperband, else grey."""
    ours = [each for each in METHODS if each.startswith(("swift", "hyperband"))]
    if name in ours:
        colour = RUNS[ours.index(name) % len(RUNS)]
        return {"color": colour, "linestyle": "-", "linewidth": 2.2}
    dashes = ("--", ":", "-.")
    return {"color": _GREYS[place % 3], "linestyle": dashes[place // 3 % 3], "linewidth": 1.4}


def _curve(
    kind: str, name: str, task: Task, runs: Mapping[Key, Run], shares: np.ndarray
) -> np.ndarray:
    found = [runs[name, task.name, seed] for seed in seeds_of(name, task.name, runs)]
    steps = [run.trained if kind == "trained" else run.measured for run in found]
    return mean_curve(steps, shares * task.epochs, cap=1.0)


def _end(name: str, task: Task, runs: Mapping[Key, Run]) -> float:
    found = [runs[name, task.name, seed].epochs for seed in seeds_of(name, task.name, runs)]
    return float(np.mean(found)) / task.epochs


def table_parser(
    description: str | None, n_seeds: int, page: Path = APPENDIX
) -> argparse.ArgumentParser:
    """Return a parser of the options of benchmarks on tables.

    ``--quick`` and ``--check`` are among them. `page` is the file that ``--markdown`` writes to.
    """
    parser = argument_parser(description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tables", nargs="+", type=Path, default=[], help=".csv, .npz or folders")
    parser.add_argument("--seeds", type=int, default=n_seeds)
    parser.add_argument(
        "--markdown",
        nargs="?",
        const=page,
        type=Path,
        help=f"write the results between the marks of this file ({page})",
    )
    return parser
