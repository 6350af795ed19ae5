"""Try again, later and later, where that can help: the D-Wave client itself does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from qsvr.exceptions import QSVRError, SamplerError
from qsvr.samplers.dwave.errors import is_retryable, translate

__all__ = ["RetryPolicy", "with_retries"]

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
