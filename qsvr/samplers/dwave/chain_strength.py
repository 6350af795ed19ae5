"""Chain strength, by uniform torque compensation and by measurement.

If chains are too weak, they break. If they are too strong, the problem becomes small compared with
the analogue errors of the device. The published QPU results used ten times the largest coefficient
and were no better than random bit strings, so the strength should be measured.
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
    """Return the chain strength of uniform torque compensation.

    It is the prefactor times the root mean square of the couplings times the square root of the
    mean degree, which balances the random torque of neighbouring couplings (Raymond et al. 2020).
    The model should be over spins.
    """
    if bqm.num_interactions == 0:
        return 1.0
    couplings = np.asarray(bqm.to_numpy_vectors().quadratic.biases)
    degree = 2.0 * couplings.size / bqm.num_variables
    return float(prefactor * np.sqrt(np.mean(couplings**2) * degree)) or 1.0


@dataclass(frozen=True)
class ScanRow:
    """Result for one prefactor.

    Attributes
    ----------
    prefactor, chain_strength : float
    chain_break_fraction : float
        Fraction of chains whose qubits disagreed.
    best_gap, mean_gap : float
        Lowest and mean raw energy above the relaxation bound.
    """

    prefactor: float
    chain_strength: float
    chain_break_fraction: float
    best_gap: float
    mean_gap: float


@dataclass(frozen=True)
class ChainStrengthScan:
    """Chain breaks and energies for each prefactor; ``str`` gives a table.

    Attributes
    ----------
    rows : tuple of ScanRow

    Examples
    --------
    >>> from qsvr.samplers.dwave import ChainStrengthScan
    >>> from qsvr.samplers.dwave.chain_strength import ScanRow
    >>> rows = [ScanRow(0.5, 1.2, 0.10, 0.4, 0.9), ScanRow(1.0, 2.4, 0.01, 0.3, 0.7)]
    >>> ChainStrengthScan(tuple(rows)).proposal
    1.0
    """

    rows: tuple[ScanRow, ...]

    @property
    def proposal(self) -> float:
        """Prefactor with the lowest mean raw energy; the smaller one if two are equal."""
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
    """Measure chain breaks and energies for several chain strengths on a quantum annealer.

    One problem is submitted for each prefactor.

    Parameters
    ----------
    sampler : QPUSampler
        Sampler from ``get_sampler("qpu")``.
    qubo : SVRQubo
        Problem to sample, for example ``QSVR().make_problem(X, y).qubo``.
    prefactors : sequence of float, default=(0.25, 0.5, 1.0, 1.414, 2.0, 4.0)
        Prefactors of uniform torque compensation.
    num_reads : int, default=100
        Number of reads of each problem.
    seed : int, default=0
        Seed of the sampler, if it has one.
    options : mapping, default=None
        Further options of the sampler.

    Returns
    -------
    scan : ChainStrengthScan
        One row per prefactor, and the proposed prefactor.

    See Also
    --------
    qsvr.samplers.dwave.ChainStrengthScan : The result.
    AccessPlan : Access time of a fit.
    get_sampler : Open the quantum annealer with ``get_sampler("qpu")``.

    Examples
    --------
    >>> from dwave.system.testing import MockDWaveSampler
    >>> from qsvr import QSVR, get_sampler, scan_chain_strength
    >>> mock = MockDWaveSampler(topology_type="zephyr", topology_shape=[2, 4])
    >>> qubo = QSVR(n_bits=2).make_problem([[0.0], [1.0]], [0.0, 1.0]).qubo
    >>> scan = scan_chain_strength(
    ...     get_sampler(mock), qubo, prefactors=(0.5, 1.0), num_reads=5
    ... )
    >>> len(scan.rows), scan.proposal in (0.5, 1.0)
    (2, True)
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
