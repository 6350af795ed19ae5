"""Q-learning over architectures, with and without early stopping by performance prediction.

    python benchmarks/architectures.py [--quick] [--check]

The agent of MetaQNN (Baker et al., arXiv 1611.02167) chooses architectures; each is trained in
full, or until a predictor finds it unlikely to beat the best so far (arXiv 1705.10823). Two tasks:
small networks on scikit-learn's digits, trained here; and 1000 recorded curves of architectures on
CIFAR-10 (``metaqnn_cifar10.npz``), which are looked up if the file is present. Predicting with the
last value is shown beside the support vector machine, and random architectures beside the agent.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from _harness import HOW_TO_GET_TABLES, MLPF_TABLE, Thresholds, arguments, print_table
from hpo.examples.architectures import FEATURES, LayerSequences, trainer
from hpo.loop import drive
from hpo.predictors import CurvePredictor, make_predictor
from hpo.run.tuner import Tuner
from hpo.schedulers import EarlyStopping
from hpo.searchers.q_learning import DecisionProcess, QLearningSearcher, epsilon_schedule
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.simulation.datasets import read_table
from hpo.space import SearchSpace
from hpo.trainers import Metrics
from hpo.trial import Config, SchedulerSummary

RECORDED = MLPF_TABLE.parent / "curves" / "metaqnn_cifar10.npz"
CHOSEN = ("depth", "nC", "nP", "nD", "nFC", "gap", "lr")
"""Columns that the agent chooses on the recorded curves, one after the other."""


@dataclass(frozen=True)
class Task:
    """Something to search.

    Attributes
    ----------
    name : str
        For the table.
    process : DecisionProcess
        What can be chosen.
    features : SearchSpace
        What a predictor sees of an architecture.
    n_trials, max_resource, min_curves : int
        Architectures, epochs of full training, full trainings before anything is stopped.
    run : callable
        Runs a scheduler with a predictor.
    """

    name: str
    process: DecisionProcess
    features: SearchSpace
    n_trials: int
    max_resource: int
    min_curves: int
    run: Callable[[EarlyStopping, CurvePredictor], SchedulerSummary]

    def predictor(self, name: str) -> CurvePredictor:
        """Return a curve predictor; a regression sees the architecture too."""
        if name == "last-value":
            return make_predictor(name)
        return make_predictor(
            name, first_differences=True, second_differences=True, space=self.features
        )

    def search(self, seed: int, predictor: str | None, *, explore: float) -> SchedulerSummary:
        """Search once; without a predictor everything is trained in full."""
        schedule = epsilon_schedule(self.n_trials, explore)
        scheduler = EarlyStopping(
            QLearningSearcher(self.process, schedule, seed=seed),
            max_resource=self.max_resource,
            n_trials=self.n_trials,
            threshold=0.0 if predictor is None else 0.05,
            min_curves=self.min_curves,
            max_curves=100,
            first=2,
            interval=2,
            seed=seed,
        )
        return self.run(scheduler, self.predictor(predictor or "last-value"))


@dataclass(frozen=True)
class RememberingTrainer:
    """Trains each architecture once, whichever search asks; epochs are counted by the searches."""

    directory: Path

    def train(self, config: object, start: int, stop: int, checkpoint: Path) -> Metrics:  # noqa: ARG002
        """Train, or look up what was trained."""
        text = json.dumps(dict(config), sort_keys=True)  # type: ignore[call-overload]
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return trainer.train(dict(config), start, stop, self.directory / name)  # type: ignore[call-overload]


def digits(directory: Path, n_trials: int, max_resource: int) -> Task:
    """Return the search on the digits, trained for real."""

    def run(scheduler: EarlyStopping, predictor: CurvePredictor) -> SchedulerSummary:
        remembering = RememberingTrainer(directory)
        Tuner(remembering, scheduler, predictor=predictor, executor="inline").run()
        return scheduler.summary()

    return Task("digits", LayerSequences(), FEATURES, n_trials, max_resource, 8, run)


@dataclass(frozen=True)
class RecordedChoices:
    """The rows of a table of recorded curves as sequences of choices, column after column.

    The last choice is the row itself, where several agree in the columns.

    Attributes
    ----------
    rows : tuple of tuple of float
        One a recorded curve: the values that are chosen one after the other.
    configs : tuple of Config
        Of the same rows.
    """

    rows: tuple[tuple[float, ...], ...]
    configs: tuple[Config, ...]

    def start(self) -> tuple[str, ...]:
        """Return the state before the first choice; a state is the choices so far."""
        return ()

    def moves(self, state: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Return the values that follow `state`, or the rows if no column tells them apart."""
        rows = self._rows_of(state)
        return {} if len(rows) == 1 else {name: (*state, name) for name in self._parts(rows)}

    def config(self, choices: Sequence[str]) -> Config:
        """Return the configuration of the row that `choices` lead to, its number as ``"row"``."""
        (row,) = self._rows_of(tuple(choices))
        return {**self.configs[row], "row": row}

    def _rows_of(self, state: tuple[str, ...]) -> tuple[int, ...]:
        rows = tuple(range(len(self.rows)))
        for choice in state:
            rows = self._parts(rows)[choice]
        return rows

    def _parts(self, rows: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Split rows by the first column in which they differ."""
        for column in range(len(self.rows[0])):
            values = sorted({self.rows[row][column] for row in rows})
            if len(values) > 1:
                return {
                    f"{column}={value:.6g}": tuple(r for r in rows if self.rows[r][column] == value)
                    for value in values
                }
        return {f"row={row}": (row,) for row in rows}


def recorded(table: CurveTable, n_trials: int) -> Task:
    """Return the search over recorded curves."""
    rows = tuple(tuple(config[name] for name in CHOSEN) for config in table.configs)
    unit = {"type": "float", "low": 0.0, "high": 1.0}
    features = SearchSpace.from_dict(dict.fromkeys(table.configs[0], unit))

    def run(scheduler: EarlyStopping, predictor: CurvePredictor) -> SchedulerSummary:
        runner = SimulatedRunner(table, lambda job: int(job.config["row"]), predictor=predictor)
        drive(scheduler, runner)
        return scheduler.summary()

    process = RecordedChoices(rows, table.configs)
    return Task("recorded", process, features, n_trials, table.max_resource, 50, run)


METHODS: tuple[tuple[str, str | None, float], ...] = (
    ("random architectures, in full", None, 1.0),
    ("agent, in full", None, 0.5),
    ("agent, early stopping by NuSVR", "nusvr", 0.5),
    ("agent, early stopping by last value", "last-value", 0.5),
)


def compare(task: Task, seeds: range, thresholds: Thresholds, least: float) -> None:
    """Print the table of a task; at least a share of the epochs must be saved."""
    full = task.n_trials * task.max_resource
    print(
        f"{task.name}: {task.n_trials} architectures of {task.max_resource} epochs, "
        f"{len(seeds)} seeds"
    )
    rows, best, epochs = [], {}, {}
    for name, predictor, explore in METHODS:
        found = [task.search(seed, predictor, explore=explore) for seed in seeds]
        losses = np.array([s.best.last_loss if s.best else np.inf for s in found])
        spent = np.array([summary.epochs for summary in found])
        skills = [event.skill for s in found for event in s.events if event.skill is not None]
        best[name], epochs[name] = losses, spent
        rows.append(
            [
                name,
                f"{spent.mean():.0f}",
                f"{100 * (1 - spent.mean() / full):.0f}%",
                f"{losses.mean():.4f}",
                f"{losses.min():.4f}",
                f"{np.median(skills):+.2f}" if skills else "-",
            ]
        )
    print_table(["search", "epochs", "saved", "best error", "lowest", "skill"], rows)
    without, early = METHODS[1][0], METHODS[2][0]
    saved = 1 - epochs[early].mean() / epochs[without].mean()
    thresholds.at_least(f"{task.name}: share of epochs saved by early stopping", saved, least)
    worse = float(np.mean(best[early] - best[without]))
    thresholds.at_most(f"{task.name}: best error, worse by", worse, 0.01)


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(1)
    thresholds = Thresholds()
    with tempfile.TemporaryDirectory() as directory:
        size = (24, 6) if args.quick else (32, 8)
        least = 0.0 if args.quick else 0.15
        compare(digits(Path(directory), *size), range(1 if args.quick else 2), thresholds, least)
    if RECORDED.exists():
        n_trials = 120 if args.quick else 400
        compare(
            recorded(read_table(RECORDED), n_trials),
            range(1 if args.quick else 5),
            thresholds,
            0.25,
        )
    else:
        print(f"The recorded curves are left out: {RECORDED} is missing; {HOW_TO_GET_TABLES}.")
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
