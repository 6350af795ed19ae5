"""Optimality of the exact dual, whose coefficients sum to zero.

In terms of b alone the dual is ``1/2 b'Kb - y'b + epsilon * sum|b|`` over ``|b_n| <= C_n``, or
another interval around 0, and ``sum(b) = 0``. A point is optimal if an offset c exists for which
neither raising (by ``Kb - y + c``) nor lowering any single coefficient lowers the energy. The gap
is the smallest violation over all c, which is the stopping rule of libsvm.

>>> import numpy as np
>>> conditions = Conditions.of(
...     np.array([-1.0, 1.0]), b=np.zeros(2), C=np.ones(2), epsilon=0.1
... )
>>> conditions.gap
1.8
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsvr._typing import FloatArray
from qsvr.problem.dual import two_sided

__all__ = [
    "Conditions",
    "canonical",
    "duality_gap",
    "exact_energy",
]


@dataclass(frozen=True, eq=False)
class Conditions:
    """One-sided derivatives of the exact dual at a point.

    Attributes
    ----------
    rise : ndarray of shape (n_samples,)
        Change of energy per unit by which b rises; infinite at the upper bound.
    fall : ndarray of shape (n_samples,)
        Energy gained per unit by which b falls; minus infinity at the lower bound.
    """

    rise: FloatArray
    fall: FloatArray

    @classmethod
    def of(
        cls,
        field: FloatArray,
        b: FloatArray,
        C: FloatArray,
        epsilon: float,
    ) -> Conditions:
        """Return the conditions at b, where ``field`` is K b - y without penalty.

        ``C`` is the upper bound of a and a-hat, shape (n_samples,), or of each, (2, n_samples).
        """
        upper, lower = two_sided(C)
        margin = 1e-12 * np.maximum(upper, lower)
        rise = field + np.where(b >= -margin, epsilon, -epsilon)
        fall = field + np.where(b > margin, epsilon, -epsilon)
        can_rise, can_fall = b < upper - margin, b > margin - lower
        return cls(np.where(can_rise, rise, np.inf), np.where(can_fall, fall, -np.inf))

    @property
    def gap(self) -> float:
        """Violation in units of y: 0 exactly at a minimum with sum(b) = 0 of a convex dual."""
        return float(max(self.fall.max() - self.rise.min(), 0.0))

    @property
    def offset(self) -> float:
        """Offset c with the smallest violation, which is the intercept of the model.

        If no coefficient can rise, or none can fall, it is the end of an unbounded range.
        """
        ends = [float(end) for end in (self.fall.max(), self.rise.min()) if np.isfinite(end)]
        return -sum(ends) / len(ends) if ends else 0.0

    @property
    def violation(self) -> FloatArray:
        """Violation of the conditions by each sample at `offset`, (n_samples,)."""
        c = self.offset
        return np.asarray(np.maximum(np.maximum(self.fall + c, -self.rise - c), 0.0))


def canonical(b: FloatArray) -> FloatArray:
    """Return b of shape (..., n_samples) as coefficients (..., 2, n_samples) without overlap.

    Of all pairs (a, a-hat) with the same b this has the lowest energy.
    """
    return np.stack([np.maximum(b, 0.0), np.maximum(-b, 0.0)], axis=-2)


def exact_energy(field: FloatArray, b: FloatArray, y: FloatArray, epsilon: float) -> float:
    """Return the exact dual's energy at b, where ``field`` is K b - y without penalty."""
    return float(0.5 * b @ (field - y) + epsilon * np.abs(b).sum())


def duality_gap(field: FloatArray, b: FloatArray, C: FloatArray, epsilon: float) -> float:
    """Return an upper bound on the distance of the energy at b from the minimum of a convex dual.

    ``field`` is K b - y plus any constant (the multiplier of sum(b) = 0, best `Conditions.offset`).
    The energy is bounded from below by its linear part, whose minimum over the box is at one of its
    ends or 0 in each coefficient (a Frank-Wolfe gap). ``C`` is as for `Conditions.of`.
    """
    upper, lower = two_sided(C)
    lowest = -np.where(field > 0.0, lower, upper) * np.maximum(np.abs(field) - epsilon, 0.0)
    return float((field * b + epsilon * np.abs(b) - lowest).sum())
