"""Schedulers, searchers, predictors and executors that installed packages offer by name."""

from __future__ import annotations

import sys

import pytest

from hpo import Tuner, make_predictor, make_scheduler, make_searcher
from hpo.cli import main
from hpo.errors import UsageError
from hpo.run.executors import EXECUTORS
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.schedulers.registry import CATALOGUE
from hpo.searchers.installed import PluginWarning, installed
from hpo.space import SearchSpace

PARTS = '''
"""Parts as another package may offer them."""

from concurrent.futures import ThreadPoolExecutor

from hpo.predictors import LastValuePredictor
from hpo.schedulers import ASHA, RandomSearch, SwiftASHA
from hpo.searchers import CurveSearcher


class OneByOne(RandomSearch):
    """Trains each configuration in full, one after the other."""

    def __init__(self, searcher, *, max_resource, reduction_factor=2, n_trials=3):
        super().__init__(searcher, max_resource=max_resource, n_trials=n_trials)


class Thawing(SwiftASHA):
    """Freezes and thaws."""

    forecasts = True


class Corners:
    """Proposes the corners of the space."""

    def __init__(self, space, seed, *, first="low"):
        self.space, self.first = space, first

    def propose(self, trial_id):
        low = (trial_id % 2 == 0) == (self.first == "low")
        return {name: d.low if low else d.high for name, d in self.space.domains.items()}


class Learning(CurveSearcher):
    """Learns from forecasts."""

    def __init__(self, space, seed):
        super().__init__(space, seed)


class Optimist(LastValuePredictor):
    """Predicts the last value."""


def two_threads():
    """Threads of this process."""
    return ThreadPoolExecutor(2)
'''
ENTRIES = """
[hpo.schedulers]
one-by-one = parts:OneByOne
thawing = parts:Thawing
broken = parts_that_are_not_there:Nothing
hyperband = parts:OneByOne
[hpo.searchers]
corners = parts:Corners
learning = parts:Learning
[hpo.predictors]
optimist = parts:Optimist
[hpo.run.executors]
two-threads = parts:two_threads
"""
SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


def install(folder, name, entries):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package for the time of a test."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "work.py").write_text(
        "def train(config, start, stop, checkpoint):\n"
        "    return [config['x'] + 1 / (unit + 1) for unit in range(start, stop)]\n"
    )
    install(tmp_path, "parts", ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    installed.cache_clear()
    yield tmp_path
    installed.cache_clear()
    sys.modules.pop("parts", None)


def spec(**settings):
    return RunSpec("work.py:train", SPACE, 4, executor="inline", **settings)


def test_a_run_by_their_names_is_resumed_and_reported(package):
    settings = spec(
        scheduler="one-by-one",
        searcher="corners",
        searcher_options={"first": "high"},
        scheduler_options={"n_trials": 4},
    )
    results = Tuner.from_spec(settings, journal=package / "run.jsonl").run()
    assert [trial.config["x"] for trial in results.trials] == [1.0, 0.0, 1.0, 0.0]
    assert Results.from_journal(package / "run.jsonl").trials == results.trials
    assert Tuner.resume(package / "run.jsonl", extend={"n_trials": 5}).epochs == 20


def test_a_scheduler_that_forecasts_gets_a_searcher_that_learns(package):
    settings = spec(scheduler="thawing", scheduler_options={"max_epochs": 12}, predictor="joint")
    results = Tuner.from_spec(settings).run()
    assert [event for event in results.events if event.kind == "forecast"]
    learning = spec(scheduler="thawing", searcher="learning")
    assert type(learning.build_searcher()).__name__ == "Learning"
    with pytest.raises(UsageError, match="'learning' proposes with forecasts, and scheduler 'asha"):
        spec(scheduler="asha", searcher="learning").build_searcher()


def test_a_predictor_and_an_executor(package):
    assert type(make_predictor("optimist")).__name__ == "Optimist"
    settings = spec(scheduler="one-by-one", searcher="corners")
    results = Tuner.from_spec(settings, executor="two-threads", n_workers=2).run()
    assert results.finished
    with pytest.raises(UsageError, match="executor 'two-threads' has no option 'devices'"):
        Tuner.from_spec(settings, executor="two-threads", executor_options={"devices": "0"})


def test_unknown_options_are_named_as_for_our_own(package):
    searcher = make_searcher("corners", SearchSpace.from_dict(SPACE))
    with pytest.raises(ValueError, match="one-by-one takes the options n_trials; got colour"):
        make_scheduler("one-by-one", searcher, max_resource=4, colour="red")


def test_errors_list_what_there_is(package):
    with pytest.raises(ValueError, match=r"must be one of random-search, .*, one-by-one, thawing"):
        make_scheduler("bogus", None, max_resource=4)
    with pytest.raises(ValueError, match=r"one of random, grid, .*corners.*hpo list"):
        make_searcher("bogus", SearchSpace.from_dict(SPACE))
    with pytest.raises(ValueError, match=r"one of nusvr, .*optimist"):
        make_predictor("bogus")


def test_a_broken_package_is_named_and_ours_cannot_be_taken(package):
    with pytest.raises(ValueError, match=r"parts_that_are_not_there:Nothing.*ModuleNotFoundError"):
        make_scheduler("broken", None, max_resource=4)
    with pytest.warns(PluginWarning, match="'hyperband' is hpo's own; what parts:OneByOne offers"):
        assert CATALOGUE.get("hyperband").__module__.startswith("hpo.")


def test_a_name_that_two_packages_offer(package):
    install(package, "others", "[hpo.schedulers]\none-by-one = others:Same\n")
    installed.cache_clear()
    with pytest.raises(ValueError, match="more than one installed package: others:Same, parts:"):
        make_scheduler("one-by-one", None, max_resource=4)


def test_hpo_list(package, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["list"])
    out, err = capsys.readouterr()
    assert not caught.value.code
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert set(EXECUTORS) <= set(lines)
    assert lines["hyperband"].startswith("Brackets of successive halving")
    assert lines["one-by-one"].endswith("in full, one after the other (parts:OneByOne)")
    assert lines["corners"] == "Proposes the corners of the space (parts:Corners)"
    assert lines["two-threads"] == "Threads of this process (parts:two_threads)"
    assert "broken" not in out
    assert "Warning: scheduler 'broken' of an installed package" in err
    assert "Warning: scheduler 'hyperband' is hpo's own" in err
    with pytest.raises(SystemExit):
        main(["list", "searchers"])
    assert "hyperband" not in capsys.readouterr().out
