"""Writes the inventories of other projects' names from the table ``docs/_inventories/names.toml``.

``python docs/_ext/inventories.py`` after each change of the table; a test compares the two.
"""

from __future__ import annotations

import sys
import tomllib
import zlib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "_inventories"


def table() -> dict[str, dict[str, Any]]:
    """Return the table: for each project its address, and its names with their places."""
    return tomllib.loads((FOLDER / "names.toml").read_text(encoding="utf-8"))


def inventory(title: str, names: dict[str, str]) -> bytes:
    """Return one project's inventory in the second version of Sphinx's format."""
    head = f"# Sphinx inventory version 2\n# Project: {title}\n# Version: \n"
    lines = []
    for key, place in sorted(names.items()):
        role, _, name = key.partition(" ")
        lines.append(f"{name} {role} 1 {place} -\n")
    note = "# The remainder of this file is compressed using zlib.\n"
    return (head + note).encode() + zlib.compress("".join(lines).encode(), 9)


def main() -> int:
    """Write every inventory."""
    projects = table()
    for project, entry in projects.items():
        (FOLDER / f"{project}.inv").write_bytes(inventory(entry["title"], entry["names"]))
    for old in FOLDER.glob("*.inv"):
        if old.stem not in projects:
            old.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
