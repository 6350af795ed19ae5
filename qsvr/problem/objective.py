"""The training objective of support vector machines: the primal that the dual bounds.

For a function ``f = K b + c``, with C_n the weight of each sample's loss::

    P(b) = 1/2 b'Kb + sum_n C_n * max(0, |y_n - f_n| - epsilon)

Where the box of b_n is [lower_n, upper_n], errors y_n - f_n above epsilon weigh upper_n, and those
below -epsilon weigh -lower_n. With one-sided boxes, epsilon = 0 and y_n = +-1 that is the hinge
loss ``C_n * max(0, 1 - y_n f_n)`` of classification.

with the offset c that minimises the loss. Minus P is never above the energy of a point with
sum(b) = 0, and both are equal exactly at the optimum. Of two solutions of a coarse dual the one
with the lower energy may have by far the higher training objective, and this is the one that
matters for predictions.

>>> import numpy as np
>>> primal_intercept(np.array([[1.0, 2.0, 9.0]]), epsilon=0.1, weights=np.ones(3))
array([2.])
"""

from __future__ import annotations

import numpy as np

from qsvr._typing import FloatArray
from qsvr.problem.dual import SVRDual, attainable, two_sided

__all__ = ["is_comparable", "loss_gap", "lowest_average", "primal_intercept", "training_objective"]


def primal_intercept(residuals: FloatArray, epsilon: float, weights: FloatArray) -> FloatArray:
    """Return the exact minimisers over c of the epsilon-insensitive training loss.

    The loss is ``sum_n weights_n * max(0, |residual_n - c| - epsilon)``, half the sum of
    ``|r - epsilon - c| + |r + epsilon - c|`` up to a constant, so the minimiser is the weighted
    median of the 2n points r -+ epsilon, or the middle if a whole interval is optimal. If the two
    sides have different weights, it is the quantile at which the slope of the loss is 0.

    Parameters
    ----------
    residuals : ndarray of shape (..., n_samples)
        y - K b, without offset.
    epsilon : float
    weights : ndarray of shape (n_samples,) or (2, n_samples)
        Weights of the losses: the box C, or weights for errors above and below in two rows.

    Returns
    -------
    ndarray of shape (...)
    """
    points = np.concatenate([residuals - epsilon, residuals + epsilon], axis=-1)
    sides = two_sided(weights)
    if (sides == sides[0, 0]).all():
        # The median, computed in less time than by NumPy, which matters for few samples.
        n = residuals.shape[-1]
        middle = np.partition(points, (n - 1, n), axis=-1)[..., n - 1 : n + 1]
        return np.asarray(0.5 * (middle[..., 0] + middle[..., 1]))
    order = np.argsort(points, axis=-1)
    points = np.take_along_axis(points, order, axis=-1)
    mass = np.cumsum(sides.reshape(-1)[order], axis=-1)
    above, below = sides.sum(axis=1)
    share, tol = above / (above + below) * mass[..., -1:], 1e-12 * mass[..., -1:]
    first = np.count_nonzero(mass < share - tol, axis=-1, keepdims=True)
    last = np.count_nonzero(mass < share + tol, axis=-1, keepdims=True)
    ends = np.concatenate([first, np.minimum(last, points.shape[-1] - 1)], axis=-1)
    return np.asarray(np.take_along_axis(points, ends, axis=-1).mean(axis=-1))


def training_objective(
    b: FloatArray, outputs: FloatArray, y: FloatArray, *, epsilon: float, C: FloatArray
) -> FloatArray:
    """Return P of solutions, shape (n_solutions,).

    Parameters
    ----------
    b, outputs : ndarray of shape (n_solutions, n_samples)
        Coefficients a - a-hat, and b K.
    y : ndarray of shape (n_samples,)
        Targets. Adding a constant changes nothing.
    epsilon : float
    C : ndarray of shape (n_samples,) or (2, n_samples)
        Weights of the losses, or weights for errors above and below in two rows.
    """
    residuals, sides = y - outputs, two_sided(C)
    errors = residuals - primal_intercept(residuals, epsilon, C)[:, None]
    excess = np.maximum(np.abs(errors) - epsilon, 0.0)
    if (sides[0] == sides[1]).all():
        losses = excess @ np.ascontiguousarray(sides[0])
    else:
        losses = (excess * np.where(errors > 0.0, sides[0], sides[1])).sum(axis=1)
    return np.asarray(0.5 * (b * outputs).sum(axis=1) + losses)


def lowest_average(
    weights: FloatArray,
    b: FloatArray,
    outputs: FloatArray,
    y: FloatArray,
    *,
    epsilon: float,
    C: FloatArray,
) -> tuple[FloatArray, float]:
    """Return the weights of the average with the lowest training objective, and its objective.

    Averages of the first 1, 2, ... solutions by ascending training objective are compared, so the
    average is never worse than the best solution. An average is far better than its members if
    they are close to the optimum, and can be far worse than the best of them otherwise.

    Parameters
    ----------
    weights : ndarray of shape (n_solutions,)
        Non-negative, not all 0.
    b, outputs, y, epsilon, C
        As for `training_objective`.

    Returns
    -------
    weights : ndarray of shape (n_solutions,)
        Weights with sum 1, which are 0 for solutions that are left out.
    objective : float
    """
    order = np.flatnonzero(weights > 0.0)
    if order.size > 1:
        own = training_objective(b[order], outputs[order], y, epsilon=epsilon, C=C)
        order = order[np.argsort(own, kind="stable")]
    share = weights[order, None]
    mass = np.cumsum(share, axis=0)
    averages = np.cumsum(share * b[order], axis=0) / mass
    fitted = np.cumsum(share * outputs[order], axis=0) / mass
    objectives = training_objective(averages, fitted, y, epsilon=epsilon, C=C)
    count = int(np.argmin(objectives)) + 1
    chosen = np.zeros_like(weights)
    chosen[order[:count]] = weights[order[:count]]
    return chosen / chosen.sum(), float(objectives[count - 1])


def loss_gap(dual: SVRDual, objective: float) -> float:
    """Return a training objective above that of the relaxation, in standard deviations of y.

    Per unit of C that coefficients can attain, so that it is the excess of the mean training loss:
    0.001 changes R2 by about as much. The relaxation must be accurate, and the kernel must be
    positive semi-definite.

    Parameters
    ----------
    dual : SVRDual
    objective : float
        Training objective of a regression function.
    """
    scale = _loss_scale(dual)
    if scale == 0.0:
        return 0.0
    coefficients = dual.relaxation.coefficients
    b = (coefficients[0] - coefficients[1])[None]
    least = training_objective(b, dual.outputs(b), dual.y, epsilon=dual.epsilon, C=dual.box)[0]
    return max(objective - float(least), 0.0) / scale


def is_comparable(dual: SVRDual, tol: float) -> bool:
    """Return whether the relaxation is known to half of ``tol`` in the units of `loss_gap`.

    Parameters
    ----------
    dual : SVRDual
    tol : float
        Gap of interest.
    """
    relaxed = dual.relaxation
    return relaxed.energy - relaxed.bound <= 0.5 * tol * _loss_scale(dual)


def _loss_scale(dual: SVRDual) -> float:
    """Return the sum of the weights of the losses, times the standard deviation of y.

    Only weights that coefficients can attain count. Otherwise a loss that matters for one class
    would vanish beside the weight of the other.
    """
    most = attainable(dual.box)
    total = min(float(most.max(axis=0).sum()), 2.0 * float(most.sum(axis=1).min()))
    return total * float(dual.y.std())
