"""Very large and very small kernels, targets and boxes: an error with a cause, or the same fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import rbf_kernel

from friedman import X, Y
from qsvr import QSVR, FixedPointEncoding, QSVREnsemble, SVRDual, SVRQubo, get_sampler

X, Y = X[:20], Y[:20]
NEW = X[:5] + 0.1


CAUSES = {
    "degree": (
        {"kernel": "poly", "degree": 120, "gamma": 100.0},
        X, "kernel='poly'.*degree=120.*Lower degree",
    ),
    "gamma": ({"kernel": "poly", "gamma": 1e200}, X, r"gamma=1e\+200.*Lower degree, gamma"),
    "coef0": ({"kernel": "poly", "gamma": 1.0, "coef0": 1e300}, X, r"coef0=1e\+300.*coef0"),
    "X, linear": ({"kernel": "linear"}, X * 1e300, r"values reach 9\.\d\de\+299.*Scale X"),
    "X, rbf": ({}, X * 1e300, r"gamma='scale'.*X has values up to .*Scale X"),
    "X, rbf, gamma given": ({"gamma": 0.1}, X * 1e300, "kernel='rbf', gamma=0.1.*Scale X"),
    "small X": ({}, X * 1e-170, "gamma='scale'.*variance .*Scale X"),
    "degree, finite": (
        {"kernel": "poly", "degree": 60, "gamma": 100.0}, X, "the kernel.*square overflows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.filterwarnings("error")
def test_a_kernel_that_overflows_names_its_cause(name, form):
    parameters, rows, message = CAUSES[name]
    with pytest.raises(ValueError, match=message):
        QSVR(random_state=0, **parameters).fit(form(rows), Y)
    size = {"max_variables": 60}  # working sets
    if name != "degree, finite":
        with pytest.raises(ValueError, match=message):
            QSVR(random_state=0, **size, **parameters).fit(form(rows), Y)


@pytest.mark.filterwarnings("error")
@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
def test_a_kernel_that_overflows_at_prediction_names_its_cause():
    for parameters in ({"kernel": "poly", "gamma": 0.1}, {"kernel": "linear"}):
        model = QSVR(random_state=0, num_reads=4, **parameters).fit(X, Y)
        with pytest.raises(ValueError, match=r"kernel='.*Scale X"):
            model.predict(np.full_like(X, 1.5e308))
    model = QSVR(random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.predict(np.full_like(X, 1e307)), model.intercept_[0])
    model = QSVR(kernel="linear", random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="predictions are not finite"):
        model.predict(np.full_like(X, 1e200), return_std=True)
    model = QSVR(kernel="linear", C=1e60, epsilon=1e58, random_state=0).fit(X, 1e60 * Y)
    with pytest.raises(ValueError, match="predictions are not finite: the kernel of X"):
        model.predict(np.full_like(X, 1e260))


@pytest.mark.parametrize(
    ("parameters", "factor", "message"),
    [
        ({}, 1e308, "y must be at most .*Scale y"),
        ({}, 1e200, "y of QSVR reaches .*whose square overflows.*normalize_y=True"),
        ({"C": 1e200}, 1.0, r"C of QSVR reaches 1e\+200"),
        ({"C": 1e200, "kernel": "poly", "gamma": 1e30}, 1.0, r"C of QSVR reaches 1e\+200"),
        ({"C": 9e98, "kernel": "poly", "gamma": 1e10, "degree": 9}, 1.0, "C of QSVR.*energies up"),
        ({"epsilon": 1e200}, 1.0, r"epsilon of QSVR reaches 1e\+200"),
        ({"equality_penalty": 1e200}, 1.0, r"equality_penalty of QSVR reaches 1e\+200"),
        ({"overlap_penalty": 1e200}, 1.0, r"overlap_penalty of QSVR reaches 1e\+200"),
        ({"epsilon": 0.0}, 1e-300, "y of QSVR differs from its median by at most .*whose square"),
        ({"C": 1e-200}, 1.0, "C of QSVR reaches 1e-200, whose square is 0"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_magnitudes_beyond_floating_point_name_their_cause(parameters, factor, message):
    with pytest.raises(ValueError, match=message):
        QSVR(random_state=0, **parameters).fit(X, factor * (Y / Y.max()))


@pytest.mark.parametrize("factor", [1e-200, 1e200])
@pytest.mark.parametrize("combination", ["mean", "oob"])
@pytest.mark.filterwarnings("error")
def test_an_ensemble_scores_in_any_units(factor, combination):
    parameters = {
        "combination": combination,
        "oob_score": True,
        "max_samples": 0.5,
        "random_state": 0,
    }
    scores = [
        QSVREnsemble(QSVR(normalize_y=True), **parameters).fit(X, f * Y).oob_score_
        for f in (1.0, factor)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=0.05)


@pytest.mark.filterwarnings("error")
def test_targets_whose_sum_overflows():
    with pytest.raises(ValueError, match=r"y must be at most 1e\+300.*got 1e\+308. Scale y"):
        QSVR().fit(X, 1e308 * np.sign(Y))


def scaled(factor, **parameters):
    """Return a fit with y, C and epsilon in other units, and its predictions in the old ones."""
    model = QSVR(C=5.0 * factor, epsilon=0.1 * factor, random_state=0, **parameters)
    model.fit(X, factor * Y)
    return model, model.predict(NEW) / factor


@pytest.mark.parametrize("exponent", [-100, -60, 60, 100])
@pytest.mark.parametrize(
    "parameters",
    [
        {"polish": False},
        {},
        {"polish": False, "n_bits": 8, "overlap_penalty": 0.0},
        {"polish": False, "kernel": "linear"},
        {"n_refinements": 4, "tol": 1e-300},
        {"combination": "boltzmann"},
        {"combination": "mse", "intercept": "kkt"},
    ],
)
@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
@pytest.mark.filterwarnings("ignore:refinement ended by n_refinements=4")
def test_other_units_of_y_give_the_same_model(parameters, exponent):
    """To the last bit for powers of two. In single precision 1e19 was too large before."""
    factor = 2.0**exponent
    model, prediction = scaled(factor, **parameters)
    reference, expected = scaled(1.0, **parameters)
    np.testing.assert_array_equal(prediction, expected)
    np.testing.assert_array_equal(model.dual_coef_ / factor, reference.dual_coef_)
    np.testing.assert_array_equal(model.predict(NEW, return_std=True)[1] / factor,
                                  reference.predict(NEW, return_std=True)[1])  # fmt: skip


@pytest.mark.parametrize("factor", [1e-45, 1e-30, 1e19, 1e30, 1e45])
@pytest.mark.parametrize("encoding", [{}, {"n_bits": 8}, {"overlap_penalty": 1.0}])
@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
def test_the_annealer_is_as_good_in_any_units(factor, encoding):
    energies = [
        scaled(f, polish=False, **encoding)[0].sampler_info_["raw_energies"] / f**2
        for f in (1.0, factor)
    ]
    assert energies[1].min() == pytest.approx(energies[0].min(), rel=1e-3)
    assert np.median(energies[1]) == pytest.approx(np.median(energies[0]), rel=0.02)


@pytest.mark.parametrize("exponent", [-140, -60, 60, 140])
@pytest.mark.parametrize("method", ["structured", "relax-round"])
def test_other_units_of_the_kernel_give_the_same_coefficients(exponent, method):
    factor = 2.0**exponent
    K = rbf_kernel(X, gamma=0.3)
    fits = [
        QSVR(
            kernel="precomputed", C=5.0 / f, epsilon=0.1, polish=False, random_state=0,
            sampler=method, num_reads=8,
        ).fit(K * f, Y)
        for f in (1.0, factor)
    ]  # fmt: skip
    np.testing.assert_array_equal(fits[1].dual_coef_ * factor, fits[0].dual_coef_)
    np.testing.assert_allclose(fits[1].predict(K[:3] * factor), fits[0].predict(K[:3]), rtol=1e-12)
    bounds = [fit.relaxation_bound_ for fit in fits]
    assert bounds[1] * factor == pytest.approx(bounds[0], rel=1e-9)
    stds = [
        fit.predict(K[:3] * f, return_std=True)[1] for fit, f in zip(fits, (1, factor), strict=True)
    ]
    np.testing.assert_allclose(stds[1], stds[0], rtol=1e-6)


def test_a_sample_that_weighs_far_less_does_not_matter():
    weight = np.where(np.arange(20) == 3, 1e-60, 1.0)
    model = QSVR(random_state=0).fit(X, Y, sample_weight=weight)
    assert model.score(X, Y) > 0


def test_annealing_with_given_temperatures_far_from_one():
    dual = SVRDual(np.eye(2) * 1e60, np.array([1e60, -1e60]), 1e59, np.ones(2))
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    options = {"beta_range": (1e-60, 1e-57)}
    samples = get_sampler("structured").sample(qubo, num_reads=8, seed=0, **options)
    assert samples.energies.min() == pytest.approx(-0.808e60, rel=1e-3)


def test_working_sets_refuse_kernels_beyond_single_precision():
    model = QSVR(kernel="precomputed", max_variables=60, random_state=0)
    with pytest.raises(ValueError, match=r"values up to 1e\+40; working sets.*max_variables=None"):
        model.fit(1e40 * rbf_kernel(X), Y)
