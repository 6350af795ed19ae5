"""What the converters of search spaces share."""

from __future__ import annotations

import numpy as np

from hpo.space import Domain, Float, Int, Scipy, SearchSpace

_MAX_VALUES = 1000


def simplified(name: str, domain: Domain, tool: str) -> Domain:
    """Return a distribution of scipy as the range that it is even on, others as they are.

    Raises
    ------
    ValueError
        If it is another distribution of scipy, which `tool` does not have.
    """
    if not isinstance(domain, Scipy):
        return domain
    low, high = domain.support
    if domain.name == "randint":
        return Int(int(low), int(high))
    if domain.name in ("uniform", "loguniform", "reciprocal"):
        return Float(low, high, domain.name != "uniform")
    raise ValueError(
        f"hyperparameter {name!r}: scipy.stats.{domain.name} has no counterpart in {tool}; use a "
        "float, an int or choices"
    )


def check_flat(space: SearchSpace, tool: str) -> None:
    """Check that a space has no conditions, which `tool` does not take.

    Raises
    ------
    ValueError
        If it has.
    """
    if space.conditions:
        raise ValueError(
            f"a space of {tool} has no conditions, and {', '.join(map(repr, space.conditions))} "
            "have some; leave `when` out, or write the space as a function of that tool"
        )


def listed(name: str, domain: Float | Int, tool: str) -> list[float] | list[int]:
    """Return the values of a range with a step that `tool` has as a list only.

    Raises
    ------
    ValueError
        If there are more than 1,000.
    """
    if (domain.size or 0) > _MAX_VALUES:
        raise ValueError(
            f"hyperparameter {name!r}: {tool} has this range with step={domain.step} as a list "
            f"only, of at most {_MAX_VALUES} values, got {domain.size}; raise the step"
        )
    return list(domain.values())


def stepped(values: tuple[object, ...]) -> Float | Int | None:
    """Return the range with a step that evenly ascending numbers are, None for others."""
    kinds = set(map(type, values))
    if len(values) < 2 or kinds not in ({int}, {float}):
        return None
    numbers = np.array(values, dtype=float)
    steps = np.diff(numbers)
    if not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-9)):
        return None
    first, last = values[0], values[-1]
    if isinstance(first, int) and isinstance(last, int):
        return Int(first, last, step=round(steps[0]))
    return Float(float(numbers[0]), float(numbers[-1]), step=float(steps[0]))
