"""What one hyperparameter may be: a range of numbers, a set of choices, a distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

Scalar = float | int | str | bool | None


class Domain(Protocol):
    """One hyperparameter's values."""

    def sample(self, rng: np.random.Generator) -> Any:
        """Draw one value.

        Parameters
        ----------
        rng : numpy.random.Generator
        """
        ...

    def grid(self, points: int) -> tuple[Any, ...]:
        """Return about `points` evenly spread values."""
        ...

    def features(self, value: Any) -> tuple[float, ...]:
        """Turn a value into numbers, mostly in [0, 1]."""
        ...

    def labels(self) -> tuple[str, ...]:
        """Name the numbers of `features`; empty text where there is one number only."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return plain values from which `parse_domain` builds an equal domain."""
        ...


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"low and high must be finite, got low={low}, high={high}")
    if not low < high:
        raise ValueError(f"low must be below high, got low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(
            f"a logarithmic range must not touch or cross zero, got low={low}; raise low"
        )


def _check_scalar(owner: str, value: object) -> None:
    if value is not None and not isinstance(value, float | int | str):
        raise ValueError(f"{owner} must be a number, string, boolean or None, got {value!r}")


def _to_unit(value: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _from_unit(unit: float, low: float, high: float, *, log: bool) -> float:
    value = low * (high / low) ** unit if log else low + unit * (high - low)
    return min(max(value, low), high)


@dataclass(frozen=True)
class Float:
    """Real numbers.

    Attributes
    ----------
    low, high : float
        Ends of the range, both included.
    log : bool
        Draw evenly in the logarithm.
    step : float or None
        Only ``low + k * step``; not together with `log`.

    Raises
    ------
    ValueError
        If the range is empty, not finite, or does not fit ``log`` and ``step``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, log=self.log)
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise ValueError(
                f"step must lie in (0, high - low] and cannot go with log, got step={self.step}, "
                f"log={self.log}"
            )

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.step is not None:
            return self.low + self.step * int(rng.integers(self._n_steps()))
        return float(_from_unit(rng.random(), self.low, self.high, log=self.log))

    def grid(self, points: int) -> tuple[float, ...]:
        """Return `points` values, fewer where `step` allows no more."""
        if self.step is not None:
            count = self._n_steps()
            picks = _spread(count, points)
            return tuple(self.low + self.step * pick for pick in picks)
        units = np.linspace(0, 1, points) if points > 1 else [0.5]
        return tuple(_from_unit(float(u), self.low, self.high, log=self.log) for u in units)

    def features(self, value: Any) -> tuple[float, ...]:
        """Return the place in the range, 0 to 1."""
        return (_to_unit(float(value), self.low, self.high, log=self.log),)

    def labels(self) -> tuple[str, ...]:
        """One number."""
        return ("",)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"type": "float", **asdict(self)}

    def _n_steps(self) -> int:
        assert self.step is not None  # noqa: S101 - callers have checked
        return math.floor((self.high - self.low) / self.step * (1 + 1e-12)) + 1


@dataclass(frozen=True)
class Int:
    """Whole numbers.

    Attributes
    ----------
    low, high : int
        Ends of the range, both included.
    log : bool
        Draw evenly in the logarithm.

    Raises
    ------
    ValueError
        If the range is empty or does not fit ``log``.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if any(isinstance(v, bool) or not isinstance(v, int) for v in (self.low, self.high)):
            raise ValueError(
                f"low and high of an int must be whole numbers, got {self.low!r}, {self.high!r}"
            )
        _check_range(self.low, self.high, log=self.log)

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if not self.log:
            return int(rng.integers(self.low, self.high, endpoint=True))
        # Half a unit beyond both ends, so that the ends are as likely as their neighbours.
        value = _from_unit(rng.random(), self.low - 0.5, self.high + 0.5, log=True)
        return min(max(round(value), self.low), self.high)

    def grid(self, points: int) -> tuple[int, ...]:
        """Return at most `points` values."""
        if self.high - self.low < points:
            return tuple(range(self.low, self.high + 1))
        units = np.linspace(0, 1, points) if points > 1 else [0.5]
        values = (round(_from_unit(float(u), self.low, self.high, log=self.log)) for u in units)
        return tuple(dict.fromkeys(values))

    def features(self, value: Any) -> tuple[float, ...]:
        """Return the place in the range, 0 to 1."""
        return (_to_unit(float(value), self.low, self.high, log=self.log),)

    def labels(self) -> tuple[str, ...]:
        """One number."""
        return ("",)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"type": "int", **asdict(self)}


@dataclass(frozen=True)
class Categorical:
    """One of some choices.

    Attributes
    ----------
    choices : tuple
        Distinct floats, ints, strings, booleans or None; at least one.

    Raises
    ------
    ValueError
        If there is no choice, or one is no plain value.
    """

    choices: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("choices must hold at least one value, got none")
        for choice in self.choices:
            _check_scalar("each choice", choice)
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"choices must be distinct, got {self.choices!r}")

    def sample(self, rng: np.random.Generator) -> Scalar:
        """Draw one value."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def grid(self, points: int) -> tuple[Scalar, ...]:  # noqa: ARG002 - all of them
        """Return all choices."""
        return self.choices

    def features(self, value: Any) -> tuple[float, ...]:
        """Return one column a choice, 1 where it was chosen."""
        matches = [type(c) is type(value) and c == value for c in self.choices]
        if not any(matches):
            matches = [c == value for c in self.choices]
        if not any(matches):
            raise ValueError(f"{value!r} is none of the choices {self.choices!r}")
        return tuple(float(match) for match in matches)

    def labels(self) -> tuple[str, ...]:
        """One number a choice."""
        return tuple(str(choice) for choice in self.choices)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"type": "categorical", "choices": list(self.choices)}


@dataclass(frozen=True)
class Constant:
    """Always the same value.

    Attributes
    ----------
    value : float, int, str, bool or None
        The value.
    """

    value: Scalar

    def __post_init__(self) -> None:
        _check_scalar("a constant", self.value)

    def sample(self, rng: np.random.Generator) -> Scalar:  # noqa: ARG002 - nothing to draw
        """Return the value."""
        return self.value

    def grid(self, points: int) -> tuple[Scalar, ...]:  # noqa: ARG002 - one only
        """Return the value."""
        return (self.value,)

    def features(self, value: Any) -> tuple[float, ...]:  # noqa: ARG002 - tells nothing
        """Return no number."""
        return ()

    def labels(self) -> tuple[str, ...]:
        """No number."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"type": "constant", "value": self.value}


@dataclass(frozen=True)
class Scipy:
    """A distribution of `scipy.stats`, by name.

    Attributes
    ----------
    name : str
        Such as ``"loguniform"`` or ``"norm"``.
    args, kwds : tuple, Mapping
        What the distribution is frozen with.

    Raises
    ------
    ValueError
        If the distribution is not known or does not take the parameters.
    """

    name: str
    args: tuple[float, ...] = ()
    kwds: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        try:
            width = float(self._frozen().std())
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"scipy.stats.{self.name} does not take {self.args}, {self.kwds}: {error}"
            ) from None
        if math.isnan(width):
            raise ValueError(f"scipy.stats.{self.name} is not defined for {self.args}, {self.kwds}")

    def sample(self, rng: np.random.Generator) -> float | int:
        """Draw one value."""
        return self._plain(self._frozen().rvs(random_state=rng))

    def grid(self, points: int) -> tuple[float | int, ...]:
        """Return `points` quantiles, the ends left out."""
        quantiles = (np.arange(points) + 0.5) / points
        return tuple(dict.fromkeys(self._plain(v) for v in self._frozen().ppf(quantiles)))

    def quantile(self, unit: float) -> float | int:
        """Return the value below which a share `unit` lies, 0 and 1 moved a little inwards."""
        from scipy import stats

        frozen = self._frozen()
        value = float(frozen.ppf(min(max(unit, 1e-9), 1 - 1e-9)))
        return int(value) if isinstance(frozen.dist, stats.rv_discrete) else value

    def supports(self, value: float) -> bool:
        """Tell whether the distribution can give `value`.

        Parameters
        ----------
        value : float
        """
        from scipy import stats

        frozen = self._frozen()
        low, high = frozen.support()
        whole = not isinstance(frozen.dist, stats.rv_discrete) or float(value).is_integer()
        return bool(low <= value <= high) and whole

    def features(self, value: Any) -> tuple[float, ...]:
        """Return the quantile, 0 to 1."""
        return (float(self._frozen().cdf(value)),)

    def labels(self) -> tuple[str, ...]:
        """One number."""
        return ("",)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        kwds = dict(self.kwds or {})
        return {"type": "scipy", "name": self.name, "args": list(self.args), "kwds": kwds}

    def _frozen(self) -> Any:
        from scipy import stats

        family = getattr(stats, self.name, None)
        if not isinstance(family, stats.rv_continuous | stats.rv_discrete):
            raise ValueError(f"scipy.stats has no distribution named {self.name!r}")
        return family(*self.args, **(self.kwds or {}))

    @staticmethod
    def _plain(value: Any) -> float | int:
        return int(value) if isinstance(value, np.integer) else float(value)


def _spread(count: int, points: int) -> tuple[int, ...]:
    """Pick at most `points` of ``range(count)``, ends included."""
    if count <= points:
        return tuple(range(count))
    if points == 1:
        return (count // 2,)
    return tuple(dict.fromkeys(round(k * (count - 1) / (points - 1)) for k in range(points)))
