"""Synthetic learning curves.

>>> table = synthetic_table(100, 50, seed=0)
>>> table.losses.shape, sorted(table.configs[0])
((100, 50), ['dropout', 'lr', 'weight_decay', 'width'])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.simulation.simulator import CurveTable
from hpo.space.search_space import SearchSpace

_SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "width": {"type": "int", "low": 16, "high": 256, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6},
    "weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
}
_FIRST_LOSS = 2.3


def synthetic_space() -> SearchSpace:
    """Return the search space of `synthetic_table`: lr, width, dropout and weight_decay."""
    return SearchSpace.from_dict(_SPACE)


def synthetic_table(n_rows: int, n_units: int, *, seed: int = 0) -> CurveTable:
    """Draw configurations and learning curves similar to those of a network.

    Each curve decreases as a shifted power law from 2.3 to a floor. With a high learning rate it
    decreases early and ends high, with a low one late, so that curves cross. Noise of one per cent
    decreases with the loss.

    Parameters
    ----------
    n_rows, n_units : int
        Number of curves, and of losses of each; at least 1.
    seed : int, default=0
        Seed of the random number generator.

    Returns
    -------
    CurveTable
        Of losses of shape (n_rows, n_units).

    Raises
    ------
    ValueError
        If `n_rows` or `n_units` is below 1.
    """
    for name, value in (("n_rows", n_rows), ("n_units", n_units)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    rng = np.random.default_rng([seed, n_rows, n_units])
    space = synthetic_space()
    configs = tuple(space.sample(rng) for _ in range(n_rows))
    features = np.array([space.to_features(config) for config in configs])  # (n_rows, 4)
    return CurveTable(configs, _curves(features, n_units, rng))


def _curves(
    features: FloatArray, n_units: int, rng: np.random.Generator
) -> FloatArray:  # (n_rows, n_units)
    lr, width, dropout, decay = features.T[:, :, None]
    floor = 0.25 + 0.9 * (lr - 0.55) ** 2 + 0.2 * (1 - width) ** 2
    floor += 0.25 * (dropout - 0.3) ** 2 + 0.08 * (decay - 0.5) ** 2
    floor += 0.02 * rng.standard_normal(floor.shape)
    delay = n_units * 0.2 * np.exp(-5.0 * lr)
    units = np.arange(1, n_units + 1)
    curves = floor + (_FIRST_LOSS - floor) * (1.0 + units / delay) ** -1.2
    noise = 0.01 * rng.standard_normal(curves.shape)
    return np.asarray(curves * np.exp(noise * curves / _FIRST_LOSS))
