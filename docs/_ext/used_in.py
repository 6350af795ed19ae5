"""Finds the pages and notebooks whose programs use a public object, for the links on its API page.

Programs are read, not run: the Python blocks of the pages and the cells of the notebooks.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import public_api

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SECTIONS = ("notebooks", "start", "guide", "develop")
_BLOCK = re.compile(r"^```(?:python|\{code-block\} python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def programs() -> Iterator[tuple[str, list[str]]]:
    """Yield the names of pages, as Sphinx knows them, with their pieces of code."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        yield f"/notebooks/{path.stem}", code
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        if name.partition("/")[0] in SECTIONS[1:]:
            yield f"/{name}", _BLOCK.findall(path.read_text(encoding="utf-8"))


def names_in(code: str) -> set[str]:
    """Return the dotted names of our packages that a program imports or uses."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return set()  # a fragment that stands for a larger program
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
    return {name for name in names if name.partition(".")[0] in public_api.MODULES}


def usage() -> dict[str, list[str]]:
    """Return for each public object, by its path, the pages whose programs use it."""
    paths = {id(each.value): each.path for each in public_api.public_objects()}
    used: dict[str, list[str]] = {}
    for page, pieces in programs():
        found = {_path(name, paths) for code in pieces for name in names_in(code)} - {None}
        for path in sorted(map(str, found)):
            used.setdefault(path, []).append(page)
    order = {section: number for number, section in enumerate(SECTIONS)}
    return {
        path: sorted(pages, key=lambda page: order[page.split("/")[1]])
        for path, pages in used.items()
    }


def _path(name: str, paths: dict[int, str]) -> str | None:
    """Return the path of the public object that a dotted name leads to."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            value: Any = import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        value = getattr(value, parts[cut], None)
        return paths.get(id(value))
    return None
