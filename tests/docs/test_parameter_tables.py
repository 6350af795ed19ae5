"""The defaults that the documentation's tables of parameters name are those of the code."""

from __future__ import annotations

import inspect
import re

from qsvr import QSVR

DEFAULTS = {name: each.default for name, each in inspect.signature(QSVR).parameters.items()}
STANDS_FOR = {"sampler": "structured"}  # which None means


def rows(text):
    """Return (parameter, default as written) of the tables whose second column is the default."""
    table = re.findall(r"^\| parameter \| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, flags=re.M)
    for line in "".join(table).splitlines():
        names, defaults = line.split("|")[1:3]
        found = re.findall(r"`(\w+)`", names)
        written = [each.strip("` ") for each in defaults.split(",")]
        if written != [""]:
            yield from zip(found, written, strict=True)


def test_defaults_in_tables(root):
    found = dict(rows((root / "docs/guide/regression.md").read_text(encoding="utf-8")))
    assert len(found) >= 6
    assert "n_refinements" in found
    for name, written in found.items():
        default = STANDS_FOR.get(name, DEFAULTS[name])
        assert written == (f'"{default}"' if isinstance(default, str) else str(default)), name
