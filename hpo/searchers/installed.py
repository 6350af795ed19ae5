"""Schedulers, searchers, predictors and executors of other packages, by name: entry points.

An installed package offers its parts under names of its own, in its ``pyproject.toml``::

    [project.entry-points."hpo.schedulers"]
    one-by-one = "one_by_one:OneByOne"

The groups are ``hpo.schedulers``, ``hpo.searchers``, ``hpo.predictors`` and ``hpo.run.executors``.
``docs/develop/extending.md`` says how each is called. Names of this package cannot be taken.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


class PluginWarning(RuntimeWarning):
    """Something that an installed package offers by an entry point cannot be used."""


@cache
def installed(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name: more than one where names clash.

    Installed packages are read once per process; nothing is imported.

    Parameters
    ----------
    group : str
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for each in entry_points(group=group):
        known = found.get(each.name, ())
        if each.value not in [other.value for other in known]:  # a package may be found twice
            found[each.name] = (*known, each)
    return dict(sorted(found.items()))


class Catalogue:
    """Parts of one kind by name: those of this package, then those of installed packages.

    Parameters
    ----------
    kind : str
        ``"scheduler"``, ...
    group : str
        Group of the entry points.
    own : Mapping
        Parts of this package by name.
    about : Mapping, optional
        One line on those of them that have no docstring.
    """

    def __init__(
        self, kind: str, group: str, own: Mapping[str, Any], about: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.group = group
        self._own = own
        self._about = about or {}

    def names(self) -> tuple[str, ...]:
        """Return all names, this package's own first."""
        others = (name for name in installed(self.group) if name not in self._own)
        return (*self._own, *others)

    def get(self, name: str) -> Callable[..., Any]:
        """Return a part.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If the name is unknown, more than one package offers it, or the package that does
            cannot be imported.

        Warns
        -----
        PluginWarning
            If another package offers something under a name of this package.
        """
        offered = installed(self.group).get(name, ())
        if name in self._own:
            if offered:
                warnings.warn(
                    f"{self.kind} {name!r} is hpo's own; what {_values(offered)} offers under that "
                    "name is not used",
                    PluginWarning,
                    stacklevel=2,
                )
            return self._own[name]  # type: ignore[no-any-return]
        if len(offered) > 1:
            raise ValueError(
                f"{self.kind} {name!r} is offered by more than one installed package: "
                f"{_values(offered)}; uninstall one of them, or pass the object itself"
            )
        if not offered:
            raise ValueError(
                f"{self.kind} must be one of {', '.join(self.names())}; got {name!r} (hpo list "
                f"describes them)"
            )
        try:
            return offered[0].load()  # type: ignore[no-any-return]
        except Exception as error:
            raise ValueError(
                f"{self.kind} {name!r} of an installed package ({offered[0].value}) cannot be "
                f"imported: {type(error).__name__}: {error}; repair or uninstall the package"
            ) from error

    def described(self) -> list[tuple[str, str]]:
        """Return each name with one line on it.

        Warns
        -----
        PluginWarning
            If a part of an installed package cannot be loaded.
        """
        lines = [
            (name, self._about.get(name) or _first_line(self._own[name])) for name in self._own
        ]
        for name, offered in installed(self.group).items():
            try:
                part = self.get(name)
            except ValueError as error:
                warnings.warn(str(error), PluginWarning, stacklevel=2)
                continue
            if name not in self._own:
                lines.append((name, f"{_first_line(part)} ({offered[0].value})"))
        return lines


def _values(offered: tuple[EntryPoint, ...]) -> str:
    return ", ".join(sorted(each.value for each in offered))


def _first_line(part: object) -> str:
    line = (inspect.getdoc(part) or "").partition("\n")[0]
    return re.sub(r" \(see [^)]*\)|`", "", line).rstrip(".")
