"""Rungs and brackets in integer arithmetic.

``floor(log(243, 3))`` is 4 in floating point; here it is 5, since nothing but integers is used.

>>> floor_log(243, 3)
5
>>> [(rung.n_trials, rung.resource) for rung in hyperband_brackets(9, 3)[0].rungs]
[(9, 1), (3, 3), (1, 9)]
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One round of a bracket.

    Attributes
    ----------
    n_trials : int
        Trials that enter it.
    resource : int
        Units after which they are compared (absolute).
    """

    n_trials: int
    resource: int


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving.

    Attributes
    ----------
    rungs : tuple of Rung
        From the first to the last, resources rising to the maximum.
    """

    rungs: tuple[Rung, ...]

    @property
    def n_trials(self) -> int:
        """Trials that the bracket starts."""
        return self.rungs[0].n_trials

    @property
    def epochs(self) -> int:
        """Resource units that plain successive halving spends on the bracket."""
        before = (0, *(rung.resource for rung in self.rungs))
        steps = zip(self.rungs, before[:-1], strict=True)
        return sum(rung.n_trials * (rung.resource - start) for rung, start in steps)


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


def check_resources(max_resource: int, reduction_factor: int) -> None:
    """Check the two settings that every multi-fidelity scheduler shares.

    Raises
    ------
    ValueError
        If `max_resource` is no integer of at least 1 or `reduction_factor` none of at least 2.
    """
    _check_integer("max_resource", max_resource, 1, "the most units that one trial is trained")
    _check_integer("reduction_factor", reduction_factor, 2, "one of how many trials goes on")


def _check_integer(name: str, value: object, least: int, meaning: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name} ({meaning}) must be an integer of at least {least}, got {value!r}"
        )


def make_bracket(max_resource: int, reduction_factor: int, depth: int, n_trials: int) -> Bracket:
    """Build the bracket with ``depth + 1`` rungs that starts `n_trials` trials.

    Parameters
    ----------
    max_resource, reduction_factor : int
        R and eta.
    depth : int
        s: how often the trials are cut, from 0 to ``floor_log(R, eta)``.
    n_trials : int
        Trials at the first rung, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    check_resources(max_resource, reduction_factor)
    _check_integer("n_trials", n_trials, 1, "trials that the bracket starts")
    deepest = floor_log(max_resource, reduction_factor)
    if not 0 <= depth <= deepest:
        raise ValueError(
            f"depth must lie in 0..{deepest} for max_resource={max_resource} and "
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


def hyperband_brackets(max_resource: int, reduction_factor: int) -> tuple[Bracket, ...]:
    """Build Hyperband's brackets, the most eager to cut first.

    Parameters
    ----------
    max_resource : int
        R, the most units that one trial is trained; at least 1.
    reduction_factor : int
        eta, one of how many trials goes on; at least 2.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., Hyperband, JMLR 18 (2018), algorithm 1.
    """
    check_resources(max_resource, reduction_factor)
    deepest = floor_log(max_resource, reduction_factor)
    brackets = []
    for depth in range(deepest, -1, -1):
        n_trials = -(-(deepest + 1) * reduction_factor**depth // (depth + 1))  # rounded up
        brackets.append(make_bracket(max_resource, reduction_factor, depth, n_trials))
    return tuple(brackets)


def hyperband_epochs(max_resource: int, reduction_factor: int) -> int:
    """Return the units that all of Hyperband's brackets spend.

    Parameters
    ----------
    max_resource, reduction_factor : int
        As for `hyperband_brackets`.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    return sum(bracket.epochs for bracket in hyperband_brackets(max_resource, reduction_factor))


def next_length(units: int, max_resource: int, growth: float) -> int:
    """Return the length to train to: half as much again, say, and at least one unit more.

    Parameters
    ----------
    units : int
        Trained so far.
    max_resource : int
        The most.
    growth : float
        Factor, above 1.
    """
    return min(max(units + 1, round(units * growth)), max_resource)
