"""Fit QSVR to real data, compare it with scikit-learn's SVR, and draw what the annealer did.

``make demo`` runs it first, and `hpo_demo.py` second. The figures are written to demo-output/.
"""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.base import RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.metrics import PredictionErrorDisplay, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from _steps import Steps, steps
from qsvr import QSVR, SampleEnergyDisplay, SamplerReport, warm_up

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator, ScalarFormatter

OUTPUT = Path("demo-output")
SETTING: dict[str, Any] = {"C": 1.0, "epsilon": 0.1, "gamma": "scale"}
MODELS: dict[str, Any] = {
    "scikit-learn SVR": SVR(**SETTING),
    "QSVR, 3 bits, refined by default": QSVR(random_state=0, **SETTING),
    "QSVR, 3 bits, one QUBO": QSVR(n_refinements=0, random_state=0, **SETTING),
    "QSVR, 8 bits, one QUBO": QSVR(n_bits=8, n_refinements=0, random_state=0, **SETTING),
    "QSVR, 3 bits, lowest energy only": QSVR(
        n_refinements=0, combination="best", random_state=0, **SETTING
    ),
}

Data = tuple[NDArray[np.float64], NDArray[np.float64]]


def datasets() -> dict[str, Data]:
    """Return real regression data that ship with scikit-learn."""
    X, y = load_diabetes(return_X_y=True)
    wine = load_wine().data
    return {
        "diabetes: disease progression, 442 patients": (X, y),
        "wine: alcohol from 12 measurements, 178 wines": (wine[:, 1:], wine[:, 0]),
    }


def pipeline(regressor: RegressorMixin) -> TransformedTargetRegressor:
    """Scale features and target, as for any support vector regression."""
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), clone(regressor)), transformer=StandardScaler()
    )


def inner(model: TransformedTargetRegressor) -> Any:
    """Return the support vector regression inside a fitted pipeline."""
    return model.regressor_[-1]


def evaluate(regressor: RegressorMixin, data: Data) -> tuple[list[str], NDArray[np.float64]]:
    """Return the cells of one table row and the cross-validated predictions."""
    X, y = data
    predicted, seconds, gaps = np.empty_like(y), 0.0, []
    for train, test in KFold(5, shuffle=True, random_state=0).split(X):
        start = perf_counter()
        model = pipeline(regressor).fit(X[train], y[train])
        seconds += perf_counter() - start
        predicted[test] = model.predict(X[test])
        if isinstance(inner(model), QSVR):
            bound = inner(model).relaxation_bound_
            gaps.append((inner(model).energy_ - bound) / abs(bound))
    gap = f"{np.mean(gaps):.2%}" if gaps else "0 (exact)"
    return [f"{r2_score(y, predicted):.4f}", f"{seconds / 5:.2g} s", gap], predicted


def draw(name: str, data: Data, predicted: NDArray[np.float64]) -> Path:
    """Draw predicted against true targets, and the energies of the samples of one fit."""
    title, _, target = name.partition(": ")
    target = target.split(",", maxsplit=1)[0].partition(" from ")[0]
    r2 = r2_score(data[1], predicted)
    with plt.rc_context({"font.size": 11, "axes.titlesize": 12, "axes.titlelocation": "left"}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
        PredictionErrorDisplay.from_predictions(
            data[1],
            predicted,
            kind="actual_vs_predicted",
            ax=left,
            scatter_kwargs={"alpha": 0.5, "s": 18, "color": "#0072B2"},
            line_kwargs={"label": "perfect prediction"},
        )
        left.set(
            title=f"{title}: QSVR in 5-fold cross-validation, R2 = {r2:.2f}",
            xlabel=f"predicted {target}",
            ylabel=f"measured {target}",
        )
        for axis in (left.xaxis, left.yaxis):  # scikit-learn's are no round numbers
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(ScalarFormatter())
        left.legend(frameon=False)
        model = inner(pipeline(MODELS["QSVR, 3 bits, one QUBO"]).fit(*data))
        report = SamplerReport.from_info(model.sampler_info_, model.relaxation_bound_)
        SampleEnergyDisplay(report).plot(right)
    path = OUTPUT / f"qsvr-{title}.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def main() -> None:
    """Run the demo."""
    with steps() as demo:
        run(demo)


def run(demo: Steps) -> None:
    """Compare the models on each data set."""
    OUTPUT.mkdir(exist_ok=True)
    console = Console()
    demo.announce(
        "Part 1 of 2: support vector regression by simulated annealing, beside scikit-learn's SVR",
        "about 20 s",
    )
    logging.getLogger("qsvr").setLevel("ERROR")  # its line about compiling: said here
    demo.announce("Compiling the annealer", "about 10 s, once: the result is kept on disk")
    warm_up(verbose=0)
    for name, data in datasets().items():
        demo.announce(f"Fitting {len(MODELS)} models, 5 times each: {name}", "about 5 s")
        table = Table(title=f"{name}\n5-fold cross-validation, C=1, epsilon=0.1")
        for column in ("model", "R2", "time to fit", "energy above bound"):
            table.add_column(column, justify="left" if column == "model" else "right")
        predictions = {}
        for label, regressor in MODELS.items():
            cells, predictions[label] = evaluate(regressor, data)
            table.add_row(label, *cells)
        console.print(table)
        console.print(f"Figure: {draw(name, data, predictions['QSVR, 3 bits, one QUBO'])}\n")
    console.print(
        "R2 is the coefficient of determination on samples that were not fitted (1 is best). "
        '"Energy above bound" says how far the annealer\'s training objective is above a lower '
        "bound of the optimum. Bits say how finely each coefficient of the model is written in the "
        "QUBO, the problem that the annealer solves.\n"
        "What to read: QSVR reaches the accuracy of scikit-learn's SVR, and takes longer. "
        "It exists to run the same model on a quantum annealer.\n"
    )


if __name__ == "__main__":
    main()
