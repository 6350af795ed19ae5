from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.brackets import (
    floor_log,
    hyperband_brackets,
    hyperband_epochs,
    make_bracket,
    round_half_even,
)


def test_floor_log_is_exact_where_floating_point_is_not():
    assert floor_log(243, 3) == 5
    assert math.floor(math.log(243, 3)) == 4


@given(st.integers(2, 50), st.integers(0, 12))
def test_floor_log_of_powers(base, power):
    assert floor_log(base**power, base) == power
    assert power == 0 or floor_log(base**power - 1, base) == power - 1


@given(st.integers(0, 10_000), st.integers(1, 200))
def test_rounding_agrees_with_fractions(numerator, denominator):
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("resource", "epochs", "trials"),
    [(12, 149, 22), (35, 872, 84), (100, 3213, 163), (300, 15380, 608)],
)
def test_published_totals(resource, epochs, trials):
    brackets = hyperband_brackets(resource, 2)
    assert sum(bracket.epochs for bracket in brackets) == epochs
    assert sum(bracket.n_trials for bracket in brackets) == trials


@given(st.integers(1, 2000), st.integers(2, 6))
def test_rungs_rise_to_the_maximum_and_trials_fall(resource, factor):
    for bracket in hyperband_brackets(resource, factor):
        units = [rung.resource for rung in bracket.rungs]
        sizes = [rung.n_trials for rung in bracket.rungs]
        assert units[-1] == resource
        assert units[0] >= 1
        assert all(a < b for a, b in itertools.pairwise(units))
        assert sizes[-1] >= 1
        assert all(a // factor == b for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, 2, 0, 1), "max_resource"),
        ((True, 2, 0, 1), "max_resource"),
        ((9, 1, 0, 1), "reduction_factor"),
        ((9, 2.0, 0, 1), "reduction_factor"),
        ((9, 3, 3, 1), "depth must lie in 0..2"),
        ((9, 3, -1, 1), "depth must lie in 0..2"),
        ((9, 3, 1, 0), "n_trials"),
        ((9, 3, 1, 1, 4), "depth must lie in 0..0 for max_resource=9, min_resource=4"),
        ((9, 3, 0, 1, 0), r"min_resource must lie in 1..9 \(max_resource\), got 0"),
        ((9, 3, 0, 1, 10), "min_resource must lie in 1..9"),
        ((9, 3, 0, 1, 1.0), "min_resource must lie in 1..9"),
    ],
)
def test_bad_settings_are_named(args, message):
    with pytest.raises(ValueError, match=message):
        make_bracket(*args)


@given(st.integers(1, 500), st.integers(2, 6), st.integers(1, 500))
def test_no_rung_lies_below_the_least_resource(resource, factor, least):
    least = min(least, resource)
    brackets = hyperband_brackets(resource, factor, least)
    lowest = brackets[0].rungs[0].resource
    assert all(rung.resource >= least for bracket in brackets for rung in bracket.rungs)
    assert lowest < least * factor or math.isclose(lowest, least * factor, abs_tol=factor / 2)
    assert brackets[-1] == hyperband_brackets(resource, factor)[-1].of_size(len(brackets), factor)
    assert hyperband_epochs(resource, factor, least) <= hyperband_epochs(resource, factor)
    assert hyperband_brackets(resource, factor, 1) == hyperband_brackets(resource, factor)


def test_the_brackets_of_the_paper_start_at_its_least_resource():
    """R = 81 units of 3 epochs each are 243 epochs from 3 on (Li et al., table 1, times 3)."""
    table = [[(r.n_trials, r.resource) for r in b.rungs] for b in hyperband_brackets(243, 3, 3)]
    assert table[0] == [(81, 3), (27, 9), (9, 27), (3, 81), (1, 243)]
    assert table[-1] == [(5, 243)]
    assert len(table) == 5
