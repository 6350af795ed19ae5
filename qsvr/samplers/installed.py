"""Samplers of other packages, by name: entry points of the group ``qsvr.samplers``.

A package that is installed offers its sampler under a name of its own, in its ``pyproject.toml``::

    [project.entry-points."qsvr.samplers"]
    coin-toss = "coin_toss:CoinToss"

What the entry point names is a class or function that is called without arguments and returns a
`Sampler` or a dimod sampler. Names of this package cannot be taken.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

__all__ = ["GROUP", "installed_samplers"]

GROUP = "qsvr.samplers"


@cache
def installed_samplers() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of installed packages by name: more than one where names clash.

    Installed packages are read once per process; nothing is imported.
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for each in entry_points(group=GROUP):
        known = found.get(each.name, ())
        if each.value not in [other.value for other in known]:  # a package may be found twice
            found[each.name] = (*known, each)
    return dict(sorted(found.items()))
