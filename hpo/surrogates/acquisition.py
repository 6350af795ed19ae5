"""The chance to beat the incumbent by a margin, for several margins.

Ranking by this chance asks: which of all is likeliest to improve on the best by so much? With a
small margin it is a trial that is nearly sure to be a little better, with a large one a trial of
which little is known. Drawing the margin anew for each choice, evenly in its logarithm, mixes both
(as in Rakotoarison et al., arXiv 2404.16795, but with the horizon always at the end).
"""

from __future__ import annotations

import numpy as np

from hpo._typing import FloatArray

_LEAST, _MOST = -2.0, 0.0
"""Common logarithms of the margins, in a scale of about unit spread."""


def margins(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw `n` margins.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    """
    return np.asarray(10 ** rng.uniform(_LEAST, _MOST, n))


def improvement_zscore(
    mean: FloatArray, std: FloatArray, incumbent: float, margin: FloatArray
) -> FloatArray:
    """Return how many standard deviations the goal lies above each mean, (n_margins, n_points).

    It rises with the chance, and tells apart chances that are all next to 0 or 1.

    Parameters
    ----------
    mean, std : ndarray of shape (n_points,)
        Of final losses.
    incumbent : float
        The loss to beat.
    margin : ndarray of shape (n_margins,)
        By how much.
    """
    goal = incumbent - margin[:, None]
    return np.asarray((goal - mean) / np.maximum(std, 1e-9))
