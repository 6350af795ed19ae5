"""Checks of the values in the lines of a journal, which may have any origin.

Jobs and reports are checked as they are built (`hpo.trial.Value.from_json`). Here the rest is: that
a line is a header or an entry at all, that its time is a time, that it is not nested too deeply for
those who walk through it, and the notes that this package reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from hpo.trial import TrialStatus

KINDS = ("decided", "reported", "note")
"""Kinds of entries."""

_DEEPEST = 100
_LATEST = 253_402_300_799  # end of the year 9999, the last that `datetime` knows
_DECODE = json.JSONDecoder().decode  # one for all lines: `json.loads` guesses each encoding


def decoded(payload: bytes) -> Any:
    """Return the value that a line holds.

    Parameters
    ----------
    payload : bytes
        JSON in UTF-8.

    Raises
    ------
    ValueError
        If it is not valid, or nested too deeply; the message is the reason.
    """
    try:
        value = _DECODE(payload.decode())
    except RecursionError:
        raise ValueError(f"nested more than {_DEEPEST} deep") from None
    except UnicodeDecodeError:
        raise ValueError("no valid UTF-8") from None
    except ValueError as error:
        raise ValueError(f"no valid JSON: {str(error).splitlines()[0]}") from None
    if payload.count(b"{") + payload.count(b"[") > _DEEPEST and _is_deep(value):
        raise ValueError(f"nested more than {_DEEPEST} deep")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for container in level:
            inner = container.values() if type(container) is dict else container
            below += [each for each in inner if type(each) is dict or type(each) is list]
        if not below:
            return False
        level = below
    return True


def check_header(data: Any) -> None:
    """Check the first line of a journal, of any format.

    Raises
    ------
    ValueError
        With the rule and the value.
    """
    spec = _get(data, "spec")
    _need(isinstance(_get(data, "run_id"), str), "run_id must be text", data.get("run_id"))
    _check_time("created", _get(data, "created"))
    _need(isinstance(spec, dict), "spec must be an object", spec)
    for name, value in spec.items():
        if isinstance(value, str):  # among them are paths
            _need("\0" not in value, f"{name} must be text without zero bytes", value)
        if name.endswith("_options") or name == "space":
            _need(isinstance(value, dict), f"{name} must be an object", value)
    objective = data.get("objective", {"name": "", "mode": "min"})
    _need(isinstance(objective, dict), "objective must be an object", objective)
    _need(isinstance(_get(objective, "name"), str), "its name must be text", objective["name"])
    mode = _get(objective, "mode")
    _need(mode in ("min", "max"), "mode of the objective must be 'min' or 'max'", mode)
    _need(len(objective) == 2, "objective must have a name and a mode only", objective)


def check_entry(data: Any) -> None:
    """Check a line after the first, of any format.

    Raises
    ------
    ValueError
        With the rule and the value.
    """
    if not isinstance(data, dict):
        raise ValueError(f"it must be an object, got {shown(data)}")
    kind, content = _get(data, "kind"), _get(data, "data")
    _need(kind in KINDS, f"kind must be one of {', '.join(KINDS)}", kind)
    _check_time("time", _get(data, "time"))
    _need(isinstance(content, dict), "data must be an object", content)
    where = data.get("where", {})
    _need(isinstance(where, dict), "where must be an object", where)
    if kind == "note":
        _check_note(content)


def _check_note(note: Mapping[str, Any]) -> None:
    what = note.get("what")
    rules = _NOTES.get(what, {}) if isinstance(what, str) else {}
    for name, (is_valid, rule) in rules.items():
        value = _get(note, name)
        _need(is_valid(value), f"{name} of a note on {what!r} must be {rule}", value)


def is_number(value: object) -> bool:
    """Return whether a value is a number that fits into a float."""
    return type(value) is float or (type(value) is int and abs(value) < 2**1000)


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def _is_count(value: object) -> bool:
    return is_integer(value) and value >= 0  # type: ignore[operator]  # an integer


def _is_earlier_trial(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return False
    losses = value.get("losses")
    return (
        _is_count(value.get("trial_id"))
        and isinstance(losses, list)
        and bool(losses)
        and all(is_number(loss) and math.isfinite(loss) for loss in losses)
    )


_Rule = tuple[Callable[[object], bool], str]
_COUNT: _Rule = (_is_count, "an integer from 0 on")
_POSITIVE: _Rule = (lambda value: _is_count(value) and value != 0, "an integer from 1 on")
_POSITIVE_OR_NULL: _Rule = (
    lambda value: value is None or (_is_count(value) and value != 0),
    "an integer from 1 on or null",
)
_AMOUNT: _Rule = (lambda value: is_number(value) and 0 <= value < 1e15, "a number from 0 on")  # type: ignore[operator]
_NUMBER: _Rule = (is_number, "a number")
_TEXT: _Rule = (lambda value: isinstance(value, str), "text")
_OBJECT: _Rule = (lambda value: isinstance(value, dict), "an object")
_TRIALS: _Rule = (
    lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "a list of integers from 0 on",
)
_LOSSES: _Rule = (
    lambda value: isinstance(value, list) and all(map(is_number, value)),
    "a list of numbers",
)
_CONFIGS: _Rule = (
    lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    "a list of objects",
)
_NUMBERS: _Rule = (
    lambda value: isinstance(value, dict) and all(map(is_number, value.values())),
    "an object of numbers",
)
_EARLIER: _Rule = (
    lambda value: isinstance(value, list) and all(map(_is_earlier_trial, value)),
    "a list of objects with a trial_id, a config and at least one finite loss",
)
_METRICS: _Rule = (
    lambda value: isinstance(value, dict) and all(map(_LOSSES[0], value.values())),
    "an object of lists of numbers",
)
_SEGMENT = {"trial_id": _COUNT, "start": _COUNT}
_STATUSES = frozenset(TrialStatus)


def _is_state(value: object) -> bool:
    """Return whether a value is [trial, bracket, rung, status, reason]."""
    return (
        isinstance(value, list)
        and len(value) == 5
        and all(map(_is_count, value[:3]))
        and isinstance(value[3], str)
        and value[3] in _STATUSES
        and isinstance(value[4], str)
    )


def _is_known_number(value: object) -> bool:
    return value is None or is_number(value)


_EVENT: dict[str, Callable[[object], bool]] = {
    "kind": _TEXT[0],
    **dict.fromkeys(("bracket", "rung", "resource"), _is_count),
    **dict.fromkeys(("kept", "dropped"), _TRIALS[0]),
    "message": _TEXT[0],
    **dict.fromkeys(("skill", "expected_improvement"), _is_known_number),
}


def _is_event(value: object) -> bool:
    """Return whether a value holds fields of `hpo.trial.Event`, with all that have no default."""
    return (
        isinstance(value, dict)
        and {"kind", "bracket", "rung", "resource"} <= value.keys()
        and all(name in _EVENT and _EVENT[name](each) for name, each in value.items())
    )


def _list_of(is_valid: Callable[[object], bool], rule: str) -> _Rule:
    return (lambda value: isinstance(value, list) and all(map(is_valid, value)), rule)


_NOTES: dict[str, dict[str, _Rule]] = {  # what this package reads of them
    "retry": {**_SEGMENT, "reason": _TEXT},
    "restart": _SEGMENT,
    "retry-failed": {"trials": _TRIALS},
    "limits": {"max_trials": _POSITIVE_OR_NULL},
    "stopped": {"by": _TEXT},
    "removed": {"trials": _TRIALS},
    "part": {**_SEGMENT, "losses": _LOSSES},
    "leader": {"host": _TEXT, "pid": _COUNT, "n_workers": _POSITIVE},
    "metrics": {**_SEGMENT, "extra": _METRICS},
    "objective": {"name": _TEXT},
    "workers": {"n_workers": _POSITIVE},
    "initial": {"configs": _CONFIGS},
    "extended": {"settings": _NUMBERS},
    "warm-start": {"journal": _TEXT, "trials": _EARLIER},
    "state": {
        "finished": (lambda value: isinstance(value, bool), "true or false"),
        "budget": (lambda value: value is None or _is_count(value), "null or an integer from 0 on"),
        "trials": _list_of(_is_state, "a list of [trial, bracket, rung, status, reason]"),
        "events": _list_of(_is_event, "a list of events"),
    },
    "overlap": {
        "predictions": _COUNT,
        **dict.fromkeys(
            ("seconds", "capacity", "training", "predicting", "workers_waited"), _AMOUNT
        ),
    },
    "ray settings": {"settings": _OBJECT},
    "ray trial": {"ray": _TEXT, "config": _OBJECT},
    "ray result": {"trial_id": _COUNT, "unit": _COUNT, "loss": _NUMBER},
}


def _check_time(name: str, value: object) -> None:
    valid = is_number(value) and 0 <= value <= _LATEST  # type: ignore[operator]  # a number
    _need(valid, f"{name} must be in seconds since 1970", value)


def _get(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise ValueError(f"{name} is missing")
    return data[name]


def _need(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{rule}, got {shown(value)}")


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    if type(value) is int and abs(value) >= 2**256:
        return "an integer of more than 256 bits"  # Python refuses to write out the longest
    text = repr(value) if not isinstance(value, dict | list) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
