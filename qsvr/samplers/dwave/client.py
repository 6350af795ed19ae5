"""A D-Wave client that is opened at first use, once, and closed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from qsvr.samplers.dwave.errors import TokenFilter
from qsvr.samplers.dwave.submission import ServiceOptions, with_retries

__all__ = ["LazyClient", "connect", "is_live"]

_POLL_PAUSE = 0.05  # seconds
_CLASSES = {"qpu": "DWaveSampler", "hybrid": "LeapHybridSampler", "cqm": "LeapHybridCQMSampler"}


def connect(kind: str, options: Mapping[str, Any]) -> Any:
    """Return an open client of dwave-system.

    Parameters
    ----------
    kind : {"qpu", "hybrid", "cqm"}
    options : mapping
        Of the connection: region, solver, profile, endpoint, config_file, proxy.
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


class LazyClient:
    """A client that is opened at first use, with retries, and closed once.

    Parameters
    ----------
    kind : {"qpu", "hybrid", "cqm"}
    client : object, optional
        One that is open already; then it is the caller's to close.
    connection : mapping
        Options of the connection.
    """

    def __init__(self, kind: str, client: Any, connection: Mapping[str, Any]) -> None:
        self.kind = kind
        self._connection = dict(connection)
        self._client = client
        self._is_ours = client is None
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The solver's name where it is open, else the kind."""
        solver = getattr(self._client, "solver", None)
        return str(getattr(solver, "name", self.kind))

    def get(self) -> Any:
        """Return the open client.

        Raises
        ------
        ServiceError
            If it cannot be opened.
        """
        with self._lock:
            if self._client is None:
                options = ServiceOptions()
                self._client, _ = with_retries(
                    lambda: connect(self.kind, self._connection), options.policy,
                    name=self.kind, seed=0, deadline=np.inf,
                )  # fmt: skip
            return self._client

    def close(self) -> None:
        """Close the client, if it was opened here."""
        with self._lock:
            client, self._client = self._client, None if self._is_ours else self._client
            if self._is_ours and client is not None and is_live(client):
                client.client.close(wait=False)
