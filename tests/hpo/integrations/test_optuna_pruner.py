"""The pruner in Optuna's studies."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")

from optuna.trial import TrialState  # noqa: E402

from hpo.integrations.optuna import SwiftPruner  # noqa: E402
from hpo.predictors import LastValuePredictor  # noqa: E402
from hpo.predictors.base import BasePredictor  # noqa: E402

pytestmark = pytest.mark.usefixtures("quiet_optuna")
UNITS = 27


def falling(rate, level):
    """A curve whose end shows only in its slope, level and rate being independent."""
    return [level + 3 * unit**-rate for unit in range(1, UNITS + 1)]


def study_with(pruner, n_trials, *, direction="minimize", nan_at=None, seed=0):
    """Run a study over curves that the seed gives, the same for every pruner."""
    rng = np.random.default_rng(seed)
    curves = [falling(rng.uniform(0.2, 1.5), rng.uniform(0, 0.3)) for _ in range(n_trials)]
    sign = 1 if direction == "minimize" else -1
    trained = 0

    def objective(trial):
        nonlocal trained
        for unit, loss in enumerate(curves[trial.number], 1):
            trained += 1
            broken = nan_at == (trial.number, unit)
            trial.report(float("nan") if broken else sign * loss, unit)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * loss

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction=direction)
    study.optimize(objective, n_trials=n_trials)
    return study, trained, min(curve[-1] for curve in curves)


def sparse_study(pruner, every, first, *, units=UNITS, scale=1, asked=1):
    """Run a study whose trials report after `every` units, with steps that begin with `first`."""
    rng = np.random.default_rng(0)
    curves = [falling(rng.uniform(0.2, 1.5), rng.uniform(0, 0.3)) for _ in range(40)]

    def objective(trial):
        for unit in range(1, units + 1):
            if unit % every == 0:
                trial.report(curves[trial.number][unit - 1], (unit - 1 + first) * scale)
                if unit % (every * asked) == 0 and trial.should_prune():
                    raise optuna.TrialPruned
        return curves[trial.number][-1]

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=len(curves))
    return study, min(curve[-1] for curve in curves)


@pytest.mark.parametrize("every", [1, 2, 5, 10])
@pytest.mark.parametrize("first", [0, 1])
def test_rungs_are_steps_however_often_values_are_reported(every, first):
    pruner = SwiftPruner(UNITS, predictor="power-law", n_startup_trials=4, min_curves=8)
    study, best = sparse_study(pruner, every, first)
    assert Counter(states(study))[TrialState.PRUNED] > 15
    assert study.best_value == pytest.approx(best)
    # That steps count from 0 shows in step 0, which is reported only after every single unit.
    off = 1 if first == 0 and every > 1 else 0
    steps = range(every - off, UNITS, every)
    expected = {min(step for step in steps if step >= rung) for rung in (1, 3, 9)}
    assert {decision.resource for decision in pruner.decisions} == expected
    pruned = {decision.trial for decision in pruner.decisions if decision.pruned}
    assert len(pruned) == Counter(states(study))[TrialState.PRUNED]


def test_steps_may_be_thousands_and_asked_for_now_and_then():
    pruner = SwiftPruner(UNITS * 1000, predictor="power-law", n_startup_trials=4, min_curves=8)
    study, best = sparse_study(pruner, 1, 1, scale=1000, asked=5)
    assert Counter(states(study))[TrialState.PRUNED] > 15
    assert study.best_value == pytest.approx(best)
    assert {decision.resource for decision in pruner.decisions} <= {5000, 10000}


def test_an_answer_is_given_again():
    pruner = SwiftPruner(UNITS, predictor="last-value", n_startup_trials=2)
    answers = []

    def objective(trial):
        for unit in range(1, UNITS + 1):
            trial.report(trial.number + 1 / unit, unit)
            if trial.number == 5:
                answers.append([trial.should_prune() for _ in range(2)])
        return trial.number

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    study.optimize(objective, n_trials=6)
    assert [True, True] in answers
    assert [True, False] not in answers


def states(study):
    return [trial.state for trial in study.trials]


@pytest.mark.slow
def test_the_pruner_saves_most_epochs_and_finds_the_best():
    pruner = SwiftPruner(UNITS)
    study, trained, best = study_with(pruner, 50)
    assert study.best_value == pytest.approx(best)
    assert trained < 0.45 * 50 * UNITS
    assert states(study)[:5] == [TrialState.COMPLETE] * 5
    assert Counter(states(study))[TrialState.PRUNED] > 25


def test_the_last_value_decides_until_there_are_curves_for_the_model():
    pruner = SwiftPruner(UNITS, predictor="power-law", n_startup_trials=3, min_curves=5)
    study, _, _ = study_with(pruner, 40)
    ended = [t.number for t in study.trials if t.state == TrialState.COMPLETE]
    assert ended[:3] == [0, 1, 2]
    early = [d for d in pruner.decisions if d.trial <= ended[4]]
    late = [d for d in pruner.decisions if d.trial > ended[4]]
    assert any(d.pruned for d in early)
    assert all((d.skill, d.by_model) == (None, False) for d in early)
    assert all(d.skill is not None for d in late)
    assert any(d.by_model for d in late)


def test_decisions_repeat_also_when_the_study_is_turned_around():
    runs = [study_with(SwiftPruner(UNITS, min_curves=6), 16) for _ in range(2)]
    runs.append(study_with(SwiftPruner(UNITS, min_curves=6), 16, direction="maximize"))
    assert TrialState.PRUNED in states(runs[0][0])
    assert states(runs[0][0]) == states(runs[1][0]) == states(runs[2][0])


class Useless(BasePredictor):
    """Predicts the opposite of the truth."""

    def _fit(self, curves, values, context):
        pass

    def _predict(self, curves, values):
        return -1000 * values[:, -1]


def test_a_useless_model_gives_way_to_the_last_value():
    useless = SwiftPruner(UNITS, predictor=Useless(), n_startup_trials=8, min_curves=8)
    plain = SwiftPruner(UNITS, predictor="last-value", n_startup_trials=8)
    left, right = study_with(useless, 30), study_with(plain, 30)
    assert all(d.skill < 0 and not d.by_model for d in useless.decisions)
    assert states(left[0]) == states(right[0])
    assert TrialState.PRUNED in states(left[0])


def test_the_model_ranks_otherwise_than_the_last_value():
    by_model = SwiftPruner(UNITS, predictor="power-law", n_startup_trials=8, min_curves=8)
    plain = SwiftPruner(UNITS, predictor="last-value", n_startup_trials=8)
    left, right = study_with(by_model, 40), study_with(plain, 40)
    assert all(decision.skill > 0.5 for decision in by_model.decisions if decision.by_model)
    assert states(left[0]) != states(right[0])


def test_trials_are_judged_at_rungs_only_and_nan_at_once():
    pruner = SwiftPruner(UNITS, min_curves=4, min_resource=3)
    study, _, _ = study_with(pruner, 20, nan_at=(2, 2))
    assert study.trials[2].state == TrialState.PRUNED
    assert study.trials[2].last_step == 2
    assert pruner.rungs == {3, 9}
    assert {decision.resource for decision in pruner.decisions} <= {3, 9}
    for trial in study.trials[5:]:
        assert trial.last_step in (3, 9, UNITS)


def test_a_pruner_can_be_pickled_and_used_in_threads():
    pruner = pickle.loads(pickle.dumps(SwiftPruner(UNITS, min_curves=4)))
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        rate = trial.suggest_float("rate", 0.2, 1.5)
        for unit, loss in enumerate(falling(rate, 0.0), 1):
            trial.report(loss, unit)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    study.optimize(objective, n_trials=24, n_jobs=2)
    assert len(study.trials) == 24
    assert Counter(states(study))[TrialState.FAIL] == 0


BAD_PRUNERS = {
    "max_resource": {"max_resource": 0},
    "min_resource .* 1..max_resource, got 30": {"min_resource": 30},
    "quantile .* got 1.5": {"quantile": 1.5},
    "n_startup_trials .* 1 and more, got 0": {"n_startup_trials": 0},
    "min_curves .* got 1": {"min_curves": 1},
    "max_curves .* got 3": {"max_curves": 3},
    "predictor must be one of": {"predictor": "oracle"},
}


@pytest.mark.parametrize(("message", "change"), BAD_PRUNERS.items())
def test_bad_settings_of_the_pruner(message, change):
    with pytest.raises(ValueError, match=message):
        SwiftPruner(**({"max_resource": UNITS} | change))


def test_more_values_than_announced_are_an_error():
    with pytest.raises(ValueError, match=r"max_resource of the pruner is 5.*has reported step 6"):
        study_with(SwiftPruner(5, predictor=LastValuePredictor()), 1)
