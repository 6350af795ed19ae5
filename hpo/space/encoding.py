"""Configurations as feature vectors without a search space: from their values alone.

A number is scaled to [0, 1] by its range, on a log scale if it is positive and spans more than a
factor of 30; anything else is encoded as one column per value. A hyperparameter that only some
configurations have (a conditional one) has an additional column, 1 if it is present.

>>> encoder = ConfigEncoder.of([{"lr": 1e-4, "act": "relu"}, {"lr": 1e-1, "act": "tanh"}])
>>> encoder([{"lr": 1e-1, "act": "relu"}])
array([[1., 1., 0.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.trial import Config

_WIDE = 30.0
"""A positive range of more than this factor is encoded on a log scale."""
_ABSENT = object()


@dataclass(frozen=True)
class _Numbers:
    low: float
    high: float
    log: bool

    def columns(self, values: Sequence[Any]) -> list[FloatArray]:
        numbers = np.array([self.low if value is _ABSENT else float(value) for value in values])
        low, high = self.low, self.high
        if self.log:
            numbers = np.log(np.maximum(numbers, np.finfo(float).tiny))
            low, high = np.log(low), np.log(high)
        return [np.clip((numbers - low) / (high - low), 0.0, 1.0)]


@dataclass(frozen=True)
class _Categories:
    values: tuple[Any, ...]

    def columns(self, values: Sequence[Any]) -> list[FloatArray]:
        return [np.array([_equal(value, known) for value in values]) for known in self.values]


@dataclass(frozen=True)
class ConfigEncoder:
    """Encodes configurations as rows of numbers.

    Attributes
    ----------
    names : tuple of str
        Hyperparameters, in the order of their first appearance.
    columns : tuple
        Encoding of each, None if all values are equal.
    optional : tuple of bool
        Whether each is absent from some configurations.
    """

    names: tuple[str, ...]
    columns: tuple[_Numbers | _Categories | None, ...]
    optional: tuple[bool, ...]

    @classmethod
    def of(cls, configs: Sequence[Config]) -> ConfigEncoder:
        """Build the encoder of some configurations."""
        names = tuple(dict.fromkeys(name for config in configs for name in config))
        seen = [[config.get(name, _ABSENT) for config in configs] for name in names]
        optional = tuple(any(value is _ABSENT for value in values) for values in seen)
        return cls(names, tuple(_encoding(values) for values in seen), optional)

    def __call__(self, configs: Sequence[Config]) -> FloatArray:
        """Return the features.

        Returns
        -------
        ndarray of shape (n_configs, n_features)
        """
        blocks: list[FloatArray] = []
        for name, encoding, optional in zip(self.names, self.columns, self.optional, strict=True):
            values = [config.get(name, _ABSENT) for config in configs]
            if optional:
                blocks.append(np.array([float(value is not _ABSENT) for value in values]))
            if encoding is not None:
                blocks += encoding.columns(values)
        return np.column_stack(blocks) if blocks else np.zeros((len(configs), 0))


def _encoding(values: Sequence[Any]) -> _Numbers | _Categories | None:
    present = [value for value in values if value is not _ABSENT]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        low, high = float(min(present)), float(max(present))
        return _Numbers(low, high, low > 0 and high / low > _WIDE) if low < high else None
    distinct: list[Any] = []
    for value in present:
        if not any(_equal(value, known) for known in distinct):
            distinct.append(value)
    return _Categories(tuple(distinct)) if len(distinct) > 1 else None


def _equal(left: Any, right: Any) -> float:
    """Return 1 where two values are equal and of one type (True is not 1)."""
    return float(type(left) is type(right) and left == right)
