"""Whether QSVR predicts what scikit-learn's SVR predicts, on ten regression sets.

Features and target scaled to [0, 1] on the training half (up to 150 samples), C = 1, epsilon =
0.05, gamma = 0.3, the same for every model. Columns: test R2 of SVR, and QSVR minus SVR for 3 bits
in one QUBO, 3 bits with 15 refinements, and decomposition into QUBOs of 120 variables (the papers'
size; sets that one of them holds are refined); then the largest relative distance of the dual
energy from libsvm's optimum.

Then the default, whatever C is: 15 sets of 20 to 2,000 training samples, features and target
standardised, C = 1, 10 and 100 with epsilon = 0.1 and 0.01. Per set the largest difference from
SVR's test R2 (mean over splits) for one QUBO and for the default, which refines automatically, and
the processor time of the default in units of that of one QUBO. The thresholds of the default were
chosen on nine other sets, synthetic ones with other seeds.

Last, the MLPF task of the papers: 80 training samples by an ensemble with members of 20 and by
decomposition on the same 120 variables (needs mlpf_curves.csv: ``python tools/fetch_tables.py``).
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from _harness import (
    HOW_TO_GET_TABLES,
    MLPF_TABLE,
    Data,
    Thresholds,
    arguments,
    mlpf_task,
    print_table,
)
from qsvr import QSVR, CoarseEncodingWarning, QSVREnsemble

SETTING = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}
VARIANTS = {
    "3 bits": {"n_refinements": 0},
    "refined": {"n_refinements": 15},
    "decomposed": {"max_variables": 120, "n_refinements": 15},
}


def data_sets() -> dict[str, Data]:
    """Return ten sets that need no download, the MLPF curves among them where present."""
    X_linnerud, Y_linnerud = datasets.load_linnerud(return_X_y=True)
    iris, wine = datasets.load_iris().data, datasets.load_wine().data
    cancer = datasets.load_breast_cancer().data
    sets = {
        "diabetes": datasets.load_diabetes(return_X_y=True),
        "linnerud, pulse": (X_linnerud, Y_linnerud[:, 2]),
        "iris, petal width": (iris[:, :3], iris[:, 3]),
        "wine, alcohol": (wine[:, 1:], wine[:, 0]),
        "cancer, mean concavity": (cancer[:, [0, 1, 2, 4, 5, 7, 8]], cancer[:, 6]),
        "friedman1": datasets.make_friedman1(300, noise=1.0, random_state=0),
        "friedman2": datasets.make_friedman2(300, noise=50.0, random_state=0),
        "friedman3": datasets.make_friedman3(300, noise=0.1, random_state=0),
        "linear": datasets.make_regression(300, 10, noise=20.0, random_state=0),
        "s-curve": datasets.make_s_curve(300, noise=0.1, random_state=0),
    }
    if MLPF_TABLE.exists():
        del sets["s-curve"]
        sets["mlpf curves"] = mlpf_task(MLPF_TABLE)
    return sets


def split(data: Data, seed: int) -> tuple[NDArray[np.float64], ...]:
    """Return X, X_test, y, y_test, scaled on the training half."""
    X, X_test, y, y_test = train_test_split(*data, test_size=0.5, random_state=seed)
    X, y = X[:150], y[:150, None]
    scale_X, scale_y = MinMaxScaler().fit(X), MinMaxScaler().fit(y)
    y, y_test = scale_y.transform(y)[:, 0], scale_y.transform(y_test[:, None])[:, 0]
    return scale_X.transform(X), scale_X.transform(X_test), y, y_test


def optimum(svr: SVR, X: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the dual energy of libsvm's solution."""
    b = np.zeros(len(y))
    b[svr.support_] = svr.dual_coef_[0]
    outputs = svr.predict(X) - svr.intercept_
    return float(0.5 * b @ outputs - y @ b + svr.epsilon * np.abs(b).sum())


def measure(data: Data, n_splits: int) -> dict[str, NDArray[np.float64]]:
    """Return per split: R2 of every model, and relative energy errors."""
    result: dict[str, list[float]] = {}
    for seed in range(n_splits):
        X, X_test, y, y_test = split(data, seed)
        svr = SVR(**SETTING, tol=1e-6).fit(X, y)
        best = optimum(svr, X, y)
        result.setdefault("svr", []).append(r2_score(y_test, svr.predict(X_test)))
        for name, parameters in VARIANTS.items():
            model = QSVR(**SETTING, **parameters, random_state=seed).fit(X, y)
            result.setdefault(name, []).append(r2_score(y_test, model.predict(X_test)))
            error = abs(model.energy_ - best) / abs(best)
            result.setdefault(f"{name}, energy", []).append(error)
    return {name: np.array(values) for name, values in result.items()}


def report_sets(n_splits: int, thresholds: Thresholds, *, quick: bool) -> None:
    """Print the table of all sets and check its thresholds."""
    lines = []
    sets = data_sets()
    for name, data in list(sets.items())[:: 4 if quick else 1]:
        found = measure(data, n_splits)
        svr = found["svr"]
        worst = {v: float(np.abs(found[v] - svr).mean()) for v in VARIANTS}
        thresholds.at_most(f"{name}: SVR - 3 bits", float((svr - found["3 bits"]).mean()), 0.03)
        thresholds.at_most(f"{name}: |refined - SVR|", worst["refined"], 0.005)
        thresholds.at_most(f"{name}: |decomposed - SVR|", worst["decomposed"], 0.005)
        for variant in ("refined", "decomposed"):
            error = float(found[f"{variant}, energy"].max())
            thresholds.at_most(f"{name}: energy, {variant}", error, 1e-3)
        lines.append(
            [name, f"{svr.mean():.4f}"]
            + [f"{(found[v] - svr).mean():+.4f}" for v in VARIANTS]
            + [f"{100 * found[f'{v}, energy'].max():.3f}%" for v in VARIANTS]
        )
    print(f"{n_splits} splits")
    header = ["set", "SVR", *VARIANTS, *(f"{v}, energy" for v in VARIANTS)]
    print_table(header, lines)


def sets_of_any_size() -> dict[str, tuple[Data, int]]:
    """Return fifteen sets with their numbers of training samples."""
    diabetes = datasets.load_diabetes(return_X_y=True)
    iris, wine = datasets.load_iris().data, datasets.load_wine().data
    cancer = datasets.load_breast_cancer().data
    digits = datasets.load_digits()
    concavity = (cancer[:, [0, 1, 2, 4, 5, 7, 8]], cancer[:, 6])
    alcohol = (wine[:, 1:], wine[:, 0])
    return {
        "diabetes, 20": (diabetes, 20),
        "wine, alcohol, 20": (alcohol, 20),
        "iris, petal width, 25": ((iris[:, :3], iris[:, 3]), 25),
        "linear, 30": (datasets.make_regression(330, 10, noise=20.0, random_state=0), 30),
        "friedman3, 40": (datasets.make_friedman3(340, noise=0.1, random_state=0), 40),
        "cancer, concavity, 50": (concavity, 50),
        "diabetes, 60": (diabetes, 60),
        "friedman1, 60": (datasets.make_friedman1(360, noise=1.0, random_state=0), 60),
        "iris, petal width, 100": ((iris[:, :3], iris[:, 3]), 100),
        "wine, alcohol, 120": (alcohol, 120),
        "friedman2, 200": (datasets.make_friedman2(500, noise=50.0, random_state=0), 200),
        "digits, centre, 300": ((digits.data[:, :28], digits.data[:, 36]), 300),
        "diabetes, 350": (diabetes, 350),
        "cancer, concavity, 400": (concavity, 400),
        "friedman1, 2000": (datasets.make_friedman1(2500, noise=1.0, random_state=0), 2000),
    }


def compare_default(data: Data, n: int, n_splits: int) -> dict[str, NDArray[np.float64]]:
    """Return R2 minus SVR's, shape (n_settings, n_splits), and processor time, of both forms."""
    forms = {"one QUBO": {"n_refinements": 0}, "default": {}}
    result: dict[str, list[list[float]]] = {name: [] for name in forms}
    seconds = dict.fromkeys(forms, 0.0)
    for setting in [{"C": C, "epsilon": e} for C in (1.0, 10.0, 100.0) for e in (0.1, 0.01)]:
        differences: dict[str, list[float]] = {name: [] for name in forms}
        for seed in range(n_splits):
            X, X_test, y, y_test = train_test_split(*data, train_size=n, random_state=seed)
            scale_X, scale_y = StandardScaler().fit(X), StandardScaler().fit(y[:, None])
            X, X_test = scale_X.transform(X), scale_X.transform(X_test)
            y, y_test = (scale_y.transform(each[:, None])[:, 0] for each in (y, y_test))
            svr = r2_score(y_test, SVR(**setting).fit(X, y).predict(X_test))
            for name, parameters in forms.items():
                start = time.process_time()
                model = QSVR(**setting, **parameters, random_state=seed).fit(X, y)
                seconds[name] += time.process_time() - start
                differences[name].append(r2_score(y_test, model.predict(X_test)) - svr)
        for name, values in differences.items():
            result[name].append(values)
    found = {name: np.array(values) for name, values in result.items()}
    return {**found, "seconds": np.array([seconds[name] for name in forms])}


def report_default(n_splits: int, thresholds: Thresholds, *, quick: bool) -> None:
    """Print how far the default is from SVR over C and epsilon, and what it costs."""
    QSVR(C=100, random_state=0).fit(np.eye(8), np.arange(8.0))  # compiled before it is timed
    lines, ratios = [], []
    for name, (data, n) in list(sets_of_any_size().items())[:: 3 if quick else 1]:
        if quick and n > 500:
            continue
        with threadpool_limits(1):  # a second thread spins, and its time counts
            found = compare_default(data, n, n_splits)
        worst = {
            form: float(np.abs(found[form].mean(axis=1)).max()) for form in ("one QUBO", "default")
        }
        ratio = float(found["seconds"][1] / found["seconds"][0])
        thresholds.at_most(f"{name}: |default - SVR|", worst["default"], 0.01)
        ratios.append(ratio)
        thresholds.at_most(f"{name}: time of the default", ratio, 3.0)
        lines.append([name, f"{worst['one QUBO']:.4f}", f"{worst['default']:.4f}", f"{ratio:.2f}"])
    print(f"C = 1, 10, 100 and epsilon = 0.1, 0.01, {n_splits} splits: the worst of six settings")
    thresholds.at_most("mean time of the default", float(np.mean(ratios)), 2.5)
    header = ["set, training samples", "one QUBO: |R2 - SVR|", "default: |R2 - SVR|", "time"]
    print_table(header, lines)


def report_mlpf(n_splits: int, thresholds: Thresholds) -> None:
    """Print what 80 samples give on an annealer's 120 variables."""
    if not MLPF_TABLE.exists():
        print(f"MLPF: skipped, {MLPF_TABLE} is missing; {HOW_TO_GET_TABLES}.")
        return
    X, y = mlpf_task(MLPF_TABLE)
    box = {"epsilon": 0.02, "gamma": 0.1, "base": 0.5, "exponent_shift": 0.005, "C": "implied"}
    models = {
        "SVR, 80 samples, C = 1.756": SVR(C=1.756, epsilon=0.02, gamma=0.1),
        "decomposition, 80 samples": QSVR(**box, max_variables=120, random_state=0),
        "decomposition, C = 3": QSVR(
            C=3.0, epsilon=0.02, gamma=0.1, max_variables=120, random_state=0
        ),
    }
    for sampling in ("random", "stratified", "kmeans"):
        for n in (4, 12):
            models[f"ensemble of {n} x 20, {sampling}"] = QSVREnsemble(
                QSVR(**box), n_estimators=n, max_samples=20, sampling=sampling, random_state=0
            )
    scores: dict[str, list[float]] = {name: [] for name in models}
    for seed in range(n_splits):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=seed)
        for name, model in models.items():
            model.fit(X_train[:80], y_train[:80])
            scores[name].append(r2_score(y_test, model.predict(X_test)))
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    print(f"MLPF, 80 samples, {n_splits} splits")
    rows = [[n, f"{mean[n]:.4f}", f"{np.std(v):.4f}"] for n, v in scores.items()]
    print_table(["model", "R2", "sd"], rows)
    thresholds.at_least("MLPF ensemble of 4 x 20", mean["ensemble of 4 x 20, stratified"], 0.925)
    thresholds.at_least("MLPF decomposition", mean["decomposition, 80 samples"], 0.93)


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore", CoarseEncodingWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    args = arguments(__doc__)
    n_splits = 2 if args.quick else 10
    thresholds = Thresholds()
    report_sets(n_splits, thresholds, quick=args.quick)
    report_default(4 if args.quick else 5, thresholds, quick=args.quick)
    report_mlpf(10, thresholds)  # its thresholds are means of 10 splits, also in the quick form
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
