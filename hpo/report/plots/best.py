"""Best value so far, and its regret, in the two phases of `hpo.run.history`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.report.plots.fates import RUNS
from hpo.report.plots.style import (
    QUIET,
    SMALLEST,
    axes_or_new,
    drawn,
    legend_above,
    name_ends,
    note,
    number,
    scale,
    ticks,
)
from hpo.run.history import PHASES, HistoryPoint
from hpo.run.results import Results
from hpo.text import label as shown
from hpo.trainers.objective import LOSS_MINIMISED

_DASHES = ("-", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (3, 1)))
Runs = Results | Mapping[str, Results]
_Line = list[tuple[float, float]]


def plot_best(results: Runs, ax: Any = None, against: str = "epochs") -> Any:
    """Draw the best value so far, of one run or of several, against what was spent.

    Before a trial is complete, the line is dotted: it is the best value of any trial. From then on
    it is solid: it is the value of the best complete trial (see `hpo.run.history`).

    Parameters
    ----------
    results : Results or Mapping of str to Results
        A run, or runs by name, of one objective and mode.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    against : {"epochs", "seconds"}, default="epochs"
        Epochs spent, or seconds since the first report.

    Returns
    -------
    matplotlib.axes.Axes
    """
    runs = _named(results)
    objective = next((run.objective for run in runs.values()), LOSS_MINIMISED)
    with axes_or_new(ax) as ax:
        lines = {name: _phases(run, against, 1.0, 0.0) for name, run in runs.items()}
        found = [value for early, late in lines.values() for _, value in early + late]
        if not found:
            return note(ax, "no trial has a value yet")
        scale(ax, "y", (min(found), max(found)))
        _draw(ax, lines, runs)
        ax.set(ylabel=f"best {shown(objective.title)} so far", xlabel=_spent(against))
    return ax


def plot_regret(
    results: Runs, ax: Any = None, reference: float | None = None, against: str = "epochs"
) -> Any:
    """Draw the regret: the difference of the best value so far to a reference, positive if worse.

    The best value so far is that of `plot_best`: dotted before a trial is complete, solid from then
    on. A value that is as good as the reference, or better, is drawn at the line "0 or less".

    Parameters
    ----------
    results : Results or Mapping of str to Results
        A run, or runs by name, of one objective and mode.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    reference : float, default=None
        Value of regret zero; default: the best value at the end of any of the runs.
    against : {"epochs", "seconds"}, default="epochs"
        Epochs spent, or seconds since the first report.

    Returns
    -------
    matplotlib.axes.Axes
    """
    runs = _named(results)
    objective = next((run.objective for run in runs.values()), LOSS_MINIMISED)
    sign = 1.0 if objective.mode == "min" else -1.0
    if reference is None:
        ends = [points[-1].best for run in runs.values() if (points := run.history())]
        finite = [value for value in ends if math.isfinite(value)]
        best = (min if sign > 0 else max)(finite, default=0.0)
    else:
        best = reference
    lines = {name: _phases(run, against, sign, drawn(best)) for name, run in runs.items()}
    values = [value for early, late in lines.values() for _, value in early + late]
    positive = [value for value in values if value > SMALLEST]
    floor = min(positive, default=1.0) / 3
    lines = {
        name: tuple([(x, max(value, floor)) for x, value in phase] for phase in phases)
        for name, phases in lines.items()
    }
    with axes_or_new(ax) as ax:
        if not values:
            return note(ax, "no trial has a value yet")
        scale(ax, "y", (floor, max(positive, default=1.0)), log=True)
        ax.yaxis.set_major_formatter(lambda value, _: number(value) if value > 1.01 * floor else "")
        ax.axhline(floor, color="#bbbbbb", linewidth=0.8, zorder=0)
        ax.text(0.01, floor, "0 or less", color=QUIET, fontsize="small", va="bottom",
                transform=ax.get_yaxis_transform())  # fmt: skip
        _draw(ax, lines, runs)
        value, name = f"{best:.4g}", shown(objective.title)
        difference = f"{name} − {value}" if sign > 0 else f"{value} − {name}"
        ax.set(xlabel=_spent(against), ylabel=f"regret ({difference})")
    return ax


def _named(results: Runs) -> Mapping[str, Results]:
    return {"": results} if isinstance(results, Results) else results


def _spent(against: str) -> str:
    if against not in ("epochs", "seconds"):
        raise ValueError(f"against must be 'epochs' or 'seconds', got {against!r}")
    return "epochs spent" if against == "epochs" else "seconds since the first report"


def _phases(run: Results, against: str, sign: float, best: float) -> tuple[_Line, ...]:
    """Return the two phases of a run as (spent, value) pairs."""
    _spent(against)
    points = [point for point in run.history() if math.isfinite(point.best)]
    early = [point for point in points if not point.complete]
    late = [point for point in points if point.complete]

    def line(part: Sequence[HistoryPoint]) -> _Line:
        return [
            (float(getattr(point, against)), sign * (drawn(point.best) - best)) for point in part
        ]

    first = line(early)
    if early and late:  # up to where the second phase begins
        first.append((float(getattr(late[0], against)), first[-1][1]))
    return first, line(late)


def _draw(ax: Any, lines: Mapping[str, tuple[_Line, ...]], runs: Mapping[str, Results]) -> None:
    """Draw the lines of all runs, with their names at the ends."""
    ends = []
    for place, (name, phases) in enumerate(lines.items()):
        colour, dash = RUNS[place % len(RUNS)], _DASHES[place % len(_DASHES)]
        styles = ((0, (1, 1.6)), dash)
        for points, style, complete in zip(phases, styles, (False, True), strict=True):
            if points:
                ax.step(
                    *zip(*points, strict=True),
                    where="post",
                    color=colour,
                    linestyle=style,
                    linewidth=2.2,
                    label=PHASES[complete] if place == 0 else None,
                )
        last = next((points[-1] for points in reversed(phases) if points), None)
        if last is not None:
            ax.plot(*last, marker="o", markersize=6, color=colour)
            end = next(p.best for p in reversed(runs[name].history()) if math.isfinite(p.best))
            ends.append((*last, f"{shown(name)}\n{end:.4g}" if name else f"{end:.4g}", colour))
    xs = [x for phases in lines.values() for points in phases for x, _ in points]
    if xs:
        ax.set_xlim(0, 1.02 * max(*xs, 1e-9))
    ticks(ax.xaxis, ax.get_xlim(), log=False)
    ax.grid(axis="y", color="#dddddd", linewidth=0.6)
    if any(early for early, _ in lines.values()) and ends:
        legend_above(ax, columns=1)
        if len(lines) > 1:  # the style of the phases, whatever the colour
            for handle in ax.get_legend().legend_handles:
                handle.set_color(QUIET)
    name_ends(ax, ends)
