"""Repairs the links from the source code's pages back to the reference.

Sphinx takes all objects of a file to be documented under one module's name; ours are documented
where a package offers them.
"""

from __future__ import annotations

import re
from typing import Any

_BACK = re.compile(r'(class="viewcode-back" href="[^"#]*/objects/)([\w.]+)\.html#([\w.]+)"')


def mend(_app: Any, pagename: str, _template: str, context: Any, _doctree: Any) -> None:
    """Name the anchors after the page, which has the object's path for its name."""
    if pagename.startswith("_modules/"):
        context["body"] = _BACK.sub(_mended, context["body"])


def _mended(found: re.Match[str]) -> str:
    head, path, anchor = found.groups()
    name = path.rpartition(".")[2]
    *_, before, last = anchor.split(".")
    member = f".{last}" if last != name and before == name else ""
    return f'{head}{path}.html#{path}{member}"'


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
