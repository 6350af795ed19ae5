"""The Q-learning agent, and early stopping by prediction, on tasks whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.loop import drive
from hpo.predictors import make_predictor
from hpo.schedulers import EarlyStopping
from hpo.searchers import ListSearcher, QLearningSearcher, RewardedSearcher
from hpo.searchers.q_learning import epsilon_schedule, error_reward
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.trial import (
    Done,
    PredictFailure,
    PredictJob,
    PredictReport,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
)


class Digits:
    """Three digits of six values each; the state is what was chosen."""

    def start(self):
        return ""

    def moves(self, state):
        return {} if len(state) == 3 else {str(d): state + str(d) for d in range(6)}

    def config(self, choices):
        return {"number": int("".join(choices), 6)}


def loss_of(number: int) -> float:
    """Return a loss whose minimum, at 215, needs three right choices."""
    return 1 - sum(int(digit) for digit in np.base_repr(number, 6).zfill(3)) / 15


def test_update_is_that_of_the_paper() -> None:
    agent = QLearningSearcher(Digits(), ((1.0, 1),), n_replays=0, learning_rate=0.2)
    config = agent.propose(0)
    first, second, third = np.base_repr(config["number"], 6).zfill(3)
    agent.observe(0, 0.1)
    last = 0.8 * 0.5 + 0.2 * 0.9  # Q <- (1 - alpha) Q + alpha r
    assert agent.value(first + second, third) == pytest.approx(last)
    middle = 0.8 * 0.5 + 0.2 * last  # and before the end, alpha times the best that follows
    assert agent.value(first, second) == pytest.approx(middle)
    assert agent.value("", first) == pytest.approx(0.8 * 0.5 + 0.2 * middle)
    assert agent.value("", str((int(first) + 1) % 6)) == 0.5


def test_learns_the_best_path() -> None:
    agent = QLearningSearcher(Digits(), epsilon_schedule(80), seed=1)
    tried = []
    for trial in range(80):
        config = agent.propose(trial)
        tried.append(config["number"])
        agent.observe(trial, loss_of(config["number"]))
    assert len(set(tried)) == 80  # nothing is trained twice
    assert agent.best_choices() == ("5", "5", "5")
    assert np.mean([loss_of(n) for n in tried[60:]]) < 0.42
    assert np.mean([loss_of(n) for n in tried[:40]]) > 0.46


def test_same_seed_and_reports_give_the_same_proposals() -> None:
    def numbers(seed):
        agent = QLearningSearcher(Digits(), epsilon_schedule(30), seed=seed)
        found = []
        for trial in range(30):
            found.append(agent.propose(trial)["number"])
            agent.observe(trial, loss_of(found[-1]))
        return found

    assert numbers(3) == numbers(3)
    assert numbers(3) != numbers(4)


def test_ends_when_everything_was_proposed() -> None:
    agent = QLearningSearcher(Digits(), ((1.0, 1),), n_replays=0)
    for trial in range(216):
        config = agent.propose(trial)
        assert config is not None
        agent.observe(trial, loss_of(config["number"]))
    assert agent.propose(216) is None


def test_epsilon_falls_in_steps() -> None:
    agent = QLearningSearcher(Digits(), epsilon_schedule(38, explore=0.5))
    values = [agent.epsilon(trial) for trial in range(60)]
    assert values[:19] == [1.0] * 19
    assert values == sorted(values, reverse=True)
    assert set(values) == {1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1}
    assert values[-1] == 0.1


@pytest.mark.parametrize(
    ("loss", "reward"), [(0.25, 0.75), (2.0, 0.0), (-1.0, 1.0), (math.inf, 0.0), (math.nan, 0.0)]
)
def test_reward(loss, reward) -> None:
    assert error_reward(loss) == reward


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": ()}, "schedule must hold pairs"),
        ({"schedule": ((1.5, 3),)}, "schedule must hold pairs"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate must lie in \(0, 1\], got 0.0"),
        ({"learning_rate": 1.1}, r"learning_rate must lie in \(0, 1\], got 1.1"),
        ({"n_replays": -1}, "n_replays must be an integer of at least 0, got -1"),
    ],
)
def test_bad_settings_of_the_agent(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        QLearningSearcher(Digits(), **settings)


def test_bad_epsilon_schedule() -> None:
    with pytest.raises(ValueError, match="n_trials must be at least 1"):
        epsilon_schedule(0)


# -- the scheduler -----------------------------------------------------------------------------


class Heard(ListSearcher):
    """A list that remembers what it was told."""

    def __init__(self, configs):
        super().__init__(configs)
        self.told = []

    def observe(self, trial_id, loss):
        self.told.append((trial_id, loss))


def table(n: int, units: int = 8) -> CurveTable:
    """Return curves that fall towards levels in random order."""
    levels = np.random.default_rng(0).permutation(n) / n
    falling = 0.5 ** np.arange(units)
    return CurveTable(tuple({"x": i} for i in range(n)), levels[:, None] + falling)


def search(scheduler, curves, predictor="last-value"):
    runner = SimulatedRunner(
        curves, lambda job: job.trial_id, predictor=make_predictor(predictor, folds=3)
    )
    drive(scheduler, runner)
    return scheduler.summary()


def test_saves_epochs_and_keeps_the_best() -> None:
    curves = table(60)
    searcher = Heard(curves.configs)
    assert isinstance(searcher, RewardedSearcher)
    scheduler = EarlyStopping(searcher, max_resource=8, n_trials=60, min_curves=10, first=2)
    summary = search(scheduler, curves, "nusvr")
    assert summary.epochs < 0.7 * 60 * 8
    assert summary.best.config == {"x": int(np.argmin(curves.losses[:, -1]))}
    assert all(t.status is TrialStatus.COMPLETED for t in summary.trials[:10])
    stopped = [t for t in summary.trials if t.status is TrialStatus.STOPPED]
    assert all("predicted" in trial.reason for trial in stopped)
    assert sorted(trial for trial, _ in searcher.told) == list(range(60))
    told = dict(searcher.told)
    for trial in summary.trials:
        final = curves.losses[trial.trial_id, -1]
        if trial.status is TrialStatus.COMPLETED:
            assert told[trial.trial_id] == final
        else:
            assert told[trial.trial_id] == pytest.approx(final, abs=0.3)  # predicted


def test_threshold_zero_trains_everything_in_full() -> None:
    curves = table(20)
    scheduler = EarlyStopping(Heard(curves.configs), max_resource=8, n_trials=20, threshold=0.0)
    summary = search(scheduler, curves)
    assert summary.epochs == 160
    assert not summary.events


def started(**settings) -> EarlyStopping:
    """Return a scheduler whose first two trials ended with losses 0.5 and 0.4."""
    options = {"max_resource": 4, "n_trials": 9, "min_curves": 2, "first": 2, "interval": 1}
    scheduler = EarlyStopping(Heard([{"x": i} for i in range(9)]), **(options | settings))
    for final in (0.5, 0.4):
        job = scheduler.ask()
        assert (job.start, job.stop) == (0, 4)
        scheduler.tell(TrainReport(job.trial_id, 0, 4, (0.9, 0.8, 0.7, final)))
    return scheduler


def predicted(scheduler, mean, std):
    """Train the next trial to its decision and answer with a prediction."""
    job = scheduler.ask()
    assert (job.start, job.stop) == (0, 2)
    scheduler.tell(TrainReport(job.trial_id, 0, 2, (0.9, 0.8)))
    question = scheduler.ask()
    assert isinstance(question, PredictJob)
    assert [curve.trial_id for curve in question.train] == [0, 1]
    assert question.target == 4
    scheduler.tell(PredictReport(question.job_id, (mean,), (std,), 0.3))
    return scheduler.ask()


@pytest.mark.parametrize(
    ("mean", "std", "goes_on"),
    [
        (0.45, 0.01, False),  # five standard deviations above the best, 0.4
        (0.45, 0.05, True),  # one: a chance of 16%
        (0.39, 0.0, True),
        (0.41, math.nan, False),  # without a standard deviation the mean decides
        (math.nan, 0.1, True),  # a prediction that says nothing stops nothing
    ],
)
def test_decision(mean, std, goes_on) -> None:
    scheduler = started()
    job = predicted(scheduler, mean, std)
    assert isinstance(job, TrainJob)
    assert (job.trial_id, job.start, job.stop) == ((2, 2, 3) if goes_on else (3, 0, 2))
    event = scheduler.summary().events[-1]
    assert (event.kind, event.skill) == ("decision", 0.3)
    assert (event.kept, event.dropped) == (((2,), ()) if goes_on else ((), (2,)))


def test_tolerance_keeps_what_comes_close() -> None:
    assert predicted(started(tolerance=0.1), 0.45, 0.01).trial_id == 2


def test_failed_prediction_is_seen_and_stops_nothing() -> None:
    scheduler = started()
    job = scheduler.ask()
    scheduler.tell(TrainReport(job.trial_id, 0, 2, (0.9, 0.8)))
    scheduler.tell(PredictFailure(scheduler.ask().job_id, "annealer offline"))
    assert (scheduler.ask().trial_id, scheduler.summary().events[-1].kind) == (2, "degraded")
    assert "annealer offline" in scheduler.summary().events[-1].message


def test_failed_trial_is_told_as_infinite() -> None:
    searcher = Heard([{"x": 0}])
    scheduler = EarlyStopping(searcher, max_resource=4, n_trials=1)
    scheduler.ask()
    scheduler.tell(TrainFailure(0, 0, 4, "boom"))
    assert searcher.told == [(0, math.inf)]
    assert isinstance(scheduler.ask(), Done)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.5}, r"threshold must lie in \[0, 1\], got 1.5"),
        ({"first": 0}, "first must be an integer of at least 1, got 0"),
        ({"interval": 0.5}, "interval must be an integer of at least 1, got 0.5"),
        ({"tolerance": -1.0}, "tolerance must be at least 0"),
        ({"min_curves": 1}, "min_curves must be at least 2, got 1"),
        ({"n_trials": 0}, "at least 1"),
    ],
)
def test_bad_settings_of_early_stopping(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyStopping(Heard([{}]), **{"max_resource": 4, **settings})
