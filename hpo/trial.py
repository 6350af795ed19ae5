"""Value types of a search: configurations, jobs, reports and summaries.

A scheduler answers ``ask()`` with a `Decision` and receives each job's `Report` in ``tell()``. All
of them are frozen dataclasses that convert to JSON and back without loss, so that a journal of them
rebuilds a scheduler exactly. A lower loss is better. Resource units (epochs for a network) are
absolute: a job that is run twice trains no unit twice.

>>> job = TrainJob(trial_id=3, config={"lr": 0.1}, start=0, stop=2)
>>> TrainJob.from_json(job.to_json()) == job
True
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

from hpo.plain_values import Value, from_json, same, with_tuples

__all__ = [
    "Curve",
    "Done",
    "Event",
    "ForecastJob",
    "ForecastReport",
    "PredictFailure",
    "PredictJob",
    "PredictReport",
    "Proposal",
    "SchedulerSummary",
    "TrainFailure",
    "TrainJob",
    "TrainReport",
    "TrialStatus",
    "TrialSummary",
    "Value",
    "Wait",
    "best_of",
    "finite_or_worst",
    "from_json",
    "latest_expected_improvement",
    "not_finite",
    "rank_key",
    "rank_of",
    "same",
    "with_tuples",
]

Config = Mapping[str, Any]
"""From the name of a hyperparameter to its value: float, int, str, bool, None, or tuple of them."""


@dataclass(frozen=True)
class Curve(Value):
    """The recorded losses of one trial.

    Attributes
    ----------
    trial_id : int
    config : Config
        Hyperparameters of the trial.
    losses : tuple of float
        Loss after each resource unit, from the first on.

    Examples
    --------
    >>> from hpo.trial import Curve
    >>> curve = Curve(0, {"lr": 0.1}, (0.9, 0.5))
    >>> len(curve.losses)
    2
    """

    trial_id: int
    config: Config
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Proposal(Value):
    """A configuration to try next.

    Attributes
    ----------
    config : Config
        Its hyperparameters.
    draw : float
        Sample of its predicted final loss, in the scale of the forecasts it comes with; minus
        infinity without a prediction.
    mean, std : float
        Mean and standard deviation of the prediction, in the same scale.

    Examples
    --------
    >>> from hpo.trial import Proposal
    >>> Proposal({"lr": 0.1}, draw=0.3, mean=0.4, std=0.1).config
    {'lr': 0.1}
    """

    config: Config
    draw: float
    mean: float
    std: float


@dataclass(frozen=True)
class TrainJob(Value):
    """Train one trial from resource unit `start` to `stop`.

    Attributes
    ----------
    trial_id : int
    config : Config
        Hyperparameters of the trial.
    start, stop : int
        Units before and after the job (absolute, ``0 <= start < stop``).
    bracket, rung : int, default=0
        Position in the schedule, for reports and figures only.

    Examples
    --------
    >>> from hpo.trial import TrainJob
    >>> job = TrainJob(trial_id=3, config={"lr": 0.1}, start=2, stop=4)
    >>> job.stop - job.start
    2
    """

    trial_id: int
    config: Config
    start: int
    stop: int
    bracket: int = 0
    rung: int = 0


@dataclass(frozen=True)
class PredictJob(Value):
    """Predict the loss after `target` units of the trials of one rung.

    Attributes
    ----------
    job_id : int
        Unique within the search.
    bracket, rung : int
        The decision that needs the predictions.
    target : int
        Resource unit to predict the loss at.
    train : tuple of Curve
        Curves to learn from, each of at least `target` units.
    query : tuple of Curve
        Curves to predict, all of one length below `target`.
    seed : int
        Seed of the predictor's random number generator.

    Examples
    --------
    >>> from hpo.trial import Curve, PredictJob
    >>> train, query = (Curve(0, {}, (0.9, 0.5, 0.4)),), (Curve(1, {}, (0.8,)),)
    >>> PredictJob(0, bracket=0, rung=0, target=3, train=train, query=query, seed=0).target
    3
    """

    job_id: int
    bracket: int
    rung: int
    target: int
    train: tuple[Curve, ...]
    query: tuple[Curve, ...]
    seed: int


@dataclass(frozen=True)
class ForecastJob(Value):
    """Forecast the final losses of all trials, and propose new configurations.

    Attributes
    ----------
    job_id : int
        Unique within the search.
    target : int
        Resource unit to forecast the loss at.
    curves : tuple of Curve
        Curves of any length from 1 on, both to learn from and to forecast.
    running : tuple of Curve
        Trials in training that have no loss yet, as empty curves.
    seed : int
        Seed of the random number generators of forecaster and searcher.
    n_proposals : int
        Number of configurations to propose.
    warm_start_state : Mapping, default={}
        `ForecastReport.warm_start_state` of the previous forecast, in plain values.

    Examples
    --------
    >>> from hpo.trial import Curve, ForecastJob
    >>> curves = Curve(0, {}, (0.9, 0.5)), Curve(1, {}, (0.8,))
    >>> job = ForecastJob(0, target=10, curves=curves, running=(), seed=0, n_proposals=24)
    >>> len(job.curves)
    2
    """

    job_id: int
    target: int
    curves: tuple[Curve, ...]
    running: tuple[Curve, ...]
    seed: int
    n_proposals: int
    warm_start_state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait(Value):
    """No job can be decided before the next report.

    Examples
    --------
    >>> from hpo.trial import Wait
    >>> Wait().to_json()
    {'type': 'Wait'}
    >>> Wait() == Wait()
    True
    """


@dataclass(frozen=True)
class Done(Value):
    """The search is over: no job is left or outstanding.

    Examples
    --------
    >>> from hpo.trial import Done
    >>> Done().to_json()
    {'type': 'Done'}
    >>> Done() == Done()
    True
    """


@dataclass(frozen=True)
class TrainReport(Value):
    """A finished `TrainJob`.

    Attributes
    ----------
    trial_id, start, stop : int
        As in the job.
    losses : tuple of float
        Loss after each unit of the job, ``stop - start`` numbers; NaN counts as worst. Fewer if
        `finished`, none where an earlier job has reported some.
    finished : bool, default=False
        Whether training ended by itself, such as a model that has converged: the trial is complete
        with its last loss and is never trained further.

    Examples
    --------
    >>> from hpo.trial import TrainReport
    >>> report = TrainReport(3, start=2, stop=4, losses=(0.5, 0.4))
    >>> TrainReport.from_json(report.to_json()) == report
    True
    """

    trial_id: int
    start: int
    stop: int
    losses: tuple[float, ...]
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `finished` only where it holds, as journals of before have it."""
        plain = super().to_json()
        if not self.finished:
            del plain["finished"]
        return plain


@dataclass(frozen=True)
class TrainFailure(Value):
    """A `TrainJob` that failed for good, after all retries.

    Attributes
    ----------
    trial_id, start, stop : int
        As in the job.
    reason : str
        One line for the final table.

    Examples
    --------
    >>> from hpo.trial import TrainFailure
    >>> TrainFailure(3, start=2, stop=4, reason="out of memory").reason
    'out of memory'
    """

    trial_id: int
    start: int
    stop: int
    reason: str


@dataclass(frozen=True)
class PredictReport(Value):
    """The result of a `PredictJob`.

    Attributes
    ----------
    job_id : int
        As in the job.
    predictions, stds : tuple of float
        Predicted loss at the target and its standard deviation, one per query curve.
    skill : float or None, default=None
        ``1 - MSE(predictor) / MSE(last value)``, cross-validated on the training curves: positive
        if the predictor beats keeping the last known loss, None if it was not measured.
    info : Mapping, default={}
        Diagnostics of the predictor in plain values, for display only.

    Examples
    --------
    >>> from hpo.trial import PredictReport
    >>> PredictReport(0, predictions=(0.4,), stds=(0.1,), skill=0.2).skill
    0.2
    """

    job_id: int
    predictions: tuple[float, ...]
    stds: tuple[float, ...]
    skill: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ForecastReport(Value):
    """The result of a `ForecastJob`.

    Attributes
    ----------
    job_id : int
        As in the job.
    predictions, stds : tuple of float
        Forecast loss at the target and its standard deviation, one per curve, in `scale`.
    skill : float or None, default=None
        As in `PredictReport`, measured on losses that the model was not fitted to.
    scale : Mapping, default={}
        Parameters of the scale of `predictions`, `stds` and `proposals`, which has about unit
        spread (see `hpo.surrogates.scale_of`).
    proposals : tuple of Proposal, default=()
        Configurations to try next.
    min_informative_resource : int or None, default=None
        Shortest resource at which losses inform about final losses; schedulers end no job before
        it. None keeps the previous value.
    warm_start_state : Mapping, default={}
        State for the next forecast of this search, in plain values.
    info : Mapping, default={}
        Diagnostics of the forecaster in plain values, for display only.

    Examples
    --------
    >>> from hpo.trial import ForecastReport
    >>> ForecastReport(0, predictions=(0.4,), stds=(0.1,), scale={"base": 0.0}).proposals
    ()
    """

    job_id: int
    predictions: tuple[float, ...]
    stds: tuple[float, ...]
    skill: float | None = None
    scale: Mapping[str, float] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()
    min_informative_resource: int | None = None
    warm_start_state: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictFailure(Value):
    """A `PredictJob` or `ForecastJob` that failed; the scheduler decides without a model.

    Attributes
    ----------
    job_id : int
        As in the job.
    reason : str
        One line for the final table.

    Examples
    --------
    >>> from hpo.trial import PredictFailure
    >>> PredictFailure(0, reason="no curves").reason
    'no curves'
    """

    job_id: int
    reason: str


ModelJob = PredictJob | ForecastJob
"""A job that a curve predictor answers."""
ModelReport = PredictReport | ForecastReport | PredictFailure
"""The report of a `ModelJob`."""
Job = TrainJob | ModelJob
Decision = Job | Wait | Done
Report = TrainReport | TrainFailure | ModelReport


class TrialStatus(StrEnum):
    """State of a trial.

    Examples
    --------
    >>> from hpo.trial import TrialStatus
    >>> TrialStatus("stopped").over, TrialStatus.WAITING.over
    (True, False)
    """

    RUNNING = "running"
    """A job of it is outstanding."""
    WAITING = "waiting"
    """It waits for a decision or a worker."""
    STOPPED = "stopped"
    """It was stopped for good."""
    COMPLETED = "completed"
    """It was trained to the end, or its training ended by itself."""
    FAILED = "failed"
    """Its training failed for good; it counts as worst."""

    @property
    def over(self) -> bool:
        """Whether the trial is never trained again."""
        return self not in (TrialStatus.RUNNING, TrialStatus.WAITING)


@dataclass(frozen=True)
class TrialSummary:
    """State of one trial.

    Attributes
    ----------
    trial_id : int
        Number of the trial, from 0.
    config : Config
        Its hyperparameters.
    bracket, rung : int
        Its bracket, and the last rung that it entered.
    status : TrialStatus
    losses : tuple of float
        Loss after each unit trained so far, as reported (NaN included).
    reason : str, default=""
        Why it stopped or failed; otherwise empty.

    Examples
    --------
    >>> from hpo.trial import TrialStatus, TrialSummary
    >>> trial = TrialSummary(0, {"lr": 0.1}, 0, 0, TrialStatus.COMPLETED, losses=(0.9, 0.4, 0.5))
    >>> trial.last_loss, trial.best_loss
    (0.5, 0.4)
    """

    trial_id: int
    config: Config
    bracket: int
    rung: int
    status: TrialStatus
    losses: tuple[float, ...]
    reason: str = ""

    @property
    def last_loss(self) -> float:
        """Last known loss; infinity if there is none or it is NaN or infinite."""
        return finite_or_worst(self.losses[-1]) if self.losses else math.inf

    @property
    def best_loss(self) -> float:
        """Lowest finite loss after any unit; infinity if there is none."""
        return min(map(finite_or_worst, self.losses), default=math.inf)


@dataclass(frozen=True, slots=True)
class Event:
    """A decision of a scheduler, or a failure that it handled.

    Attributes
    ----------
    kind : str
        ``"rung"`` (a round ended), ``"decision"`` (a prediction was used within a round),
        ``"forecast"`` (a forecast ended) or ``"degraded"`` (a prediction failed, and the search
        goes on without it).
    bracket, rung : int
        Position in the schedule.
    resource : int
        Units after which the decision was taken.
    kept, dropped : tuple of int, default=()
        Trials that go on, and trials that were stopped.
    skill : float or None, default=None
        Skill of the predictor (see `PredictReport`).
    message : str, default=""
        One line to display.
    expected_improvement : float or None, default=None
        Of a forecast: expected improvement of the best final loss if the remaining budget is spent,
        in units of the loss; None if it is not known.

    Examples
    --------
    >>> from hpo.trial import Event
    >>> Event("rung", bracket=0, rung=1, resource=4, kept=(0, 3), dropped=(1, 2)).kept
    (0, 3)
    """

    kind: str
    bracket: int
    rung: int
    resource: int
    kept: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    skill: float | None = None
    message: str = ""
    expected_improvement: float | None = None


@dataclass(frozen=True)
class SchedulerSummary:
    """State of a search.

    Attributes
    ----------
    trials : tuple of TrialSummary
        In the order of their ids.
    best : TrialSummary or None
        The trial whose last loss is lowest; None before the first finite loss.
    epochs : int
        Resource units trained so far.
    events : tuple of Event
        All events in order of time.
    budget : int or None, default=None
        Units that the search will spend; None if that is not known beforehand.

    Examples
    --------
    >>> from hpo import Hyperband
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(20, 4, seed=0)
    >>> summary = simulate(lambda searcher: Hyperband(searcher, max_resource=4), table).summary
    >>> len(summary.trials), summary.epochs, summary.best.status.value
    (10, 28, 'completed')
    """

    trials: tuple[TrialSummary, ...]
    best: TrialSummary | None
    epochs: int
    events: tuple[Event, ...]
    budget: int | None = None


AnyTrial = TypeVar("AnyTrial", bound=TrialSummary)


def latest_expected_improvement(events: Sequence[Event]) -> float | None:
    """Return the expected improvement by the latest forecast; None without one.

    Parameters
    ----------
    events : sequence of Event
        In order of time.
    """
    forecasts = (event for event in reversed(events) if event.kind == "forecast")
    return next((event.expected_improvement for event in forecasts), None)


def finite_or_worst(loss: float) -> float:
    """Return `loss`, or infinity where it is NaN or minus infinity."""
    return loss if math.isfinite(loss) else math.inf


def not_finite(name: str, value: float, units: int) -> str:
    """Return the reason of a trial that failed by the value `name` after so many units."""
    return f"{name} is {value} after {units} units"


Scope = Literal["complete", "any"]
Epoch = Literal["last", "best"]
RankKey = tuple[int, int, float, int]


def rank_key(trial: TrialSummary, *, scope: Scope = "complete", epoch: Epoch = "last") -> RankKey:
    """Return the key by which trials are ranked, the best first.

    Trials that were trained to the end (status ``"completed"``) come first, by their loss. The
    others follow: those trained furthest first, and trials of equal length by their loss, since
    losses after different numbers of units do not compare. Last come trials that failed or have no
    finite loss. Equal trials are ranked by their number.

    Parameters
    ----------
    trial : TrialSummary
    scope : {"complete", "any"}, default="complete"
        ``"any"`` compares losses whatever the number of units.
    epoch : {"last", "best"}, default="last"
        Whether the loss of a trial is its last one or its lowest one.

    Raises
    ------
    ValueError
        If `scope` or `epoch` is none of these.
    """
    if scope not in ("complete", "any"):
        raise ValueError(f"scope of the best trial must be 'complete' or 'any', got {scope!r}")
    if epoch not in ("last", "best"):
        raise ValueError(f"epoch of the best trial must be 'last' or 'best', got {epoch!r}")
    loss = trial.last_loss if epoch == "last" else trial.best_loss
    if trial.status is TrialStatus.FAILED:
        loss = math.inf
    complete = scope == "any" or trial.status is TrialStatus.COMPLETED
    return rank_of(trial.trial_id, loss, None if complete else len(trial.losses))


def rank_of(trial_id: int, loss: float, units: int | None) -> RankKey:
    """Return the key of `rank_key` from its parts.

    Parameters
    ----------
    trial_id : int
    loss : float
        The loss that counts; infinity for a trial that failed or has none.
    units : int or None
        Units trained so far; None for a trial that was trained to the end.
    """
    if not math.isfinite(loss):
        return 2, 0, math.inf, trial_id
    return (0, 0, loss, trial_id) if units is None else (1, -units, loss, trial_id)


def best_of(
    trials: Iterable[AnyTrial], *, scope: Scope = "complete", epoch: Epoch = "last"
) -> AnyTrial | None:
    """Return the best trial: the one definition that everything in this package uses.

    By default it is the trial with the lowest last loss of those trained to the end; if there is
    none, the one with the lowest last loss of those trained furthest (see `rank_key`).

    Parameters
    ----------
    trials : iterable of TrialSummary
    scope, epoch : str, default="complete", "last"
        As in `rank_key`.

    Returns
    -------
    TrialSummary or None
        None if no trial that did not fail has a finite loss.
    """
    ranked = ((rank_key(trial, scope=scope, epoch=epoch), trial) for trial in trials)
    key, best = min(ranked, key=lambda pair: pair[0], default=((2, 0, 0.0, 0), None))
    return best if key[0] < 2 else None
