"""Domains from a user's specification: tables, lists, distributions of scipy and Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from hpo.brackets import brief
from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scipy
from hpo.space.values import among, plain_value

_TYPES: dict[str, type[Any]] = {
    kind.type: kind for kind in (Float, Int, Categorical, Constant, Scipy)
}


def parse_domain(name: str, spec: Any) -> Domain:
    """Build the domain of hyperparameter `name` from a specification (see `SearchSpace.from_dict`).

    Raises
    ------
    ValueError
        If the specification is invalid.
    """
    try:
        return _parse(spec)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"hyperparameter {brief(name)}: {error}") from None


def split_condition(name: str, spec: Any) -> tuple[Any, dict[str, tuple[Any, ...]]]:
    """Separate a table's ``when`` from the domain (see `SearchSpace.from_dict`).

    Returns
    -------
    tuple
        Specification of the domain; for each parent the values that it must have.

    Raises
    ------
    ValueError
        If ``when`` is no table, or an empty one.
    """
    if not isinstance(spec, Mapping) or "when" not in spec:
        return spec, {}
    when = spec["when"]
    if not isinstance(when, Mapping) or not when:
        raise ValueError(
            f"hyperparameter {brief(name)}: when must be a table of other hyperparameters and the "
            f"values that they must have, such as {{'optimizer': 'sgd'}}, got {brief(when)}"
        )
    rule = {str(parent): _values(values) for parent, values in when.items()}
    return {key: value for key, value in spec.items() if key != "when"}, rule


def _values(values: Any) -> tuple[Any, ...]:
    """Return one value or a list of them as a tuple, each value once."""
    values = plain_value(values)
    several = values if isinstance(values, tuple) else (values,)
    return tuple(v for place, v in enumerate(several) if not among(v, several[:place]))


def _parse(spec: Any) -> Domain:
    if isinstance(spec, Domain):
        return spec
    if isinstance(spec, Mapping):
        return _from_table(spec)
    if isinstance(spec, list | tuple | range) or (isinstance(spec, np.ndarray) and spec.ndim):
        return _from_sequence(spec)
    if hasattr(spec, "rvs") and hasattr(spec, "dist"):
        return Scipy(spec.dist.name, tuple(spec.args), dict(spec.kwds))
    if type(spec).__name__.endswith("Distribution"):
        return _from_optuna(spec)
    return Constant(spec)


def _from_sequence(spec: Any) -> Domain:
    if isinstance(spec, range) and spec and spec.step > 0:
        return Int(spec[0], spec[-1], step=spec.step if len(spec) > 1 else 1)
    if isinstance(spec, tuple):
        _check_no_range(spec)
    return Categorical(spec)


def _check_no_range(spec: tuple[Any, ...]) -> None:
    """Check that a tuple cannot be taken for the ends of a range, as skopt's are.

    Raises
    ------
    ValueError
        If it is two ascending numbers, or these and the name of a prior.
    """
    ends = [plain_value(value) for value in spec]
    if len(ends) == 3 and isinstance(ends[2], str) and ends[2].endswith("uniform"):
        ends.pop()
    is_pair = len(ends) == 2 and all(isinstance(v, int | float) for v in ends)
    if not is_pair or any(isinstance(v, bool) for v in ends) or not ends[0] < ends[1]:
        return
    low, high = ends
    kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    log = ', "log": True' if low > 0 and (kind == "float" or len(spec) == 3) else ""
    raise ValueError(
        f"{spec!r} may be a range or two choices; write "
        f'{{"type": "{kind}", "low": {low}, "high": {high}{log}}} for a range, or the list '
        f"[{low}, {high}] for two choices"
    )


def _from_table(table: Mapping[str, Any]) -> Domain:
    kind = _TYPES.get(str(table.get("type")))
    if kind is None:
        raise ValueError(f"type must be one of {', '.join(_TYPES)}, got {brief(table.get('type'))}")
    options = {
        key: tuple(value) if isinstance(value, list) else plain_value(value)
        for key, value in table.items()
        if key != "type"
    }
    names = [field.name for field in fields(kind)]
    required = [field.name for field in fields(kind) if field.default is MISSING]
    if missing := [name for name in required if name not in options]:
        raise ValueError(
            f"{table['type']} needs {', '.join(required)}; {', '.join(missing)} is missing"
        )
    if unknown := sorted(brief(name) for name in options if name not in names):
        raise ValueError(
            f"{table['type']} takes {', '.join(names)} and when, got {', '.join(unknown)}"
        )
    domain: Domain = kind(**options)
    return domain


def _from_optuna(spec: Any) -> Domain:
    kind = type(spec).__name__
    if kind == "FloatDistribution":
        return Float(spec.low, spec.high, spec.log, spec.step)
    if kind == "IntDistribution":
        single = spec.low == spec.high
        return Int(spec.low, spec.high, spec.log, 1 if single else spec.step)
    if kind == "CategoricalDistribution":
        return Categorical(tuple(spec.choices))
    raise ValueError(f"{kind} is not known; use float, int or categorical")
