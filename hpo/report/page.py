"""One HTML file from plain values.

No user text becomes markup: the values are embedded as JSON, in which ``<``, ``>`` and ``&`` are
escaped, and the script inserts them into the page as text only. Control characters and marks of
direction in them are shown as escapes (`hpo.text`). A content security policy allows
only the embedded script to run, and nothing to be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hpo.errors import UsageError
from hpo.files import write_atomically
from hpo.report.content import content
from hpo.report.runs import Run
from hpo.text import html_text, plain

_SCRIPTS = (
    "base.js",
    "chart.js",
    "curves.js",
    "best.js",
    "intermediate.js",
    "brackets.js",
    "predictor.js",
    "hyperparameters.js",
    "timeline.js",
    "trials.js",
    "main.js",
)
_LIVE = "live.js"


def render(run: Run) -> str:
    """Return the page of a run.

    Parameters
    ----------
    run : Run
        From `hpo.report.read_run`.

    Returns
    -------
    str
        HTML without external resources.
    """
    return rendered(content(run))


def rendered(content: Mapping[str, Any]) -> str:
    """Return the page of a content.

    Parameters
    ----------
    content : Mapping
        From `hpo.report.content.content`. With a value ``"live"``, which is that of
        `hpo.report.live.live_status`, the page shows it, and loads itself again as long as the run
        goes on.

    Returns
    -------
    str
        HTML without external resources.
    """
    values = plain(content)
    best, objective = _best_table(values["trials"]), html_text(values["objective"])
    scripts = (*_SCRIPTS, _LIVE) if "live" in content else _SCRIPTS
    return filled("page.html", scripts, values, best=best, objective=objective)


def live_page(title: str) -> str:
    """Return the page of a run that asks its server for the content, again and again.

    Parameters
    ----------
    title : str
        Name of the run.
    """
    values = {"title": title, "lines": ()}
    return filled("page.html", (*_SCRIPTS, _LIVE), values, is_live=True, best="", objective="")


def filled(
    template: str,
    scripts: Iterable[str],
    values: Mapping[str, Any],
    *,
    is_live: bool = False,
    **parts: str,
) -> str:
    """Return a page with its scripts, style and values embedded.

    Parameters
    ----------
    template : str
        Name of the page's asset.
    scripts : iterable of str
        Names of the scripts' assets, in order.
    values : Mapping
        Plain values (`hpo.text.plain`), with ``title`` and ``lines``.
    is_live : bool
        Whether the page asks the server that it came from for its content, which is not embedded.
    **parts
        Further parts of the template, as HTML.
    """
    data = json.dumps(None if is_live else values, separators=(",", ":"), allow_nan=False)
    for character in "&<>":  # so that the JSON is safe within a script element
        data = data.replace(character, f"\\u{ord(character):04x}")
    script = '"use strict";\n' + "\n".join(_asset(name) for name in scripts)
    style = _asset("style.css")
    policy = f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}"
    return string.Template(_asset(template)).substitute(
        policy=policy + ("; connect-src 'self'" if is_live else ""),
        title=html_text(values["title"]),
        lines="\n".join(f"<li>{html_text(line)}</li>" for line in values["lines"]),
        style=style,
        data=data,
        script=script,
        **parts,
    )


def write_report(run: Run, path: Path, *, overwrite: bool = False) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    run : Run
        From `hpo.report.read_run`.
    path : Path
        The file.
    overwrite : bool, default=False
        Whether to replace an existing file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        If the file exists and may not be replaced, or cannot be written.

    See Also
    --------
    hpo.report.read_run : Reads the run of a journal.
    hpo.report.Comparison : Several runs side by side.
    """
    return write_page(render(run), path, overwrite=overwrite)


def write_page(page: str, path: Path, *, overwrite: bool = False) -> Path:
    """Write a page, whole or not at all.

    Parameters
    ----------
    page : str
        HTML.
    path, overwrite
        As in `write_report`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        As in `write_report`.
    """
    path = Path(path)
    if not path.name or path.is_dir():
        raise UsageError(f"the page must be a file, got the directory {path}; name a file in it")
    try:
        write_atomically(path, page.encode(), overwrite=overwrite)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; name a new file in a writable place"
            + (" or replace it with --overwrite (overwrite=True)" if path.exists() else "")
        ) from None
    return path


def _asset(name: str) -> str:
    return (resources.files("hpo.report") / "assets" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """Return the hash that identifies an inline script or style in a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _best_table(trials: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows of the ten best trials, for a browser without JavaScript."""
    known = [t for t in trials if t["values"] and t["values"][-1] is not None]
    rows = [
        f"<tr><td>{t['id']}</td><td>{t['values'][-1]:.5g}</td><td>{len(t['values'])}</td>"
        f"<td>{html_text(', '.join(f'{k}={v}' for k, v in t['config'].items()))}</td></tr>"
        for t in sorted(known, key=lambda t: t["rank"])[:10]
    ]
    return "\n".join(rows)
