"""Figures of a run: all learning curves by fate, and regret of the best trial against epochs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import import_optional
from hpo.run.results import Results
from hpo.run.trial_results import TrialResult
from hpo.text import label as shown
from hpo.trainers.objective import LOSS_MINIMISED
from hpo.trial import TrialStatus, TrialSummary

# Okabe and Ito's colours, which colour-blind readers can tell apart.
FATES = {
    "given up for better ones": "#999999",
    "stopped by a prediction": "#E69F00",
    "still running": "#56B4E9",
    "trained to the end": "#0072B2",
    "failed": "#D55E00",
    "best": "#000000",
}
_KEPT = "#009E73"
_LARGEST = 1e100
"""Values are drawn up to this size: Matplotlib cannot draw an axis of all floats."""
_SMALLEST = 1e-100
"""Least positive value on a logarithmic axis."""


def fates(results: Results) -> dict[int, str]:
    """Return the fate of each trial of `results`, a key of `FATES`."""
    dropped = {trial for e in results.events if e.kind == "decision" for trial in e.dropped}
    best = None if results.incumbent is None else results.incumbent.trial_id
    return {
        trial.trial_id: "best" if trial.trial_id == best else _fate(trial, dropped)
        for trial in results.trials
    }


def _fate(trial: TrialSummary, dropped: Container[int]) -> str:
    if trial.status is TrialStatus.FAILED:
        return "failed"
    if trial.status is TrialStatus.COMPLETED:
        return "trained to the end"
    if trial.status is TrialStatus.STOPPED:
        by_prediction = trial.trial_id in dropped
        return "stopped by a prediction" if by_prediction else "given up for better ones"
    return "still running"


def plot_curves(results: Results, ax: Any = None, title: str = "") -> Any:
    """Draw the learning curves of all trials, coloured by their fates, and mark the decisions.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: a new figure.
    title : str
        Title of the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _new_axes() if ax is None else ax
    order = list(FATES)
    ends = fates(results)
    counts = {name: list(ends.values()).count(name) for name in order}
    for trial in sorted(results.trials, key=lambda t: order.index(ends[t.trial_id])):
        _draw_curve(ax, trial, ends[trial.trial_id], counts)
    _mark_decisions(ax, results)
    values = [value for trial in results.trials for value in trial.values]
    _scale_values(ax, values, results.objective.mode)
    _scale_epochs(ax, results)
    name = shown(results.objective.title)
    huge = any(_LARGEST < abs(value) < math.inf for value in values)
    ylabel = f"{name} (beyond {_LARGEST:g} drawn there)" if huge else name
    ax.set(xlabel="epochs", ylabel=ylabel, title=shown(title))
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), fontsize=8, framealpha=0.9)
    return ax


def _draw_curve(ax: Any, trial: TrialResult, name: str, counts: Mapping[str, int]) -> None:
    values = [_drawn(value) for value in trial.values]
    if not values:
        return
    strong = name in ("best", "failed", "trained to the end")
    ax.plot(
        range(1, len(values) + 1),
        values,
        color=FATES[name],
        linewidth=2.2 if name == "best" else 1.0,
        alpha=0.95 if strong else 0.55,
        marker="." if len(values) == 1 else None,
        markersize=3,
        label="best" if name == "best" else f"{name} ({counts[name]})",
        zorder=2 + list(FATES).index(name),
    )


def _drawn(value: float) -> float:
    """Return where a value is drawn: NaN for none, and within what Matplotlib can draw."""
    return min(max(value, -_LARGEST), _LARGEST) if math.isfinite(value) else math.nan


def _mark_decisions(ax: Any, results: Results) -> None:
    """Mark the points at which predictions decided: filled if stopped, hollow if kept."""
    curves = {trial.trial_id: trial.values for trial in results.trials}
    decisions = [event for event in results.events if event.kind == "decision"]
    groups = (
        ("decision: stopped", [(e.resource, t) for e in decisions for t in e.dropped], "#E69F00"),
        ("decision: kept", [(e.resource, t) for e in decisions for t in e.kept], "none"),
    )
    for label, points, face in groups:
        known = [(r, _drawn(curves[t][r - 1])) for r, t in points if 0 < r <= len(curves[t])]
        if known:
            ax.scatter(
                *zip(*known, strict=True),
                s=16,
                facecolors=face,
                edgecolors=_KEPT if face == "none" else "#7F5800",
                linewidths=0.8,
                label=f"{label} ({len(known)})",
                zorder=10,
            )


def _scale_values(ax: Any, values: Sequence[float], mode: str) -> None:
    """Limit the axis to the bulk of the values, so that a few very bad ones do not flatten it."""
    finite = sorted(_drawn(value) for value in values if math.isfinite(value))
    if not finite:
        return
    last = len(finite) - 1
    cut = int(0.98 * last)
    low, high = (finite[0], finite[cut]) if mode == "min" else (finite[last - cut], finite[-1])
    if low >= _SMALLEST and high / low > 10:
        ax.set_yscale("log")
        ax.set_ylim(low * 0.8, high * 1.3)
    elif high > low:
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _scale_epochs(ax: Any, results: Results) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    longest = max((len(trial.losses) for trial in results.trials), default=0)
    ends = {e.resource for e in results.events if e.kind == "rung" and e.resource <= longest}
    if longest > 1:
        ends = ends or {longest >> k for k in range(1, longest.bit_length() - 1)}
        ax.set_xscale("log")
        ticks = sorted(ends | {1, longest})
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([str(tick) for tick in ticks])
        ax.grid(axis="x", color="#dddddd", linewidth=0.6)


def plot_regret(runs: Mapping[str, Results], ax: Any = None, reference: float | None = None) -> Any:
    """Draw the regret of the best trial so far against the epochs spent.

    The best trial is that of `Results.best_trial`: of those trained to the end or, before there is
    one, of those trained furthest. Its regret is the difference between its last value and the
    reference, positive in both modes. Before a trial is complete, it may rise.

    Parameters
    ----------
    runs : Mapping of str to Results
        Runs by name, of one objective and mode.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: a new figure.
    reference : float, optional
        Value of regret zero; default: that of the best trial of all runs.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _new_axes() if ax is None else ax
    objective = next((run.objective for run in runs.values()), LOSS_MINIMISED)
    histories = {name: _losses(results) for name, results in runs.items()}
    ends = [run.incumbent.last_loss for run in runs.values() if run.incumbent is not None]
    best = min(map(_drawn, ends), default=0.0) if reference is None else objective.loss(reference)
    finite = [loss for points in histories.values() for _, loss in points]
    positive = [max(loss - best, _SMALLEST) for loss in finite if loss > best]
    floor = min(positive, default=1.0) / 3
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
    for number, (name, points) in enumerate(histories.items()):
        ax.step(
            [epochs for epochs, _ in points],
            [max(loss - best, floor) for _, loss in points],
            where="post",
            label=shown(f"{name}: {runs[name].epochs} epochs"),
            color=colours[number % len(colours)],
            linestyle=("-", "--", "-.", ":")[number % 4],
            linewidth=1.8,
        )
        if points:
            end = max(points[-1][1] - best, floor)
            colour = colours[number % len(colours)]
            ax.plot([points[-1][0]], [end], marker="o", markersize=5, color=colour)
    ax.set_yscale("log")
    ax.axhline(floor, color="#bbbbbb", linewidth=0.6, zorder=0)
    value, name = f"{objective.value(best):.4g}", shown(objective.title)
    difference = f"{name} - {value}" if objective.mode == "min" else f"{value} - {name}"
    ax.set(xlabel="epochs spent", ylabel=f"regret of the best trial so far ({difference})")
    ax.annotate(
        "zero",
        (1.0, floor),
        (3, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=8,
        color="#777777",
        va="center",
    )
    if runs:
        ax.legend(fontsize=8)
    return ax


def _losses(results: Results) -> list[tuple[int, float]]:
    """Return the epochs spent and the loss of the best trial so far, from the first finite one."""
    points = [(point.epochs, results.objective.loss(point.best)) for point in results.history()]
    return [(epochs, _drawn(loss)) for epochs, loss in points if math.isfinite(loss)]


def save_figures(runs: Mapping[str, Results], directory: Path) -> list[Path]:
    """Write a figure of the curves of each run, and one of the regret of all, as PNG files.

    Parameters
    ----------
    runs : Mapping of str to Results
        Runs by name; names become file names.
    directory : Path
        Directory of the files, created if it does not exist.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    OSError
        If the directory cannot be written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    figures = {f"{name}-curves": plot_curves(run, title=name) for name, run in runs.items()}
    figures["regret"] = plot_regret(runs)
    paths = []
    for name, ax in figures.items():
        paths.append(directory / f"{name}.png")
        with warnings.catch_warnings():  # a letter that the font lacks is drawn as a box
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            ax.figure.savefig(paths[-1], dpi=150)
    return paths


def _new_axes() -> Any:
    """Return axes on a new figure, without pyplot's global state."""
    figures = import_optional("matplotlib.figure", "hpo.report.plots", "plot")
    return figures.Figure(figsize=(7.5, 4.8), layout="constrained").subplots()
