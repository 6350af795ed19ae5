"""QSVREnsemble: sampling, combination, failures, determinism, conventions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import minmax_scale

from conventions import parametrize_with_conventions
from qsvr import QSVR, MemberFailedWarning, QSVREnsemble, SamplerError, get_sampler
from qsvr.estimators.ensemble import SAMPLINGS, _inverse_errors, draw_subsamples

MEMBER = QSVR(C=1.0, epsilon=0.05, gamma=0.3, num_reads=8)


def data(n=120, seed=0):
    X, y = make_friedman1(n, noise=1.0, random_state=seed)
    return minmax_scale(X), minmax_scale(y)


class Fails:
    """Fails for chosen seeds' order of call."""

    max_variables = 180
    parameters = frozenset()

    def __init__(self, failing):
        self.failing, self.calls = set(failing), 0

    def sample(self, qubo, *, num_reads, seed, **options):
        self.calls += 1
        if self.calls in self.failing:
            raise SamplerError("line lost")
        return get_sampler().sample(qubo, num_reads=num_reads, seed=seed)


@parametrize_with_conventions(
    [
        QSVREnsemble(QSVR(num_reads=2), n_estimators=4),
        QSVREnsemble(
            QSVR(num_reads=2), n_estimators=3, sampling="kmeans", combination="oob", max_samples=0.5
        ),
    ]
)
@pytest.mark.filterwarnings("ignore:the best energy found:qsvr.CoarseEncodingWarning")
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_subsamples_have_the_size_and_are_distinct_samples(sampling):
    X, y = data()
    parts = draw_subsamples(
        sampling, X, y, size=30, n_members=8, random_state=np.random.RandomState(0)
    )
    assert len(parts) == 8
    for part in parts:
        assert len(np.unique(part)) == len(part) <= 30
        assert len(part) >= 25


def test_random_members_take_turns():
    X, y = data()
    parts = draw_subsamples(
        "random", X, y, size=30, n_members=4, random_state=np.random.RandomState(0)
    )
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(120))


def test_stratified_members_cover_the_targets():
    X, y = data()
    (part,) = draw_subsamples(
        "stratified", X, y, size=12, n_members=1, random_state=np.random.RandomState(0)
    )
    ranks = np.argsort(np.argsort(y))[part]
    np.testing.assert_array_equal(np.sort(ranks // 10), np.arange(12))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("combination", ["mean", "median", "oob"])
def test_an_ensemble_beats_its_members(sampling, combination):
    X, y = data(300)
    model = QSVREnsemble(
        MEMBER, sampling=sampling, combination=combination, oob_score=True, random_state=0
    ).fit(X[:150], y[:150])
    score = r2_score(y[150:], model.predict(X[150:]))
    members = [r2_score(y[150:], member.predict(X[150:])) for member in model.estimators_]
    assert score > np.mean(members)
    assert abs(model.oob_score_ - score) < 0.2
    assert model.weights_.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_result_depends_on_the_seed_alone(sampling):
    X, y = data()
    model = QSVREnsemble(MEMBER, n_estimators=4, sampling=sampling, random_state=5)
    one = model.fit(X, y).predict(X)
    two = clone(model).set_params(n_jobs=2).fit(X, y).predict(X)
    np.testing.assert_array_equal(one, two)
    other = clone(model).set_params(random_state=6).fit(X, y).predict(X)
    assert not np.array_equal(one, other)


@pytest.mark.filterwarnings("ignore:the best energy found:qsvr.CoarseEncodingWarning")
def test_members_are_sized_to_the_sampler():
    X, y = data()
    sizes = {
        sampler: len(
            QSVREnsemble(QSVR(sampler=sampler, num_reads=2), n_estimators=1, random_state=0)
            .fit(X, y)
            .estimators_samples_[0]
        )
        for sampler in (None, "exact")
    }
    assert sizes == {None: 30, "exact": 3}


def test_failed_members_are_reported_and_the_others_carry_on():
    X, y = data()
    sampler = Fails({2, 5})
    model = QSVREnsemble(
        QSVR(C=1.0, epsilon=0.05, gamma=0.3, sampler=sampler), n_estimators=6, random_state=0
    )
    with pytest.warns(
        MemberFailedWarning, match=r"2 of 6 members .*line lost\. Predictions.*failures_"
    ):
        model.fit(X, y)
    assert [failure.member for failure in model.failures_] == [1, 4]
    assert len(model.estimators_) == len(model.estimators_samples_) == 4
    assert r2_score(y, model.predict(X)) > 0.3


def test_too_many_failures_raise_with_the_partial_model():
    X, y = data()
    sampler = Fails(range(2, 6))
    model = QSVREnsemble(
        QSVR(C=1.0, epsilon=0.05, gamma=0.3, sampler=sampler), n_estimators=5, random_state=0
    )
    with pytest.raises(SamplerError, match=r"4 of 5 members .*At least half") as caught:
        model.fit(X, y)
    assert caught.value.partial_model.predict(X).shape == y.shape
    with pytest.raises(SamplerError) as caught:
        QSVREnsemble(QSVR(sampler=Fails(range(9))), n_estimators=3, random_state=0).fit(X, y)
    assert caught.value.partial_model is None


def test_a_precomputed_kernel_gives_the_same_ensemble():
    X, y = data()
    K = rbf_kernel(X, gamma=0.3)
    settings = {"n_estimators": 3, "oob_score": True, "random_state": 0}
    a = QSVREnsemble(QSVR(kernel="precomputed", epsilon=0.05), **settings).fit(K, y)
    b = QSVREnsemble(QSVR(gamma=0.3, epsilon=0.05), **settings).fit(X, y)
    np.testing.assert_allclose(a.predict(K), b.predict(X), atol=1e-6)
    assert a.oob_score_ == pytest.approx(b.oob_score_, abs=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_estimators": 0}, "n_estimators of QSVREnsemble must be an integer >= 1; got 0"),
        ({"max_samples": 1}, "max_samples of QSVREnsemble must be an integer >= 2; got 1"),
        ({"max_samples": 1.5}, "max_samples of QSVREnsemble must be .*got 1.5"),
        ({"sampling": "all"}, "sampling of QSVREnsemble must be one of"),
        ({"combination": "best"}, "combination of QSVREnsemble must be one of"),
        (
            {"estimator": QSVR(kernel="precomputed"), "sampling": "kmeans"},
            "must not be 'kmeans' with kernel='precomputed'",
        ),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    X, y = data(20)
    with pytest.raises(ValueError, match=message):
        QSVREnsemble(**parameters).fit(X, y)


def test_a_member_without_error_takes_all_the_weight():
    y = np.array([1.0, -1.0, 1.0, -1.0])
    unseen = np.ones((3, 4), bool)
    predictions = np.array([y, y + 0.5, y + 1.0])
    np.testing.assert_allclose(_inverse_errors(predictions, y, unseen), [1.0, 0.0, 0.0], atol=1e-9)
    found = _inverse_errors(predictions[1:], y, unseen[1:])
    np.testing.assert_allclose(found, [0.8, 0.2])  # 1 / 0.25 to 1 / 1
