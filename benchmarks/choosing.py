"""How to choose n_bits, C, n_refinements, equality_penalty: tables of docs/guide/choosing.md.

60 training samples of Friedman 1 and of the diabetes set, scaled to [0, 1], epsilon = 0.05, gamma =
0.3. Energy is the distance of the penalised dual's energy from its relaxation bound, relative to
the bound; R2 is on the test samples, less that of scikit-learn's SVR with the same parameters.
"auto" is the default, which refines until training is good enough.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.svm import SVR

from _harness import Thresholds, arguments, print_table, scaled_data
from qsvr import QSVR, CoarseEncodingWarning

SETS = ("friedman1", "diabetes")


def differences(parameters: dict[str, Any], C: float, seeds: range) -> tuple[float, float, float]:
    """Return the mean relative energy above the bound, R2 less SVR's, and QUBOs solved."""
    found = []
    for data in SETS:
        for seed in seeds:
            X, y = scaled_data(data, 360, seed)
            setting = {"C": C, "epsilon": 0.05, "gamma": 0.3}
            svr = SVR(**setting).fit(X[:60], y[:60])
            model = QSVR(**setting, **parameters, random_state=seed).fit(X[:60], y[:60])
            gap = (model.energy_ - model.relaxation_bound_) / abs(model.relaxation_bound_)
            scores = [r2_score(y[60:], each.predict(X[60:])) for each in (model, svr)]
            found.append((gap, scores[0] - scores[1], model.n_iter_))
    mean = np.mean(found, axis=0)
    return float(mean[0]), float(mean[1]), float(mean[2])


def bits_and_refinements(seeds: range, thresholds: Thresholds, *, quick: bool) -> None:
    """Print what bits and refinements give for every C."""
    lines = []
    for C in (0.3, 1.0) if quick else (0.3, 1.0, 3.0, 10.0, 30.0):
        for n_bits in (2, 3, 5, 8):
            cells = [f"{C:g}", f"{n_bits}"]
            for n_refinements in (0, "auto", 5, 10, 20) if n_bits <= 3 else (0, "auto"):
                parameters = {"n_bits": n_bits, "n_refinements": n_refinements}
                gap, difference, rounds = differences(parameters, C, seeds)
                cells.append(f"{100 * gap:.2f}% {difference:+.4f} ({rounds:.0f})")
                if n_bits == 3 and n_refinements in ("auto", 20) and C <= 10.0:
                    name = f"C = {C:g}: |R2 - SVR's|, n_refinements={n_refinements}"
                    thresholds.at_most(name, abs(difference), 0.005)
            lines.append(cells + [""] * (7 - len(cells)))
    header = ["C", "bits", *(f"{r} refinements" for r in (0, "auto", 5, 10, 20))]
    print("energy above the bound, R2 less SVR's (QUBOs solved)")
    print_table(header, lines)


def penalties(seeds: range, thresholds: Thresholds) -> None:
    """Print what the equality penalty does, in units of the kernel's mean diagonal (1 here)."""
    lines = []
    for penalty in (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0):
        once, again = ({"equality_penalty": penalty, "n_refinements": n} for n in (0, 10))
        coarse = differences(once, 1.0, seeds)
        fine = differences({**once, "n_bits": 8}, 1.0, seeds)
        refined = differences(again, 1.0, seeds)
        lines.append([f"{penalty:g}", *(f"{each[1]:+.4f}" for each in (coarse, fine, refined))])
        if penalty == 2.0:
            thresholds.at_most("default penalty: |R2 - SVR's|", abs(fine[1]), 0.005)
    print("R2 less SVR's, C = 1")
    print_table(["equality_penalty", "3 bits", "8 bits", "3 bits, 10 refinements"], lines)


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore", CoarseEncodingWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)  # 5 rounds are fewer than some cases need
    args = arguments(__doc__)
    seeds = range(2 if args.quick else 5)
    thresholds = Thresholds()
    bits_and_refinements(seeds, thresholds, quick=args.quick)
    penalties(seeds, thresholds)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
