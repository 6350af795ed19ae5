"""Schedulers of Ray Tune and Optuna compared with those of `hpo`, on the same recorded curves.

Every method gets the same configurations in the same order, as many as one Hyperband takes, and is
run by its own loop on one worker: those of `hpo` by the simulation, Optuna's by ``study.optimize``,
Ray's by ``tune.Tuner`` (needs the extra ray; without it, its rows are left out with a note). The
tables contain the epochs trained and the final loss of the configuration that the method chooses.
Regret is its difference to the best final loss of all, in standard deviations of the better half of
them. The last table has all methods and all tables of curves.

    python benchmarks/peers.py --table mlpf_curves.csv --curves FILE.npz ...
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from _harness import HOW_TO_GET_TABLES, MLPF_TABLE, Thresholds, argument_parser, print_table
from hpo.brackets import hyperband_brackets
from hpo.loop import drive
from hpo.predictors import make_predictor
from hpo.schedulers import make_scheduler
from hpo.searchers import ListSearcher
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.simulation.datasets import load_mlpf, read_table

CURVES = MLPF_TABLE.parent / "curves"
ETA = 2
RAY_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Files that nobody reads here take half of Ray's time.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
}


@dataclass(frozen=True)
class Outcome:
    """What a method spent and chose.

    Attributes
    ----------
    epochs : int
        Trained.
    row : int
        Chosen, by the method's own last losses.
    """

    epochs: int
    row: int


@dataclass(frozen=True)
class Figures:
    """What a method did on one table, over all orders of its rows.

    Attributes
    ----------
    epochs, share, loss : float
        Means: trained; trained, of all there are; final loss of the row that was chosen.
    regrets : tuple of float
        Of each order.
    """

    epochs: float
    share: float
    loss: float
    regrets: tuple[float, ...]


Method = Callable[[CurveTable], Outcome]


def n_trials(units: int) -> int:
    """Return how many trials one Hyperband starts."""
    return sum(bracket.n_trials for bracket in hyperband_brackets(units, ETA))


# -- ours ---------------------------------------------------------------------------------------


def ours(name: str, predictor: str, table: CurveTable) -> Outcome:
    """Run one of our schedulers by the simulation, on one worker."""
    searcher = ListSearcher([dict(config) for config in table.configs])
    scheduler = make_scheduler(
        name, searcher, max_resource=table.max_resource, reduction_factor=ETA
    )
    runner = SimulatedRunner(table, lambda job: job.trial_id, predictor=make_predictor(predictor))
    drive(scheduler, runner)
    summary = scheduler.summary()
    return Outcome(summary.epochs, -1 if summary.best is None else summary.best.trial_id)


# -- Optuna -------------------------------------------------------------------------------------


def optuna_pruner(make: Callable[[int], Any], table: CurveTable) -> Outcome:
    """Run a study over the table's rows, in their order."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    epochs = 0

    def objective(trial: Any) -> float:
        nonlocal epochs
        for unit, loss in enumerate(table.losses[trial.number], 1):
            epochs += 1
            trial.report(float(loss), unit)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(loss)

    sampler = optuna.samplers.RandomSampler(seed=0)
    pruner = make(table.max_resource)
    # Optuna's HyperbandPruner takes brackets by the study's name, which is random otherwise.
    study = optuna.create_study(sampler=sampler, pruner=pruner, study_name="peers")
    study.optimize(objective, n_trials=len(table))
    last = {t.number: t.intermediate_values[t.last_step or 1] for t in study.trials}
    return Outcome(epochs, min(last, key=last.__getitem__))


def optuna_methods() -> dict[str, Method]:
    """Return Optuna's pruners, and ours within Optuna."""
    if importlib.util.find_spec("optuna") is None:
        print("Optuna is not installed: its pruners are left out")
        return {}
    from optuna.pruners import HyperbandPruner, MedianPruner, SuccessiveHalvingPruner

    from hpo.integrations.optuna import SwiftPruner

    pruners: dict[str, Callable[[int], Any]] = {
        "Optuna SuccessiveHalvingPruner": lambda _: SuccessiveHalvingPruner(1, ETA),
        "Optuna HyperbandPruner": lambda units: HyperbandPruner(1, units, ETA),
        "Optuna MedianPruner": lambda _: MedianPruner(n_startup_trials=15),
        "Optuna with our SwiftPruner": SwiftPruner,
        "the same, last value": lambda units: SwiftPruner(units, predictor="last-value"),
        "the same, from 15 trials on": lambda units: SwiftPruner(units, n_startup_trials=15),
    }
    return {name: partial(optuna_pruner, make) for name, make in pruners.items()}


# -- Ray Tune -----------------------------------------------------------------------------------


def ray_scheduler(make: Callable[[int], Any], table: CurveTable) -> Outcome:
    """Run a Tuner over the table's rows, in their order."""
    from ray import tune

    class Lookup(tune.Trainable):  # type: ignore[misc,unused-ignore]
        def setup(self, config: dict[str, Any]) -> None:
            self.row, self.unit = config["row"], 0

        def step(self) -> dict[str, float]:
            self.unit += 1
            return {"loss": float(table.losses[self.row, self.unit - 1])}

        def save_checkpoint(self, directory: str) -> None:
            Path(directory, "unit.json").write_text(json.dumps(self.unit))

        def load_checkpoint(self, directory: str) -> None:
            self.unit = json.loads(Path(directory, "unit.json").read_text())

        def reset_config(self, config: dict[str, Any]) -> bool:
            self.row, self.unit = config["row"], 0
            return True

    with tempfile.TemporaryDirectory() as place:
        tuner = tune.Tuner(
            Lookup,
            param_space={"row": tune.grid_search(list(range(len(table))))},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                scheduler=make(table.max_resource),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=place, verbose=0, stop={"training_iteration": table.max_resource}
            ),
        )
        results = list(tuner.fit())
    last = {r.config["row"]: float(r.metrics["loss"]) for r in results}
    epochs = sum(int(r.metrics["training_iteration"]) for r in results)
    return Outcome(epochs, min(last, key=last.__getitem__))


def ray_methods() -> dict[str, Method]:
    """Return Ray Tune's schedulers, and ours within Ray Tune."""
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: its schedulers are left out")
        return {}
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler

    from hpo.integrations.ray import SwiftHyperBand

    # One worker, as for all others: with two, ASHA trains 554 to 975 epochs in the same order.
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    schedulers: dict[str, Callable[[int], Any]] = {
        "Ray ASHAScheduler": lambda units: ASHAScheduler(
            max_t=units, grace_period=1, reduction_factor=ETA
        ),
        "Ray HyperBandScheduler": lambda units: HyperBandScheduler(
            max_t=units, reduction_factor=ETA
        ),
        "Ray with our SwiftHyperBand": lambda units: SwiftHyperBand(
            max_t=units, reduction_factor=ETA
        ),
    }
    return {name: partial(ray_scheduler, make) for name, make in schedulers.items()}


# -- the comparison -----------------------------------------------------------------------------


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--table", type=Path, default=MLPF_TABLE, help="path of mlpf_curves.csv")
    parser.add_argument("--curves", type=Path, nargs="*", help="further tables (.npz or .csv)")
    parser.add_argument("--seeds", type=int, help="orders of the rows [3; quick: 1]")
    parser.add_argument(
        "--no-ray", action="store_true", help="leave Ray Tune out: it takes longest"
    )
    return parser.parse_args()


def tables(args: argparse.Namespace) -> dict[str, CurveTable]:
    """Load the tables that are there; where none is, end and say so."""
    found = {"MLPF": load_mlpf(args.table)} if args.table.exists() else {}
    further = args.curves
    if further is None:
        names = ("lcb_126026", "lstm_ptb")
        further = [CURVES / f"{name}.npz" for name in names if (CURVES / f"{name}.npz").exists()]
    found.update({path.stem: read_table(path) for path in further})
    if not found:
        print(
            f"skipped: no table of curves; {HOW_TO_GET_TABLES}, or name one by --table or --curves"
        )
        sys.exit(0)
    return dict(list(found.items())[:1]) if args.quick else found


def part_of(table: CurveTable, seed: int, *, quick: bool) -> CurveTable:
    """Return the rows that every method gets, in their order, and units enough for them."""
    units = table.max_resource if not quick else min(27, table.max_resource)
    order = np.random.RandomState(seed).permutation(len(table))
    while n_trials(units) > len(order):
        units //= 2
    rows = table.take(order[: n_trials(units)])
    return CurveTable(rows.configs, rows.losses[:, :units])


def regret(table: CurveTable, row: int) -> float:
    """Return how far the row's final loss lies above the best, in spreads of the better half."""
    final = np.sort(table.losses[:, -1])
    spread = max(float(np.std(final[: len(final) // 2])), 1e-12)
    return float(table.losses[row, -1] - final[0]) / spread


def measured(method: Method, parts: Sequence[CurveTable]) -> Figures:
    """Run a method on every part."""
    pairs = [(part, method(part)) for part in parts]
    return Figures(
        epochs=float(np.mean([outcome.epochs for _, outcome in pairs])),
        share=float(np.mean([outcome.epochs / part.losses.size for part, outcome in pairs])),
        loss=float(np.mean([part.losses[outcome.row, -1] for part, outcome in pairs])),
        regrets=tuple(regret(part, outcome.row) for part, outcome in pairs),
    )


def compared(
    parts: Sequence[CurveTable], methods: dict[str, Method], thresholds: Thresholds, name: str
) -> dict[str, Figures]:
    """Run every method on every part, print a table and check the thresholds."""
    found = {title: measured(method, parts) for title, method in methods.items()}
    rows = [
        [title, f"{f.epochs:.0f}", f"{f.share:.1%}", f"{f.loss:.5g}", f"{np.mean(f.regrets):.3f}"]
        for title, f in found.items()
    ]
    print(f"{name}: {len(parts[0])} trials of {parts[0].max_resource} epochs, {len(parts)} orders")
    print_table(["method", "epochs", "of all", "final loss", "regret"], rows)
    swift, plain = found["Swift-Hyperband, NuSVR"], found["Hyperband"]
    beyond = float(np.mean(swift.regrets) - np.mean(plain.regrets))
    thresholds.at_most(f"{name}: share of Hyperband's epochs", swift.share / plain.share, 1.0)
    thresholds.at_most(f"{name}: regret beyond Hyperband's", beyond, 0.1)
    if "Ray with our SwiftHyperBand" in found:
        same = found["Ray with our SwiftHyperBand"].share / swift.share
        thresholds.at_most(f"{name}: epochs in Ray over our own", same, 1.02)
    return found


def print_all(found: dict[str, dict[str, Figures]]) -> None:
    """Print epochs and final loss of every method on every table, and means over the tables."""
    rows = []
    for title in next(iter(found.values())):
        figures = [methods[title] for methods in found.values()]
        regrets = np.concatenate([f.regrets for f in figures])
        error = np.std(regrets, ddof=1) / np.sqrt(len(regrets)) if len(regrets) > 1 else np.nan
        means = [
            f"{np.mean([f.share for f in figures]):.1%}",
            f"{regrets.mean():.3f} ± {error:.3f}",
        ]
        rows.append([title, *(f"{f.epochs:.0f} / {f.loss:.4g}" for f in figures), *means])
    print("Epochs / final loss on each table; means of the share of all epochs and of the regret")
    print_table(["method", *found, "of all", "regret"], rows)


def main() -> None:
    """Run the comparison."""
    args = parsed()
    methods: dict[str, Method] = {
        "Hyperband": partial(ours, "hyperband", "last-value"),
        "Swift-Hyperband, NuSVR": partial(ours, "swift-hyperband", "nusvr"),
        "Swift-Hyperband, last value": partial(ours, "swift-hyperband", "last-value"),
        "Swift-ASHA": partial(ours, "swift-asha", "mixed"),
        "ASHA": partial(ours, "asha", "last-value"),
        **optuna_methods(),
    }
    if not args.no_ray:
        methods.update(ray_methods())
    thresholds, found = Thresholds(), {}
    for name, table in tables(args).items():
        seeds = range(args.seeds or (1 if args.quick else 3))
        parts = [part_of(table, seed, quick=args.quick) for seed in seeds]
        found[name] = compared(parts, methods, thresholds, name)
    print_all(found)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
