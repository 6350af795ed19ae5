"""Swift-Hyperband: Hyperband with one prediction a round that spares part of the training.

In a round, the first trials are trained in full and the others halfway. A regression model then
predicts the others' losses at the round's end from their learning curves; only those that promise
to be among the best, and as many as the next round needs, are trained on.
"""

from __future__ import annotations

from typing import Literal, Self

from hpo.schedulers.freeze_thaw import FAST_BUDGET_FRACTION, SynchronousSwift
from hpo.schedulers.halving.rules import SwiftRule
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler
from hpo.schedulers.hyperband import repeated_brackets
from hpo.searchers.base import Searcher


class SwiftHyperband(BracketScheduler):
    """Hyperband that predicts within its rounds.

    Its decisions depend on losses and predictions alone, neither on the number of workers nor on
    the order of reports.

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
    full_fraction : float
        k: at least ``k * n_next`` trials of a round are trained in full, in [0, 1].
    min_curves : int
        Full curves of a rung that train its predictor at least; 2 or more.
    decision_fraction : float
        Where in a round the decision falls, in (0, 1).
    quantile : float
        A trial goes on when its prediction is below this quantile of the round's full losses.
    iterations : int
        How often all brackets are run, with new trials each time.
    side_by_side : bool
        Open the next bracket while an earlier one waits.
    train_ahead : bool
        Let workers that would idle train the most promising waiting trials ahead of their
        decision. Decisions stay the same; epochs are traded for wall-clock time.
    retrain : bool
        Train the predictor of a rung anew for each decision, not only the first time.
    max_curves : int
        At most so many curves, the latest, train a predictor.
    ties : {"stable", "heapsort"}
        Order of equal predictions (see `SwiftRule`).

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Garcia Amboage et al., Model Performance Prediction for Hyperparameter Optimization of Deep
    Learning Models Using High Performance Computing and Quantum Annealing, arXiv 2311.17508.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        full_fraction: float = 0.5,
        min_curves: int = 15,
        decision_fraction: float = 0.5,
        quantile: float = 0.25,
        iterations: int = 1,
        side_by_side: bool = True,
        train_ahead: bool = True,
        retrain: bool = True,
        max_curves: int = 200,
        ties: Literal["stable", "heapsort"] = "stable",
    ) -> None:
        check_fraction("full_fraction", full_fraction, ends=True)
        check_fraction("decision_fraction", decision_fraction, ends=False)
        check_fraction("quantile", quantile, ends=True)
        check_curves(min_curves, max_curves)
        if ties not in ("stable", "heapsort"):
            raise ValueError(f"ties must be 'stable' or 'heapsort', got {ties!r}")
        rule = SwiftRule(full_fraction, min_curves, decision_fraction, quantile, ties)
        options = BracketOptions(side_by_side, train_ahead, retrain, max_curves, seed)
        brackets = repeated_brackets(max_resource, reduction_factor, iterations)
        super().__init__(brackets, reduction_factor, searcher, rule, options)

    @staticmethod
    def recommended(
        searcher: Searcher, *, max_resource: int, reduction_factor: int = 2, seed: int = 0
    ) -> SynchronousSwift:
        """Return the form that we recommend: less than half of Hyperband's epochs.

        It needs a predictor that forecasts, such as `hpo.predictors.MixedPredictor`, and does
        best with a `hpo.searchers.CurveSearcher`.

        Parameters
        ----------
        searcher : Searcher
            Gives configurations.
        max_resource, reduction_factor, seed : int
            As in the class.
        """
        return SynchronousSwift(
            searcher, max_resource=max_resource, reduction_factor=reduction_factor, seed=seed
        )

    @staticmethod
    def fast(
        searcher: Searcher, *, max_resource: int, reduction_factor: int = 2, seed: int = 0
    ) -> SynchronousSwift:
        """Return the recommended form with less than a third of Hyperband's epochs.

        Parameters
        ----------
        searcher : Searcher
            Gives configurations.
        max_resource, reduction_factor, seed : int
            As in the class.
        """
        return SynchronousSwift(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            seed=seed,
            budget_fraction=FAST_BUDGET_FRACTION,
        )

    @classmethod
    def as_published(
        cls, searcher: Searcher, *, max_resource: int, reduction_factor: int = 2, seed: int = 0
    ) -> Self:
        """Return the form of the paper's experiments.

        Brackets run one after the other, a predictor is trained once for each pair of rung and
        decision point, and workers idle rather than train ahead. On one worker, the order of jobs
        is that of the reference implementation.

        Parameters
        ----------
        searcher : Searcher
            Gives configurations.
        max_resource, reduction_factor, seed : int
            As in the class.
        """
        return cls(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            seed=seed,
            side_by_side=False,
            train_ahead=False,
            retrain=False,
            ties="heapsort",
        )


def check_fraction(name: str, value: float, *, ends: bool) -> None:
    """Check that a setting lies between 0 and 1, the ends included or not.

    Raises
    ------
    ValueError
        If it does not.
    """
    if not (0 <= value <= 1 if ends else 0 < value < 1):
        interval = "[0, 1]" if ends else "(0, 1)"
        raise ValueError(f"{name} must lie in {interval}, got {value!r}")


def check_curves(min_curves: int, max_curves: int) -> None:
    """Check the bounds on the curves that train a predictor.

    Raises
    ------
    ValueError
        If `min_curves` is below 2, or `max_curves` below `min_curves`.
    """
    if min_curves < 2:
        raise ValueError(f"min_curves must be at least 2, got {min_curves!r}")
    if max_curves < min_curves:
        raise ValueError(f"max_curves must be at least min_curves={min_curves}, got {max_curves!r}")
