"""Scales in which losses are forecast, and the conversion back.

Differences between good configurations are small relative to those between bad ones, so forecasts
are made in a scale that spreads the best losses. A report holds its scale in plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from hpo._typing import FloatArray

_LARGEST = 700.0
"""The exponential of a larger number overflows."""


@dataclass(frozen=True)
class LogScale:
    """The logarithm of the loss above a base, a lower bound of the forecast losses.

    Attributes
    ----------
    base : float, default=0.0
        In units of the loss.

    See Also
    --------
    hpo.surrogates.BentScale : A scale that extends below the lowest loss.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import LogScale
    >>> scale = LogScale(base=1.0)
    >>> scale.to_loss(scale.of(np.array([2.0, 4.0])))
    array([2., 4.])
    """

    base: float = 0.0

    def of(self, losses: FloatArray) -> FloatArray:
        """Return losses in this scale; minus infinity at the base and below."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.maximum(losses - self.base, 0.0)))

    def to_loss(self, values: FloatArray) -> FloatArray:
        """Return the losses of values in this scale."""
        return np.asarray(self.base + np.exp(np.minimum(values, _LARGEST)))


@dataclass(frozen=True)
class BentScale:
    """Linear for good losses, logarithmic for large ones.

    With ``q = (loss - low) / width`` it is q up to 1 and ``1 + log(q)`` above, with one slope at 1,
    then shifted and divided to about mean 0 and unit spread. Unlike a logarithm above a base it
    extends below the lowest loss seen, which the best trial will undercut.

    Attributes
    ----------
    low, width : float
        In units of the loss; width is above 0.
    shift, factor : float, default=0.0, 1.0
        Subtracted, and divided by; factor is above 0.

    See Also
    --------
    hpo.surrogates.LogScale : The logarithm above a base.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import BentScale
    >>> scale = BentScale(low=1.0, width=1.0)
    >>> scale.of(np.array([0.5, 1.5, 2.0, 11.0])).round(2)
    array([-0.5,  0.5,  1. ,  3.3])
    """

    low: float
    width: float
    shift: float = 0.0
    factor: float = 1.0

    @classmethod
    def fitted(cls, losses: FloatArray, lasts: FloatArray) -> Self:
        """Fit a scale to losses.

        Parameters
        ----------
        losses : ndarray
            All losses, finite.
        lasts : ndarray
            Latest loss of each trial; their median separates the linear and logarithmic parts.
        """
        low = float(losses.min())
        # The lower bounds are for losses that are all equal.
        width = max(float(np.median(lasts)) - low, 1e-6 * abs(low), 1e-12)
        bent = cls(low, width).of(losses)
        spread = float(bent.std())
        return cls(low, width, float(np.median(bent)), spread if spread > 1e-9 else 1.0)

    def of(self, losses: FloatArray) -> FloatArray:
        """Return losses in this scale."""
        q = (losses - self.low) / self.width
        bent = np.where(q < 1, q, 1 + np.log(np.maximum(q, 1)))
        return np.asarray((bent - self.shift) / self.factor)

    def to_loss(self, values: FloatArray) -> FloatArray:
        """Return the losses of values in this scale."""
        bent = np.asarray(values) * self.factor + self.shift
        q = np.where(bent < 1, bent, np.exp(np.clip(bent - 1, 0.0, _LARGEST)))
        return np.asarray(self.low + self.width * q)


Scale = LogScale | BentScale


def scale_of(values: Mapping[str, float]) -> Scale:
    """Rebuild a scale from the plain values of a report.

    Parameters
    ----------
    values : Mapping
        `ForecastReport.scale`, as `dataclasses.asdict` returns it.

    Raises
    ------
    ValueError
        If they are the values of no scale.
    """
    for kind in (LogScale, BentScale):
        if set(values) == set(kind.__dataclass_fields__):
            return kind(**{name: float(value) for name, value in values.items()})
    raise ValueError(
        f"a forecast's scale must hold the values of a LogScale or a BentScale, got {values!r}"
    )
