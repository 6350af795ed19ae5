"""Links to the documentation of other projects: those names, no others, with or without a network.

``docs/_inventories/names.toml`` lists the names. Sphinx fetches the projects' own inventories, or
uses the small ones beside that table where they cannot be reached.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from docutils import nodes
from inventories import table

# Short forms in the types of parameters, beside those that numpydoc knows.
ALIASES = {
    "Any": ":obj:`~typing.Any`",
    "Callable": ":class:`~collections.abc.Callable`",
    "Iterable": ":class:`~collections.abc.Iterable`",
    "Iterator": ":class:`~collections.abc.Iterator`",
    "Mapping": ":class:`~collections.abc.Mapping`",
    "mapping": ":term:`mapping <python:mapping>`",
    "Sequence": ":class:`~collections.abc.Sequence`",
    "Path": ":class:`~pathlib.Path`",
    "datetime": ":class:`~datetime.datetime`",
    "timedelta": ":class:`~datetime.timedelta`",
    "bytes": ":class:`python:bytes`",
    "callable": ":func:`callable <python:callable>`",
    "set": ":class:`python:set`",
    "Generator": ":class:`~numpy.random.Generator`",
    "Axes": ":class:`~matplotlib.axes.Axes`",
    "DataFrame": ":class:`~pandas.DataFrame`",
    "dimod.SampleSet": ":class:`dimod.SampleSet`",
    "dimod.Sampler": ":class:`dimod.Sampler`",
}
ALIASES |= {
    name: f":class:`python:{name}`"
    for entry in [table()["python"]["names"]]
    for role, _, name in (key.partition(" ") for key in entry)
    if role == "py:exception"
}
_KNOWN = {
    key.partition(" ")[2]
    for entry in table().values()
    for key in entry["names"]
    if key.startswith("py:")
}

ALIASES |= {name: f":py:obj:`{name}`" for name in _KNOWN if "." in name and name not in ALIASES}


def network() -> bool:
    """Tell whether the projects' inventories can be fetched, without waiting for a time limit."""
    if os.environ.get("DOCS_OFFLINE"):
        return False
    try:
        with socket.create_connection(("docs.python.org", 443), timeout=2):
            return True
    except OSError:
        return False


def mapping() -> dict[str, tuple[str, Any]]:
    """Return the value of Sphinx's ``intersphinx_mapping``."""
    online = network()
    return {
        project: (
            entry["url"],
            (None, f"_inventories/{project}.inv") if online else f"_inventories/{project}.inv",
        )
        for project, entry in table().items()
    }


def keep_plain(_app: Any, _env: Any, node: Any, text: Any) -> Any:
    """Leave a name in backticks that the table lacks as code: it is most often a parameter."""
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    target = node["reftarget"]
    if target in _KNOWN or target.startswith(("qsvr.", "hpo.")):
        return None
    return text if isinstance(text, nodes.Node) else None


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx, before intersphinx looks the name up and after our own names."""
    app.connect("missing-reference", keep_plain, priority=450)
    return {"parallel_read_safe": True}
