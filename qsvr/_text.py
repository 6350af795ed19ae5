r"""Display of text from users, trainers and services, by one rule.

Text of others may hold escape sequences that recolour or rewrite a terminal, marks that reverse the
order in which letters are shown, and bytes that are no valid Unicode. `visible` writes them out:

>>> print(visible("loss \x1b[31m!\nnan"))
loss \x1b[31m!\nnan

Everything that this distribution prints goes through `say`; `hpo.text` builds cells of tables, HTML
and CSV on the same rule.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import TextIO

__all__ = ["install_hint", "label", "say", "visible", "write"]

ON_AN_INDEX = False
"""Whether ``pip install "qsvr[...]"`` finds this distribution; until then it takes a clone."""

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode that are written out: controls, formats, surrogates, line separators."""
_JOINERS = "\u200c\u200d"
"""Formats that stay: Persian, Indic scripts and emoji are not written without them."""
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BYTES = range(0xDC80, 0xDD00)
"""Bytes that are no valid Unicode, as ``surrogateescape`` keeps them."""


def visible(text: object, *, lines: bool = False) -> str:
    r"""Return text in which nothing is hidden: control characters are written as escapes.

    Written out are the C0 and C1 controls (so every ANSI escape), marks of direction, invisible
    formats, line separators, and surrogates; a byte that is no valid Unicode (a latin-1 path) is
    written as ``\xe9``. The result can be encoded, and is unchanged by a second call.

    Parameters
    ----------
    text : object
        A string, or anything with a ``str``.
    lines : bool, default=False
        Whether line feeds stay, for a text of several lines.

    Examples
    --------
    >>> print(visible("caf\udce9 \u202egnp.exe"))
    caf\xe9 \u202egnp.exe
    """
    string = str(text)
    if string.isprintable():
        return string
    return "".join(c if c.isprintable() or (lines and c == "\n") else _written(c) for c in string)


def _written(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def label(text: object) -> str:
    r"""Return text for a figure: visible, and no mathematics for Matplotlib between dollar signs.

    Parameters
    ----------
    text : object

    Examples
    --------
    >>> print(label("$x_1$"))
    \$x_1\$
    """
    return visible(text).replace("$", r"\$")


def install_hint(extra: str) -> str:
    """Return the command that installs an extra of this distribution, for an error message.

    Parameters
    ----------
    extra : str
        Name of the extra in ``pyproject.toml``.

    Examples
    --------
    >>> print(install_hint("dask"))
    pip install ".[dask]" (in a clone of the repository)
    """
    if ON_AN_INDEX:
        return f'pip install "qsvr[{extra}]"'  # prose: quoted
    return f'pip install ".[{extra}]" (in a clone of the repository)'


def say(text: object, *, err: bool = False, lines: bool = False) -> None:
    """Print text without hidden characters (see `visible`) in any encoding of the output.

    Parameters
    ----------
    text : object
    err : bool, default=False
        Whether to print to standard error.
    lines : bool, default=False
        Whether line feeds stay.

    Raises
    ------
    OSError
        If the output cannot be written: a closed pipe, a full disk.
    """
    write(visible(text, lines=lines) + "\n", sys.stderr if err else sys.stdout)


def write(text: str, stream: TextIO | None) -> None:
    """Write text to a stream, with escapes for characters that its encoding does not have.

    Parameters
    ----------
    text : str
        Text without hidden characters, or with those of a renderer.
    stream : file or None
        None, as `sys.stdout` is in a process without one, drops the text.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
