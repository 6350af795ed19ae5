from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.simulation import CurveTable
from hpo.simulation.datasets import load_mlpf

MLPF = Path(__file__).parents[3].parent / "shared/data/mlpf_curves.csv"


@pytest.fixture(scope="session")
def mlpf():
    if not MLPF.exists():
        pytest.skip(f"the MLPF table is not at {MLPF.name} beside this checkout")
    return load_mlpf(MLPF)


@pytest.fixture(scope="session")
def falling():
    """200 noisy power laws of 27 units whose order changes with time."""
    rng = np.random.default_rng(0)
    units = np.arange(1, 28)
    level = rng.uniform(0, 1, (200, 1))
    losses = level + rng.uniform(0.5, 2, (200, 1)) * units ** -rng.uniform(0.3, 1.5, (200, 1))
    losses += rng.normal(0, 0.01, losses.shape)
    configs = tuple({"level": float(value)} for value in level[:, 0])
    return CurveTable(configs, losses, rng.uniform(0.5, 2, 200))
