"""Copies the notebooks beside the documentation's sources, so that they become pages of it.

Beside them go thumbnails for the gallery: one whole figure of each notebook's committed output.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

SHAPE = 3 / 2
"""Width of a thumbnail by its height, as in the style sheet."""


def copy_notebooks(app: Any, _: object = None) -> None:
    """Copy ``notebooks/*.ipynb`` to ``docs/notebooks``, and write the thumbnails."""
    source = Path(app.srcdir).parent / "notebooks"
    target = Path(app.srcdir) / "notebooks"
    (target / "thumbnails").mkdir(parents=True, exist_ok=True)
    wanted = {}
    for path in source.glob("*.ipynb"):
        content = path.read_bytes()
        # A link to a page, as it is beside the sources, and from a page beside that one.
        wanted[target / path.name] = content.replace(b"](../docs/", b"](../")
        wanted[target / "thumbnails" / f"{path.stem}.png"] = thumbnail(content)
    for path in [*target.glob("*.ipynb"), *target.glob("thumbnails/*")]:
        if path not in wanted:
            path.unlink()
    for path, content in wanted.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def thumbnail(notebook: bytes) -> bytes:
    """Return the figure in the output of a notebook whose shape is closest to a thumbnail's.

    Raises
    ------
    ValueError
        If its output has no figure.
    """
    figures = [
        base64.b64decode(output["data"]["image/png"])
        for cell in json.loads(notebook)["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    if not figures:
        raise ValueError("a notebook of the gallery has no figure in its committed output")
    return min(figures, key=_distance_from_shape)


def _distance_from_shape(png: bytes) -> float:
    width, height = struct.unpack(">II", png[16:24])  # of the header
    return abs(math.log(width / height / SHAPE))


def name_folds(_app: Any, pagename: str, _template: str, context: Any, _doctree: Any) -> None:
    """Let the words on a folded cell be its name, instead of another one that is not shown."""
    if pagename.startswith("notebooks/"):
        context["body"] = re.sub('<summary aria-label="[^"]*"', "<summary", context["body"])


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("config-inited", copy_notebooks)
    app.connect("html-page-context", name_folds)
    return {"parallel_read_safe": True}
