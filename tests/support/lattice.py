"""A small QUBO whose levels lie on one lattice, so that sum(b) = 0 can hold exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsvr import FixedPointEncoding, SVRDual, SVRQubo


def lattice_qubo(
    n: int, n_bits: int = 2, weight: Sequence[float] | None = None, offset: int = 0
) -> SVRQubo:
    """Return a problem of n samples whose windows begin ``offset`` steps above 0."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    kernel = np.exp(-((X[:, None] - X[None]) ** 2).sum(-1))
    C = np.ones(n) if weight is None else np.asarray(weight, float)
    dual = SVRDual(kernel, rng.normal(size=n), 0.1, C, 2.0, overlap_penalty=0.3)
    encoding = FixedPointEncoding.for_box(C, n_bits)
    step = encoding.width / (2**n_bits - 1)
    return SVRQubo(dual, FixedPointEncoding(offset * step, encoding.width, encoding.unit_weights))
