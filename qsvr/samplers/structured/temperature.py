"""Annealing temperatures that are derived from the problem."""

from __future__ import annotations

import numpy as np

from qsvr.problem.qubo import SVRQubo
from qsvr.problem.stack import QuboStack

__all__ = ["pair_beta_ranges", "single_flip_beta_range"]


def pair_beta_ranges(stack: QuboStack) -> list[tuple[float, float]]:
    """Return the hot and cold inverse temperature for each problem of a stack.

    Both follow from the energies of one-level pair moves around a local minimum. At the cold end
    even cheap moves are rejected, and at the hot end moves across an eighth of the box are
    accepted. The factors gave low median energies on friedman1 and diabetes. They scale with the
    energy, so the schedule does not change when y, epsilon and C are given in other units.
    """
    kernel, top = stack.penalised_kernel, stack.grid.size - 1
    n = kernel.shape[-1]
    start = stack.nearest_levels(np.zeros((len(stack), 1, 2, n)))
    levels = stack.descended(start)[:, 0]
    n_partners = min(8, n)
    # Plus a constant per row.
    distance = np.diagonal(kernel, axis1=1, axis2=2)[:, None] - 2.0 * kernel
    distance[:, np.arange(n), np.arange(n)] = np.inf
    partners = np.argpartition(distance, n_partners - 1, axis=2)[..., :n_partners]
    eighth = max(top / 7.0, 1.0)  # one level at 3 bits
    ranges = []
    for energies in stack.excitations(levels, partners):
        known = energies[np.isfinite(energies) & (energies > 0.0)]
        typical = float(np.median(known)) if known.size else 1.0
        ranges.append((1.5 / (typical * eighth**2), 90.0 / typical))
    return ranges


def single_flip_beta_range(qubo: SVRQubo) -> tuple[float, float]:
    """Return the hot and cold inverse temperature for annealers that flip single bits.

    A flip crosses the equality penalty, which costs more than a pair move, so both ends are hotter
    than those of `pair_beta_ranges`. The factors gave the lowest median energies in a scan over
    friedman1 at 20 and 50 samples; dwave-samplers' own estimate is colder, loops over couplings in
    Python, and makes sampling slower.
    """
    ((hot, cold),) = pair_beta_ranges(QuboStack.of([qubo]))
    return 0.02 * hot, 0.03 * cold
