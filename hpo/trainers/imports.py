"""Installed libraries that a trainer imports, found in its source without importing it."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from hpo.trainers.base import FunctionTrainer, Trainer
from hpo.trainers.loading import NamedTrainer, split_name
from hpo.trainers.sending import SentTrainer

_INSTALLED = ("site-packages", "dist-packages")
_MAX_FILES = 50
_DELAYED = {"torch": "torch._dynamo"}
"""What a library imports when it is used: the first optimizer takes a second for this."""


def imported_libraries(trainer: Trainer) -> list[str]:
    """Return the installed modules that a trainer imports at the top of its source.

    Its own modules (those beside it, or in its package) are searched for imports, too.

    Parameters
    ----------
    trainer : Trainer

    Returns
    -------
    list of str
        Names of modules in the order of their imports. Modules of the standard library, and
        modules that are not installed as a library, are left out.
    """
    found: dict[str, None] = {}
    todo, seen = [source_of(trainer), _main_file()], set[Path]()
    while todo and len(seen) < _MAX_FILES:
        file = todo.pop(0)
        if file is None or file in seen:
            continue
        seen.add(file)
        for name in _imports(file):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top == "hpo":
                todo += [find_source(name)] if top == "hpo" and ".examples." in name else []
            elif (place := find_source(top, file.parent)) is None or _is_installed(place):
                if place is not None:
                    found |= dict.fromkeys([name, _DELAYED.get(top, name)])
            else:
                todo.append(find_source(name, file.parent) or place)
    return list(found)


def source_of(trainer: Trainer) -> Path | None:
    """Return the file of a trainer's source, None if it is not known."""
    if isinstance(trainer, SentTrainer) and trainer.original is not None:
        trainer = trainer.original
    if isinstance(trainer, NamedTrainer):
        target = split_name(trainer.name)[0]
        return Path(target) if target.endswith(".py") else find_source(target)
    owner = trainer.function if isinstance(trainer, FunctionTrainer) else type(trainer)
    module = sys.modules.get(getattr(owner, "__module__", ""))
    return _source(getattr(module, "__file__", None))


def _main_file() -> Path | None:
    """Return the script of this process, which workers import as well."""
    return _source(getattr(sys.modules.get("__main__"), "__file__", None))


def _source(file: str | None) -> Path | None:
    return Path(file) if file is not None and file.endswith(".py") else None


def find_source(module: str, place: Path | None = None) -> Path | None:
    """Return the source file of a module, found without importing its package.

    Parameters
    ----------
    module : str
        Full name.
    place : Path, optional
        Directory to search first.
    """
    path = [*([] if place is None else [str(place)]), *sys.path]
    spec = None
    parts = module.split(".")
    for n, _ in enumerate(parts, 1):
        try:
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:n]), path)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _is_installed(file: Path) -> bool:
    return any(part in _INSTALLED for part in file.parts)


def _imports(file: Path) -> Iterator[str]:
    """Yield the modules that a source file imports when it is imported itself."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop(0)
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.ImportFrom():
                yield from _relative(file, node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                pass  # imported when it is called
            case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
                todo = [*node.orelse, *todo]
            case _:
                todo = [*ast.iter_child_nodes(node), *todo]


def _relative(file: Path, node: ast.ImportFrom) -> Iterator[str]:
    """Yield the modules beside the file that a relative import names."""
    if node.level == 1:
        names = [alias.name for alias in node.names] if node.module is None else [node.module]
        for name in names:
            if file.with_name(f"{name.partition('.')[0]}.py").is_file():
                yield name
