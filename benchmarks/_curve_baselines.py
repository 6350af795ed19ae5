"""Schedulers and searchers that serve as baselines only."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _curve_tables import REDUCTION_FACTOR, features
from hpo.brackets import Bracket, Rung, floor_log, hyperband_brackets
from hpo.loop import Scheduler
from hpo.schedulers.halving import BracketScheduler
from hpo.searchers import Searcher
from hpo.simulation import CurveTable, TableSearcher
from hpo.trial import (
    Decision,
    Done,
    Job,
    Report,
    SchedulerSummary,
    TrainJob,
    TrainReport,
    Wait,
    finite_or_worst,
)


def n_configurations(max_resource: int) -> int:
    """Return how many configurations Hyperband tries."""
    return sum(b.n_trials for b in hyperband_brackets(max_resource, REDUCTION_FACTOR))


def hyperband_epochs(max_resource: int) -> int:
    """Return how many epochs Hyperband spends."""
    return sum(b.epochs for b in hyperband_brackets(max_resource, REDUCTION_FACTOR))


def top_after_one_epoch(searcher: Searcher, max_resource: int) -> Scheduler:
    """Train Hyperband's configurations for one unit, and the best few to the end.

    As many as Hyperband's most eager bracket has cuts: 4, 5, 6 at R = 20, 50, 100.
    """
    n_best = floor_log(max_resource, REDUCTION_FACTOR)
    rungs = Rung(n_configurations(max_resource), 1), Rung(n_best, max_resource)
    return BracketScheduler(
        searcher,
        max_resource=max_resource,
        reduction_factor=REDUCTION_FACTOR,
        brackets=[Bracket(rungs)],
    )


class Budgeted:
    """A scheduler that is asked for no more once so many epochs are handed out."""

    def __init__(self, scheduler: Scheduler, epochs: int) -> None:
        self._scheduler = scheduler
        self._left = epochs
        self._outstanding = 0

    def ask(self) -> Decision:
        """Pass on while epochs are left."""
        if self._left <= 0:
            return Wait() if self._outstanding else Done()
        decision = self._scheduler.ask()
        if isinstance(decision, TrainJob):
            self._left -= decision.stop - decision.start
        self._outstanding += isinstance(decision, Job)
        return decision

    def tell(self, report: Report) -> None:
        """Pass on."""
        self._outstanding -= 1
        self._scheduler.tell(report)

    def summary(self) -> SchedulerSummary:
        """Pass on."""
        return self._scheduler.summary()


class NearestRow:
    """The rows of a table that are not tried yet, by place in an order and by nearness.

    A table knows the losses of its rows alone, so a search with a model tries the row nearest to
    the model's suggestion.

    Parameters
    ----------
    table : CurveTable
        Whose rows.
    seed : int
        Of the order, the same as `TableSearcher`'s.
    """

    def __init__(self, table: CurveTable, seed: int) -> None:
        self.points = features(table)  # (n_rows, n_features)
        self._order = TableSearcher(table, seed).order
        self._untried = np.ones(len(table), dtype=bool)
        self._next = 0

    def first(self) -> int | None:
        """Take the first untried row in the order, None where there is none."""
        while self._next < len(self._order) and not self._untried[self._order[self._next]]:
            self._next += 1
        return self._take(self._order[self._next]) if self._next < len(self._order) else None

    def nearest(self, point: NDArray[np.float64]) -> int | None:
        """Take the untried row nearest to a point, None where there is none."""
        if not self._untried.any():
            return None
        distances = np.sum((self.points - point) ** 2, axis=1)
        return self._take(int(np.argmin(np.where(self._untried, distances, np.inf))))

    def _take(self, row: int) -> int:
        self._untried[row] = False
        return row


class PointSearcher(ABC):
    """Proposes untried rows, and knows which one each trial is; a base class.

    Parameters
    ----------
    table : CurveTable
        Whose rows.
    seed : int
        Of the order of the rows.
    """

    def __init__(self, table: CurveTable, seed: int) -> None:
        self._table = table
        self._rows = NearestRow(table, seed)
        self._row_of_trial: dict[int, int] = {}

    @abstractmethod
    def _next_row(self) -> int | None:
        """Take the row of the next trial, None where none is left."""

    def propose(self, trial_id: int) -> dict[str, Any] | None:
        """Return the configuration of trial `trial_id`, None past the end of the table."""
        row = self._next_row()
        if row is None:
            return None
        self._row_of_trial[trial_id] = row
        return dict(self._table.configs[row])

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains."""
        return self._row_of_trial[job.trial_id]


class TPESearcher(PointSearcher):
    """BOHB's searcher with Optuna's TPE: a model of the losses after the most units.

    A third of the configurations comes at random (in the order of `TableSearcher`); for the others
    TPE receives all losses after the most units that enough trials have reached, and suggests a
    point, the nearest untried row to which is tried. Learns as a recorder of the run.

    References
    ----------
    Falkner et al., BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018.
    """

    def __init__(self, table: CurveTable, seed: int, random_fraction: float = 1 / 3) -> None:
        super().__init__(table, seed)
        self._seed = seed
        self._random_fraction = random_fraction
        self._rng = np.random.default_rng([seed, 1])
        self._studies: dict[int, Any] = {}  # resource -> study
        self._n_told: dict[int, int] = defaultdict(int)

    def _next_row(self) -> int | None:
        resource = self._modelled()
        if resource is None or self._rng.random() < self._random_fraction:
            return self._rows.first()
        return self._rows.nearest(self._suggest(resource))

    def decided(self, job: Job) -> None:
        """Ignore the job."""

    def reported(self, report: Report) -> None:
        """Learn a loss."""
        if isinstance(report, TrainReport):
            self._tell(report.stop, self._row_of_trial[report.trial_id], report.losses[-1])

    def _modelled(self) -> int | None:
        """Return the most units after which there are losses enough for a model."""
        enough = self._rows.points.shape[1] + 3
        return max((r for r, n in self._n_told.items() if n >= enough), default=None)

    def _suggest(self, resource: int) -> NDArray[np.float64]:
        trial = self._studies[resource].ask(_distributions(self._rows.points.shape[1]))
        return np.array(list(trial.params.values()))

    def _tell(self, resource: int, row: int, loss: float) -> None:
        import optuna

        if not np.isfinite(finite_or_worst(loss)):
            return
        if resource not in self._studies:
            self._studies[resource] = _study(self._seed * 1009 + resource)
        params = {f"x{i}": float(value) for i, value in enumerate(self._rows.points[row])}
        distributions = _distributions(len(params))
        trial = optuna.create_trial(params=params, distributions=distributions, value=loss)
        self._studies[resource].add_trial(trial)
        self._n_told[resource] += 1


def _study(seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=0)
    return optuna.create_study(sampler=sampler)


def _distributions(count: int) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution

    return {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(count)}
