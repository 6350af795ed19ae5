"""Frozen values that turn into JSON and back without loss, known by the names of their types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self


class Value:
    """JSON form shared by jobs and reports: a dict of plain values with a ``"type"`` key."""

    _kinds: ClassVar[dict[str, type[Value]]] = {}
    _tuples: ClassVar[tuple[str, ...]] = ()  # fields that hold tuples of floats
    _values: ClassVar[tuple[str, ...]] = ()  # fields that hold tuples of curves or proposals

    def __init_subclass__(cls) -> None:
        """Make the type known by its name."""
        Value._kinds[cls.__name__] = cls

    def to_json(self) -> dict[str, Any]:
        """Return plain values (dict, list, str, int, float, bool, None) with a ``"type"`` key."""
        plain: dict[str, Any] = {"type": type(self).__name__}
        for each in fields(self):  # type: ignore[arg-type]  # __dataclass_fields__ has ClassVars too
            plain[each.name] = _plain(getattr(self, each.name))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild the value that `to_json` wrote.

        Raises
        ------
        ValueError
            If ``data`` is of another type or lacks a field.
        """
        if data.get("type") != cls.__name__:
            msg = f"{cls.__name__}.from_json needs type={cls.__name__!r}, got {data.get('type')!r}"
            raise ValueError(msg)
        values = {name: data[name] for name in data if name != "type"}
        for name in cls._tuples:
            values[name] = tuple(values[name])
        for name in cls._values:
            values[name] = tuple(from_json(value) for value in values.get(name, ()))
        try:
            return cls(**values)
        except TypeError as error:
            msg = f"{cls.__name__}.from_json: {error}; the data is of another version or damaged"
            raise ValueError(msg) from None


def _plain(value: object) -> object:
    if isinstance(value, Value):
        return value.to_json()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


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
    kind = kinds.get(str(data.get("type")))
    if kind is None:
        msg = f"'type' must be one of {sorted(kinds)}, got {data.get('type')!r}"
        raise ValueError(msg)
    return kind.from_json(data)


def same(left: Value, right: Value) -> bool:
    """Tell whether two values agree, NaN being equal to NaN (unlike ``==``).

    Parameters
    ----------
    left, right : job, report or curve
    """
    return json.dumps(left.to_json()) == json.dumps(right.to_json())
