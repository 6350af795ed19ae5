"""Whether QSVC classifies as scikit-learn's SVC does, and how it compares with another package.

Breast cancer first, with 20, 50 and 100 training samples and 8 splits: accuracy on the other
samples with its standard error, and processor seconds of fit and prediction. QSVC at its default (3
bits, refined automatically) and as the other package poses the problem (2 bits, one QUBO: as many
variables); the sign of a QSVR at 2 bits, which takes twice the variables; SVC. The other package
is `tno-quantum-ml-classifiers-svm`, at its defaults, in an environment of its own (see
peers_env/README.md); without it its rows are left out.

Then ten data sets with 10 splits of 80 training samples and at most 200 test samples, C = 1,
features standardised on the former. Columns: classes, accuracy of SVC, QSVC minus SVC for 8 bits in
one QUBO, for 3 bits with 15 refinements, for the default, for decomposition into QUBOs of 120
variables (the sets that need it have more than 40 samples in a pair of classes) and for one against
rest; then the other package minus QSVC at 2 bits, and its processor time in units of QSVC's. It has
two classes only; for more it is put into scikit-learn's OneVsOneClassifier.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from _harness import Thresholds, argument_parser, print_table
from qsvr import QSVC, QSVR, CoarseEncodingWarning

FOLDER = Path(__file__).parent / "peers_env"
RIVAL = "tno-quantum-ml-classifiers-svm"
SAME_QUBO = {"n_bits": 2, "n_refinements": 0}  # as the other package poses it
VARIANTS: dict[str, dict[str, Any]] = {
    "8 bits": {"n_bits": 8, "n_refinements": 0},
    "refined": {"n_refinements": 15},
    "default": {},
    "decomposed": {"max_variables": 120, "n_refinements": 15},
    "one vs rest": {"multi_class": "ovr"},
}
AGREES = ("8 bits", "refined", "default", "decomposed")

Split = tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64], NDArray[Any]]


def data_sets() -> dict[str, tuple[NDArray[np.float64], NDArray[Any]]]:
    """Return ten sets that need no download, four of them with more than two classes."""
    X_diabetes, y_diabetes = datasets.load_diabetes(return_X_y=True)
    X_wine, y_wine = datasets.load_wine(return_X_y=True)
    X_digits, y_digits = datasets.load_digits(n_class=5, return_X_y=True)
    make = datasets.make_classification
    return {
        "breast cancer": datasets.load_breast_cancer(return_X_y=True),
        "diabetes, above median": (X_diabetes, y_diabetes > np.median(y_diabetes)),
        "wine, last two": (X_wine[y_wine > 0], y_wine[y_wine > 0]),
        "moons": datasets.make_moons(400, noise=0.25, random_state=0),
        "circles": datasets.make_circles(400, noise=0.15, factor=0.5, random_state=0),
        "hastie": datasets.make_hastie_10_2(400, random_state=0),
        "iris": datasets.load_iris(return_X_y=True),
        "wine": (X_wine, y_wine),
        "digits 0 to 4": (X_digits, y_digits),
        "four classes, unequal": make(
            400, 8, n_informative=6, n_classes=4, weights=[0.5, 0.3, 0.15], random_state=0
        ),
    }


def split(X: NDArray[np.float64], y: NDArray[Any], n: int, seed: int, most: int) -> Split:
    """Return X, y, X_test, y_test, scaled on n training samples, with at most ``most`` for test."""
    n_test = min(most, len(y) - n)
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=n, test_size=n_test, random_state=seed, stratify=y
    )
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), y, scaler.transform(X_test), y_test


class SignOfQSVR:
    """The sign of a regression on labels of +-1."""

    def __init__(self) -> None:
        self.model = QSVR(n_bits=2, random_state=0)

    def fit(self, X: NDArray[np.float64], y: NDArray[Any]) -> SignOfQSVR:
        """Fit to two classes."""
        self.model.fit(X, np.where(y == y.max(), 1.0, -1.0))
        self.classes = np.array([y.min(), y.max()])
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[Any]:
        """Return the class whose label is nearer."""
        return np.asarray(self.classes[(self.model.predict(X) > 0.0).astype(int)])


def measure(make: Callable[[], Any], splits: Sequence[Split]) -> tuple[NDArray[Any], float]:
    """Return the accuracy on each split, and the mean processor seconds of fit and prediction."""
    scores = []
    start = time.process_time()
    for X, y, X_test, y_test in splits:
        scores.append(np.mean(make().fit(X, y).predict(X_test) == y_test))
    return np.array(scores), (time.process_time() - start) / len(splits)


def rival_python(path: str) -> str | None:
    """Return the Python of the other package's environment, if there is one."""
    if not Path(path).exists():
        print(f"{RIVAL} is not installed: no {path}; see benchmarks/peers_env/README.md\n")
        return None
    command = [path, str(FOLDER / "svm_agent.py"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    print(f"{RIVAL} {done.stdout.strip()}\n")
    return path


def measure_rival(python: str, splits: Sequence[Split]) -> tuple[NDArray[Any], float]:
    """Return what `measure` does, of the other package in its own process."""
    arrays: dict[str, NDArray[Any]] = {}
    for n, (X, y, X_test, _) in enumerate(splits):
        labels = np.unique(y, return_inverse=True)[1]
        arrays |= {f"X_{n}": X, f"y_{n}": labels, f"test_{n}": X_test}
    with tempfile.TemporaryDirectory() as folder:
        problems, results = Path(folder, "problems.npz"), Path(folder, "results.json")
        np.savez(problems, **arrays)
        command = [python, str(FOLDER / "svm_agent.py"), str(problems), str(results)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        answers = json.loads(results.read_text(encoding="utf-8"))
    scores = [
        np.mean(np.unique(y)[np.asarray(each["predicted"], dtype=int)] == y_test)
        for each, (_, y, _, y_test) in zip(answers, splits, strict=True)
    ]
    return np.array(scores), float(np.mean([each["seconds"] for each in answers]))


def standard_error(scores: NDArray[Any]) -> float:
    return float(scores.std(ddof=1) / np.sqrt(scores.size))


def compare_on_cancer(
    python: str | None, n_splits: int, sizes: Sequence[int], thresholds: Thresholds
) -> None:
    data = datasets.load_breast_cancer(return_X_y=True)
    rows = []
    for n in sizes:
        splits = [split(*data, n, seed, len(data[1])) for seed in range(n_splits)]
        makers: dict[str, Callable[[], Any]] = {
            "SVC": SVC,
            "QSVC": lambda: QSVC(random_state=0),
            "QSVC, 2 bits, one QUBO": lambda: QSVC(random_state=0, **SAME_QUBO),
            "sign of QSVR, 2 bits": SignOfQSVR,
        }
        found = {name: measure(make, splits) for name, make in makers.items()}
        if python is not None:
            found[RIVAL] = measure_rival(python, splits)
        for name, (scores, seconds) in found.items():
            accuracy = f"{scores.mean():.3f} +- {standard_error(scores):.3f}"
            rows.append([name, str(n), accuracy, f"{1000 * seconds:.1f}"])
        ours, seconds = found["QSVC"]
        thresholds.at_most(f"cancer, {n}: from SVC", abs((ours - found["SVC"][0]).mean()), 0.005)
        if python is not None:
            against_rival(f"cancer, {n}", found["QSVC, 2 bits, one QUBO"], found[RIVAL], thresholds)
    print_table(["breast cancer", "samples", "accuracy", "ms"], rows)


def against_rival(
    name: str,
    ours: tuple[NDArray[Any], float],
    theirs: tuple[NDArray[Any], float],
    thresholds: Thresholds,
) -> None:
    """Hold that accuracy is at least theirs within the standard error, in a fifth of their time."""
    error = float(np.hypot(standard_error(ours[0]), standard_error(theirs[0])))
    thresholds.at_least(f"{name}: accuracy", float(ours[0].mean()), float(theirs[0].mean()) - error)
    thresholds.at_most(f"{name}: time in units of {RIVAL}'s", ours[1] / theirs[1], 0.2)


def compare_on_many(
    python: str | None, n_splits: int, names: Sequence[str], thresholds: Thresholds
) -> None:
    rows = []
    for name in names:
        X, y = data_sets()[name]
        splits = [split(X, y, 80, seed, 200) for seed in range(n_splits)]
        svc, _ = measure(SVC, splits)
        row = [name, str(len(np.unique(y))), f"{svc.mean():.3f}"]
        for variant, settings in VARIANTS.items():
            scores, _ = measure(lambda given=settings: QSVC(random_state=0, **given), splits)
            row.append(f"{(scores - svc).mean():+.4f}")
            if variant in AGREES:
                thresholds.at_most(
                    f"{name}, {variant}: from SVC", abs((scores - svc).mean()), 0.005
                )
        if python is not None:
            theirs = measure_rival(python, splits)
            ours = measure(lambda: QSVC(random_state=0, **SAME_QUBO), splits)
            row += [f"{(theirs[0] - ours[0]).mean():+.3f}", f"{theirs[1] / ours[1]:.1f}"]
            against_rival(name, ours, theirs, thresholds)
        rows.append(row)
    header = ["data set", "classes", "SVC", *VARIANTS]
    print_table(header + (["other", "its time"] if python is not None else []), rows)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = os.environ.get("SVM_PEER_PYTHON", str(FOLDER / "svm" / "bin" / "python"))
    parser.add_argument("--svm-python", default=default, help=f"Python that has {RIVAL}")
    options = parser.parse_args()
    python = rival_python(options.svm_python)
    thresholds = Thresholds()
    warnings.simplefilter("ignore", CoarseEncodingWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    names = list(data_sets())
    QSVC(random_state=0).fit([[0.0], [1.0]], [0, 1])  # compiled code is loaded
    QSVR(random_state=0).fit([[0.0], [1.0]], [0, 1])
    with threadpool_limits(1):
        if options.quick:
            compare_on_cancer(python, 3, (20, 50), thresholds)
            compare_on_many(None, 3, ("breast cancer", "moons", "iris", "wine"), thresholds)
        else:
            compare_on_cancer(python, 8, (20, 50, 100), thresholds)
            compare_on_many(python, 10, names, thresholds)
    thresholds.finish(options.check and not options.quick)


if __name__ == "__main__":
    main()
