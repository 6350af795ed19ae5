"""Searches side by side: table, CSV and page."""

from __future__ import annotations

import csv
import re

import pytest

from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.cli import main
from hpo.errors import UsageError
from hpo.report import Comparison, read_run

READY = "document.documentElement.dataset.ready === 'yes'"


@pytest.fixture
def pair(finished) -> Comparison:
    return Comparison([read_run(finished(name)) for name in ("hyperband", "swift-hyperband")])


def test_each_search_is_counted_as_in_its_own_report(pair) -> None:
    for record, run in zip(pair.records(), pair.runs, strict=True):
        assert record["name"] == run.name
        assert record["epochs"] == run.results.epochs
        assert record["trials"] == len(run.results.trials)
        assert record["best_value"] == run.results.best.last_loss
    assert dict(pair.settings())["scheduler"] == ["hyperband", "swift-hyperband"]


def test_what_all_have_reached_is_reached_by_all_and_is_the_best_of_one(pair) -> None:
    histories = [run.results.history() for run in pair.runs]
    assert pair.common_value in {points[-1].best for points in histories}
    for record, points in zip(pair.records(), histories, strict=True):
        before = [p.best for p in points if p.epochs < record["epochs_to_common"] and p.complete]
        at = next(p for p in points if p.epochs == record["epochs_to_common"])
        assert at.best <= pair.common_value
        assert all(best > pair.common_value for best in before)


def test_one_run_twice_is_told_apart_and_equal(finished) -> None:
    run = read_run(finished("hyperband"))
    both = Comparison([run, run])
    assert both.names == [f"{run.name} (1)", f"{run.name} (2)"]
    one, other = both.records()
    assert {**one, "name": ""} == {**other, "name": ""}
    assert both.settings() == []
    with pytest.raises(UsageError, match="at least 2 runs, got 1"):
        Comparison([run])


def test_the_command_shows_both(finished, tmp_path, capsys) -> None:
    journals = [str(finished(name)) for name in ("hyperband", "swift-hyperband")]
    table, page, figures = (tmp_path / name for name in ("t.csv", "p.html", "figures"))
    options = ["--csv", str(table), "--html", str(page), "--figures", str(figures)]
    with pytest.raises(SystemExit) as end:
        main(["report", *journals, *options])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "2 searches" in out
    assert "Best value that all of them reached" in out
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["hyperband", "swift-hyperband"]
    assert {path.name for path in figures.iterdir()} == {
        "hyperband-curves.png",
        "swift-hyperband-curves.png",
        "regret.png",
    }


@pytest.mark.slow
def test_the_page_in_a_browser(pair, browser, tmp_path) -> None:
    path = pair.write_page(tmp_path / "pair.html")
    browser.errors.clear()
    browser.requests.clear()
    browser.open(path.as_uri(), ready=READY)
    assert browser.requests == [path.as_uri()]
    lines = "document.querySelectorAll('#progress .figure path.run').length"
    assert browser.evaluate(lines) == 4  # two phases of two searches
    text = browser.evaluate("document.body.innerText")
    for record in pair.records():
        assert re.search(rf"\b{record['epochs']}\b", text)
    for choice in ("regret", "seconds"):
        browser.evaluate(
            "for (const each of document.querySelectorAll('select'))"
            f" if (each.options[1].text === '{choice}')"
            " { each.value = '1'; each.dispatchEvent(new Event('change')); }"
        )
        assert choice in browser.evaluate("document.querySelector('#progress .figure').textContent")
    assert browser.errors == []
    assert len(browser.screenshot(tmp_path / "pair.png")) > 20_000


@pytest.mark.parametrize("mode", ["min", "max"])
def test_searches_that_a_limit_has_cut_in_a_segment(tmp_path, mode) -> None:
    sign = 1 if mode == "min" else -1

    def train(config, start, stop, checkpoint):
        return [sign * (config["x"] + 1 / unit) for unit in range(start + 1, stop + 1)]

    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    runs = []
    for most in (4, 7):
        scheduler = make_scheduler(
            "random-search", RandomSearcher(space, seed=0), max_resource=9, n_trials=2
        )
        journal = tmp_path / f"{most}.jsonl"
        Tuner(train, scheduler, journal=journal, executor="inline", mode=mode).run(max_epochs=most)
        runs.append(read_run(journal))
        assert runs[-1].results.history()[-1].best == runs[-1].results.best.value
    records = Comparison(runs).records()
    assert [record["epochs_to_common"] for record in records] == [4, 7]
    assert Comparison(runs).lines()[0].startswith("Best value that all of them reached:")
