"""The objective of a search: a metric of the trainer, which is minimised or maximised.

Schedulers, searchers and predictors minimise losses. Trainers return values with the user's sign
and unit, and users see them in this form. `Objective` is the only place that changes the sign:

>>> objective = Objective("accuracy", "max")
>>> found = objective.measured([{"loss": 0.7, "accuracy": 0.5}, {"loss": 0.4, "accuracy": 0.9}], 2)
>>> found.name, found.values, found.extra
('accuracy', (0.5, 0.9), {'loss': (0.7, 0.4)})
>>> objective.losses((0.5, 0.9))
(-0.5, -0.9)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import ObjectiveError, UsageError

__all__ = ["Objective"]

LOSS = "loss"
"""Name of the objective where nothing else is said."""
_MODES = ("min", "max")


@dataclass(frozen=True)
class Metrics:
    """Losses and further metrics of a segment, as a trainer may return them.

    Attributes
    ----------
    losses : sequence of float, sequence of Mapping, or Mapping of str to sequence
        The metric ``"loss"`` after each unit of the segment, which is the objective unless
        ``Tuner(objective=...)`` names another one; or all metrics by name, in the other forms that
        `hpo.Trainer.train` may return.
    extra : Mapping of str to sequence of float, default={}
        Further metrics by name, one number per unit.
    finished : bool, default=False
        Whether training has ended early, for example because the model has converged. There may
        then be fewer losses than units, and none in a later segment. The trial is complete with its
        last loss and is never trained further.

    See Also
    --------
    Trainer.train : May return metrics in this or another form.

    Examples
    --------
    Two epochs with a further metric, after which training has converged:

    >>> Metrics([0.7, 0.4], {"accuracy": [0.5, 0.9]}, finished=True).losses
    [0.7, 0.4]
    """

    losses: Sequence[float] | Sequence[Mapping[str, float]] | Mapping[str, Sequence[float]]
    extra: Mapping[str, Sequence[float]] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True)
class Measured:
    """The checked result of a trainer for a segment.

    Attributes
    ----------
    name : str
        Name of the objective; empty if the trainer returned numbers without a name.
    values : tuple of float
        Objective after each unit, in the trainer's sign.
    extra : dict of str to tuple of float
        Further metrics by name, one number per unit; NaN where a unit lacks one.
    finished : bool, default=False
        Whether training has ended by itself (see `Metrics`).
    """

    name: str
    values: tuple[float, ...]
    extra: dict[str, tuple[float, ...]]
    finished: bool = False


@dataclass(frozen=True)
class Objective:
    """The metric that a search optimises.

    Attributes
    ----------
    name : str, default=""
        Its name; empty takes the only metric of the trainer, or the one called ``"loss"``.
    mode : {"min", "max"}, default="min"
        Whether lower or higher is better.

    Raises
    ------
    UsageError
        If the mode is another one, or the name is not a string.

    Examples
    --------
    >>> from hpo.trainers.objective import Objective
    >>> accuracy = Objective("accuracy", "max")
    >>> accuracy.loss(0.9), accuracy.value(-0.9)
    (-0.9, 0.9)
    """

    name: str = ""
    mode: str = "min"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.mode not in _MODES:
            raise UsageError(
                f"mode must be 'min' (lower is better) or 'max' (higher is better), got "
                f"{self.mode!r}"
            )
        if not isinstance(self.name, str):
            raise UsageError(
                f"objective must be the name of a metric, or None, got {self.name!r:.60}"
            )

    @classmethod
    def of(cls, name: str | None, mode: str) -> Objective:
        """Return the objective of a run's settings `name`, where None is no name, and `mode`."""
        return cls("" if name is None else name, mode)

    @property
    def title(self) -> str:
        """Name for headings; ``"loss"``, or ``"objective"`` if it is maximised, without one."""
        return self.name or (LOSS if self.mode == "min" else "objective")

    @property
    def worst(self) -> float:
        """The worst value: infinity, or minus infinity if it is maximised."""
        return self.value(math.inf)

    def value(self, loss: float) -> float:
        """Return the user's value of a loss."""
        return loss if self.mode == "min" else -loss

    def loss(self, value: float) -> float:
        """Return the loss, which is minimised, of a user's value."""
        return value if self.mode == "min" else -value

    def values(self, losses: tuple[float, ...]) -> tuple[float, ...]:
        """Return the user's values of losses."""
        return losses if self.mode == "min" else tuple(-loss for loss in losses)

    def losses(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return the losses of a user's values."""
        return values if self.mode == "min" else tuple(-value for value in values)

    def measured(self, result: Any, n_units: int, *, begun: bool = False) -> Measured:
        """Check the result of a trainer and find the objective in it.

        Parameters
        ----------
        result : sequence of float, Metrics, sequence of Mapping, or Mapping of str to sequence
            One number, one mapping, or one number of each sequence per unit.
        n_units : int
            Number of units of the segment.
        begun : bool, default=False
            Whether the trial has values of earlier segments, so that one that has finished by
            itself may return none here.

        Raises
        ------
        ObjectiveError
            If the objective is not among the metrics, or it is not clear which one it is.
        TypeError, ValueError
            If the result has another form, or not one number per unit.
        """
        finished = isinstance(result, Metrics) and bool(result.finished)
        name, columns = self._named(result)
        told = "losses" if name == "" or isinstance(result, Metrics) else name
        values = _floats(columns.pop(name), told)
        _check_number(len(values), n_units, told, finished=finished, begun=begun)
        extra = {str(each): _floats(got, str(each), len(values)) for each, got in columns.items()}
        return Measured(name, values, extra, finished)

    def _named(self, result: Any) -> tuple[str, dict[str, Any]]:
        """Return the name of the objective and all metrics by name."""
        if not isinstance(result, Metrics):
            return self._named_losses(result)
        extra = {str(key): each for key, each in result.extra.items()}
        if isinstance(result.losses, Mapping) and self.name in extra:
            return self.name, {**result.losses, **extra}
        name, columns = self._named_losses(result.losses)
        if name:
            return name, {**columns, **extra}
        if not extra and (self.name not in ("", LOSS) or self.mode == "max"):
            return "", columns  # numbers without a name, as in a plain sequence
        columns = {LOSS: columns[""], **extra}
        is_loss = not self.name and self.mode == "min"
        return LOSS if is_loss else self._chosen(columns), columns

    def _named_losses(self, result: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(result, Mapping):
            columns = {str(name): values for name, values in result.items()}
            return self._chosen(columns), columns
        units = _listed(result, "losses")
        if not units or not all(isinstance(unit, Mapping) for unit in units):
            return "", {"": units}
        columns = self._columns(units)
        return self._chosen(columns), columns

    def _columns(self, units: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
        """Return the metrics of mappings, one a unit, by name."""
        named = [{str(name): value for name, value in unit.items()} for unit in units]
        names = dict.fromkeys(name for unit in named for name in unit)
        objective = self._chosen(names)
        for number, unit in enumerate(named, 1):
            if objective not in unit:
                raise ValueError(
                    f"trainer must return the objective {objective!r} for every unit; mapping "
                    f"{number} of {len(named)} has {', '.join(unit) or 'no metric'}"
                )
        return {name: [unit.get(name, math.nan) for unit in named] for name in names}

    def _chosen(self, names: Mapping[str, Any]) -> str:
        """Return the name of the objective among the trainer's metrics."""
        known = ", ".join(names) or "none"
        if self.name:
            if self.name in names:
                return self.name
            raise ObjectiveError(
                f"objective must be one of the metrics that the trainer returns ({known}), got "
                f"{self.name!r}; start a run with another objective, or let the trainer return it"
            )
        if len(names) == 1:
            return next(iter(names))
        if LOSS in names and self.mode == "min":
            return LOSS
        raise ObjectiveError(
            f"objective must be named if a trainer returns several metrics ({known}) and none of "
            "them is a loss to minimise; start a run with Tuner(objective=NAME) or "
            "hpo run --objective NAME"
        )


LOSS_MINIMISED = Objective()
"""Objective of a run that names none."""


def to_plain(result: Any) -> Any:
    """Convert the result of a trainer to plain values, for another process (see `of_plain`)."""
    if isinstance(result, Metrics):
        extra = {str(name): list(values) for name, values in result.extra.items()}
        return {"losses": to_plain(result.losses), "extra": extra, "finished": result.finished}
    if isinstance(result, Mapping):
        return {"columns": {str(name): list(values) for name, values in result.items()}}
    return [dict(unit) if isinstance(unit, Mapping) else unit for unit in result]


def of_plain(data: Any) -> Any:
    """Convert plain values back to the result of a trainer (see `to_plain`)."""
    if not isinstance(data, Mapping):
        return data
    if "columns" in data:
        return data["columns"]
    return Metrics(of_plain(data["losses"]), data["extra"], finished=data["finished"])


def _listed(values: Any, name: str) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise TypeError(
            f"trainer must return a sequence of {name}, got {type(values).__name__}"
        ) from None


def _check_number(n: int, n_units: int, name: str, *, finished: bool, begun: bool) -> None:
    """Check the number of values of a segment."""
    if finished:
        if n > n_units or (n == 0 and not begun):
            raise ValueError(
                f"trainer must return one of {name} per unit: {n_units} here, or fewer if training "
                f"has finished by itself, but one at least of a trial; got {n}"
            )
    elif n != n_units:
        raise ValueError(
            f"trainer must return one of {name} per unit: {n_units} here, got {n}"
            + ("; if training has ended by itself, return hpo.Metrics(losses, finished=True)")
            * (n < n_units)
        )


def _floats(values: Any, name: str, expected: int | None = None) -> tuple[float, ...]:
    """Check the numbers of one metric."""
    numbers = tuple(_number(value, name) for value in _listed(values, name))
    if expected is not None and len(numbers) != expected:
        raise ValueError(
            f"trainer must return one of {name} per unit: {expected} here, got {len(numbers)}"
        )
    return numbers


def _number(value: object, name: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"trainer must return numbers as {name}, got {type(value).__name__}"
        ) from None
