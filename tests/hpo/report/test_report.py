"""The HTML report: in a real browser, and what it is made of."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from hpo.cli import main
from hpo.errors import UsageError
from hpo.report import read_run, render, write_report
from hpo.report.content import content
from hpo.report.importance import importance
from hpo.run.journal import Journal
from hpo.run.tuner import Tuner
from hpo.schedulers import Hyperband
from hpo.searchers import ListSearcher
from hpo.text import plain
from hpo.trial import TrialStatus, TrialSummary

PARTS = (
    *("curves", "best", "intermediate", "brackets", "budget", "predictor", "importance"),
    *("timeline", "trials"),
)
READY = "document.documentElement.dataset.ready === 'yes'"
CHOSEN = "document.getElementById('detail').textContent"
FIGURE = "document.querySelector('#curves .figure')"


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that writes the page of a journal and opens it."""

    def open_(journal, **size):
        path = write_report(read_run(journal), tmp_path / f"{journal.stem}.html")
        browser.errors.clear()
        browser.requests.clear()
        browser.open(path.as_uri(), ready=READY, **size)
        return browser, path

    return open_


def trial_shown(browser) -> int:
    return int(re.match(r"Trial (\d+):", browser.evaluate(CHOSEN))[1])


@pytest.mark.slow
def test_a_page_runs_without_errors_and_loads_nothing(opened, finished, tmp_path):
    browser, path = opened(finished("swift-hyperband"))
    assert browser.requests == [path.as_uri()]
    assert browser.evaluate("[document.scripts.length, document.images.length]") == [2, 0]
    best = read_run(finished("swift-hyperband")).results.best
    assert trial_shown(browser) == best.trial_id
    text = browser.evaluate("document.body.innerText")
    assert f"{best.last_loss:.5g}" in text
    assert "<img src=x onerror=alert(1)> & diverged" in text
    assert "</script><script>alert(1)</script>" in text
    assert "plain Hyperband with the same settings takes" in text
    for part in PARTS:
        assert browser.evaluate(f"document.querySelectorAll('#{part} h2').length") == 1
    assert browser.evaluate(f"{FIGURE}.querySelectorAll('path.curve').length") >= 4
    assert len(browser.screenshot(tmp_path / "page.png")) > 20_000
    assert browser.errors == []


@pytest.mark.slow
def test_a_page_is_used_by_keyboard(opened, finished):
    browser, _ = opened(finished("swift-hyperband"))
    ranked = [
        trial for _, trial in sorted(browser.evaluate("data.trials.map((t) => [t.rank, t.id])"))
    ]
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(40):
        browser.press("Tab", 9)
        reached.add(browser.evaluate("document.activeElement.tagName.toLowerCase()"))
        if browser.evaluate(f"document.activeElement === {FIGURE}"):
            break
    assert reached == {"a", "button", "select", "input", "div"}
    browser.press("ArrowRight", 39)
    browser.press("ArrowRight", 39)
    assert trial_shown(browser) == ranked[2]
    browser.press("ArrowLeft", 37)
    assert trial_shown(browser) == ranked[1]
    assert browser.evaluate("document.querySelectorAll('#curves path.chosen').length") == 2
    assert browser.evaluate("document.querySelector('tr[aria-current=true]').dataset.trial") == str(
        ranked[1]
    )
    browser.press("Escape", 27)
    assert browser.evaluate(CHOSEN) == "No trial is chosen."
    browser.evaluate("document.querySelector('#trials th:nth-child(3) button').focus()")
    browser.press("Enter", 13, "\r")
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.querySelector('th[aria-sort=descending]').innerText") in (
        "epochs",
        "epochs ↓",
    )
    assert browser.evaluate("document.querySelector('#trials td:nth-child(3)').innerText") == "27"
    assert browser.errors == []


@pytest.mark.slow
def test_trials_are_filtered_and_chosen_by_pointer(opened, finished):
    browser, _ = opened(finished("swift-hyperband"))
    before = browser.evaluate(f"{FIGURE}.querySelectorAll('path.curve').length")
    browser.evaluate("document.querySelector('#curves button').click()")
    assert browser.evaluate(f"{FIGURE}.querySelectorAll('path.curve').length") == before - 1
    browser.evaluate("document.querySelectorAll('.bracket button')[2].click()")
    assert browser.evaluate("document.getElementById('bracket').value") == "2"
    assert set(browser.evaluate("data.trials.filter(shown).map((t) => t.bracket)")) == {2}
    browser.press("Home", 36)  # the button has moved the focus to the figure
    assert browser.evaluate(f"byId.get({trial_shown(browser)}).bracket") == 2
    browser.evaluate(
        "const s = document.querySelector('input[type=search]'); s.value = 'diverged';"
        "s.dispatchEvent(new Event('input'))"
    )
    rows = browser.evaluate("document.querySelectorAll('#trials tbody tr').length")
    failed = browser.evaluate("data.trials.filter((t) => t.reason.includes('diverged')).length")
    assert rows == failed > 0
    box = browser.evaluate(
        f"(() => {{ const b = {FIGURE}.getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    browser.press("Escape", 27)
    for y in range(-150, 150, 10):
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1] + y)
    assert browser.evaluate(f"byId.get({trial_shown(browser)}).bracket") == 2
    assert browser.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swift-hyperband", "asha", "random-search"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_pages_of_all_kinds_fit_a_narrow_screen(opened, finished, unfinished, name, share):
    journal = finished(name) if share == 1.0 else unfinished(name, share)
    browser, _ = opened(journal, width=360, height=700)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert ("not finished" in browser.evaluate("document.body.innerText")) == (share < 1)
    browser.resize(1400, 900)
    if share:
        browser.until(f"{FIGURE}.querySelector('svg').viewBox.baseVal.width > 900")
    assert browser.errors == []


@pytest.mark.slow
def test_every_figure_shows_what_the_results_hold(opened, finished):
    journal = finished("swift-hyperband")
    browser, _ = opened(journal)
    results = read_run(journal).results

    def count(selector):
        return browser.evaluate(f"document.querySelectorAll('{selector}').length")

    assert count("#timeline rect.span") == len(results.spans)
    assert "One row per worker" in browser.evaluate(
        "document.querySelector('#timeline').textContent"
    )
    browser.evaluate(
        "const r = document.getElementById('resource'); r.value = '1';"
        "r.dispatchEvent(new Event('change'))"
    )
    trained = [t for t in results.trials if t.values and math.isfinite(t.values[0])]
    assert count("#importance path.line:not(.chosen)") == len(trained)
    axes = browser.evaluate("data.axes.map((axis) => axis.name)")
    assert count(".slices > div") == min(8, len(axes))
    for name in ("lr", "opt"):
        label = f"against {name} of"
        dots = f"svg[aria-label*=\\'{label}\\'] circle"
        assert count(dots) == len([t for t in trained if name in t.config])
    assert count("#budget rect.span:not(.saved)") == sum(
        1 for bracket in content(read_run(journal))["brackets"] for n in bracket["epochs"] if n
    )
    known = len(browser.evaluate("data.forecasts"))
    assert count("#predictor circle.dot[data-trial]") == known > 0
    assert "predicted loss" in browser.evaluate("document.querySelector('#predictor').textContent")
    early = "#best path.run.early"
    assert (count(early), count("#best path.run:not(.early)")) == (2, 2)  # with the keys
    best = read_run(journal).results.best
    colours = browser.evaluate(
        "['#curves path.chosen.curve', '#curves path.curve.fate-5'].map("
        "(each) => getComputedStyle(document.querySelector(each)).stroke)"
    )
    assert len(set(colours)) == 1  # the best, chosen at first, in the colour of the legend
    assert trial_shown(browser) == best.trial_id
    browser.evaluate("document.querySelector('#timeline rect.span[data-trial]').dispatchEvent("
                     "new Event('click'))")  # fmt: skip
    first = next(span for span in results.spans if span.trial_id is not None)
    assert trial_shown(browser) == first.trial_id
    assert count("#timeline .chosen-span") == sum(
        span.trial_id == first.trial_id for span in results.spans
    )
    assert browser.errors == []


@pytest.mark.slow
def test_a_page_is_drawn_again_with_newer_content_and_the_reader_keeps_the_place(
    opened, finished, unfinished
):
    """What a live view does: the same page, more trials."""
    journal = finished("swift-hyperband")
    browser, _ = opened(unfinished("swift-hyperband", 0.5))
    before = browser.evaluate("data.trials.length")
    browser.evaluate(
        "const set = (id, value) => { const e = document.getElementById(id); e.value = value;"
        "e.dispatchEvent(new Event('change')); };"
        "set('best-by', '1'); set('bracket', '0');"
        "document.querySelector('#curves [role=group] button').click();"
        "document.querySelector('#best details').open = true;"
        "document.querySelector('#log-epochs').click();"
        "document.querySelector('#trials .scroll').scrollLeft = 40;"
        "const s = document.querySelector('input[type=search]'); s.focus(); s.value = 'adam';"
        "s.dispatchEvent(new Event('input')); s.setSelectionRange(2, 2);"
        "change({ trial: 1 }); document.getElementById('trials').scrollIntoView();"
    )
    browser.until("document.querySelector('#best details table') !== null")
    top = "document.getElementById('trials').getBoundingClientRect().top"
    at = browser.evaluate(top)
    state = (
        "[document.getElementById('best-by').value, view.bracket, [...view.hidden], view.trial,"
        "document.querySelector('#best details').open,"
        "document.querySelector('#log-epochs').checked,"
        "document.querySelector('#trials .scroll').scrollLeft, document.activeElement.type,"
        "document.activeElement.value, document.activeElement.selectionStart]"
    )
    kept = browser.evaluate(state)
    assert kept[0] == "1"
    assert kept[7:] == ["search", "adam", 2]
    new = json.dumps(plain(content(read_run(journal))))
    browser.evaluate(f"render({new})")
    assert browser.evaluate("data.trials.length") > before
    assert browser.evaluate(state) == kept
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert abs(browser.evaluate(top) - at) < 5
    text = browser.evaluate("document.body.innerText")
    assert "not finished" not in text
    rows = browser.evaluate("document.querySelectorAll('#best details tbody tr').length")
    assert rows == len(browser.evaluate("changesOf(data.history)"))
    assert browser.evaluate("document.querySelectorAll('section').length") == len(PARTS) + 1
    assert browser.errors == []


def test_nothing_a_user_wrote_becomes_markup(finished):
    page = render(read_run(finished("swift-hyperband")))
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    start = page.index('id="data">') + len('id="data">')
    values = json.loads(page[start : page.index("</script>", start)])
    assert "</script><script>alert(1)</script>" in values["trials"][0]["config"]


def test_the_content_agrees_with_the_results(finished):
    run = read_run(finished("swift-hyperband"))
    results = run.results
    values = content(run)
    for bracket in values["brackets"]:
        members = [t for t in results.trials if t.bracket == bracket["bracket"]]
        assert bracket["rungs"][0]["entered"] == len(members)
        for rung in bracket["rungs"]:
            assert rung["entered"] == rung["on"] + sum(count for _, count in rung["fates"])
    assert sum(b["spent"] for b in values["brackets"]) == results.epochs
    assert sum(b["saved"] for b in values["brackets"]) == results.saved > 0
    assert len(values["decisions"]) == len(results.predictor_skill())
    assert values["history"][-1][0] == results.epochs


def test_forecasts_name_the_trials_that_were_predicted(finished):
    run = read_run(finished("swift-hyperband"))
    forecasts = list(run.forecasts())
    curves = {trial.trial_id: trial.losses for trial in run.results.trials}
    decided = [t for e in run.results.events if e.kind == "decision" for t in e.kept + e.dropped]
    assert sorted(f.trial_id for f in forecasts) == sorted(
        t for t in decided if all(map(math.isfinite, curves[t])) and curves[t]
    )
    for forecast in forecasts:
        assert forecast.last == curves[forecast.trial_id][forecast.resource - 1]
    known = [f for f in forecasts if f.true is not None]
    errors = content(run)["forecast_errors"]
    rmse = math.sqrt(np.mean([(f.predicted - f.true) ** 2 for f in known]))
    assert errors["predictor"] == pytest.approx(rmse, rel=1e-6)
    assert errors["known"] == len(known) < errors["made"] == len(forecasts)


def _trials(n, loss):
    rng = np.random.default_rng(0)
    configs = [
        {"a": float(rng.random()), "b": float(rng.random()), "c": "xy"[i % 2], "d": 1}
        for i in range(n)
    ]
    return [
        TrialSummary(i, config, 0, 0, TrialStatus.COMPLETED, (loss(config),))
        for i, config in enumerate(configs)
    ]


def test_importance_finds_what_matters_and_says_where_nothing_does():
    told = importance(_trials(120, lambda c: (c["a"] - 0.4) ** 2 + 0.2 * (c["c"] == "x")), 1)
    assert told.r2 > 0.6
    assert set(told.names) == {"a", "b", "c"}  # d does not vary
    assert told.names[-1] == "b"
    assert abs(told.mean[-1]) < 0.1 < told.mean[1]
    noise = np.random.default_rng(1)
    assert importance(_trials(120, lambda _: noise.random()), 1).r2 < 0.1
    assert importance(_trials(19, lambda c: c["a"]), 1) is None
    assert importance(_trials(60, lambda c: c["a"]), 2) is None


def test_importance_is_not_drowned_by_diverged_trials():
    def loss(config):
        return math.nan if config["b"] > 0.97 else 1e30 if config["b"] > 0.95 else config["a"]

    told = importance(_trials(120, loss), 1)
    assert told.names[0] == "a"
    assert told.r2 > 0.5


def test_nothing_is_written_over_unless_allowed(finished, tmp_path):
    run = read_run(finished("random-search"))
    path = write_report(run, tmp_path / "page.html")
    with pytest.raises(UsageError, match=r"page\.html.*File exists.*overwrite"):
        write_report(run, path)
    write_report(run, path, overwrite=True)
    with pytest.raises(UsageError, match="No such file or directory"):
        write_report(run, tmp_path / "nowhere" / "page.html")


def test_a_run_from_python_objects_needs_no_scheduler(tmp_path):
    path = tmp_path / "run.jsonl"
    Journal.create(path, {}).close()
    assert "run" in render(read_run(path))
    run = read_run(path, Hyperband(ListSearcher([{"lr": 0.1}]), max_resource=2))
    assert "run" in render(run)


def test_the_command(finished, tmp_path, capsys):
    page = tmp_path / "page.html"
    for extra in ([], ["--overwrite"]):
        with pytest.raises(SystemExit) as caught:
            main(["report", str(finished("random-search")), "--html", str(page), *extra])
        assert caught.value.code == 0
    assert f"Page: {page}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["report", str(finished("random-search")), "--html", str(page)])
    assert caught.value.code == 2


def scores(config, start, stop, checkpoint):
    """Return an accuracy to maximise, and a loss that is lowest for another configuration."""
    units = range(start + 1, stop + 1)
    return [{"loss": config["x"] + 1 / n, "accuracy": config["x"] - 0.1 / n} for n in units]


@pytest.mark.slow
def test_a_page_shows_the_metric_that_is_chosen(opened, tmp_path):
    journal = tmp_path / "scores.jsonl"
    scheduler = Hyperband(ListSearcher([{"x": n / 20} for n in range(20)]), max_resource=4)
    options = {"journal": journal, "executor": "inline"}
    best = Tuner(scores, scheduler, objective="accuracy", mode="max", **options).run().best
    browser, _ = opened(journal)
    assert trial_shown(browser) == best.trial_id
    assert f"best accuracy\n{best.value:.5g}" in browser.evaluate("document.body.innerText")
    label = f"{FIGURE}.querySelector('svg').getAttribute('aria-label')"
    assert browser.evaluate(label).startswith("accuracy against epochs")
    before = browser.evaluate(f"{FIGURE}.querySelector('path.fate-5').getAttribute('d')")
    browser.evaluate(
        "const c = document.getElementById('metric'); c.value = '1';"
        "c.dispatchEvent(new Event('change'))"
    )
    assert browser.evaluate(label).startswith("loss against epochs")
    assert browser.evaluate(f"{FIGURE}.querySelector('path.fate-5').getAttribute('d')") != before
    first = "document.querySelector('#trials tbody tr').dataset.trial"
    assert browser.evaluate(first) == str(best.trial_id)
    assert browser.errors == []
