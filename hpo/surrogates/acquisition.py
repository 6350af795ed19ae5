"""Probability of improving on the incumbent by a random margin; expected improvement.

A small margin favours a trial that is almost certain to be slightly better, a large one a trial
with an uncertain forecast. The margin is drawn for each choice, uniformly in its logarithm, which
mixes both (as in Rakotoarison et al., arXiv 2404.16795, but always for the final loss).

How much all remaining epochs may gain is a question of its own: `expected_improvement`.
"""

from __future__ import annotations

import numpy as np

from hpo._typing import FloatArray, IntArray
from hpo.surrogates.scales import Scale

_LOG_MARGINS = (-2.0, 0.0)
"""Range of the decimal logarithms of the margins, in a scale of about unit spread."""
_TAIL, _N_GOALS = 8.0, 1000
"""The expected improvement is integrated from so many standard deviations below the means, over so
many losses."""


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


def expected_improvement(
    mean: FloatArray,
    std: FloatArray,
    incumbent: float,
    scale: Scale,
    *,
    costs: IntArray | None = None,
    budget: float = np.inf,
) -> float:
    """Return the expected improvement of the best final loss by completing trials.

    Final losses are taken as independent and normally distributed in `scale`. Correlated losses
    improve less together, so the value is an upper estimate for forecasts that err together.

    Parameters
    ----------
    mean, std : ndarray of shape (n_points,)
        Forecasts of the final losses of unfinished trials and proposals, in `scale`.
    incumbent : float
        Best final loss so far, in `scale`; finite.
    scale : Scale
        Of the forecasts.
    costs : ndarray of int, shape (n_points,), optional
        Epochs that complete each trial. None: 0.
    budget : float
        Remaining epochs. The trials with the largest expected improvements of their own are
        completed, one after the other, as far as the epochs suffice.

    Returns
    -------
    float
        In units of the loss, at least 0. 0 if no trial can be completed.

    Raises
    ------
    ValueError
        If the incumbent is not finite, since nothing can improve on it then.
    """
    if not np.isfinite(incumbent):
        raise ValueError(
            f"incumbent must be a finite loss in the forecast's scale, got {incumbent!r}; "
            "use it once a trial is complete"
        )
    from scipy.special import log_ndtr

    spread = np.maximum(std, 1e-9)
    if costs is not None and len(mean):
        goal = (incumbent - mean) / spread
        density = np.exp(-0.5 * goal**2) / np.sqrt(2 * np.pi)
        alone = spread * (goal * np.exp(log_ndtr(goal)) + density)
        order = np.argsort(-alone, kind="stable")
        taken, left = [], budget
        for place in order.tolist():
            if costs[place] <= left:
                taken.append(place)
                left -= costs[place]
        mean, spread = mean[taken], spread[taken]
    if not len(mean):
        return 0.0
    lowest = min(float(np.min(mean - _TAIL * spread)), incumbent)
    goals = np.linspace(lowest, incumbent, _N_GOALS)
    none_below = log_ndtr((mean - goals[:, None]) / spread).sum(axis=1)  # (n_goals,)
    chance = -np.expm1(none_below)  # that the best final loss lies below each goal
    losses = scale.to_loss(goals)
    return float(np.sum((chance[1:] + chance[:-1]) / 2 * np.diff(losses)))
