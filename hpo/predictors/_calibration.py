"""Calibration of forecasts by the length of the trial, from held-out errors.

The distribution of a final loss has heavier tails than a normal one, the more so the shorter the
trial. A search loses a good trial if its final loss lies far below the forecast, so the standard
deviation is widened to the spread of the held-out errors on that side.
"""

from __future__ import annotations

import numpy as np

from hpo._typing import FloatArray, IntArray

_BANDWIDTH = 0.7
"""Bandwidth in the logarithm of the length: a factor of about two."""
_PRIOR_ERRORS = 10.0
"""Weight of the overall factor, and of 1 in the overall factor, in errors."""
_LARGEST_ERROR = 5.0
"""Larger held-out errors, in standard deviations, count as this."""


def widening(errors: FloatArray, lengths: IntArray | FloatArray, at: IntArray) -> FloatArray:
    """Return the factors by which to multiply standard deviations, at least 1, (n_at,).

    The factor at a length is the root mean square of the negative errors of forecasts from about
    that length, shrunk to that from all lengths.

    Parameters
    ----------
    errors : ndarray of shape (n_errors,)
        Held-out errors, value minus forecast, in standard deviations of the forecast.
    lengths : ndarray of shape (n_errors,)
        Lengths of the curves that each was forecast from, in units.
    at : ndarray of shape (n_at,)
        Lengths to calibrate, in units.
    """
    below = errors < 0
    square = np.minimum(-errors[below], _LARGEST_ERROR) ** 2
    overall = (square.sum() + _PRIOR_ERRORS) / (len(square) + _PRIOR_ERRORS)
    away = np.log(at)[:, None] - np.log(lengths[below])[None, :]
    weight = np.exp(-0.5 * (away / _BANDWIDTH) ** 2)  # (n_at, n_errors)
    total = weight @ square + _PRIOR_ERRORS * overall
    return np.asarray(np.sqrt(np.maximum(total / (weight.sum(axis=1) + _PRIOR_ERRORS), 1.0)))
