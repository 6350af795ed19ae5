"""QSVR inside scikit-learn: meta-estimators, data containers, kernels, weights."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from friedman import (
    DESCENT,
    GAMMA,
    NAMED,
    X_NEW,
    Y_NEW,
    X,
    Y,
    make_by_name,
    make_model,
)
from qsvr.model.intercept import INTERCEPTS


@pytest.fixture(scope="module")
def fitted():
    return make_model().fit(X, Y)


# --- meta-estimators ------------------------------------------------------------------------------


def test_pipeline_predicts_better_than_the_mean():
    model = make_pipeline(MinMaxScaler(), make_model(C=5.0)).fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.4


@pytest.mark.slow
def test_grid_search_gives_the_same_result_in_one_process_and_in_two():
    results = []
    for n_jobs in (1, 2):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), make_model(sampler=DESCENT, num_reads=4)),
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
        GridSearchCV(make_model(), {"C": [0.5, 2.0]}, cv=3, n_jobs=n_jobs, error_score="raise")
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
        make_model(sampler="exact", num_reads=4), n_estimators=3, max_samples=3, random_state=0
    ).fit(X, Y)
    members = [member.sampler_info_["n_variables"] for member in bagging.estimators_]
    assert max(members) <= 18
    assert np.isfinite(bagging.predict(X_NEW)).all()


def test_bagging_members_differ_and_the_ensemble_repeats():
    ensembles = [
        BaggingRegressor(make_model(), n_estimators=4, max_samples=0.7, random_state=3).fit(X, Y)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(ensemble.predict(X_NEW) for ensemble in ensembles))
    members = np.array([member.predict(X_NEW) for member in ensembles[0].estimators_])
    assert members.std(axis=0).min() > 0


def test_multi_output_fits_each_target_as_if_alone():
    targets = np.column_stack([Y, -2.0 * Y])
    together = MultiOutputRegressor(make_model()).fit(X, targets).predict(X_NEW)
    for column in range(2):
        alone = make_model().fit(X, targets[:, column]).predict(X_NEW)
        np.testing.assert_array_equal(together[:, column], alone)


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_clone_has_the_same_parameters_and_result(fraction):
    model = make_model(combination_fraction=fraction, sampler=DESCENT)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    np.testing.assert_array_equal(copy.fit(X, Y).predict(X_NEW), model.fit(X, Y).predict(X_NEW))
    with pytest.raises(NotFittedError):
        clone(model).predict(X_NEW)


@pytest.mark.parametrize("sampler", [None, "sa", "relax-round", DESCENT])
def test_pickle_and_joblib_round_trips(sampler, tmp_path):
    model = make_model(sampler=sampler, num_reads=4).fit(X, Y)
    expected = model.predict(X_NEW)
    unpickled = pickle.loads(pickle.dumps(model))
    joblib.dump(model, tmp_path / "model.joblib")
    for restored in (unpickled, joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(restored.predict(X_NEW), expected)
        np.testing.assert_array_equal(restored.fit(X, Y).predict(X_NEW), expected)


def test_cross_validation_of_a_precomputed_kernel_cuts_rows_and_columns():
    by_name = cross_val_score(make_model(), X, Y, cv=3, error_score="raise")
    matrix = rbf_kernel(X, gamma=GAMMA)
    model = make_model(kernel="precomputed")
    by_matrix = cross_val_score(model, matrix, Y, cv=3, error_score="raise")
    np.testing.assert_allclose(by_matrix, by_name, rtol=1e-6)


# --- data containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_names_and_the_same_predictions(library, fitted):
    frames = pytest.importorskip(library)
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    model = make_model().fit(
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
    pipeline = make_pipeline(StandardScaler(), make_model()).set_output(transform=library)
    pipeline.fit(frame, Y)
    assert pipeline[-1].feature_names_in_.tolist() == list(frame.columns)
    plain = make_pipeline(StandardScaler(), make_model()).fit(X, Y)
    np.testing.assert_allclose(pipeline.predict(frame), plain.predict(X), atol=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "sigmoid", "laplacian"])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_sparse_input_equals_dense(kernel, form):
    dense = np.where(X < 0.5, 0.0, X)
    new = np.where(X_NEW < 0.5, 0.0, X_NEW)
    for gamma in ("scale", "auto"):
        model = make_model(kernel=kernel, gamma=gamma, C=0.3, n_refinements=0)
        expected = clone(model).fit(dense, Y).predict(new)
        found = model.fit(form(dense), Y)
        np.testing.assert_allclose(found.predict(form(new)), expected, atol=1e-10)
        np.testing.assert_allclose(found.predict(new), expected, atol=1e-10)
        assert sparse.issparse(found.support_vectors_)


def test_float32_and_lists_are_taken():
    expected = make_model().fit(X.tolist(), Y.tolist()).predict(X_NEW.tolist())
    np.testing.assert_array_equal(expected, make_model().fit(X, Y).predict(X_NEW))
    single = make_model().fit(X.astype(np.float32), Y.astype(np.float32)).predict(X_NEW)
    assert single.dtype == np.float64
    assert r2_score(expected, single) > 0.95


# --- kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_a_callable_and_its_precomputed_matrix_equal_the_named_kernel(name):
    function = NAMED[name]
    named = make_by_name(name).fit(X, Y)
    called = make_model(kernel=function).fit(X, Y)
    computed = make_model(kernel="precomputed").fit(function(X), Y)
    expected = named.predict(X_NEW)
    np.testing.assert_allclose(called.predict(X_NEW), expected, atol=1e-9)
    np.testing.assert_allclose(computed.predict(function(X_NEW, X)), expected, atol=1e-9)
    assert computed.support_.tolist() == named.support_.tolist()
    assert np.std(expected) > 0


@pytest.mark.parametrize("gamma", ["scale", "auto"])
def test_named_gammas_are_scikit_learns(gamma):
    value = 1 / (X.shape[1] * X.var()) if gamma == "scale" else 1 / X.shape[1]
    np.testing.assert_allclose(
        make_model(gamma=gamma).fit(X, Y).predict(X_NEW),
        make_model(gamma=value).fit(X, Y).predict(X_NEW),
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
    model = make_model(kernel="linear", C=0.2).fit(X, Y)
    assert model.coef_.shape == (1, X.shape[1])
    np.testing.assert_allclose(model.predict(X_NEW), X_NEW @ model.coef_[0] + model.intercept_[0])
    with pytest.raises(AttributeError, match="only available with kernel='linear'"):
        _ = make_model().fit(X, Y).coef_


# --- sample weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("kernel", ["rbf", "precomputed"])
def test_weight_zero_is_left_out(kernel, intercept):
    model = make_model(kernel=kernel, equality_penalty=1.0, intercept=intercept)
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
    doubled = make_model(C=0.5).fit(X, Y, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(
        doubled.predict(X_NEW), make_model(C=1.0).fit(X, Y).predict(X_NEW)
    )


def test_weights_bound_each_coefficient():
    weight = np.linspace(0.1, 3.0, len(X))
    model = make_model(C=0.5, n_solutions=1, n_refinements=0).fit(X, Y, sample_weight=weight)
    b = model.solutions_.coefficients[0]
    assert (np.abs(b) <= 0.5 * weight * (1 + 1e-12)).all()
    # each coefficient is one of eight levels of its own box
    levels = np.abs(b) / (0.5 * weight) * 7
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    assert model.score(X, Y, sample_weight=weight) > model.score(X, Y)
