"""Learning curves of all trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpo.report.plots.fates import FATES, KEPT, LINES, fates
from hpo.report.plots.style import (
    LARGEST,
    axes_or_new,
    bulk,
    drawn,
    epochs,
    legend_above,
    note,
    scale,
)
from hpo.run.results import Results
from hpo.run.trial_results import TrialResult
from hpo.text import label as shown

_STRONG = ("best", "failed", "trained to the end")


def plot_curves(results: Results, ax: Any = None, title: str = "") -> Any:
    """Draw the learning curves of all trials, coloured by their fates, and mark the decisions.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    title : str, default=""
        Title of the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    values = [value for trial in results.trials for value in trial.values]
    with axes_or_new(ax) as ax:
        if not any(map(math.isfinite, values)):
            ax.set_title(title)
            return note(ax, "no trial has a value yet")
        order = list(FATES)
        ends = fates(results)
        counts = {name: list(ends.values()).count(name) for name in order}
        for trial in sorted(results.trials, key=lambda t: order.index(ends[t.trial_id])):
            _draw_curve(ax, trial, ends[trial.trial_id], counts)
        _mark_decisions(ax, results)
        scale(ax, "y", bulk(values, results.objective.mode))
        longest = max((len(trial.losses) for trial in results.trials), default=0)
        epochs(ax, [e.resource for e in results.events if e.kind == "rung"], longest)
        name = shown(results.objective.title)
        huge = any(LARGEST < abs(value) < math.inf for value in values)
        ax.set_ylabel(f"{name} (beyond {LARGEST:g} drawn there)" if huge else name)
        ax.set_xlabel("epochs")
        legend_above(ax, title)
    return ax


def _draw_curve(ax: Any, trial: TrialResult, name: str, counts: Mapping[str, int]) -> None:
    values = [drawn(value) for value in trial.values]
    if not values:
        return
    weak = max(0.2, min(0.7, 40 / counts[name]))
    ax.plot(
        range(1, len(values) + 1),
        values,
        color=FATES[name],
        linestyle=LINES[name],
        linewidth={"best": 2.6, "trained to the end": 1.6}.get(name, 1.1),
        alpha=1.0 if name == "best" else 0.9 if name in _STRONG else weak,
        marker="_" if len(values) == 1 else None,
        markersize=5,
        label=f"best (trial {trial.trial_id})" if name == "best" else f"{name} ({counts[name]})",
        zorder=2 + list(FATES).index(name),
    )


def _mark_decisions(ax: Any, results: Results) -> None:
    """Mark the points at which predictions decided: filled if stopped, hollow if kept."""
    curves = {trial.trial_id: trial.values for trial in results.trials}
    decisions = [event for event in results.events if event.kind == "decision"]
    stopped = FATES["stopped by a prediction"]
    groups = (
        ("decision: stopped", [(e.resource, t) for e in decisions for t in e.dropped], stopped),
        ("decision: kept", [(e.resource, t) for e in decisions for t in e.kept], "white"),
    )
    for label, points, face in groups:
        known = [(r, drawn(curves[t][r - 1])) for r, t in points if 0 < r <= len(curves[t])]
        if known:
            ax.scatter(
                *zip(*known, strict=True),
                s=16 if len(known) <= 60 else 7,
                facecolors=face,
                edgecolors=KEPT if face == "white" else "#7F5800",
                linewidths=1.0 if face == "white" else 0.5,
                label=f"{label} ({len(known)})",
                zorder=10,
            )
