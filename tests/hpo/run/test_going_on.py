"""Searches that begin with what is known, and go on beyond their end, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hpo import RandomSearcher, SearchSpace, SwiftASHA, Tuner, make_scheduler, make_searcher
from hpo.cli import main
from hpo.errors import InterruptedRunError, JournalError, UsageError
from hpo.report import read_run
from hpo.run.forecasting import InProcess, model_runner
from hpo.run.going_on import begin, read_configs
from hpo.run.journal import encode_line, read_journal
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.warm_start import first_configs, searches_of
from hpo.trainers.objective import Objective
from hpo.trial import Curve, ForecastJob

SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "act": {"type": "categorical", "choices": ["relu", "tanh"]},
    "layers": {"type": "int", "low": 1, "high": 4},
}
WORK = """
def train(config, start, stop, checkpoint):
    level = (config["x"] - 0.3) ** 2 + 0.1 * (config.get("act") == "relu")
    return [level + 1 / (unit + 1) for unit in range(start, stop)]
"""
TWO = [{"x": 0.31, "act": "tanh", "layers": 2}, {"x": 0.7}]


def train(config, start, stop, checkpoint):
    level = (config["x"] - 0.3) ** 2 + 0.1 * (config.get("act") == "relu")
    return [level + 1 / (unit + 1) for unit in range(start, stop)]


def scheduler_of(name="hyperband", space=SPACE, **options):
    searcher = "curves" if name == "swift-asha" else "random"
    built = make_searcher(searcher, SearchSpace.from_dict(space), 0)
    return make_scheduler(name, built, max_resource=9, reduction_factor=3, seed=0, **options)


def tune(scheduler, **settings):
    return Tuner(
        train, scheduler, executor="inline", predictor=predictor_of(scheduler), **settings
    ).run()


def predictor_of(scheduler):
    """Return the quickest predictor that a scheduler can have."""
    return "joint" if isinstance(scheduler, SwiftASHA) else None


def resume(journal, scheduler, **settings):
    predictor = predictor_of(scheduler)
    return Tuner.resume(
        journal, train, scheduler, executor="inline", predictor=predictor, **settings
    )


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    name = f"{tmp_path / 'work.py'}:train"
    return RunSpec(name, SPACE, 9, "hyperband", 3, "random", executor="inline")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


# -- initial configurations ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hyperband", "asha", "random-search", "swift-asha"])
def test_initial_configurations_are_in_the_journal(name, tmp_path):
    journal = tmp_path / "run.jsonl"
    results = tune(scheduler_of(name), journal=journal, initial=TWO)
    assert results.trials[0].config == TWO[0]
    assert TWO[1].items() < results.trials[1].config.items()
    again = Results.from_journal(journal, scheduler_of(name))
    assert again.trials == results.trials


def test_all_initial_configurations_come_before_the_first_forecast():
    many = [{"x": 0.02 * i, "act": "tanh", "layers": 1} for i in range(16)]
    results = tune(scheduler_of("swift-asha", max_epochs=60), initial=many)
    assert [trial.config for trial in results.trials[:16]] == many


def test_a_run_that_was_killed_at_once_still_has_them(spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    whole = Tuner.from_spec(spec, journal=journal, initial=TWO).run()
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:2]))
    assert [entry.data["what"] for entry in read_journal(cut).entries] == ["initial"]
    assert Tuner.resume(cut).trials == whole.trials


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ([{"x": 2.0}], r"initial\[0\]: 'x' must lie in its domain"),
        ([{"y": 2.0}], r"initial\[0\] names 'y'"),
        ({"x": 0.5}, "initial must be a list of configurations, got dict"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(initial, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        tune(scheduler_of(), journal=tmp_path / "run.jsonl", initial=initial)
    assert not list(tmp_path.iterdir())


def test_a_scheduler_without_enqueue_is_named():
    class Own:
        """A scheduler of a user's."""

        ask = tell = summary = None

    with pytest.raises(UsageError, match="need a scheduler with a method enqueue, got Own"):
        Tuner(train, Own(), executor="inline", initial=TWO).run()


def test_initial_is_refused_when_a_run_is_resumed(spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    for setting in ({"initial": TWO}, {"warm_start": journal}):
        with pytest.raises(UsageError, match="initial and warm_start are for the start"):
            Tuner.resume(journal, **setting)


def run_args(*more):
    return (
        *("run", "work.py:train", "--space", "space.toml", "--max-resource", "9", "--quiet"),
        *("--scheduler", "hyperband", "--reduction-factor", "3", "--executor", "inline", *more),
    )


@pytest.fixture
def folder(spec, tmp_path):
    tables = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(each)}\n" for key, each in table.items())
        for name, table in SPACE.items()
    ]
    (tmp_path / "space.toml").write_text("\n".join(tables))
    return tmp_path


def test_initial_from_files(folder, call):
    (folder / "a.json").write_text(json.dumps(TWO))
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, TWO)) + "\n\n")
    (folder / "a.csv").write_text("x,act,layers\n0.31,tanh,2\n0.7,,\n")
    tried = []
    for kind in ("json", "jsonl", "csv"):
        code, _, err = call(*run_args("--initial", f"a.{kind}", "--journal", f"{kind}.jsonl"))
        assert (code, err) == (0, "")
        tried.append([t.config for t in Results.from_journal(folder / f"{kind}.jsonl").trials])
    assert tried[0] == tried[1] == tried[2]
    assert tried[0][0] == TWO[0]


@pytest.mark.parametrize("more", [(), ("--mode", "max"), ("--objective", "acc", "--mode", "max")])
def test_the_table_of_a_report_is_a_file_of_configurations(folder, call, more):
    assert call(*run_args("--journal", "old.jsonl", *more))[0] == 0
    assert call("report", "old.jsonl", "--csv", "old.csv")[0] == 0
    args = run_args("--initial", "old.csv", "--journal", "new.jsonl", "--seed", "5", *more)
    assert call(*args)[0] == 0
    old, new = (Results.from_journal(folder / f"{name}.jsonl") for name in ("old", "new"))
    ranked = sorted(old.trials, key=lambda trial: trial.last_loss)
    assert [t.config for t in new.trials] == [t.config for t in ranked]
    assert new.best.last_loss == old.best.last_loss


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", "a file of configurations must be .json, .jsonl or .csv, got a.txt"),
        ("a.json", "[1", "a.json holds no configurations"),
        ("a.json", "[1]", "a.json must hold at least one configuration"),
        ("a.csv", "x\n", "a.csv must hold at least one configuration"),
        ("a.csv", "rate\n3\n", "initial[0] names 'rate'"),
        ("b.json", None, "cannot read b.json: No such file"),
    ],
)
def test_bad_files_of_configurations(folder, call, name, text, message):
    if text is not None:
        (folder / name).write_text(text)
    code, _, err = call(*run_args("--initial", name))
    assert code == 2
    assert message in err


# -- extensions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("hyperband", {"iterations": 2}),
        ("asha", {"max_resource": 27, "n_trials": 20}),
        ("swift-asha", {"max_resource": 27, "max_epochs": 75}),
        ("swift-asha", {"budget_fraction": 0.6}),
    ],
)
def test_a_finished_search_goes_on_and_replays(name, extension, tmp_path):
    journal = tmp_path / "run.jsonl"
    before = tune(scheduler_of(name), journal=journal)
    after = resume(journal, scheduler_of(name), extend=extension)
    assert after.finished
    assert after.epochs > before.epochs
    assert Results.from_journal(journal, scheduler_of(name)).trials == after.trials
    if "max_resource" in extension:
        assert len(after.best.losses) == 27
        assert after.best.last_loss < before.best.last_loss


def test_an_extended_search_can_be_killed_anywhere(spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    n_lines = len(journal.read_bytes().splitlines())
    whole = Tuner.resume(journal, extend={"iterations": 2})
    lines = journal.read_bytes().splitlines(keepends=True)
    for place in range(n_lines + 2, len(lines), 50):
        cut = tmp_path / f"cut-{place}.jsonl"
        cut.write_bytes(b"".join(lines[:place]))
        assert Tuner.resume(cut).trials == whole.trials


@pytest.mark.parametrize("keep", [True, False])
def test_trials_that_go_on_have_their_checkpoints_or_begin_again(keep, tmp_path):
    def resumable(config, start, stop, checkpoint):
        done = int(checkpoint.read_text()) if start else 0  # fails without a checkpoint
        assert done == start
        checkpoint.write_text(str(stop))
        return train(config, start, stop, checkpoint)

    journal = tmp_path / "run.jsonl"
    settings = {"executor": "inline", "predictor": "joint", "keep_checkpoints": keep}
    searches = [scheduler_of("swift-asha") for _ in range(2)]
    Tuner(resumable, searches[0], journal=journal, **settings).run()
    extension = {"max_epochs": 60}
    results = Tuner.resume(journal, resumable, searches[1], extend=extension, **settings)
    assert not [trial for trial in results.trials if trial.status == "failed"]
    assert (results.repeated_epochs == 0) == keep


def test_the_best_trial_goes_on_at_least(tmp_path):
    journal = tmp_path / "run.jsonl"
    before = tune(scheduler_of("asha"), journal=journal)
    results = resume(journal, scheduler_of("asha"), extend={"max_resource": 27})
    assert results.best.trial_id == before.best.trial_id
    assert len(results.best.losses) == 27


def test_extensions_count_in_reports(spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    results = Tuner.resume(journal, extend={"iterations": 3})
    assert results.baseline.epochs == 3 * 69 == results.epochs
    run = read_run(journal)
    assert run.results.baseline == results.baseline
    assert run.settings["scheduler_options"] == {"iterations": 3}


def test_a_search_that_expected_little_goes_on_with_what_it_had_left(tmp_path):
    journal = tmp_path / "run.jsonl"
    options = {"max_epochs": 100, "min_improvement": 5.0}
    before = tune(scheduler_of("swift-asha", **options), journal=journal)
    assert before.epochs < 80
    scheduler = scheduler_of("swift-asha", **options)
    with pytest.raises(UsageError, match=r"max_epochs must be an integer above .* 100 .*got 90"):
        resume(journal, scheduler, extend={"max_epochs": 90})
    scheduler = scheduler_of("swift-asha", **options)
    after = resume(journal, scheduler, extend={"max_epochs": 110})
    assert before.epochs < after.epochs <= 110
    assert after.budget == 110


def test_failed_and_refused_extensions_leave_the_journal_readable(spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    before = Tuner.from_spec(spec, journal=journal).run()
    for bad in ({"max_resource": 27}, {"iterations": 1}, {"colour": 2}):
        with pytest.raises(UsageError, match="iterations"):
            Tuner.resume(journal, extend=bad)
    assert Results.from_journal(journal).trials == before.trials


def test_extend_on_the_command_line(folder, call):
    assert call(*run_args("--journal", "run.jsonl"))[0] == 0
    code, out, _ = call("resume", "run.jsonl", "--quiet", "--extend", "iterations=2")
    assert code == 0
    assert "Epochs: 138; plain Hyperband takes 138" in out
    code, _, err = call("resume", "run.jsonl", "--quiet", "--extend", "max-resource=27")
    assert code == 2
    assert "can be extended by iterations; got max_resource" in err
    assert "--warm-start" in err


def test_an_interrupted_search_may_be_extended_too(tmp_path):
    journal = tmp_path / "run.jsonl"
    calls = []

    def interrupted(config, start, stop, checkpoint):
        calls.append(start)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return train(config, start, stop, checkpoint)

    with pytest.raises(InterruptedRunError):
        Tuner(interrupted, scheduler_of(), executor="inline", journal=journal).run()
    settings = {"executor": "inline", "extend": {"iterations": 2}}
    results = Tuner.resume(journal, interrupted, scheduler_of(), **settings)
    whole = tune(scheduler_of(iterations=2))
    assert results.trials == whole.trials


# -- warm starts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    journal = tmp_path_factory.mktemp("earlier") / "earlier.jsonl"
    tune(scheduler_of(), journal=journal)
    return journal


def test_the_new_journal_does_not_need_the_old_one(earlier, spec, tmp_path):
    journal = tmp_path / "new.jsonl"
    settings = RunSpec(
        spec.trainer, SPACE, 9, "swift-asha", 3, executor="inline", seed=4, predictor="joint"
    )
    old = shutil.copy(earlier, tmp_path / "old.jsonl")
    results = Tuner.from_spec(settings, journal=journal, warm_start=[old]).run()
    best = Results.from_journal(earlier, scheduler_of()).best
    assert best.config in [trial.config for trial in results.trials[:3]]
    old.unlink()
    lines = journal.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert Tuner.resume(cut).trials == results.trials
    cold = Tuner.from_spec(settings).run()
    assert cold.trials != results.trials


@pytest.mark.parametrize("name", ["hyperband", "asha", "random-search", "early-stopping"])
def test_every_scheduler_tries_the_best_earlier_configurations_first(name, earlier):
    results = tune(scheduler_of(name), warm_start=earlier)
    trials = Results.from_journal(earlier, scheduler_of()).trials
    assert results.trials[0].config in [trial.config for trial in trials]
    levels = [train(trial.config, 99, 100, None)[0] for trial in trials]
    firsts = [train(trial.config, 99, 100, None)[0] for trial in results.trials[:6]]
    assert max(firsts) <= sorted(levels)[len(levels) // 2]


def test_spaces_that_differ_in_part(earlier):
    other = {
        "x": {"type": "float", "low": 0.25, "high": 0.9},
        "act": {"type": "categorical", "choices": ["tanh", "gelu"]},
        "dropout": {"type": "float", "low": 0.0, "high": 0.4},
        "layers": 3,
    }
    space = SearchSpace.from_dict(other)
    note = {
        "what": "warm-start",
        "trials": [
            {"trial_id": 0, "config": {"x": 0.3, "act": "relu", "layers": 1}, "losses": [0.5]},
            {"trial_id": 1, "config": {"x": 0.1, "act": "tanh", "width": 8}, "losses": [0.6, 0.4]},
            {"trial_id": 2, "config": {"x": "wide", "act": "tanh"}, "losses": [0.6, 0.4]},
        ],
    }
    assert first_configs([note], space) == [{"x": 0.3}, {"act": "tanh"}]
    ((curve,),) = searches_of([note], space)
    assert curve.config == {"x": 0.1, "act": "tanh", "dropout": 0.2, "layers": 3}
    assert curve.losses == (0.6, 0.4)
    results = tune(scheduler_of("swift-asha", other), warm_start=[earlier])
    assert all(trial.config["layers"] == 3 for trial in results.trials)
    assert not [event for event in results.events if event.kind == "degraded"]


def test_a_larger_search_after_a_smaller_one_and_several_at_once(earlier, tmp_path):
    second = tmp_path / "second.jsonl"
    tune(scheduler_of("asha"), journal=second)
    searcher = make_searcher("curves", SearchSpace.from_dict(SPACE), 0)
    larger = make_scheduler("swift-asha", searcher, max_resource=27, max_epochs=60)
    results = tune(larger, warm_start=[earlier, second], journal=tmp_path / "larger.jsonl")
    assert len(results.best.losses) == 27
    whats = [entry.data["what"] for entry in read_journal(tmp_path / "larger.jsonl").entries[:3]]
    assert whats == ["warm-start", "warm-start", "initial"]


def test_forecasts_with_earlier_trials_are_made_in_a_process_of_their_own(earlier):
    scheduler = scheduler_of("swift-asha")
    notes = begin(scheduler, [], earlier, Objective.of(None, "min"))
    runner = model_runner("joint", scheduler, notes, background=True)
    try:
        assert isinstance(runner, InProcess)
        curves = tuple(
            Curve(t, scheduler.searcher.propose(t), (0.5 + 0.1 * t, 0.4)) for t in range(3)
        )
        report = runner.start(ForecastJob(0, 9, curves, (), 0, 4), None).result(timeout=120)
        assert len(report.predictions) == 3
        assert len(report.proposals) == 4
    finally:
        runner.close()


def test_searches_in_opposite_directions_are_not_mixed(earlier):
    with pytest.raises(UsageError, match=r"must be of a search with mode='max'.* got 'min'"):
        tune(scheduler_of(), mode="max", warm_start=earlier)


def test_searches_for_different_metrics_are_not_mixed(tmp_path):
    old = tmp_path / "old.jsonl"
    tune(scheduler_of(), objective="error", journal=old)
    with pytest.raises(UsageError, match=r"with objective='cost', as the new one, got 'error'"):
        tune(scheduler_of(), objective="cost", warm_start=old)


def test_a_search_that_maximises_learns_from_one_that_did(tmp_path):
    def gain(config, start, stop, checkpoint):
        return [-loss for loss in train(config, start, stop, checkpoint)]

    journal = tmp_path / "old.jsonl"
    settings = {"executor": "inline", "mode": "max"}
    old = Tuner(gain, scheduler_of(), journal=journal, **settings).run()
    new = Tuner(gain, scheduler_of("asha"), warm_start=journal, **settings).run()
    assert new.trials[0].config == old.best.config


def test_warm_start_on_the_command_line(folder, call):
    assert call(*run_args("--journal", "old.jsonl"))[0] == 0
    args = run_args("--warm-start", "old.jsonl", "--journal", "new.jsonl", "--seed", "3")
    assert call(*args)[0] == 0
    old, new = (Results.from_journal(folder / f"{name}.jsonl") for name in ("old", "new"))
    assert new.trials[0].config == old.best.config


def test_what_is_no_earlier_search(earlier, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(earlier.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(UsageError, match=r"empty.jsonl must hold a trial with a finite loss"):
        tune(scheduler_of(), warm_start=[empty])
    with pytest.raises(JournalError, match="cannot read journal"):
        tune(scheduler_of(), warm_start=tmp_path / "none.jsonl")
    line, checksum = encode_line(read_journal(earlier).header.to_json())
    job = {"type": "TrainJob", "trial_id": "one", "config": 3}
    second, _ = encode_line({"kind": "decided", "time": 1.0, "data": job}, checksum)
    empty.write_bytes(line + second)
    with pytest.raises(JournalError, match=r"line 2 of journal .* holds no job"):
        tune(scheduler_of(), warm_start=[empty])


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ({"what": "initial", "configs": [3]}, "configs of a note on 'initial' must be a list"),
        ({"what": "extended", "settings": {"iterations": "x"}}, "settings .* object of numbers"),
        ({"what": "extended", "settings": {"iterations": 0}}, "line 2 .* does not fit this run"),
        ({"what": "initial", "configs": [{"x": 9}]}, "line 2 .* does not fit this run"),
        ({"what": "warm-start", "journal": "a", "trials": [{}]}, "trials of a note on"),
    ],
)
def test_notes_that_nobody_wrote_in_good_faith(note, message, spec, tmp_path):
    journal = tmp_path / "run.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    line, checksum = encode_line(read_journal(journal).header.to_json())
    second, _ = encode_line({"kind": "note", "time": 1.0, "data": note}, checksum)
    journal.write_bytes(line + second)
    with pytest.raises(JournalError, match=message):
        Results.from_journal(journal)


def test_a_searcher_of_python_objects_is_completed_too():
    space = SearchSpace.from_dict(SPACE)
    scheduler = make_scheduler("hyperband", RandomSearcher(space, seed=3), max_resource=9)
    results = tune(scheduler, initial=[{"layers": 4}])
    assert results.trials[0].config == {**RandomSearcher(space, seed=3).propose(0), "layers": 4}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": None}, "initial must be a list of configurations, got NoneType"),
        ({"warm_start": None}, "warm_start must be the path of a journal or a list"),
        ({"warm_start": [5]}, "warm_start must be the path of a journal or a list"),
    ],
)
def test_what_no_search_can_begin_with_is_named(settings, message):
    with pytest.raises(UsageError, match=message):
        tune(scheduler_of(), **settings)


def test_settings_of_an_extension_are_named_and_may_be_numbers_of_numpy(tmp_path):
    tune(scheduler_of("asha", n_trials=4), journal=tmp_path / "run.jsonl")
    with pytest.raises(UsageError, match="extend must be a mapping of settings"):
        resume(tmp_path / "run.jsonl", scheduler_of("asha", n_trials=4), extend="n_trials=6")
    more = {"n_trials": np.int64(6)}
    found = resume(tmp_path / "run.jsonl", scheduler_of("asha", n_trials=4), extend=more)
    assert len(found.trials) == len(Results.from_journal(tmp_path / "run.jsonl").trials) == 6


def test_a_report_of_what_is_maximised_begins_with_the_highest(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text(
        "trial_id,status,epochs,last_accuracy,best_accuracy,config_x\n"
        "0,completed,9,0.5,0.9,0.25\n1,completed,9,0.75,0.8,0.5\n"
        "2,failed,0,,,0.125\n3,failed,1,nan,,1.0\n",
        encoding="utf-8",
    )
    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    highest = read_configs(path, space, "max")
    lowest = read_configs(path, space, "min")
    assert [config["x"] for config in highest] == [0.5, 0.25, 0.125, 1.0]
    assert [config["x"] for config in lowest] == [0.25, 0.5, 0.125, 1.0]


def test_a_search_with_few_trials_does_not_cut_off_the_others() -> None:
    short, long = (
        {"what": "warm-start", "trials": [{"config": {"x": x}} for x in values]}
        for values in ([0.5], [0.1, 0.2, 0.3])
    )
    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    found = first_configs([short, long], space)
    assert [config["x"] for config in found] == [0.5, 0.1, 0.2, 0.3]
