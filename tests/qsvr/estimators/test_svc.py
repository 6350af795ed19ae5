"""QSVC: classes and their order, parameters, export, calibration, conventions."""

from __future__ import annotations

import pickle

import dimod
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    load_wine,
    make_blobs,
    make_classification,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from conventions import EXPECTED_FAILURES, parametrize_with_conventions
from qsvr import QSVC, CapacityError, SamplerError, fit_many, get_sampler


# With weights of 1000 and 0.0001, 30 variables take a thousand working sets, and calibration fits
# six problems five times for each of ten sparse formats. Left out for
# test_a_heavy_class_of_working_sets and test_export_of_a_sparse_fit.
@parametrize_with_conventions(
    [
        QSVC(num_reads=8),
        QSVC(kernel="linear", multi_class="ovr", intercept="kkt", num_reads=8),
        QSVC(max_variables=30, num_reads=2, n_refinements=2, class_weight="balanced", tol=0.1),
        QSVC(probability=True, num_reads=2),
    ],
    leave_out=[(2, "check_class_weight_classifiers"), (3, "check_estimator_sparse_array")],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@parametrize_with_checks([QSVC(kernel="precomputed", num_reads=2)])
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_scikit_learn_conventions_of_a_precomputed_kernel(estimator, check):
    check(estimator)


def test_expected_failures_are_those_of_scikit_learns_svc():
    generator = pytest.importorskip("sklearn.utils._test_common.instance_generator")
    excused = getattr(generator, "PER_ESTIMATOR_XFAIL_CHECKS", None)
    if excused is None:
        pytest.skip("this scikit-learn does not list the checks that are excused")
    assert set(EXPECTED_FAILURES) <= set(excused[SVC])


def scaled(load, n=100):
    """Return the first n of a shuffled set, and the others."""
    X, y = load(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(y))
    X, y = StandardScaler().fit_transform(X)[order], y[order]
    return X[:n], y[:n], X[n:], y[n:]


X, Y, X_NEW, Y_NEW = scaled(load_wine, 80)
TWO, Y_TWO, TWO_NEW, Y_TWO_NEW = scaled(load_breast_cancer)
NAMES = np.array(["barolo", "barbera", "grignolino"])


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
@pytest.mark.parametrize("classes", [2, 3])
def test_attributes_are_those_of_svc(classes, kernel):
    X_fit, y, X_new = (X, Y, X_NEW) if classes == 3 else (TWO, Y_TWO, TWO_NEW)
    svc = SVC(kernel=kernel, C=2.0, tol=1e-6).fit(X_fit, y)
    model = QSVC(kernel=kernel, C=2.0, n_refinements=25, tol=1e-4, random_state=0).fit(X_fit, y)
    for name in ("dual_coef_", "intercept_", "support_vectors_", "class_weight_", "n_support_"):
        ours, theirs = getattr(model, name), getattr(svc, name)
        assert ours.ndim == theirs.ndim, name
        assert ours.shape[:1] == theirs.shape[:1] or name == "support_vectors_", name
    np.testing.assert_array_equal(model.classes_, svc.classes_)
    assert model.shape_fit_ == svc.shape_fit_
    assert model.fit_status_ == svc.fit_status_ == 0
    assert model.n_iter_.shape == svc.n_iter_.shape
    for shape in ("ovr", "ovo"):
        model.set_params(decision_function_shape=shape)
        svc.set_params(decision_function_shape=shape)
        ours, theirs = model.decision_function(X_new), svc.decision_function(X_new)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())
    assert (model.predict(X_new) == svc.predict(X_new)).mean() > 0.98
    if kernel == "linear":
        np.testing.assert_allclose(model.coef_, svc.coef_, atol=0.05)
    else:
        with pytest.raises(AttributeError, match="kernel='linear'"):
            model.coef_  # noqa: B018
    # coefficients of libsvm's support vectors, which are grouped by class
    labels = y[model.support_]
    np.testing.assert_array_equal(labels, np.sort(labels))
    assert model.n_support_.tolist() == np.bincount(labels).tolist()


@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
def test_labels_may_be_strings_in_any_order(multi_class):
    by_number = QSVC(multi_class=multi_class, random_state=0).fit(X, Y)
    names = np.array(["b", "c", "a"])  # the order of the classes changes
    by_name = QSVC(multi_class=multi_class, random_state=0).fit(X, names[Y])
    assert by_name.classes_.tolist() == ["a", "b", "c"]
    agree = names[by_number.predict(X_NEW)] == by_name.predict(X_NEW)
    assert agree.mean() > 0.95
    assert by_name.score(X_NEW, names[Y_NEW]) > 0.9


def test_one_against_rest_solves_a_problem_for_each_class():
    model = QSVC(multi_class="ovr", C=2.0, n_bits=8, random_state=0).fit(X, Y)
    assert model.dual_coef_.shape[0] == model.intercept_.size == 3
    assert [info["n_variables"] for info in model.sampler_info_] == [640] * 3
    decisions = model.decision_function(X_NEW)
    reference = OneVsRestClassifier(SVC(C=2.0)).fit(X, Y)
    np.testing.assert_allclose(decisions, reference.decision_function(X_NEW), atol=0.05)
    np.testing.assert_array_equal(model.predict(X_NEW), decisions.argmax(axis=1))
    with pytest.raises(ValueError, match="decision_function_shape of QSVC must be one of"):
        QSVC(multi_class="ovr", decision_function_shape="ovo").fit(X, Y)


def test_pairs_have_the_samples_of_their_classes_only():
    model = QSVC(n_bits=3, random_state=0).fit(X, Y)
    counts = np.bincount(Y)
    expected = [3 * (counts[i] + counts[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [info["n_variables"] for info in model.sampler_info_] == expected
    assert [problem.n_variables for problem in model.make_problems(X, Y)] == expected


def test_break_ties_ranks_by_the_decision_function():
    model = QSVC(break_ties=True, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(
        model.predict(X_NEW), model.decision_function(X_NEW).argmax(axis=1)
    )
    with pytest.raises(ValueError, match="break_ties of QSVC must be False"):
        QSVC(break_ties=True, decision_function_shape="ovo").fit(X, Y)


def test_class_weight_scales_the_boxes():
    X_rare, y = make_classification(
        150, 5, weights=[0.9], class_sep=0.6, flip_y=0.05, random_state=0
    )
    plain = QSVC(random_state=0).fit(X_rare, y)
    balanced = QSVC(class_weight="balanced", random_state=0).fit(X_rare, y)
    by_hand = QSVC(class_weight={0: 1.0, 1: 9.0}, random_state=0).fit(X_rare, y)
    frequency = np.bincount(y)
    np.testing.assert_allclose(balanced.class_weight_, 150 / (2 * frequency))
    dual = balanced.make_problems(X_rare, y)[0].qubo.dual
    np.testing.assert_allclose(dual.reach, balanced.class_weight_[y])
    recalls = [(m.predict(X_rare) == 1)[y == 1].mean() for m in (plain, balanced, by_hand)]
    assert recalls[1] > recalls[0] + 0.1
    assert recalls[2] > recalls[0] + 0.1
    svc = SVC(class_weight="balanced").fit(X_rare, y)
    assert (balanced.predict(X_rare) == svc.predict(X_rare)).mean() > 0.97


def test_sample_weight_is_a_factor_on_c_and_zero_leaves_out():
    weight = np.random.default_rng(0).choice([0.0, 0.5, 2.0], len(Y))
    model = QSVC(C=2.0, n_bits=8, random_state=0).fit(X, Y, sample_weight=weight)
    svc = SVC(C=2.0).fit(X, Y, sample_weight=weight)
    assert (model.predict(X_NEW) == svc.predict(X_NEW)).mean() > 0.98
    assert (weight[model.support_] > 0.0).all()
    taken = weight > 0.0
    same = QSVC(C=2.0, n_bits=8, gamma=model._kernel.gamma, random_state=0)
    same.fit(X[taken], Y[taken], sample_weight=weight[taken])
    np.testing.assert_array_equal(same.decision_function(X_NEW), model.decision_function(X_NEW))
    with pytest.raises(ValueError, match="each class of y must have positive weight"):
        QSVC().fit(X, Y, sample_weight=(Y > 0).astype(float))


@pytest.mark.parametrize("kernel", ["linear", "rbf", "laplacian", "precomputed", np.inner])
@pytest.mark.parametrize("multi_class", ["ovo", "ovr"])
@pytest.mark.parametrize("classes", [2, 3])
def test_export_predicts_the_same(classes, multi_class, kernel):
    X_fit, y, X_new = (X, Y, X_NEW) if classes == 3 else (TWO, Y_TWO, TWO_NEW)
    if kernel == "precomputed":
        X_fit, X_new = X_fit @ X_fit.T, X_new @ X_fit.T
    y = NAMES[y]
    model = QSVC(kernel=kernel, multi_class=multi_class, random_state=0).fit(X_fit, y)
    exported = model.to_svc()
    is_rest = classes == 3 and multi_class == "ovr"
    assert type(exported) is (OneVsRestClassifier if is_rest else SVC)
    for predictor in (exported, pickle.loads(pickle.dumps(exported))):
        np.testing.assert_array_equal(predictor.predict(X_new), model.predict(X_new))
        np.testing.assert_allclose(
            predictor.decision_function(X_new), model.decision_function(X_new), atol=1e-9
        )


def test_export_of_a_sparse_fit():
    dense = np.where(np.abs(X) < 0.5, 0.0, X)
    model = QSVC(random_state=0).fit(sparse.csr_matrix(dense), Y)
    new = sparse.csr_matrix(X_NEW)
    np.testing.assert_array_equal(model.to_svc().predict(new), model.predict(new))
    same = QSVC(probability=True, random_state=0).fit(dense, Y)
    np.testing.assert_allclose(model.decision_function(new), same.decision_function(X_NEW))
    model.set_params(probability=True).fit(sparse.csr_matrix(dense), Y)
    np.testing.assert_allclose(model.predict_proba(new), same.predict_proba(X_NEW), atol=1e-6)


def test_probabilities_are_those_of_scikit_learns_calibration():
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'"):
        QSVC(random_state=0).fit(X, Y).predict_proba(X_NEW)
    model = QSVC(probability=True, random_state=0).fit(X, Y)
    probabilities = model.predict_proba(X_NEW)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == Y_NEW).mean() > 0.9
    np.testing.assert_allclose(model.predict_log_proba(X_NEW), np.log(probabilities))
    plain = QSVC(random_state=0).fit(X, Y)
    np.testing.assert_array_equal(plain.decision_function(X_NEW), model.decision_function(X_NEW))
    with pytest.raises(ValueError, match="fewer than 2 samples of positive"):
        QSVC(probability=True).fit(X[:30], np.r_[2, np.arange(29) % 2])


def test_samples_drawn_elsewhere_make_the_model():
    model = QSVC(n_bits=2, C=2.0, random_state=0)
    few = np.r_[np.flatnonzero(Y == 0)[:3], np.flatnonzero(Y == 1)[:3], np.flatnonzero(Y == 2)[:3]]
    problems = model.make_problems(X[few], Y[few])
    answers = [dimod.ExactSolver().sample(problem.to_bqm()) for problem in problems]
    model.fit_samples(X[few], Y[few], answers)
    for answer, problem, energy in zip(answers, problems, model.energy_, strict=True):
        assert energy == pytest.approx(answer.first.energy)
        assert problem.decode(answer).shape == (2**12, 2, 6)
    assert model.score(X_NEW, Y_NEW) > 0.7
    two, pair = QSVC(n_bits=2, C=2.0, random_state=0), few[:6]
    by_levels = dimod.ExactCQMSolver().sample_cqm(two.make_problems(X[pair], Y[pair])[0].to_cqm())
    assert len(by_levels.variables) == 6
    two.fit_samples(X[pair], Y[pair], by_levels)
    with pytest.raises(ValueError, match="one sample set for each of the 3 problems"):
        model.fit_samples(X[few], Y[few], answers[:2])


def test_same_seed_same_result_for_any_number_of_threads():
    one, two, other = (
        QSVC(C=5.0, num_reads=70, random_state=seed, n_jobs=n_jobs).fit(X, Y)
        for seed, n_jobs in ((0, 1), (0, 2), (1, 1))
    )
    np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)
    assert (one.sampler_info_[0]["raw_energies"] != other.sampler_info_[0]["raw_energies"]).any()


def test_pairs_solved_together_are_those_solved_one_by_one():
    """A time limit that is never reached makes the solver take problem by problem."""
    together = QSVC(C=5.0, random_state=0).fit(X, Y)
    alone = QSVC(C=5.0, time_limit=1000.0, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(together.dual_coef_, alone.dual_coef_)
    np.testing.assert_array_equal(together.intercept_, alone.intercept_)
    models = [QSVC(C=C, random_state=0) for C in (1.0, 5.0)]
    fitted = fit_many(models, [X, X], [Y, Y])
    np.testing.assert_array_equal(fitted[1].dual_coef_, together.dual_coef_)


def test_it_is_one_of_scikit_learns_estimators():
    search = GridSearchCV(QSVC(random_state=0), {"C": [0.1, 1.0]}, cv=3).fit(X, Y)
    assert search.best_score_ > 0.9
    assert cross_val_score(clone(search.best_estimator_), X, Y, cv=3).mean() > 0.9
    restored = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(restored.predict(X_NEW), search.predict(X_NEW))


def test_warm_start_of_a_decomposition_takes_fewer_working_sets():
    model = QSVC(C=5.0, max_variables=60, warm_start=True, random_state=0)
    first = model.fit(TWO, Y_TWO).n_iter_[0]
    assert model.fit(TWO, Y_TWO).n_iter_[0] < first


def test_report_and_summary_are_of_one_problem(capsys):
    model = QSVC(random_state=0, verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("[QSVC]") == 3
    report = model.sampler_report(2)
    assert capsys.readouterr().out == f"{report}\n"
    assert report.bound == model.relaxation_bound_[2]
    with pytest.raises(ValueError, match="problem of sampler_report"):
        model.sampler_report(3)
    assert (model.energy_ >= model.relaxation_bound_ - 1e-9).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multi_class": "all"}, "multi_class of QSVC must be one of"),
        ({"probability": 1}, "probability of QSVC must be True or False"),
        ({"decision_function_shape": "one"}, "decision_function_shape of QSVC"),
        ({"break_ties": None}, "break_ties of QSVC"),
        ({"C": 0.0}, "C of QSVC"),
        ({"n_bits": 0}, "n_bits of QSVC"),
        ({"base": 2.0, "C": 3.0}, "C of QSVC must be 'implied'"),
        ({"class_weight": {0: -1.0}}, "each class of y must have positive weight"),
        ({"n_refinements": -1}, "n_refinements of QSVC"),
    ],
)
def test_bad_parameters(settings, message):
    with pytest.raises(ValueError, match=message):
        QSVC(**settings).fit(X, Y)


@pytest.mark.parametrize("settings", [{"base": 2.0}, {"base": 3.0, "n_bits": 2}])
def test_weights_of_the_papers_imply_the_box(settings):
    model = QSVC(C="implied", exponent_shift=1.0, random_state=0, **settings).fit(X, Y)
    assert model.score(X_NEW, Y_NEW) > 0.9


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes; got 1 class"):
        QSVC().fit(X, np.zeros(len(X)))


def test_capacity_counts_one_coefficient_for_each_sample():
    """20 samples at 3 bits fit into 60 variables, 21 do not."""

    class Small:
        max_variables, parameters = 60, frozenset()

        def sample(self, qubo, *, num_reads, seed, **options):
            assert qubo.n_variables <= 60
            return get_sampler().sample(qubo, num_reads=num_reads, seed=seed)

    def fit(n):
        rows = np.r_[np.flatnonzero(Y_TWO == 0)[: n // 2], np.flatnonzero(Y_TWO == 1)[: n - n // 2]]
        return QSVC(sampler=Small(), max_variables=None).fit(TWO[rows], Y_TWO[rows])

    assert fit(20).sampler_info_[0]["n_variables"] == 60
    message = r"21 samples at n_bits=3 need 63 .*BaggingClassifier\(QSVC\(...\), max_samples=20\)"
    with pytest.raises(CapacityError, match=message):
        fit(21)


def test_a_failure_at_the_last_problem_leaves_a_model():
    class Fails:
        max_variables, parameters, calls = None, frozenset(), 0

        def sample(self, qubo, *, num_reads, seed, **options):
            self.calls += 1
            samples = get_sampler().sample(qubo, num_reads=num_reads, seed=seed)
            if self.calls == self.at:
                error = SamplerError("line lost")
                error.samples = samples
                raise error
            return samples

    sampler = Fails()
    sampler.at = 3
    with pytest.raises(SamplerError) as caught:
        QSVC(sampler=sampler).fit(X, Y)
    assert caught.value.partial_model.score(X_NEW, Y_NEW) > 0.9
    sampler.calls, sampler.at = 0, 2
    with pytest.raises(SamplerError) as caught:
        QSVC(sampler=sampler).fit(X, Y)
    assert caught.value.partial_model is None


@pytest.mark.parametrize("load", [load_iris, load_wine])
@pytest.mark.parametrize("sampler", ["sa", "tabu", "relax-round"])
def test_other_samplers(load, sampler):
    X_fit, y, X_new, y_new = scaled(load, 60)
    model = QSVC(sampler=sampler, num_reads=8, random_state=0).fit(X_fit, y)
    assert model.score(X_new, y_new) > 0.9


IRIS, Y_IRIS, *_ = scaled(load_iris, 150)


def test_a_box_that_is_huge_against_the_labels_is_descended_to_an_end():
    """Gains of rounding in a box of a million once went round for ever."""
    X_all, y = load_iris(return_X_y=True)
    X_all = StandardScaler().fit_transform(X_all)
    order = np.random.default_rng(0).permutation(len(y))
    X_all, y = X_all[order], y[order]
    model = QSVC(C=1e6, random_state=0).fit(X_all, y)
    np.testing.assert_array_equal(model.predict(X_all), SVC(C=1e6).fit(X_all, y).predict(X_all))


@pytest.mark.parametrize("weight", [100.0, 1e3, 1e6])
@pytest.mark.parametrize("heavy", [0, 1, 2])
def test_a_heavy_class_does_not_hide_the_losses_of_the_others(heavy, weight):
    model = QSVC(class_weight={heavy: weight}, random_state=0).fit(IRIS, Y_IRIS)
    svc = SVC(class_weight={heavy: weight}).fit(IRIS, Y_IRIS)
    assert (model.predict(IRIS) == svc.predict(IRIS)).mean() > 0.98


def test_a_heavy_class_of_working_sets():
    """At the end no coefficient can fall: the light class's are at their bounds, the others 0."""
    X_all, y = make_blobs(50, centers=2, cluster_std=20.0, random_state=0)
    model = QSVC(max_variables=30, class_weight={0: 10.0, 1: 1e-4}, random_state=0).fit(X_all, y)
    assert (model.predict(X_all) == 0).all()
    assert np.isfinite(model.intercept_).all()
    assert np.isfinite(model.energy_).all()


def test_calibration_leaves_samples_of_weight_0_out_of_the_count_of_folds():
    weight = np.zeros(len(Y))
    weight[np.concatenate([np.flatnonzero(each == Y)[:3] for each in range(3)])] = 1.0
    model = QSVC(probability=True, random_state=0).fit(X, Y, sample_weight=weight)
    assert len(list(model.calibration_.cv)) == 3
    assert (model.predict_proba(X_NEW).argmax(axis=1) == Y_NEW).mean() > 0.7
    weight[Y == 0] = 0.0
    weight[np.flatnonzero(Y == 0)[0]] = 1.0
    with pytest.raises(ValueError, match="fewer than 2 samples of positive weight; got 1"):
        QSVC(probability=True).fit(X, Y, sample_weight=weight)
