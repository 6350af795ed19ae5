"""A trainer without a state: the loss of a configuration is a power law of the units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def train(config: Mapping[str, float], start: int, stop: int, _: Path) -> Sequence[float]:
    level = (config["x"] - 0.3) ** 2
    return [
        round(level + unit ** -(0.2 + config["rate"]), 6) for unit in range(start + 1, stop + 1)
    ]
