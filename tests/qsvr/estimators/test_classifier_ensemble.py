"""QSVCEnsemble: classes of every member, combination, out-of-bag scores, conventions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine, make_classification
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from conventions import parametrize_with_conventions
from qsvr import (
    QSVC,
    QSVR,
    MemberFailedWarning,
    QSVCEnsemble,
    QSVREnsemble,
    SamplerError,
    get_sampler,
)


@parametrize_with_conventions(
    [
        QSVCEnsemble(QSVC(num_reads=2), n_estimators=3),
        QSVCEnsemble(
            QSVC(num_reads=2, multi_class="ovr"), n_estimators=3, sampling="random",
            combination="oob", max_samples=0.5,
        ),
    ]
)  # fmt: skip
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


def scaled(load):
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return StandardScaler().fit_transform(X)[order], y[order]


X, Y = scaled(load_wine)
NAMES = np.array(["barolo", "grignolino", "barbera"])


@pytest.mark.parametrize("combination", ["mean", "median", "oob"])
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_it_is_nearly_as_good_as_svc_on_all_data(load, combination):
    X, y = scaled(load)
    train, test = slice(120), slice(120, None)
    model = QSVCEnsemble(
        max_samples=30, combination=combination, oob_score=True, random_state=0
    ).fit(X[train], y[train])
    expected = SVC().fit(X[train], y[train]).score(X[test], y[test])
    assert model.score(X[test], y[test]) > expected - 0.04
    assert model.oob_score_ == pytest.approx(model.score(X[test], y[test]), abs=0.06)
    assert model.weights_.sum() == pytest.approx(1.0)
    assert np.isfinite(model.oob_decision_function_).all()


def test_decisions_are_the_mean_of_the_members():
    model = QSVCEnsemble(n_estimators=3, max_samples=40, random_state=0).fit(X, NAMES[Y])
    mean = np.mean([member.decision_function(X) for member in model.estimators_], axis=0)
    np.testing.assert_allclose(model.decision_function(X), mean)
    np.testing.assert_array_equal(model.predict(X), model.classes_[mean.argmax(axis=1)])


@pytest.mark.parametrize("sampling", ["random", "stratified", "kmeans"])
def test_members_have_all_classes_however_rare(sampling):
    X, y = make_classification(
        300, 5, n_informative=4, n_redundant=0, n_classes=3, weights=[0.9, 0.08], random_state=0
    )
    weight = np.ones(300)
    weight[np.flatnonzero(y == 2)[1:]] = 0.0  # one sample of the rarest class takes part
    model = QSVCEnsemble(QSVC(num_reads=4), max_samples=12, sampling=sampling, random_state=0)
    model.fit(X, y, sample_weight=weight)
    for member, samples in zip(model.estimators_, model.estimators_samples_, strict=True):
        assert set(y[samples]) == {0, 1, 2}
        assert member.classes_.tolist() == [0, 1, 2]
        assert samples.size <= 12
        assert (weight[samples] > 0.0).all()
        assert member.sampler_info_[0]["n_variables"] <= 3 * 12


def test_members_are_those_of_their_own_fits():
    """Solved together or one by one, to the bit."""
    model = QSVCEnsemble(QSVC(C=5.0), n_estimators=3, max_samples=30, random_state=0).fit(X, Y)
    for member, samples in zip(model.estimators_, model.estimators_samples_, strict=True):
        alone = QSVC(**member.get_params()).fit(X[samples], Y[samples])
        np.testing.assert_array_equal(alone.dual_coef_, member.dual_coef_)
        np.testing.assert_array_equal(alone.intercept_, member.intercept_)


def test_a_precomputed_kernel():
    kernel = rbf_kernel(X, gamma=0.05)
    options = {"n_estimators": 3, "max_samples": 30, "random_state": 0}
    by_matrix = QSVCEnsemble(QSVC(kernel="precomputed"), **options).fit(kernel, Y)
    by_features = QSVCEnsemble(QSVC(gamma=0.05), **options).fit(X, Y)
    np.testing.assert_allclose(
        by_matrix.decision_function(kernel), by_features.decision_function(X), atol=1e-6
    )


class Fails:
    """Fails in its first calls."""

    max_variables, parameters = 120, frozenset()

    def __init__(self, n_failing):
        self.n_failing, self.calls = n_failing, 0

    def sample(self, qubo, *, num_reads, seed, **options):
        assert qubo.n_variables <= 120
        self.calls += 1
        if self.calls <= self.n_failing:
            raise SamplerError("line lost")
        return get_sampler().sample(qubo, num_reads=num_reads, seed=seed)


def test_failed_members_are_left_out():
    member = QSVC(sampler=Fails(1), num_reads=4)
    with pytest.warns(MemberFailedWarning, match="1 of 4 members of QSVCEnsemble failed"):
        model = QSVCEnsemble(member, n_estimators=4, random_state=0).fit(X, Y)
    assert len(model.estimators_) == 3
    # what the sampler holds at 3 bits, one coefficient for each sample
    assert max(map(len, model.estimators_samples_)) == 40
    with pytest.raises(SamplerError, match="At least half must succeed"):
        QSVCEnsemble(QSVC(sampler=Fails(100)), n_estimators=4).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "options", "error", "message"),
    [
        (QSVR(), {}, TypeError, "must be a QSVC; got QSVR"),
        (QSVC(probability=True), {}, ValueError, "probability=False"),
        (QSVC(decision_function_shape="ovo"), {}, ValueError, "decision_function_shape='ovr'"),
        (None, {"max_samples": 2}, ValueError, "at least the number of classes, 3"),
        (QSVC(C=-1.0), {}, ValueError, "C of QSVC"),
    ],
)
def test_bad_parameters(estimator, options, error, message):
    with pytest.raises(error, match=message):
        QSVCEnsemble(estimator, **options).fit(X, Y)
    with pytest.raises(TypeError, match="must be a QSVR; got QSVC"):
        QSVREnsemble(QSVC()).fit(X, Y)


def test_a_class_without_weight_is_refused():
    with pytest.raises(ValueError, match="sample_weight of QSVCEnsemble must be positive"):
        QSVCEnsemble().fit(X, NAMES[Y], sample_weight=(Y > 0).astype(float))
