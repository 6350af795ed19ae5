"""Which worker trained which segment, from when to when."""

from __future__ import annotations

from typing import Any

from hpo.report.plots.fates import FATES, PREDICTED, fates
from hpo.report.plots.style import axes_or_new, note, ticks
from hpo.run.results import Results
from hpo.run.timeline import Span, lanes_of, without_pauses
from hpo.text import label as shown

_HATCHES = {"retry": "////", "failed": "////"}


def plot_timeline(results: Results, ax: Any = None) -> Any:
    """Draw the segments that each worker trained, coloured by the fates of the trials.

    Gaps are waiting. A last row has the predictions. Pauses between sessions of a resumed run are
    left out. Where the journal does not say which worker trained a segment, the segments are put
    into as few rows as possible, and the axis says so.

    Parameters
    ----------
    results : Results
        Results to draw.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on; default: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    spans = without_pauses(results.spans)
    names, rows, recorded = lanes_of(spans)
    found = fates(results)
    with axes_or_new(ax, (6.4, 1.8 + min(8.0, 0.32 * len(names)))) as ax:
        if not spans:
            return note(ax, "no timeline was recorded")
        kinds: dict[str, list[tuple[int, Span]]] = {}
        for row, span in zip(rows, spans, strict=True):
            kinds.setdefault(_kind(span, found), []).append((row, span))
        end = max(span.end for span in spans)
        unit, seconds = _unit(end)
        for kind in [*FATES, "prediction", "failed attempt"]:
            members = kinds.get(kind, [])
            if members:
                width = 200 if kind == "prediction" else 2000  # at least this part of the axis
                ax.barh(
                    [row for row, _ in members],
                    [max(span.end - span.start, end / width) / seconds for _, span in members],
                    left=[span.start / seconds for _, span in members],
                    height=0.8,
                    color=FATES.get(kind, PREDICTED if kind == "prediction" else FATES["failed"]),
                    hatch="////" if kind == "failed attempt" else None,
                    edgecolor="white",
                    linewidth=0.4 if len(spans) < 400 and kind != "prediction" else 0.0,
                    label=kind,
                )
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_xlim(0, end / seconds)
        ax.set_yticks(range(len(names)), [shown(name) for name in names])
        if len(names) > 30:
            ax.set_yticks(range(0, len(names), 10), [shown(name) for name in names[::10]])
        ticks(ax.xaxis, (0, end / seconds), log=False)
        ax.set_xlabel(f"{unit} since the start" + ("" if recorded else "; rows are no workers"))
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize="small",
                  frameon=False, labelspacing=0.3, handlelength=1.2)  # fmt: skip
    return ax


def _kind(span: Span, found: dict[int, str]) -> str:
    if span.trial_id is None:
        return "prediction"
    return "failed attempt" if span.kind in _HATCHES else found.get(span.trial_id, "not finished")


def _unit(seconds: float) -> tuple[str, float]:
    """Return the unit of a duration and its length in seconds."""
    return next(
        (each for each in (("hours", 3600.0), ("minutes", 60.0)) if seconds > 3 * each[1]),
        ("seconds", 1.0),
    )
