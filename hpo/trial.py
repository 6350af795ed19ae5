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

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self, TypeVar, get_type_hints


class Value:
    """JSON form shared by jobs and reports: a dict of plain values with a ``"type"`` key."""

    _kinds: ClassVar[dict[str, type[Value]]] = {}

    def __init_subclass__(cls) -> None:
        """Register the type by its name."""
        Value._kinds[cls.__name__] = cls

    def to_json(self) -> dict[str, Any]:
        """Return plain values (dict, list, str, int, float, bool, None) with a ``"type"`` key."""
        plain: dict[str, Any] = {"type": type(self).__name__}
        for name in self.__dataclass_fields__:  # type: ignore[attr-defined]  # each is a dataclass
            plain[name] = _plain(getattr(self, name))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild the value that `to_json` wrote.

        Raises
        ------
        ValueError
            If ``data`` is of another type, lacks a field, or a field's value is of another type.
        """
        if data.get("type") != cls.__name__:
            raise ValueError(
                f"{cls.__name__}.from_json needs type={cls.__name__!r}, got {data.get('type')!r}"
            )
        values = {name: _restored(data[name]) for name in data if name != "type"}
        if isinstance(config := values.get("config"), Mapping):
            values["config"] = with_tuples(config)
        for name, (is_valid, rule) in _rules(cls).items():  # type: ignore[arg-type]
            if name in values and not is_valid(values[name]):
                got = type(values[name]).__name__
                raise ValueError(f"{name} of a {cls.__name__} must be {rule}, got {got}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(
                f"{cls.__name__}.from_json: {error}; the data is of another version or damaged"
            ) from None


_SCALARS = (float, int, str)  # asked about first: most values are


def _plain(value: object) -> object:
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, Value):
        return value.to_json()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _restored(value: Any) -> Any:
    """Return a field's value: sequences are tuples of numbers or of values."""
    if not isinstance(value, tuple | list):
        return value
    return tuple(
        from_json(item) if not isinstance(item, _SCALARS) and isinstance(item, Mapping) else item
        for item in value
    )


def with_tuples(config: Config) -> Config:
    """Return a configuration with tuples for its lists, which a journal has instead of them.

    Parameters
    ----------
    config : Config
    """
    if not any(isinstance(value, list) for value in config.values()):
        return config
    return {name: _tuples(value) for name, value in config.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


_Rule = tuple[Callable[[Any], bool], str]


@functools.cache
def _rules(kind: type[Value]) -> dict[str, _Rule]:
    """Return, for each field of a type, how its value is checked."""
    return {name: _rule(hint) for name, hint in get_type_hints(kind).items() if name[0] != "_"}


def _rule(hint: Any) -> _Rule:
    """Return how values of an annotation are checked, and the rule as text."""
    if hint in _RULES:
        return _RULES[hint]
    if hint in (int | None, float | None):
        is_valid, rule = _RULES[int if hint == int | None else float]
        return lambda value: value is None or is_valid(value), f"{rule} or null"
    items = hint.__args__[0]  # of a tuple of any length
    if items is float:
        return lambda value: isinstance(value, tuple) and _are_numbers(value), "a list of numbers"
    return lambda value: isinstance(value, tuple) and all(isinstance(v, items) for v in value), (
        f"a list of values of type {items.__name__}"
    )


def _is_integer(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _are_numbers(values: Iterable[Any]) -> bool:
    """Return whether all are numbers that fit into a float (infinity and NaN do)."""
    types = set(map(type, values))
    if types <= {float}:
        return True
    return all(isinstance(v, float) or (isinstance(v, int) and abs(v) < 2**1000) for v in values)


_RULES: dict[Any, _Rule] = {
    int: (_is_integer, "an integer of 64 bits"),
    float: (lambda value: _are_numbers((value,)), "a number"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    str: (lambda value: isinstance(value, str), "text"),
    Mapping[str, Any]: (lambda value: isinstance(value, Mapping), "an object"),
    Mapping[str, float]: (
        lambda value: isinstance(value, Mapping) and _are_numbers(value.values()),
        "an object of numbers",
    ),
}


def from_json(data: Mapping[str, Any]) -> Any:
    """Rebuild any job, decision, report or curve from its `to_json` form.

    Parameters
    ----------
    data : Mapping
        As `to_json` returns it.

    Raises
    ------
    ValueError
        If the ``"type"`` is unknown, or the fields do not fit it.
    """
    kinds = Value._kinds  # noqa: SLF001 - of this module
    name = data.get("type")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"'type' must be one of {sorted(kinds)}, got {name!r:.60}")
    return kind.from_json(data)


def same(left: Value, right: Value) -> bool:
    """Return whether two values are equal, NaN being equal to NaN (unlike ``==``).

    Parameters
    ----------
    left, right : job, report or curve
    """
    return json.dumps(left.to_json()) == json.dumps(right.to_json())


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
    """No job can be decided before the next report."""


@dataclass(frozen=True)
class Done(Value):
    """The search is over: no job is left or outstanding."""


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
    """State of a trial."""

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
