"""The D-Wave client, opened at first use and closed once, and the base class of its samplers."""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from qsvr.exceptions import (
    ConfigurationError,
    IncompleteAnswerError,
    InvalidAnswerError,
    ServiceError,
    TimeLimitError,
)
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples
from qsvr.samplers.base import ChargedSampler
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dwave.submission import (
    ServiceOptions,
    Submission,
    info_of,
    timing_of,
    with_retries,
)
from qsvr.samplers.redaction import TokenFilter, learn_client, learn_config, learn_files, redact

__all__ = ["PatientSampler", "ServiceSampler", "connect", "is_live"]

_POLL_PAUSE = 0.05  # seconds
_GRACE = 0.5  # seconds
_LONGEST_REQUEST = 1e6  # seconds; sockets take no more than a few weeks
_TOKEN_FILTER = TokenFilter()  # one only, so that adding it again changes nothing
_LOGGERS = ("dwave", "urllib3", "requests")  # and what is below them
_CLASSES = {
    "qpu": "DWaveSampler",
    "hybrid": "LeapHybridSampler",
    "cqm": "LeapHybridCQMSampler",
    "nl": "LeapHybridNLSampler",
}


class _Opening(threading.local):
    """The opening of a client in a thread: its deadline and its client."""

    deadline: float | None = None
    client: Any = None


_OPENING = _Opening()


@cache
def _watch_openings() -> None:
    from dwave.cloud.events import add_handler

    add_handler("before_get_solvers", _bound_requests)


def connect(kind: str, options: Mapping[str, Any], deadline: float) -> Any:
    """Return an open client of dwave-system, which logs no token at any level.

    Parameters
    ----------
    kind : {"qpu", "hybrid", "cqm", "nl"}
    options : mapping
        Options of the connection: region, solver, profile, endpoint, config_file, proxy.
    deadline : float
        Value of `time.monotonic` at which the requests end. None of them is repeated.
    """
    import dwave.system  # takes seconds: only here
    from dwave.cloud.config import get_configfile_paths

    _watch_openings()
    _guard_logs()
    arguments = dict(options)
    if arguments.get("config_file") is None and not os.environ.get("DWAVE_CONFIG_FILE"):
        arguments["config_file"] = get_configfile_paths(local=False) or False
    named = arguments.get("config_file") or os.environ.get("DWAVE_CONFIG_FILE")
    learn_files(named if isinstance(named, list | tuple) else [named])
    # The client asks again at once where polling ends in a server error; the user's own setting
    # in file or environment takes precedence.
    defaults = {"poll_pause": _POLL_PAUSE}
    _OPENING.deadline, _OPENING.client = deadline, None
    try:
        sampler = getattr(dwave.system, _CLASSES[kind])(**arguments, defaults=defaults)
    except BaseException:
        if _OPENING.client is not None:
            with suppress(Exception):
                _OPENING.client.close(wait=False)  # or its threads stay
        raise
    finally:
        _OPENING.deadline = _OPENING.client = None
    learn_client(sampler)
    return sampler


def _guard_logs() -> None:
    """Remove tokens from the log records of the client and its libraries."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LOGGERS:
            logging.getLogger(name).addFilter(_TOKEN_FILTER)


def _bound_requests(_name: str, *, obj: Any, args: Any) -> None:
    """Limit the time of the requests for the list of solvers while `connect` opens the client.

    The sessions that submit, poll and load keep the client's own settings, because later fits use
    them too.
    """
    del args
    if _OPENING.deadline is None:
        return
    _OPENING.client = obj
    learn_config(obj.config)
    # A little longer than the opening is waited for, so that its error is always the same one.
    left = min(max(_OPENING.deadline - time.monotonic(), 0.0) + _GRACE, _LONGEST_REQUEST)
    for adapter in obj.solvers_session.session.adapters.values():
        adapter.max_retries = adapter.max_retries.new(total=0)
        own = adapter.timeout if isinstance(adapter.timeout, tuple) else (adapter.timeout,) * 2
        adapter.timeout = tuple(left if each is None else min(each, left) for each in own)


def _within(open_client: Callable[[], Any], options: ServiceOptions, deadline: float) -> Any:
    """Return a client that is opened in a thread, because no setting of it limits the total time.

    A client that opens after the deadline is closed.
    """
    opened: Future[Any] = Future()

    def run() -> None:
        try:
            client = open_client()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            with suppress(InvalidStateError):
                opened.set_exception(error)
            return
        try:
            opened.set_result(client)
        except InvalidStateError:
            client.client.close(wait=False)

    threading.Thread(target=run, name="qsvr-open", daemon=True).start()
    try:
        return opened.result(max(deadline - time.monotonic(), 0.0))
    except TimeoutError:
        if not opened.cancel():  # it is done: the exception is its own, or it came this moment
            return opened.result()
    except KeyboardInterrupt:
        opened.cancel()
        raise
    raise TimeLimitError(
        f"the client did not open within timeout={options.timeout:g} s. Raise sampler_options "
        "'timeout', or check the network and the client's endpoint and proxy."
    )


def is_live(sampler: object) -> bool:
    """Whether an object is an open client of the D-Wave service."""
    return hasattr(sampler, "client") and hasattr(sampler, "solver")


class ServiceSampler(ABC):
    """Base class of the samplers of the service, with a client and an account of its submissions.

    The client is opened at first use, with retries, and closed once.

    Parameters
    ----------
    client : object, default=None
        An open client, which the caller has to close.
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
        if client is not None:
            learn_client(client)
            _guard_logs()

    def __reduce__(self) -> Any:
        """Raise TypeError, because a live connection cannot be pickled."""
        raise TypeError(
            f"a {type(self).__name__} holds a live connection and can be neither copied nor sent "
            f"to another process; use sampler={self._kind!r} or a SamplerFactory, which open one "
            "there."
        )

    @property
    def name(self) -> str:
        """Name of the solver if the client is open, else the kind."""
        solver = getattr(self._client, "solver", None)
        return str(getattr(solver, "name", self._kind))

    @property
    def client(self) -> Any:
        """The open client. Raises a `ServiceError` if it cannot be opened."""
        return self.open(ServiceOptions())

    def open(self, options: ServiceOptions) -> Any:
        """Return the client, and open it if necessary.

        Parameters
        ----------
        options : ServiceOptions
            ``timeout`` limits the time of the opening, ``max_retries`` its attempts.

        Raises
        ------
        ServiceError
            If it cannot be opened.
        """
        if self._client is not None:
            return self._client
        import dwave.system  # noqa: F401  not counted as time of the service

        deadline = options.deadline
        if not self._client_lock.acquire(timeout=deadline - time.monotonic()):
            raise TimeLimitError(
                f"the client of {self._kind!r} did not open within timeout={options.timeout:g} s: "
                "another thread is opening it. Raise sampler_options 'timeout'."
            )
        try:
            if self._client is None:
                self._client, _ = with_retries(
                    lambda: _within(
                        lambda: connect(self._kind, self._connection, deadline), options, deadline
                    ),
                    options, name=self._kind, seed=0, deadline=deadline,
                    otherwise=ConfigurationError,
                )  # fmt: skip
            return self._client
        finally:
            self._client_lock.release()

    def opened_with(self, options: Mapping[str, Any]) -> ChargedSampler:
        """Return this sampler with the time limits of one fit.

        Parameters
        ----------
        options : mapping
            Options of which ``timeout``, ``max_retries`` and ``retry_delay`` are used.
        """
        return PatientSampler(self, ServiceOptions.take(options))

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
        **more: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the answer to one problem, and the record of its submission."""
        budget = AccessBudget(options.max_access_time) if budget is None else budget
        submission = Submission(self.name, start, estimate, options, budget, **more)
        try:
            answer, n_retries = submission.solve(seed)
        finally:
            if submission.spent > 0.0:  # also for what ran in vain
                self.total.charge(submission.spent)
        return answer, {
            "sampler": self.name,
            "polished": False,
            "n_retries": n_retries,
            "access_time": budget.seconds,
            "n_problems": budget.n_submitted,
            "total_access_time": self.total.seconds,
            "total_problems": self.total.n_submitted,
            "timing": timing_of(info_of(answer)),
        }

    def _checked(
        self,
        samples: Samples,
        faults: Sequence[str],
        num_reads: int,
        *,
        n_reads: int | None = None,
    ) -> Samples:
        """Return the samples of a valid answer; else raise an error with them in ``samples``.

        ``num_reads`` is the number of reads requested. ``n_reads`` is the number returned, if not
        all of them are among the samples.
        """
        n_reads = len(samples) if n_reads is None else n_reads
        if not faults and n_reads >= num_reads:
            return samples
        left = "None of its reads can be used; fit again or choose another solver."
        if len(samples):
            left = (
                "Use what came back (the error's partial_model), ask for fewer reads, or fit again."
            )
        error: ServiceError
        if faults:
            error = InvalidAnswerError(
                redact(
                    f"{self.name!r} gave an answer that no solver should give: "
                    f"{'; '.join(faults)}. {left}"
                )
            )
        else:
            error = IncompleteAnswerError(
                f"{self.name!r} answered with {n_reads} of {num_reads} reads. {left}"
            )
        error.samples = samples if len(samples) else None
        raise error


@dataclass(frozen=True, eq=False)
class PatientSampler:
    """A sampler of the service with the time limits of one fit.

    The client belongs to the shared sampler. The limits apply if it is not open yet.

    Attributes
    ----------
    shared : ServiceSampler
    options : ServiceOptions
    """

    shared: Any
    options: ServiceOptions

    def _opened(self) -> Any:
        self.shared.open(self.options)
        return self.shared

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the options."""
        names: frozenset[str] = self._opened().parameters
        return names

    @property
    def max_variables(self) -> int | None:
        """Maximum number of variables of one QUBO, or None."""
        limit: int | None = self._opened().max_variables
        return limit

    def plan(
        self, n_variables: int, *, n_problems: int, num_reads: int, options: Mapping[str, Any]
    ) -> AccessPlan | None:
        """Return the access time of a fit; see `ChargedSampler`."""
        plan: AccessPlan | None = self._opened().plan(
            n_variables, n_problems=n_problems, num_reads=num_reads, options=options
        )
        return plan

    def sample(
        self,
        qubo: SVRQubo,
        *,
        num_reads: int,
        seed: int,
        budget: AccessBudget | None = None,
        **options: Any,
    ) -> Samples:
        """Sample; see `ChargedSampler`."""
        samples: Samples = self._opened().sample(
            qubo, num_reads=num_reads, seed=seed, budget=budget, **options
        )
        return samples
