"""Submission of one problem: charging, waiting, and retries.

A problem that the service has accepted is never submitted twice. After a lost connection its answer
is requested by its id.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from qsvr._validation import check_integer, check_real
from qsvr.exceptions import (
    QSVRError,
    SamplerError,
    ServiceError,
    ServiceUnavailableError,
    TimeLimitError,
)
from qsvr.samplers.budget import AccessBudget
from qsvr.samplers.dwave.errors import read_or_raise, translate
from qsvr.samplers.redaction import redact

__all__ = [
    "SERVICE_OPTIONS",
    "ServiceOptions",
    "Submission",
    "access_seconds",
    "info_of",
    "timing_of",
    "with_retries",
]

SERVICE_OPTIONS = frozenset({"timeout", "max_retries", "retry_delay", "max_access_time"})
_LONGEST_DELAY = 60.0  # seconds

T = TypeVar("T")


@dataclass(frozen=True)
class ServiceOptions:
    """Time limits, retries and cost limit of a service.

    Attributes
    ----------
    timeout : float
        Seconds to wait for an answer, retries included, and for the client to open.
    max_retries : int
        Attempts after the first.
    retry_delay : float
        Seconds before the first retry. The delay doubles each time, with random variation.
    max_access_time : float or None
        Maximum access time of one fit, in seconds.
    """

    timeout: float = 600.0
    max_retries: int = 4
    retry_delay: float = 1.0
    max_access_time: float | None = None

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> ServiceOptions:
        """Return the checked options of the service, removed from a sampler's options."""
        chosen = {name: value for name, value in options.items() if name in SERVICE_OPTIONS}
        owner = "sampler_options"
        for name in chosen.keys() & {"timeout", "max_access_time"}:
            if chosen[name] is None:
                del chosen[name]
            else:
                check_real(owner, name, chosen[name], strict=True)
        if "max_retries" in chosen:
            check_integer(owner, "max_retries", chosen["max_retries"], low=0)
        if "retry_delay" in chosen:
            check_real(owner, "retry_delay", chosen["retry_delay"])
        return cls(**chosen)

    @property
    def deadline(self) -> float:
        """Value of `time.monotonic` at which an attempt that starts now must end."""
        return time.monotonic() + self.patience

    @property
    def patience(self) -> float:
        """``timeout``, or the longest time that a thread can wait for."""
        return min(self.timeout, threading.TIMEOUT_MAX / 2)

    def delay(self, retry: int, rng: np.random.Generator) -> float:
        """Return seconds to wait: half of the doubled delay, and a random part of the rest."""
        full = min(self.retry_delay * 2.0**retry, _LONGEST_DELAY)
        return full * (0.5 + 0.5 * float(rng.random()))


def with_retries(
    action: Callable[[], T],
    options: ServiceOptions,
    *,
    name: str,
    seed: int,
    deadline: float,
    otherwise: type[ServiceError] | None = None,
) -> tuple[T, int]:
    """Return the result of an action, and the number of retries.

    Only overload, server errors and lost connections are retried.

    Parameters
    ----------
    action : callable
        Called without arguments; every exception of it is translated.
    options : ServiceOptions
        Number of retries and delay.
    name : str
        The sampler, for messages.
    seed : int
        Seed of the jitter.
    deadline : float
        Value of `time.monotonic` after which there are no retries.
    otherwise : type, default=None
        Error for exceptions that are not of the service; see `translate`.

    Raises
    ------
    SamplerError
        Without reference to the client's exception, which may hold the headers of the request.
    """
    rng = np.random.default_rng(seed)
    retry = 0
    while True:
        try:
            return action(), retry
        except Exception as raised:
            if isinstance(raised, QSVRError) and not isinstance(raised, SamplerError):
                raise  # nothing of the service's
            error = translate(raised, name, otherwise)
        delay = options.delay(retry, rng)
        may_help = isinstance(error, ServiceUnavailableError)
        in_time = time.monotonic() + delay <= deadline
        if not may_help or not in_time or retry >= options.max_retries:
            tried = f" (tried {retry + 1} times)" if retry else ""
            error.args = (redact(f"{error}{tried}"),)
            raise error
        time.sleep(delay)
        retry += 1


@dataclass
class Submission:
    """A problem for one solver.

    Attributes
    ----------
    name : str
        Name of the sampler, for messages.
    start : callable
        Submits the problem and returns the client's future, or a sample set without a service.
    estimate : float
        Access time in seconds.
    options : ServiceOptions
    budget : AccessBudget
    read : callable
        Returns the answer of a completed future, with an attribute ``info``.
    spent : float
        Seconds charged: the reported time of an answer, or the estimate if it may have run.
    """

    name: str
    start: Callable[[], Any]
    estimate: float
    options: ServiceOptions
    budget: AccessBudget
    read: Callable[[Any], Any] = lambda future: future.wait_sampleset()
    spent: float = field(default=0.0, init=False)
    _future: Any = field(default=None, init=False)
    _deadline: float = field(default=0.0, init=False)

    def solve(self, seed: int) -> tuple[Any, int]:
        """Return the sample set and the number of retries.

        Raises
        ------
        CostLimitError
            If the submission would exceed the budget.
        ServiceError
            If there is no answer.
        """
        self._deadline = self.options.deadline
        try:
            sample_set, n_retries = with_retries(
                self._attempt, self.options, name=self.name, seed=seed, deadline=self._deadline
            )
        finally:
            self._future = None  # which an error's frames would keep
        seconds = access_seconds(info_of(sample_set), self.estimate)
        self.budget.settle(self.estimate, seconds)
        self.spent += seconds - self.estimate
        return sample_set, n_retries

    def _attempt(self) -> Any:
        if self._future is None or self._future.id is None:
            self._submit()
        else:  # the service has the problem: requesting its answer again is free
            solver = self._future.solver
            self._future = solver.client.retrieve_answer(self._future.id)
            self._future.solver = solver
        if not hasattr(self._future, "wait_sampleset"):
            if callable(getattr(self._future, "resolve", None)):
                self._future.resolve()  # a sample set that a client promised
            return self._future
        try:
            return self._wait()
        except Exception as error:
            code = getattr(error, "error_code", None)
            if self._future.id is None and isinstance(code, int) and code >= 400:
                self._refund()  # the service answered that it refused
            raise

    def _submit(self) -> None:
        self.budget.charge(self.estimate)
        self.spent += self.estimate
        try:
            self._future = self.start()
        except Exception:
            self._refund()  # it never left this machine
            raise

    def _refund(self) -> None:
        self.budget.refund(self.estimate)
        self.spent -= self.estimate

    def _wait(self) -> Any:
        try:
            done = self._future.wait(max(self._deadline - time.monotonic(), 0.0))
        except KeyboardInterrupt:
            self._future.cancel()  # it would run, and cost, without anyone waiting for it
            raise
        if not done:
            self._future.cancel()
            raise TimeLimitError(
                f"{self.name!r} returned no answer within timeout={self.options.timeout:g} s; the "
                "problem was cancelled. Raise sampler_options 'timeout' (and time_limit, if set), "
                "or choose a solver with a shorter queue."
            )
        future = self._future
        return read_or_raise(lambda: self.read(future), self.name)


def info_of(answer: Any) -> Mapping[str, Any]:
    """Return the ``info`` of an answer; empty if it has none.

    Parameters
    ----------
    answer : object
    """
    info = getattr(answer, "info", None)
    return info if isinstance(info, Mapping) else {}


def timing_of(info: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the timing of an answer, in microseconds.

    Parameters
    ----------
    info : mapping
        Of a sample set.
    """
    timing = info.get("timing", {})
    entries = timing.items() if isinstance(timing, Mapping) else ()
    return {str(name): value for name, value in entries if _is_number(value)}


def access_seconds(info: Mapping[str, Any], estimate: float) -> float:
    """Return the access time that an answer reports, in seconds.

    It is the estimate if the report has no valid time (null, text, a negative number), so that such
    a report never increases what is left of a budget.

    Parameters
    ----------
    info : mapping
        Of a sample set.
    estimate : float
        In seconds.
    """
    timing = info.get("timing", {})
    reported = {**info, **(timing if isinstance(timing, Mapping) else {})}
    for name in ("charge_time", "qpu_access_time"):
        if name in reported:
            value = reported[name]
            return float(value) * 1e-6 if _is_number(value) and value >= 0 else estimate
    return estimate


def _is_number(value: object) -> bool:
    """Whether a value is a finite real number."""
    is_real = isinstance(value, int | float | np.integer | np.floating)
    return is_real and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]
