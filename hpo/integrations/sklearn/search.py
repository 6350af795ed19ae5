"""`SwiftSearchCV`: a scikit-learn search that stops unpromising candidates early.

>>> from sklearn.datasets import load_iris
>>> from sklearn.linear_model import SGDClassifier
>>> from scipy.stats import loguniform
>>> X, y = load_iris(return_X_y=True)
>>> search = SwiftSearchCV(
...     SGDClassifier(random_state=0), {"alpha": loguniform(1e-5, 1e-1)}, n_iter=2, random_state=0
... ).fit(X, y)
>>> bool(search.best_score_ > 0.8)
True
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import check_random_state, indexable
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from hpo.brackets import brief, floor_log, make_bracket
from hpo.integrations.sklearn.folds import (
    Fold,
    FoldsRunner,
    Problem,
    ordered,
    prepare_fold,
    results_of,
    shares_first_steps,
)
from hpo.integrations.sklearn.parameters import ParameterSpace
from hpo.integrations.sklearn.resources import (
    Resource,
    Samples,
    configured,
    fitted,
    learner_of,
    resource_of,
)
from hpo.loop import Scheduler, drive, expect_workers
from hpo.run.forecasting import model_runner
from hpo.schedulers import FORECASTING, make_scheduler
from hpo.searchers import make_searcher
from hpo.space.search_space import SearchSpace
from hpo.text import say

_N_UNITS = 32
"""Most units of the scheduler, into which the resource is divided."""
_N_REFITS = 16
"""The same for a resource with which each job trains a new model."""
_N_ITER = 10
"""Full trainings by default, as in `sklearn.model_selection.RandomizedSearchCV`."""
_FORECAST_INTERVAL = 0.1
"""Fraction of the budget between two forecasts: a model may train faster than it is forecast."""
_MIN_ROWS = 20
"""Fewest rows of a unit, and `_MIN_ROWS_PER_CLASS` for each class."""
_MIN_ROWS_PER_CLASS = 4
_SCORE_ONCE = ("random-search", "successive-halving", "hyperband", "asha", "swift-asha")
"""Schedulers whose trials are scored at the end of a job only.

The first jobs of swift-asha are units. Between the ends of later ones its losses are interpolated.
"""


class SwiftSearchCV(BaseSearchCV):
    """Search over parameters of an estimator, with cross-validation and early stopping.

    Candidates are trained step by step on all folds, and only promising ones to the end. In
    contrast to `sklearn.model_selection.HalvingRandomSearchCV`, a model is trained further instead
    of again from the beginning if its estimator allows it, and the number of candidates follows
    from a budget.

    Parameters
    ----------
    estimator : estimator
        Estimator with a method ``score``, unless `scoring` is given.
    param_distributions : dict or SearchSpace
        For each parameter a list of choices (any objects), a frozen scipy distribution, or what
        `SearchSpace.from_dict` takes. Parameters of a pipeline's step are ``clf__alpha``.
    n_iter : int or None, default=None
        Budget in full trainings of one candidate: `max_resource` on all folds. As many as
        `sklearn.model_selection.RandomizedSearchCV` spends with the same number, for several times
        as many candidates; ``"asha"`` may exceed it. None: 10 for the schedulers
        ``"successive-halving"``, ``"asha"``, ``"swift-asha"`` and ``"random-search"``; the others
        have budgets of their own (`scheduler_options`).
    scheduler : str, default="successive-halving"
        Name of the scheduler (a key of `hpo.schedulers.SCHEDULERS`). With the default, candidates
        and decisions are the same for every `n_jobs`. ``"swift-asha"`` forecasts the scores and
        proposes candidates with each forecast, which takes some tenths of a second in all.
    reduction_factor : int, default=4
        The best ``1 / reduction_factor`` of the candidates are trained on at a rung.
    scheduler_options : dict or None, default=None
        Further options of the scheduler (see `hpo.schedulers.scheduler_options`). Resources among
        them are in units: `max_resource_` is divided into at most 32.
    resource : str, default="auto"
        Resource that increases while a candidate is trained: ``"partial_fit"`` (epochs),
        ``"n_samples"``, or the name of a parameter such as ``"n_estimators"`` or ``"max_iter"``,
        of the last step if `estimator` is a pipeline. ``"auto"`` takes the first that fits:
        boosting rounds of XGBoost and LightGBM; ``n_estimators`` with ``warm_start``; ``max_iter``
        of histogram gradient boosting; epochs of an estimator with ``partial_fit`` and
        ``max_iter``; the number of training samples.
    max_resource : int or "auto", default="auto"
        Resource of a full training. ``"auto"`` is the value of the parameter in `estimator`; for
        ``"partial_fit"`` its ``max_iter``, but 100 at most; for ``"n_samples"`` all training rows.
    scoring, n_jobs, refit, cv : default=None, None, True, None
    verbose, pre_dispatch, error_score, return_train_score : default=0, "2*n_jobs", nan, False
        As in `sklearn.model_selection.RandomizedSearchCV`. `n_jobs` candidates are trained at a
        time, each on all folds. With several metrics, the search maximises the one that `refit`
        names, or the first one. A candidate with a failed fold is dropped if `error_score` is NaN.
    random_state : int, RandomState instance or None, default=None
        Seed of the search. The same int gives the same result if the estimator has a
        ``random_state`` too; with other schedulers than the default, for the same `n_jobs`.

    Attributes
    ----------
    best_estimator_ : estimator
        Estimator with the best parameters, trained on all rows; only with `refit`.
    best_params_ : dict
        The best parameters, with that of the resource, if it is one.
    best_score_ : float
        Mean test score of the best candidate; not if `refit` is a function.
    best_index_ : int
        Its row in `cv_results_`: the best of the candidates that got the most of the resource.
    cv_results_ : dict of ndarray
        A row for each candidate with its latest scores, in the columns of
        `sklearn.model_selection.RandomizedSearchCV`, and ``n_resources``. Times are the sums over
        all jobs. Ranks compare candidates of different resources.
    resource_ : str
        The resource.
    max_resource_ : int
        Resource of a full training.
    n_candidates_ : int
        Number of candidates.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the training on all rows; only with `refit`.
    scorer_ : callable or dict
        The scorer, or scorers by metric.
    multimetric_ : bool
        Whether there are several metrics.
    classes_, n_features_in_, feature_names_in_
        Those of `best_estimator_`; only with `refit`.

    See Also
    --------
    Tuner : A search for models that are trained in epochs.
    sklearn.model_selection.HalvingRandomSearchCV : The counterpart in scikit-learn.

    Notes
    -----
    The models of all candidates that may be trained further stay in memory; with several processes,
    they are sent to and from them. The steps of a pipeline before the last one are fitted once per
    fold if none of their parameters is searched. Otherwise the transformed rows stay in memory too.

    With ``resource="partial_fit"``, the best estimator is refitted by ``partial_fit`` too, for
    `max_resource_` epochs. With ``resource="n_samples"``, and with parameters without
    ``warm_start``, a new model is trained for each job; `n_iter` accounts for this approximately.

    Examples
    --------
    >>> from scipy.stats import loguniform, uniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import GradientBoostingClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> search = SwiftSearchCV(
    ...     GradientBoostingClassifier(n_estimators=20, random_state=0),
    ...     {"learning_rate": loguniform(0.01, 1.0), "subsample": uniform(0.5, 0.5)},
    ...     n_iter=2, cv=3, random_state=0,
    ... ).fit(X, y)
    >>> search.resource_, search.best_params_["n_estimators"]
    ('n_estimators', 20)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,  # noqa: SLF001 - of the parent
        "param_distributions": [Mapping, SearchSpace],
        "n_iter": [Interval(Integral, 1, None, closed="left"), None],
        "scheduler": [str],
        "reduction_factor": [Interval(Integral, 2, None, closed="left")],
        "scheduler_options": [dict, None],
        "resource": [str],
        "max_resource": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
    }

    def __init__(  # noqa: PLR0913 - the parameters of an estimator
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int | None = None,
        scheduler: str = "successive-halving",
        reduction_factor: int = 4,
        scheduler_options: Mapping[str, Any] | None = None,
        resource: str = "auto",
        max_resource: int | str = "auto",
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scheduler = scheduler
        self.reduction_factor = reduction_factor
        self.scheduler_options = scheduler_options
        self.resource = resource
        self.max_resource = max_resource
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, and train the best estimator on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets; None for unsupervised learning.
        **params
            Parameters of ``fit`` of the estimator, of the scorer and of the splitter (``groups``),
            as for `sklearn.model_selection.RandomizedSearchCV`.

        Returns
        -------
        SwiftSearchCV
            The search itself.

        Raises
        ------
        ValueError
            If a parameter is invalid, or all trainings fail.
        """
        self._validate_params()
        if getattr(self, "_skl_callbacks", None):
            raise ValueError(
                "callbacks of SwiftSearchCV are not called, got "
                f"{brief(self._skl_callbacks)}; set them on the estimator"
            )
        space = ParameterSpace.of(self.param_distributions)
        scorer, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        fit_params = routed.estimator.fit
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        self.n_splits_ = cv.get_n_splits(X, y, **routed.splitter.split)
        splits = list(cv.split(X, y, **routed.splitter.split))
        if len(splits) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits of SwiftSearchCV must agree, got "
                f"{len(splits)} and {self.n_splits_} splits"
            )
        resource = resource_of(
            self.resource,
            self.estimator,
            tuple(space.space.domains),
            routed=bool(fit_params) and get_config()["enable_metadata_routing"],
        )
        problem = Problem(
            estimator=clone(self.estimator),
            X=X,
            y=y,
            resource=resource,
            scorer=scorer,
            fit_params=fit_params,
            score_params=routed.scorer.score,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
        )
        runner = self._search(problem, space, splits)
        self._keep(runner, refit_metric)
        if self.refit:
            self._refit(problem)
        return self

    def _search(self, problem: Problem, space: ParameterSpace, splits: list[Any]) -> FoldsRunner:
        """Run the search; its runner holds the trials."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        folds = self._folds(problem, splits, seed)
        points = self._points(problem, folds)
        scheduler = self._scheduler(space, problem.resource, len(points) - 1, seed)
        expect_workers(scheduler, n_workers := effective_n_jobs(self.n_jobs))
        if self.verbose > 0:
            say(
                f"Training candidates on {len(folds)} folds, each for up to {self.max_resource_} "
                f"of {self.resource_}"
            )
        with Parallel(n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch) as parallel:
            if shares_first_steps(problem.estimator, tuple(space.space.domains), problem.resource):
                folds = parallel(delayed(prepare_fold)(problem, fold) for fold in folds)
            runner = FoldsRunner(
                problem,
                folds,
                space,
                points=points,
                model=model_runner(None, scheduler, background=False),
                parallel=parallel,
                n_concurrent=n_workers,
                metric=self.refit if isinstance(self.refit, str) else None,
                every_unit=self.scheduler not in _SCORE_ONCE,
                verbose=self.verbose,
            )
            drive(scheduler, runner)
        return runner

    def _folds(self, problem: Problem, splits: list[Any], seed: int) -> list[Fold]:
        if not isinstance(problem.resource, Samples):
            return [Fold(train, test) for train, test in splits]
        rng = np.random.default_rng(seed)
        return [
            Fold(ordered(train, problem.y, rng, is_classifier=is_classifier(self.estimator)), test)
            for train, test in splits
        ]

    def _points(self, problem: Problem, folds: list[Fold]) -> list[int]:
        """Set `resource_` and `max_resource_`; return the resource after each unit, from 0 on."""
        resource = problem.resource
        n_rows = min((len(fold.train) for fold in folds), default=0)
        most: Any = self.max_resource
        if most == "auto":
            learner, _ = learner_of(self.estimator)
            most = resource.default_maximum(learner, n_rows)
        n_units = min(most, _N_UNITS if resource.continues else _N_REFITS)
        if isinstance(resource, Samples):
            if most > n_rows:
                raise ValueError(
                    f"max_resource of SwiftSearchCV must be at most {n_rows}, the rows of the "
                    f"smallest training set, got {most}; use 'auto' for all rows"
                )
            least = _MIN_ROWS
            if is_classifier(self.estimator) and np.ndim(problem.y) == 1:
                least = max(least, _MIN_ROWS_PER_CLASS * len(np.unique(problem.y)))
            n_units = max(min(n_units, most // least), 1)
        if self.scheduler in (
            "asha",
            "successive-halving",
        ):  # so that the last step is as large as those before
            n_units = self.reduction_factor ** floor_log(n_units, self.reduction_factor)
        self.resource_: str = resource.name
        self.max_resource_: int = most
        return [-(-most * unit // n_units) for unit in range(n_units + 1)]

    def _scheduler(
        self, space: ParameterSpace, resource: Resource, n_units: int, seed: int
    ) -> Scheduler:
        name, options = self.scheduler, dict(self.scheduler_options or {})
        n_iter = _N_ITER if self.n_iter is None else self.n_iter
        budget = n_iter * n_units
        if own := {"max_resource", "reduction_factor", "seed"}.intersection(options):
            raise ValueError(
                f"scheduler_options must not contain {min(own)!r}; give it as a parameter of "
                "SwiftSearchCV (the seed as random_state)"
            )
        if name == "swift-asha":
            options.setdefault("forecast_interval", _FORECAST_INTERVAL)
            if not resource.continues:  # in few steps a new model costs about twice its last one
                options.setdefault("max_step", n_units)
                budget = max(budget // 2, n_units)
            if "budget_fraction" not in options:
                options.setdefault("max_epochs", budget)
        elif name == "successive-halving":
            least = options.get("min_resource")
            least = max(least, 1) if isinstance(least, int) else 1  # the scheduler checks it
            halving = _halving(
                budget, n_units, least, self.reduction_factor, space.n_points, resource.continues
            )
            options = {**halving, **options}
        elif name == "asha":
            cost = _asha_units(n_units, self.reduction_factor, continues=resource.continues)
            options.setdefault("n_trials", max(round(budget / cost), 1))
        elif name == "random-search":
            options.setdefault("n_trials", n_iter)
        elif self.n_iter is not None:
            raise ValueError(
                "n_iter of SwiftSearchCV is for the schedulers successive-halving, asha, "
                f"swift-asha and random-search, got {brief(self.n_iter)} with {name!r}; leave it "
                "out and use scheduler_options"
            )
        searcher = "curves" if name in FORECASTING else "random"
        return make_scheduler(
            name,
            make_searcher(searcher, space.space, seed),
            max_resource=n_units,
            reduction_factor=self.reduction_factor,
            seed=seed,
            **options,
        )

    def _keep(self, runner: FoldsRunner, refit_metric: str) -> None:
        """Set the attributes of the candidates and of the best one."""
        problem, outcomes = runner.problem, results_of(runner)
        if not outcomes:
            raise ValueError(
                "no fits were performed by SwiftSearchCV: cv must have splits and "
                "param_distributions a candidate"
            )
        _warn_or_raise_about_fit_failures(outcomes, self.error_score)
        if callable(self.scoring):  # only now it is known whether it returns several metrics
            _insert_error_scores(outcomes, self.error_score)
        trials = [runner.trials[number] for number in sorted(runner.trials)]
        candidates = [
            trial.params | _named(problem, problem.resource.params(trial.resource))
            for trial in trials
        ]
        resources = [trial.resource for trial in trials]
        results = self._format_results(
            candidates, self.n_splits_, outcomes, {"n_resources": resources}
        )
        self.n_candidates_ = len(trials)
        first = outcomes[0]["test_scores"]
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first)
            refit_metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        self.scorer_ = getattr(problem.scorer, "_scorers", problem.scorer)
        self.cv_results_ = results

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: str, results: dict[str, Any]) -> int:
        """Return the row of the best candidate among those with the most of the resource."""
        if callable(refit):
            row = super(SwiftSearchCV, SwiftSearchCV)._select_best_index(
                refit, refit_metric, results
            )
            return int(row)
        rows = np.flatnonzero(results["n_resources"] == np.max(results["n_resources"]))
        scores = results[f"mean_test_{refit_metric}"]
        if not np.isfinite(scores[rows]).any():
            rows = np.arange(len(scores))
        return int(rows[np.argmax(np.nan_to_num(scores[rows], nan=-np.inf))])

    def _refit(self, problem: Problem) -> None:
        begin = time.time()
        self.best_estimator_ = fitted(
            problem.resource,
            configured(problem.estimator, self.best_params_),
            problem.X,
            problem.y,
            self.max_resource_,
            problem.fit_params,
        )
        self.refit_time_ = time.time() - begin
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _named(problem: Problem, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of the last step as those of its pipeline."""
    _, prefix = learner_of(problem.estimator)
    return {prefix + name: value for name, value in params.items()}


def _halving(
    budget: int,
    max_resource: int,
    min_resource: int,
    reduction_factor: int,
    n_points: int | None,
    continues: bool,
) -> dict[str, int]:
    """Return the options of successive halving that spends a budget.

    It starts as many trials as it can, at the lowest resource. If a space has fewer points than
    that, they are tried at the highest first resource that the budget allows.
    """
    deepest = floor_log(max(max_resource // min_resource, 1), reduction_factor)
    n_trials, depth = 1, deepest
    for depth in range(deepest + 1):
        n_trials = max(budget // max_resource, 1)
        while _cost(max_resource, reduction_factor, depth, n_trials + 1, continues) <= budget:
            n_trials += 1
        if n_points is not None and n_trials >= n_points:
            return {"depth": depth, "n_trials": n_points}
    return {"depth": depth, "n_trials": n_trials}


def _cost(
    max_resource: int, reduction_factor: int, depth: int, n_trials: int, continues: bool
) -> int:
    """Return the units that successive halving spends."""
    bracket = make_bracket(max_resource, reduction_factor, depth, n_trials)
    if continues:
        return bracket.epochs
    return sum(rung.n_trials * rung.resource for rung in bracket.rungs)


def _asha_units(max_resource: int, reduction_factor: int, *, continues: bool) -> float:
    """Return the units that ASHA spends on a trial, on average."""
    depth = floor_log(max_resource, reduction_factor)
    rungs = [reduction_factor**level for level in range(depth + 1)]
    if rungs[-1] < max_resource:
        rungs.append(max_resource)
    before = [0, *rungs[:-1]] if continues else [0] * len(rungs)
    return math.fsum(
        (stop - start) / reduction_factor**level
        for level, (start, stop) in enumerate(zip(before, rungs, strict=True))
    )
