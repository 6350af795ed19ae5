"""Time and peak memory against the number of rows: one model on all rows, and an ensemble.

Rows like those of the California housing set (eight features, noise, outliers), generated. C = 1,
epsilon = 0.05, gamma = 0.3, features and target scaled to [0, 1]. Each fit runs in a process of its
own with one thread, on compiled code; time is processor time, and memory is that of the process
less what it had before the fit. Exponents are fitted on a logarithmic scale over the rows shown; R2
is on 2,000 new rows. The share is that part of the dual energy's fall which the sampler brought;
the rest is the compiled descent's.

A second table compares decomposition with libsvm for C = 1, 10, 100 and epsilon = 0.1, 0.01.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import warnings
from time import process_time
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from _harness import Thresholds, arguments, print_table
from qsvr import QSVR, QSVREnsemble

ROWS = (100, 300, 1_000, 3_000, 10_000, 30_000)
QUICK_ROWS = (100, 1_000, 3_000)
SETTING = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}
MODELS = ("SVR", "decomposition", "ensemble")
# Of the comparison with libsvm.
COMPARED_ROWS = (1_000, 3_000, 10_000)
QUICK_COMPARED_ROWS = (1_000, 3_000)
SETTINGS = [(C, epsilon) for C in (1.0, 10.0, 100.0) for epsilon in (0.1, 0.01)]

# C, epsilon; seconds and R2 of SVR; seconds, R2 and the sampler's share of decomposition.
Comparison = tuple[float, float, float, float, float, float, float]


def housing_like(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n rows of eight features, some of them skewed and correlated, and a noisy target."""
    rng = np.random.default_rng([seed, n])
    income = rng.gamma(4.0, 1.0, n)
    age = rng.uniform(1, 52, n)
    rooms = 5.0 + 0.5 * income + rng.normal(0, 1, n)
    bedrooms = 0.2 * rooms + rng.normal(0, 0.1, n)
    population = rng.lognormal(7.0, 0.7, n)
    occupancy = rng.lognormal(1.0, 0.25, n)
    where = rng.uniform(-1, 1, (n, 2))
    coast = np.exp(-3.0 * (where[:, 0] + 0.5 * where[:, 1]) ** 2)
    y = 0.4 * income + 1.5 * coast - 0.3 * occupancy + 0.01 * age + 0.3 * np.sin(rooms)
    y = np.clip(y + rng.normal(0, 0.4, n) * (1.0 + (rng.random(n) < 0.05)), None, 5.0)
    X = np.column_stack([income, age, rooms, bedrooms, np.log(population), occupancy, where])
    return minmax_scale(X), minmax_scale(y)


def model_of(name: str) -> Any:
    """Return an unfitted model."""
    if name == "SVR":
        return SVR(**SETTING)
    if name == "ensemble":
        return QSVREnsemble(QSVR(**SETTING), n_estimators=20, random_state=0)
    return QSVR(**SETTING, random_state=0)


def peak_megabytes() -> float:
    """Return the largest memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def measure(job: tuple[str, int]) -> tuple[float, float, float, float]:
    """Return seconds, megabytes, R2 and the sampler's share of one fit."""
    name, n = job
    X, y = housing_like(n + 2_000)
    if name == "decomposition":  # compiled code is loaded, as in any second fit
        model_of(name).set_params(max_variables=120).fit(X[:100], y[:100])
        model_of(name).fit(X[:501], y[:501])
    model_of(name).fit(X[:50], y[:50])
    before = peak_megabytes()
    start = process_time()
    model = model_of(name).fit(X[:n], y[:n])
    seconds = process_time() - start
    memory = peak_megabytes() - before
    share = getattr(model, "sampler_info_", {}).get("sampler_share", np.nan)
    return seconds, memory, float(r2_score(y[n:], model.predict(X[n:]))), share


def compare(n: int) -> list[Comparison]:
    """Return what SVR and decomposition take and reach with the same parameters, warmed up.

    The shortest of three fits counts where a fit takes milliseconds.
    """
    X, y = housing_like(n + 2_000)
    QSVR(gamma=0.3, random_state=0).fit(X[:501], y[:501])
    found = []
    for C, epsilon in SETTINGS:
        setting = {"C": C, "epsilon": epsilon, "gamma": 0.3}
        figures: list[float] = [C, epsilon]
        for model in (SVR(**setting), QSVR(**setting, random_state=0)):
            seconds = []
            for _ in range(3 if n <= 1_000 else 1):
                start = process_time()
                model.fit(X[:n], y[:n])
                seconds.append(process_time() - start)
            figures += [min(seconds), float(r2_score(y[n:], model.predict(X[n:])))]
        found.append((*figures, model.sampler_info_["sampler_share"]))
    return found


def exponent(rows: tuple[int, ...], seconds: list[float]) -> float:
    """Return the slope of log seconds over log rows."""
    return float(np.polyfit(np.log(rows), np.log(seconds), 1)[0])


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore")
    args = arguments(__doc__)
    rows = QUICK_ROWS if args.quick else ROWS
    context = multiprocessing.get_context("spawn")
    found: dict[tuple[str, int], tuple[float, float, float, float]] = {}
    for n in rows:
        for name in MODELS:
            with context.Pool(1) as pool:
                found[name, n] = pool.apply(measure, ((name, n),))
    report(rows, found)
    compared: dict[int, list[Comparison]] = {}
    for n in QUICK_COMPARED_ROWS if args.quick else COMPARED_ROWS:
        with context.Pool(1) as pool:
            compared[n] = pool.apply(compare, (n,))
    report_comparison(compared)
    thresholds = Thresholds()
    check(thresholds, rows, found)
    check_comparison(thresholds, compared)
    thresholds.finish(args.check)


def report(
    rows: tuple[int, ...], found: dict[tuple[str, int], tuple[float, float, float, float]]
) -> None:
    """Print the table and the exponents."""
    lines = []
    for n in rows:
        for name in MODELS:
            seconds, memory, r2, share = found[name, n]
            ratio = seconds / found["SVR", n][0]
            shown = "" if np.isnan(share) else f"{share:.2f}"
            lines.append(
                [
                    f"{n}",
                    name,
                    f"{seconds:.3f}",
                    f"{ratio:.1f}",
                    f"{memory:.0f}",
                    f"{r2:.4f}",
                    shown,
                ]
            )
    header = ["rows", "model", "seconds", "times SVR", "MB", "R2", "sampler's share"]
    print_table(header, lines)
    for name in MODELS:
        seconds = [found[name, n][0] for n in rows]
        print(f"{name}: seconds grow with rows to the power of {exponent(rows, seconds):.2f}")
    print(flush=True)


def report_comparison(compared: dict[int, list[Comparison]]) -> None:
    """Print the table of decomposition against libsvm."""
    lines = [
        [
            f"{n}", f"{C:g}", f"{epsilon:g}", f"{svr:.3f}", f"{seconds:.3f}",
            f"{seconds / svr:.1f}", f"{svr_r2:.4f}", f"{r2 - svr_r2:+.4f}", f"{share:.2f}",
        ]
        for n, comparisons in compared.items()
        for C, epsilon, svr, svr_r2, seconds, r2, share in comparisons
    ]  # fmt: skip
    header = ["rows", "C", "epsilon", "SVR s", "QSVR s", "times SVR", "SVR's R2", "R2 more"]
    print_table([*header, "sampler's share"], lines)


def check_comparison(thresholds: Thresholds, compared: dict[int, list[Comparison]]) -> None:
    """At most five times libsvm's time at equal R2."""
    for n, comparisons in compared.items():
        for C, epsilon, svr, svr_r2, seconds, r2, _ in comparisons:
            what = f"{n} rows, C = {C:g}, epsilon = {epsilon:g}"
            thresholds.at_most(f"{what}: times SVR", seconds / svr, 5.0)
            thresholds.at_most(f"{what}: |R2 - SVR's|", abs(r2 - svr_r2), 0.002)


def check(
    thresholds: Thresholds,
    rows: tuple[int, ...],
    found: dict[tuple[str, int], tuple[float, float, float, float]],
) -> None:
    """Compare with the thresholds; that of 30,000 rows only where they were run."""
    ensemble = [found["ensemble", n][0] for n in rows]
    thresholds.at_most("ensemble: exponent", exponent(rows, ensemble), 1.1)
    for n in rows:
        difference = abs(found["decomposition", n][2] - found["SVR", n][2])
        thresholds.at_most(f"{n} rows: |R2 - SVR's|", difference, 0.005)
    if 30_000 in rows:
        thresholds.at_most("30,000 rows: MB", found["decomposition", 30_000][1], 500.0)


if __name__ == "__main__":
    main()
