"""Refinement against libsvm: monotone energy, rigorous bounds, early stop, partial results."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from qsvr import QSVR, CapacityError, FixedPointEncoding, SamplerError, get_sampler
from qsvr.problem.optimality import Conditions, canonical, duality_gap, exact_energy
from qsvr.solve.refinement import window_around

SETTING = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}


def data(n=40, seed=0):
    X, y = make_friedman1(n, noise=1.0, random_state=seed)
    return minmax_scale(X), minmax_scale(y)


def libsvm(X, y, **setting):
    """Return the model, b and the exact dual's minimum (to 1e-8)."""
    model = SVR(tol=1e-8, **setting).fit(X, y)
    b = np.zeros(len(y))
    b[model.support_] = model.dual_coef_[0]
    outputs = model.predict(X) - model.intercept_
    return model, b, 0.5 * b @ outputs - y @ b + setting["epsilon"] * np.abs(b).sum()


@dataclass
class FailsInRound:
    """Passes to the structured annealer until a given call."""

    failing: int
    error: type[BaseException] = SamplerError
    calls: list[int] = field(default_factory=list)
    max_variables: int | None = 60_000
    parameters: frozenset[str] = frozenset()

    def sample(self, qubo, *, num_reads, seed, **options):
        self.calls.append(seed)
        if len(self.calls) == self.failing:
            raise self.error("line lost")
        return get_sampler().sample(qubo, num_reads=num_reads, seed=seed)


@pytest.mark.parametrize(("n_bits", "C"), [(2, 1.0), (3, 1.0), (3, 5.0), (8, 1.0)])
def test_reaches_libsvms_optimum(n_bits, C):
    X, y = data()
    setting = {**SETTING, "C": C}
    svr, _, best = libsvm(X, y, **setting)
    model = QSVR(**setting, n_bits=n_bits, n_refinements=20, random_state=0).fit(X, y)
    assert abs(model.energy_ - best) <= 1e-3 * abs(best)
    np.testing.assert_allclose(model.predict(X), svr.predict(X), atol=0.01)


def test_history_is_monotone_and_bounded():
    X, y = data()
    _, _, best = libsvm(X, y, **SETTING)
    model = QSVR(**SETTING, n_refinements=8, tol=1e-9, random_state=0).fit(X, y)
    history = model.sampler_info_["refinement_history"]
    assert len(history) == model.n_iter_ == 9
    for each in history:
        assert each.energy <= each.start_energy + 1e-12
        assert each.gap >= -1e-12
        assert each.bound <= best + 1e-9
    widths = [each.width for each in history]
    assert widths == sorted(widths, reverse=True)
    assert history[-1].gap < 1e-3 * history[0].gap
    assert model.energy_ == pytest.approx(history[-1].energy)
    assert model.relaxation_bound_ == pytest.approx(history[-1].bound)


def test_the_windows_do_not_depend_on_the_units_of_the_target():
    X, y = data()
    widths = []
    for unit in (1.0, 2.0**-20, 2.0**20):
        setting = {"C": unit, "epsilon": 0.05 * unit, "gamma": 0.3, "n_bits": 1, "tol": 1e-300}
        model = QSVR(**setting, n_refinements=10, random_state=0).fit(X, unit * y)
        widths.append([each.width for each in model.sampler_info_["refinement_history"]])
    assert widths[1] == widths[2] == widths[0]


def test_stops_early_at_tol():
    X, y = data()
    model = QSVR(**SETTING, n_refinements=50, tol=0.01, random_state=0).fit(X, y)
    assert model.n_iter_ < 20
    assert model.sampler_info_["refinement_history"][-1].kkt_gap <= 0.01


def test_every_solution_is_feasible_and_distinct():
    X, y = data()
    weight = np.random.default_rng(0).uniform(0.2, 2.0, len(y))
    model = QSVR(**SETTING, n_refinements=5, random_state=0).fit(X, y, sample_weight=weight)
    b = model.solutions_.coefficients
    assert len(np.unique(b, axis=0)) == len(b) > 1
    assert (np.abs(b) <= weight + 1e-12).all()


def test_works_with_the_papers_encoding():
    X, y = data()
    box = FixedPointEncoding.implied_box(3, 0.5, 0.005)
    _, _, best = libsvm(X, y, **{**SETTING, "C": box})
    model = QSVR(
        C="implied", epsilon=0.05, gamma=0.3, base=0.5, exponent_shift=0.005,
        n_refinements=20, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert abs(model.energy_ - best) <= 1e-3 * abs(best)


@pytest.mark.parametrize("base", [None, 0.6, 3.0])
def test_the_incumbent_is_a_level_of_its_window(base):
    rng = np.random.default_rng(0)
    C = rng.uniform(0.5, 2.0, 30)
    start = (
        FixedPointEncoding.for_box(C, 3)
        if base is None
        else FixedPointEncoding.from_base(C, 3, base=base)
    )
    box = start.width
    incumbent = start.values(rng.integers(0, 8, (2, 30)))
    for share in (0.5, 0.25, 0.125):
        window = window_around(start, incumbent, rng.normal(size=(2, 30)), box, share * box)
        np.testing.assert_allclose(
            window.values(window.nearest_levels(incumbent)), incumbent, atol=1e-12
        )
        assert (window.offset >= -1e-9).all()
        assert (window.offset + window.width <= box + 1e-9).all()
        incumbent = window.values(rng.integers(0, 8, (2, 30)))


def test_conditions_hold_at_libsvms_solution_and_nowhere_near_zero():
    X, y = data()
    svr, b, best = libsvm(X, y, **SETTING)
    outputs = svr.predict(X) - svr.intercept_
    C = np.ones(len(y))
    conditions = Conditions.of(outputs - y, b, C, 0.05)
    assert conditions.gap < 1e-6
    assert conditions.offset == pytest.approx(svr.intercept_[0], abs=1e-6)
    assert exact_energy(outputs - y, b, y, 0.05) == pytest.approx(best)
    assert duality_gap(outputs - y + conditions.offset, b, C, 0.05) == pytest.approx(0, abs=1e-5)
    start = Conditions.of(-y, np.zeros(len(y)), C, 0.05)
    assert start.gap == pytest.approx(np.ptp(y) - 0.1)
    assert -duality_gap(-y + start.offset, np.zeros(len(y)), C, 0.05) <= best


def test_canonical_coefficients_have_no_overlap():
    b = np.array([1.0, -2.0, 0.0])
    np.testing.assert_array_equal(canonical(b), [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


def test_a_failure_in_round_7_carries_the_best_model_so_far():
    X, y = data()
    sampler = FailsInRound(7)
    model = QSVR(**SETTING, n_refinements=20, tol=1e-12, sampler=sampler, random_state=0)
    with pytest.raises(SamplerError, match="line lost") as caught:
        model.fit(X, y)
    partial = caught.value.partial_model
    assert len(partial.sampler_info_["refinement_history"]) == 6
    whole = QSVR(**SETTING, n_refinements=5, tol=1e-12, random_state=0).fit(X, y)
    np.testing.assert_allclose(partial.predict(X), whole.predict(X))
    assert not hasattr(model, "dual_coef_")


def test_a_failure_in_the_first_round_has_no_model():
    with pytest.raises(SamplerError) as caught:
        QSVR(n_refinements=3, sampler=FailsInRound(1)).fit(*data())
    assert caught.value.partial_model is None


def test_capacity_without_working_sets():
    with pytest.raises(CapacityError, match="max_variables='auto'"):
        QSVR(sampler="exact", max_variables=None).fit(*data())


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_refinements", -1), ("n_refinements", 1.5), ("max_variables", 0),
        ("max_variables", "all"), ("tol", 0.0), ("max_iter", 0), ("cache_size", -1.0),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(parameter, value):
    with pytest.raises(ValueError, match=rf"{parameter} of QSVR must be .*got"):
        QSVR(**{parameter: value}).fit(*data())


@pytest.mark.parametrize("limit", [None, 36, 35])
def test_one_qubo_may_be_exactly_as_large_as_the_sampler_takes(limit):
    X, y = data(6)
    model = QSVR(
        **SETTING, n_bits=3, sampler=FailsInRound(99, max_variables=limit), max_variables=None
    )
    if limit == 35:
        with pytest.raises(CapacityError, match="6 samples at n_bits=3 need 36 binary variables"):
            model.fit(X, y)
    else:
        assert model.fit(X, y).sampler_info_["n_variables"] == 36
