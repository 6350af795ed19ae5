"""The predictions that rounds wait for: requests, training curves and answers."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from hpo.schedulers._trials import TrialStore, mix_seed
from hpo.schedulers.halving.rounds import CurvePool, Round
from hpo.schedulers.halving.rules import RoundRule
from hpo.trial import Event, PredictFailure, PredictJob, PredictReport


class Predictions:
    """Creates prediction jobs and applies their reports.

    Parameters
    ----------
    trials : TrialStore
        Trials of the search.
    pool : CurvePool
        Curves that train the predictors.
    rule : RoundRule
        Decides by the predictions.
    retrain : bool
        Train a predictor anew for each decision, not only the first time.
    seed : int
        Seed of the random numbers that predictors draw.
    """

    def __init__(
        self, trials: TrialStore, pool: CurvePool, rule: RoundRule, *, retrain: bool, seed: int
    ) -> None:
        self._trials = trials
        self._pool = pool
        self._rule = rule
        self._retrain = retrain
        self._seed = seed
        self._due: deque[PredictJob] = deque()
        self._requested: dict[int, tuple[Round, list[int], PredictJob]] = {}

    def pop(self) -> PredictJob | None:
        """Hand out the next prediction, None if none is due."""
        return self._trials.predict(self._due.popleft()) if self._due else None

    def request(self, round_: Round) -> None:
        """Create the prediction jobs that a round now needs."""
        trials = round_.take_queries()
        for group in [trials] if self._rule.together else [[trial] for trial in trials]:
            if group:
                job = self._job(round_, group)
                self._requested[job.job_id] = (round_, group, job)
                self._due.append(job)

    def apply(self, report: PredictReport | PredictFailure) -> Round:
        """Let the rule decide by a report; return the round that waited for it."""
        round_, trials, job = self._requested.pop(report.job_id)
        if isinstance(report, PredictFailure):
            plan, point = round_.plan, round_.paused[trials[0]]
            round_.release(trials)
            message = f"prediction failed ({report.reason}); these trials go on as in Hyperband"
            event = Event(
                "degraded", plan.bracket, plan.rung, point, tuple(trials), message=message
            )
        else:
            numbers = zip(report.predictions, report.stds, strict=True)
            known = dict(zip((curve.trial_id for curve in job.query), numbers, strict=True))
            # A curve with a NaN or an infinity in it cannot be predicted: it counts as worst.
            answers = [known.get(trial, (math.inf, 0.0)) for trial in trials]
            mean, std = [answer[0] for answer in answers], [answer[1] for answer in answers]
            event = replace(round_.decide(self._rule, trials, mean, std), skill=report.skill)
        self._trials.events.append(event)
        return round_

    def missing(self, round_: Round) -> int:
        """Return how many more full trainings a decision needs because some failed."""
        own = len(round_.full_curves())
        earlier = len(self._pool.curves(round_.plan.bracket, round_.plan.stop))
        return max(self._rule.n_full(0, earlier + own), 1 - own)

    def _job(self, round_: Round, trials: list[int]) -> PredictJob:
        plan = round_.plan
        point = round_.paused[trials[0]]
        if self._retrain:
            train = self._pool.curves(plan.bracket, plan.stop)
        else:
            least = self._rule.n_full(0, 0)
            train = self._pool.first_curves(plan.bracket, plan.stop, point, least)
        curves = (self._trials.curve(trial, point) for trial in trials)
        return PredictJob(
            job_id=self._trials.next_job_id(),
            bracket=plan.bracket,
            rung=plan.rung,
            target=plan.stop,
            train=train,
            query=tuple(curve for curve in curves if curve is not None),
            seed=mix_seed(self._seed, plan.bracket, plan.rung, point),
        )
