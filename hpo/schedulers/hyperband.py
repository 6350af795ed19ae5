"""Hyperband: successive halving with several trade-offs between many trials and long training."""

from __future__ import annotations

from hpo.brackets import Bracket, hyperband_brackets
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler
from hpo.searchers.base import Searcher


class Hyperband(BracketScheduler):
    """Runs the brackets of Hyperband, side by side where workers would idle.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta: one of how many trials goes on.
    seed : int
        Not used: nothing is drawn but configurations.
    iterations : int
        How often all brackets are run, with new trials each time.
    side_by_side : bool
        Open the next bracket while an earlier one waits for reports. The decisions are the same
        either way.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization,
    JMLR 18 (2018).
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        iterations: int = 1,
        side_by_side: bool = True,
    ) -> None:
        brackets = repeated_brackets(max_resource, reduction_factor, iterations)
        options = BracketOptions(side_by_side=side_by_side, seed=seed)
        super().__init__(brackets, reduction_factor, searcher, None, options)


def repeated_brackets(
    max_resource: int, reduction_factor: int, iterations: int
) -> tuple[Bracket, ...]:
    """Return Hyperband's brackets, `iterations` times over.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """
    check_iterations(iterations)
    return hyperband_brackets(max_resource, reduction_factor) * iterations


def check_iterations(iterations: int) -> None:
    """Check how often Hyperband's brackets are to be run.

    Raises
    ------
    ValueError
        If it is no integer of at least 1.
    """
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"iterations must be an integer of at least 1, got {iterations!r}")
