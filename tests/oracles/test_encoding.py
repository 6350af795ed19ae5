"""Fixed-point encoding against brute force over its levels."""

from __future__ import annotations

import numpy as np
import pytest

from qsvr import FixedPointEncoding
from qsvr.problem.encoding import MAX_BITS

C = np.array([1.0, 0.3, 2.5])
ENCODINGS = {
    "box, 1 bit": FixedPointEncoding.for_box(C, 1),
    "box, 4 bits": FixedPointEncoding.for_box(C, 4),
    "papers": FixedPointEncoding.from_base(C, 3, base=0.5, exponent_shift=0.005),
    "base 3": FixedPointEncoding.from_base(C, 3, base=3.0),
    "base 1.5": FixedPointEncoding.from_base(C, 4, base=1.5, exponent_shift=-1.0),
    "windows": FixedPointEncoding(
        np.array([[0.1, 0.2, 0.3], [0.0, 0.5, 0.25]]),
        np.array([[0.5, 0.4, 1.0], [2.0, 0.1, 0.3]]),
        np.array([0.25, 0.75]),
    ),
}


@pytest.fixture(params=ENCODINGS.values(), ids=ENCODINGS)
def encoding(request):
    return request.param


def test_bits_and_levels_round_trip(encoding):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, encoding.grid.size, size=(50, 2, 3))
    bits = encoding.bits(levels)
    assert bits.shape == (50, encoding.n_variables)
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(encoding.levels(bits), levels)
    np.testing.assert_array_equal(encoding.bits(encoding.levels(bits)), bits)


def test_values_of_levels_equal_decoded_bits(encoding):
    rng = np.random.default_rng(1)
    levels = rng.integers(0, encoding.grid.size, size=(50, 2, 3))
    np.testing.assert_allclose(
        encoding.values(levels), encoding.decode(encoding.bits(levels)), rtol=1e-14
    )


def test_the_grid_is_every_sum_of_weights_in_order(encoding):
    sums = {0.0}
    for weight in encoding.unit_weights:
        sums |= {s + weight for s in sums}
    np.testing.assert_allclose(encoding.grid, sorted(sums), atol=1e-15)


def test_nearest_levels_are_nearest(encoding):
    rng = np.random.default_rng(2)
    wanted = rng.uniform(-0.5, 3.0, size=(40, 2, 3))
    every = np.broadcast_to(
        np.arange(encoding.grid.size)[:, None, None], (encoding.grid.size, 2, 3)
    )
    distance = np.abs(encoding.values(every)[None] - wanted[:, None])  # (40, n_levels, 2, 3)
    found = np.abs(encoding.values(encoding.nearest_levels(wanted)) - wanted)
    np.testing.assert_allclose(found, distance.min(axis=1), atol=1e-14)


@pytest.mark.parametrize("n_bits", [1, 2, 3, 8, MAX_BITS])
def test_the_largest_code_is_exactly_C(n_bits):
    encoding = FixedPointEncoding.for_box(C, n_bits)
    ones = np.ones((1, encoding.n_variables), dtype=np.uint8)
    np.testing.assert_array_equal(encoding.decode(ones)[0], [C, C])
    np.testing.assert_array_equal(encoding.decode(0 * ones)[0], np.zeros((2, 3)))


def test_powers_of_two_make_even_levels():
    assert FixedPointEncoding.for_box(C, 5).is_uniform
    assert FixedPointEncoding.from_base(C, 5, base=0.5, exponent_shift=0.005).is_uniform
    assert not FixedPointEncoding.from_base(C, 3, base=3.0).is_uniform
    np.testing.assert_allclose(FixedPointEncoding.for_box(C, 2).grid, [0, 1 / 3, 2 / 3, 1])


def test_the_papers_form_weighs_each_bit_by_base_to_the_power():
    encoding = FixedPointEncoding.from_base(np.array([1.0, 2.0]), 3, base=0.5, exponent_shift=0.005)
    weights = [0.5 ** (i - 0.005) for i in range(3)]
    np.testing.assert_allclose(encoding.weights[0, 0], weights, rtol=1e-15)
    np.testing.assert_allclose(encoding.weights[1, 1], np.multiply(2.0, weights), rtol=1e-15)
    assert FixedPointEncoding.implied_box(3, 0.5, 0.005) == pytest.approx(sum(weights), rel=1e-15)


def test_base_3_by_hand():
    encoding = FixedPointEncoding.from_base(np.ones(1), 2, base=3.0)
    bits = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(
        encoding.decode(bits)[:, :, 0], [[0, 0], [1, 3], [3, 1], [4, 4]], atol=1e-15
    )
    assert encoding.levels(bits)[:, :, 0].tolist() == [[0, 0], [1, 2], [2, 1], [3, 3]]


@pytest.mark.parametrize("n_bits", [0, MAX_BITS + 1, 64, 2.5, True])
def test_bits_out_of_range_are_refused(n_bits):
    with pytest.raises(ValueError, match=f"n_bits must be an integer from 1 to {MAX_BITS}; got"):
        FixedPointEncoding.for_box(C, n_bits)


@pytest.mark.parametrize(
    ("base", "shift", "message"),
    [
        (0.0, 0.0, "base must be a positive number"),
        (-2.0, 0.0, "base must be a positive number"),
        (np.nan, 0.0, "base must be a positive number"),
        (2.0, np.inf, "exponent_shift a finite one"),
        (1e200, 0.0, "overflows or is 0; use fewer bits"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_unusable_bases_are_refused(base, shift, message):
    with pytest.raises(ValueError, match=message):
        FixedPointEncoding.from_base(C, 3, base=base, exponent_shift=shift)
