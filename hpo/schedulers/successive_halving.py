"""Successive halving: one bracket."""

from __future__ import annotations

from hpo.brackets import check_resources, floor_log, make_bracket
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler
from hpo.searchers.base import Searcher


class SuccessiveHalving(BracketScheduler):
    """Starts many trials, and again and again keeps the best of them.

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
    n_trials : int or None
        Trials at the start. None: ``reduction_factor ** depth``, so that one reaches the end.
    depth : int or None
        How often the trials are cut. None: as often as `max_resource` allows.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS 2016.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        n_trials: int | None = None,
        depth: int | None = None,
    ) -> None:
        check_resources(max_resource, reduction_factor)
        if depth is None:
            depth = floor_log(max_resource, reduction_factor)
        if n_trials is None:
            n_trials = reduction_factor ** max(depth, 0)
        bracket = make_bracket(max_resource, reduction_factor, depth, n_trials)
        super().__init__((bracket,), reduction_factor, searcher, None, BracketOptions(seed=seed))
