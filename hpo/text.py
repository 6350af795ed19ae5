r"""Safe text for terminals, HTML, CSV and figures: any text is shown unchanged.

Names and values of hyperparameters, messages of errors, and paths are text of others: a bracket in
them is no markup of Rich, a tag no HTML, a leading ``=`` no formula, a dollar sign no mathematics,
and control characters are written out (`visible`). Every place that shows such text calls one of
these functions:

>>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-0.5)
("'=1+1", '-0.5', -0.5)
>>> html_text("<b> & \x1b")
'&lt;b&gt; &amp; \\x1b'
>>> print(shell_word("runs/caf\udce9.jsonl"))
$'runs/caf\xe9.jsonl'
"""

from __future__ import annotations

import html
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qsvr._text import label, say, visible, write

if TYPE_CHECKING:
    from rich.text import Text

__all__ = [
    "cell",
    "csv_cell",
    "csv_row",
    "html_text",
    "label",
    "plain",
    "say",
    "shell_word",
    "visible",
    "write",
]

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula in a spreadsheet, in its wide form as well."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-](inf|nan)", re.ASCII | re.IGNORECASE)


def cell(text: object) -> Text:
    """Return text for Rich, which finds no markup, emoji code or control character in it.

    Parameters
    ----------
    text : object
    """
    from rich.text import Text

    return Text(visible(text))


def html_text(text: object) -> str:
    """Return text for an HTML page, outside of scripts and styles.

    Parameters
    ----------
    text : object
    """
    return html.escape(visible(text))


def plain(value: Any) -> Any:
    """Return JSON values with all text in them, keys included, visible.

    Parameters
    ----------
    value : Any
        Mappings, lists and scalars.
    """
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def csv_cell(value: Any) -> Any:
    """Return a value for a cell of a CSV file.

    Numbers, and texts that are numbers, stay as they are. Other texts are made visible, and one
    that a spreadsheet would take for a formula gets an apostrophe in front.

    Parameters
    ----------
    value : Any
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    text = visible(value)
    is_formula = text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def csv_row(values: Iterable[Any]) -> list[Any]:
    """Return the cells of a row.

    Parameters
    ----------
    values : iterable
    """
    return [csv_cell(value) for value in values]


def shell_word(path: object) -> str:
    """Return a path as a word of a shell's command line, to be pasted into Bash or Zsh.

    Parameters
    ----------
    path : str or path
        With any bytes: those that cannot be shown are written as escapes in ``$'...'``.
    """
    text = str(path)
    if visible(text) == text:
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    raw = "".join(c if visible(c) == c else _bytes_of(c) for c in escaped)
    return f"$'{raw}'"


def _bytes_of(character: str) -> str:
    try:
        raw = os.fsencode(character)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return visible(character)
    return "".join(f"\\x{byte:02x}" for byte in raw)
