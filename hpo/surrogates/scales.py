"""In what scale a forecast speaks of losses, and the way back.

Differences between good configurations are small beside those between bad ones, so forecasts are
made in a scale that draws the good end out. A report carries its scale in plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

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

    def to_info(self) -> dict[str, float]:
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

    def to_info(self) -> dict[str, float]:
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

    def to_info(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


def scale_of(info: Mapping[str, Any]) -> Scale:
    """Return the scale that a forecast's report tells of, in its ``info["scale"]``.

    Parameters
    ----------
    info : Mapping
        Of a `PredictReport`.

    Raises
    ------
    ValueError
        If it tells of none.
    """
    plain = info.get("scale")
    if isinstance(plain, Mapping):
        for kind in (LogScale, BentScale):
            if set(plain) == set(kind.__dataclass_fields__):
                return kind(**{name: float(value) for name, value in plain.items()})
    raise ValueError(
        f"a forecast's info must hold a scale (a LogScale's or BentScale's values), got {plain!r}"
    )
