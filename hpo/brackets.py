"""Rungs and brackets in integer arithmetic, and checks of settings and options.

``floor(log(243, 3))`` is 4 in floating point; here it is 5, since only integers are used.

>>> floor_log(243, 3)
5
>>> [(rung.n_trials, rung.resource) for rung in hyperband_brackets(9, 3)[0].rungs]
[(9, 1), (3, 3), (1, 9)]
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

MAX_INTEGER = 2**63 - 1
"""Largest integer that a setting may have: that of 64 bits."""
MAX_RESOURCE = 10**6
"""Most resource units of a trial: one loss is kept for each."""
MAX_ITERATIONS = 10_000
"""Most runs through all brackets, which are planned at the start."""


@dataclass(frozen=True)
class Rung:
    """One round of a bracket.

    Attributes
    ----------
    n_trials : int
        Number of trials that enter it.
    resource : int
        Total resource of each trial when they are compared.

    Examples
    --------
    >>> from hpo.brackets import Rung
    >>> Rung(n_trials=9, resource=1)
    Rung(n_trials=9, resource=1)
    """

    n_trials: int
    resource: int


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving.

    Attributes
    ----------
    rungs : tuple of Rung
        Rungs in ascending order of resource; the last one has the maximum resource.

    See Also
    --------
    hpo.brackets.hyperband_brackets : The brackets of Hyperband.

    Examples
    --------
    >>> from hpo.brackets import Bracket, Rung
    >>> bracket = Bracket((Rung(9, 1), Rung(3, 3), Rung(1, 9)))
    >>> bracket.n_trials, bracket.epochs
    (9, 21)
    """

    rungs: tuple[Rung, ...]

    @property
    def n_trials(self) -> int:
        """Number of trials that the bracket starts."""
        return self.rungs[0].n_trials

    @property
    def epochs(self) -> int:
        """Resource units that plain successive halving spends on the bracket."""
        before = (0, *(rung.resource for rung in self.rungs))
        steps = zip(self.rungs, before[:-1], strict=True)
        return sum(rung.n_trials * (rung.resource - start) for rung, start in steps)

    def of_size(self, n_trials: int, reduction_factor: int) -> Bracket:
        """Return the bracket with the same rungs that starts another number of trials.

        Parameters
        ----------
        n_trials : int
            At least 1.
        reduction_factor : int
            Halving rate, eta.
        """
        return Bracket(
            tuple(
                Rung(max(n_trials // reduction_factor**power, 1), rung.resource)
                for power, rung in enumerate(self.rungs)
            )
        )


def floor_log(value: int, base: int) -> int:
    """Return the largest ``k`` with ``base**k <= value``.

    Parameters
    ----------
    value : int
        At least 1.
    base : int
        At least 2.
    """
    power = 0
    while value >= base:
        value //= base
        power += 1
    return power


def round_half_even(numerator: int, denominator: int) -> int:
    """Return the integer nearest to ``numerator / denominator``, the even one of two."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


def check_resources(max_resource: int, reduction_factor: int, min_resource: int = 1) -> None:
    """Check the settings that all multi-fidelity schedulers share.

    Raises
    ------
    ValueError
        If `max_resource` is no integer from 1 to a million, `reduction_factor` none of at least 2,
        or `min_resource` none from 1 to `max_resource`.
    """
    check_integer("max_resource (maximum resource per trial)", max_resource, 1, MAX_RESOURCE)
    check_integer("reduction_factor (halving rate)", reduction_factor, 2)
    if type(min_resource) is not int or not 1 <= min_resource <= max_resource:
        raise ValueError(
            f"min_resource must lie in 1..{max_resource} (max_resource), got {brief(min_resource)}"
        )


def check_iterations(iterations: int) -> None:
    """Check `iterations`, the number of runs through all brackets.

    Raises
    ------
    ValueError
        If it is no integer from 1 to 10,000.
    """
    check_integer("iterations", iterations, 1, MAX_ITERATIONS)


def check_integer(name: str, value: object, least: int, most: int = MAX_INTEGER) -> None:
    """Check an integer setting.

    Parameters
    ----------
    name : str
        Name of the setting, with its meaning if that helps the reader of the error message.
    value : object
        Its value.
    least, most : int, default of most=9223372036854775807
        Lowest and highest valid value.

    Raises
    ------
    ValueError
        If the value is no integer, too low or too high.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {brief(value)}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {brief(value)}; take fewer")


def check_options(
    owner: str,
    build: Callable[..., Any],
    options: Mapping[str, Any],
    valid: Sequence[str],
    elsewhere: Mapping[str, str] | None = None,
) -> None:
    """Check options that are given by name and as plain values, before anything is built of them.

    Parameters
    ----------
    owner : str
        Whose options they are, for the error message.
    build : callable
        What they are passed to; a value must be of a type that the signature names.
    options : Mapping
        The options.
    valid : sequence of str
        Names of the options that it takes.
    elsewhere : Mapping, default=None
        Names that are no options, each with where it is set instead.

    Raises
    ------
    ValueError
        If a name is unknown (the message lists the valid ones) or a value is of another type.
    """
    for name in options:
        if elsewhere and name in elsewhere:
            raise ValueError(f"{name} is not an option of {owner}; set it by {elsewhere[name]}")
    if unknown := sorted(set(options) - set(valid)):
        takes = f"takes the options {', '.join(valid)}" if valid else "takes no options"
        raise ValueError(f"{owner} {takes}; got {', '.join(unknown)}")
    parameters = inspect.signature(build).parameters
    for name, value in options.items():
        if name in parameters:
            _check_type(f"{owner}: {name}", value, str(parameters[name].annotation))


_WORDS = {
    "int": "an integer of at most 64 bits",
    "float": "a finite number",
    "bool": "true or false",
    "str": "text",
    "None": "None (null)",
}


def _check_type(name: str, value: object, annotation: str) -> None:
    kinds = annotation.split(" | ")
    if not set(kinds) <= set(_WORDS):
        return  # checked by its owner
    match value:
        case None:
            fits = "None" in kinds
        case bool():
            fits = "bool" in kinds
        case str():
            fits = "str" in kinds
        case Integral():
            fits = not {"int", "float"}.isdisjoint(kinds) and abs(int(value)) <= MAX_INTEGER
        case Real():
            fits = "float" in kinds and math.isfinite(value)
        case _:
            fits = False
    if not fits:
        rule = " or ".join(_WORDS[kind] for kind in kinds)
        raise ValueError(f"{name} must be {rule}, got {brief(value)}")


def brief(value: object) -> str:
    """Return a value for an error message: its repr, cut where it is long.

    Parameters
    ----------
    value : object
    """
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "an integer of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_fraction(name: str, value: float, *, ends: bool) -> None:
    """Check that a setting lies between 0 and 1.

    Parameters
    ----------
    name : str
        Name of the setting, for the error message.
    value : float
        Its value.
    ends : bool
        Whether 0 and 1 are valid.

    Raises
    ------
    ValueError
        If it does not.
    """
    if not (0 <= value <= 1 if ends else 0 < value < 1):
        interval = "[0, 1]" if ends else "(0, 1)"
        raise ValueError(f"{name} must lie in {interval}, got {value!r}")


def check_curves(min_curves: int, max_curves: int) -> None:
    """Check the bounds on the number of curves that train a predictor.

    Raises
    ------
    ValueError
        If `min_curves` is below 2, or `max_curves` below `min_curves`.
    """
    if min_curves < 2:
        raise ValueError(f"min_curves must be at least 2, got {min_curves!r}")
    if max_curves < min_curves:
        raise ValueError(f"max_curves must be at least min_curves={min_curves}, got {max_curves!r}")


def deepest_bracket(max_resource: int, reduction_factor: int, min_resource: int = 1) -> int:
    """Return how often trials can be reduced: the largest ``s`` with ``min * eta**s <= max``.

    Parameters
    ----------
    max_resource, reduction_factor, min_resource : int, default of min_resource=1
        As for `hyperband_brackets`.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Examples
    --------
    >>> deepest_bracket(81, 3), deepest_bracket(81, 3, min_resource=5)
    (4, 2)
    """
    check_resources(max_resource, reduction_factor, min_resource)
    return floor_log(max_resource // min_resource, reduction_factor)


def make_bracket(
    max_resource: int, reduction_factor: int, depth: int, n_trials: int, min_resource: int = 1
) -> Bracket:
    """Build the bracket with ``depth + 1`` rungs that starts `n_trials` trials.

    Parameters
    ----------
    max_resource, reduction_factor : int
        R and eta.
    depth : int
        s: number of times that the trials are reduced, from 0 to `deepest_bracket`.
    n_trials : int
        Number of trials at the first rung, at least 1.
    min_resource : int, default=1
        Least resource of a rung, r.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    deepest = deepest_bracket(max_resource, reduction_factor, min_resource)
    check_integer("n_trials", n_trials, 1)
    if not 0 <= depth <= deepest:
        least = f", min_resource={min_resource}" if min_resource > 1 else ""
        raise ValueError(
            f"depth must lie in 0..{deepest} for max_resource={max_resource}{least} and "
            f"reduction_factor={reduction_factor}, got {depth}"
        )
    rungs = (
        Rung(
            n_trials=max(n_trials // reduction_factor**i, 1),
            resource=round_half_even(max_resource, reduction_factor ** (depth - i)),
        )
        for i in range(depth + 1)
    )
    return Bracket(tuple(rungs))


def hyperband_brackets(
    max_resource: int, reduction_factor: int, min_resource: int = 1
) -> tuple[Bracket, ...]:
    """Build Hyperband's brackets, the one with the most trials first.

    Parameters
    ----------
    max_resource : int
        Maximum resource per trial, R; at least 1.
    reduction_factor : int
        Halving rate, eta: the best 1/eta of the trials survive a rung; at least 2.
    min_resource : int, default=1
        Least resource of a rung, r: no trial is given up before. There are fewer brackets then,
        and the smallest resource is the lowest ``R / eta**s`` from r on.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., Hyperband, JMLR 18 (2018), algorithm 1 (whose r is 1).

    Examples
    --------
    >>> [[rung.resource for rung in bracket.rungs] for bracket in hyperband_brackets(9, 3, 2)]
    [[3, 9], [9]]
    """
    deepest = deepest_bracket(max_resource, reduction_factor, min_resource)
    brackets = []
    for depth in range(deepest, -1, -1):
        n_trials = -(-(deepest + 1) * reduction_factor**depth // (depth + 1))  # rounded up
        brackets.append(make_bracket(max_resource, reduction_factor, depth, n_trials, min_resource))
    return tuple(brackets)


def hyperband_epochs(max_resource: int, reduction_factor: int, min_resource: int = 1) -> int:
    """Return the total resource that all of Hyperband's brackets spend.

    Parameters
    ----------
    max_resource, reduction_factor, min_resource : int, default of min_resource=1
        As for `hyperband_brackets`.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    brackets = hyperband_brackets(max_resource, reduction_factor, min_resource)
    return sum(bracket.epochs for bracket in brackets)


def next_length(units: int, max_resource: int, growth: float) -> int:
    """Return the next length of a geometric sequence, at least one unit more.

    Parameters
    ----------
    units : int
        Present length.
    max_resource : int
        Upper bound.
    growth : float
        Factor between two lengths, above 1.
    """
    return min(max(units + 1, round(units * growth)), max_resource)
