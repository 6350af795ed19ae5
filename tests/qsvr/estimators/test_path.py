"""A path over C and epsilon against fits one by one, and against libsvm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from qsvr import QSVR, C_path, QSVREnsemble, QSVRPath, fit_many
from qsvr.problem import SVRDual


@pytest.fixture(scope="module")
def data():
    X, y = make_friedman1(100, noise=1.0, random_state=0)
    return minmax_scale(X), minmax_scale(y)


SETTING = {"gamma": 0.3, "random_state": 0}
CS = np.geomspace(0.1, 100.0, 6)


def energies_on_one_dual(path, epsilon, i, other, X, y):
    """Return the energies of the path's and of another model's best point on the same targets."""
    known = path.model(epsilon, i)
    dual = known.make_problem(X, y).qubo.dual
    assert isinstance(dual, SVRDual)
    history = known.sampler_info_["refinement_history"]
    dual = dual.recentred(history[-1].centre)
    b = np.stack([each.solutions_.coefficients[0] for each in (known, other)])
    return dual.energy(np.stack([np.maximum(b, 0.0), np.maximum(-b, 0.0)], axis=1))


def test_energies_are_those_of_cold_fits_to_a_thousandth(data):
    """No higher than those of fits that are refined as far as bits go, and near the bound."""
    X, y = data
    path = C_path(X, y, Cs=CS, epsilons=[0.02, 0.1], estimator=QSVR(**SETTING))
    assert path.energies.shape == path.bounds.shape == path.n_qubos.shape == (2, CS.size)
    excess = (path.energies - path.bounds) / np.abs(path.bounds)
    assert excess.min() > -1e-9
    assert excess.max() < 1e-3
    for e, epsilon in enumerate((0.02, 0.1)):
        for i in (1, 3, 5):
            cold = QSVR(**SETTING, C=CS[i], epsilon=epsilon, n_refinements=14).fit(X, y)
            ours, theirs = energies_on_one_dual(path, e, i, cold, X, y)
            assert ours <= theirs + 1e-3 * abs(theirs)


def test_predictions_are_libsvms(data):
    X, y = data
    path = C_path(X[:70], y[:70], Cs=CS, estimator=QSVR(**SETTING, epsilon=0.05))
    predictions = path.predict(X[70:])
    assert predictions.shape == (1, CS.size, 30)
    for C, prediction in zip(CS, predictions[0], strict=True):
        svr = SVR(C=C, gamma=0.3, epsilon=0.05).fit(X[:70], y[:70])
        assert np.abs(prediction - svr.predict(X[70:])).max() < 0.05
    for i in range(CS.size):
        np.testing.assert_allclose(path.model(0, i).predict(X[70:]), predictions[0, i], atol=1e-9)


def test_values_are_sorted_and_the_default_ones_follow_y(data):
    X, y = data
    path = C_path(X[:30], y[:30], Cs=[10.0, 1.0], estimator=QSVR(**SETTING))
    assert path.Cs.tolist() == [1.0, 10.0]
    assert path.model(0, 1).C == 10.0
    one, other = (C_path(X[:30], f * y[:30], n_Cs=3, estimator=QSVR(**SETTING)) for f in (1.0, 9.0))
    np.testing.assert_allclose(9.0 * one.Cs, other.Cs)
    assert isinstance(one, QSVRPath)
    assert repr(one) == "QSVRPath(n_epsilons=1, n_Cs=3)"


def test_a_path_repeats_and_leaves_its_estimator_alone(data):
    X, y = data
    estimator = QSVR(**SETTING, C=7.0)
    first, second = (C_path(X[:40], y[:40], Cs=CS, estimator=estimator) for _ in range(2))
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    assert estimator.C == 7.0
    assert not hasattr(estimator, "solutions_")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "sa", "num_reads": 4},
        {"normalize_y": True},
        {"n_refinements": 0},
        {"n_refinements": 3},
        {"combination_fraction": 0.25},
        {"kernel": "sigmoid", "psd": "clip"},
        {"max_variables": 60},
        {"time_limit": 100.0},
    ],
    ids=str,
)
def test_other_ways_to_fit_make_a_path_too(data, options):
    X, y = data
    estimator = QSVR(**{**SETTING, "epsilon": 0.05, **options})
    path = C_path(X[:24], y[:24], Cs=[1.0, 5.0], estimator=estimator)
    for i, C in enumerate(path.Cs):
        cold = QSVR(**{**SETTING, "epsilon": 0.05, **options}, C=C).fit(X[:24], y[:24])
        difference = path.predict(X[24:])[0, i] - cold.predict(X[24:])
        assert np.sqrt(np.mean(difference**2)) < 0.05
        np.testing.assert_allclose(
            path.model(0, i).predict(X[24:]), path.predict(X[24:])[0, i], atol=1e-9
        )


def test_matrices_of_all_forms(data):
    X, y = data
    dense, scarce = (
        C_path(each, y[:30], Cs=[1.0, 3.0], estimator=QSVR(**SETTING))
        for each in (X[:30], sparse.csr_array(X[:30]))
    )
    np.testing.assert_allclose(
        dense.predict(X[30:]), scarce.predict(sparse.csr_array(X[30:])), atol=1e-3
    )
    K = X @ X.T
    given = C_path(
        K[:30, :30], y[:30], Cs=[1.0], estimator=QSVR(kernel="precomputed", random_state=0)
    )
    assert given.predict(K[30:, :30]).shape == (1, 1, 70)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Cs": [0.0, 1.0]}, r"Cs of C_path must be .* positive"),
        ({"Cs": []}, r"Cs of C_path"),
        ({"epsilons": [-1.0]}, r"epsilons of C_path must be .* not negative"),
        ({"epsilons": [np.nan]}, r"epsilons of C_path"),
        ({"n_Cs": 0}, r"n_Cs of C_path"),
        ({"estimator": QSVR(base=2.0, C="implied")}, r"base of C_path's estimator must be None"),
        ({"estimator": QSVR(n_bits=0)}, "n_bits of QSVR"),
        ({"estimator": SVR()}, r"estimator of C_path must be a QSVR"),
    ],
    ids=str,
)
def test_values_that_cannot_be_used(data, values, message):
    X, y = data
    with pytest.raises((ValueError, TypeError), match=message):
        C_path(X[:10], y[:10], **values)


def test_features_that_are_not_those_of_the_fit(data):
    X, y = data
    path = C_path(X[:20], y[:20], Cs=[1.0], estimator=QSVR(**SETTING))
    with pytest.raises(ValueError, match="X has 3 features; the path was fitted with 10"):
        path.predict(X[:, :3])


@pytest.mark.parametrize("how", ["alone", "ensemble", "many", "path"])
def test_a_warning_of_the_solver_names_the_callers_line(data, how):
    X, y = data
    model = QSVR(C=100.0, gamma=0.3, epsilon=0.01, n_refinements=1, n_bits=1, random_state=0)
    fit = {
        "alone": lambda: model.fit(X, y),
        "ensemble": lambda: QSVREnsemble(model, n_estimators=2, random_state=0).fit(X, y),
        "many": lambda: fit_many([model], [X], [y]),
        "path": lambda: C_path(X, y, Cs=[100.0], estimator=model),
    }[how]
    with pytest.warns(ConvergenceWarning, match="refinement ended by") as caught:
        fit()
    assert caught[0].filename == __file__
