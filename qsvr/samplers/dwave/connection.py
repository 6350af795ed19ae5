"""Open the D-Wave client: lazily, without reading a configuration by accident, without tokens.

The token comes from the client's own configuration file or environment only. A ``dwave.conf`` in
the working directory, which the client would load unasked, is read only where ``config_file`` names
it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from qsvr.samplers.dwave.errors import TokenFilter

__all__ = ["CONNECTION_OPTIONS", "connect", "is_live"]

CONNECTION_OPTIONS = frozenset({"region", "solver", "profile", "endpoint", "config_file", "proxy"})
_POLL_PAUSE = 0.05  # seconds
_CLASSES = {"qpu": "DWaveSampler", "hybrid": "LeapHybridSampler", "cqm": "LeapHybridCQMSampler"}


def connect(kind: str, options: Mapping[str, Any]) -> Any:
    """Return an open client of dwave-system.

    Parameters
    ----------
    kind : {"qpu", "hybrid", "cqm"}
    options : mapping
        Some of `CONNECTION_OPTIONS`.
    """
    import dwave.system  # takes seconds: only here
    from dwave.cloud.config import get_configfile_paths

    _silence_tokens()
    arguments = dict(options)
    if arguments.get("config_file") is None and not os.environ.get("DWAVE_CONFIG_FILE"):
        arguments["config_file"] = get_configfile_paths(local=False) or False
    # The client asks again at once where polling ends in a server error; the user's own setting
    # in file or environment takes precedence.
    defaults = {"poll_pause": _POLL_PAUSE}
    return getattr(dwave.system, _CLASSES[kind])(**arguments, defaults=defaults)


def is_live(sampler: object) -> bool:
    """Whether an object is an open client of the D-Wave service."""
    return hasattr(sampler, "client") and hasattr(sampler, "solver")


def _silence_tokens() -> None:
    """Take tokens out of what the client logs, whatever its level."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("dwave.cloud")]
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(each, TokenFilter) for each in logger.filters):
            logger.addFilter(TokenFilter())
