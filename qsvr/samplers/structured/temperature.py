"""Annealing temperatures derived from the problem, so that they need not be chosen by hand."""

from __future__ import annotations

import numpy as np

from qsvr.problem.local_search import descend_levels, pair_excitations
from qsvr.problem.qubo import SVRQubo

__all__ = ["pair_beta_range", "single_flip_beta_range"]


def pair_beta_range(qubo: SVRQubo) -> tuple[float, float]:
    """Return the hot and cold inverse temperature that suit a problem.

    Both come from the energies of one-level pair moves around a local minimum: at the cold end even
    a cheap one is frozen out, at the hot end moves across an eighth of the box are made. The
    factors gave low median energies on friedman1 and diabetes. They scale with the energy, so the
    schedule does not change when y, epsilon and C are given in other units.
    """
    dual, encoding = qubo.dual, qubo.encoding
    kernel = dual.penalised_kernel
    start = encoding.nearest_levels(np.zeros((2, dual.n_samples)))
    levels = descend_levels(qubo, start[None])[0]
    n_partners = min(8, dual.n_samples)
    distance = np.diag(kernel) - 2.0 * kernel  # plus a constant per row
    np.fill_diagonal(distance, np.inf)
    partners = np.argpartition(distance, n_partners - 1, axis=1)[:, :n_partners]
    energies = pair_excitations(qubo, levels, partners)
    energies = energies[np.isfinite(energies) & (energies > 0.0)]
    typical = float(np.median(energies)) if energies.size else 1.0
    eighth = max((encoding.grid.size - 1) / 7.0, 1.0)  # one level at 3 bits
    return 1.5 / (typical * eighth**2), 90.0 / typical


def single_flip_beta_range(qubo: SVRQubo) -> tuple[float, float]:
    """Return the hot and cold inverse temperature for annealers that flip single bits.

    A flip crosses the equality penalty, which costs more than a pair move, so both ends are hotter
    than `pair_beta_range`. The factors gave the lowest median energies in a scan over friedman1 at
    20 and 50 samples; dwave-samplers' own estimate is colder, loops over couplings in Python, and
    makes sampling slower.
    """
    hot, cold = pair_beta_range(qubo)
    return 0.02 * hot, 0.03 * cold
