"""Optuna: the pruner in its studies, our runs in its storages, its samplers as a searcher."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")

from optuna.trial import TrialState  # noqa: E402

from hpo.cli import main  # noqa: E402
from hpo.errors import UsageError  # noqa: E402
from hpo.integrations.optuna import SwiftPruner, export_journal  # noqa: E402
from hpo.journal import Journal, read_journal  # noqa: E402
from hpo.predictors import LastValuePredictor  # noqa: E402
from hpo.predictors.base import BasePredictor  # noqa: E402
from hpo.results import Results  # noqa: E402
from hpo.searchers.optuna_searcher import OptunaSearcher, observed_resource  # noqa: E402
from hpo.space import SearchSpace  # noqa: E402
from hpo.trial import Curve  # noqa: E402

UNITS = 27


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


# -- the pruner ---------------------------------------------------------------------------------


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

    def _fit(self, curves, values):
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
    with pytest.raises(ValueError, match=r"max_resource of the pruner is 5.*has reported 6"):
        study_with(SwiftPruner(5, predictor=LastValuePredictor()), 1)


# -- the export ---------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "journal"])
def storage(request, tmp_path):
    return f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else tmp_path / "runs.log"


def opened(storage):
    if isinstance(storage, str):
        return optuna.storages.RDBStorage(storage)
    backend = optuna.storages.journal.JournalFileBackend(str(storage))
    return optuna.storages.JournalStorage(backend)


EXPECTED = {
    "stopped": TrialState.PRUNED,
    "completed": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
}


def check(study, results):
    """Check that a study holds what the results say."""
    assert len(study.trials) == len(results.trials)
    for ours, theirs in zip(results.trials, study.trials, strict=True):
        assert theirs.number == ours.trial_id
        assert theirs.params == dict(ours.config)
        assert theirs.intermediate_values == dict(enumerate(ours.losses, 1))
        assert theirs.state == EXPECTED.get(str(ours.status), TrialState.RUNNING)
        assert theirs.datetime_start <= (theirs.datetime_complete or theirs.datetime_start)
        if theirs.state == TrialState.COMPLETE:
            assert theirs.value == ours.losses[-1]


def test_a_finished_run_is_exported_once(finished, storage):
    name = "hyperband" if isinstance(storage, str) else "swift-hyperband"
    journal = finished(name)
    results = Results.from_journal(journal)
    done = export_journal(journal, storage)
    assert (done.added, done.updated, done.unchanged) == (len(results.trials), 0, 0)
    study = optuna.load_study(study_name=name, storage=opened(storage))
    check(study, results)
    before = [str(trial) for trial in study.trials]
    again = export_journal(journal, storage)
    assert (again.added, again.updated, again.unchanged) == (0, 0, len(results.trials))
    study = optuna.load_study(study_name=name, storage=opened(storage))
    assert [str(trial) for trial in study.trials] == before


@pytest.mark.slow
def test_a_running_journal_is_brought_up_to_date(finished, unfinished, storage):
    run = "hyperband" if isinstance(storage, str) else "swift-hyperband"
    whole = finished(run)
    for share in (0.0, 0.4, 1.0):
        journal = unfinished(run, share)
        export_journal(journal, storage, study_name="run")
        study = optuna.load_study(study_name="run", storage=opened(storage))
        check(study, Results.from_journal(journal))
    name = "once.db" if isinstance(storage, str) else "once.log"
    once = storage.replace("runs.db", name) if isinstance(storage, str) else whole.parent / name
    export_journal(whole, once, study_name="run")
    direct = optuna.load_study(study_name="run", storage=opened(once))
    for left, right in zip(study.trials, direct.trials, strict=True):
        assert left.state == right.state
        assert left.user_attrs == right.user_attrs
        assert left.values == right.values


def test_optuna_draws_an_exported_run(finished, tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    export_journal(finished("swift-hyperband"), tmp_path / "runs.log", study_name="s")
    study = optuna.load_study(study_name="s", storage=opened(tmp_path / "runs.log"))
    best = Results.from_journal(finished("swift-hyperband")).best
    assert study.best_trial.number == best.trial_id
    assert optuna.importance.get_param_importances(study)


def test_a_study_of_another_run_is_refused(finished, storage):
    export_journal(finished("hyperband"), storage, study_name="mine")
    with pytest.raises(UsageError, match=r"study 'mine' .* another run; give another study_name"):
        export_journal(finished("asha"), storage, study_name="mine")
    optuna.create_study(storage=opened(storage), study_name="foreign").add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    with pytest.raises(UsageError, match=r"'foreign' .* not of this program"):
        export_journal(finished("asha"), storage, study_name="foreign")


def test_a_run_from_python_objects_needs_its_space(tmp_path):
    from hpo.schedulers import Hyperband
    from hpo.searchers import ListSearcher

    Journal.create(tmp_path / "run.jsonl", {}).close()
    scheduler = Hyperband(ListSearcher([{"lr": 0.1}]), max_resource=2)
    with pytest.raises(UsageError, match="search space; give it"):
        export_journal(tmp_path / "run.jsonl", tmp_path / "o.log", scheduler=scheduler)


def test_the_command(finished, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(SystemExit) as caught:
        main(["export", str(finished("hyperband")), url, "--study", "s"])
    assert caught.value.code == 0
    assert "Study s: 17 trials added" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["export", str(finished("asha")), url, "--study", "s"])
    assert caught.value.code == 2


@pytest.fixture
def dashboard(finished, tmp_path):
    """A dashboard in a process of its own over an exported run; yields (address, results)."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    url = f"sqlite:///{tmp_path}/runs.db"
    export_journal(finished("hyperband"), url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, url, "--host", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "dashboard.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", Results.from_journal(finished("hyperband"))
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def fetched(url, seconds=60):
    """Return the JSON at an address, waiting for the server to start."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_the_dashboard_shows_an_exported_run(dashboard, browser, tmp_path):
    address, results = dashboard
    studies = fetched(f"{address}/api/studies")["study_summaries"]
    assert [study["study_name"] for study in studies] == ["hyperband"]
    number = studies[0]["study_id"]
    detail = fetched(f"{address}/api/studies/{number}?after=0")
    assert len(detail["trials"]) == len(results.trials)
    found = Counter(trial["state"] for trial in detail["trials"])
    ours = Counter(EXPECTED[str(trial.status)] for trial in results.trials)
    names = {TrialState.PRUNED: "Pruned", TrialState.COMPLETE: "Complete", TrialState.FAIL: "Fail"}
    assert found == {names[state]: count for state, count in ours.items()}
    browser.open(f"{address}/dashboard/studies/{number}/trials")
    browser.until("document.body.innerText.includes('hyperband')")
    browser.until("document.body.innerText.includes('Complete')")
    assert len(browser.screenshot(tmp_path / "dashboard.png")) > 20_000


# -- the searcher -------------------------------------------------------------------------------

SPACE = SearchSpace.from_dict(
    {
        "x": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
        "stepped": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
        "layers": {"type": "int", "low": 1, "high": 64, "log": True},
        "kind": ["a", "b", None, True],
        "norm": {"type": "scipy", "name": "norm", "args": [3.0, 2.0]},
        "count": {"type": "scipy", "name": "poisson", "args": [4.0]},
        "fixed": 7,
    }
)


def observed(searcher, n, lengths=(4,)):
    """Return curves of proposals whose loss is low for small x and kind a."""
    curves = []
    for trial in range(n):
        config = searcher.propose(trial)
        loss = np.log10(config["x"]) + 2 * (config["kind"] != "a")
        length = lengths[trial % len(lengths)]
        curves.append(Curve(trial, config, tuple(loss + 1 / u for u in range(1, length + 1))))
    return curves


@pytest.mark.parametrize("sampler", ["tpe", lambda s: optuna.samplers.TPESampler(seed=s)])
def test_suggestions_learn_repeat_and_stay_in_the_space(sampler):
    searcher = OptunaSearcher(SPACE, sampler, seed=3)
    curves = observed(searcher, 40, lengths=(4, 4, 4, 1))
    found = searcher.suggest(curves, 6, max_resource=4, seed=5)
    assert found == searcher.suggest(curves, 6, max_resource=4, seed=5)
    assert found != searcher.suggest(curves, 6, max_resource=4, seed=6)
    for config in found:
        assert list(config) == list(SPACE.domains)
        SPACE.to_features(config)  # raises for a category outside the space
        assert 0.01 <= config["x"] <= 1.0
        assert config["stepped"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        assert isinstance(config["layers"], int)
        assert isinstance(config["count"], int)
        assert config["fixed"] == 7
    assert len({config["x"] for config in found}) == 6
    proposed = [searcher.propose(100 + trial)["x"] for trial in range(50)]
    assert np.mean([config["x"] for config in found]) < np.mean(proposed)
    assert sum(config["kind"] == "a" for config in found) >= 4


@pytest.mark.slow
def test_a_gaussian_process_suggests_too():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    searcher = OptunaSearcher(space, "gp", seed=0)
    configs = [searcher.propose(trial) for trial in range(9)]
    curves = [Curve(t, c, ((c["x"] - 0.3) ** 2,)) for t, c in enumerate(configs)]
    found = searcher.suggest(curves, 2, max_resource=1, seed=1)
    assert found == searcher.suggest(curves, 2, max_resource=1, seed=1)
    assert all(0.15 < config["x"] < 0.45 for config in found)
    torch.set_num_threads(threads)


def test_before_anything_is_known_suggestions_are_random():
    searcher = OptunaSearcher(SPACE, "tpe", seed=0)
    few = observed(searcher, 3)
    assert searcher.suggest(few, 2, max_resource=4, seed=1) == searcher.suggest(
        [], 2, max_resource=4, seed=1
    )
    assert searcher.propose(3) == OptunaSearcher(SPACE, "random", seed=0).propose(3)


def test_diverged_trials_count_as_worst():
    searcher = OptunaSearcher(SPACE, "tpe", seed=0)
    curves = observed(searcher, 20)
    broken = [
        Curve(c.trial_id, c.config, (np.nan,) * 4) if c.config["kind"] == "b" else c for c in curves
    ]
    found = searcher.suggest(broken, 8, max_resource=4, seed=0)
    assert sum(config["kind"] == "b" for config in found) <= 2


def test_the_model_looks_at_the_longest_training_with_enough_trials():
    def curves(*lengths):
        return [Curve(t, {}, (1.0,) * length) for t, length in enumerate(lengths)]

    assert observed_resource(curves(1, 1, 1, 3, 3, 9), 4, 9) == 1
    assert observed_resource(curves(1, 1, 1, 3, 3, 9), 2, 9) == 3
    assert observed_resource(curves(9, 9, 9), 2, 4) == 4
    assert observed_resource(curves(1, 1), 3, 9) is None
    assert observed_resource([Curve(0, {}, (np.inf,))], 1, 9) is None


def test_bad_settings_of_the_searcher():
    with pytest.raises(ValueError, match="sampler must be one of tpe, gp, random"):
        OptunaSearcher(SPACE, "annealer")
    with pytest.raises(ValueError, match="min_observations must be at least 2"):
        OptunaSearcher(SPACE, min_observations=1)


def test_the_run_id_is_that_of_the_journal(finished, tmp_path):
    url = f"sqlite:///{tmp_path}/runs.db"
    export_journal(finished("hyperband"), url)
    study = optuna.load_study(study_name="hyperband", storage=url)
    assert study.user_attrs["hpo:run"] == read_journal(finished("hyperband")).header.run_id
