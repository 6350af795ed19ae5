"""The QUBO against enumeration of the dual and against the papers' formula, written with loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from qsvr import FixedPointEncoding, Samples, SVRDual, SVRQubo, get_sampler
from qsvr.problem.local_search import polish


def dual_energies_by_definition(dual, coefficients):
    """E(a, ah) for coefficients of shape (n_reads, 2, n), term by term."""
    a, ah = coefficients[:, 0], coefficients[:, 1]
    b = a - ah
    return (
        0.5 * np.einsum("ri,ij,rj->r", b, dual.kernel_matrix, b)
        + dual.epsilon * (a + ah).sum(axis=1)
        - b @ dual.y
        + dual.equality_penalty * b.sum(axis=1) ** 2
        + dual.overlap_penalty * (a * ah).sum(axis=1)
    )


def coefficients_by_definition(encoding, bits):
    """Coefficients of shape (n_reads, 2, n), bit by bit."""
    n, n_bits = encoding.n_samples, encoding.n_bits
    values = np.empty((len(bits), 2, n))
    first = 0
    for side in range(2):
        for sample in range(n):
            width, unit = encoding.width[side, sample], 0.0
            if width > 0.0:
                unit = sum(encoding.unit_weights[i] * bits[:, first + i] for i in range(n_bits))
                first += n_bits
            values[:, side, sample] = encoding.offset[side, sample] + width * unit
    assert first == bits.shape[1]
    return values


def test_energies_of_all_bit_strings_equal_the_dual(any_small_qubo, all_bits):
    qubo = any_small_qubo
    bits = all_bits(qubo.n_variables)
    expected = dual_energies_by_definition(
        qubo.dual, coefficients_by_definition(qubo.encoding, bits)
    )
    by_matrix = ((bits @ qubo.matrix) * bits).sum(axis=1) + qubo.constant
    np.testing.assert_allclose(by_matrix, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(qubo.energies(bits), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(qubo.matrix, qubo.matrix.T, atol=1e-15)


def test_bqm_energies_of_all_bit_strings_equal_the_dual(any_small_qubo, all_bits):
    qubo = any_small_qubo
    bits = all_bits(qubo.n_variables)
    bqm = qubo.to_bqm()
    assert list(bqm.variables) == list(range(qubo.n_variables))
    np.testing.assert_allclose(
        bqm.energies((bits, range(qubo.n_variables))), qubo.energies(bits), rtol=1e-10, atol=1e-12
    )


def test_exact_and_polished_structured_find_the_minimum(any_small_qubo, all_bits):
    qubo = any_small_qubo
    minimum = qubo.energies(all_bits(qubo.n_variables)).min()
    exact = get_sampler("exact").sample(qubo, num_reads=1, seed=0)
    structured = get_sampler("structured").sample(qubo, num_reads=64, seed=0)
    assert exact.energies.min() == pytest.approx(minimum, rel=1e-10)
    assert polish(qubo, structured).energies.min() == pytest.approx(minimum, rel=1e-10)


def test_structured_finds_the_minimum_of_even_levels_without_polish(even_qubo, all_bits):
    minimum = even_qubo.energies(all_bits(even_qubo.n_variables)).min()
    samples = get_sampler("structured").sample(even_qubo, num_reads=64, seed=0)
    assert samples.energies.min() == pytest.approx(minimum, rel=1e-10)


def test_matrix_equals_the_papers_formula():
    """Pasetto et al. 2022: alpha_n = sum_i base^(i - shift) x, one entry of Q at a time."""
    n_bits, base, shift, epsilon, gamma, penalty = 3, 0.5, 0.005, 0.02, 0.1, 0.01
    rng = np.random.default_rng(0)
    N = 20
    X, y = rng.normal(size=(N, 25)), rng.normal(size=N)
    expected = np.zeros((2 * N * n_bits, 2 * N * n_bits))
    for n in range(N):
        for m in range(N):
            k = np.exp(-gamma * sum((X[n] - X[m]) ** 2))
            for i in range(n_bits):
                for j in range(n_bits):
                    weight = base ** (i - shift) * base ** (j - shift)
                    p, q = n * n_bits + i, m * n_bits + j
                    ph, qh = p + N * n_bits, q + N * n_bits
                    entry = weight * (0.5 * k + penalty)
                    expected[p, q] += entry
                    expected[ph, qh] += entry
                    expected[p, qh] -= entry
                    expected[ph, q] -= entry
        for i in range(n_bits):
            p = n * n_bits + i
            ph = p + N * n_bits
            expected[p, p] += base ** (i - shift) * (epsilon - y[n])
            expected[ph, ph] += base ** (i - shift) * (epsilon + y[n])
    encoding = FixedPointEncoding.from_base(np.ones(N), n_bits, base=base, exponent_shift=shift)
    dual = SVRDual(rbf_kernel(X, gamma=gamma), y, epsilon, encoding.width[0], penalty)
    qubo = SVRQubo(dual, encoding)
    assert encoding.width[0, 0] == pytest.approx(1.756, abs=5e-4)
    assert qubo.constant == 0.0
    np.testing.assert_allclose(qubo.matrix, expected, rtol=0.0, atol=1e-12)


def test_overlap_penalty_changes_only_its_own_products(make_dual):
    """Q with the penalty minus Q without it: overlap * w_i * w_j between a_n and ah_n."""
    plain, penalised = make_dual(3), make_dual(3, overlap_penalty=0.8)
    encoding = FixedPointEncoding.for_box(plain.C, 2)
    difference = SVRQubo(penalised, encoding).matrix - SVRQubo(plain, encoding).matrix
    expected = np.zeros((12, 12))
    for n in range(3):
        for i in range(2):
            for j in range(2):
                value = 0.5 * 0.8 * (2**i / 3) * (2**j / 3)
                expected[2 * n + i, 6 + 2 * n + j] = expected[6 + 2 * n + j, 2 * n + i] = value
    np.testing.assert_allclose(difference, expected, atol=1e-15)


def test_dual_and_encoding_of_different_sizes_are_refused(make_dual):
    with pytest.raises(ValueError, match="for 3 samples and the dual has 4"):
        SVRQubo(make_dual(4), FixedPointEncoding.for_box(np.ones(3), 2))


def test_distinct_keeps_the_lowest_of_each_string():
    bits = np.array([[1, 0], [0, 1], [1, 0], [1, 1]], dtype=np.uint8)
    samples = Samples(bits, np.array([-1.0, 0.0, -1.0, -3.0]), {"a": 1})
    distinct = samples.distinct()
    assert distinct.bits.tolist() == [[1, 1], [1, 0], [0, 1]]
    assert distinct.energies.tolist() == [-3.0, -1.0, 0.0]
    assert distinct.info == {"a": 1}
    assert samples.distinct(2).energies.tolist() == [-3.0, -1.0]
