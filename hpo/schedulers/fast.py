"""Fast-Hyperband: a decision after every unit of training."""

from __future__ import annotations

from hpo.schedulers.halving.rules import ProbabilityRule
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler
from hpo.schedulers.hyperband import repeated_brackets
from hpo.schedulers.swift import check_curves, check_fraction
from hpo.searchers.base import Searcher


class FastHyperband(BracketScheduler):
    """Hyperband that stops a trial once it is unlikely to survive its round.

    In a round, as many trials as the next one needs (and as many as train a predictor) are trained
    in full; the worst of the best ``n_next`` of them sets the cut. After each unit, another trial
    stops when the predicted probability that its loss makes the cut is below a threshold.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta: one of how many trials goes on.
    seed : int
        For predictors that draw random numbers.
    threshold : float
        Probability below which a trial stops, in [0, 1].
    min_curves : int
        Full curves of a rung that train its predictor at least; 2 or more.
    iterations : int
        How often all brackets are run, with new trials each time.
    side_by_side : bool
        Open the next bracket while an earlier one waits.
    max_curves : int
        At most so many curves, the latest, train a predictor.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Baker et al., Accelerating Neural Architecture Search using Performance Prediction,
    arXiv 1705.10823.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        threshold: float = 0.05,
        min_curves: int = 15,
        iterations: int = 1,
        side_by_side: bool = True,
        max_curves: int = 200,
    ) -> None:
        check_fraction("threshold", threshold, ends=True)
        check_curves(min_curves, max_curves)
        options = BracketOptions(side_by_side=side_by_side, max_curves=max_curves, seed=seed)
        brackets = repeated_brackets(max_resource, reduction_factor, iterations)
        rule = ProbabilityRule(threshold, min_curves)
        super().__init__(brackets, reduction_factor, searcher, rule, options)
