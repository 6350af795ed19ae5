"""Probability of improving on the incumbent by a random margin.

A small margin favours a trial that is almost certain to be slightly better, a large one a trial
with an uncertain forecast. The margin is drawn for each choice, uniformly in its logarithm, which
mixes both (as in Rakotoarison et al., arXiv 2404.16795, but always for the final loss).
"""

from __future__ import annotations

import numpy as np

from hpo._typing import FloatArray

_LOG_MARGINS = (-2.0, 0.0)
"""Range of the decimal logarithms of the margins, in a scale of about unit spread."""


def margins(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw `n` margins.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    """
    return np.asarray(10 ** rng.uniform(*_LOG_MARGINS, n))


def improvement_zscore(
    mean: FloatArray, std: FloatArray, incumbent: float, margin: FloatArray
) -> FloatArray:
    """Return how many standard deviations the goal lies above each mean, (n_margins, n_points).

    It increases with the probability of improvement, and still distinguishes probabilities that are
    all close to 0 or 1.

    Parameters
    ----------
    mean, std : ndarray of shape (n_points,)
        Forecasts of final losses.
    incumbent : float
        The loss to improve on.
    margin : ndarray of shape (n_margins,)
        Required improvement.
    """
    goal = incumbent - margin[:, None]
    return np.asarray((goal - mean) / np.maximum(std, 1e-9))
