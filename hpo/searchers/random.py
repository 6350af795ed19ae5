"""Independent draws from the search space."""

from __future__ import annotations

import numpy as np

from hpo.space.search_space import SearchSpace
from hpo.trial import Config


class RandomSearcher:
    """Draws each configuration from the space, by the seed and the trial's number alone.

    Parameters
    ----------
    space : SearchSpace
        What to draw from.
    seed : int
        Not negative.

    Raises
    ------
    ValueError
        If the seed is negative.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        if seed < 0:
            msg = f"seed must be an integer of at least 0, got {seed}"
            raise ValueError(msg)
        self.space = space
        self.seed = seed

    def propose(self, trial_id: int) -> Config:
        """Return the configuration of trial `trial_id`."""
        return self.space.sample(np.random.default_rng([self.seed, trial_id]))
