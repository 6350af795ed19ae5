"""Virtual time of Hyperband and Swift-Hyperband on 1 to 50 workers, with equally long epochs.

    python benchmarks/makespan.py [--quick] [--check] [--table mlpf_curves.csv]

The reference implementation waits for all of its workers after each batch of jobs, and runs one
bracket after the other. With that, predictions made the search slower from 8 workers on. Here no
worker waits while there is work. Swift-Hyperband is shown in two forms of the same decisions:
idle workers train trials ahead of their decision (the default: shortest time), or they do not
(fewest epochs).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from _harness import Thresholds
from _hpo_common import mlpf_table, options, show
from hpo.loop import Scheduler
from hpo.predictors import make_predictor
from hpo.schedulers import Hyperband, SwiftHyperband
from hpo.searchers import Searcher
from hpo.simulation import CurveTable, SimulationResult, simulate

WORKERS = (1, 4, 8, 20, 50)
REFERENCE = {1: (3213, 2913), 4: (1132, 1109), 8: (799, 817), 20: (716, 783), 50: (702, 777)}

Make = Callable[[Searcher], Scheduler]


def runs(make: Make, table: CurveTable, n_workers: int, seeds: range) -> list[SimulationResult]:
    """Simulate a scheduler for every seed."""
    predictor = make_predictor("nusvr", folds=0)
    return [simulate(make, table, seed=t, n_workers=n_workers, predictor=predictor) for t in seeds]


def times(results: list[SimulationResult]) -> np.ndarray:
    return np.array([result.makespan for result in results])


def epochs(results: list[SimulationResult]) -> float:
    return float(np.mean([result.summary.epochs for result in results]))


def chosen(results: list[SimulationResult]) -> list[int]:
    bests = [result.summary.best for result in results]
    return [best.trial_id if best else -1 for best in bests]


def main() -> None:
    args = options(__doc__)
    table = mlpf_table(args.table)
    seeds = range(5 if args.quick else 50)
    thresholds = Thresholds()
    rows = []
    choices = []
    for n_workers in WORKERS:
        plain = runs(lambda s: Hyperband(s, max_resource=100), table, n_workers, seeds)
        swift = runs(lambda s: SwiftHyperband(s, max_resource=100), table, n_workers, seeds)
        lean = runs(
            lambda s: SwiftHyperband(s, max_resource=100, train_ahead=False),
            table,
            n_workers,
            seeds,
        )
        choices += [chosen(swift), chosen(lean)]
        slowest = float(np.max(times(swift) - times(plain)))
        rows.append(
            (
                n_workers,
                *REFERENCE[n_workers],
                f"{times(plain).mean():.0f}",
                f"{times(swift).mean():.0f}",
                f"{times(swift).mean() / times(plain).mean():.2f}",
                f"{epochs(swift):.0f}",
                f"{times(lean).mean():.0f}",
                f"{epochs(lean):.0f}",
            )
        )
        thresholds.hold(
            f"{n_workers} workers: Swift at most as slow as Hyperband on each of {len(seeds)} "
            f"seeds (worst {slowest:+.0f})",
            slowest <= 0,
        )
    show(
        f"Makespan in epochs, mean of {len(seeds)} seeds (Hyperband: 3213 epochs)",
        (
            "workers",
            "ref HB",
            "ref Swift",
            "HB",
            "Swift",
            "Swift/HB",
            "epochs",
            "not ahead",
            "epochs",
        ),
        rows,
    )
    thresholds.hold(
        "the same configurations chosen on any number of workers",
        all(choice == choices[0] for choice in choices),
    )
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
