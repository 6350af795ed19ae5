"""Predicted against true values."""

from __future__ import annotations

import math
from typing import Any

from hpo.errors import UsageError
from hpo.report.plots.fates import FATES
from hpo.report.plots.style import QUIET, axes_or_new, bulk, drawn, legend_above, note, scale
from hpo.report.runs import Run
from hpo.text import label as shown


def plot_predictions(results: Run, ax: Any = None) -> Any:
    """Draw the predictions whose true value is known: predicted against true, in one scale.

    On the diagonal a prediction is right. Crosses are the last known values, which a predictor has
    to beat. Trials that were stopped have no true value and are missing.

    Parameters
    ----------
    results : Run
        From `hpo.report.read_run`, since results alone do not hold what was predicted.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If `results` are no run.
    """
    if not isinstance(results, Run):
        raise UsageError(
            "results must be a run as hpo.report.read_run returns it, since results alone do not "
            f"hold what was predicted; got {type(results).__name__}"
        )
    objective = results.results.objective
    known = [f for f in results.forecasts() if f.true is not None and math.isfinite(f.true)]
    rows = [
        tuple(drawn(objective.value(loss)) for loss in (f.true or 0.0, f.predicted, f.last))
        for f in known
    ]
    with axes_or_new(ax, (5.4, 5.4)) as ax:
        if not rows:
            return note(ax, "no predicted trial was trained\nto the predicted epoch")
        low, high = bulk([value for row in rows for value in row], objective.mode) or (0.0, 1.0)
        limits = (low, high) if high > low else (low - 0.5, high + 0.5)
        log = scale(ax, "x", limits)
        scale(ax, "y", limits, log=log)
        ax.set_aspect("equal", adjustable="box")
        low, high = ax.get_xlim()
        ax.plot([low, high], [low, high], color=QUIET, linewidth=1.0, linestyle="--", zorder=1)
        ax.annotate("predicted = true", (high, high), (-6, -4), textcoords="offset points",
                    ha="right", va="top", rotation=45, rotation_mode="anchor", color=QUIET,
                    fontsize="small")  # fmt: skip
        true, predicted, last = (
            [min(max(value, low), high) for value in column] for column in zip(*rows, strict=True)
        )
        errors = results_errors(rows)
        ax.plot(true, last, "x", color="#B07A00", markersize=5, markeredgewidth=1.2,
                label=f"last value (RMSE {errors[1]:.3g})")  # fmt: skip
        ax.plot(true, predicted, "o", color=FATES["trained to the end"], markersize=5, alpha=0.8,
                label=f"prediction (RMSE {errors[0]:.3g})")  # fmt: skip
        name = shown(objective.title)
        ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        legend_above(ax, columns=1)
    return ax


def results_errors(rows: list[tuple[float, ...]]) -> tuple[float, float]:
    """Return the root mean squared errors of predictions and last values in (true, ...) rows."""
    return tuple(  # type: ignore[return-value]  # two of them
        math.sqrt(sum((row[k] - row[0]) ** 2 for row in rows) / len(rows)) for k in (1, 2)
    )
