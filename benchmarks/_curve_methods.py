"""The methods that `curves.py` and `wallclock.py` compare, by name.

A method is added by one entry of `METHODS`: its name, and a function of a table and a seed that
builds the scheduler, the searcher and, where there is one, the predictor of a run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from _curve_baselines import (
    Budgeted,
    TPESearcher,
    hyperband_epochs,
    n_configurations,
    top_after_one_epoch,
)
from _curve_dyhpo import DyHPO
from _curve_tables import REDUCTION_FACTOR
from _early_hyperband import early_hyperband
from hpo.loop import Recorder, Scheduler
from hpo.predictors import (
    CurvePredictor,
    Forecaster,
    JointPredictor,
    MixedPredictor,
    PooledPredictor,
    make_predictor,
)
from hpo.schedulers import Hyperband, SwiftHyperband, make_scheduler
from hpo.simulation import CurveTable, CyclicTableSearcher, TableCurveSearcher, TableSearcher
from hpo.trial import Config, TrainJob


class RowSearcher(Protocol):
    """A searcher that proposes rows of a table."""

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None when there are no more."""
        ...

    def row_of(self, job: TrainJob) -> int:
        """Return the row that a job trains."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a run is made of.

    Attributes
    ----------
    scheduler : Scheduler
        Decides.
    searcher : RowSearcher
        Knows which row a trial is.
    predictor : CurvePredictor, Forecaster or None
        Answers predictions.
    recorder : Recorder or None
        Receives every job and report before the scheduler, for a searcher that learns.
    """

    scheduler: Scheduler
    searcher: RowSearcher
    predictor: CurvePredictor | Forecaster | None = None
    recorder: Recorder | None = None


Build = Callable[[CurveTable, int], Setup]


@dataclass(frozen=True)
class Method:
    """One row of the comparison.

    Attributes
    ----------
    label : str
        For people.
    build : callable
        ``build(table, seed)`` gives the `Setup` of a run. Its source is part of the key of cached
        results.
    version : str or None
        Key of cached results in place of the sources of `hpo`: for methods that are slow and do
        not depend on what is being changed. Raise it when the results change.
    max_seeds : int or None
        At most so many seeds, for slow methods.
    needs : str or None
        A module without which no run is made; those in the cache are shown.
    """

    label: str
    build: Build
    version: str | None = None
    max_seeds: int | None = None
    needs: str | None = None

    def available(self) -> bool:
        """Tell whether runs can be made."""
        if self.needs is None:
            return True
        try:
            return importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:  # of a parent
            return False


def named(
    name: str, predictor: str | None = None, *, cyclic: bool = False, **options: Any
) -> Build:
    """Build a scheduler of `hpo.schedulers` on rows in random order, each once unless `cyclic`."""

    def build(table: CurveTable, seed: int) -> Setup:
        searcher = (CyclicTableSearcher if cyclic else TableSearcher)(table, seed)
        scheduler = make_scheduler(
            name,
            searcher,
            max_resource=table.max_resource,
            reduction_factor=REDUCTION_FACTOR,
            seed=seed,
            **options,
        )
        return Setup(scheduler, searcher, make_predictor(predictor, folds=0) if predictor else None)

    return build


def published(predictor: str) -> Build:
    """Build Swift-Hyperband in the form of the paper."""

    def build(table: CurveTable, seed: int) -> Setup:
        searcher = TableSearcher(table, seed)
        scheduler = SwiftHyperband.as_published(
            searcher,
            max_resource=table.max_resource,
            reduction_factor=REDUCTION_FACTOR,
            seed=seed,
        )
        return Setup(scheduler, searcher, make_predictor(predictor, folds=0))

    return build


def early(predictor: str) -> Build:
    """Build Hyperband with several decisions in every round."""

    def build(table: CurveTable, seed: int) -> Setup:
        searcher = TableSearcher(table, seed)
        scheduler = early_hyperband(
            searcher,
            max_resource=table.max_resource,
            reduction_factor=REDUCTION_FACTOR,
            seed=seed,
        )
        return Setup(scheduler, searcher, make_predictor(predictor, folds=0))

    return build


def asha(kind: str, size: int) -> Build:
    """Build a type of ASHA with `size` times Hyperband's trials."""

    def build(table: CurveTable, seed: int) -> Setup:
        n_trials = size * n_configurations(table.max_resource)
        return named("asha", cyclic=size > 1, type=kind, n_trials=n_trials)(table, seed)

    return build


def asha_for_hyperbands_epochs(table: CurveTable, seed: int) -> Setup:
    """Start trials until Hyperband's epochs, or the table's rows, are used up."""
    setup = named("asha", n_trials=len(table))(table, seed)
    epochs = hyperband_epochs(table.max_resource)
    return replace(setup, scheduler=Budgeted(setup.scheduler, epochs))


def bohb(table: CurveTable, seed: int) -> Setup:
    """Hyperband on configurations from Optuna's TPE."""
    searcher = TPESearcher(table, seed)
    scheduler = Hyperband(searcher, max_resource=table.max_resource)
    return Setup(scheduler, searcher, recorder=searcher)


def top_few(table: CurveTable, seed: int) -> Setup:
    """One unit for all of Hyperband's configurations, all units for the best few."""
    searcher = TableSearcher(table, seed)
    return Setup(top_after_one_epoch(searcher, table.max_resource), searcher)


def one_halving(table: CurveTable, seed: int) -> Setup:
    """One successive halving over all of Hyperband's configurations."""
    return named("successive-halving", n_trials=n_configurations(table.max_resource))(table, seed)


def double_random(table: CurveTable, seed: int) -> Setup:
    """Random search for twice Hyperband's epochs."""
    n_trials = 2 * hyperband_epochs(table.max_resource) // table.max_resource
    return named("random-search", n_trials=n_trials)(table, seed)


def dyhpo(table: CurveTable, seed: int) -> Setup:
    """DyHPO for Hyperband's epochs, with a tenth of the units between decisions."""
    rows = DyHPO(table, seed, step=max(table.max_resource // 10, 1))
    return Setup(Budgeted(rows, hyperband_epochs(table.max_resource)), rows)


def forecasting(name: str, inside: str = "mixed", *, learns: bool = True, **options: Any) -> Build:
    """Build a scheduler that forecasts, proposing rows from its forecasts or at random.

    Forecasts come from the joint process and NuSVR in turn, from the joint process alone, or from a
    pooled predictor with another regressor inside.
    """

    def build(table: CurveTable, seed: int) -> Setup:
        searcher = TableCurveSearcher(table, seed) if learns else TableSearcher(table, seed)
        scheduler = make_scheduler(
            name,
            searcher,
            max_resource=table.max_resource,
            reduction_factor=REDUCTION_FACTOR,
            seed=seed,
            **options,
        )
        return Setup(scheduler, searcher, _forecaster(inside))

    return build


def _forecaster(inside: str) -> Forecaster:
    if inside == "mixed":
        return MixedPredictor()
    return JointPredictor() if inside == "joint" else PooledPredictor(inside)


REFERENCE = "hyperband"
FORECASTS = "13"
"""Version of all forecasting methods: raise it when their results change."""
METHODS: Mapping[str, Method] = {
    REFERENCE: Method("Hyperband", named("hyperband")),
    "swift-asha": Method("Swift-ASHA", forecasting("swift-asha"), version=FORECASTS),
    "swift-asha-third": Method(
        "Swift-ASHA, 0.33 of the epochs",
        forecasting("swift-asha", budget_fraction=0.33),
        version=FORECASTS,
    ),
    "with-last": Method(
        "Swift-ASHA, with last value inside",
        forecasting("swift-asha", "last-value"),
        version=FORECASTS,
    ),
    "with-joint": Method(
        "Swift-ASHA, with the joint process alone",
        forecasting("swift-asha", "joint"),
        version=FORECASTS,
    ),
    "with-extra-trees": Method(
        "Swift-ASHA, with extra trees inside",
        forecasting("swift-asha", "extra-trees"),
        version=FORECASTS,
    ),
    "with-nusvr": Method(
        "Swift-ASHA, with NuSVR inside", forecasting("swift-asha", "nusvr"), version=FORECASTS
    ),
    "with-random": Method(
        "Swift-ASHA, random configurations",
        forecasting("swift-asha", learns=False),
        version=FORECASTS,
    ),
    "with-qsvr": Method(
        "Swift-ASHA, with QSVR inside",
        forecasting("swift-asha", "qsvr"),
        version=FORECASTS,
        max_seeds=1,
    ),
    "swift-nusvr": Method("Swift-Hyperband as published, NuSVR", published("nusvr")),
    "swift-last": Method("Swift-Hyperband as published, last value", published("last-value")),
    "early-last": Method("Hyperband, early decisions, last value", early("last-value")),
    "early": Method("Hyperband, early decisions, pooled", early("pooled")),
    "asha": Method("ASHA, promotion, Hyperband's trials", named("asha")),
    "asha-stopping": Method("ASHA, stopping, Hyperband's trials", named("asha", type="stopping")),
    "asha-epochs": Method("ASHA, promotion, Hyperband's epochs", asha_for_hyperbands_epochs),
    "halving": Method("one successive halving over all", one_halving),
    "top": Method("top few after one epoch", top_few),
    "random": Method("random search, twice the epochs", double_random),
    "bohb": Method("Hyperband, Optuna's TPE (BOHB-style)", bohb, version="1", needs="optuna"),
    "dyhpo": Method(
        "DyHPO of Syne Tune 0.13, Hyperband's epochs",
        dyhpo,
        version="1",
        max_seeds=3,
        needs="syne_tune.optimizer.schedulers.searchers.dyhpo",
    ),
}


@dataclass(frozen=True)
class Form:
    """One row of the wall-clock comparison.

    Attributes
    ----------
    label : str
        For people.
    build : callable
        As a `Method`'s.
    barrier : bool
        Whether all workers wait for the slowest before the next jobs start.
    for_workers : callable or None
        ``for_workers(table, seed, n_workers)`` in place of `build`, where the number matters.
    """

    label: str
    build: Build
    barrier: bool = False
    for_workers: Callable[[CurveTable, int, int], Setup] | None = None

    def setup(self, table: CurveTable, seed: int, n_workers: int) -> Setup:
        """Build the search of so many workers."""
        if self.for_workers is not None:
            return self.for_workers(table, seed, n_workers)
        return self.build(table, seed)


def swift_asha(table: CurveTable, seed: int, n_workers: int) -> Setup:
    """Build Swift-ASHA with its default budget for the workers.

    It spends at most 0.7 of the epochs of the table: a worker is busy only while there is a row for
    it that is not yet trained to its end.
    """
    setup = forecasting("swift-asha", n_workers=n_workers)(table, seed)
    most = int(0.7 * table.max_resource * len(table))
    if setup.scheduler.budget.epochs <= most:
        return setup
    return forecasting("swift-asha", max_epochs=most)(table, seed)


def forms(size: int = 1) -> Mapping[str, Form]:
    """Return what is timed, in a search of `size` times Hyperband's brackets."""
    options = {"iterations": size, "cyclic": size > 1}
    in_turn = named("hyperband", side_by_side=False, **options)
    side_by_side = named("hyperband", **options)
    swift = named("swift-hyperband", "last-value", **options)
    return {
        "barrier": Form("Hyperband, barrier", in_turn, barrier=True),
        "in-turn": Form("Hyperband, work-conserving, brackets in turn", in_turn),
        "hyperband": Form("Hyperband, work-conserving, side by side", side_by_side),
        "swift": Form("Swift-Hyperband, last value", swift),
        "swift-asha": Form("Swift-ASHA", in_turn, for_workers=swift_asha),
        "asha": Form("ASHA, promotion", asha("promotion", size)),
        "asha-stopping": Form("ASHA, stopping", asha("stopping", size)),
    }
