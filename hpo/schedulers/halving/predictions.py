"""The predictions that rounds wait for: who asked, with which curves, and what came of it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from hpo.schedulers._trials import TrialStore
from hpo.schedulers.halving.rounds import CurvePool, Round
from hpo.schedulers.halving.rules import RoundRule
from hpo.trial import Curve, Event, ModelJob, PredictFailure, PredictJob, PredictReport


class Predictions:
    """Makes prediction jobs and applies their reports.

    Parameters
    ----------
    ledger, pool : TrialStore, CurvePool
        Of the search.
    rule : RoundRule
        Decides.
    retrain : bool
        Train a predictor anew for each decision, not only the first time.
    seed : int
        For predictors that draw random numbers.
    """

    def __init__(
        self, ledger: TrialStore, pool: CurvePool, rule: RoundRule, *, retrain: bool, seed: int
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._rule = rule
        self._retrain = retrain
        self._seed = seed
        self._due: deque[PredictJob] = deque()
        self._asked: dict[int, tuple[Round, list[int], PredictJob]] = {}

    def pop(self) -> ModelJob | None:
        """Hand out the next prediction, None where none is due."""
        return self._ledger.predict(self._due.popleft()) if self._due else None

    def request(self, round_: Round) -> None:
        """Make the predictions that a round now needs."""
        trials = round_.take_queries()
        for group in [trials] if self._rule.together else [[trial] for trial in trials]:
            if group:
                job = self._job(round_, group)
                self._asked[job.job_id] = (round_, group, job)
                self._due.append(job)

    def apply(self, report: PredictReport | PredictFailure) -> Round:
        """Have the rule decide by a report; return the round that had waited for it."""
        round_, trials, job = self._asked.pop(report.job_id)
        if isinstance(report, PredictFailure):
            event = self._degrade(round_, trials, report)
        else:
            event = self._decide(round_, trials, job, report)
        self._ledger.events.append(event)
        return round_

    def missing(self, round_: Round) -> int:
        """Return how many more full trainings a decision needs, since some failed."""
        own = len(round_.full_curves())
        earlier = len(self._pool.curves(round_.plan.bracket, round_.plan.stop))
        return max(self._rule.n_full(0, earlier + own), 1 - own)

    def _job(self, round_: Round, trials: list[int]) -> PredictJob:
        plan = round_.plan
        point = round_.waiting[trials[0]]
        curves = (self._ledger.curve(trial, point) for trial in trials)
        return PredictJob(
            job_id=self._ledger.next_job_id(),
            bracket=plan.bracket,
            rung=plan.rung,
            target=plan.stop,
            train=self._training_curves(round_, point),
            query=tuple(curve for curve in curves if curve is not None),
            seed=mix_seed(self._seed, plan.bracket, plan.rung, point),
        )

    def _training_curves(self, round_: Round, point: int) -> tuple[Curve, ...]:
        plan = round_.plan
        if self._retrain:
            return self._pool.curves(plan.bracket, plan.stop)
        least = self._rule.n_full(0, 0)
        return self._pool.first_curves(plan.bracket, plan.stop, point, least)

    def _decide(
        self, round_: Round, trials: list[int], job: PredictJob, report: PredictReport
    ) -> Event:
        numbers = zip(report.predictions, report.stds, strict=True)
        known = dict(zip((curve.trial_id for curve in job.query), numbers, strict=True))
        # A curve with a NaN or an infinity in it cannot be predicted: it counts as worst.
        answers = [known.get(trial, (math.inf, 0.0)) for trial in trials]
        mean = [answer[0] for answer in answers]
        event = round_.decide(self._rule, trials, mean, [answer[1] for answer in answers])
        return replace(event, skill=report.skill)

    @staticmethod
    def _degrade(round_: Round, trials: list[int], report: PredictFailure) -> Event:
        point = round_.waiting[trials[0]]
        round_.release_to_end(trials)
        message = f"prediction failed ({report.reason}); these trials go on as in Hyperband"
        return Event(
            kind="degraded",
            bracket=round_.plan.bracket,
            rung=round_.plan.rung,
            resource=point,
            kept=tuple(trials),
            message=message,
        )


def mix_seed(*numbers: int) -> int:
    """Return a seed that depends on all of the (not negative) numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
