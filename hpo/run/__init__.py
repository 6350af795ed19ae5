"""One search from start to end: trials on workers, decisions in a journal, results at the end.

Names are imported when first used: a worker process imports `hpo.run.executors.process` only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.run.results import Results
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner

_HOME = {"Results": "hpo.run.results", "RunSpec": "hpo.run.spec", "Tuner": "hpo.run.tuner"}

__all__ = ["Results", "RunSpec", "Tuner"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
