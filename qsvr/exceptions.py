"""Errors with one root, so that a caller can catch them all at once; and our warnings."""

from __future__ import annotations

from typing import Any

__all__ = [
    "QSVRError",
    "CapacityError",
    "CostLimitError",
    "SamplerError",
    "ServiceError",
    "AuthenticationError",
    "ConfigurationError",
    "SolverMissingError",
    "SolverOfflineError",
    "ServiceUnavailableError",
    "TimeLimitError",
    "ProblemFailedError",
    "ProblemCancelledError",
    "IncompleteAnswerError",
    "InvalidAnswerError",
    "CoarseEncodingWarning",
    "FallbackWarning",
    "IndefiniteKernelWarning",
    "MemberFailedWarning",
    "SamplerWarning",
]


class QSVRError(Exception):
    """Root of the errors that this package raises for reasons other than bad input."""


class CapacityError(QSVRError, ValueError):
    """The problem has more variables than the sampler can take in one QUBO."""


class SamplerError(QSVRError, RuntimeError):
    """The sampler failed, or returned samples that cannot be used.

    Attributes
    ----------
    samples : Samples or None
        What came back before the failure, where anything did.
    partial_solution : DualSolution or None
        What a solver had found by then.
    partial_model : QSVR or None
        The model fitted to that, where there is one: it predicts.
    """

    samples: Any = None
    partial_solution: Any = None
    partial_model: Any = None


class CostLimitError(SamplerError):
    """The estimated access time of what is to be submitted exceeds ``max_access_time``."""


class ServiceError(SamplerError):
    """A remote service failed; the subclasses name the kind of failure."""


class AuthenticationError(ServiceError):
    """The service does not accept the token, or there is none."""


class ConfigurationError(ServiceError):
    """The client is not set up so that it could ask: endpoint, proxy, certificate or token."""


class SolverMissingError(ServiceError):
    """The service has no solver of that name or kind for this account."""


class SolverOfflineError(ServiceError):
    """The solver exists and does not accept problems now."""


class ServiceUnavailableError(ServiceError):
    """The service is overloaded, broken or out of reach, also after all retries."""


class TimeLimitError(ServiceError):
    """No answer came within the time limit; the problem was cancelled."""


class ProblemFailedError(ServiceError):
    """The solver took the problem and reported a failure."""


class ProblemCancelledError(ServiceError):
    """The problem was cancelled at the service."""


class IncompleteAnswerError(ServiceError):
    """The answer holds fewer samples than were asked for; they are in ``samples``."""


class InvalidAnswerError(ServiceError):
    """The answer has what no answer should have; reads that can be read are in ``samples``."""


class CoarseEncodingWarning(UserWarning):
    """One QUBO trains much worse than is possible: mostly, C is too large for n_bits."""


class IndefiniteKernelWarning(UserWarning):
    """The kernel matrix has negative eigenvalues, so that the dual is not convex."""


class MemberFailedWarning(UserWarning):
    """Members of an ensemble could not be solved; predictions use the others."""


class FallbackWarning(UserWarning):
    """The sampler asked for failed and the fallback that was asked for took its place."""


class SamplerWarning(UserWarning):
    """Reads or a seed do not reach the sampler, or it gave fewer reads than asked for."""
