"""Frozen values that convert to JSON and back: the base class of jobs and reports.

A field is checked by its annotation when a value is rebuilt, so that a damaged or foreign journal
is refused with the name of the field.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, get_type_hints


class Value:
    """JSON form shared by jobs and reports: a dict of plain values with a ``"type"`` key.

    Examples
    --------
    >>> from hpo.trial import Curve, Value
    >>> curve = Curve(0, {"lr": 0.1}, (0.9, 0.5))
    >>> isinstance(curve, Value), Curve.from_json(curve.to_json()) == curve
    (True, True)
    """

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


def with_tuples(config: Mapping[str, Any]) -> Mapping[str, Any]:
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
