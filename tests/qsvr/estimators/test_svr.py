"""What QSVR reports, repeats and combines, and the samplers it takes."""

from __future__ import annotations

import pickle
from typing import ClassVar

import dimod
import numpy as np
import pytest
from sklearn.base import clone

from friedman import (
    DESCENT,
    X_NEW,
    Y_NEW,
    X,
    Y,
    make_by_name,
    make_model,
    make_varied,
)
from qsvr import CoarseEncodingWarning, FixedPointEncoding, IndefiniteKernelWarning
from qsvr.model.combination import COMBINATIONS
from qsvr.model.intercept import INTERCEPTS


class SpinSampler(dimod.Sampler):
    """A user's sampler: random spins instead of bits, in another order, from its own seed."""

    parameters: ClassVar = {"num_reads": [], "seed": [], "flip": []}
    properties: ClassVar = {}

    def sample(self, bqm, *, num_reads=1, seed=None, flip=False):
        rng = np.random.default_rng(seed)
        labels = list(bqm.variables)[::-1]
        spins = rng.choice([-1, 1], size=(num_reads, len(labels))) * (-1 if flip else 1)
        return dimod.SampleSet.from_samples_bqm((spins, labels), bqm.spin)


# --- what is reported -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, "sa", "tabu", "relax-round"])
def test_energy_is_not_below_the_bound(sampler):
    model = make_model(sampler=sampler, num_reads=4, n_refinements=0).fit(X, Y)
    assert model.energy_ >= model.relaxation_bound_
    info = model.sampler_info_
    assert model.energy_ == model.solutions_.energies[0]
    assert model.energy_ == min(info["energies"].min(), *info["candidates"].values())
    assert (np.diff(model.solutions_.energies) >= 0).all()
    info = model.sampler_info_
    assert info["n_variables"] == 2 * 3 * len(X)
    assert info["n_reads"] == 4 == info["raw_energies"].size == info["random_energies"].size
    assert (info["energies"] <= info["raw_energies"]).all()
    assert info["random_energies"].min() > info["energies"].max()


def test_polish_off_keeps_the_samplers_own_energies():
    options = {"sampler_options": {"num_sweeps": 3}, "n_refinements": 0}
    model = make_model(polish=False, **options).fit(X, Y)
    polished = make_model(**options).fit(X, Y)
    info = model.sampler_info_
    np.testing.assert_array_equal(info["energies"], info["raw_energies"])
    np.testing.assert_array_equal(info["raw_energies"], polished.sampler_info_["raw_energies"])
    assert polished.energy_ < model.energy_
    assert (info["polished"], polished.sampler_info_["polished"]) == (False, True)


def test_verbose_prints_a_summary(capsys):
    make_model().fit(X, Y)
    assert capsys.readouterr().out == ""
    model = make_model(verbose=1, n_refinements=0).fit(X, Y)
    line = capsys.readouterr().out
    assert line.startswith("[QSVR] 180 variables, 16 reads by structured in ")
    assert f"energy {model.energy_:.6g}" in line
    assert f"{model.n_support_[0]} support vectors" in line


def test_an_indefinite_kernel_is_not_taken_for_a_coarse_encoding():
    """Its bound lies far below anything reachable, however fine the levels."""
    with pytest.warns(
        IndefiniteKernelWarning, match=r"lowest eigenvalue is -1[23]\.\d+.*psd='clip'"
    ):
        model = make_by_name("sigmoid").fit(X, Y)
    assert model.energy_ - model.relaxation_bound_ > abs(model.energy_)


def test_a_coarse_encoding_is_reported():
    with pytest.warns(CoarseEncodingWarning, match=r"n_bits=8.*a smaller C"):
        make_model(C=1000.0, n_bits=1, n_refinements=0).fit(X, Y)


# --- reproducibility ------------------------------------------------------------------------------


@pytest.mark.parametrize("random_state", [0, 7, np.random.RandomState(3)])
def test_the_same_random_state_gives_the_same_result_for_any_n_jobs(random_state):
    fits = []
    for n_jobs in (1, 2, None):
        # 150 reads are three batches of 64
        model = make_model(
            num_reads=150, n_jobs=n_jobs, random_state=clone(random_state, safe=False)
        )
        fits.append(model.fit(X, Y))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.predict(X_NEW), fits[0].predict(X_NEW))
        np.testing.assert_array_equal(
            other.sampler_info_["raw_energies"], fits[0].sampler_info_["raw_energies"]
        )


def test_another_random_state_gives_other_samples():
    one, two = (make_model(random_state=seed).fit(X, Y) for seed in (0, 1))
    assert (one.sampler_info_["raw_energies"] != two.sampler_info_["raw_energies"]).any()


@pytest.mark.parametrize("sampler", [None, "sa", "neal", "tabu", "relax-round", DESCENT])
def test_the_global_random_state_is_untouched(sampler):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    make_model(sampler=sampler, num_reads=2, combination_fraction=0.2).fit(X, Y).predict(X_NEW)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_the_result_does_not_depend_on_units():
    """y, C and epsilon times a power of two: the same levels, so predictions scale exactly."""
    scaled = make_model(C=16.0, epsilon=1.6).fit(X, 16.0 * Y)
    plain = make_model(C=1.0, epsilon=0.1).fit(X, Y)
    np.testing.assert_array_equal(scaled.predict(X_NEW), 16.0 * plain.predict(X_NEW))


def test_a_constant_added_to_y_is_added_to_predictions():
    np.testing.assert_allclose(
        make_model().fit(X, Y + 64.0).predict(X_NEW), make_model().fit(X, Y).predict(X_NEW) + 64.0
    )


# --- samplers -------------------------------------------------------------------------------------


def test_a_factory_survives_clone_and_pickle():
    model = pickle.loads(pickle.dumps(clone(make_model(sampler=DESCENT, num_reads=4))))
    assert model.sampler == DESCENT
    assert model.fit(X, Y).sampler_info_["sampler"] == type(DESCENT.open()).__name__
    assert model.score(X, Y) > 0.5
    assert DESCENT.open() is DESCENT.open()


def test_a_dimod_sampler_object_is_used_with_its_options():
    models = [
        make_model(sampler=SpinSampler(), sampler_options={"flip": flip}).fit(X, Y)
        for flip in (False, True)
    ]
    assert models[0].sampler_info_["sampler"] == "SpinSampler"
    raw = [model.sampler_info_["raw_energies"] for model in models]
    assert (raw[0] != raw[1]).all()
    assert all(model.score(X, Y) > 0.5 for model in models)


def test_enumeration_finds_the_lowest_solutions_in_order():
    model = make_model(
        sampler="exact", polish=False, num_reads=10, n_solutions=10, n_refinements=0
    ).fit(X[:3], Y[:3])
    assert model.solutions_.energies.size == 10
    annealed = make_model(n_refinements=0).fit(X[:3], Y[:3])
    assert annealed.energy_ == pytest.approx(model.energy_, rel=1e-12)


# --- the papers' encoding, combinations, offsets --------------------------------------------------


def test_the_box_implied_by_the_papers_weights():
    papers = {"base": 0.5, "exponent_shift": 0.005, "n_solutions": 1}
    implied = FixedPointEncoding.implied_box(3, 0.5, 0.005)
    model = make_model(C="implied", **papers).fit(X, Y)
    b = np.abs(model.solutions_.coefficients[0])
    assert b.max() == pytest.approx(implied, rel=1e-12)
    same = make_model(C=implied, **papers).fit(X, Y)
    np.testing.assert_array_equal(same.predict(X_NEW), model.predict(X_NEW))
    # base 1/2 has the levels of powers of two, so the same box gives the same optimum
    box = make_model(C=implied, n_solutions=1, num_reads=64).fit(X, Y)
    assert box.energy_ == pytest.approx(
        make_model(C="implied", **papers, num_reads=64).fit(X, Y).energy_
    )


def test_uneven_levels_fit():
    model = make_model(base=3.0, exponent_shift=2.0, C="implied").fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.2
    assert model.energy_ >= model.relaxation_bound_


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_every_combination_and_intercept(combination, intercept):
    model = make_varied(combination=combination, intercept=intercept, n_solutions=8).fit(X, Y)
    weights = model.solutions_.weights
    assert weights.size == 8
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() >= 0
    combined = np.zeros(len(X))
    combined[model.support_] = model.dual_coef_[0]
    np.testing.assert_allclose(combined, weights @ model.solutions_.coefficients, atol=1e-12)
    assert model.score(X_NEW, Y_NEW) > 0.3


def test_n_solutions_bounds_the_distinct_solutions():
    one = make_varied(n_solutions=1, n_refinements=0).fit(X, Y).solutions_
    many = make_varied(n_solutions=9, n_refinements=0).fit(X, Y).solutions_
    assert one.energies.size == 1
    assert many.energies.size == 9
    np.testing.assert_array_equal(one.coefficients[0], many.coefficients[0])
    assert np.unique(many.coefficients, axis=0).shape[0] == 9


def test_combination_fraction_holds_samples_out():
    model = make_varied(combination="mse", combination_fraction=0.25, n_solutions=8).fit(X, Y)
    n_learning = len(X) - 8  # the ceiling of 7.5 is held out
    assert model.solutions_.coefficients.shape == (8, n_learning)
    assert model.sampler_info_["n_variables"] == 6 * n_learning
    assert model.support_.size <= n_learning
    np.testing.assert_array_equal(model.support_vectors_, X[model.support_])
    assert model.score(X_NEW, Y_NEW) > 0.2


def test_held_out_samples_decide_the_weights():
    """Targets of the held-out rows change the weights and leave the solutions alone."""
    parameters = {"combination": "mse", "combination_fraction": 0.3, "n_solutions": 8}
    model = make_varied(**parameters, epsilon=0.0).fit(X, Y)
    used = set(model.support_.tolist())
    assert len(used) == len(X) - 9  # with epsilon 0 every learning row is a support vector
    held_out = [row for row in range(len(X)) if row not in used]
    other = Y.copy()
    other[held_out] = np.roll(Y[held_out], 1)
    changed = make_varied(**parameters, epsilon=0.0).fit(X, other)
    np.testing.assert_array_equal(changed.solutions_.coefficients, model.solutions_.coefficients)
    taken = model.solutions_.weights > 0.0
    assert taken.sum() > 1
    assert (changed.solutions_.weights != model.solutions_.weights)[taken].all()
