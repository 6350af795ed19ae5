"""One problem on its way: charged, submitted, waited for, and tried again where that can help.

A problem that the service has taken is never submitted twice: after a lost connection its answer is
asked for by its id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from qsvr._validation import check_integer, check_real
from qsvr.exceptions import QSVRError, SamplerError, TimeLimitError
from qsvr.samplers.budget import AccessBudget
from qsvr.samplers.dwave.errors import is_retryable, translate, was_rejected

__all__ = ["SERVICE_OPTIONS", "Answer", "Problem", "ServiceOptions", "RetryPolicy", "with_retries"]

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently to try again.

    Attributes
    ----------
    max_retries : int
        Attempts after the first.
    base_delay, max_delay : float
        Seconds before the first retry, doubled each time, and the most.
    sleep : callable
        Waits for a number of seconds.
    """

    max_retries: int = 4
    base_delay: float = 1.0
    max_delay: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def delay(self, retry: int, rng: np.random.Generator) -> float:
        """Return seconds to wait: half of the doubled delay, and a random part of the rest."""
        full = min(self.base_delay * 2.0**retry, self.max_delay)
        return full * (0.5 + 0.5 * float(rng.random()))


def with_retries(
    action: Callable[[], T], policy: RetryPolicy, *, name: str, seed: int, deadline: float
) -> tuple[T, int]:
    """Return what an action returns, and how often it was tried again.

    Parameters
    ----------
    action : callable
        Called without arguments; every exception of it is translated.
    policy : RetryPolicy
    name : str
        The sampler, for messages.
    seed : int
        Of the jitter.
    deadline : float
        `time.monotonic` after which nothing is tried again.

    Raises
    ------
    SamplerError
        Ours, with no reference to the client's exception: that one may hold the request's headers.
    """
    rng = np.random.default_rng(seed)
    retry = 0
    while True:
        outcome = _attempt(action, name)
        if not isinstance(outcome, _Failure):
            return outcome, retry
        error = outcome.error
        wait = policy.delay(retry, rng)
        out_of_time = time.monotonic() + wait > deadline
        if retry >= policy.max_retries or out_of_time or not is_retryable(error):
            error.args = (_with_attempts(str(error), retry),)
            raise error
        policy.sleep(wait)
        retry += 1


@dataclass(frozen=True)
class _Failure:
    error: SamplerError


def _attempt(action: Callable[[], T], name: str) -> T | _Failure:
    try:
        return action()
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        if isinstance(error, QSVRError) and not isinstance(error, SamplerError):
            raise  # nothing of the service's
        return _Failure(translate(error, name))


def _with_attempts(message: str, retries: int) -> str:
    return f"{message} (tried {retries + 1} times)" if retries else message


SERVICE_OPTIONS = frozenset({"timeout", "max_retries", "retry_delay", "max_access_time"})


@dataclass(frozen=True)
class ServiceOptions:
    """How patient to be with the service, and how much to spend.

    Attributes
    ----------
    timeout : float
        Seconds to wait for an answer, retries included.
    max_retries : int
    retry_delay : float
        Seconds before the first retry; doubled each time, with jitter.
    max_access_time : float or None
        Most seconds of access time for one fit.
    """

    timeout: float = 600.0
    max_retries: int = 4
    retry_delay: float = 1.0
    max_access_time: float | None = None

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> ServiceOptions:
        """Return those among a sampler's options, checked."""
        chosen = {name: value for name, value in options.items() if name in SERVICE_OPTIONS}
        owner = "sampler_options"
        for name in chosen.keys() & {"timeout", "max_access_time"}:
            if chosen[name] is not None:
                check_real(owner, name, chosen[name], strict=True)
        if "max_retries" in chosen:
            check_integer(owner, "max_retries", chosen["max_retries"], low=0)
        if "retry_delay" in chosen:
            check_real(owner, "retry_delay", chosen["retry_delay"])
        return cls(**chosen)

    @property
    def policy(self) -> RetryPolicy:
        """The retries."""
        return RetryPolicy(self.max_retries, self.retry_delay)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes
    ----------
    sample_set : dimod.SampleSet
    n_retries : int
    access_time : float
        Seconds, as reported, or as estimated where nothing was.
    """

    sample_set: Any
    n_retries: int
    access_time: float


@dataclass
class Problem:
    """A problem for one solver.

    Attributes
    ----------
    name : str
        The sampler's, for messages.
    start : callable
        Submits it and returns the client's future, or a sample set where there is no service.
    estimate : float
        Access time in seconds.
    options : ServiceOptions
    ledger : AccessBudget
    """

    name: str
    start: Callable[[], Any]
    estimate: float
    options: ServiceOptions
    ledger: AccessBudget
    _future: Any = field(default=None, init=False)
    _deadline: float = field(default=0.0, init=False)

    def solve(self, seed: int) -> Answer:
        """Return the answer.

        Raises
        ------
        CostLimitError
            If the submission would exceed the budget.
        ServiceError
            If no answer came.
        """
        self._deadline = time.monotonic() + self.options.timeout
        sample_set, n_retries = with_retries(
            self._attempt, self.options.policy, name=self.name, seed=seed, deadline=self._deadline
        )
        actual = access_time(sample_set.info)
        self.ledger.settle(self.estimate, actual)
        return Answer(sample_set, n_retries, self.estimate if actual is None else actual)

    def _attempt(self) -> Any:
        if self._future is None or self._future.id is None:
            self._submit()
        else:
            self._future = _ask_again(self._future)
        if not hasattr(self._future, "wait_sampleset"):
            return self._future
        try:
            return self._wait()
        except Exception as error:
            if self._future.id is None and was_rejected(error):
                self.ledger.refund(self.estimate)
            raise

    def _submit(self) -> None:
        self.ledger.charge(self.estimate)
        try:
            self._future = self.start()
        except Exception:
            self.ledger.refund(self.estimate)  # it never left this machine
            raise

    def _wait(self) -> Any:
        try:
            done = self._future.wait(max(self._deadline - time.monotonic(), 0.0))
        except KeyboardInterrupt:
            self._future.cancel()  # it would run, and cost, without anyone waiting for it
            raise
        if not done:
            self._future.cancel()
            raise TimeLimitError(
                f"{self.name!r} gave no answer within timeout={self.options.timeout:g} s; the "
                "problem was cancelled. Raise sampler_options 'timeout', or choose a solver with a "
                "shorter queue."
            )
        return self._future.wait_sampleset()


def _ask_again(future: Any) -> Any:
    """Return a new future for a problem that the service has: costs nothing."""
    again = future.solver.client.retrieve_answer(future.id)
    again.solver = future.solver
    return again


def access_time(info: Mapping[str, Any]) -> float | None:
    """Return the reported access time in seconds: of the QPU, or the run time charged for."""
    timing = {**info, **info.get("timing", {})}
    for name in ("charge_time", "qpu_access_time"):
        if name in timing:
            return float(timing[name]) * 1e-6
    return None
