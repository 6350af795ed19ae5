"""Swift-ASHA: no rounds, no waiting; every free worker trains what may turn out best."""

from __future__ import annotations

from hpo.schedulers.freeze_thaw.options import FreezeThawOptions, epochs_to_spend
from hpo.schedulers.freeze_thaw.scheduler import FreezeThaw
from hpo.searchers.base import Searcher


class SwiftASHA(FreezeThaw):
    """Asynchronous search by forecasts of learning curves.

    A free worker gets a job at once: it thaws the trial, or starts the new configuration, whose
    final loss, drawn from the latest forecast, is lowest. Forecasts are made beside the training.
    Decisions depend on the order in which reports come, as in ASHA.

    Towards the end, when there is about one full training's worth of epochs left for each worker,
    more and more of the workers train the most promising trials to their end side by side, in ever
    shorter jobs, so that all workers stop at about the same time. Trials that others overtake are
    passed over then: how slow one is shows in what is reported while it trains.

    Parameters
    ----------
    searcher : Searcher
        Gives configurations; with a `LearningSearcher` they are proposed from the forecasts.
    max_resource : int
        R, the most units that one trial is trained.
    reduction_factor : int
        eta of the Hyperband that `share` refers to.
    seed : int
        Of all draws.
    share : float
        Epochs to spend, as a share of Hyperband's with the same R and eta; above 0.
    max_epochs : int or None
        Epochs to spend, in place of `share`; with many workers more than Hyperband's are worth
        while, since time is what counts then. No search ends sooner than one full training, which
        keeps `n` workers busy with ``n * max_resource`` epochs, and not with fewer.
    min_resource : int
        Units of a new trial's first job; more where forecasts find that losses so early tell little
        of the last ones.
    growth : float
        From one length of a trial to the next.
    max_step : int or None
        Units of a job at most, fewer towards the end; None: an eighth of `max_resource`.
    n_first : int
        Trials that start before the first forecast.
    refresh : float
        A forecast is made after this share of the epochs.
    reserve : float
        The most promising trial is finished before less than this share of the epochs is left.
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
    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (ASHA); Swersky et
    al., Freeze-Thaw Bayesian Optimization, arXiv 1406.3896; the future work of Garcia Amboage et
    al., arXiv 2311.17508.
    """

    def __init__(  # noqa: PLR0913 - settings of a method, all by keyword
        self,
        searcher: Searcher,
        *,
        max_resource: int,
        reduction_factor: int = 2,
        seed: int = 0,
        share: float = 0.45,
        max_epochs: int | None = None,
        min_resource: int = 1,
        growth: float = 1.5,
        max_step: int | None = None,
        n_first: int = 10,
        refresh: float = 0.03,
        reserve: float = 0.05,
        n_new: int = 24,
        explore: float = 1.0,
        improve: float = 0.85,
    ) -> None:
        options = FreezeThawOptions(
            budget=epochs_to_spend(max_resource, reduction_factor, share, max_epochs),
            together=False,
            min_resource=min_resource,
            growth=growth,
            max_step=max(max_resource // 8, 1) if max_step is None else max_step,
            n_first=n_first,
            refresh=refresh,
            reserve=reserve,
            n_new=n_new,
            explore=explore,
            improve=improve,
            seed=seed,
        )
        super().__init__(searcher, max_resource, options)
