"""Random search: every trial gets everything."""

from __future__ import annotations

from hpo.brackets import hyperband_epochs, make_bracket
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler
from hpo.searchers.base import Searcher


class RandomSearch(BracketScheduler):
    """Trains every trial to the end; the yardstick for all others.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations.
    max_resource : int
        Units that each trial is trained.
    reduction_factor : int
        Only used to work out the default of `n_trials`.
    seed : int
        Not used: nothing is drawn but configurations.
    n_trials : int or None
        How many trials. None: as many as Hyperband's epochs would pay for.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        n_trials: int | None = None,
    ) -> None:
        if n_trials is None:
            n_trials = hyperband_epochs(max_resource, reduction_factor) // max_resource
        bracket = make_bracket(max_resource, reduction_factor, 0, n_trials)
        super().__init__((bracket,), reduction_factor, searcher, None, BracketOptions(seed=seed))
