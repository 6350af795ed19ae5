"""`SwiftSearchCV` against scikit-learn's RandomizedSearchCV and HalvingRandomSearchCV.

Ten data sets, split in halves: the searches see one half, with 3 folds, and the best estimator is
scored on the other (accuracy or R2). RandomizedSearchCV trains 30 candidates in full.
HalvingRandomSearchCV starts 81 candidates with a factor of 3, on the resource of SwiftSearchCV,
so that its last rung is trained in full. SwiftSearchCV has a budget of 4 full trainings.
Processor time of ``fit`` with the last training on all rows, one process, one thread; the mean of
some seeds.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn import datasets
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from _harness import Thresholds, argument_parser, print_table
from hpo import SwiftSearchCV

N_RANDOM, N_HALVING, N_SWIFT = 30, 81, 4
OTHERS = ("random", "halving")
BOOSTING = {
    "learning_rate": loguniform(0.01, 1.0),
    "max_depth": randint(1, 8),
    "subsample": uniform(0.3, 0.7),
    "max_features": uniform(0.1, 0.9),
    "min_samples_leaf": randint(1, 30),
}
HISTOGRAM = {
    "learning_rate": loguniform(0.01, 1.0),
    "max_leaf_nodes": randint(3, 64),
    "min_samples_leaf": randint(2, 100),
    "l2_regularization": loguniform(1e-6, 100.0),
}
FOREST = {
    "max_features": uniform(0.05, 0.95),
    "min_samples_leaf": randint(1, 20),
    "max_depth": randint(2, 30),
}
NETWORK = {
    "alpha": loguniform(1e-6, 10.0),
    "learning_rate_init": loguniform(1e-4, 0.3),
    "batch_size": [32, 64, 128],
    "hidden_layer_sizes": [(16,), (32,), (64,), (128,), (32, 32), (64, 64)],
}
KERNEL = {"C": loguniform(1e-2, 1e4), "gamma": loguniform(1e-5, 10.0)}


@dataclass(frozen=True)
class Task:
    """A data set, an estimator and its parameters.

    Attributes
    ----------
    name : str
    data : callable
        Returns X and y for a seed.
    estimator : estimator
    space : dict
        Distributions of its parameters.
    resource : str
        Resource of HalvingRandomSearchCV, a parameter or the number of samples.
    """

    name: str
    data: Callable[[int], Any]
    estimator: Any
    space: dict[str, Any]
    resource: str = "n_estimators"


def bundled(load: Callable[..., Any]) -> Callable[[int], Any]:
    """Return a data set that does not depend on the seed."""
    return lambda _: load(return_X_y=True)


def scaled(estimator: Any, space: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a pipeline with a scaler in front, and its parameters."""
    model = make_pipeline(StandardScaler(), estimator)
    prefix = model.steps[-1][0]
    return model, {f"{prefix}__{name}": each for name, each in space.items()}


TASKS = (
    Task("breast cancer, boosting", bundled(datasets.load_breast_cancer),
         GradientBoostingClassifier(n_estimators=64, random_state=0), BOOSTING),
    Task("diabetes, boosting", bundled(datasets.load_diabetes),
         GradientBoostingRegressor(n_estimators=64, random_state=0), BOOSTING),
    Task("Hastie, boosting", lambda seed: datasets.make_hastie_10_2(1200, random_state=seed),
         GradientBoostingClassifier(n_estimators=64, random_state=0), BOOSTING),
    Task("Friedman 1, histograms",
         lambda seed: datasets.make_friedman1(1500, noise=1.0, random_state=seed),
         HistGradientBoostingRegressor(max_iter=64, random_state=0), HISTOGRAM, "max_iter"),
    Task("clusters, histograms",
         lambda seed: datasets.make_classification(
             1500, 20, n_informative=8, n_classes=3, flip_y=0.05, random_state=seed),
         HistGradientBoostingClassifier(max_iter=64, random_state=0), HISTOGRAM, "max_iter"),
    Task("digits, forest", bundled(datasets.load_digits),
         RandomForestClassifier(64, random_state=0), FOREST),
    Task("Friedman 3, extra trees",
         lambda seed: datasets.make_friedman3(1000, noise=0.1, random_state=seed),
         ExtraTreesRegressor(64, random_state=0), FOREST),
    Task("digits, network", bundled(datasets.load_digits),
         *scaled(MLPClassifier(max_iter=32, random_state=0), NETWORK), "mlpclassifier__max_iter"),
    Task("Friedman 2, network",
         lambda seed: datasets.make_friedman2(1000, noise=50.0, random_state=seed),
         *scaled(MLPRegressor(max_iter=32, random_state=0), NETWORK), "mlpregressor__max_iter"),
    Task("quantiles, kernel machine",
         lambda seed: datasets.make_gaussian_quantiles(
             n_samples=2000, n_features=8, n_classes=3, random_state=seed),
         *scaled(SVC(), KERNEL), "n_samples"),
)  # fmt: skip


def searches(task: Task, seed: int) -> dict[str, Any]:
    """Return the three searches."""
    settings = {"cv": 3, "random_state": seed}
    halving: dict[str, Any] = {"n_candidates": N_HALVING, "factor": 3}
    if task.resource != "n_samples":
        most = task.estimator.get_params()[task.resource]
        halving |= {"resource": task.resource, "max_resources": most, "min_resources": "exhaust"}
    else:
        halving |= {"min_resources": "exhaust"}
    return {
        "random": RandomizedSearchCV(task.estimator, task.space, n_iter=N_RANDOM, **settings),
        "halving": HalvingRandomSearchCV(task.estimator, task.space, **halving, **settings),
        "swift": SwiftSearchCV(task.estimator, task.space, n_iter=N_SWIFT, **settings),
    }


def measure(task: Task, seed: int) -> dict[str, tuple[float, float]]:
    """Return the processor time and the test score of each search."""
    X, y = task.data(seed)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=seed)
    figures = {}
    for name, search in searches(task, seed).items():
        start = process_time()
        search.fit(X, y)
        figures[name] = process_time() - start, float(search.score(X_test, y_test))
    return figures


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore")
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (3)")
    args = parser.parse_args()
    tasks, seeds = (TASKS[1:2], 1) if args.quick else (TASKS, args.seeds)
    measure(TASKS[1], 0)  # imports and compiles
    rows, ratios, gaps = [], [], []
    for task in tasks:
        runs = [measure(task, seed) for seed in range(seeds)]
        seconds, scores = (
            {name: np.mean([run[name][part] for run in runs]) for name in runs[0]}
            for part in (0, 1)
        )
        rows.append(
            [task.name]
            + [f"{seconds[name]:.2f}" for name in seconds]
            + [f"{scores[name]:.4f}" for name in scores]
        )
        print(*rows[-1], sep=", ", flush=True)
        ratios.append([seconds["swift"] / seconds[other] for other in OTHERS])
        gaps.append([scores["swift"] - scores[other] for other in OTHERS])
    print()
    names = [*OTHERS, "swift"]
    print_table(["data, estimator", *(f"{name}, s" for name in names), *names], rows)
    times = np.exp(np.log(ratios).mean(axis=0))  # (n_others,)
    mean, worst, best = (reduce(gaps, axis=0) for reduce in (np.mean, np.min, np.max))
    print_table(
        ["SwiftSearchCV beside", "time (geometric mean)", "score (mean)", "worst", "best"],
        [
            [other, f"{times[j]:.2f}", *(f"{gap[j]:+.4f}" for gap in (mean, worst, best))]
            for j, other in enumerate(OTHERS)
        ],
    )
    thresholds = Thresholds()
    if not args.quick:
        for j, other in enumerate(OTHERS):
            thresholds.at_most(f"time beside {other}", float(times[j]), 0.5)
            thresholds.at_least(f"mean score less that of {other}", float(mean[j]), -0.015)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
