"""What went wrong at the service, as one of our exceptions: what happened and what to do."""

from __future__ import annotations

import logging
import re
from concurrent.futures import TimeoutError as FutureTimeoutError

from qsvr.exceptions import (
    AuthenticationError,
    IncompleteAnswerError,
    ProblemCancelledError,
    ProblemFailedError,
    SamplerError,
    ServiceError,
    ServiceUnavailableError,
    SolverMissingError,
    SolverOfflineError,
    TimeLimitError,
)

__all__ = ["REDACTED", "TokenFilter", "is_retryable", "redact", "translate", "was_rejected"]

REDACTED = "<token>"
_AFTER_NAME = re.compile(r"""(token['"]?\s*[:=]\s*['"])[^'"]+""", re.IGNORECASE)
# Solver API tokens: two to four letters, a dash, and 40 or more letters and digits.
_TOKEN = re.compile(r"\b[0-9A-Za-z]{2,4}-[0-9A-Za-z]{40,}\b")

_REMEDIES: dict[type[ServiceError], str] = {
    AuthenticationError: "Check the token in the D-Wave client's configuration (`dwave setup`) or "
    "in the environment variable DWAVE_API_TOKEN.",
    SolverMissingError: "Check sampler_options 'solver' and 'region', and what `dwave solvers` "
    "lists for this account.",
    SolverOfflineError: "Choose another with sampler_options={'solver': ...}, try again later, or "
    "set sampler_options={'fallback': 'structured'}.",
    ServiceUnavailableError: "Try again later, raise sampler_options 'max_retries', or set "
    "sampler_options={'fallback': 'structured'}.",
    TimeLimitError: "Raise sampler_options 'timeout' (seconds), or choose a solver with a shorter "
    "queue.",
    ProblemFailedError: "Check the sampler's options against the solver's ranges; where they hold, "
    "try again or choose another solver.",
    ProblemCancelledError: "Submit it again if that was not intended.",
    IncompleteAnswerError: "Use what came back (the error's partial_model), ask for fewer reads, "
    "or fit again.",
}
_RETRYABLE = (ServiceUnavailableError,)


def redact(text: str) -> str:
    """Return the text without anything that looks like a token."""
    return _TOKEN.sub(REDACTED, _AFTER_NAME.sub(rf"\g<1>{REDACTED}", text))


class TokenFilter(logging.Filter):
    """Takes tokens out of log records: the D-Wave client logs its configuration when debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record where it holds a token; let every record pass."""
        # Now, also without a token: arguments may be filled in after the record is made.
        record.msg, record.args = redact(record.getMessage()), None
        return True


def is_retryable(error: BaseException) -> bool:
    """Whether trying again may help: overload, server errors and lost connections only."""
    return isinstance(error, _RETRYABLE)


def was_rejected(error: BaseException) -> bool:
    """Whether the service certainly did not take the submission (it answered with a status)."""
    code = getattr(error, "error_code", None)
    return isinstance(code, int) and code >= 400


def translate(error: BaseException, solver: str) -> SamplerError:
    """Return the exception of ours that says what an exception of the client means.

    Parameters
    ----------
    error : BaseException
    solver : str
        Name of the solver, for the message.
    """
    if isinstance(error, SamplerError):
        return error
    kind = _kind_of(error)
    if kind is None:
        return SamplerError(
            f"the sampler {solver!r} failed: {_described(error)}. Try sampler='structured', which "
            "runs on this machine."
        )
    return kind(f"{_HAPPENED[kind].format(solver)}: {_described(error)}. {_REMEDIES[kind]}")


_HAPPENED: dict[type[ServiceError], str] = {
    AuthenticationError: "{!r} could not be opened, because the token is missing or not accepted",
    SolverMissingError: "no solver fits {!r}",
    SolverOfflineError: "the solver {!r} is offline",
    ServiceUnavailableError: "the service of {!r} is overloaded or out of reach",
    TimeLimitError: "{!r} gave no answer in time",
    ProblemFailedError: "{!r} took the problem and failed",
    ProblemCancelledError: "the problem sent to {!r} was cancelled",
}


def _described(error: BaseException) -> str:
    return redact(f"{type(error).__name__}: {error}").rstrip(".")


def _kind_of(error: BaseException) -> type[ServiceError] | None:
    code = getattr(error, "error_code", None)
    by_code = _kind_of_code(code) if isinstance(code, int) else None
    if by_code is not None:
        return by_code
    names = {cls.__name__ for cls in type(error).__mro__}
    if "ProblemUploadError" in names and "AuthenticationError" in str(error):
        return AuthenticationError
    for known, kind in _BY_NAME.items():
        if known in names:
            return kind
    if isinstance(error, (ConnectionError, FutureTimeoutError)):
        return ServiceUnavailableError
    if isinstance(error, ValueError) and "token not defined" in str(error):
        return AuthenticationError
    return None


def _kind_of_code(code: int) -> type[ServiceError] | None:
    if code in {401, 403}:
        return AuthenticationError
    if code == 404:
        return SolverMissingError
    if code in {408, 429} or 500 <= code < 600:
        return ServiceUnavailableError
    return None


# By name, from the most to the least particular, so that the client need not be imported here.
_BY_NAME: dict[str, type[ServiceError]] = {
    "ResourceAuthenticationError": AuthenticationError,
    "ResourceAccessForbiddenError": AuthenticationError,
    "SolverOfflineError": SolverOfflineError,
    "ResourceNotFoundError": SolverMissingError,
    "CanceledFutureError": ProblemCancelledError,
    "PollingTimeout": TimeLimitError,
    "SolverFailureError": ProblemFailedError,
    "ResourceLimitsExceededError": ServiceUnavailableError,
    "InternalServerError": ServiceUnavailableError,
    "RequestTimeout": ServiceUnavailableError,
    "ResourceBadResponseError": ServiceUnavailableError,
    "ProblemUploadError": ServiceUnavailableError,
    "RequestException": ServiceUnavailableError,
}
