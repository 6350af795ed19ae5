"""Whether standard deviations cover what they say: QSVR's beside a bagged SVR's.

Friedman 1 with noise and the diabetes set, scaled to [0, 1]; C = 1, epsilon = 0.05, gamma = 0.3.
Coverage is the share of test targets within the central 50%, 80%, 90% and 95% interval of a normal
distribution; the score is the mean negative log likelihood (lower is better); the rank correlation
of std and absolute error says whether the shape of the spread means anything (0 is nothing). The
bag has 20 SVRs on bootstrap samples: its plain spread, the same scaled by its out-of-bag residuals,
and as the baseline a constant, QSVR's tau.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr
from sklearn.ensemble import BaggingRegressor
from sklearn.svm import SVR

from _harness import Thresholds, arguments, print_table, scaled_data
from qsvr import QSVR, CoarseEncodingWarning

Array = NDArray[np.float64]
Answers = dict[str, tuple[Array, Array]]
SETTING = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}
LEVELS = (0.5, 0.8, 0.9, 0.95)
VARIANTS = {
    "QSVR, 3 bits": {"n_refinements": 0},
    "QSVR, 3 bits, 25% held out": {"n_refinements": 0, "combination_fraction": 0.25},
    "QSVR, refined": {"n_refinements": 10},
    "QSVR, decomposed": {"max_variables": 120},
}


def bagged(X: Array, y: Array, X_test: Array, seed: int) -> Answers:
    """Return the bag's mean with its plain and its out-of-bag scaled spread."""
    bag = BaggingRegressor(SVR(**SETTING), 20, oob_score=True, random_state=seed).fit(X, y)
    plain = np.std([member.predict(X_test) for member in bag.estimators_], axis=0)
    inside = np.std([member.predict(X) for member in bag.estimators_], axis=0)
    tau = float(np.sqrt(np.mean((y - bag.oob_prediction_) ** 2)))
    scaled = tau * np.sqrt(0.5 + 0.5 * plain**2 / np.mean(inside**2))
    mean = bag.predict(X_test)
    return {"bagged SVR, plain": (mean, plain), "bagged SVR, scaled": (mean, scaled)}


def answers(X: Array, y: Array, X_test: Array, seed: int) -> Answers:
    """Return the prediction and standard deviation of every method."""
    result: Answers = {}
    for name, parameters in VARIANTS.items():
        model = QSVR(**SETTING, **parameters, random_state=seed).fit(X, y)
        result[name] = model.predict(X_test, return_std=True)
    mean, std = result["QSVR, refined"]
    result["QSVR, refined, constant"] = (mean, np.full_like(std, np.sqrt(np.mean(std**2))))
    return result | bagged(X, y, X_test, seed)


def figures(y: Array, mean: Array, std: Array) -> list[float]:
    """Return coverages, score and rank correlation."""
    error = np.abs(y - mean)
    coverage = [float(np.mean(error <= norm.ppf(0.5 + 0.5 * level) * std)) for level in LEVELS]
    score = float(-norm.logpdf(y, mean, np.maximum(std, 1e-9)).mean())
    rank = 0.0 if np.ptp(std) == 0.0 else float(spearmanr(std, error).statistic)
    return [*coverage, score, rank]


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore", CoarseEncodingWarning)
    warnings.filterwarnings("ignore", "Some inputs do not have OOB scores")
    args = arguments(__doc__)
    n_splits = 20  # under a minute, so the quick form is the full one
    thresholds = Thresholds()
    for data, n in (("friedman1", 40), ("friedman1", 120), ("diabetes", 100)):
        collected: dict[str, list[list[float]]] = {}
        for seed in range(n_splits):
            X, y = scaled_data(data, n + 300, seed)
            for name, (mean, std) in answers(X[:n], y[:n], X[n:], seed).items():
                collected.setdefault(name, []).append(figures(y[n:], mean, std))
        print(f"{data}, {n} training samples, {n_splits} splits")
        means = {name: np.mean(values, axis=0) for name, values in collected.items()}
        rows = [[name, *(f"{value:.3f}" for value in values)] for name, values in means.items()]
        print_table(["method", *(f"{level:.0%}" for level in LEVELS), "score", "rank"], rows)
        for name in VARIANTS:
            missed = abs(means[name][2] - 0.9)
            thresholds.at_most(f"{data}, {n}: {name}, |coverage - 90%|", float(missed), 0.06)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
