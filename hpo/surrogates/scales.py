"""In what scale a forecast speaks of losses, and the way back.

Differences between good configurations are small beside those between bad ones, so forecasts are
made in a scale that draws the good end out. A report carries its scale in plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, Self

import numpy as np

from hpo._typing import FloatArray

_LARGEST = 700.0
"""The exponential of more is no float."""


class Scale(Protocol):
    """A rising function of the loss."""

    def of(self, losses: FloatArray) -> FloatArray:
        """Return losses in this scale."""
        ...

    def to_loss(self, values: FloatArray) -> FloatArray:
        """Return the losses that values in this scale stand for."""
        ...

    def to_json(self) -> dict[str, float]:
        """Return plain values from which `scale_of` rebuilds the scale."""
        ...


@dataclass(frozen=True)
class LogScale:
    """The logarithm of the loss above a base, which no loss can fall below.

    Attributes
    ----------
    base : float
        In units of the loss.
    """

    base: float = 0.0

    def of(self, losses: FloatArray) -> FloatArray:
        """Return losses in this scale; minus infinity at the base and below."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.maximum(losses - self.base, 0.0)))

    def to_loss(self, values: FloatArray) -> FloatArray:
        """Return the losses that values in this scale stand for."""
        return np.asarray(self.base + np.exp(np.minimum(values, _LARGEST)))

    def to_json(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class BentScale:
    """Straight among good losses and below them, logarithmic above.

    With ``q = (loss - low) / width`` it is q up to 1 and ``1 + log(q)`` from there on, one function
    with one slope, then shifted and divided to mean 0 and spread 1 or so. Unlike a logarithm above
    a base it has room below the lowest loss seen, which the best trial of a search will undercut.

    Attributes
    ----------
    low, width : float
        In units of the loss; width is above 0.
    shift, factor : float
        Taken off, and divided by; factor is above 0.
    """

    low: float
    width: float
    shift: float = 0.0
    factor: float = 1.0

    @classmethod
    def fitted(cls, losses: FloatArray, lasts: FloatArray) -> Self:
        """Choose a scale.

        Parameters
        ----------
        losses : ndarray
            All that it is for, finite.
        lasts : ndarray
            The latest loss of each trial: the median is where it bends.
        """
        low = float(losses.min())
        # The floor is for losses that are all equal.
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
        """Return the losses that values in this scale stand for."""
        bent = np.asarray(values) * self.factor + self.shift
        q = np.where(bent < 1, bent, np.exp(np.clip(bent - 1, 0.0, _LARGEST)))
        return np.asarray(self.low + self.width * q)

    def to_json(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


def scale_of(values: Mapping[str, float]) -> Scale:
    """Rebuild a scale from the plain values of a report.

    Parameters
    ----------
    values : Mapping
        `ForecastReport.scale`, as `Scale.to_json` returns it.

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
