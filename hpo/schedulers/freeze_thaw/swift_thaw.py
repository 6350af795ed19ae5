"""Swift-Hyperband as we recommend it: Hyperband's question, answered with under half its epochs."""

from __future__ import annotations

import math

from hpo.brackets import check_iterations
from hpo.schedulers.freeze_thaw.options import FreezeThawOptions, epochs_to_spend
from hpo.schedulers.freeze_thaw.scheduler import FreezeThaw
from hpo.searchers.base import Searcher


class SynchronousSwift(FreezeThaw):
    """Swift-Hyperband's recommended mode: all trials in one pool, thawed by forecasts.

    It takes what Hyperband takes, max_resource and reduction_factor, and spends a stated share of
    the epochs that Hyperband's brackets would spend, never more. Decisions come in waves of a few
    percent of them. They depend on losses and forecasts alone, neither on the number of workers
    nor on the order of reports; for more workers than a wave has jobs, `SwiftASHA` keeps all busy.

    A job ends where the trial's losses tell enough of its last one: mostly after a unit or two more
    than before, but where first losses hardly tell anything (trials that learn slowly and end well)
    the forecasts say so, and jobs are longer, up to a quarter of `max_resource`.

    Brackets and rungs are gone on purpose: with one pool a trial of any length may thaw whenever
    the forecasts favour it, and the epochs to spend are known beforehand. ``docs/curves.md`` has
    what that gains, and the tables on which it loses.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations; with a `LearningSearcher`, such as `CurveSearcher`, they are proposed
        from the forecasts, which is where most of the gain comes from.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta of the Hyperband that `share` refers to.
    seed : int
        Of all draws.
    share : float
        Epochs to spend, as a share of Hyperband's; above 0. At least `max_resource` and ten more
        are spent, where Hyperband spends as many.
    iterations : int
        Hyperband's, for the share.
    min_resource : int
        Units of a new trial's first job; more where forecasts find that losses so early tell little
        of the last ones.
    growth : float
        From one length of a trial to the next.
    n_first : int
        Trials that start before the first forecast.
    refresh : float
        Share of the epochs between two forecasts, in a search of one iteration. With the trials a
        forecast costs more, so that the share grows with the root of the iterations.
    milestones : tuple of float
        Shares of the epochs by which the most promising trial is trained to its end.
    reserve : float
        How close to a milestone that comes, as a share of the epochs.
    n_new : int
        Configurations to propose with each forecast.
    explore : float
        New trials start until this share of the epochs is spent.
    improve : float
        Share of the choices that go to what is likeliest to beat the incumbent by a margin; the
        others go by a draw of every final loss.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Garcia Amboage et al., arXiv 2311.17508 (Swift-Hyperband); Swersky et al., Freeze-Thaw Bayesian
    Optimization, arXiv 1406.3896.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        share: float = 0.45,
        iterations: int = 1,
        min_resource: int = 1,
        growth: float = 1.5,
        n_first: int = 10,
        refresh: float = 0.015,
        milestones: tuple[float, ...] = (0.28, 0.55, 0.8, 1.0),
        reserve: float = 0.05,
        n_new: int = 24,
        explore: float = 1.0,
        improve: float = 0.85,
    ) -> None:
        check_iterations(iterations)
        options = FreezeThawOptions(
            budget=iterations * epochs_to_spend(max_resource, reduction_factor, share),
            min_resource=min_resource,
            growth=growth,
            n_first=n_first,
            refresh=min(refresh * math.sqrt(iterations), 1.0),
            milestones=tuple(milestones),
            reserve=reserve,
            n_new=n_new,
            explore=explore,
            improve=improve,
            seed=seed,
        )
        super().__init__(searcher, max_resource, options)


FAST_SHARE = 0.33
"""Share of Hyperband's epochs that the ``fast`` preset spends."""
