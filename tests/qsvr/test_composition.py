"""QSVR inside scikit-learn: meta-estimators, data containers, kernels, weights, export."""

from __future__ import annotations

import pickle
from functools import partial
from typing import ClassVar

import dimod
import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import (
    laplacian_kernel,
    linear_kernel,
    polynomial_kernel,
    rbf_kernel,
    sigmoid_kernel,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR

from qsvr import QSVR, CoarseEncodingWarning, FixedPointEncoding, SamplerFactory
from qsvr.combination import COMBINATIONS
from qsvr.intercept import INTERCEPTS

GAMMA = 0.4
DESCENT = SamplerFactory("dwave.samplers.SteepestDescentSampler")


def _data(n_samples, seed=0):
    X, y = make_friedman1(n_samples, noise=0.5, random_state=seed)
    return X, (y - y.mean()) / y.std()


X, Y = _data(30)
X_NEW, Y_NEW = _data(40, seed=1)


def _model(**parameters):
    return QSVR(**{"gamma": GAMMA, "num_reads": 16, "random_state": 0, **parameters})


def _varied(**parameters):
    """Return a model that anneals in haste and does not polish: it finds many solutions."""
    return _model(**{"polish": False, "sampler_options": {"num_sweeps": 8}, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return _model().fit(X, Y)


class SpinSampler(dimod.Sampler):
    """A user's sampler: random spins instead of bits, in another order, from its own seed."""

    parameters: ClassVar = {"num_reads": [], "seed": [], "flip": []}
    properties: ClassVar = {}

    def sample(self, bqm, *, num_reads=1, seed=None, flip=False):
        rng = np.random.default_rng(seed)
        labels = list(bqm.variables)[::-1]
        spins = rng.choice([-1, 1], size=(num_reads, len(labels))) * (-1 if flip else 1)
        return dimod.SampleSet.from_samples_bqm((spins, labels), bqm.spin)


# --- meta-estimators ------------------------------------------------------------------------------


def test_pipeline_predicts_better_than_the_mean():
    model = make_pipeline(MinMaxScaler(), _model(C=5.0)).fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.4


@pytest.mark.slow
def test_grid_search_gives_the_same_result_in_one_process_and_in_two():
    results = []
    for n_jobs in (1, 2):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), _model(sampler=DESCENT, num_reads=4)),
            {"qsvr__C": [0.5, 2.0], "qsvr__n_bits": [2, 3]},
            cv=3,
            n_jobs=n_jobs,
            error_score="raise",
        ).fit(X, Y)
        results.append((search.cv_results_["mean_test_score"], search.predict(X_NEW)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_grid_search_over_the_default_sampler_does_not_depend_on_n_jobs():
    scores = [
        GridSearchCV(_model(), {"C": [0.5, 2.0]}, cv=3, n_jobs=n_jobs, error_score="raise")
        .fit(X, Y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)
    assert np.ptp(scores[0]) > 0


@pytest.mark.slow
def test_bagging_trains_on_subsets_that_fit_the_sampler():
    """The remedy that CapacityError names: 3 samples at 3 bits are 18 variables."""
    bagging = BaggingRegressor(
        _model(sampler="exact", num_reads=4), n_estimators=5, max_samples=3, random_state=0
    ).fit(X, Y)
    members = [member.sampler_info_["n_variables"] for member in bagging.estimators_]
    assert max(members) <= 18
    assert np.isfinite(bagging.predict(X_NEW)).all()


def test_bagging_members_differ_and_the_ensemble_repeats():
    ensembles = [
        BaggingRegressor(_model(), n_estimators=4, max_samples=0.7, random_state=3).fit(X, Y)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(ensemble.predict(X_NEW) for ensemble in ensembles))
    members = np.array([member.predict(X_NEW) for member in ensembles[0].estimators_])
    assert members.std(axis=0).min() > 0


def test_multi_output_fits_each_target_as_if_alone():
    targets = np.column_stack([Y, -2.0 * Y])
    together = MultiOutputRegressor(_model()).fit(X, targets).predict(X_NEW)
    for column in range(2):
        alone = _model().fit(X, targets[:, column]).predict(X_NEW)
        np.testing.assert_array_equal(together[:, column], alone)


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_clone_has_the_same_parameters_and_result(fraction):
    model = _model(combination_fraction=fraction, sampler=DESCENT)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    np.testing.assert_array_equal(copy.fit(X, Y).predict(X_NEW), model.fit(X, Y).predict(X_NEW))
    with pytest.raises(NotFittedError):
        clone(model).predict(X_NEW)


@pytest.mark.parametrize("sampler", [None, "sa", "relax-round", DESCENT])
def test_pickle_and_joblib_round_trips(sampler, tmp_path):
    model = _model(sampler=sampler, num_reads=4).fit(X, Y)
    expected = model.predict(X_NEW)
    unpickled = pickle.loads(pickle.dumps(model))
    joblib.dump(model, tmp_path / "model.joblib")
    for restored in (unpickled, joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(restored.predict(X_NEW), expected)
        np.testing.assert_array_equal(restored.fit(X, Y).predict(X_NEW), expected)


def test_cross_validation_of_a_precomputed_kernel_cuts_rows_and_columns():
    by_name = cross_val_score(_model(), X, Y, cv=3, error_score="raise")
    matrix = rbf_kernel(X, gamma=GAMMA)
    model = _model(kernel="precomputed")
    by_matrix = cross_val_score(model, matrix, Y, cv=3, error_score="raise")
    np.testing.assert_allclose(by_matrix, by_name, rtol=1e-6)


# --- data containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_names_and_the_same_predictions(library, fitted):
    frames = pytest.importorskip(library)
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    model = _model().fit(
        frame, frames.Series(values=Y) if library == "polars" else frames.Series(Y)
    )
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == X.shape[1]
    new = frames.DataFrame(dict(zip(names, X_NEW.T, strict=True)))
    np.testing.assert_allclose(model.predict(new), fitted.predict(X_NEW), atol=1e-12)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(new[names[::-1]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_of_a_pipeline(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({f"x{i}": column for i, column in enumerate(X.T)})
    pipeline = make_pipeline(StandardScaler(), _model()).set_output(transform=library)
    pipeline.fit(frame, Y)
    assert pipeline[-1].feature_names_in_.tolist() == list(frame.columns)
    plain = make_pipeline(StandardScaler(), _model()).fit(X, Y)
    np.testing.assert_allclose(pipeline.predict(frame), plain.predict(X), atol=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "sigmoid", "laplacian"])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_input_equals_dense(kernel, form):
    dense = np.where(X < 0.5, 0.0, X)
    new = np.where(X_NEW < 0.5, 0.0, X_NEW)
    for gamma in ("scale", "auto"):
        model = _model(kernel=kernel, gamma=gamma, C=0.3)
        expected = clone(model).fit(dense, Y).predict(new)
        found = model.fit(form(dense), Y)
        np.testing.assert_allclose(found.predict(form(new)), expected, atol=1e-10)
        np.testing.assert_allclose(found.predict(new), expected, atol=1e-10)
        assert sparse.issparse(found.support_vectors_)


def test_float32_and_lists_are_taken():
    expected = _model().fit(X.tolist(), Y.tolist()).predict(X_NEW.tolist())
    np.testing.assert_array_equal(expected, _model().fit(X, Y).predict(X_NEW))
    single = _model().fit(X.astype(np.float32), Y.astype(np.float32)).predict(X_NEW)
    assert single.dtype == np.float64
    assert r2_score(expected, single) > 0.95


# --- kernels --------------------------------------------------------------------------------------

NAMED = {
    "rbf": partial(rbf_kernel, gamma=GAMMA),
    "linear": linear_kernel,
    "poly": partial(polynomial_kernel, gamma=GAMMA, degree=2, coef0=1.0),
    "sigmoid": partial(sigmoid_kernel, gamma=0.02, coef0=-0.5),
    "laplacian": partial(laplacian_kernel, gamma=GAMMA),
}


def _by_name(name, **parameters):
    gamma = 0.02 if name == "sigmoid" else GAMMA
    coef0 = -0.5 if name == "sigmoid" else 1.0
    return _model(kernel=name, gamma=gamma, degree=2, coef0=coef0, **parameters)


@pytest.mark.parametrize("name", NAMED)
def test_a_callable_and_its_precomputed_matrix_equal_the_named_kernel(name):
    function = NAMED[name]
    named = _by_name(name).fit(X, Y)
    called = _model(kernel=function).fit(X, Y)
    computed = _model(kernel="precomputed").fit(function(X), Y)
    expected = named.predict(X_NEW)
    np.testing.assert_allclose(called.predict(X_NEW), expected, atol=1e-9)
    np.testing.assert_allclose(computed.predict(function(X_NEW, X)), expected, atol=1e-9)
    assert computed.support_.tolist() == named.support_.tolist()
    assert np.std(expected) > 0


@pytest.mark.parametrize("gamma", ["scale", "auto"])
def test_named_gammas_are_scikit_learns(gamma):
    value = 1 / (X.shape[1] * X.var()) if gamma == "scale" else 1 / X.shape[1]
    np.testing.assert_allclose(
        _model(gamma=gamma).fit(X, Y).predict(X_NEW), _model(gamma=value).fit(X, Y).predict(X_NEW)
    )


def test_predict_is_the_kernel_expansion_of_the_fitted_attributes(fitted):
    kernel = rbf_kernel(X_NEW, fitted.support_vectors_, gamma=GAMMA)
    np.testing.assert_allclose(
        fitted.predict(X_NEW), kernel @ fitted.dual_coef_[0] + fitted.intercept_[0]
    )
    np.testing.assert_array_equal(fitted.support_vectors_, X[fitted.support_])
    assert fitted.n_support_.tolist() == [fitted.support_.size]
    assert fitted.dual_coef_.shape == (1, fitted.support_.size)


def test_coef_of_a_linear_kernel():
    model = _model(kernel="linear", C=0.2).fit(X, Y)
    assert model.coef_.shape == (1, X.shape[1])
    np.testing.assert_allclose(model.predict(X_NEW), X_NEW @ model.coef_[0] + model.intercept_[0])
    with pytest.raises(AttributeError, match="only available with kernel='linear'"):
        _ = _model().fit(X, Y).coef_


# --- sample weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("kernel", ["rbf", "precomputed"])
def test_weight_zero_is_left_out(kernel, intercept):
    model = _model(kernel=kernel, equality_penalty=1.0, intercept=intercept)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    weight[[1, 4, 17]] = 0.0
    kept = np.flatnonzero(weight)
    rows, new = X, X_NEW
    if kernel == "precomputed":
        rows, new = rbf_kernel(X, gamma=GAMMA), rbf_kernel(X_NEW, X, gamma=GAMMA)
    with_zeros = clone(model).fit(rows, Y, sample_weight=weight)
    fewer = rows[np.ix_(kept, kept)] if kernel == "precomputed" else rows[kept]
    without = clone(model).fit(fewer, Y[kept], sample_weight=weight[kept])
    fewer_new = new[:, kept] if kernel == "precomputed" else new
    np.testing.assert_array_equal(with_zeros.predict(new), without.predict(fewer_new))
    np.testing.assert_array_equal(with_zeros.support_, kept[without.support_])


def test_equal_weights_scale_C():
    doubled = _model(C=0.5).fit(X, Y, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(doubled.predict(X_NEW), _model(C=1.0).fit(X, Y).predict(X_NEW))


def test_weights_bound_each_coefficient():
    weight = np.linspace(0.1, 3.0, len(X))
    model = _model(C=0.5, n_solutions=1).fit(X, Y, sample_weight=weight)
    b = model.solutions_.coefficients[0]
    assert (np.abs(b) <= 0.5 * weight * (1 + 1e-12)).all()
    # each coefficient is one of eight levels of its own box
    levels = np.abs(b) / (0.5 * weight) * 7
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    assert model.score(X, Y, sample_weight=weight) > model.score(X, Y)


# --- export ---------------------------------------------------------------------------------------


def _exported(model, new):
    """Export, pickle the export, and compare what both predict."""
    expected = model.predict(new)
    svr = model.to_svr()
    assert type(svr) is SVR
    restored = pickle.loads(pickle.dumps(svr))
    for predictor in (svr, restored):
        np.testing.assert_allclose(predictor.predict(new), expected, atol=1e-10)
    return svr


@pytest.mark.parametrize("name", NAMED)
def test_export_predicts_the_same(name):
    model = _by_name(name).fit(X, Y)
    svr = _exported(model, X_NEW)
    np.testing.assert_array_equal(svr.dual_coef_, model.dual_coef_)
    np.testing.assert_array_equal(svr.intercept_, model.intercept_)
    if name == "linear":
        np.testing.assert_allclose(svr.coef_, model.coef_)


@pytest.mark.parametrize("name", NAMED)
def test_export_of_a_sparse_fit(name):
    dense, new = np.where(X < 0.5, 0.0, X), np.where(X_NEW < 0.5, 0.0, X_NEW)
    model = _by_name(name).fit(sparse.csr_matrix(dense), Y)
    _exported(model, sparse.csr_matrix(new))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_export_of_a_callable_kernel(form):
    _exported(_model(kernel=NAMED["rbf"]).fit(form(X), Y), form(X_NEW))


def test_export_of_a_precomputed_kernel():
    model = _model(kernel="precomputed").fit(rbf_kernel(X, gamma=GAMMA), Y)
    assert model.support_.size < len(X)  # columns are selected
    _exported(model, rbf_kernel(X_NEW, X, gamma=GAMMA))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "laplacian", "precomputed"])
def test_export_of_a_model_without_support_vectors(kernel, form):
    rows = rbf_kernel(X) if kernel == "precomputed" else form(X)
    model = _model(kernel=kernel).fit(rows, np.full(len(X), 3.0))
    assert model.support_.size == 0
    svr = _exported(model, rows[:5])
    np.testing.assert_array_equal(svr.predict(rows[:5]), 3.0)


def test_export_of_gamma_zero_and_of_feature_names():
    frames = pytest.importorskip("pandas")
    _exported(_model(gamma=0.0, C=0.1).fit(X, Y), X_NEW)
    frame = frames.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    model = _model().fit(frame, Y)
    assert model.to_svr().feature_names_in_.tolist() == list(frame.columns)
    np.testing.assert_allclose(model.to_svr().predict(frame), model.predict(frame))


def test_export_before_fit_is_refused():
    with pytest.raises(NotFittedError):
        _model().to_svr()


# --- what is reported -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, "sa", "tabu", "relax-round"])
def test_energy_is_not_below_the_bound(sampler):
    model = _model(sampler=sampler, num_reads=4).fit(X, Y)
    assert model.energy_ >= model.relaxation_bound_
    assert model.energy_ == model.solutions_.energies[0] == model.sampler_info_["energies"].min()
    assert (np.diff(model.solutions_.energies) >= 0).all()
    info = model.sampler_info_
    assert info["n_variables"] == 2 * 3 * len(X)
    assert info["n_reads"] == 4 == info["raw_energies"].size == info["random_energies"].size
    assert (info["energies"] <= info["raw_energies"]).all()
    assert info["random_energies"].min() > info["energies"].max()


def test_polish_off_keeps_the_samplers_own_energies():
    model = _model(polish=False, sampler_options={"num_sweeps": 3}).fit(X, Y)
    polished = _model(sampler_options={"num_sweeps": 3}).fit(X, Y)
    info = model.sampler_info_
    np.testing.assert_array_equal(info["energies"], info["raw_energies"])
    np.testing.assert_array_equal(info["raw_energies"], polished.sampler_info_["raw_energies"])
    assert polished.energy_ < model.energy_
    assert (info["polished"], polished.sampler_info_["polished"]) == (False, True)


def test_verbose_prints_a_summary(capsys):
    _model().fit(X, Y)
    assert capsys.readouterr().out == ""
    model = _model(verbose=1).fit(X, Y)
    line = capsys.readouterr().out
    assert line.startswith("[QSVR] 180 variables, 16 reads by structured in ")
    assert f"energy {model.energy_:.6g}" in line
    assert f"{model.n_support_[0]} support vectors" in line


def test_an_indefinite_kernel_is_not_taken_for_a_coarse_encoding():
    """Its bound lies far below anything reachable, however fine the levels."""
    model = _by_name("sigmoid").fit(X, Y)
    assert model.energy_ - model.relaxation_bound_ > abs(model.energy_)


def test_a_coarse_encoding_is_reported():
    with pytest.warns(CoarseEncodingWarning, match=r"n_bits=8.*a smaller C"):
        _model(C=1000.0, n_bits=1).fit(X, Y)


# --- reproducibility ------------------------------------------------------------------------------


@pytest.mark.parametrize("random_state", [0, 7, np.random.RandomState(3)])
def test_the_same_random_state_gives_the_same_result_for_any_n_jobs(random_state):
    fits = []
    for n_jobs in (1, 2, None):
        # 150 reads are three batches of 64
        model = _model(num_reads=150, n_jobs=n_jobs, random_state=clone(random_state, safe=False))
        fits.append(model.fit(X, Y))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.predict(X_NEW), fits[0].predict(X_NEW))
        np.testing.assert_array_equal(
            other.sampler_info_["raw_energies"], fits[0].sampler_info_["raw_energies"]
        )


def test_another_random_state_gives_other_samples():
    one, two = (_model(random_state=seed).fit(X, Y) for seed in (0, 1))
    assert (one.sampler_info_["raw_energies"] != two.sampler_info_["raw_energies"]).any()


@pytest.mark.parametrize("sampler", [None, "sa", "neal", "tabu", "relax-round", DESCENT])
def test_the_global_random_state_is_untouched(sampler):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    _model(sampler=sampler, num_reads=2, combination_fraction=0.2).fit(X, Y).predict(X_NEW)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_the_result_does_not_depend_on_units():
    """y, C and epsilon times a power of two: the same levels, so predictions scale exactly."""
    scaled = _model(C=16.0, epsilon=1.6).fit(X, 16.0 * Y)
    plain = _model(C=1.0, epsilon=0.1).fit(X, Y)
    np.testing.assert_array_equal(scaled.predict(X_NEW), 16.0 * plain.predict(X_NEW))


def test_a_constant_added_to_y_is_added_to_predictions():
    np.testing.assert_allclose(
        _model().fit(X, Y + 64.0).predict(X_NEW), _model().fit(X, Y).predict(X_NEW) + 64.0
    )


# --- samplers -------------------------------------------------------------------------------------


def test_a_factory_survives_clone_and_pickle():
    model = pickle.loads(pickle.dumps(clone(_model(sampler=DESCENT, num_reads=4))))
    assert model.sampler == DESCENT
    assert model.fit(X, Y).sampler_info_["sampler"] == type(DESCENT.open()).__name__
    assert model.score(X, Y) > 0.5
    assert DESCENT.open() is DESCENT.open()


def test_a_dimod_sampler_object_is_used_with_its_options():
    models = [
        _model(sampler=SpinSampler(), sampler_options={"flip": flip}).fit(X, Y)
        for flip in (False, True)
    ]
    assert models[0].sampler_info_["sampler"] == "SpinSampler"
    raw = [model.sampler_info_["raw_energies"] for model in models]
    assert (raw[0] != raw[1]).all()
    assert all(model.score(X, Y) > 0.5 for model in models)


def test_enumeration_finds_the_lowest_solutions_in_order():
    model = _model(sampler="exact", polish=False, num_reads=10, n_solutions=10).fit(X[:3], Y[:3])
    assert model.solutions_.energies.size == 10
    annealed = _model().fit(X[:3], Y[:3])
    assert annealed.energy_ == pytest.approx(model.energy_, rel=1e-12)


# --- the papers' encoding, combinations, offsets --------------------------------------------------


def test_the_box_implied_by_the_papers_weights():
    papers = {"base": 0.5, "exponent_shift": 0.005, "n_solutions": 1}
    implied = FixedPointEncoding.implied_box(3, 0.5, 0.005)
    model = _model(C="implied", **papers).fit(X, Y)
    b = np.abs(model.solutions_.coefficients[0])
    assert b.max() == pytest.approx(implied, rel=1e-12)
    same = _model(C=implied, **papers).fit(X, Y)
    np.testing.assert_array_equal(same.predict(X_NEW), model.predict(X_NEW))
    # base 1/2 has the levels of powers of two, so the same box gives the same optimum
    box = _model(C=implied, n_solutions=1, num_reads=64).fit(X, Y)
    assert box.energy_ == pytest.approx(
        _model(C="implied", **papers, num_reads=64).fit(X, Y).energy_
    )


def test_uneven_levels_fit():
    model = _model(base=3.0, exponent_shift=2.0, C="implied").fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.2
    assert model.energy_ >= model.relaxation_bound_


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_every_combination_and_intercept(combination, intercept):
    model = _varied(combination=combination, intercept=intercept, n_solutions=8).fit(X, Y)
    weights = model.solutions_.weights
    assert weights.size == 8
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() >= 0
    combined = np.zeros(len(X))
    combined[model.support_] = model.dual_coef_[0]
    np.testing.assert_allclose(combined, weights @ model.solutions_.coefficients, atol=1e-12)
    assert model.score(X_NEW, Y_NEW) > 0.3


def test_n_solutions_bounds_the_distinct_solutions():
    one = _varied(n_solutions=1).fit(X, Y).solutions_
    many = _varied(n_solutions=9).fit(X, Y).solutions_
    assert one.energies.size == 1
    assert many.energies.size == 9
    np.testing.assert_array_equal(one.coefficients[0], many.coefficients[0])
    assert np.unique(many.coefficients, axis=0).shape[0] == 9


def test_combination_fraction_holds_samples_out():
    model = _varied(combination="mse", combination_fraction=0.25, n_solutions=8).fit(X, Y)
    n_learning = len(X) - 8  # the ceiling of 7.5 is held out
    assert model.solutions_.coefficients.shape == (8, n_learning)
    assert model.sampler_info_["n_variables"] == 6 * n_learning
    assert model.support_.size <= n_learning
    np.testing.assert_array_equal(model.support_vectors_, X[model.support_])
    assert model.score(X_NEW, Y_NEW) > 0.2


def test_held_out_samples_decide_the_weights():
    """Targets of the held-out rows change the weights and leave the solutions alone."""
    parameters = {"combination": "mse", "combination_fraction": 0.3, "n_solutions": 8}
    model = _varied(**parameters, epsilon=0.0).fit(X, Y)
    used = set(model.support_.tolist())
    assert len(used) == len(X) - 9  # with epsilon 0 every learning row is a support vector
    held_out = [row for row in range(len(X)) if row not in used]
    other = Y.copy()
    other[held_out] = np.roll(Y[held_out], 1)
    changed = _varied(**parameters, epsilon=0.0).fit(X, other)
    np.testing.assert_array_equal(changed.solutions_.coefficients, model.solutions_.coefficients)
    assert (changed.solutions_.weights != model.solutions_.weights).all()
