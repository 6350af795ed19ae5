"""Searches over recorded learning curves, in virtual time.

A `CurveTable` replaces the model to tune, `SimulatedRunner` the machines: it looks losses up and
advances a clock, so that a Hyperband run of thousands of epochs takes milliseconds.

>>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}), np.array([[3.0, 2.0], [3.0, 1.0]]))
>>> from hpo.schedulers import Hyperband
>>> result = simulate(lambda searcher: Hyperband(searcher, max_resource=2), table)
>>> result.summary.best.config, result.summary.epochs
({'lr': 0.2}, 3)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hpo._typing import FloatArray, IntArray
from hpo.loop import Recorder, Scheduler, drive, expect_workers
from hpo.predictors import CurvePredictor, Forecaster, run_predict_job
from hpo.searchers import CurveSearcher, ListCandidates, Searcher
from hpo.searchers.distinct import config_key
from hpo.trial import (
    Job,
    ModelJob,
    PredictFailure,
    Report,
    SchedulerSummary,
    TrainJob,
    TrainReport,
)


@dataclass(frozen=True)
class CurveTable:
    """Recorded learning curves.

    Attributes
    ----------
    configs : tuple of dict
        Hyperparameters of each row.
    losses : ndarray of shape (n_rows, n_units)
        Loss after each unit; lower is better.
    cost : ndarray of shape (n_rows,) or None, default=None
        Relative time of one unit; None if all are equal.

    Raises
    ------
    ValueError
        If losses and configurations differ in number.

    See Also
    --------
    hpo.simulation.datasets.read_table : A table from a file.
    hpo.simulation.synthetic.synthetic_table : An artificial table.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> len(table), table.max_resource
    (3, 2)
    """

    configs: tuple[dict[str, Any], ...]
    losses: FloatArray
    cost: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.losses.ndim != 2 or len(self.losses) != len(self.configs):
            raise ValueError(
                f"losses must have one row per configuration ({len(self.configs)}), got the shape "
                f"{self.losses.shape}"
            )

    def __len__(self) -> int:
        return len(self.configs)

    @property
    def max_resource(self) -> int:
        """Number of units of every curve."""
        return int(self.losses.shape[1])

    def take(self, rows: Sequence[int] | IntArray) -> CurveTable:
        """Return a table of some of the rows.

        Parameters
        ----------
        rows : sequence or ndarray of int, shape (n_kept,)
        """
        configs = tuple(self.configs[int(row)] for row in rows)
        picked = np.asarray(rows, dtype=np.intp)
        return CurveTable(
            configs, self.losses[picked], None if self.cost is None else self.cost[picked]
        )


class TableSearcher:
    """Proposes the rows of a table in random order, each once.

    Parameters
    ----------
    table : CurveTable
    seed : int, default=0
        Seed of the order: ``numpy.random.RandomState(seed).permutation(n_rows)``, as in the
        published experiments.
    order : sequence of int, default=None
        The order itself, in place of the seed.

    See Also
    --------
    hpo.simulation.TableCurveSearcher : Proposes rows from forecasts.
    hpo.simulation.CyclicTableSearcher : Starts again at the end of the table.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable, TableSearcher
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> searcher = TableSearcher(table, order=(2, 0, 1))
    >>> searcher.propose(0), searcher.propose(3)
    ({'lr': 0.3}, None)
    """

    def __init__(
        self, table: CurveTable, seed: int = 0, order: Sequence[int] | None = None
    ) -> None:
        if order is None:
            legacy = np.random.RandomState(seed)
            order = [int(row) for row in legacy.permutation(len(table))]
        self.table = table
        self.order: tuple[int, ...] = tuple(order)

    def propose(self, trial_id: int) -> dict[str, Any] | None:
        """Return the configuration of trial `trial_id`, None past the end of the table."""
        if trial_id >= len(self.order):
            return None
        return dict(self.table.configs[self.order[trial_id]])

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains."""
        return self.order[job.trial_id]


class CyclicTableSearcher(TableSearcher):
    """Proposes the rows of a table over and over, for searches larger than the table.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable, CyclicTableSearcher
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> CyclicTableSearcher(table, order=(2, 0, 1)).propose(3)
    {'lr': 0.3}
    """

    def propose(self, trial_id: int) -> dict[str, Any]:
        """Return the configuration of trial `trial_id`."""
        return dict(self.table.configs[self.order[trial_id % len(self.order)]])

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains."""
        return self.order[job.trial_id % len(self.order)]


class TableCurveSearcher(CurveSearcher):
    """Proposes rows of a table from forecasts of final losses, each row once.

    Parameters
    ----------
    table : CurveTable
    seed : int, default=0
        Seed of the order in which rows are tried without a forecast, as for `TableSearcher`.
    **settings
        Settings of `CurveSearcher`.

    See Also
    --------
    hpo.simulation.TableSearcher : Proposes rows in random order.
    hpo.CurveSearcher : The same over a search space.

    Examples
    --------
    >>> from hpo import MixedPredictor, SwiftASHA
    >>> from hpo.simulation import TableCurveSearcher, simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(40, 9, seed=0)
    >>> result = simulate(
    ...     lambda searcher: SwiftASHA(searcher, max_resource=9),
    ...     table,
    ...     searcher=TableCurveSearcher(table, seed=0),
    ...     predictor=MixedPredictor(),
    ... )
    >>> result.summary.epochs == result.summary.budget
    True
    """

    def __init__(self, table: CurveTable, seed: int = 0, **settings: Any) -> None:
        order = TableSearcher(table, seed).order
        super().__init__(ListCandidates(table.configs, order), seed, **settings)
        self.table = table
        self._rows: dict[int, int] = {}  # trial -> row
        self._remaining: dict[str, list[int]] = {}  # by configuration: rows that no trial has
        for row in order:
            self._remaining.setdefault(config_key(table.configs[row]), []).append(row)

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains: the first remaining one with its configuration."""
        if job.trial_id not in self._rows:
            rows = self._remaining[config_key(job.config)]
            self._rows[job.trial_id] = rows.pop(0) if len(rows) > 1 else rows[0]
        return self._rows[job.trial_id]


class SimulatedRunner:
    """Looks up losses in a table and advances virtual time (see `hpo.loop.Runner`).

    Parameters
    ----------
    table : CurveTable
    row_of : callable
        ``row_of(job)`` returns the row of a training job.
    n_workers : int, default=1
        Number of simultaneous training jobs; at least 1.
    epoch_times : float or array-like of shape (n_rows,), default=None
        Virtual time of a unit of each row. Default: the table's cost, or 1.
    predictor : CurvePredictor or None, default=None
        Answers prediction and forecast jobs; without one they fail.
    searcher : Searcher or None, default=None
        Proposes new configurations with a forecast.
    predict_time : float, default=0.0
        Virtual time of a prediction.

    Attributes
    ----------
    now : float
        Present virtual time.
    busy : float
        Total worker time spent on training so far.

    Raises
    ------
    ValueError
        If `n_workers` is below 1.

    See Also
    --------
    hpo.simulation.simulate : A whole search.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable, SimulatedRunner, TableSearcher
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> from hpo import Hyperband
    >>> from hpo.loop import drive
    >>> searcher = TableSearcher(table)
    >>> runner = SimulatedRunner(table, searcher.row_of, n_workers=2)
    >>> scheduler = Hyperband(searcher, max_resource=2)
    >>> drive(scheduler, runner)
    >>> runner.now, scheduler.summary().epochs
    (3.0, 5)
    """

    def __init__(
        self,
        table: CurveTable,
        row_of: Callable[[TrainJob], int],
        *,
        n_workers: int = 1,
        epoch_times: ArrayLike | None = None,
        predictor: CurvePredictor | Forecaster | None = None,
        searcher: Searcher | None = None,
        predict_time: float = 0.0,
    ) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be at least 1, got {n_workers}")
        times = table.cost if epoch_times is None else epoch_times
        self._times = np.broadcast_to(1.0 if times is None else np.asarray(times), (len(table),))
        self._table = table
        self._row_of = row_of
        self._free = n_workers
        self._predictor = predictor
        self._searcher = searcher
        self._predict_time = predict_time
        self._pending: list[tuple[float, int, Report]] = []
        self._count = 0
        self.now = 0.0
        self.busy = 0.0

    @property
    def free(self) -> int:
        """How many more training jobs may be submitted now."""
        return self._free

    def submit(self, job: Job) -> None:
        """Start a job."""
        if isinstance(job, ModelJob):
            report: Report
            if self._predictor is None:
                report = PredictFailure(job.job_id, "the simulation has no predictor")
            else:
                report = run_predict_job(job, self._predictor, self._searcher)
            self._schedule(self._predict_time, report)
            return
        row = self._row_of(job)
        losses = tuple(self._table.losses[row, job.start : job.stop].tolist())
        duration = float(self._times[row]) * (job.stop - job.start)
        self._free -= 1
        self.busy += duration
        self._schedule(duration, TrainReport(job.trial_id, job.start, job.stop, losses))

    def wait(self) -> list[Report]:
        """Advance the clock to the next report, and return all reports due then.

        Raises
        ------
        RuntimeError
            If nothing runs.
        """
        if not self._pending:
            raise RuntimeError("nothing runs, so no report will come")
        self.now = self._pending[0][0]
        reports: list[Report] = []
        while self._pending and self._pending[0][0] == self.now:
            reports.append(heapq.heappop(self._pending)[2])
        self._free += sum(isinstance(report, TrainReport) for report in reports)
        return reports

    def _schedule(self, duration: float, report: Report) -> None:
        heapq.heappush(self._pending, (self.now + duration, self._count, report))
        self._count += 1


@dataclass(frozen=True)
class SimulationResult:
    """Result of a simulated search.

    Attributes
    ----------
    summary : SchedulerSummary
        Trials, best trial, epochs and events.
    makespan : float
        Virtual time from beginning to end.
    utilisation : float
        Fraction of the workers' time that was spent training.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable, simulate
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> from hpo import RandomSearch
    >>> result = simulate(
    ...     lambda searcher: RandomSearch(searcher, max_resource=2, n_trials=3), table, n_workers=2
    ... )
    >>> result.makespan, result.utilisation
    (4.0, 0.75)
    """

    summary: SchedulerSummary
    makespan: float
    utilisation: float


def simulate(  # noqa: PLR0913 - settings of a simulation, all by keyword
    make: Callable[[Searcher], Scheduler],
    table: CurveTable,
    *,
    seed: int = 0,
    searcher: TableSearcher | TableCurveSearcher | None = None,
    n_workers: int = 1,
    epoch_times: ArrayLike | None = None,
    predictor: CurvePredictor | Forecaster | None = None,
    predict_time: float = 0.0,
    recorder: Recorder | None = None,
) -> SimulationResult:
    """Run a whole search over a table.

    Parameters
    ----------
    make : callable
        Builds the scheduler from a searcher.
    table : CurveTable
        Configurations and losses.
    seed : int, default=0
        Seed of the order in which rows are proposed (see `TableSearcher`).
    searcher : TableSearcher or TableCurveSearcher, default=None
        Proposes rows. Default: a `TableSearcher` with the seed.
    n_workers, epoch_times, predictor, predict_time : default=1, None, None, 0.0
        As for `SimulatedRunner`; ``epoch_times`` is a number or of shape (n_rows,).
    recorder : Recorder, default=None
        Receives every job and report.

    See Also
    --------
    hpo.simulation.datasets.read_table : A table from a file.
    hpo.Tuner : A search that trains.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.simulation import CurveTable, simulate
    >>> losses = np.array([[3.0, 2.0], [3.0, 1.0], [2.0, 1.5]])
    >>> table = CurveTable(({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}), losses)
    >>> from hpo import Hyperband
    >>> result = simulate(lambda searcher: Hyperband(searcher, max_resource=2), table, n_workers=2)
    >>> result.summary.best.config, result.summary.epochs, result.makespan
    ({'lr': 0.3}, 5, 3.0)
    """
    searcher = TableSearcher(table, seed) if searcher is None else searcher
    scheduler = make(searcher)
    expect_workers(scheduler, n_workers)
    runner = SimulatedRunner(
        table,
        searcher.row_of,
        n_workers=n_workers,
        epoch_times=epoch_times,
        predictor=predictor,
        searcher=searcher,
        predict_time=predict_time,
    )
    drive(scheduler, runner, recorder)
    utilisation = runner.busy / (runner.now * n_workers) if runner.now else 0.0
    return SimulationResult(scheduler.summary(), runner.now, utilisation)
