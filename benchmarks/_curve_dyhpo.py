"""DyHPO as Syne Tune implements it, behind the interface of `hpo.loop.Scheduler`.

Syne Tune carries DyHPO up to version 0.13 (``pip install "syne-tune[gpsearchers]==0.13.0"``). Its
surrogate is a Gaussian process instead of the paper's neural kernel.

References
----------
Wistuba et al., Dynamic and Efficient Gray-Box Hyperparameter Optimization for Deep Learning,
NeurIPS 2022.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from _curve_tables import features
from hpo.schedulers._trials import TrialStore
from hpo.simulation import CurveTable, TableSearcher
from hpo.trial import (
    Config,
    Decision,
    Report,
    SchedulerSummary,
    TrainJob,
    TrainReport,
    Wait,
)

N_FIRST = 8  # configurations tried in the given order before there is a model
# A run takes minutes even so: fewer fits of the Gaussian process, each to less data.
_QUICKER = {
    "opt_skip_period": 10,
    "opt_nstarts": 1,
    "opt_warmstart": True,
    "max_size_data_for_model": 200,
}


class DyHPO:
    """One worker's DyHPO over the rows of a table; it never ends by itself.

    Parameters
    ----------
    table : CurveTable
        Whose rows; equal ones are tried once.
    seed : int
        Of the order of the first rows, and of all that Syne Tune draws.
    step : int
        Units between two decisions on a trial.
    """

    def __init__(self, table: CurveTable, seed: int, step: int) -> None:
        self._table = table
        self._trials = TrialStore()
        self._row_of_point: dict[tuple[float, ...], int] = {}
        points = features(table)
        for row in TableSearcher(table, seed).order:
            self._row_of_point.setdefault(tuple(points[row].tolist()), row)
        self._rows: dict[int, int] = {}
        self._their_trials: list[Any] = []  # Syne Tune's
        self._running: Any = None  # one of them
        self._theirs = _their_scheduler(list(self._row_of_point), table.max_resource, step, seed)

    # -- searcher ----------------------------------------------------------------------------

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of a trial that was started."""
        return dict(self._table.configs[self._rows[trial_id]])

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains."""
        return self._rows[job.trial_id]

    # -- scheduler ---------------------------------------------------------------------------

    def ask(self) -> Decision:
        """Return the next unit of the running trial, else of the one that DyHPO chooses."""
        if self._trials.n_outstanding:
            return Wait()
        if self._running is None:
            self._choose()
        trial = self._running.trial_id
        return self._trials.start(trial, self._trials.resource(trial) + 1, 0)

    def tell(self, report: Report) -> None:
        """Pass a loss on, and learn whether the trial goes on."""
        if not isinstance(report, TrainReport):
            raise ValueError(f"this scheduler only takes losses, got {report}")
        if self._trials.receive(report):
            self._pass_on(report)

    def summary(self) -> SchedulerSummary:
        """Return the state of the search as a frozen value."""
        return self._trials.summary()

    def _choose(self) -> None:
        from syne_tune.backend.trial_status import Trial

        suggestion = self._theirs.suggest(self._trials.n_trials)
        if suggestion.spawn_new_trial_id:
            point = tuple(suggestion.config[f"x{i}"] for i in range(len(suggestion.config)))
            trial = self._trials.n_trials
            self._rows[trial] = self._row_of_point[point]
            self._trials.add(self._table.configs[self._rows[trial]])
            self._running = Trial(trial, suggestion.config, datetime.now(tz=UTC))
            self._their_trials.append(self._running)
            self._theirs.on_trial_add(self._running)
        else:
            self._running = self._their_trials[suggestion.checkpoint_trial_id]

    def _pass_on(self, report: TrainReport) -> None:
        result = {"loss": report.losses[-1], "epoch": report.stop}
        if report.stop == self._table.max_resource:
            self._theirs.on_trial_complete(self._running, result)
            self._trials.complete(report.trial_id)
            self._running = None
        elif self._theirs.on_trial_result(self._running, result) != "CONTINUE":
            self._running = None


def _their_scheduler(
    points: list[tuple[float, ...]], max_resource: int, step: int, seed: int
) -> Any:
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import DyHPO as TheirDyHPO

    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    configs = [{f"x{i}": value for i, value in enumerate(point)} for point in points]
    return TheirDyHPO(
        {name: uniform(0.0, 1.0) for name in configs[0]},
        metric="loss",
        mode="min",
        resource_attr="epoch",
        max_t=max_resource,
        grace_period=step,
        rung_increment=step,
        random_seed=seed,
        points_to_evaluate=configs[:N_FIRST],
        search_options={"restrict_configurations": configs, "debug_log": False, **_QUICKER},
    )
