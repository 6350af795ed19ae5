"""Statistics of many runs of a method: ratios to Hyperband over tables, with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from _curve_methods import REFERENCE
from _curve_runs import Key, Run, Steps
from _curve_tables import Task

Floats = NDArray[np.float64]
N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class OnTable:
    """One method on one table, mean over the seeds that it was run with.

    Attributes
    ----------
    n_seeds : int
        Number of seeds.
    epochs : float
        Divided by Hyperband's with the same seed.
    regret, reference : float
        The method's and Hyperband's.
    reach, reach_measured : float
        Epochs until the mean regret is at most Hyperband's final mean regret, divided by
        Hyperband's epochs: of the best fully trained trial, and of the trial with the lowest
        measured loss; infinity where it never is.
    incomplete : int
        Runs without a fully trained trial.
    overhead : float
        Processor time of deciding, seconds per epoch trained.
    """

    n_seeds: int
    epochs: float
    regret: float
    reference: float
    reach: float
    reach_measured: float
    incomplete: int
    overhead: float

    @property
    def ratio(self) -> float:
        """Regret divided by Hyperband's; 1 where both are 0."""
        if self.reference > 0:
            return self.regret / self.reference
        return 1.0 if self.regret <= 0 else float("inf")


def on_table(runs: Sequence[Run], reference: Sequence[Run]) -> OnTable:
    """Compare runs with Hyperband's, seed by seed."""
    target = float(np.mean([run.regret for run in reference]))
    epochs = float(np.mean([run.epochs for run in reference]))
    ratios = [run.epochs / other.epochs for run, other in zip(runs, reference, strict=True)]
    return OnTable(
        n_seeds=len(runs),
        epochs=float(np.mean(ratios)),
        regret=float(np.mean([run.regret for run in runs])),
        reference=target,
        reach=_reached([run.trained for run in runs], target) / epochs,
        reach_measured=_reached([run.measured for run in runs], target) / epochs,
        incomplete=sum(not run.complete for run in runs),
        overhead=float(sum(run.seconds for run in runs) / sum(run.epochs for run in runs)),
    )


def mean_curve(runs: Sequence[Steps], epochs: Floats, cap: float = np.inf) -> Floats:
    """Return the mean regret after so many epochs, infinity while a run has no incumbent.

    No regret counts as more than `cap`.
    """
    return np.mean([np.minimum(_at(steps, epochs), cap) for steps in runs], axis=0)


def _at(steps: Steps, epochs: Floats) -> Floats:
    when = np.array([step[0] for step in steps])
    regret = np.array([np.inf, *(step[1] for step in steps)])
    return np.asarray(regret[np.searchsorted(when, epochs, side="right")])


def _reached(runs: Sequence[Steps], target: float) -> float:
    epochs = np.array(sorted({when for steps in runs for when, _ in steps}), dtype=float)
    below = mean_curve(runs, epochs) <= target * (1 + 1e-9) + 1e-12
    return float(epochs[np.argmax(below)]) if below.any() else float("inf")


@dataclass(frozen=True)
class Figure:
    """A number and its standard error over tables."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class Standing:
    """One method over all tables, relative to Hyperband.

    Attributes
    ----------
    n_tables, n_seeds : int
        Tables, and seeds a table (the least of all tables).
    epochs, epochs_median : Figure
        Ratio of epochs, mean and median over tables.
    regret : Figure
        Ratio of the mean regrets over tables.
    regret_mean, regret_median : Figure
        Mean and median over tables of each table's ratio.
    better, equal, worse : int
        Tables on which the mean regret is lower, equal (to a millionth), higher.
    reach, reach_measured : float
        Median over tables (see `OnTable`).
    reached : int
        Tables on which Hyperband's final mean regret is reached by a fully trained trial.
    incomplete : int
        Runs without a fully trained trial.
    overhead : float
        Seconds per epoch, mean over tables.
    """

    n_tables: int
    n_seeds: int
    epochs: Figure
    epochs_median: Figure
    regret: Figure
    regret_mean: Figure
    regret_median: Figure
    better: int
    equal: int
    worse: int
    reach: float
    reach_measured: float
    reached: int
    incomplete: int
    overhead: float


def standing(tables: Sequence[OnTable]) -> Standing:
    """Sum up over tables; standard errors by a bootstrap over tables."""
    epochs = np.array([t.epochs for t in tables])
    ratios = np.array([t.ratio for t in tables])
    both = np.array([(t.regret, t.reference) for t in tables])  # (n_tables, 2)
    reach = np.array([t.reach for t in tables])
    higher = np.sign(np.where(np.abs(ratios - 1) <= 1e-6, 0, ratios - 1))
    return Standing(
        n_tables=len(tables),
        n_seeds=min(t.n_seeds for t in tables),
        epochs=_figure(np.mean, epochs),
        epochs_median=_figure(np.median, epochs),
        regret=_figure(_ratio_of_means, both),
        regret_mean=_figure(np.mean, ratios),
        regret_median=_figure(np.median, ratios),
        better=int(np.sum(higher < 0)),
        equal=int(np.sum(higher == 0)),
        worse=int(np.sum(higher > 0)),
        reach=float(np.median(reach)),
        reach_measured=float(np.median([t.reach_measured for t in tables])),
        reached=int(np.isfinite(reach).sum()),
        incomplete=sum(t.incomplete for t in tables),
        overhead=float(np.mean([t.overhead for t in tables])),
    )


def _ratio_of_means(both: Floats) -> float:
    regret, reference = both.mean(axis=0)
    return float(regret / reference) if reference > 0 else float("nan")


def _figure(statistic: Callable[[Floats], float], values: Floats) -> Figure:
    rng = np.random.default_rng(0)
    picks = rng.integers(len(values), size=(N_BOOTSTRAP, len(values)))
    with np.errstate(invalid="ignore"):  # infinities give no error
        error = np.std([statistic(values[pick]) for pick in picks])
    return Figure(float(statistic(values)), float(error))


def compare(
    names: Sequence[str], tasks: Sequence[Task], runs: Mapping[Key, Run]
) -> dict[str, dict[str, OnTable]]:
    """Return each method on each table, paired with Hyperband by seed."""
    return {
        name: {
            task.name: on_table(
                [runs[name, task.name, seed] for seed in seeds],
                [runs[REFERENCE, task.name, seed] for seed in seeds],
            )
            for task in tasks
            if (seeds := seeds_of(name, task.name, runs))
        }
        for name in names
    }


def seeds_of(name: str, table: str, runs: Mapping[Key, Run]) -> list[int]:
    """Return the seeds that a method was run with."""
    return sorted(seed for method, where, seed in runs if (method, where) == (name, table))
