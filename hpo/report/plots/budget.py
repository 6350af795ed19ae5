"""Epochs by bracket and fate."""

from __future__ import annotations

from typing import Any

from hpo.report.plots.fates import FATES, KEPT, fates
from hpo.report.plots.style import axes_or_new, legend_above, note, ticks
from hpo.run.results import Results


def plot_budget(results: Results, ax: Any = None) -> Any:
    """Draw the epochs of each bracket, by the fates of the trials that they were spent on.

    Parameters
    ----------
    results : Results
        Results to draw. Where they have a baseline, what decisions saved is outlined.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    found = fates(results)
    brackets = sorted({trial.bracket for trial in results.trials})
    with axes_or_new(ax, (6.4, 1.9 + min(6.0, 0.4 * len(brackets)))) as ax:
        if not brackets:
            return note(ax, "no trial has started yet")
        sums = dict.fromkeys(brackets, 0)
        for name, colour in FATES.items():
            lengths = dict.fromkeys(brackets, 0)
            for trial in results.trials:
                if found[trial.trial_id] == name:
                    lengths[trial.bracket] += len(trial.losses)
            if any(lengths.values()):
                ax.barh(range(len(brackets)), list(lengths.values()), left=list(sums.values()),
                        height=0.7, color=colour, edgecolor="white", label=name)  # fmt: skip
            sums = {bracket: sums[bracket] + lengths[bracket] for bracket in brackets}
        saved = _saved(results, brackets)
        rows = [row for row, less in enumerate(saved) if less]
        if rows:
            ax.barh(
                rows,
                [saved[row] for row in rows],
                left=[sums[brackets[row]] for row in rows],
                height=0.7,
                color="none",
                edgecolor=KEPT,
                linestyle="--",
                linewidth=1.4,
                label="saved by decisions",
            )
        for row, (spent, less) in enumerate(zip(sums.values(), saved, strict=True)):
            text = f" {spent} (−{less})" if less else f" {spent}"
            ax.text(spent + less, row, text, va="center", fontsize="small")
        most = max(1, *(a + b for a, b in zip(sums.values(), saved, strict=True)))
        ax.set_xlim(0, 1.22 * most)
        ax.set_ylim(len(brackets) - 0.4, -0.6)
        ax.set_yticks(range(len(brackets)), [f"bracket {bracket}" for bracket in brackets])
        ticks(ax.xaxis, (0, most), log=False)
        ax.set_xlabel("epochs")
        legend_above(ax)
    return ax


def _saved(results: Results, brackets: list[int]) -> list[int]:
    """Return what decisions saved in each bracket, 0 where that is not known."""
    if results.baseline is None or not results.baseline.rounds:
        return [0] * len(brackets)
    members = ([t for t in results.trials if t.bracket == bracket] for bracket in brackets)
    return [max(0, results.baseline.saved(trials)) for trials in members]
