"""At a constant temperature the structured annealer samples the Boltzmann distribution.

Its states have a or a-hat at the offset (a * ah = 0 where offsets are 0) where levels are even, and
all pairs of levels where they are not. Small problems can be enumerated.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qsvr import FixedPointEncoding, SVRDual, SVRQubo, get_sampler

N_READS = 12_800


def _qubo(encoding, K, y, *, epsilon=0.1, equality_penalty=0.3, overlap_penalty=0.0):
    box = encoding.offset[0] + encoding.width[0]
    dual = SVRDual(K, np.asarray(y), epsilon, box, equality_penalty, overlap_penalty)
    return SVRQubo(dual, encoding)


def _pair(encoding, **options):
    return _qubo(encoding, np.array([[1.0, 0.6], [0.6, 1.2]]), [0.5, -0.3], **options)


def _windows(width_of_ah):
    offset, width = np.array([[0.1, 0.3], [0.1, 0.3]]), np.array([[0.8, 0.5], width_of_ah])
    return FixedPointEncoding(offset, width, np.array([1.0, 2.0]) / 3.0)


def _box(C, n_bits):
    return FixedPointEncoding.for_box(np.asarray(C, dtype=float), n_bits)


def _base_3(scale):
    return FixedPointEncoding.from_base(np.asarray(scale), 2, base=3.0)


PROBLEMS = {
    "even levels": (_pair(_box([1, 1], 2)), 3.0),
    "unequal C": (_pair(_box([1.0, 0.4], 2)), 3.0),
    "unequal C, the other way": (_pair(_box([0.3, 1.0], 2)), 3.0),
    "base 3": (_pair(_base_3([0.3, 0.3])), 3.0),
    "base 3, unequal C": (_pair(_base_3([0.3, 0.2])), 3.0),
    "windows and overlap penalty": (_pair(_windows([0.8, 0.5]), overlap_penalty=0.4), 3.0),
    "windows of a and a-hat apart": (_pair(_windows([0.3, 0.6]), overlap_penalty=0.4), 3.0),
    "base 3 and overlap penalty": (_pair(_base_3([0.3, 0.2]), overlap_penalty=0.7), 3.0),
    "high temperature": (_pair(_box([1, 1], 2)), 0.5),
    "3 bits": (_pair(_box([1, 1], 3)), 3.0),
    "three samples of one bit": (
        _qubo(_box([1, 1, 1], 1), 0.5 + 0.5 * np.eye(3), [0.5, -0.3, 0.1]),
        2.0,
    ),
}


def _states(qubo):
    """Return the levels of all states that the annealer visits, (n_states, 2, n_samples)."""
    encoding = qubo.encoding
    every = np.indices((encoding.grid.size,) * (2 * encoding.n_samples))
    levels = every.reshape(2 * encoding.n_samples, -1).T.reshape(-1, 2, encoding.n_samples)
    is_even = encoding.is_uniform and (encoding.width[0] == encoding.width[1]).all()
    return levels[(levels.min(axis=1) == 0).all(axis=1)] if is_even else levels


def _signed_levels(qubo, bits):
    levels = qubo.encoding.levels(bits)
    assert (levels.min(axis=1) == 0).all()
    return levels[:, 0] - levels[:, 1]


def _compare(observed, expected):
    """Bound chi-square and total variation between counts and probabilities."""
    assert observed.sum() == N_READS
    rare = expected * N_READS < 5
    merged_observed = np.append(observed[~rare], observed[rare].sum())
    merged_expected = np.append(expected[~rare], expected[rare].sum()) * N_READS
    if merged_expected[-1] < 5:
        merged_observed, merged_expected = merged_observed[:-1], merged_expected[:-1]
        merged_expected *= merged_observed.sum() / merged_expected.sum()
    p_value = stats.chisquare(merged_observed, merged_expected).pvalue
    variation = 0.5 * np.abs(observed / N_READS - expected).sum()
    # What counting noise alone gives, on average, is the sum of sqrt(p / (2 pi N)).
    noise = np.sqrt(expected / (2 * np.pi * N_READS)).sum()
    assert variation < 1.6 * noise
    assert p_value > 1e-4


@pytest.mark.parametrize("name", PROBLEMS)
def test_constant_temperature_samples_the_boltzmann_distribution(name):
    qubo, beta = PROBLEMS[name]
    states = _states(qubo)
    energies = qubo.dual.energy(qubo.encoding.values(states))
    weights = np.exp(-beta * (energies - energies.min()))

    samples = get_sampler("structured").sample(
        qubo, num_reads=N_READS, seed=1, num_sweeps=100, beta_range=(beta, beta)
    )
    every = np.concatenate([states, qubo.encoding.levels(samples.bits)])
    _, index = np.unique(every.reshape(len(every), -1), axis=0, return_inverse=True)
    index = index.ravel()  # NumPy 2.0 keeps an axis
    assert index.max() < len(states)  # no read outside of the states
    counts = np.bincount(index[len(states) :], minlength=len(states))[index[: len(states)]]
    _compare(counts, weights / weights.sum())


@pytest.mark.slow
def test_blocks_of_samples_see_each_other():
    """20 samples fill two blocks, which only the equality penalty couples.

    The energy is then a sum over samples plus a function of sum(b), so the distribution of sum(b)
    follows by convolution.
    """
    n, beta, epsilon, penalty = 20, 2.0, 0.1, 0.2
    y = np.random.default_rng(0).normal(scale=0.5, size=n)
    qubo = _qubo(_box(np.ones(n), 1), np.eye(n), y, epsilon=epsilon, equality_penalty=penalty)
    total = np.ones(1)
    for target in y:
        b = np.array([-1.0, 0.0, 1.0])
        alone = np.exp(-beta * (0.5 * b**2 + epsilon * np.abs(b) - target * b))
        total = np.convolve(total, alone)
    sums = np.arange(-n, n + 1)
    total *= np.exp(-beta * penalty * sums**2)

    samples = get_sampler("structured").sample(
        qubo, num_reads=N_READS, seed=2, num_sweeps=320, beta_range=(beta, beta)
    )
    observed = _signed_levels(qubo, samples.bits).sum(axis=1) + n
    _compare(np.bincount(observed, minlength=sums.size), total / total.sum())


def test_a_cold_schedule_is_in_the_ground_state():
    """The comparison above would see a wrong temperature: this one is far from that of 0.5."""
    qubo, _ = PROBLEMS["even levels"]
    samples = get_sampler("structured").sample(
        qubo, num_reads=256, seed=0, num_sweeps=200, beta_range=(1.0, 1e4)
    )
    assert np.ptp(samples.energies) == pytest.approx(0.0, abs=1e-12)
