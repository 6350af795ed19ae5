"""The dual of support vector machines, as a function of non-negative coefficients.

For a kernel matrix K, targets y, tube epsilon and box C, with a_n, ah_n in [0, C_n], b = a - ah::

    E(a, ah) = 1/2 b'Kb + epsilon * sum(a + ah) - y'b
               + equality_penalty * (sum b)^2 + overlap_penalty * sum(a_n * ah_n)

(Pasetto et al. 2022, eq. 6, with the sign of a minimisation.) The exact dual requires sum(b) = 0.
The penalty is equivalent to adding ``2 * equality_penalty`` to the kernel, that is, to a
regularised offset. Coefficients are arrays of shape (..., 2, n_samples): row 0 is a, row 1 is
a-hat.

The box may differ between a and a-hat, so that b_n is in any interval [lower_n, upper_n] around 0.
Support vector classification is the same problem with epsilon = 0, targets of 1 and -1, and
one-sided boxes: b_n = y_n a_n, so that samples with y_n = 1 have only a, and samples with y_n = -1
only a-hat.

>>> import numpy as np
>>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
>>> relaxation = dual.relax()
>>> relaxation.coefficients.round(3)
array([[0.9, 0. ],
       [0. , 0.9]])
>>> round(relaxation.bound, 3)
-0.81

>>> classification = SVRDual.of_labels(np.eye(2), np.array([1.0, -1.0]), C=np.ones(2))
>>> classification.lower, classification.upper
(array([ 0., -1.]), array([1., 0.]))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import linalg

from qsvr._typing import FloatArray, IntArray
from qsvr.problem.kernel_rows import KernelRows

__all__ = ["LargeDual", "Relaxation", "SVRDual", "attainable", "one_sided", "two_sided"]


def attainable(box: FloatArray) -> FloatArray:
    """Return the boxes, (2, n_samples), limited to what coefficients with sum 0 can attain.

    A coefficient that rises needs others that fall, so it stays below the sum of their boxes.

    Parameters
    ----------
    box : ndarray of shape (2, n_samples)
        Upper bounds of a and a-hat.
    """
    return np.asarray(np.minimum(box, box[::-1].sum(axis=1, keepdims=True) - box[::-1]))


def two_sided(C: FloatArray) -> FloatArray:
    """Return upper bounds of a and a-hat, shape (2, n_samples).

    Parameters
    ----------
    C : ndarray of shape (2, n_samples) or (n_samples,)
        Bounds of both, or one bound for both.
    """
    return np.asarray(C if C.ndim == 2 else np.tile(C, (2, 1)))


def one_sided(C: FloatArray, labels: FloatArray) -> FloatArray:
    """Return the box of a classification, shape (2, n_samples): 0 for the other sign of b.

    Parameters
    ----------
    C : ndarray of shape (n_samples,)
        Largest b_n * labels_n.
    labels : ndarray of shape (n_samples,)
        1 or -1.
    """
    return np.stack([np.where(labels > 0.0, C, 0.0), np.where(labels > 0.0, 0.0, C)])


class _Boxed:
    """Bounds of the coefficients of a dual, in several forms."""

    C: FloatArray

    @cached_property
    def box(self) -> FloatArray:
        """Upper bounds of a and a-hat, shape (2, n_samples)."""
        return two_sided(self.C)

    @property
    def upper(self) -> FloatArray:
        """Upper bounds of b, shape (n_samples,)."""
        return np.asarray(self.box[0])

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of b, shape (n_samples,)."""
        return np.asarray(0.0 - self.box[1])

    @property
    def reach(self) -> FloatArray:
        """Largest absolute value of b, shape (n_samples,): the weight of each sample's loss."""
        return np.asarray(self.box.max(axis=0))


# Kernels are not scaled for the relaxation if the exponent of their diagonal is within this.
_HARMLESS_EXPONENT = 16


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Solution of the dual over real coefficients in a box.

    Attributes
    ----------
    coefficients : ndarray of shape (2, n_samples)
        Coefficients a and a-hat.
    energy : float
        Energy of the coefficients.
    bound : float
        Lower bound on the energy of every point of the box, for any accuracy of the solver.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import SVRDual
    >>> relaxation = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2)).relax()
    >>> round(relaxation.energy, 3) >= round(relaxation.bound, 3)
    True
    """

    coefficients: FloatArray
    energy: float
    bound: float


@dataclass(frozen=True, eq=False)
class SVRDual(_Boxed):
    """Dual of a support vector machine: energy, gradient, optimality gap and relaxation.

    Parameters
    ----------
    kernel_matrix : ndarray of shape (n_samples, n_samples)
        Symmetric kernel matrix.
    y : ndarray of shape (n_samples,)
        Targets. The exact dual does not change if a constant is added.
    epsilon : float
        Half-width of the tube within which deviations cost nothing, in units of y.
    C : ndarray of shape (n_samples,) or (2, n_samples)
        Upper bound of each sample's coefficients, or of a and of a-hat in two rows.
    equality_penalty : float, default=0.0
        Weight of (sum b)^2.
    overlap_penalty : float, default=0.0
        Weight of a_n * ah_n.

    See Also
    --------
    SVRQubo : The dual over bits.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import SVRDual
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> float(dual.energy(np.array([[0.9, 0.0], [0.0, 0.9]])).round(3))
    -0.81
    """

    kernel_matrix: FloatArray
    y: FloatArray
    epsilon: float
    C: FloatArray
    equality_penalty: float = 0.0
    overlap_penalty: float = 0.0

    @classmethod
    def of_labels(
        cls,
        kernel_matrix: FloatArray,
        labels: FloatArray,
        C: FloatArray,
        *,
        equality_penalty: float = 0.0,
    ) -> SVRDual:
        """Return the dual of support vector classification.

        Parameters
        ----------
        kernel_matrix : ndarray of shape (n_samples, n_samples)
            Symmetric kernel matrix.
        labels : ndarray of shape (n_samples,)
            1 or -1.
        C : ndarray of shape (n_samples,)
            Upper bound of each sample's coefficient.
        equality_penalty : float, default=0.0
            Weight of (sum b)^2.
        """
        return cls(kernel_matrix, labels, 0.0, one_sided(C, labels), equality_penalty)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.y.size

    @property
    def is_convex(self) -> bool:
        """Whether the kernel is positive semi-definite."""
        return self.smallest_curvature == 0.0

    @cached_property
    def relaxation(self) -> Relaxation:
        """Solution over real coefficients; see `relax`."""
        return self.relax(start=vars(self).get("_start"))

    @property
    def bound(self) -> float:
        """Lower bound on the energy of every solution, from the relaxation."""
        return self.relaxation.bound

    def outputs(self, b: FloatArray) -> FloatArray:
        """Return b K for b of shape (..., n_samples), in the same shape."""
        return np.asarray(b @ self.kernel_matrix)

    @cached_property
    def penalised_kernel(self) -> FloatArray:
        """K + 2 * equality_penalty, shape (n_samples, n_samples)."""
        if self.equality_penalty == 0.0:
            return np.ascontiguousarray(self.kernel_matrix)
        return self.kernel_matrix + 2.0 * self.equality_penalty

    def recentred(self, shift: float) -> SVRDual:
        """Return the dual of ``y - shift``, without recomputing what depends on the kernel only."""
        other = replace(self, y=self.y - shift)
        kept = {"penalised_kernel", "smallest_curvature"} & vars(self).keys()
        vars(other).update({name: vars(self)[name] for name in kept})
        start = vars(self).get("_start")
        if "relaxation" in vars(self):
            start = self.relaxation.coefficients
        if start is not None:
            vars(other)["_start"] = start
        return other

    def with_box(self, C: FloatArray, epsilon: float, start: FloatArray | None = None) -> SVRDual:
        """Return the dual of another box and tube, keeping what depends on the kernel only.

        Parameters
        ----------
        C : ndarray of shape (n_samples,) or (2, n_samples)
        epsilon : float
        start : ndarray of shape (2, n_samples), default=None
            Initial point of the relaxation.
        """
        other = replace(self, C=C, epsilon=epsilon)
        kept = {"penalised_kernel", "smallest_curvature"} & vars(self).keys()
        vars(other).update({name: vars(self)[name] for name in kept})
        if start is not None:
            vars(other)["_start"] = start
        return other

    def field(self, b: FloatArray) -> FloatArray:
        """Return K b + 2 * equality_penalty * sum(b) - y for b of shape (..., n_samples)."""
        total = b.sum(axis=-1, keepdims=True)
        field = b @ self.kernel_matrix + 2.0 * self.equality_penalty * total - self.y
        return np.asarray(field)

    def energy(self, coefficients: FloatArray) -> FloatArray:
        """Return E for coefficients of shape (..., 2, n_samples)."""
        a, ah = coefficients[..., 0, :], coefficients[..., 1, :]
        b = a - ah
        quadratic = 0.5 * np.sum((b @ self.kernel_matrix) * b, axis=-1)
        energy = quadratic + self.epsilon * (a + ah).sum(axis=-1) - b @ self.y
        energy += self.equality_penalty * b.sum(axis=-1) ** 2
        if self.overlap_penalty:
            energy += self.overlap_penalty * (a * ah).sum(axis=-1)
        return np.asarray(energy)

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Return dE/d(a, ah) for coefficients of shape (..., 2, n_samples), in the same shape."""
        field = self.field(coefficients[..., 0, :] - coefficients[..., 1, :])
        gradient = np.stack([field, -field], axis=-2) + self.epsilon
        if self.overlap_penalty:
            gradient += self.overlap_penalty * coefficients[..., ::-1, :]
        return gradient

    def kkt_gap(self, coefficients: FloatArray) -> float:
        """Return the largest violation of the optimality conditions over the box.

        It is the largest component of the gradient along which a coefficient can still move, in
        units of y, and 0 exactly at the minimum of a convex dual. ``coefficients`` have shape
        (2, n_samples).
        """
        gradient = self.gradient(coefficients)
        can_fall = np.where(coefficients > 0.0, gradient, 0.0)
        can_rise = np.where(coefficients < self.box, -gradient, 0.0)
        return float(max(can_fall.max(), can_rise.max(), 0.0))

    @cached_property
    def smallest_curvature(self) -> float:
        """Most negative eigenvalue of the kernel, or 0 if it is positive semi-definite."""
        diagonal = np.abs(np.diag(self.kernel_matrix))
        jitter = 1e-9 * max(float(diagonal.mean()), np.finfo(float).tiny)
        try:
            linalg.cholesky(
                self.kernel_matrix + jitter * np.eye(self.n_samples), check_finite=False
            )
        except linalg.LinAlgError:
            lowest = linalg.eigvalsh(self.kernel_matrix, subset_by_index=[0, 0])[0]
            return min(float(lowest), 0.0)
        return 0.0

    def relax(
        self,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
        *,
        start: FloatArray | None = None,
        rtol: float = 1e-6,
        max_iter: int | None = None,
    ) -> Relaxation:
        """Minimise over real coefficients in a box, with a rigorous lower bound.

        The bound lies a Frank-Wolfe duality gap below the energy found, so it holds even if the
        solver has not converged. For an indefinite kernel the most negative eigenvalue times the
        size of the box is subtracted too, and the overlap penalty, which is never negative, is left
        out.

        Parameters
        ----------
        lower, upper : ndarray of shape (2, n_samples), default=None
            Limits of the box. None means 0 and the bounds of the dual.
        start : ndarray of shape (2, n_samples), default=None
            Initial point, clipped to the box. None means 0.
        rtol : float, default=1e-06
            Tolerance: largest gap as a fraction of the energy.
        max_iter : int, default=None
            Maximum number of pair steps. None means 1000 plus 500 per sample.

        Returns
        -------
        relaxation : Relaxation
            Coefficients, energy and bound.
        """
        from qsvr.problem._smo import Box, smo

        lower = np.zeros((2, self.n_samples)) if lower is None else lower
        upper = self.box if upper is None else upper
        # In terms of b = a - ah, with the cheapest a and ah for it: the cost has its corner where
        # both are at their lower bounds. The slack is minus the sum of b.
        low, high, kink = lower[0] - upper[1], upper[0] - lower[1], lower[0] - lower[1]
        b = np.zeros_like(kink) if start is None else start[0] - start[1]
        b = np.clip(b, low, high)
        most = float(np.maximum(np.abs(low), np.abs(high)).sum())
        cost = np.append(np.full(b.size, self.epsilon), 0.0)
        box = Box(np.append(low, -most), np.append(high, most), np.append(kink, 0.0), cost)
        slack = 2.0 * self.equality_penalty
        diagonal = np.append(np.diag(self.kernel_matrix), slack)
        limit = 1000 + 500 * b.size if max_iter is None else max_iter
        point, tol, n_pairs = np.append(b, -b.sum()), np.inf, 0
        while True:
            # The field is recomputed to remove the rounding errors of many updates.
            b = point[:-1]
            a = np.maximum(lower[0], b + lower[1])
            z = np.clip(np.stack([a, a - b]), lower, upper)
            energy, gap = float(self.energy(z)), self._frank_wolfe_gap(z, lower, upper)
            if gap <= rtol * abs(energy) or n_pairs >= limit or tol == 0.0:
                break
            point[-1] = -b.sum()
            field = np.append(b @ self.kernel_matrix - self.y, slack * point[-1])
            tol = 0.03 * min(tol, 0.03 * (float(np.ptp(field)) + 2.0 * self.epsilon))
            tol = 0.0 if tol < 1e-14 * float(np.abs(field).max()) else tol
            most_pairs = limit - n_pairs
            n_pairs += 1 + smo(self.kernel_matrix, diagonal, field, point, box, tol, most_pairs)
        bound = energy - self.overlap_penalty * float((z[0] * z[1]).sum()) - gap
        if self.smallest_curvature < 0.0:
            reach = upper.sum(axis=0) - lower.sum(axis=0)  # longest possible move of each b
            bound += 0.5 * self.smallest_curvature * float(reach @ reach)
        return Relaxation(z, energy, float(bound))

    def _frank_wolfe_gap(self, z: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
        """Bound on E(z) - min E for a convex dual without overlap: largest -grad * (z' - z)."""
        field = self.field(z[0] - z[1])
        gradient = np.stack([field, -field]) + self.epsilon
        return float((gradient * (z - np.where(gradient > 0.0, lower, upper))).sum())


@dataclass(frozen=True, eq=False)
class LargeDual(_Boxed):
    """The dual of `SVRDual` with kernel rows on demand instead of a matrix.

    Attributes
    ----------
    rows : KernelRows
    y : ndarray of shape (n_samples,)
    epsilon : float
    C : ndarray of shape (n_samples,) or (2, n_samples)
    equality_penalty, overlap_penalty : float, default=0.0
        As in `SVRDual`.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr.problem.dual import LargeDual
    >>> from qsvr.problem.kernel_rows import KernelRows
    >>> from qsvr.problem.kernels import Kernel
    >>> X, kernel = np.arange(6.0)[:, None], Kernel("rbf", gamma=0.5, degree=3, coef0=0.0)
    >>> rows = KernelRows(kernel, X, np.arange(6), cache_size=1.0)
    >>> dual = LargeDual(rows, np.sin(X[:, 0]), epsilon=0.1, C=np.ones(6))
    >>> dual.epsilon
    0.1
    """

    rows: KernelRows
    y: FloatArray
    epsilon: float
    C: FloatArray
    equality_penalty: float = 0.0
    overlap_penalty: float = 0.0

    @property
    def is_convex(self) -> bool:
        """False, because it is not known whether the kernel is positive semi-definite."""
        return False

    @property
    def bound(self) -> float:
        """Minus infinity, because the relaxation is not solved without a matrix."""
        return -np.inf

    def outputs(
        self, b: FloatArray, used: IntArray | None = None, *, n_rows: int = 256
    ) -> FloatArray:
        """Return b K for b of shape (n_solutions, n_samples), in the same shape.

        Uses ``n_rows`` kernel rows at a time. b must be 0 outside the samples ``used``, by default
        those with a coefficient other than 0.
        """
        used = np.flatnonzero(b.any(axis=0)) if used is None else used
        outputs = np.zeros_like(b)
        for part in np.array_split(used, -(-used.size // n_rows) or 1):
            outputs += b[:, part] @ self.rows[part]
        return outputs
