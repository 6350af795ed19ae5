"""How the objective depends on the hyperparameters: importance, slices, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hpo.errors import UsageError
from hpo.report.axes import Axis, axes_of, resources_of
from hpo.report.importance import FOLDS, LEAST_TRIALS, Importance, importance
from hpo.report.plots.fates import FATES, fates
from hpo.report.plots.intermediate import spread
from hpo.report.plots.style import (
    QUIET,
    axes_or_new,
    bulk,
    drawn,
    legend_above,
    note,
    number,
    scale,
    ticks,
)
from hpo.run.results import Results
from hpo.run.trial_results import TrialResult
from hpo.text import label as shown


def plot_importance(results: Results, ax: Any = None, resource: int | None = None) -> Any:
    """Draw the importance of each hyperparameter for the objective after some epochs.

    Bars are the mean decrease of R2 when a hyperparameter is shuffled, error bars are one standard
    deviation over the refits (`hpo.report.importance`).

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    resource : int, default=None
        Epochs; default: the most that 20 trials reached.

    Returns
    -------
    matplotlib.axes.Axes
    """
    found = measured(results, resource)
    count = 1 if found is None else len(found.names)
    with axes_or_new(ax, (6.4, 1.6 + min(8.0, 0.42 * count))) as ax:
        if found is None:
            return note(ax, f"importances need {LEAST_TRIALS} trials\nthat were trained that far")
        rows = range(len(found.names))
        ax.barh(rows, found.mean, xerr=found.std, height=0.6, color="#4C9DC9", capsize=3,
                ecolor="black", error_kw={"linewidth": 1.2})  # fmt: skip
        ax.axvline(0, color="black", linewidth=0.8)
        for row, mean, std in zip(rows, found.mean, found.std, strict=True):
            ax.annotate(f"{mean:.2f} ± {std:.2f}", (max(mean + std, 0.0), row), (5, 0),
                        textcoords="offset points", va="center", fontsize="small")  # fmt: skip
        low = min(0.0, *(m - s for m, s in zip(found.mean, found.std, strict=True)))
        high = max(1e-9, *(m + s for m, s in zip(found.mean, found.std, strict=True)))
        ax.set_xlim(low - 0.03 * (high - low), high + 0.35 * (high - low))
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_yticks(rows, [shown(_cut(name, 24)) for name in found.names])
        ticks(ax.xaxis, (low, high), log=False)
        ax.set_xlabel(f"decrease of R2 by shuffling\nmean ± standard deviation over {FOLDS} refits")
        worth = "" if found.r2 >= 0.1 else "\nR2 below 0.1: the importances mean little"
        after = f"{found.resource} epoch" + ("s" if found.resource != 1 else "")
        ax.set_title(
            f"{shown(results.objective.title)} after {after}\n{found.n_trials} trials, "
            f"R2 of the forest {found.r2:.2f}{worth}",
            fontsize="medium",
        )
    return ax


def measured(results: Results, resource: int | None = None) -> Importance | None:
    """Return the importances of a run after some epochs; None if there are too few trials.

    Parameters
    ----------
    results : Results
    resource : int, optional
        Epochs; default: the most that 20 trials reached.
    """
    if resource is None:
        lengths = sorted((len(trial.losses) for trial in results.trials), reverse=True)
        if len(lengths) < LEAST_TRIALS or not lengths[LEAST_TRIALS - 1]:
            return None
        resource = lengths[LEAST_TRIALS - 1]
    return importance(results.trials, resource)


def plot_slice(
    results: Results, ax: Any = None, name: str | None = None, resource: int | None = None
) -> Any:
    """Draw one hyperparameter against the objective after some epochs; one point per trial.

    The axis is logarithmic where the domain is; categories are drawn as strips.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    name : str, default=None
        The hyperparameter; default: the first one that varies.
    resource : int, default=None
        Epochs; default: the most that enough trials reached.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        If the hyperparameter does not vary or is not known.
    """
    axes = {axis.name: axis for axis in axes_of(results)}
    if name is not None and name not in axes:
        raise UsageError(
            f"name of a slice must be a hyperparameter that varies, {', '.join(axes) or 'none'}; "
            f"got {name!r}"
        )
    resource = default_resource(results) if resource is None else resource
    with axes_or_new(ax, (5.4, 4.0)) as ax:
        trials = [] if not axes else _trained(results, resource)
        if not trials:
            return note(ax, "no trial with a hyperparameter that varies")
        axis = axes[next(iter(axes)) if name is None else name]
        trials = [trial for trial in trials if axis.name in trial.config]
        found = fates(results)
        for fate, colour in FATES.items():
            members = [trial for trial in trials if found[trial.trial_id] == fate]
            if members:
                ax.plot(
                    [_at(axis, trial) for trial in members],
                    [drawn(trial.values[resource - 1]) for trial in members],
                    marker="o",
                    linestyle="none",
                    color=colour,
                    markeredgecolor="white",
                    markeredgewidth=0.4,
                    markersize=9 if fate == "best" else 5,
                    alpha=0.9,
                    label=fate,
                )
        scale(ax, "y", bulk([t.values[resource - 1] for t in trials], results.objective.mode))
        if axis.levels is None:
            scale(ax, "x", (axis.low, axis.high), log=axis.log)
        else:
            ax.set_xlim(-0.5, len(axis.levels) - 0.5)
            names = [shown(_cut(level, 12)) for level in axis.levels]
            turned = len(axis.levels) > 4
            ax.set_xticks(range(len(names)), names, rotation=30 if turned else 0,
                          ha="right" if turned else "center")  # fmt: skip
        ax.grid(color="#dddddd", linewidth=0.6)
        after = f"{resource} epoch" + ("s" if resource != 1 else "")
        ax.set_xlabel(shown(_cut(axis.name, 24)))
        ax.set_ylabel(f"{shown(results.objective.title)} after {after}")
        legend_above(ax)
    return ax


def plot_parallel(results: Results, ax: Any = None, resource: int | None = None) -> Any:
    """Draw each trial as a line over its hyperparameters and its value after some epochs.

    Dark lines are the better fifths of the trials. A hyperparameter that is absent by its condition
    is drawn below its axis.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.
    resource : int, default=None
        Epochs; default: the most that enough trials reached.

    Returns
    -------
    matplotlib.axes.Axes
    """
    axes = axes_of(results)
    resource = default_resource(results) if resource is None else resource
    trials = _trained(results, resource)
    with axes_or_new(ax, (max(6.4, 1.15 * (len(axes) + 1)), 4.2)) as ax:
        if not axes or not trials:
            return note(ax, "no trial with a hyperparameter that varies")
        values = [trial.values[resource - 1] for trial in trials]
        low, high = bulk(values, results.objective.mode) or (0.0, 1.0)
        last = Axis(results.objective.title, low, high, low > 0 and high / low > 10)
        sign = 1.0 if results.objective.mode == "min" else -1.0
        order = sorted(trials, key=lambda trial: -sign * trial.values[resource - 1])
        for place, trial in enumerate(order):
            fifth = 5 * (len(order) - 1 - place) // len(order)
            heights = [*(_height(axis, trial) for axis in axes)]
            heights.append(_fraction(last, min(max(trial.values[resource - 1], low), high)))
            ax.plot(heights, color=_FIFTHS[fifth], linewidth=2.0 if fifth == 0 else 1.1,
                alpha=min(0.85, max(0.2, 80 / len(order))),
                    zorder=2 + place / len(order))  # fmt: skip
        for place, axis in enumerate([*axes, last]):
            _draw_axis(ax, place, axis, has_gaps=any(axis.name not in t.config for t in trials)
                       and place < len(axes))  # fmt: skip
        ax.set_xlim(-0.75, len(axes) + 0.25)
        ax.set_ylim(-0.2, 1.2)
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_visible(False)
        after = f"{resource} epoch" + ("s" if resource != 1 else "")
        ax.set_title(f"{len(trials)} trials after {after}; dark: best fifth", fontsize="medium")
    return ax


_FIFTHS = ("#08306B", "#2171B5", "#6BAED6", "#9ECAE1", "#C6DBEF")
"""Colours of the fifths of the trials, the best first; also apart in greyscale."""
_PAPER = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
_ABSENT = -0.1
"""Height at which a hyperparameter that is absent is drawn."""


def default_resource(results: Results) -> int:
    """Return the most units that enough trials reached to show how they depend on anything."""
    ends = resources_of(results, min(LEAST_TRIALS, max(2, len(results.trials) // 2)))
    return ends[-1] if ends else 1


def _trained(results: Results, resource: int) -> list[TrialResult]:
    return [
        trial
        for trial in results.trials
        if len(trial.values) >= resource and math.isfinite(trial.values[resource - 1])
    ]


def _at(axis: Axis, trial: TrialResult) -> float:
    place = axis.place(trial.config[axis.name])
    return place if axis.levels is None else place + 0.5 * spread(trial.trial_id)


def _height(axis: Axis, trial: TrialResult) -> float:
    if axis.name not in trial.config:
        return _ABSENT
    return _fraction(axis, axis.place(trial.config[axis.name]))


def _fraction(axis: Axis, value: float) -> float:
    """Return how high a value lies on an axis, from 0 to 1."""
    if axis.high <= axis.low:
        return 0.5
    if axis.log:
        return math.log(value / axis.low) / math.log(axis.high / axis.low)
    return (value - axis.low) / (axis.high - axis.low)


def _draw_axis(ax: Any, place: int, axis: Axis, *, has_gaps: bool) -> None:
    """Draw one vertical axis with a name and a few marks."""
    ax.plot([place, place], [0, 1], color="black", linewidth=0.9, zorder=4)
    name = shown(_cut(axis.name, 13))
    ax.text(place, 1.06, name + ("\n(log)" if axis.log else ""), ha="center", va="bottom",
            fontsize="small")  # fmt: skip
    for value, text in _marks(axis):
        ax.text(place - 0.04, _fraction(axis, value), shown(text), ha="right", va="center",
                fontsize="x-small", zorder=5,
                bbox=_PAPER)  # fmt: skip
    if has_gaps:
        ax.text(place, _ABSENT - 0.04, "absent", ha="center", va="top", fontsize="x-small",
                color=QUIET)  # fmt: skip


def _marks(axis: Axis) -> Sequence[tuple[float, str]]:
    """Return the values to mark on an axis, with their texts."""
    if axis.levels is not None:
        return [(float(place), _cut(level, 10)) for place, level in enumerate(axis.levels)]
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator: Any = MaxNLocator(4, steps=[1, 2, 5, 10])
    if axis.log and axis.high > 4 * axis.low:
        subs = (1.0, 2.0, 5.0) if axis.high < 100 * axis.low else (1.0,)
        locator = LogLocator(subs=subs, numticks=4)
    found = [float(tick) for tick in locator.tick_values(axis.low, axis.high)]
    inside = [tick for tick in found if axis.low <= tick <= axis.high]
    return [(tick, number(tick)) for tick in inside or (axis.low, axis.high)]


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
