"""A D-Wave client that is opened at first use, once, and closed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from qsvr.samplers.dwave.connection import connect, is_live
from qsvr.samplers.dwave.retry import with_retries
from qsvr.samplers.dwave.submission import ServiceOptions

__all__ = ["LazyClient"]


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
