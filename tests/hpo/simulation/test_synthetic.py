"""Made-up learning curves."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.simulation.synthetic import synthetic_space, synthetic_table


def test_the_same_seed_gives_the_same_table():
    first, again, other = (synthetic_table(20, 30, seed=seed) for seed in (3, 3, 4))
    assert first.configs == again.configs
    assert np.array_equal(first.losses, again.losses)
    assert not np.array_equal(first.losses, other.losses)


def test_curves_fall_stay_positive_and_cross():
    losses = synthetic_table(200, 50, seed=0).losses
    assert losses.shape == (200, 50)
    assert (losses > 0).all()
    assert (losses[:, -1] < losses[:, 0]).mean() > 0.95
    early, late = (np.argsort(np.argsort(losses[:, unit])) for unit in (2, -1))
    correlation = np.corrcoef(early, late)[0, 1]
    assert 0.2 < correlation < 0.95  # early ranks tell something, not all


def test_configurations_are_of_the_space():
    space = synthetic_space()
    for config in synthetic_table(10, 5).configs:
        assert ((space.to_features(config) >= 0) & (space.to_features(config) <= 1)).all()


@pytest.mark.parametrize(("rows", "units", "name"), [(0, 5, "n_rows"), (5, 0, "n_units")])
def test_sizes_are_checked(rows, units, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        synthetic_table(rows, units)
