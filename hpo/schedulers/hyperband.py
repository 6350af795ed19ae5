"""Hyperband in all its forms: a `BracketScheduler` with particular brackets and a particular rule.

Swift-Hyperband and Fast-Hyperband train part of a round's trials in full. A regression model then
predicts the others' losses at the end of the round from their learning curves, and only those that
are likely to be among the best are trained further.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

from hpo.brackets import (
    Bracket,
    check_curves,
    check_fraction,
    deepest_bracket,
    hyperband_epochs,
    make_bracket,
)
from hpo.schedulers._extension import check_extension
from hpo.schedulers.halving.rules import ProbabilityRule, SwiftRule
from hpo.schedulers.halving.scheduler import BracketScheduler
from hpo.searchers.base import Searcher


class Hyperband(BracketScheduler):
    """Brackets of successive halving, from many short to few long trainings.

    `BracketScheduler` describes the parameters.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.SwiftHyperband : The same with one prediction per round, which saves part of the training.
    hpo.SuccessiveHalving : One of its brackets.
    hpo.SwiftASHA : The default of ``hpo run``, which spends less than half of the epochs.
    hpo.ASHA : Asynchronous successive halving.

    References
    ----------
    Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization,
    JMLR 18 (2018), :arxiv:`1603.06560`.

    Examples
    --------
    Number of trials, epochs and best loss of a search over recorded curves:

    >>> from hpo import Hyperband
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> result = simulate(lambda searcher: Hyperband(searcher, max_resource=27), table)
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (43, 474, 0.267)
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        iterations: int = 1,
        side_by_side: bool = True,
        min_resource: int = 1,
    ) -> None:
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            iterations=iterations,
            side_by_side=side_by_side,
            min_resource=min_resource,
        )


class SuccessiveHalving(BracketScheduler):
    """One bracket: starts many trials and repeatedly keeps the best of them.

    `BracketScheduler` describes the other parameters.

    Parameters
    ----------
    n_trials : int or None, default=None
        Number of trials at the start. None: ``reduction_factor ** depth``, so that one reaches the
        end.
    depth : int or None, default=None
        Number of times that the trials are reduced. None: as often as `max_resource` and
        `min_resource` allow.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.Hyperband : Several such brackets.
    hpo.ASHA : Successive halving without rounds.

    References
    ----------
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS 2016, :arxiv:`1502.07943`.

    Examples
    --------
    >>> from hpo import SuccessiveHalving
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> result = simulate(lambda searcher: SuccessiveHalving(searcher, max_resource=27), table)
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (16, 83, 0.277)
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        n_trials: int | None = None,
        depth: int | None = None,
        min_resource: int = 1,
    ) -> None:
        deepest = deepest_bracket(max_resource, reduction_factor, min_resource)
        if depth is None:
            depth = deepest
        if n_trials is None:
            n_trials = reduction_factor ** min(max(depth, 0), deepest)
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            brackets=(make_bracket(max_resource, reduction_factor, depth, n_trials, min_resource),),
            min_resource=min_resource,
        )

    def extend(self, **settings: Any) -> None:
        """Refuse: the number of trials of each rung follows from that of the first one."""
        check_extension(self, settings, {})


class RandomSearch(BracketScheduler):
    """Trains every trial to the end; the baseline of all others.

    `BracketScheduler` describes the other parameters.

    Parameters
    ----------
    reduction_factor, min_resource : int, default=2, 1
        Used only for the default of `n_trials`.
    n_trials : int or None, default=None
        Number of trials. None: as many as Hyperband's epochs allow.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.Hyperband : Stops most trials early.
    hpo.EarlyStopping : Stops trials that are predicted not to be the best.

    Examples
    --------
    >>> from hpo import RandomSearch
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> result = simulate(
    ...     lambda searcher: RandomSearch(searcher, max_resource=27, n_trials=10),
    ...     table,
    ... )
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (10, 270, 0.277)
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        n_trials: int | None = None,
        min_resource: int = 1,
    ) -> None:
        if n_trials is None:
            epochs = hyperband_epochs(max_resource, reduction_factor, min_resource)
            n_trials = epochs // max_resource
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            brackets=(make_bracket(max_resource, reduction_factor, 0, n_trials, min_resource),),
        )
        self._n_trials = n_trials

    def extend(self, **settings: Any) -> None:
        """Train more trials (see `hpo.loop.Extendable`).

        Parameters
        ----------
        **settings
            ``n_trials``.
        """
        n_trials = check_extension(self, settings, {"n_trials": self._n_trials})["n_trials"]
        (bracket,) = self._brackets
        (rung,) = bracket.rungs
        self._open_more([Bracket((replace(rung, n_trials=n_trials - self._n_trials),))])
        self._n_trials = n_trials


class SwiftHyperband(BracketScheduler):
    """Hyperband with one prediction per round, halfway, that saves part of the training.

    `BracketScheduler` describes the other parameters.

    Parameters
    ----------
    full_fraction : float, default=0.5
        k: at least ``k * n_next`` trials of a round are trained in full, in [0, 1]; ``n_next`` is
        the number of trials that the next round needs.
    min_curves : int, default=15
        Minimum number of full curves of a rung that train its predictor; 2 or more.
    decision_fraction : float, default=0.5
        Position of the decision point within a round, in (0, 1).
    quantile : float, default=0.25
        A trial continues if its prediction is below this quantile of the full trainings' losses.
    ties : {"stable", "heapsort"}, default="stable"
        Order of equal predictions (see `SwiftRule`).

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.Hyperband : The same without predictions.
    hpo.FastHyperband : Decides after every unit.
    hpo.make_predictor : The predictors.

    References
    ----------
    Garcia Amboage et al., Model Performance Prediction for Hyperparameter Optimization of Deep
    Learning Models Using High Performance Computing and Quantum Annealing, :arxiv:`2311.17508`.

    Examples
    --------
    >>> from hpo import SwiftHyperband, make_predictor
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> predictor = make_predictor("last-value")
    >>> result = simulate(
    ...     lambda searcher: SwiftHyperband(searcher, max_resource=27, min_curves=8),
    ...     table,
    ...     predictor=predictor,
    ... )
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (43, 417, 0.267)
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
        min_resource: int = 1,
    ) -> None:
        check_fraction("full_fraction", full_fraction, ends=True)
        check_fraction("decision_fraction", decision_fraction, ends=False)
        check_fraction("quantile", quantile, ends=True)
        check_curves(min_curves, max_curves)
        if ties not in ("stable", "heapsort"):
            raise ValueError(f"ties must be 'stable' or 'heapsort', got {ties!r}")
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            seed=seed,
            rule=SwiftRule(full_fraction, min_curves, decision_fraction, quantile, ties),
            iterations=iterations,
            side_by_side=side_by_side,
            train_ahead=train_ahead,
            retrain=retrain,
            max_curves=max_curves,
            min_resource=min_resource,
        )

    @classmethod
    def as_published(
        cls, searcher: Searcher, *, max_resource: int, reduction_factor: int = 2, seed: int = 0
    ) -> Self:
        """Return the scheduler with the settings of the paper's experiments.

        Brackets run one after the other, a predictor is trained once for each pair of rung and
        decision point, and workers idle rather than train ahead. On one worker, the order of jobs
        is that of the reference implementation.

        Parameters
        ----------
        searcher : Searcher
            Proposes configurations.
        max_resource, reduction_factor, seed : int, default of reduction_factor and seed=2, 0
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


class FastHyperband(BracketScheduler):
    """Hyperband that stops a trial when it is unlikely to survive its round.

    In a round, as many trials as the next one needs (and as many as train a predictor) are trained
    in full; the worst of the best ``n_next`` of them defines the cut. After each unit, another
    trial stops if the predicted probability that its loss makes the cut is below a threshold.
    `BracketScheduler` describes the other parameters.

    Parameters
    ----------
    threshold : float, default=0.05
        Probability below which a trial stops, in [0, 1].
    min_curves : int, default=15
        Minimum number of full curves of a rung that train its predictor; 2 or more.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.SwiftHyperband : Decides once per round.
    hpo.Hyperband : The same without predictions.
    hpo.make_predictor : The predictors.

    References
    ----------
    Baker et al., Accelerating Neural Architecture Search using Performance Prediction,
    :arxiv:`1705.10823`.

    Examples
    --------
    >>> from hpo import FastHyperband, make_predictor
    >>> from hpo.simulation import simulate
    >>> from hpo.simulation.synthetic import synthetic_table
    >>> table = synthetic_table(60, 27, seed=0)
    >>> predictor = make_predictor("last-value")
    >>> result = simulate(
    ...     lambda searcher: FastHyperband(searcher, max_resource=27, min_curves=8),
    ...     table,
    ...     predictor=predictor,
    ... )
    >>> len(result.summary.trials), result.summary.epochs, round(result.summary.best.last_loss, 3)
    (43, 396, 0.267)
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
        min_resource: int = 1,
    ) -> None:
        check_fraction("threshold", threshold, ends=True)
        check_curves(min_curves, max_curves)
        super().__init__(
            searcher,
            max_resource=max_resource,
            reduction_factor=reduction_factor,
            seed=seed,
            rule=ProbabilityRule(threshold, min_curves),
            iterations=iterations,
            side_by_side=side_by_side,
            max_curves=max_curves,
            min_resource=min_resource,
        )
