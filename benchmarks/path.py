"""A path over C against fits one by one, and a grid search against scikit-learn's SVR.

Friedman 1 with noise, scaled to [0, 1], epsilon = 0.05, gamma = 0.3; 30 values of C from 0.1 to
100. Energies are compared on the same targets: those of the path at its centre. "Equal" fits are
refined until no energy is more than 0.1% above the path's; default fits stop earlier, where
training is as good as SVR's. The grid has 25 values of C and epsilon and 3 folds. Processor time,
one thread.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import warnings
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid
from sklearn.svm import SVR

from _harness import Thresholds, arguments, print_table, scaled_data
from qsvr import QSVR, C_path, QSVRPath, fit_many

Array = NDArray[np.float64]
SETTING = {"gamma": 0.3, "epsilon": 0.05}
CS = np.geomspace(0.1, 100.0, 30)
GRID = {"C": [0.3, 1.0, 3.0, 10.0, 30.0], "epsilon": [0.01, 0.03, 0.1, 0.2, 0.3]}


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a call, and what it returned."""
    start = process_time()
    result = function()
    return process_time() - start, result


def excess(path: QSVRPath, models: list[QSVR]) -> float:
    """Return by how much the path's energies exceed those of fits, on the same targets."""
    differences = []
    for i, model in enumerate(models):
        known = path.model(0, i)
        dual = known.make_problem(*known_data(model)).qubo.dual
        history = known.sampler_info_.get("refinement_history")
        dual = dual.recentred(history[-1].centre if history else 0.0)
        ours, theirs = (each.solutions_.coefficients[0] for each in (known, model))
        energies = dual.energy(
            np.stack([np.stack([np.maximum(b, 0), np.maximum(-b, 0)]) for b in (ours, theirs)])
        )
        differences.append((energies[0] - energies[1]) / abs(energies[1]))
    return float(max(differences))


_DATA: dict[int, tuple[Array, Array]] = {}


def known_data(model: QSVR) -> tuple[Array, Array]:
    """Return the data that a model was fitted to."""
    return _DATA[id(model)]


def compare(n: int, thresholds: Thresholds) -> list[str]:
    """Return a row of the first table."""
    X, y = scaled_data("friedman1", n, 0)
    template = QSVR(**SETTING, random_state=0)
    C_path(X, y, Cs=CS[:2], estimator=template)  # compile
    seconds, path = timed(lambda: C_path(X, y, Cs=CS, estimator=template))
    figures = []
    for refinements in ({}, {"n_refinements": 12}):
        models, times = [], []
        for C in CS:
            model = clone(template).set_params(C=C, **refinements)
            used, _ = timed(lambda model=model: model.fit(X, y))
            times.append(used)
            models.append(model)
            _DATA[id(model)] = X, y
        figures.append((float(np.mean(times)), excess(path, models)))
        _DATA.clear()
    (default, more), (equal, more_equal) = figures
    gap = float(((path.energies - path.bounds) / np.abs(path.bounds)).max())
    if n >= 400:
        thresholds.at_most(f"{n} rows: path in fits of equal energy", seconds / equal, 3.0)
    thresholds.at_most(f"{n} rows: energy above that of default fits", more, 0.001)
    thresholds.at_most(f"{n} rows: energy above that of refined fits", more_equal, 0.001)
    svr = sum(timed(lambda C=C: SVR(**SETTING, C=C).fit(X, y))[0] for C in CS)
    return [
        f"{n}", f"{seconds:.3f}", f"{seconds / default:.1f}", f"{seconds / equal:.1f}",
        f"{more:+.3%}", f"{more_equal:+.3%}", f"{gap:.3%}", f"{seconds / svr:.1f}",
    ]  # fmt: skip


def searched(n: int) -> list[list[str]]:
    """Return the rows of the second table."""
    X, y = scaled_data("friedman1", n, 0)
    folds = KFold(3, shuffle=True, random_state=0)
    grids = []
    for model in (SVR(gamma=0.3), QSVR(gamma=0.3, random_state=0)):
        search = GridSearchCV(model, GRID, cv=folds, refit=False)
        used, found = timed(lambda search=search: search.fit(X, y))
        grids.append((f"GridSearchCV, {type(model).__name__}", used, found.best_score_))
    points, splits = list(ParameterGrid(GRID)), list(folds.split(X))

    def together() -> float:
        models = [QSVR(gamma=0.3, random_state=0, **p) for p in points for _ in splits]
        trains = [train for train, _ in splits] * len(points)
        fit_many(models, [X[rows] for rows in trains], [y[rows] for rows in trains])
        tests = [test for _, test in splits] * len(points)
        scores = [m.score(X[rows], y[rows]) for m, rows in zip(models, tests, strict=True)]
        return float(np.reshape(scores, (len(points), -1)).mean(axis=1).max())

    def paths() -> float:
        scores = []
        for train, test in splits:
            path = C_path(
                X[train], y[train], Cs=GRID["C"], epsilons=GRID["epsilon"],
                estimator=QSVR(gamma=0.3, random_state=0),
            )  # fmt: skip
            errors = ((path.predict(X[test]) - y[test]) ** 2).mean(axis=2)
            scores.append(1.0 - errors / np.var(y[test]))
        return float(np.mean(scores, axis=0).max())

    grids.append(("fit_many, QSVR", *timed(together)))
    grids.append(("C_path for each fold, QSVR", *timed(paths)))
    base = grids[0][1]
    return [[f"{n}", a, f"{b:.2f}", f"{b / base:.1f}", f"{c:.4f}"] for a, b, c in grids]


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore")
    args = arguments(__doc__)
    thresholds = Thresholds()
    rows = [compare(n, thresholds) for n in ((100,) if args.quick else (50, 100, 200, 400))]
    print_table(
        ["rows", "path, s", "in default fits", "in equal fits", "energy above default's",
         "above equal's", "above bound", "times SVRs"],
        rows,
    )  # fmt: skip
    searches = [searched(n) for n in ((60,) if args.quick else (60, 400))]
    print_table(
        ["rows", "25 values, 3 folds", "seconds", "times SVR", "best R2"],
        [row for rows in searches for row in rows],
    )
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
