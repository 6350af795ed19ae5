"""Errors with one root, so that a caller can catch them all at once; and our warning."""

from __future__ import annotations

from typing import Any

__all__ = [
    "QSVRError",
    "CapacityError",
    "SamplerError",
    "CoarseEncodingWarning",
    "MemberFailedWarning",
]


class QSVRError(Exception):
    """Root of the errors that this package raises for reasons other than bad input."""


class CapacityError(QSVRError, ValueError):
    """The problem has more variables than the sampler can take in one QUBO."""


class SamplerError(QSVRError, RuntimeError):
    """The sampler failed, or answered with something that cannot be used.

    Attributes
    ----------
    partial_model : QSVR or None
        A fitted model of the best solution so far, where the failure came after the first round of
        a refinement or decomposition: no annealer time is lost.
    partial_solution : DualSolution or None
        The same, before it is made into a model.
    """

    partial_model: Any = None
    partial_solution: Any = None


class CoarseEncodingWarning(UserWarning):
    """The solution found is far above the relaxation bound: mostly, C is too large for n_bits."""


class MemberFailedWarning(UserWarning):
    """Members of an ensemble could not be solved; the others carry on without them."""
