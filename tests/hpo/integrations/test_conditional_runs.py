"""Whole runs over a space with conditions: decisions, journal, tables, page, Optuna's storage."""

from __future__ import annotations

import csv
import json
import math
import sys

import pytest

from hpo.cli import main
from hpo.errors import UsageError
from hpo.report import read_run, render
from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.schedulers import make_scheduler
from hpo.searchers import RandomSearcher
from hpo.space import SearchSpace
from hpo.trainers.loading import load_trainer

TRAINER = '''
import math


def train(config, start, stop, checkpoint):
    """Refuse what is there though it must not be; sgd with high momentum is best."""
    rest = set(config) - {"opt", "lr"}
    assert rest - {"decay"} == ({"momentum", "nesterov"} if config["opt"] == "sgd" else set())
    floor = 0.1 * (math.log10(config["lr"]) + 2) ** 2
    floor += 0.2 if config["opt"] == "adam" else (config["momentum"] - 0.9) ** 2
    return [floor + 1 / unit for unit in range(start + 1, stop + 1)]
'''
SPACE = SearchSpace.from_dict(
    {
        "momentum": {"type": "float", "low": 0.0, "high": 1.0, "when": {"opt": "sgd"}},
        "opt": ["adam", "sgd"],
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "nesterov": {"type": "constant", "value": True, "when": {"opt": "sgd"}},
    }
)
EXPONENTIAL = {"type": "scipy", "name": "expon", "args": [], "kwds": {}, "when": {"opt": "sgd"}}
RICH = SearchSpace.from_dict({**SPACE.to_dict(), "decay": EXPONENTIAL})
SPACES = {"swift-asha": SPACE, "hyperband": RICH}


FEW_FORECASTS = {"forecast_interval": 0.25}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("trainer") / "work.py"
    path.write_text(TRAINER)
    return f"{path}:train"


@pytest.fixture(scope="module", params=list(SPACES))
def journal(request, trainer, tmp_path_factory):
    """The journal of a finished run."""
    spec = RunSpec(
        trainer=trainer,
        space=SPACES[request.param].to_dict(),
        max_resource=9,
        scheduler=request.param,
        scheduler_options=FEW_FORECASTS if request.param == "swift-asha" else {},
        predictor="last-value",
        executor="inline",
    )
    path = tmp_path_factory.mktemp("runs") / f"{request.param}.jsonl"
    Tuner.from_spec(spec, journal=path).run()
    return path


def check(results, space):
    assert results.finished
    for trial in results.trials:
        space.validate(trial.config)
        assert str(trial.status) != "failed", trial.reason
    assert {"momentum" in trial.config for trial in results.trials} == {True, False}


def test_a_run_has_nothing_that_is_absent_and_can_be_read_again(journal):
    results = Results.from_journal(journal)
    space = SearchSpace.from_dict(read_journal(journal).header.spec["space"])
    assert space == SPACES[journal.stem]
    check(results, space)


def test_a_run_that_was_cut_off_goes_on_to_the_same_end(journal, tmp_path):
    lines = journal.read_bytes().splitlines(keepends=True)
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(lines[: len(lines) // 2]))
    again = Tuner.resume(part)
    whole = Results.from_journal(journal)
    assert [t.config for t in again.trials] == [t.config for t in whole.trials]
    assert [t.losses for t in again.trials] == [t.losses for t in whole.trials]


def test_tables_and_the_page_leave_cells_empty(journal, tmp_path):
    results = Results.from_journal(journal)
    path = tmp_path / "out.csv"
    results.write_csv(path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for row, trial in zip(rows, results.trials, strict=True):
        for name in SPACES[journal.stem].domains:
            assert row[f"config_{name}"] == str(trial.config.get(name, ""))
    shown = [str(column.header) for column in results.table().columns]
    assert set(SPACE.domains) <= set(shown)
    frame = results.to_frame()
    assert frame["config_momentum"].isna().sum() == sum(
        t.config["opt"] == "adam" for t in results.trials
    )
    page = render(read_run(journal))
    assert "momentum" in page


def test_an_exported_trial_has_the_parameters_that_are_there(journal, tmp_path):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(SystemExit) as ended:
        main(["export", str(journal), url])
    assert ended.value.code == 0
    study = optuna.load_study(study_name=journal.stem, storage=url)
    results = Results.from_journal(journal)
    assert [trial.params for trial in study.trials] == [trial.config for trial in results.trials]
    assert {"momentum" in trial.params for trial in study.trials} == {True, False}


def run_with(searcher, trainer, **options):
    scheduler = make_scheduler("swift-asha", searcher, max_resource=9, seed=0, **FEW_FORECASTS)
    trainer = load_trainer(trainer)
    return Tuner(trainer, scheduler, executor="inline", predictor="last-value", **options).run()


def test_a_run_by_optunas_searcher(trainer, tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")
    from hpo.searchers.optuna import OptunaSearcher

    results = run_with(OptunaSearcher(SPACE, "tpe", seed=0), trainer, journal=tmp_path / "j")
    check(results, SPACE)
    suggested = results.trials[len(results.trials) // 2 :]
    assert sum(trial.config["opt"] == "sgd" for trial in suggested) > len(suggested) / 2
    again = run_with(OptunaSearcher(SPACE, "tpe", seed=0), trainer)
    assert [t.config for t in again.trials] == [t.config for t in results.trials]
    assert json.loads(json.dumps(results.best.config)) == results.best.config


@pytest.mark.parametrize(
    ("name", "options"), [("tpe", {"min_observations": 4}), ("grid", {"points": 2}), ("curves", {})]
)
def test_a_searcher_by_name_goes_on_where_it_was_cut_off(name, options, trainer, tmp_path):
    if name == "tpe":
        pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")
    spec = RunSpec(
        trainer=trainer,
        space=SPACE.to_dict(),
        max_resource=9,
        scheduler_options=FEW_FORECASTS,
        searcher=name,
        searcher_options=options,
        predictor="last-value",
        executor="inline",
    )
    whole = Tuner.from_spec(spec, journal=tmp_path / "whole.jsonl").run()
    check(whole, SPACE)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(lines[: len(lines) // 2]))
    again = Tuner.resume(part)
    assert [(t.config, t.losses) for t in again.trials] == [
        (t.config, t.losses) for t in whole.trials
    ]
    first = [trial.config for trial in whole.trials]
    drawn = [RandomSearcher(SPACE, spec.seed).propose(trial.trial_id) for trial in whole.trials]
    assert first != drawn, "the searcher that was named had a say"


def test_a_searcher_without_its_package_says_how_to_get_it(monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")
    monkeypatch.setitem(sys.modules, "optuna", None)
    spec = RunSpec(trainer="x.py:train", space=SPACE.to_dict(), max_resource=9, searcher="tpe")
    with pytest.raises(UsageError, match=r'not installed: pip install "\.\[optuna\]"'):
        spec.build_searcher()


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_sampler_of_optuna_suggests_within_the_conditions(sampler):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")
    from hpo.searchers.optuna import OptunaSearcher
    from hpo.trial import Curve

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searcher = OptunaSearcher(SPACE, sampler, seed=0)
    configs = [searcher.propose(trial) for trial in range(12)]
    curves = [Curve(i, c, (c.get("momentum", 2.0), math.pi)) for i, c in enumerate(configs)]
    found = searcher.suggest(curves, 3, max_resource=1, seed=1)
    assert found == searcher.suggest(curves, 3, max_resource=1, seed=1)
    for config in found:
        SPACE.validate(config)


FORMS_TRAINER = '''
def train(config, start, stop, checkpoint):
    """Refuse values of another type than the space has."""
    assert type(config["layers"]) is tuple
    assert all(type(config[name]) is int for name in ("width", "n", "one"))
    return [0.01 * config["width"] + 1 / unit for unit in range(start + 1, stop + 1)]
'''
FORMS_TOML = """
layers = [[64], [64, 32], [128, 64, 32]]
[width]
type = "int"
low = 16
high = 96
step = 16
[n]
type = "scipy"
name = "randint"
args = [2, 9]
[one]
type = "int"
low = 3
high = 3
"""


@pytest.mark.parametrize("searcher", ["random", "curves", "tpe"])
def test_tuples_steps_and_draws_keep_their_types_in_a_whole_run(searcher, tmp_path):
    if searcher == "tpe":
        pytest.importorskip("optuna")
    (tmp_path / "work.py").write_text(FORMS_TRAINER)
    (tmp_path / "space.toml").write_text(FORMS_TOML)
    space = SearchSpace.from_toml(tmp_path / "space.toml")
    spec = RunSpec(
        trainer=f"{tmp_path / 'work.py'}:train",
        space=space.to_dict(),
        max_resource=9,
        searcher=searcher,
        scheduler="swift-asha",
        scheduler_options=FEW_FORECASTS,
        predictor="last-value",
        executor="inline",
    )
    journal = tmp_path / "run.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    results = Results.from_journal(journal)
    assert results.finished
    assert not [trial.reason for trial in results.trials if str(trial.status) == "failed"]
    for trial in results.trials:
        space.validate(trial.config)
        assert type(trial.config["layers"]) is tuple
        assert type(trial.config["n"]) is int
    results.write_csv(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["config_layers"] for r in rows] == [str(t.config["layers"]) for t in results.trials]
    assert "(128, 64, 32)" in render(read_run(journal))
    lines = journal.read_bytes().splitlines(keepends=True)
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert [t.config for t in Tuner.resume(part).trials] == [t.config for t in results.trials]
