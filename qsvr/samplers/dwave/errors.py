"""Translation of exceptions of the client into errors of this package, with a remedy.

No error of this package holds or shows a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qsvr.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidAnswerError,
    ProblemCancelledError,
    ProblemFailedError,
    QSVRError,
    SamplerError,
    ServiceError,
    ServiceUnavailableError,
    SolverMissingError,
    SolverOfflineError,
    TimeLimitError,
)
from qsvr.samplers.redaction import redact

__all__ = ["read_or_raise", "translate"]

T = TypeVar("T")

_MESSAGES: dict[type[ServiceError], str] = {
    AuthenticationError: "{solver!r} could not be opened, because the token is missing or not "
    "accepted: {error}. Check the token in the D-Wave client's configuration (`dwave setup`) or in "
    "the environment variable DWAVE_API_TOKEN.",
    ConfigurationError: "{solver!r} cannot be reached with the client's configuration: {error}. "
    "Check endpoint, proxy, certificates, headers and token in its configuration (`dwave config "
    "inspect`), in the environment and in sampler_options.",
    InvalidAnswerError: "{solver!r} returned an invalid answer: {error}. Its access time "
    "stays charged. Fit again, choose another solver, or set "
    "sampler_options={{'fallback': 'structured'}}.",
    SolverMissingError: "no solver fits {solver!r}: {error}. Check sampler_options 'solver' and "
    "'region', and what `dwave solvers` lists for this account.",
    SolverOfflineError: "the solver {solver!r} is offline: {error}. Choose another with "
    "sampler_options={{'solver': ...}}, try again later, or set "
    "sampler_options={{'fallback': 'structured'}}.",
    ServiceUnavailableError: "the service of {solver!r} is overloaded or unreachable: {error}. "
    "Try again later, raise sampler_options 'max_retries', or set "
    "sampler_options={{'fallback': 'structured'}}.",
    TimeLimitError: "{solver!r} returned no answer in time: {error}. Raise sampler_options "
    "'timeout' (seconds), or choose a solver with a shorter queue.",
    ProblemFailedError: "{solver!r} accepted the problem and failed: {error}. Check the sampler's "
    "options against the ranges of the solver, try again, or choose another solver.",
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
    "UnsupportedSolverError": SolverMissingError,
    "ResourceBadRequestError": ProblemFailedError,
    "ResourceConflictError": ProblemFailedError,
    "ResourceLimitsExceededError": ServiceUnavailableError,
    "InternalServerError": ServiceUnavailableError,
    "RequestTimeout": ServiceUnavailableError,
    "ResourceBadResponseError": ServiceUnavailableError,
    "ProblemUploadError": ServiceUnavailableError,
    # No retry mends these: a bad address, header or certificate.
    "InvalidURL": ConfigurationError,
    "MissingSchema": ConfigurationError,
    "InvalidSchema": ConfigurationError,
    "InvalidHeader": ConfigurationError,
    "SSLError": ConfigurationError,
    "LocationParseError": ConfigurationError,
    "ConfigFileError": ConfigurationError,
    "RequestException": ServiceUnavailableError,
    "ConnectionError": ServiceUnavailableError,
    "TimeoutError": ServiceUnavailableError,
}


def translate(
    error: Exception, solver: str, otherwise: type[ServiceError] | None = None
) -> SamplerError:
    """Return the error of this package for an exception of the client.

    Parameters
    ----------
    error : Exception
    solver : str
        Name of the solver, for the message.
    otherwise : type, default=None
        Error for other exceptions. None means `SamplerError`.
    """
    # Its frames hold the client's future, and that one a file: without them both go at once.
    error.__traceback__ = None
    if isinstance(error, SamplerError):
        return error
    described = redact(f"{type(error).__name__}: {error}").rstrip(".")
    kind = _kind_of(error) or otherwise
    if kind is None:
        return SamplerError(
            f"the sampler {solver!r} failed: {described}. Try sampler='structured', which runs on "
            "this machine."
        )
    return kind(_MESSAGES[kind].format(solver=solver, error=described))


def read_or_raise(
    read: Callable[[], T], solver: str, otherwise: type[ServiceError] = InvalidAnswerError
) -> T:
    """Return the result of a function that reads an answer, and translate its errors.

    Parameters
    ----------
    read : callable
        Called without arguments. Errors of this package and of the client are translated as usual.
        Any other exception means that the answer has an unexpected shape.
    solver : str
        Name of the solver, for the message.
    otherwise : type, default=InvalidAnswerError
        Error for an unexpected shape.
    """
    try:
        return read()
    except QSVRError:
        raise
    except Exception as raised:  # noqa: BLE001 - any exception means that it cannot be read
        error = translate(raised, solver, otherwise)
    raise error


def _kind_of(error: Exception) -> type[ServiceError] | None:
    code = getattr(error, "error_code", None)
    if isinstance(code, int) and code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(code, int) and 500 <= code < 600:
        return ServiceUnavailableError
    if isinstance(code, int) and 400 <= code < 500:
        return ProblemFailedError
    names = {cls.__name__ for cls in type(error).__mro__}
    no_token = isinstance(error, ValueError) and "token not defined" in str(error)
    if no_token or ("ProblemUploadError" in names and "AuthenticationError" in str(error)):
        return AuthenticationError
    if "SSLError" in names and "EOF occurred" in str(error):
        return ServiceUnavailableError  # the connection was lost, another attempt may succeed
    return next((kind for name, kind in _BY_NAME.items() if name in names), None)
