"""Errors, which share one base class, and warnings."""

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
    """Base class of the errors that this package raises for reasons other than invalid input."""


class CapacityError(QSVRError, ValueError):
    """The problem has more variables than one QUBO of the sampler can hold."""


class SamplerError(QSVRError, RuntimeError):
    """The sampler failed, or returned samples that cannot be used.

    Attributes
    ----------
    samples : Samples or None
        Samples that were returned before the failure.
    partial_solution : DualSolution or None
        Solution that had been found before the failure.
    partial_model : QSVR or None
        Model fitted to that solution.
    """

    samples: Any = None
    partial_solution: Any = None
    partial_model: Any = None


class CostLimitError(SamplerError):
    """The estimated access time exceeds ``max_access_time``; nothing more was submitted."""


class ServiceError(SamplerError):
    """A remote service failed. Subclasses distinguish the kinds of failure."""


class AuthenticationError(ServiceError):
    """The service rejected the token, or there is no token."""


class ConfigurationError(ServiceError):
    """The client cannot make a request with its endpoint, proxy, certificate or token."""


class SolverMissingError(ServiceError):
    """The service has no solver of that name or kind for this account."""


class SolverOfflineError(ServiceError):
    """The solver exists but does not accept problems at present."""


class ServiceUnavailableError(ServiceError):
    """The service is overloaded, failing or unreachable, even after all retries."""


class TimeLimitError(ServiceError):
    """There was no answer within the time limit, and the problem was cancelled."""


class ProblemFailedError(ServiceError):
    """The solver accepted the problem and reported a failure."""


class ProblemCancelledError(ServiceError):
    """The problem was cancelled by the service."""


class IncompleteAnswerError(ServiceError):
    """The answer has fewer samples than requested; they are in ``samples``."""


class InvalidAnswerError(ServiceError):
    """The answer is malformed; the reads that are readable are in ``samples``."""


class CoarseEncodingWarning(UserWarning):
    """One QUBO gave a much worse training loss than possible; C may be too large for n_bits."""


class IndefiniteKernelWarning(UserWarning):
    """The kernel matrix has negative eigenvalues, so that the dual is not convex."""


class MemberFailedWarning(UserWarning):
    """Members of an ensemble failed; predictions use the others."""


class FallbackWarning(UserWarning):
    """The sampler failed and the requested fallback was used instead."""


class SamplerWarning(UserWarning):
    """The sampler has no option for reads or a seed, or returned fewer reads than requested."""
