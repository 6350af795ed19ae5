"""What all figures share: new axes, scales with few round ticks, labels at the ends of lines."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from hpo.errors import import_optional
from hpo.text import label as shown

LARGEST = 1e100
"""Values are drawn up to this size: Matplotlib cannot draw an axis of all floats."""
SMALLEST = 1e-100
"""Least positive value on a logarithmic axis."""
QUIET = "#666666"
"""Colour of notes."""
STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "legend.frameon": False,
}
"""Settings of new figures, and of the pictures of the documentation; readable on a phone."""


@contextlib.contextmanager
def axes_or_new(ax: Any, size: tuple[float, float] = (6.4, 4.4)) -> Iterator[Any]:
    """Yield `ax`, or axes on a new figure in the style of this package, without pyplot's state.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        None makes a new figure.
    size : (float, float)
        Its size in inches.
    """
    figures = import_optional("matplotlib.figure", "hpo.report.plots", "plot")
    if ax is not None:
        yield ax
        return
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield figures.Figure(figsize=size, layout="constrained").subplots()


def drawn(value: float) -> float:
    """Return where a value is drawn: NaN for none, and within what Matplotlib can draw."""
    return min(max(value, -LARGEST), LARGEST) if math.isfinite(value) else math.nan


def bulk(values: Sequence[float], mode: str) -> tuple[float, float] | None:
    """Return the range of the bulk of the values, without a few very bad ones; None for none.

    Parameters
    ----------
    values : sequence of float
        NaN and infinite ones do not count.
    mode : str
        ``"min"`` cuts at the top, ``"max"`` at the bottom, ``"both"`` at both ends.
    """
    finite = sorted(drawn(value) for value in values if math.isfinite(value))
    if not finite:
        return None
    last = len(finite) - 1
    low = finite[0] if mode == "min" else finite[math.ceil(0.02 * last)]
    high = finite[-1] if mode == "max" else finite[int(0.98 * last)]
    return low, high


def scale(ax: Any, which: str, limits: tuple[float, float] | None, log: bool | None = None) -> bool:
    """Set limits, scale and ticks of an axis; return whether it is logarithmic.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    which : str
        ``"x"`` or ``"y"``.
    limits : (float, float) or None
        Range of the values to show; None leaves the limits to Matplotlib.
    log : bool, optional
        Default: if the values are positive and span more than a decade.
    """
    low, high = limits or (0.0, 0.0)
    if log is None:
        log = low >= SMALLEST and high / low > 10
    set_limits = getattr(ax, f"set_{which}lim")
    if log:
        getattr(ax, f"set_{which}scale")("log")
        if high > low:
            space = (high / low) ** 0.05
            set_limits(low / space, high * space)
    elif high > low:
        set_limits(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ticks(getattr(ax, f"{which}axis"), (low, high), log=log)
    return log


def ticks(axis: Any, limits: tuple[float, float], *, log: bool) -> None:
    """Put few ticks at round numbers, written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = limits
    if log:
        decades = math.log10(high / low) if high > low > 0 else 1.0
        subs = (1.0, 2.0, 5.0) if decades < 2 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=4 if axis.axis_name == "x" else 7))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    else:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def number(value: float) -> str:
    """Return the number of a tick in few letters.

    >>> number(0.001), number(20000.0), number(1e-4), number(0.30000000000000004)
    ('0.001', '20000', '1e-4', '0.3')
    """
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:.6g}"


def epochs(ax: Any, ends: Sequence[int], longest: int) -> None:
    """Make the x axis a logarithmic axis of epochs with ticks at the ends of rungs."""
    from matplotlib.ticker import FixedLocator, NullLocator

    if longest <= 1:
        ax.set_xticks([1])
        return
    known = {end for end in ends if 1 < end < longest}
    known = known or {longest >> k for k in range(1, longest.bit_length() - 1)}
    placed = [longest]
    for tick in sorted({1, *known}, reverse=True):  # apart, so that no two numbers touch
        if math.log(placed[-1] / tick) > 0.06 * math.log(longest):
            placed.append(tick)
    placed.reverse()
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(placed))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(tick) for tick in placed])
    ax.grid(axis="x", color="#dddddd", linewidth=0.6)


def name_ends(ax: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write names at the right of the axes, with a thin line to the end of each line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its limits and scales are set.
    ends : sequence of (float, float, str, str)
        Where each line ends, its name (escaped) and its colour.
    """
    lines = max((name.count("\n") + 1 for *_, name, _ in ends), default=1)
    height = 0.75 * ax.figure.get_figheight() * ax.get_position().height / 0.77
    step = 1.2 * lines * _points(ax) / 72 / (height or 1.0)
    known = []
    for x, y, name, colour in ends:
        at = ax.transLimits.transform(ax.transScale.transform((x, y)))[1]
        known.append((min(max(float(at), 0.0), 1.0), (x, y), name, colour))
    known.sort(key=lambda each: each[0])
    places = [end for end, *_ in known]
    for place in range(1, len(places)):  # upwards, then back down where the top is reached
        places[place] = max(places[place], places[place - 1] + step)
    top = 1.0
    for place in reversed(range(len(places))):
        places[place] = top = min(places[place], top)
        top -= step
    for at, (_, end, name, colour) in zip(places, known, strict=True):
        ax.annotate(
            name,
            end,
            (1.03, at),
            xycoords="data",
            textcoords="axes fraction",
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": "#bbbbbb",
                "linewidth": 0.7,
                "relpos": (0, 0.5),
            },
        )


def _points(ax: Any) -> float:
    return float(ax.xaxis.label.get_size())


def note(ax: Any, text: str) -> Any:
    """Write why there is nothing to draw, and return the axes."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=ax.transAxes)
    return ax


def legend_above(ax: Any, title: str = "", columns: int = 2) -> None:
    """Put the legend above the axes, where it hides nothing, and the title above it."""
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    rows = math.ceil(len(unique) / columns)
    if unique:
        legend = ax.legend(
            unique.values(),
            unique.keys(),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            ncols=columns,
            fontsize="small",
            handlelength=2.2,
            columnspacing=1.2,
            labelspacing=0.3,
            frameon=False,
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)
    if title:
        ax.set_title(shown(title), pad=6 + rows * 1.3 * _points(ax))
