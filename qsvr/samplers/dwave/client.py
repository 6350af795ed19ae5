"""The D-Wave client, opened at first use and closed once; and what its samplers have in common."""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from qsvr.samplers.budget import AccessBudget
from qsvr.samplers.dwave.errors import TokenFilter
from qsvr.samplers.dwave.submission import ServiceOptions, Submission, with_retries

__all__ = ["ServiceSampler", "connect", "is_live"]

_POLL_PAUSE = 0.05  # seconds
_TOKEN_FILTER = TokenFilter()  # one only, so that adding it again changes nothing
_CLASSES = {"qpu": "DWaveSampler", "hybrid": "LeapHybridSampler", "cqm": "LeapHybridCQMSampler"}


def connect(kind: str, options: Mapping[str, Any]) -> Any:
    """Return an open client of dwave-system, which logs no token at any level.

    Parameters
    ----------
    kind : {"qpu", "hybrid", "cqm"}
    options : mapping
        Options of the connection: region, solver, profile, endpoint, config_file, proxy.
    """
    import dwave.system  # takes seconds: only here
    from dwave.cloud.config import get_configfile_paths

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("dwave.cloud"):
            logging.getLogger(name).addFilter(_TOKEN_FILTER)
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


class ServiceSampler(ABC):
    """A sampler of the service: it holds a client, and accounts for what it submits.

    The client is opened at first use, with retries, and closed once.

    Parameters
    ----------
    client : object, optional
        One that is open already; then it is the caller's to close.
    **connection
        Options of the connection.
    """

    _kind: str

    def __init__(self, client: Any = None, **connection: Any) -> None:
        self.total = AccessBudget()
        self._connection = connection
        self._client = client
        self._is_ours = client is None
        self._client_lock = threading.RLock()

    def __reduce__(self) -> Any:
        """Refuse to travel: hold a `SamplerFactory` instead."""
        raise TypeError(
            f"a {type(self).__name__} holds a live connection and can be neither copied nor sent "
            f"to another process; use sampler={self._kind!r} or a SamplerFactory, which open one "
            "there."
        )

    @property
    def name(self) -> str:
        """The solver's name where it is open, else the kind."""
        solver = getattr(self._client, "solver", None)
        return str(getattr(solver, "name", self._kind))

    @property
    def client(self) -> Any:
        """The open client; a `ServiceError` is raised if it cannot be opened."""
        with self._client_lock:
            if self._client is None:
                self._client, _ = with_retries(
                    lambda: connect(self._kind, self._connection), ServiceOptions(),
                    name=self._kind, seed=0, deadline=np.inf,
                )  # fmt: skip
            return self._client

    def close(self) -> None:
        """Close the client, if it was opened here."""
        with self._client_lock:
            if self._is_ours and self._client is not None:
                client, self._client = self._client, None
                client.client.close(wait=False)

    def _solve(
        self,
        start: Callable[[], Any],
        estimate: float,
        options: ServiceOptions,
        budget: AccessBudget | None,
        seed: int,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the sample set of one problem, and what its submission is recorded with."""
        budget = AccessBudget(options.max_access_time) if budget is None else budget
        submission = Submission(self.name, start, estimate, options, budget)
        sample_set, n_retries, seconds = submission.solve(seed)
        self.total.charge(seconds)
        return sample_set, {
            "sampler": self.name,
            "polished": False,
            "n_retries": n_retries,
            "access_time": budget.seconds,
            "n_problems": budget.n_submitted,
            "total_access_time": self.total.seconds,
            "total_problems": self.total.n_submitted,
            "timing": dict(sample_set.info.get("timing", {})),
        }
