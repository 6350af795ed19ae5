"""The contract of `hpo.searchers.Searcher` about repeats, which every searcher keeps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hpo import Tuner, make_predictor, make_scheduler
from hpo.predictors import run_predict_job
from hpo.run.spec import RunSpec
from hpo.schedulers import FORECASTING
from hpo.searchers import (
    SEARCHERS,
    CurveSearcher,
    LearningSearcher,
    QLearningSearcher,
    make_searcher,
    proposals_of,
    with_initial,
    without_initial,
)
from hpo.searchers.distinct import DistinctDraws, config_key
from hpo.space import SearchSpace
from hpo.surrogates import Observations
from hpo.trial import Curve, ForecastJob, Proposal, TrainJob, TrainReport

TWELVE = SearchSpace.from_dict(
    {"layers": {"type": "int", "low": 1, "high": 3}, "act": ["relu", "tanh"], "bias": [True, False]}
)
SMALL = {
    "twelve": (TWELVE, 12),
    "conditions": (
        SearchSpace.from_dict(
            {
                "momentum": {
                    "type": "float",
                    "low": 0.0,
                    "high": 0.9,
                    "step": 0.3,
                    "when": {"opt": "sgd"},
                },
                "opt": ["adam", "sgd", "lion"],
                "fixed": 7,
            }
        ),
        6,
    ),
    "numbers": (
        SearchSpace.from_dict(
            {
                "n": {"type": "int", "low": 1, "high": 4, "log": True},
                "k": {"type": "scipy", "name": "randint", "args": [2, 5], "kwds": {}},
            }
        ),
        12,
    ),
}


class Layers:
    """Twelve sequences of choices, as `TWELVE` has points."""

    steps = (("1", "2", "3"), ("relu", "tanh"), ("yes", "no"))

    def start(self):
        return ()

    def moves(self, state):
        choices = self.steps[len(state)] if len(state) < len(self.steps) else ()
        return {choice: (*state, choice) for choice in choices}

    def config(self, choices):
        return {f"step{place}": choice for place, choice in enumerate(choices)}


def needs_optuna(name):
    if name == "tpe":
        pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")


def loss_of(config):
    return sum(len(repr(value)) for value in config.values()) + 0.1 * hash(len(config))


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize("name", SEARCHERS)
def test_a_small_space_is_proposed_once_and_ends(name, case):
    needs_optuna(name)
    space, size = SMALL[case]
    points = {"points": 100} if name == "grid" else {}
    proposed = list(map(make_searcher(name, space, 3, **points).propose, range(size + 5)))
    if name == "grid" and case == "numbers":
        assert len({config_key(c) for c in proposed if c}) == sum(c is not None for c in proposed)
        return  # a grid takes quantiles of a distribution
    assert len({config_key(config) for config in proposed[:size]}) == size
    assert proposed[size:] == [None] * 5
    for config in proposed[:size]:
        space.validate(config)
    repeats = make_searcher(name, space, 3, allow_duplicates=True, **points)
    assert all(repeats.propose(trial) is not None for trial in range(3 * size))


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "grid"])
def test_a_proposal_depends_on_seed_and_number_alone(name):
    needs_optuna(name)
    in_order = list(map(make_searcher(name, TWELVE, 5).propose, range(12)))
    searcher = make_searcher(name, TWELVE, 5)
    backwards = [searcher.propose(trial) for trial in reversed(range(12))]
    assert backwards[::-1] == in_order
    assert in_order != list(map(make_searcher(name, TWELVE, 6).propose, range(12)))


@pytest.mark.parametrize("name", ["curves", "tpe"])
@pytest.mark.parametrize("case", SMALL)
def test_proposals_from_forecasts_skip_what_was_tried_or_runs(name, case):
    needs_optuna(name)
    space, size = SMALL[case]
    searcher = make_searcher(name, space, 0)
    assert isinstance(searcher, LearningSearcher)
    configs = [searcher.propose(trial) for trial in range(size)]
    for n_tried in range(size - 1):
        curves = [Curve(t, c, (loss_of(c),) * 3) for t, c in enumerate(configs[:n_tried])]
        mean = np.array([curve.losses[-1] for curve in curves])
        known = Observations(curves, mean, np.full(n_tried, 0.1), 3, running=(configs[n_tried],))
        found = proposals_of(searcher, known, 24, seed=n_tried)
        keys = {config_key(proposal.config) for proposal in found}
        assert len(keys) == len(found) == size - n_tried - 1
        assert not keys & {config_key(config) for config in configs[: n_tried + 1]}


def test_q_learning_finds_every_path_once():
    agent = QLearningSearcher(Layers(), ((0.0, 1),), n_replays=5)
    keys = set()
    for trial in range(12):
        config = agent.propose(trial)
        keys.add(config_key(config))
        agent.observe(trial, 1.0 if trial else 0.0)
    assert len(keys) == 12
    assert agent.propose(12) is None
    repeats = QLearningSearcher(Layers(), ((0.0, 1),), n_replays=5, allow_duplicates=True)
    found = []
    for trial in range(30):
        found.append(config_key(repeats.propose(trial)))
        repeats.observe(trial, 0.5)
    assert len(set(found)) < len(found)


def train(config, start, stop, checkpoint):
    return [loss_of(config) + 1 / (unit + 1) for unit in range(start, stop)]


@pytest.mark.parametrize("scheduler", ["random-search", "hyperband", "asha", "swift-asha"])
@pytest.mark.parametrize("repeats", [False, True])
def test_a_run_tries_no_configuration_twice(scheduler, repeats):
    learns = scheduler in FORECASTING
    space = TWELVE if scheduler != "random-search" else SMALL["conditions"][0]
    options = {"max_epochs": 40, "n_workers": 1} if learns else {}
    if scheduler == "random-search":
        options["n_trials"] = 21
    name = "curves" if learns else "random"
    searcher = make_searcher(name, space, 0, allow_duplicates=repeats)
    search = make_scheduler(scheduler, searcher, max_resource=9, reduction_factor=2, **options)
    predictor = "pooled" if learns else None
    results = Tuner(train, search, executor="inline", predictor=predictor).run()
    keys = [config_key(trial.config) for trial in results.trials]
    assert (len(set(keys)) < len(keys)) == repeats
    if not learns and not repeats:
        assert len(keys) == (6 if scheduler == "random-search" else 12)


def test_a_proposal_is_not_started_if_it_was_tried_since_it_was_asked_for():
    space = SearchSpace.from_dict({"x": {"type": "int", "low": 1, "high": 50}})
    searcher = CurveSearcher(space, seed=0)
    search = make_scheduler(
        "swift-asha", searcher, max_resource=9, max_epochs=30, n_first=4, n_workers=2
    )
    pooled, started = make_predictor("pooled"), []
    for _ in range(400):
        job = search.ask()
        if isinstance(job, TrainJob):
            started += [job.config["x"]] if job.start == 0 else []
            losses = tuple(train(job.config, job.start, job.stop, None))
            search.tell(TrainReport(job.trial_id, job.start, job.stop, losses))
        elif isinstance(job, ForecastJob):
            report = run_predict_job(job, pooled, searcher)
            old = tuple(Proposal({"x": x}, -1.0, -1.0, 0.5) for x in started)
            values = {**vars(report), "proposals": (*old, *old[::-1], *report.proposals)}
            search.tell(type(report)(**values))
        else:
            break
    assert len(set(started)) == len(started) > 4


def test_large_discrete_spaces_do_not_repeat_either():
    space = SearchSpace.from_dict(
        {
            "a": {"type": "int", "low": 1, "high": 200, "log": True},
            "b": {"type": "int", "low": 1, "high": 100, "log": True},
        }
    )
    draws = DistinctDraws(space, seed=0)
    found = [config_key(config) for config in itertools.islice(draws, 2000)]
    assert len(set(found)) == 2000
    first = [config_key(space.sample(np.random.default_rng([0, i]))) for i in range(2000)]
    assert len(set(first)) < 2000
    poisson = SearchSpace.from_dict({"n": {"type": "scipy", "name": "poisson", "args": [2.0]}})
    some = list(DistinctDraws(poisson, seed=0))  # ends when a thousand draws find no new one
    assert len(some) == len({config["n"] for config in some}) >= 8


def test_first_draws_are_as_before():
    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}, "k": [1, 2]})
    searcher = make_searcher("random", space, 4)
    for trial in (0, 7, 3):
        assert searcher.propose(trial) == space.sample(np.random.default_rng([4, trial]))


def test_a_journal_of_an_older_version_repeats_as_it_did():
    spec = RunSpec("x.py:train", TWELVE.to_dict(), 9, scheduler="random-search", searcher="random")
    data = spec.to_json()
    assert not RunSpec.from_json(data).allow_duplicates
    del data["allow_duplicates"]
    older = RunSpec.from_json(data)
    drawn = [older.build_searcher().propose(trial) for trial in range(20)]
    assert drawn == [TWELVE.sample(np.random.default_rng([0, trial])) for trial in range(20)]
    grid = RunSpec.from_json({**data, "searcher": "grid"}).build_searcher()
    assert grid.propose(12) is None


def test_the_removed_searcher_says_what_to_use():
    with pytest.raises(ValueError, match=r"'gp' no longer exists: .*; use curves"):
        make_searcher("gp", TWELVE)
    spec = RunSpec("x.py:train", TWELVE.to_dict(), 9, searcher="gp")
    with pytest.raises(ValueError, match=r"'gp' no longer exists: .*; use curves"):
        spec.build_searcher()


FIRST = [{"layers": 2, "act": "tanh", "bias": True}, {"layers": 3}, {"act": "relu", "bias": False}]


@pytest.mark.parametrize("name", SEARCHERS)
def test_given_configurations_come_first_and_no_configuration_twice(name):
    needs_optuna(name)
    searcher = with_initial(make_searcher(name, TWELVE, 3), FIRST)
    assert isinstance(searcher, LearningSearcher) == (name in ("curves", "tpe"))
    proposed = list(map(searcher.propose, range(15)))
    for given, config in zip(FIRST, proposed, strict=False):
        assert given.items() <= config.items()
        TWELVE.validate(config)
    assert len({config_key(config) for config in proposed[:12]}) == 12
    assert proposed[12:] == [None] * 3
    again = with_initial(make_searcher(name, TWELVE, 3), FIRST)
    assert [again.propose(trial) for trial in reversed(range(15))] == proposed[::-1]


@pytest.mark.parametrize("name", ["curves", "tpe"])
def test_forecasts_get_the_proposals_of_the_searcher_that_learns(name):
    needs_optuna(name)
    plain = make_searcher(name, TWELVE, 0)
    wrapped = with_initial(make_searcher(name, TWELVE, 0), FIRST)
    assert type(without_initial(wrapped)) is type(plain)
    configs = [wrapped.propose(trial) for trial in range(5)]
    curves = tuple(Curve(t, c, (loss_of(c), loss_of(c))) for t, c in enumerate(configs))
    job = ForecastJob(0, 3, curves, (), 1, 4)
    reports = [run_predict_job(job, make_predictor("pooled"), each) for each in (plain, wrapped)]
    assert reports[0] == reports[1]
    assert reports[0].proposals


def test_q_learning_learns_from_its_own_proposals_only():
    plain = QLearningSearcher(Layers(), ((0.0, 1),), allow_duplicates=True)
    given = {"step0": "3", "step1": "tanh", "step2": "no"}
    wrapped = with_initial(QLearningSearcher(Layers(), ((0.0, 1),), allow_duplicates=True), [given])
    assert wrapped.propose(0) == given
    wrapped.observe(0, 0.9)
    for trial in range(5):
        assert plain.propose(trial) == wrapped.propose(trial + 1)
        plain.observe(trial, 0.1 * trial)
        wrapped.observe(trial + 1, 0.1 * trial)
