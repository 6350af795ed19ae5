"""A package with samplers of its own, offered by the entry points in coin_toss-1.0.dist-info."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from dwave.samplers import RandomSampler

from qsvr import Samples, SVRQubo
from qsvr.samplers.base import check_options


class CoinToss:
    """Uniformly random bit strings."""

    parameters = frozenset({"bias"})
    max_variables = None
    is_local = True

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        check_options("coin-toss", options, self.parameters)
        shape = (num_reads, qubo.n_variables)
        bits = np.random.default_rng(seed).random(shape) < options.get("bias", 0.5)
        bits = bits.astype(np.uint8)
        info = {"sampler": "coin-toss", "sampling_time": 1e-9, "polished": False}
        return Samples(bits, qubo.energies(bits), info)


class DimodCoinToss(RandomSampler):
    """The same with dimod's interface."""


def broken() -> CoinToss:
    raise RuntimeError("the coin is lost")


def token_shown() -> CoinToss:
    raise RuntimeError(f"refused: {os.environ['DWAVE_API_TOKEN']}")
