"""Chain strength: by uniform torque compensation, and measured.

Chains too weak break; chains too strong drown the problem in the analogue errors of the device.
The published QPU results used ten times the largest coefficient, and were no better than random bit
strings: so the strength is measured, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dimod
import numpy as np

from qsvr.problem.qubo import SVRQubo
from qsvr.samplers.base import Sampler

__all__ = [
    "DEFAULT_PREFACTOR",
    "ChainStrengthScan",
    "ScanRow",
    "scan_chain_strength",
    "torque_compensation",
]

DEFAULT_PREFACTOR = 1.414


def torque_compensation(
    bqm: dimod.BinaryQuadraticModel, prefactor: float = DEFAULT_PREFACTOR
) -> float:
    """Return prefactor times the couplings' root mean square times the root of the mean degree.

    Chains then withstand the random torque of their neighbours' couplings (Raymond et al. 2020).
    The model should be over spins.
    """
    if bqm.num_interactions == 0:
        return 1.0
    couplings = np.asarray(bqm.to_numpy_vectors().quadratic.biases)
    degree = 2.0 * couplings.size / bqm.num_variables
    return float(prefactor * np.sqrt(np.mean(couplings**2) * degree)) or 1.0


@dataclass(frozen=True)
class ScanRow:
    """What one prefactor gave.

    Attributes
    ----------
    prefactor, chain_strength : float
    chain_break_fraction : float
        Share of chains whose qubits disagreed.
    best_gap, mean_gap : float
        Raw energy above the relaxation bound, lowest and mean.
    """

    prefactor: float
    chain_strength: float
    chain_break_fraction: float
    best_gap: float
    mean_gap: float


@dataclass(frozen=True)
class ChainStrengthScan:
    """Chain breaks and energies against the prefactor; ``str`` is a table.

    Attributes
    ----------
    rows : tuple of ScanRow
    """

    rows: tuple[ScanRow, ...]

    @property
    def proposal(self) -> float:
        """The prefactor with the lowest mean raw energy, the smaller one of equals."""
        return min(self.rows, key=lambda row: (row.mean_gap, row.prefactor)).prefactor

    def __str__(self) -> str:
        lines = ["prefactor  chain strength  broken chains   best gap   mean gap"]
        lines += [
            f"{row.prefactor:9.3g}  {row.chain_strength:14.4g}  {row.chain_break_fraction:12.1%}  "
            f"{row.best_gap:10.4g} {row.mean_gap:10.4g}"
            for row in self.rows
        ]
        return "\n".join([*lines, f"proposed prefactor: {self.proposal:g}"])


def scan_chain_strength(
    sampler: Sampler,
    qubo: SVRQubo,
    *,
    prefactors: Sequence[float] = (0.25, 0.5, 1.0, 1.414, 2.0, 4.0),
    num_reads: int = 100,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> ChainStrengthScan:
    """Sample once per prefactor and report chain breaks and energies.

    Parameters
    ----------
    sampler : QPUSampler
        As returned by ``get_sampler("qpu")``.
    qubo : SVRQubo
    prefactors : sequence of float, default=(0.25, 0.5, 1.0, 1.414, 2.0, 4.0)
        One problem is submitted for each.
    num_reads, seed : int
    options : mapping, default=None
        Further options of the sampler.
    """
    bound = qubo.dual.relax().bound
    rows = []
    for prefactor in prefactors:
        chosen = {**(options or {}), "chain_strength_prefactor": prefactor}
        samples = sampler.sample(qubo, num_reads=num_reads, seed=seed, **chosen)
        gaps = samples.energies - bound
        rows.append(
            ScanRow(
                float(prefactor),
                float(samples.info["chain_strength"]),
                float(samples.info["chain_break_fraction"]),
                float(gaps.min()),
                float(gaps.mean()),
            )
        )
    return ChainStrengthScan(tuple(rows))
