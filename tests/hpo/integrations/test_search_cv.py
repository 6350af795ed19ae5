"""`SwiftSearchCV` as users of scikit-learn's searches would use it."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone, config_context
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from hpo import SearchSpace, SwiftSearchCV
from hpo.integrations.sklearn.resources import Epochs, Samples, WarmStart, resource_of

X, Y = load_iris(return_X_y=True)
SMALL = {"n_iter": 2, "cv": 3, "max_resource": 8, "random_state": 0}
ALPHAS = {"alpha": loguniform(1e-6, 1e-1)}


def sgd(**settings) -> SGDClassifier:
    return SGDClassifier(random_state=0, **settings)


def small(estimator=None, space=None, **settings) -> SwiftSearchCV:
    """Return a search that takes some hundredths of a second."""
    estimator = sgd() if estimator is None else estimator
    space = ALPHAS if space is None else space
    return SwiftSearchCV(
        estimator,
        space,
        **(SMALL | settings),
    )


# -- scikit-learn's own checks ---------------------------------------------------------------


def _checked() -> list[SwiftSearchCV]:
    settings = {"n_iter": 1, "cv": 2, "random_state": 0, "error_score": "raise"}
    return [
        SwiftSearchCV(LinearSVC(random_state=0), {"C": [0.5, 1.0]}, **settings),
        SwiftSearchCV(
            GradientBoostingRegressor(n_estimators=8, random_state=0),
            {"learning_rate": [0.1, 1.0]},
            **settings,
        ),
        SwiftSearchCV(
            make_pipeline(StandardScaler(), sgd()),
            {"sgdclassifier__alpha": [1e-4, 1e-3]},
            max_resource=2,
            **settings,
        ),
    ]


@parametrize_with_checks(_checked())
def test_passes_scikit_learns_checks(estimator, check) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


# -- results ---------------------------------------------------------------------------------


def test_has_what_a_search_of_scikit_learn_has() -> None:
    search = small(n_iter=4).fit(X, Y)
    results = search.cv_results_
    assert {
        "mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time", "params",
        "param_alpha", "split0_test_score", "split1_test_score", "split2_test_score",
        "mean_test_score", "std_test_score", "rank_test_score", "n_resources",
    } == set(results)  # fmt: skip
    assert search.n_splits_ == 3
    assert search.n_candidates_ == len(results["params"]) > 4
    assert search.best_params_ == results["params"][search.best_index_]
    assert search.best_score_ == results["mean_test_score"][search.best_index_]
    assert results["n_resources"][search.best_index_] == search.max_resource_ == 8
    assert results["n_resources"].min() < 8  # not all candidates were trained to the end
    assert search.refit_time_ > 0
    assert not search.multimetric_
    assert search.score(X, Y) == np.mean(search.predict(X) == Y)
    assert search.n_features_in_ == 4
    assert search.classes_.tolist() == [0, 1, 2]


def test_best_score_is_that_of_cross_validation() -> None:
    """What was trained bit by bit scores as what is trained at once."""
    search = small(
        RandomForestClassifier(n_estimators=8, random_state=0),
        {"max_depth": randint(1, 5)},
        max_resource="auto",
    ).fit(X, Y)
    again = RandomForestClassifier(random_state=0).set_params(**search.best_params_)
    assert search.best_params_["n_estimators"] == 8
    assert search.best_score_ == cross_val_score(again, X, Y, cv=3).mean()


def test_same_seed_same_result() -> None:
    first, second = (small(n_iter=3, random_state=7).fit(X, Y) for _ in range(2))
    assert first.cv_results_["params"] == second.cv_results_["params"]
    assert (first.cv_results_["mean_test_score"] == second.cv_results_["mean_test_score"]).all()
    assert (first.best_estimator_.coef_ == second.best_estimator_.coef_).all()
    other = small(n_iter=3, random_state=8).fit(X, Y)
    assert other.cv_results_["params"] != first.cv_results_["params"]


def test_several_jobs_train_on() -> None:
    search = small(n_jobs=2).fit(X, Y)
    alone = small().fit(X, Y)
    for column in ("params", "n_resources", "mean_test_score"):
        assert np.array_equal(search.cv_results_[column], alone.cv_results_[column])
    assert (search.best_estimator_.coef_ == alone.best_estimator_.coef_).all()


def test_budget_is_that_of_full_trainings() -> None:
    many = {"n_iter": 6, "max_resource": 16}
    halving = small(**many).fit(X, Y).cv_results_["n_resources"]
    assert set(halving) == {1, 4, 16}  # its rungs, with a reduction factor of 4
    assert 6 * 16 * 0.9 < halving.sum() <= 6 * 16
    many["n_iter"] = 2
    swift = small(scheduler="swift-asha", **many).fit(X, Y).cv_results_["n_resources"]
    assert swift.sum() == 2 * 16
    assert len(set(swift)) > 2
    rows = small(KNeighborsClassifier(), {"n_neighbors": randint(1, 50)}, max_resource="auto")
    assert rows.fit(X, Y).n_candidates_ > 2


def test_a_small_space_is_tried_as_a_whole() -> None:
    few = small(space={"alpha": [1e-5, 1e-4, 1e-3]}, n_iter=3).fit(X, Y)
    assert few.cv_results_["n_resources"].tolist() == [8, 8, 8]
    some = small(space={"alpha": [10.0**-i for i in range(1, 7)]}, n_iter=3).fit(X, Y)
    assert sorted(some.cv_results_["n_resources"]) == [2, 2, 2, 2, 2, 8]


@pytest.mark.parametrize(
    "scheduler", ["swift-asha", "asha", "random-search", "hyperband", "fast-hyperband"]
)
def test_every_scheduler_searches(scheduler: str) -> None:
    n_iter = 3 if scheduler in ("swift-asha", "asha", "random-search") else None
    search = small(scheduler=scheduler, n_iter=n_iter).fit(X, Y)
    assert search.cv_results_["n_resources"][search.best_index_] == 8
    if scheduler == "random-search":
        assert search.cv_results_["n_resources"].tolist() == [8, 8, 8]


def test_clone_pickle_and_set_params() -> None:
    search = clone(small()).set_params(n_iter=1, estimator__penalty="l1")
    assert search.estimator.penalty == "l1"
    fitted = pickle.loads(pickle.dumps(search.fit(X, Y)))
    assert (fitted.predict(X) == search.predict(X)).all()


def test_delegates_what_the_best_estimator_has() -> None:
    search = small(MiniBatchKMeans(3, random_state=0), {"reassignment_ratio": [0.0, 0.01]}).fit(X)
    assert search.transform(X).shape == (150, 3)
    assert search.resource_ == "partial_fit"
    assert not hasattr(small().fit(X, Y), "transform")
    unfitted = small(refit=False).fit(X, Y)
    assert not hasattr(unfitted, "best_estimator_")
    assert unfitted.best_params_["alpha"] > 0
    with pytest.raises(AttributeError, match="predict"):
        unfitted.predict(X)
    with pytest.raises(NotFittedError):
        small().predict(X)


def test_keeps_the_names_of_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert small().fit(frame, Y).feature_names_in_.tolist() == list("abcd")


# -- what is trained on ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "searched", "expected"),
    [
        (sgd(), ["alpha"], Epochs()),
        (sgd(early_stopping=True), ["alpha"], Samples()),
        (sgd(), ["alpha", "max_iter"], Samples()),
        (MLPClassifier(), ["alpha"], Epochs()),
        (MLPClassifier(solver="lbfgs"), ["alpha"], Samples()),
        (MLPClassifier(), ["solver"], Samples()),
        (GaussianNB(), ["var_smoothing"], Samples()),
        (KNeighborsClassifier(), ["n_neighbors"], Samples()),
        (LogisticRegression(), ["C"], Samples()),
        (RandomForestClassifier(), ["max_depth"], WarmStart("n_estimators")),
        (RandomForestClassifier(), ["n_estimators"], Samples()),
        (HistGradientBoostingClassifier(), ["learning_rate"], WarmStart("max_iter")),
        (make_pipeline(PCA(), sgd()), ["sgdclassifier__alpha"], Epochs()),
        (Pipeline([("clf", sgd())]), ["clf__alpha"], Samples()),
        (make_pipeline(PCA(), sgd()), ["sgdclassifier"], Samples()),
    ],
    ids=str,
)
def test_chooses_the_resource(estimator, searched, expected) -> None:
    assert resource_of("auto", estimator, searched, routed=False) == expected


def test_epochs_are_those_of_partial_fit() -> None:
    """The best estimator sees the rows of each epoch in another order, for all epochs."""
    search = small(sgd(class_weight="balanced"), {"alpha": [1e-3]}, max_resource=5).fit(X, Y)
    assert search.best_estimator_.t_ == 5 * len(X) + 1
    assert search.best_estimator_.get_params()["class_weight"] == "balanced"
    assert search.best_estimator_.random_state == 0
    by_hand = SGDClassifier(alpha=1e-3)
    for epoch in range(5):
        by_hand.set_params(random_state=epoch, class_weight=dict.fromkeys(range(3), 1.0))
        by_hand.partial_fit(X, Y, classes=[0, 1, 2])
    np.testing.assert_allclose(search.best_estimator_.coef_, by_hand.coef_)


def test_a_booster_that_stops_early_is_finished() -> None:
    booster = HistGradientBoostingClassifier(
        early_stopping=True, n_iter_no_change=1, tol=0.5, random_state=0
    )
    search = small(booster, {"learning_rate": [0.1, 0.3]}, max_resource=40, cv=2).fit(X, Y)
    assert search.cv_results_["n_resources"].max() == 40
    assert search.best_estimator_.n_iter_ < 40


def test_iterations_of_a_solver_and_any_parameter() -> None:
    logistic, space = LogisticRegression(), {"C": loguniform(0.1, 10)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the best estimator only
        solver = small(logistic, space, resource="max_iter").fit(X, Y)
    assert solver.best_params_["max_iter"] == 8
    depth = small(SVC(), {"C": loguniform(0.1, 10)}, resource="degree", max_resource=3).fit(X, Y)
    assert depth.best_params_["degree"] == 3


def test_samples_are_nested_and_have_all_classes() -> None:
    seen: list[np.ndarray] = []

    class Seeing(ClassifierMixin, BaseEstimator):
        def __init__(self, a=1) -> None:
            self.a = a

        def fit(self, rows, y):
            seen.append(rows[:, 0])
            self.classes_ = np.unique(y)
            return self

        def predict(self, rows):
            return np.full(len(rows), self.classes_[self.a % 3])

    rows = np.arange(600.0).reshape(300, 2)
    y = np.repeat([0, 1, 2], [20, 80, 200])
    search = small(Seeing(), {"a": [1, 2, 3]}, cv=2, max_resource="auto", refit=False).fit(rows, y)
    assert search.resource_ == "n_samples"
    assert search.max_resource_ == 150
    first_fold = sorted((set(each) for each in seen if len(each) < 150), key=len)
    assert first_fold, "all trainings had all rows"
    full = [set(each) for each in seen if len(each) == 150]
    assert all(any(part < whole for whole in full) for part in first_fold)
    assert all(len(np.unique(y[np.array(list(part)).astype(int) // 2])) == 3 for part in first_fold)


@pytest.mark.parametrize(
    ("package", "kind", "extra"),
    [("xgboost", "XGBClassifier", {}), ("lightgbm", "LGBMClassifier", {"verbose": -1})],
)
def test_boosters_of_other_packages_are_continued(package, kind, extra) -> None:
    module = pytest.importorskip(package)
    model = getattr(module, kind)(n_estimators=12, random_state=0, n_jobs=1, **extra)
    data = load_breast_cancer(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = small(model, {"learning_rate": loguniform(0.01, 1)}, max_resource="auto").fit(
            *data
        )
        again = clone(model).set_params(**search.best_params_)
        score = cross_val_score(again, *data, cv=3).mean()
    assert search.resource_ == "n_estimators"
    assert search.best_score_ == pytest.approx(score)


# -- pipelines -------------------------------------------------------------------------------


class CountingScaler(StandardScaler):
    fits = 0

    def fit(self, X, y=None, sample_weight=None):
        CountingScaler.fits += 1
        return super().fit(X, y, sample_weight)


def test_first_steps_are_fitted_once_for_each_fold() -> None:
    CountingScaler.fits = 0
    pipeline = make_pipeline(CountingScaler(), sgd())
    search = small(pipeline, {"sgdclassifier__alpha": loguniform(1e-6, 1e-1)}, n_iter=4).fit(X, Y)
    assert CountingScaler.fits == 3 + 1  # folds, and the last training
    assert search.best_score_ > 0.8
    assert search.best_estimator_[0].mean_.shape == (4,)


def test_searched_first_steps_are_fitted_with_their_parameters() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA(random_state=0)), ("clf", sgd())])
    space = {
        "pca__n_components": [1, 2, 3],
        "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
        "clf__alpha": loguniform(1e-6, 1e-1),
    }
    search = small(pipeline, space, n_iter=4).fit(X, Y)
    assert search.resource_ == "partial_fit"
    assert search.best_estimator_["clf"].n_features_in_ == search.best_params_["pca__n_components"]
    scale = search.best_params_["scale"]
    assert isinstance(search.best_estimator_["scale"], type(scale)) or scale == "passthrough"


def test_a_step_can_be_searched() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    space = {"clf": [SVC(), KNeighborsClassifier(), GaussianNB()]}
    search = small(pipeline, space, n_iter=4, max_resource="auto").fit(X, Y)
    assert type(search.best_estimator_["clf"]) is type(search.best_params_["clf"])
    assert type(search.best_params_["clf"]) in (SVC, KNeighborsClassifier, GaussianNB)


# -- parameters ------------------------------------------------------------------------------


def test_takes_distributions_lists_domains_and_spaces() -> None:
    space = {
        "alpha": {"type": "float", "low": 1e-6, "high": 1e-1, "log": True},
        "l1_ratio": uniform(0, 1),
        "loss": ["hinge", "log_loss"],
        "penalty": np.array(["l1", "l2"]),
        "eta0": [0.1, np.float64(0.2)],
        "class_weight": [None, {0: 1.0, 1: 2.0, 2: 1.0}],
    }
    search = small(space=space).fit(X, Y)
    weights = [params["class_weight"] for params in search.cv_results_["params"]]
    assert {"alpha", "l1_ratio", "loss", "penalty", "eta0"} < set(search.best_params_)
    assert all(weight in space["class_weight"] for weight in weights)
    conditional = SearchSpace.from_dict(
        {
            "penalty": ["l2", "elasticnet"],
            "l1_ratio": {"type": "float", "low": 0, "high": 1, "when": {"penalty": "elasticnet"}},
        }
    )
    search = small(space=conditional).fit(X, Y)
    mask = np.ma.getmaskarray(search.cv_results_["param_l1_ratio"])
    assert (mask == (search.cv_results_["param_penalty"] == "l2")).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {}}, "search space is empty"),
        ({"space": [{"alpha": [1]}]}, "'param_distributions' parameter"),
        ({"space": {"alfa": [1.0, 2.0]}}, "Invalid parameter 'alfa'"),
        ({"scheduler": "hyperbond", "n_iter": None}, "scheduler must be one of"),
        ({"scheduler": "hyperband"}, "n_iter of SwiftSearchCV is for the schedulers succ"),
        ({"scheduler_options": {"threshold": 1}}, "takes the options"),
        ({"scheduler_options": {"reduction_factor": 3}}, "not contain 'reduction_factor'; give it"),
        ({"resource": "trees"}, "resource of SwiftSearchCV must be"),
        ({"resource": "alpha"}, "must not hold the resource, got 'alpha'"),
        ({"estimator": Ridge(), "resource": "partial_fit"}, "with a method partial_fit, got Ridge"),
        ({"resource": "n_samples", "max_resource": 101}, "max_resource .* at most 100"),
        ({"estimator": RandomForestClassifier(n_estimators=0), "space": {"max_depth": [1, 2]},
          "max_resource": "auto"}, "max_resource of SwiftSearchCV must be given"),
        ({"reduction_factor": 1}, "'reduction_factor' parameter"),
        ({"n_iter": 0}, "'n_iter' parameter"),
        ({"max_resource": 0}, "'max_resource' parameter"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(X, Y)


def test_callbacks_are_refused() -> None:
    progress = pytest.importorskip("sklearn.callback").ProgressBar()
    with pytest.raises(ValueError, match="callbacks of SwiftSearchCV are not called"):
        small().set_callbacks(progress).fit(X, Y)


# -- scoring, fit parameters, splitters ------------------------------------------------------


def test_several_metrics() -> None:
    scoring = {"accuracy": "accuracy", "f1": make_scorer(f1_score, average="macro")}
    search = small(scoring=scoring, refit="f1").fit(X, Y)
    results = search.cv_results_
    assert search.multimetric_
    assert search.best_score_ == results["mean_test_f1"][search.best_index_]
    assert "split2_test_accuracy" in results
    assert search.score(X, Y) == f1_score(Y, search.predict(X), average="macro")
    only = small(scoring=scoring, refit=False).fit(X, Y)
    assert not hasattr(only, "best_index_")
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        small(scoring=scoring).fit(X, Y)


def test_a_function_as_scoring() -> None:
    def both(estimator, rows, y):
        right = estimator.predict(rows) == y
        return {"right": right.mean(), "wrong": -(~right).mean()}

    search = small(scoring=both, refit="wrong").fit(X, Y)
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_right"].max() - 1)


def test_refit_chooses_by_a_function() -> None:
    search = small(refit=lambda results: int(results["mean_fit_time"].argmax())).fit(X, Y)
    assert search.best_index_ == search.cv_results_["mean_fit_time"].argmax()
    assert not hasattr(search, "best_score_")
    assert search.predict(X).shape == (150,)


def test_train_scores() -> None:
    search = small(return_train_score=True).fit(X, Y)
    assert {"mean_train_score", "split0_train_score"} < set(search.cv_results_)


class Breaks(SGDClassifier):
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        if self.alpha > 1e-3:
            raise FloatingPointError("alpha is too large")
        return super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)


def test_failures_count_as_error_score() -> None:
    space = {"alpha": [1e-5, 1e-4, 1e-2, 1e-1]}
    with pytest.warns(FitFailedWarning, match="alpha is too large"):
        search = small(Breaks(random_state=0), space, n_iter=4, error_score=-1.0).fit(X, Y)
    failed = search.cv_results_["param_alpha"] > 1e-3
    assert (search.cv_results_["mean_test_score"][failed] == -1.0).all()
    assert search.best_params_["alpha"] < 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = small(Breaks(random_state=0), space, n_iter=4).fit(X, Y)
    assert np.isnan(
        search.cv_results_["mean_test_score"][search.cv_results_["param_alpha"] > 1e-3]
    ).all()
    assert search.best_params_["alpha"] < 1e-3
    with pytest.raises(FloatingPointError, match="too large"):
        small(Breaks(random_state=0), space, n_iter=4, error_score="raise").fit(X, Y)
    with pytest.raises(ValueError, match="fits failed"):
        small(Breaks(random_state=0), {"alpha": [0.1, 0.2]}).fit(X, Y)


def test_sample_weight_and_groups() -> None:
    weight = np.where(Y == 2, 0.0, 1.0)
    search = small().fit(X, Y, sample_weight=weight)
    assert 2 not in search.predict(X)
    groups = np.arange(150) % 3
    split = small(cv=GroupKFold(3)).fit(X, Y, groups=groups)
    assert split.n_splits_ == 3
    pipeline = make_pipeline(StandardScaler(), sgd())
    space = {"sgdclassifier__alpha": loguniform(1e-6, 1e-1)}
    search = small(pipeline, space).fit(X, Y, sgdclassifier__sample_weight=weight)
    assert 2 not in search.predict(X)


def test_metadata_routing() -> None:
    weight = np.where(Y == 2, 0.0, 1.0)
    groups = np.arange(150) % 3
    with config_context(enable_metadata_routing=True), warnings.catch_warnings():
        model = sgd().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = small(model, cv=GroupKFold(3))
        search.fit(X, Y, sample_weight=weight, groups=groups)
        assert 2 not in search.predict(X)
        assert search.cv_results_["mean_test_score"].max() > 0.9  # of the two classes with weight
        warnings.simplefilter("ignore")  # few rows do not converge
        pipeline = small(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=True), model),
            {"sgdclassifier__alpha": loguniform(1e-6, 1e-1)},
            max_resource="auto",
            scoring=make_scorer(accuracy_score).set_score_request(sample_weight=True),
        ).fit(X, Y, sample_weight=weight)
        assert pipeline.resource_ == "n_samples"  # the pipeline routes by itself
        assert 2 not in pipeline.predict(X)


def test_random_splits_are_drawn_once() -> None:
    search = small(cv=ShuffleSplit(2, random_state=np.random.RandomState(0))).fit(X, Y)
    assert search.n_splits_ == 2
    with pytest.raises(ValueError, match="greater than the number of samples"):
        small(cv=KFold(200)).fit(X, Y)


def test_a_regressor_in_another_scale() -> None:
    data = make_regression(200, 5, noise=1.0, random_state=0)
    booster = GradientBoostingRegressor(n_estimators=16, random_state=0)
    search = small(
        booster, {"learning_rate": loguniform(0.01, 1)}, max_resource="auto",
        scoring="neg_mean_squared_error",
    ).fit(*data)  # fmt: skip
    assert search.best_score_ < 0
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


def test_verbose_prints_jobs(capsys) -> None:
    small(verbose=2).fit(X, Y)
    assert "[SwiftSearchCV] trial 0: {'alpha'" in capsys.readouterr().out
    data = make_classification(60, random_state=0)
    small(verbose=0).fit(*data)
    assert not capsys.readouterr().out


def test_the_least_resource_of_the_default_scheduler() -> None:
    search = small(max_resource=9, reduction_factor=3, scheduler_options={"min_resource": 2})
    assert min(search.fit(X, Y).cv_results_["n_resources"]) >= 2
    with pytest.raises(ValueError, match="min_resource must lie in"):
        small(scheduler_options={"min_resource": 0}).fit(X, Y)
