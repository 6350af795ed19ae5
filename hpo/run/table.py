"""Table of the trials of a run, made for the width of a terminal.

A number is never wrapped or cut. Where the columns do not fit, reasons and texts are shortened
first. Then all hyperparameters share one column, and the last metrics are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.cells import cell_len, set_cell_size
from rich.table import Table

from hpo.text import cell, visible

_FRAME = 3
"""Characters of a column beside its text."""
_TEXT = 16
"""Least width to which a text is shortened."""
_FIXED = 4
"""Number of columns that are always shown: trial, status, epochs and objective."""
_CONFIG = 24
"""Least width of the column that all hyperparameters share."""

_SHORTER = (
    (r"unlikely to be the best when the epochs were spent", "outranked"),
    (r"expected to improve the best \w+ by less than .*", "no gain expected"),
    (r"not among the best (\d+) after (\d+) units?", r"below the top \1"),
    (r"not among the best after (\d+) units?", "below the cut"),
    (r"prediction after (\d+) units? misses the cut", "by prediction"),
)


def short_reason(reason: str) -> str:
    """Return why a trial ended in a few words: its first line, or a shorter form.

    The column of epochs shows when it ended.

    Parameters
    ----------
    reason : str
        As the scheduler or the trainer gives it.

    Examples
    --------
    >>> short_reason("not among the best 3 after 9 units")
    'below the top 3'
    """
    line = reason.strip().partition("\n")[0]
    for pattern, words in _SHORTER:
        if match := re.fullmatch(pattern, line):
            return match.expand(words)
    return line


def short(value: object) -> str:
    """Return a value as text; a float with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` columns of a terminal, cut with three dots.

    >>> shortened("a long text", 8)
    'a lon...'
    """
    text = visible(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 3)).rstrip() + "..." if width > 3 else text[:width]


def config_text(config: Mapping[str, Any], width: int | None = None) -> str:
    """Return a configuration as text, with as many hyperparameters as fit.

    Parameters
    ----------
    config : Mapping
    width : int or None
        Columns of the terminal; None for no limit.

    Examples
    --------
    >>> config_text({"lr": 0.1, "units": 64, "dropout": 0.5}, 24)
    'lr=0.1, units=64, +1'
    """
    parts = [f"{visible(name)}={visible(short(value))}" for name, value in config.items()]
    text = ", ".join(parts)
    if width is None or cell_len(text) <= width:
        return text
    for kept in range(len(parts) - 1, 0, -1):
        text = ", ".join((*parts[:kept], f"+{len(parts) - kept}"))
        if cell_len(text) <= width:
            return text
    more = f", +{len(parts) - 1}" if len(parts) > 1 else ""
    return shortened(parts[0], width - len(more)) + more


@dataclass
class _Column:
    name: str
    texts: list[str]
    is_text: bool = False  # which may be shortened
    is_number: bool = False  # and stands at the right

    @property
    def width(self) -> int:
        return max(cell_len(visible(text)) for text in (self.name, *self.texts))

    @property
    def narrowest(self) -> int:
        """Width to which it can be shortened."""
        return min(self.width, max(_TEXT, len(self.name))) if self.is_text else self.width

    def shorten(self, width: int) -> None:
        """Cut its texts to a width."""
        self.texts = [shortened(text, width) for text in self.texts]


def trial_table(
    records: Sequence[Mapping[str, Any]],
    objective: str,
    metrics: Sequence[str],
    title: str,
    width: int | None = None,
) -> Table:
    """Return a table of trials.

    Parameters
    ----------
    records : sequence of Mapping
        From `hpo.Results.records`, those to show.
    objective : str
        Name of the objective.
    metrics : sequence of str
        Further metrics to show.
    title : str
        Title of the table.
    width : int or None
        Width of the terminal; None for a table with everything, as wide as it gets.

    Returns
    -------
    rich.table.Table
        Columns that are empty for all trials are left out.
    """
    left, right = _columns(records, objective, metrics, is_short=width is not None)
    params = _parameters(records)
    columns, caption = [*left, *params, *right], ""
    if width is not None and _width(columns) > width:
        columns, caption = _fitted(records, left, params, right, width)
    return _drawn(columns, title, caption, records)


def _width(columns: Iterable[_Column]) -> int:
    return 1 + sum(column.width + _FRAME for column in columns)


def _fitted(
    records: Sequence[Mapping[str, Any]],
    left: list[_Column],
    params: list[_Column],
    right: list[_Column],
    width: int,
) -> tuple[list[_Column], str]:
    """Return columns that fit, and the caption that says what they lack."""
    columns = [*left, *params, *right]
    _shorten([*params, *right], _width(columns) - width)
    if _width(columns) <= width:
        return columns, "Texts are shortened: hpo report --wide shows them, --csv FILE writes them."
    fixed, metrics = left[:_FIXED], left[_FIXED:]
    configs = [
        {name.partition("_")[2]: record[name] for name in record if name.startswith("config_")}
        for record in records
    ]
    for shown, reasons in (
        *((metrics[:number], right) for number in range(len(metrics), -1, -1)),
        ([], []),
    ):
        rest = [*fixed, *shown, *reasons]
        if not reasons and _width([*rest, *params]) <= width:
            columns = [*fixed, *params]
            break
        room = width - _width(rest) - _FRAME
        config = _Column("hyperparameters", [config_text(each, max(room, 8)) for each in configs])
        columns = [*fixed, *shown, config, *reasons]
        if _width(columns) <= width and room >= min(_CONFIG, config.width):
            break
    if _width(columns) > width:
        columns = fixed
    kept = {column.name for column in columns}
    hidden = [column.name for column in (*metrics, *right) if column.name not in kept]
    named = f" without {', '.join(hidden)}" if hidden else ""
    remedy = "hpo report --wide shows all columns, --csv FILE writes them."
    return columns, f"Shortened{named}: {remedy}"


def _columns(
    records: Sequence[Mapping[str, Any]], objective: str, metrics: Sequence[str], *, is_short: bool
) -> tuple[list[_Column], list[_Column]]:
    """Return the columns before and after the hyperparameters, without those that are empty."""
    kept: dict[str, list[str]] = {
        "trial": [str(record["trial_id"]) for record in records],
        "status": [str(record["status"]) for record in records],
        "epochs": [str(record["epochs"]) for record in records],
        f"last {objective}": [short(record[f"last_{objective}"]) for record in records],
    }
    if any(record["retries"] for record in records):
        kept["retries"] = [str(record["retries"]) for record in records]
    for name in metrics:
        kept[name] = [short(record.get(f"metric_{name}", "")) for record in records]
    left = [
        _Column(name, texts, is_number=name != "status")
        for place, (name, texts) in enumerate(kept.items())
        if place < _FIXED or any(texts)
    ]
    reasons = [record["reason"] for record in records]
    reasons = [short_reason(reason) for reason in reasons] if is_short else reasons
    return left, [_Column("reason", reasons, is_text=True)] if any(reasons) else []


def _parameters(records: Sequence[Mapping[str, Any]]) -> list[_Column]:
    named = dict.fromkeys(name for record in records for name in record)
    columns = []
    for name in named:
        if not name.startswith("config_"):
            continue
        values = [record.get(name, "") for record in records]
        is_text = any(isinstance(value, str) and value for value in values)
        columns.append(_Column(name.partition("_")[2], list(map(short, values)), is_text=is_text))
    return [column for column in columns if any(column.texts)]


def _shorten(columns: Sequence[_Column], excess: int) -> None:
    """Shorten the widest texts first, until there is no excess or nothing is left to shorten."""
    widths = [column.width for column in columns]
    for _ in range(excess):
        longer = [n for n, column in enumerate(columns) if widths[n] > column.narrowest]
        if not longer:
            break
        widths[max(longer, key=lambda n: widths[n])] -= 1
    for column, width in zip(columns, widths, strict=True):
        if width < column.width:
            column.shorten(width)


def _drawn(
    columns: Sequence[_Column], title: str, caption: str, records: Sequence[Mapping[str, Any]]
) -> Table:
    table = Table(title=title, caption=caption or None, caption_justify="left")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        table.add_column(cell(column.name), justify=justify, no_wrap=True)
    for place, record in enumerate(records):
        cells = [cell(column.texts[place]) for column in columns]
        table.add_row(*cells, style="red" if record["trouble"] else None)
    return table
