"""Samplers of other packages, by name: entry points of the group ``qsvr.samplers``.

An installed package provides a sampler under its own name in its ``pyproject.toml``::

    [project.entry-points."qsvr.samplers"]
    coin-toss = "coin_toss:CoinToss"

The entry point is a class or function that is called without arguments and returns a `Sampler` or a
dimod sampler. The names of this package cannot be replaced.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

__all__ = ["GROUP", "installed_samplers"]

GROUP = "qsvr.samplers"


@cache
def installed_samplers() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of installed packages by name.

    A name has more than one entry point if packages conflict. Installed packages are read once per
    process, without importing them.
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for each in entry_points(group=GROUP):
        known = found.get(each.name, ())
        if each.value not in [other.value for other in known]:  # a package may be found twice
            found[each.name] = (*known, each)
    return dict(sorted(found.items()))
