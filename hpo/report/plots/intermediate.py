"""Values of all trials at the ends of the rungs."""

from __future__ import annotations

import math
from typing import Any

from hpo.report.axes import rung_ends
from hpo.report.plots.fates import FATES, fates
from hpo.report.plots.style import axes_or_new, bulk, drawn, note, scale
from hpo.run.results import Results
from hpo.text import label as shown

_MOST = 10
"""Maximum number of rungs; the last ones are shown."""


def spread(trial_id: int) -> float:
    """Return a number between -0.5 and 0.5 that moves the point of a trial aside.

    It is the same in every figure of a trial, and needs no random number.
    """
    return (trial_id * 7919 % 101) / 101 - 0.5


def plot_intermediate_values(results: Results, ax: Any = None, metric: str = "") -> Any:
    """Draw the value of each trial at the end of each rung, coloured by the fate of the trial.

    Filled points are trials that were trained further, hollow ones ended there.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    metric : str, default=""
        A further metric (`Results.metrics`); default: the objective.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ends, found = rung_ends(results)[-_MOST:], fates(results)
    with axes_or_new(ax) as ax:
        if not ends:
            return note(ax, "no trial has a value yet")
        shown_values = []
        for name, colour in FATES.items():
            for trial in (t for t in results.trials if found[t.trial_id] == name):
                values = trial.metrics.get(metric, ()) if metric else trial.values
                for place, end in enumerate(ends):
                    if len(values) < end or not math.isfinite(values[end - 1]):
                        continue
                    goes_on = len(trial.values) > end or name == "best"
                    shown_values.append(values[end - 1])
                    ax.plot(
                        place + 0.6 * spread(trial.trial_id),
                        drawn(values[end - 1]),
                        marker="o",
                        linestyle="none",
                        markersize=7 if name == "best" else 4.5,
                        markerfacecolor=colour if goes_on else "none",
                        markeredgecolor=colour,
                        markeredgewidth=1.0,
                        label=name,
                    )
        scale(ax, "y", bulk(shown_values, "both" if metric else results.objective.mode))
        ax.set_xticks(range(len(ends)), [str(end) for end in ends])
        ax.set(
            xlabel="epochs at the end of a rung", ylabel=shown(metric or results.objective.title)
        )
        ax.grid(axis="y", color="#dddddd", linewidth=0.6)
        _legend(ax)
    return ax


def _legend(ax: Any) -> None:
    """Name the fates, and what a hollow point is, above the axes."""
    from matplotlib.lines import Line2D

    _, labels = ax.get_legend_handles_labels()
    names = dict.fromkeys(labels)
    marks = [
        Line2D([], [], marker="o", linestyle="none", color=FATES[name], label=name)
        for name in names
    ]
    marks.append(
        Line2D([], [], marker="o", linestyle="none", markerfacecolor="none",
               markeredgecolor="#666666", label="hollow: ended there")
    )  # fmt: skip
    ax.legend(handles=marks, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize="small",
              frameon=False, labelspacing=0.3, handletextpad=0.2)  # fmt: skip
