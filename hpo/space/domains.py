"""Domains of one hyperparameter: a range of numbers, a set of choices, a distribution."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from hpo._typing import FloatArray
from hpo.brackets import brief
from hpo.space.values import Choice, among, check_value, equal, key_of, plain_value

_MAX_VALUES = 2**62
"""Bound of whole numbers, and of their count in a range: both fit into 64 bits."""


class Domain(ABC):
    """The values that one hyperparameter may take.

    See Also
    --------
    hpo.SearchSpace : Named domains.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.space.domains import Domain, Float
    >>> domain = Float(0.0, 1.0)
    >>> isinstance(domain, Domain), domain.sample(np.random.default_rng(0)) in domain
    (True, True)
    """

    type: ClassVar[str]

    @abstractmethod
    def __contains__(self, value: Any) -> bool: ...

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Any:
        """Draw one value.

        Parameters
        ----------
        rng : numpy.random.Generator
        """

    @abstractmethod
    def grid(self, points: int) -> tuple[Any, ...]:
        """Return about `points` evenly spread values."""

    @property
    def size(self) -> int | None:
        """Number of values; None if there are infinitely many."""
        return None

    @property
    def is_continuous(self) -> bool:
        """Whether no value is drawn twice, in practice."""
        return self.size is None

    def values(self) -> Sequence[Any]:
        """Return all values.

        Raises
        ------
        ValueError
            If there are infinitely many.
        """
        raise ValueError(f"{type(self).__name__} {self.to_dict()} has infinitely many values")

    def samples(self, rng: np.random.Generator, n: int) -> Sequence[Any]:
        """Draw `n` values, which differ from those that `n` calls of `sample` draw.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int
        """
        return [self.sample(rng) for _ in range(n)]

    def features_of(self, values: Sequence[Any]) -> FloatArray:
        """Return the `features` of several values, of shape (n_values, n_features).

        Parameters
        ----------
        values : sequence
        """
        rows = [self.features(value) for value in values]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.labels()))

    @abstractmethod
    def features(self, value: Any) -> tuple[float, ...]:
        """Encode a value as numbers, mostly in [0, 1]."""

    def labels(self) -> tuple[str, ...]:
        """Return a label of each number of `features`; empty text for a single number."""
        return ("",)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values from which `SearchSpace.from_dict` builds an equal domain."""
        values = asdict(self)  # type: ignore[call-overload]  # every domain is a dataclass
        return {"type": self.type, **{name: as_lists(value) for name, value in values.items()}}


def as_lists(value: Any) -> Any:
    """Return `value` with lists for its tuples, at any depth, as JSON and TOML have them."""
    return [as_lists(each) for each in value] if isinstance(value, tuple) else value


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number that a float can have."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _check_range(low: float, high: float, *, log: bool) -> None:
    got = f"got low={brief(low)}, high={brief(high)}"
    if not (_is_number(low) and _is_number(high)):
        raise ValueError(f"low and high must be finite real numbers, {got}")
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, got log={brief(log)}")
    if not low <= high:
        raise ValueError(f"low must not be above high, {got}")
    if not math.isfinite(float(high) - float(low)):
        raise ValueError(f"high - low must not exceed the largest float, {got}; narrow the range")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must not touch or cross zero, {got}; raise low")
    if log and low < high and not 1 < high / low < math.inf:
        raise ValueError(
            f"a logarithmic range must span a factor that a float can have, {got}; change one end"
        )


def _to_unit(value: float, low: float, high: float, *, log: bool) -> float:
    if low == high:
        return 0.5
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _from_unit(unit: float, low: float, high: float, *, log: bool) -> float:
    value = low * (high / low) ** unit if log else low + unit * (high - low)
    return min(max(value, low), high)


@dataclass(frozen=True)
class _Range(Domain):
    """A range of numbers."""

    low: float
    high: float
    log: bool = False

    def features(self, value: Any) -> tuple[float, ...]:
        """Return the position in the range, from 0 to 1."""
        return (_to_unit(float(value), self.low, self.high, log=self.log),)


@dataclass(frozen=True)
class Float(_Range):
    """Real numbers.

    Attributes
    ----------
    low, high : float
        Ends of the range, both included.
    log : bool, default=False
        Draw uniformly in the logarithm.
    step : float or None, default=None
        Only ``low + k * step``; not together with `log`.

    All three are kept as floats. If both ends are the same, that is the only value.

    Raises
    ------
    ValueError
        If the ends are in the wrong order or not finite, or do not fit ``log`` and ``step``.

    Examples
    --------
    >>> from hpo.space.domains import Float
    >>> Float(1e-4, 1e-1, log=True).grid(4)
    (0.0001, 0.0009999999999999998, 0.009999999999999998, 0.1)
    >>> Float(0.0, 1.0, step=0.25).values()
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """

    type: ClassVar[str] = "float"

    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, log=self.log)
        for name in ("low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.step is None:
            return
        width = self.high - self.low
        if not (_is_number(self.step) and not self.log and 0 < self.step <= (width or math.inf)):
            raise ValueError(
                f"step must lie in (0, high - low] and cannot go with log, got "
                f"step={brief(self.step)}, log={self.log}"
            )
        object.__setattr__(self, "step", float(self.step))
        if not width / self.step < _MAX_VALUES:
            raise ValueError(
                f"step must leave fewer than 2**62 values, got step={self.step} from {self.low} to "
                f"{self.high}; leave it out or raise it"
            )

    def __contains__(self, value: Any) -> bool:
        slack = 1e-9 * max(abs(self.low), abs(self.high))  # for rounding
        if not (_is_number(value) and self.low - slack <= value <= self.high + slack):
            return False
        steps = 0.0 if self.step is None else (float(value) - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6

    @property
    def size(self) -> int | None:
        """Number of values; None without a `step`, unless both ends are the same."""
        if self.low == self.high:
            return 1
        return None if self.step is None else self._n_steps(self.step)

    def values(self) -> Sequence[float]:
        """Return all values; there must be a `step`, or one value only."""
        return super().values() if self.size is None else self.grid(self.size)

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.step is not None:
            return self.low + self.step * int(rng.integers(self._n_steps(self.step)))
        return float(_from_unit(rng.random(), self.low, self.high, log=self.log))

    def grid(self, points: int) -> tuple[float, ...]:
        """Return `points` values, fewer if `step` allows no more."""
        if self.step is not None:
            picks = _spread(self._n_steps(self.step), points)
            return tuple(self.low + self.step * pick for pick in picks)
        if self.low == self.high:
            return (self.low,)
        units = np.linspace(0, 1, points) if points > 1 else [0.5]
        return tuple(_from_unit(float(u), self.low, self.high, log=self.log) for u in units)

    def _n_steps(self, step: float) -> int:
        return math.floor((self.high - self.low) / step * (1 + 1e-12)) + 1


@dataclass(frozen=True)
class Int(_Range):
    """Whole numbers.

    Attributes
    ----------
    low, high : int
        Ends of the range, both included. If both are the same, that is the only value.
    log : bool, default=False
        Draw uniformly in the logarithm.
    step : int, default=1
        Only ``low + k * step``; other than 1 not together with `log`.

    Raises
    ------
    ValueError
        If the ends are in the wrong order or do not fit ``log`` and ``step``.

    Examples
    --------
    >>> from hpo.space.domains import Int
    >>> domain = Int(16, 64, step=16)
    >>> domain.size, 32 in domain, 33 in domain
    (4, True, False)
    """

    type: ClassVar[str] = "int"

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            object.__setattr__(self, name, plain_value(getattr(self, name)))
        if any(isinstance(v, bool) or not isinstance(v, int) for v in (self.low, self.high)):
            raise ValueError(
                f"low and high of an int must be whole numbers, got {brief(self.low)}, "
                f"{brief(self.high)}"
            )
        if max(abs(self.low), abs(self.high)) > _MAX_VALUES:
            raise ValueError(
                f"low and high of an int must lie within -2**62 and 2**62, got "
                f"low={brief(self.low)}, high={brief(self.high)}; use a float or narrow the range"
            )
        _check_range(self.low, self.high, log=self.log)
        is_whole = isinstance(self.step, int) and not isinstance(self.step, bool)
        if not is_whole or not 1 <= self.step <= max(self.high - self.low, 1):
            raise ValueError(
                f"step of an int must be a whole number from 1 to high - low, got "
                f"step={brief(self.step)} from {self.low} to {self.high}"
            )
        if self.log and self.step != 1:
            raise ValueError(
                f"step cannot go with log, got step={self.step}; leave one of them out, or list "
                "the values as choices"
            )

    def __contains__(self, value: Any) -> bool:
        is_inside = _is_number(value) and float(value).is_integer()
        return is_inside and self.low <= value <= self.high and (value - self.low) % self.step == 0

    @property
    def size(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def values(self) -> Sequence[int]:
        """Return all values."""
        return range(self.low, self.high + 1, self.step)

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if not self.log:
            pick = int(rng.integers(0, self.size - 1, endpoint=True))
            return self.low + self.step * pick
        # Half a unit beyond both ends, so that the ends are as likely as their neighbours.
        value = _from_unit(rng.random(), self.low - 0.5, self.high + 0.5, log=True)
        return min(max(round(value), self.low), self.high)

    def grid(self, points: int) -> tuple[int, ...]:
        """Return at most `points` values."""
        if self.size <= points:
            return tuple(self.values())
        if self.step > 1:
            return tuple(self.low + self.step * pick for pick in _spread(self.size, points))
        units = np.linspace(0, 1, points) if points > 1 else [0.5]
        values = (round(_from_unit(float(u), self.low, self.high, log=self.log)) for u in units)
        return tuple(dict.fromkeys(values))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a `step` of 1 is left out, as in journals from before it."""
        plain = super().to_dict()
        return plain if self.step != 1 else {k: v for k, v in plain.items() if k != "step"}


@dataclass(frozen=True)
class Categorical(Domain):
    """One of some choices.

    Attributes
    ----------
    choices : tuple
        Distinct floats, ints, strings, booleans, None, or tuples of them; at least one. A list or
        an array among them becomes a tuple, a scalar of numpy one of Python.

    Raises
    ------
    ValueError
        If there is no choice, or one is no plain value.

    Examples
    --------
    >>> from hpo.space.domains import Categorical
    >>> domain = Categorical(("relu", "tanh"))
    >>> domain.size, domain.features("tanh")
    (2, (0.0, 1.0))
    """

    type: ClassVar[str] = "categorical"

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        choices = plain_value(self.choices)  # a list and an array are tuples now
        if not isinstance(choices, tuple | range):
            raise ValueError(f"choices must be a list of values, got {brief(self.choices)}")
        object.__setattr__(self, "choices", tuple(choices))
        if not self.choices:
            raise ValueError("choices must hold at least one value, got none")
        for choice in self.choices:
            check_value("each choice", choice)
        if len(set(map(key_of, self.choices))) < len(self.choices):
            raise ValueError(
                f"choices must be distinct (1 equals 1.0), got {brief(self.choices)}; leave one out"
            )

    def __contains__(self, value: Any) -> bool:
        return among(value, self.choices)

    @property
    def size(self) -> int:
        """Number of choices."""
        return len(self.choices)

    def values(self) -> Sequence[Choice]:
        """Return the choices."""
        return self.choices

    def sample(self, rng: np.random.Generator) -> Choice:
        """Draw one value."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def grid(self, points: int) -> tuple[Choice, ...]:  # noqa: ARG002 - all of them
        """Return all choices, whatever `points`."""
        return self.choices

    def features(self, value: Any) -> tuple[float, ...]:
        """Return one number per choice, 1 for the value."""
        value = plain_value(value)
        matches = [type(c) is type(value) and c == value for c in self.choices]
        if not any(matches):
            matches = [c == value for c in self.choices]
        if not any(matches):
            raise ValueError(f"{value!r} is none of the choices {self.choices!r}")
        return tuple(float(match) for match in matches)

    def labels(self) -> tuple[str, ...]:
        """Return the choices as text."""
        return tuple(str(choice) for choice in self.choices)


@dataclass(frozen=True)
class Constant(Domain):
    """Always the same value.

    Attributes
    ----------
    value : float, int, str, bool, None or a tuple of them
        The value.

    Examples
    --------
    >>> from hpo.space.domains import Constant
    >>> Constant(32).grid(3)
    (32,)
    """

    type: ClassVar[str] = "constant"

    value: Choice

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain_value(self.value))
        check_value("a constant", self.value)

    def __contains__(self, value: Any) -> bool:
        return equal(value, self.value)

    @property
    def size(self) -> int:
        """Return 1."""
        return 1

    def values(self) -> Sequence[Choice]:
        """Return the value."""
        return (self.value,)

    def sample(self, rng: np.random.Generator) -> Choice:  # noqa: ARG002 - nothing to draw
        """Return the value."""
        return self.value

    def grid(self, points: int) -> tuple[Choice, ...]:  # noqa: ARG002 - one only
        """Return the value, whatever `points`."""
        return (self.value,)

    def features(self, value: Any) -> tuple[float, ...]:  # noqa: ARG002 - tells nothing
        """Return no number."""
        return ()

    def labels(self) -> tuple[str, ...]:
        """Return no label."""
        return ()


@dataclass(frozen=True)
class Scipy(Domain):
    """A distribution of `scipy.stats`, by name.

    Attributes
    ----------
    name : str
        Such as ``"loguniform"`` or ``"norm"``.
    args, kwds : tuple, Mapping, default=(), None
        Parameters of the distribution.

    Raises
    ------
    ValueError
        If the distribution is not known or does not take the parameters.

    Examples
    --------
    >>> from hpo.space.domains import Scipy
    >>> domain = Scipy("norm", (0, 1))
    >>> domain.quantile(0.5), domain.features(0.0)
    (0.0, (0.5,))
    """

    type: ClassVar[str] = "scipy"

    name: str
    args: tuple[float, ...] = ()
    kwds: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        got = f"args={brief(self.args)}, kwds={brief(self.kwds)}"
        if not isinstance(self.name, str):
            raise ValueError(f"name of a scipy distribution must be text, got {brief(self.name)}")
        if not isinstance(self.args, list | tuple) or not isinstance(self.kwds, Mapping | None):
            raise ValueError(f"args must be a list and kwds a table of numbers, got {got}")
        object.__setattr__(self, "args", plain_value(self.args))
        plain = {name: plain_value(value) for name, value in (self.kwds or {}).items()}
        object.__setattr__(self, "kwds", plain)
        self._family  # noqa: B018 - raises where there is none
        try:
            with np.errstate(all="ignore"):
                width = float(self._frozen.std())
        except (TypeError, ValueError, ArithmeticError):
            shapes = self._family.shapes
            takes = ", ".join(
                [shapes] * bool(shapes) + ["loc"] + ["scale"] * (not self._is_discrete)
            )
            raise ValueError(
                f"scipy.stats.{self.name} takes the numbers {takes} (see its documentation), got "
                f"{got}"
            ) from None
        if math.isnan(width):
            raise ValueError(
                f"scipy.stats.{self.name} is not defined for {got}, or has no standard deviation; "
                "change them"
            )

    @property
    def size(self) -> int | None:
        """Number of values; None if it has infinitely many, as all continuous ones have."""
        low, high = self._frozen.support()
        is_finite = self._is_discrete and math.isfinite(high - low)
        return int(high - low) + 1 if is_finite else None

    @property
    def is_continuous(self) -> bool:
        """Whether it is a continuous distribution."""
        return not self._is_discrete

    def values(self) -> Sequence[int]:
        """Return all values; the distribution must have finitely many."""
        if self.size is None:
            return super().values()
        low, high = self._frozen.support()
        numbers = np.arange(int(low), int(high) + 1)
        return tuple(numbers[self._frozen.pmf(numbers) > 0].tolist())

    def sample(self, rng: np.random.Generator) -> float | int:
        """Draw one value."""
        return self._plain(self._frozen.rvs(random_state=rng))

    def samples(self, rng: np.random.Generator, n: int) -> Sequence[float | int]:
        """Draw several values at once: a call of scipy takes as long as a hundred of them.

        Parameters
        ----------
        rng : numpy.random.Generator
        n : int
            Number of values.
        """
        values: list[float | int] = self._frozen.rvs(n, random_state=rng).tolist()
        return values

    def grid(self, points: int) -> tuple[float | int, ...]:
        """Return `points` quantiles without the ends."""
        quantiles = (np.arange(points) + 0.5) / points
        return tuple(dict.fromkeys(self._plain(v) for v in self._frozen.ppf(quantiles)))

    @property
    def support(self) -> tuple[float, float]:
        """Lowest and highest value, which may be infinite."""
        low, high = self._frozen.support()
        return float(low), float(high)

    def quantile(self, unit: float) -> float | int:
        """Return the quantile at `unit`, 0 and 1 moved slightly inwards."""
        value = float(self._frozen.ppf(min(max(unit, 1e-9), 1 - 1e-9)))
        return int(value) if self._is_discrete else value

    def __contains__(self, value: Any) -> bool:
        if not _is_number(value):
            return False
        low, high = self._frozen.support()
        return bool(low <= value <= high) and (not self._is_discrete or float(value).is_integer())

    def features(self, value: Any) -> tuple[float, ...]:
        """Return the quantile, 0 to 1."""
        return (float(self._frozen.cdf(value)),)

    def features_of(self, values: Sequence[Any]) -> FloatArray:
        """Return the quantiles, of shape (n_values, 1).

        Parameters
        ----------
        values : sequence
        """
        quantiles: FloatArray = self._frozen.cdf(np.array(values, dtype=float)).reshape(-1, 1)
        return quantiles

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**super().to_dict(), "kwds": dict(self.kwds or {})}

    @cached_property
    def _frozen(self) -> Any:
        """The distribution with its parameters, which scipy takes long to build."""
        return self._family(*self.args, **(self.kwds or {}))

    @property
    def _family(self) -> Any:
        from scipy import stats

        family = getattr(stats, self.name, None)
        if not isinstance(family, stats.rv_continuous | stats.rv_discrete):
            raise ValueError(f"scipy.stats has no distribution named {brief(self.name)}")
        return family

    @cached_property
    def _is_discrete(self) -> bool:
        from scipy import stats

        return isinstance(self._family, stats.rv_discrete)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, from which the distribution is built again."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def _plain(self, value: Any) -> float | int:
        return int(value) if self._is_discrete else float(value)


def _spread(count: int, points: int) -> tuple[int, ...]:
    """Pick at most `points` of ``range(count)``, ends included."""
    if count <= points:
        return tuple(range(count))
    if points == 1:
        return (count // 2,)
    return tuple(dict.fromkeys(round(k * (count - 1) / (points - 1)) for k in range(points)))
