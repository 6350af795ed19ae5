"""What went wrong at the service, as one of our exceptions: what happened and what to do.

No exception of ours holds or shows a token.
"""

from __future__ import annotations

import logging
import re

from qsvr.exceptions import (
    AuthenticationError,
    ProblemCancelledError,
    ProblemFailedError,
    SamplerError,
    ServiceError,
    ServiceUnavailableError,
    SolverMissingError,
    SolverOfflineError,
    TimeLimitError,
)

__all__ = ["TokenFilter", "redact", "translate"]

_AFTER_NAME = re.compile(r"""(token['"]?\s*[:=]\s*['"])[^'"]+""", re.IGNORECASE)
# Solver API tokens: two to four letters, a dash, and 40 or more letters and digits.
_TOKEN = re.compile(r"\b[0-9A-Za-z]{2,4}-[0-9A-Za-z]{40,}\b")

_MESSAGES: dict[type[ServiceError], str] = {
    AuthenticationError: "{solver!r} could not be opened, because the token is missing or not "
    "accepted: {error}. Check the token in the D-Wave client's configuration (`dwave setup`) or in "
    "the environment variable DWAVE_API_TOKEN.",
    SolverMissingError: "no solver fits {solver!r}: {error}. Check sampler_options 'solver' and "
    "'region', and what `dwave solvers` lists for this account.",
    SolverOfflineError: "the solver {solver!r} is offline: {error}. Choose another with "
    "sampler_options={{'solver': ...}}, try again later, or set "
    "sampler_options={{'fallback': 'structured'}}.",
    ServiceUnavailableError: "the service of {solver!r} is overloaded or out of reach: {error}. "
    "Try again later, raise sampler_options 'max_retries', or set "
    "sampler_options={{'fallback': 'structured'}}.",
    TimeLimitError: "{solver!r} gave no answer in time: {error}. Raise sampler_options 'timeout' "
    "(seconds), or choose a solver with a shorter queue.",
    ProblemFailedError: "{solver!r} took the problem and failed: {error}. Check the sampler's "
    "options against the solver's ranges; where they hold, try again or choose another solver.",
    ProblemCancelledError: "the problem sent to {solver!r} was cancelled: {error}. Submit it again "
    "if that was not intended.",
}
_BY_CODE: dict[int, type[ServiceError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: SolverMissingError,
    408: ServiceUnavailableError,
    429: ServiceUnavailableError,
}
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
    "ConnectionError": ServiceUnavailableError,
    "TimeoutError": ServiceUnavailableError,
}


def translate(error: Exception, solver: str) -> SamplerError:
    """Return the exception of ours that says what an exception of the client means.

    Parameters
    ----------
    error : Exception
    solver : str
        Name of the solver, for the message.
    """
    if isinstance(error, SamplerError):
        return error
    described = redact(f"{type(error).__name__}: {error}").rstrip(".")
    kind = _kind_of(error)
    if kind is None:
        return SamplerError(
            f"the sampler {solver!r} failed: {described}. Try sampler='structured', which runs on "
            "this machine."
        )
    return kind(_MESSAGES[kind].format(solver=solver, error=described))


def _kind_of(error: Exception) -> type[ServiceError] | None:
    code = getattr(error, "error_code", None)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(code, int) and 500 <= code < 600:
        return ServiceUnavailableError
    names = {cls.__name__ for cls in type(error).__mro__}
    no_token = isinstance(error, ValueError) and "token not defined" in str(error)
    if no_token or ("ProblemUploadError" in names and "AuthenticationError" in str(error)):
        return AuthenticationError
    return next((kind for name, kind in _BY_NAME.items() if name in names), None)


def redact(text: str) -> str:
    """Return the text without anything that looks like a token."""
    return _TOKEN.sub("<token>", _AFTER_NAME.sub(r"\g<1><token>", text))


class TokenFilter(logging.Filter):
    """Takes tokens out of log records: the D-Wave client logs its configuration when debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record where it holds a token; let every record pass."""
        # Now, also without a token: arguments may be filled in after the record is made.
        record.msg, record.args = redact(record.getMessage()), None
        return True
