"""Copies the notebooks beside the documentation's sources, so that they become pages of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def copy_notebooks(app: Any, _: object = None) -> None:
    """Copy ``notebooks/*.ipynb`` to ``docs/notebooks``, where they are newer or missing."""
    source = Path(app.srcdir).parent / "notebooks"
    target = Path(app.srcdir) / "notebooks"
    target.mkdir(exist_ok=True)
    wanted = {path.name for path in source.glob("*.ipynb")}
    for path in target.glob("*.ipynb"):
        if path.name not in wanted:
            path.unlink()
    for name in wanted:
        old, new = target / name, (source / name).read_bytes()
        if not old.exists() or old.read_bytes() != new:
            shutil.copyfile(source / name, old)


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("config-inited", copy_notebooks)
    return {"parallel_read_safe": True}
