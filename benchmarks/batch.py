"""Many small models at once: an ensemble against bagged SVRs, and a stack in PyTorch.

Friedman 1 with noise, 2,000 rows; 100 members of 20 samples. Settings as they are by default
(standardised features, C = 1, epsilon = 0.1), where one QUBO per member is mostly enough, and two
that are refined. "One by one" fits the same members with `QSVR.fit`: the same models, to the bit.
The second table samples a stack of QUBOs of 120 variables with the compiled annealer and with
PyTorch on the processor: median raw energies above the best known. Processor time, one thread.

``--device cuda`` prints another table instead: stacks of many sizes, sampled by the compiled
annealer on one processor core and on all, and by PyTorch on that device. These are wall times, from
the QUBOs to samples in main memory, and gaps to the lowest energy that any of the three found.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import importlib.util
import warnings
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_friedman1
from sklearn.ensemble import BaggingRegressor
from sklearn.preprocessing import StandardScaler, minmax_scale
from sklearn.svm import SVR

from _harness import Thresholds, argument_parser, print_table
from qsvr import QSVR, FixedPointEncoding, QSVREnsemble, SVRDual, SVRQubo, get_sampler
from qsvr.problem.stack import QuboStack

Array = NDArray[np.float64]
SETTINGS: dict[str, dict[str, float]] = {
    "default": {},
    "C = 5": {"C": 5.0},
    "C = 1, epsilon = 0.05, gamma = 0.3": {"C": 1.0, "epsilon": 0.05, "gamma": 0.3},
}
THRESHOLD = 3.0  # times a bagged SVR
SIZES = [
    # QUBOs, samples of each (3 bits), reads
    (1, 20, 64), (10, 20, 64), (100, 20, 64), (1_000, 20, 64), (10_000, 20, 64), (1_000, 20, 16),
    (1, 20, 10_000), (100, 100, 64), (1_000, 100, 64),
]  # fmt: skip


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a call, and what it returned."""
    start = process_time()
    result = function()
    return process_time() - start, result


def shortest(function: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """Return the least processor time of several calls."""
    return min((timed(function) for _ in range(times)), key=lambda each: each[0])


def one_by_one(ensemble: QSVREnsemble, X: Array, y: Array) -> list[QSVR]:
    """Fit the members of an ensemble on their own."""
    pairs = zip(ensemble.estimators_, ensemble.estimators_samples_, strict=True)
    return [QSVR(**member.get_params()).fit(X[rows], y[rows]) for member, rows in pairs]


def ensembles(thresholds: Thresholds, *, quick: bool) -> None:
    """Print the first table."""
    X, y = make_friedman1(2_000, noise=1.0, random_state=0)
    standard, scaled = (StandardScaler().fit_transform(X), y), (minmax_scale(X), minmax_scale(y))
    lines = []
    for name, setting in SETTINGS.items():
        features, targets = scaled if "gamma" in setting else standard
        n = 20 if quick else 100
        bag = BaggingRegressor(SVR(**setting), n, max_samples=20, random_state=0)
        members = QSVREnsemble(QSVR(**setting), n_estimators=n, max_samples=20, random_state=0)
        members.fit(features, targets)
        theirs, _ = shortest(lambda bag=bag, X=features, y=targets: bag.fit(X, y))
        ours, model = shortest(lambda m=members, X=features, y=targets: m.fit(X, y))
        alone, models = shortest(lambda m=model, X=features, y=targets: one_by_one(m, X, y), 2)
        same = all(
            (a.dual_coef_ == b.dual_coef_).all() and a.energy_ == b.energy_
            for a, b in zip(model.estimators_, models, strict=True)
        )
        thresholds.hold(f"{name}: the members are those fitted one by one, to the bit", same)
        if name == "default" and not quick:
            thresholds.at_most("default: times a bagged SVR", ours / theirs, THRESHOLD)
        lines.append(
            [name, f"{sum(m.n_iter_ for m in model.estimators_)}", f"{ours * 1e3:.0f}",
             f"{ours / theirs:.1f}", f"{alone / theirs:.1f}"]
        )  # fmt: skip
    header = ["100 members of 20 samples", "QUBOs", "ms", "times bagged SVR", "one by one, times"]
    print_table(header, lines)


def problems(n: int, n_samples: int = 20) -> QuboStack:
    """Return a stack of n QUBOs of so many samples at 3 bits."""
    qubos = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_samples, 5))
        kernel = np.exp(-0.2 * ((X[:, None] - X) ** 2).sum(axis=-1))
        dual = SVRDual(kernel, rng.normal(size=n_samples), 0.1, np.ones(n_samples), 2.0)
        qubos.append(SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3)))
    return QuboStack.of(qubos)


def stacks(thresholds: Thresholds, *, quick: bool) -> None:
    """Print the second table; of PyTorch only where it is installed."""
    stack = problems(10 if quick else 100)
    seeds = list(range(len(stack)))
    rows, medians = [], {}
    cases: list[tuple[str, dict[str, str]]] = [("structured", {})]
    if importlib.util.find_spec("torch"):
        cases.append(("structured", {"device": "cpu"}))
    best = np.full(len(stack), np.inf)
    drawn = []
    for name, options in cases:
        sampler: Any = get_sampler(name)
        sampler.sample_stack(problems(2), num_reads=4, seeds=[0, 1], **options)
        seconds, found = timed(
            lambda s=sampler, o=options: s.sample_stack(stack, num_reads=64, seeds=seeds, **o)
        )
        drawn.append((f"PyTorch, {options['device']}" if options else "compiled", seconds, found))
        best = np.minimum(best, [each.energies.min() for each in found])
    for label, seconds, found in drawn:
        gaps = [(s.energies - low) / abs(low) for s, low in zip(found, best, strict=True)]
        medians[label] = float(np.median(gaps))
        lowest = max(float(gap.min()) for gap in gaps)
        rows.append(
            [label, f"{seconds * 1e3 / len(stack):.2f}", f"{medians[label]:.4%}", f"{lowest:.4%}"]
        )
    header = ["64 reads of 120 variables", "ms per QUBO", "median gap", "worst gap of a best read"]
    print_table(header, rows)
    for label, median in medians.items():
        thresholds.at_most(f"{label}: median gap less the compiled one's",
                     median - medians["compiled"], 0.001)  # fmt: skip


def on_device(thresholds: Thresholds, device: str, *, quick: bool) -> None:
    """Print the table of a device: wall times of stacks, and their quality."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    n_cores = len(os.sched_getaffinity(0))
    print(f"{name}, PyTorch {torch.__version__}; {n_cores} processor cores")
    sampler: Any = get_sampler("structured")
    ways: dict[str, dict[str, Any]] = {
        "1 core": {"n_jobs": 1}, "all cores": {"n_jobs": n_cores}, "device": {"device": device},
    }  # fmt: skip
    for options in ways.values():  # compiles, and opens the device
        sampler.sample_stack(problems(2), num_reads=64, seeds=[0, 1], **options)
    rows = []
    for n_qubos, n_samples, num_reads in SIZES:
        if quick and n_qubos * n_samples > 2_000:
            continue
        stack = problems(n_qubos, n_samples)
        seeds = range(n_qubos)
        seconds, found = {}, {}
        for way, options in ways.items():
            start = perf_counter()
            found[way] = sampler.sample_stack(stack, num_reads=num_reads, seeds=seeds, **options)
            seconds[way] = perf_counter() - start
        energies = {
            way: np.stack([each.energies for each in samples]) for way, samples in found.items()
        }
        best = np.min([each.min(axis=1) for each in energies.values()], axis=0)[:, None]
        gaps = {
            way: float(np.median((each - best) / np.abs(best))) for way, each in energies.items()
        }
        label = f"{n_qubos} QUBOs, {6 * n_samples} variables, {num_reads} reads"
        thresholds.at_most(f"{label}: median gap on the device less the compiled annealer's",
                           gaps["device"] - gaps["1 core"], 0.001)  # fmt: skip
        rows.append(
            [f"{n_qubos}", f"{6 * n_samples}", f"{num_reads}",
             *(f"{seconds[way]:.3g}" for way in ways),
             *(f"{seconds[way] / seconds['device']:.2g}" for way in ("1 core", "all cores")),
             *(f"{gaps[way]:.4%}" for way in ("1 core", "device"))]
        )  # fmt: skip
    print_table(
        ["QUBOs", "variables", "reads", "1 core, s", "all cores, s", "device, s",
         "1 core / device", "all cores / device", "median gap, compiled", "on the device"],
        rows,
    )  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore")
    parser = argument_parser(__doc__)
    parser.add_argument("--device", help="a PyTorch device, such as cuda, for the table of stacks")
    args = parser.parse_args()
    thresholds = Thresholds()
    if args.device:
        on_device(thresholds, args.device, quick=args.quick)
        thresholds.finish(args.check)
    ensembles(thresholds, quick=args.quick)
    stacks(thresholds, quick=args.quick)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
