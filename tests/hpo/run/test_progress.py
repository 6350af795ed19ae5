"""What a user sees of a run that goes on: counts of the moment, time left, words, and no wraps."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from hpo import ListSearcher, make_scheduler
from hpo.errors import InterruptedRunError
from hpo.integrations.tracking import Several
from hpo.run.baseline import HyperbandBaseline
from hpo.run.history import best_so_far
from hpo.run.limits import Bounds, Limits
from hpo.run.pace import Pace
from hpo.run.progress import Activity, Progress, RichProgress, Snapshot
from hpo.run.screens import Compilation, LogScreen, View, clock
from hpo.run.tuner import Tuner
from hpo.trial import SchedulerSummary, TrialStatus, TrialSummary, best_of
from waiting import wait_until
from workshop import environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Watch(Progress):
    """Keeps what it is shown, and what the runner did then."""

    def __init__(self) -> None:
        self.seen: list[tuple[Snapshot, Activity]] = []
        self.outcome = ""

    def show(self, summary, baseline):
        snapshot = Snapshot.of(summary, baseline, self.bounds.limits, self.n_trials)
        self.seen.append((snapshot, self.activity()))

    def conclude(self, outcome):
        self.outcome = outcome


def train(config, start, stop, checkpoint):
    return [config["x"] / 100 + 1 / (unit + 1) for unit in range(start, stop)]


def slow(config, start, stop, checkpoint):
    time.sleep(0.5)
    return train(config, start, stop, checkpoint)


def search(name="random-search", **settings):
    configs = [{"x": float(x)} for x in range(100)]
    settings = {"max_resource": 9, "reduction_factor": 3} | settings
    return make_scheduler(name, ListSearcher(configs), seed=0, **settings)


def summary_of(*trials, budget=None, events=()):
    epochs = sum(len(trial.losses) for trial in trials)
    return SchedulerSummary(trials, best_of(trials), epochs, events, budget)


def trial(number, status, *losses):
    return TrialSummary(number, {}, 0, 0, TrialStatus(status), losses)


# -- counts ------------------------------------------------------------------------------------


def test_all_workers_are_shown_busy_while_they_are(workshop):
    """The updates of a burst are not dropped: the last one is shown before the run waits."""

    class Releasing(Watch):
        def show(self, summary, baseline):
            super().show(summary, baseline)
            if self.seen[-1][1].training == 3:
                workshop.allow(None)

    watch = Releasing()
    workshop.allow(0)
    trainer = f"{workshop.trainer}:train"
    configs = ListSearcher([{"lr": x / 10} for x in range(9)])
    scheduler = make_scheduler("random-search", configs, max_resource=1, n_trials=6, seed=0)
    Tuner(trainer, scheduler, n_workers=3, progress=watch).run()
    busy = [(s.running, a.training) for s, a in watch.seen if a.training == 3]
    assert (3, 3) in busy
    last, activity = watch.seen[-1]
    assert (last.epochs, last.running, last.over, activity.training) == (6, 0, 6, 0)
    assert watch.outcome == "finished"


def test_in_this_process_each_segment_is_shown_before_it_trains():
    watch, shown = Watch(), []

    def watched(config, start, stop, checkpoint):
        shown.append((watch.seen[-1][0].trials, watch.seen[-1][0].running))
        return slow(config, start, stop, checkpoint)

    Tuner(watched, search(n_trials=3, max_resource=2), executor="inline", progress=watch).run()
    assert shown == [(1, 1), (2, 1), (3, 1)]
    assert all(activity.in_turn for _, activity in watch.seen)


def test_the_state_at_an_interrupt_and_at_a_limit_is_shown():
    watch = Watch()
    Tuner(train, search(), executor="inline", progress=watch).run(max_epochs=20)
    assert watch.seen[-1][0].epochs == 20
    assert watch.outcome == "stopped by max_epochs"
    watch, done = Watch(), []

    def interrupting(config, start, stop, checkpoint):
        done.append(stop - start)
        if len(done) == 4:
            os.kill(os.getpid(), 15)
        return train(config, start, stop, checkpoint)

    with pytest.raises(InterruptedRunError):
        Tuner(interrupting, search(), executor="inline", progress=watch).run()
    assert watch.seen[-1][0].epochs == sum(done)
    assert watch.seen[-1][1].words == "stopping"


@pytest.mark.parametrize(
    ("activity", "words"),
    [
        (Activity(training=1, predicting=1), "training"),
        (Activity(predicting=1), "forecasting"),
        (Activity(waiting=2), "waiting for workers"),
        (Activity(training=2, stopping=True), "stopping"),
    ],
)
def test_words(activity, words):
    assert activity.words == words


def test_forecasts_are_shown():
    watch = Watch()
    scheduler = search("swift-asha", max_resource=9, max_epochs=60)
    Tuner(train, scheduler, executor="inline", progress=watch, predictor="last-value").run()
    assert {"training", "forecasting"} <= {activity.words for _, activity in watch.seen}


def test_compilation_is_shown():
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    compilation, seen = Compilation(), []
    assert not compilation

    @numba.njit
    def function(x):
        return x + 1

    def look():
        while not done.is_set():
            seen.append(bool(compilation))

    done = threading.Event()
    looks = threading.Thread(target=look)
    looks.start()
    assert function(1) == 2
    done.set()
    looks.join()
    assert True in seen
    assert not compilation
    compilation.close()

    display = RichProgress(console=Console(file=io.StringIO()))
    for in_turn, words in ((True, "compiling"), (False, "training")):
        display._compilation._depth = 1
        display.activity = lambda in_turn=in_turn: Activity(training=1, in_turn=in_turn)
        assert display.view().words == words


# -- best so far and savings -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hyperband", "asha", "swift-asha"])
def test_the_best_never_gets_worse_within_a_phase(name):
    watch = Watch()
    Tuner(train, search(name), executor="inline", predictor="last-value", progress=watch).run()
    phases = [[s.best for s, _ in watch.seen if s.complete is phase] for phase in (False, True)]
    assert all(phases)
    for values in phases:
        assert values == sorted(values, reverse=True)
    assert [s.complete for s, _ in watch.seen] == sorted(s.complete for s, _ in watch.seen)


def test_the_phase_of_the_best_is_labelled():
    begun = (trial(0, "running", 0.5, 0.2, 0.4), trial(1, "waiting", 0.3))
    assert Snapshot.of(summary_of(*begun), None).fields()["best loss"] == (
        "0.2 (trial 0, no trial complete)"
    )
    done = (*begun, trial(2, "completed", 0.1, 0.6))
    assert Snapshot.of(summary_of(*done), None).fields()["best loss"] == "0.6 (trial 2)"
    assert best_so_far(done).trial_id == best_of(done).trial_id


@pytest.mark.parametrize(("gain", "shown"), [(0.25, "0.25"), (0.7, None)])
def test_a_gain_beyond_the_best_loss_is_not_shown(gain, shown):
    snapshot = Snapshot.of(summary_of(trial(0, "completed", 0.6)), None)
    fields = dataclasses.replace(snapshot, expected_improvement=gain).fields()
    assert fields.get("may still gain") == shown


def test_savings_are_shown_for_the_trials_so_far_only():
    rounds, other = HyperbandBaseline(4, 2), HyperbandBaseline(4, 2, rounds=False)
    assert "saved" not in Snapshot.of(summary_of(), rounds).fields()
    assert "saved" not in Snapshot.of(summary_of(), other).fields()
    trials = (
        trial(0, "completed", 4, 3, 2, 1),
        TrialSummary(1, {}, 0, 2, TrialStatus.STOPPED, (4.0, 3.0), "rejected"),
    )  # the round goes from 2 to 4 units
    assert rounds.spent_by_now(trials) == 8
    assert other.spent_by_now(trials) is None
    assert Snapshot.of(summary_of(*trials), rounds).fields()["saved"] == (
        "2 epochs, 25% of plain Hyperband so far"
    )
    assert "saved" not in Snapshot.of(summary_of(*trials), other).fields()


# -- time left ---------------------------------------------------------------------------------


def test_the_pace_is_that_of_the_last_minutes():
    pace = Pace()
    for second, done in ((0, 0), (300, 1), (600, 1)):
        pace.add(second, done)
        assert pace.left(second, 100) is None
    for second in range(601, 700):
        pace.add(second, second - 599)
    assert pace.left(699, 200) == pytest.approx(100, rel=0.02)
    assert pace.left(699.5, 200) == pytest.approx(99.5, rel=0.02)
    assert pace.left(760, 200) > 150  # nothing has come for a minute
    for place in range(1, 31):
        pace.add(699 + 10 * place, 100 + place)  # ten times as slow
    assert pace.left(999, 140) == pytest.approx(100, rel=0.1)
    pace.add(1000, 3)  # begun anew
    assert pace.left(1000, 10) is None


def test_the_limit_that_comes_first_counts():
    watch = RichProgress(console=Console(file=io.StringIO()))
    bounds = Bounds(Limits(max_epochs=100, max_trials=4), None)
    watch.follow(Activity, bounds, 50)
    watch.show(summary_of(trial(0, "completed", *[0.5] * 10), budget=400), None)
    assert watch.view().extent.fraction == 0.25  # of the trials
    assert watch.view().extent.left is None
    watch.show(summary_of(trial(0, "completed", *[0.5] * 40), budget=400), None)
    assert watch.view().extent.fraction == 0.4
    assert Snapshot.of(summary_of(), None, n_trials=7).parts == {"trials": (0, 7)}
    timed = Limits(max_time=100).begun(search())
    watch.follow(Activity, timed)
    assert watch.view().extent.left == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("name", "expected"), [("random-search", 7), ("asha", 7), ("hyperband", 17)]
)
def test_the_trials_of_a_search_are_known(name, expected):
    scheduler = search(name, **({} if name == "hyperband" else {"n_trials": 7}))
    assert scheduler.n_trials == expected
    assert len(Tuner(train, scheduler, executor="inline").run().trials) == expected


def test_times_as_text():
    assert View("training", 5).times() == "0:05 elapsed"
    assert clock(59.9) == "0:59"


# -- screens -----------------------------------------------------------------------------------


def many_fields(display):
    display.follow(lambda: Activity(training=12), Bounds(Limits(max_epochs=40), None), 500)
    trials = [trial(n, "running", 0.5) for n in range(12)]
    trials += [trial(n, "failed") for n in range(12, 115)]
    display.show(summary_of(*trials), HyperbandBaseline(81, 3))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_no_line_is_wrapped(width, encoding, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(file=file, force_terminal=True, width=width, _environ={"TERM": "xterm"})
    with RichProgress("日本" if width >= 80 else "", console) as display:
        many_fields(display)
        time.sleep(0.3)
    file.flush()
    text = raw.getvalue().decode(encoding)
    lines = [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", text)) if line.strip()]
    assert any("115" in line for line in lines)
    assert max(map(len, lines)) < width
    assert ("━" in text) == (encoding == "utf-8")


def test_no_colour(monkeypatch):
    file = io.StringIO()
    environ = {"TERM": "xterm", "NO_COLOR": "1"}
    console = Console(file=file, force_terminal=True, width=80, _environ=environ)
    with RichProgress(console=console) as display:
        many_fields(display)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", file.getvalue())


def test_a_terminal_without_cursor_control_gets_lines_while_the_run_goes_on(monkeypatch):
    file = io.StringIO()
    environ = {"TERM": "dumb"}
    console = Console(file=file, force_terminal=True, width=80, _environ=environ)
    monkeypatch.setattr(RichProgress, "LINES_EVERY", 0.0)
    progress = RichProgress(console=console)
    progress.follow(lambda: Activity(training=1), Bounds(Limits(), None))
    with progress:
        progress.show(summary_of(trial(0, "running", 0.5)), None)
        end = time.monotonic() + 60
        while "best loss: 0.25" not in file.getvalue():  # lines that come later are fewer
            assert time.monotonic() < end
            time.sleep(0.05)
            progress.show(summary_of(trial(0, "running", 0.5, 0.25)), None)
    assert "\x1b" not in file.getvalue()


def test_the_time_elapsed_includes_the_start_of_workers(monkeypatch):
    now = [100.0]
    progress = RichProgress(console=Console(file=io.StringIO()))
    progress.follow(Activity, Bounds(Limits(), None))
    monkeypatch.setattr("hpo.run.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(2):  # and not the run before
        with progress.starting():
            now[0] += 0.25
        with progress:
            assert progress.view().elapsed == 0.25
            now[0] += 0.5
            assert progress.view().elapsed == 0.75


def test_lines_of_a_log_are_few(monkeypatch):
    """At most 100 in the first hour, and 60 in each further one."""
    monkeypatch.setattr("hpo.run.screens.time", SimpleNamespace(monotonic=lambda: 0.0))
    now, lines = 0.0, []
    screen = LogScreen(lambda: View("training", now), Console(file=io.StringIO()), 10.0)
    while now < 7200:
        every = min(60.0, max(10.0, now / 20))  # as the screen has it
        screen._last = 0.0
        assert screen.interval == pytest.approx(every)
        now += every
        lines.append(now)
    assert sum(line <= 3600 for line in lines) <= 100
    assert sum(line > 3600 for line in lines) <= 61


def test_a_log_goes_on_while_one_trial_trains(workshop):
    """The time is printed although nothing is reported."""
    workshop.allow(0)
    script = (
        "from hpo.run.progress import RichProgress; RichProgress.LINES_EVERY = 0.3\n"
        "from hpo.cli import main; main()"
    )
    args = workshop.run_args(executor="process", max_resource="1", scheduler="hyperband")
    with subprocess.Popen(
        [sys.executable, "-c", script, *args], cwd=workshop.root, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        shown = (line for line in process.stderr if "epochs: 0" in line)
        while "trials: 1 of 1 (1 running)" not in next(shown):
            pass
        assert "trials: 1 of 1 (1 running)" in next(shown)
        workshop.allow(None)
        assert "finished  epochs: 1" in process.stderr.read().splitlines()[-1]
    assert process.returncode == 0
    quiet = workshop.cli(*[a.replace("run.jsonl", "other.jsonl") for a in args], "--quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_starting_workers_is_said():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    display = RichProgress(console=console)
    with Several(display).starting():
        written(file, "starting workers")
    log = RichProgress(console=Console(file=io.StringIO()))
    log.LINES_EVERY = 0.1
    with log.starting():
        written(log._console.file, "\n")
    assert log._console.file.getvalue() == "[0:00]  starting workers\n"


def written(file, text):
    """Wait until a display has written a text."""
    wait_until(lambda: text in file.getvalue(), f"{text!r} to be written")


def test_several_displays_are_all_told():
    parts = Watch(), Watch()
    Tuner(train, search(n_trials=2), executor="inline", progress=Several(*parts)).run(max_epochs=12)
    for part in parts:
        assert part.outcome == "stopped by max_epochs"
        assert part.seen[-1][0].epochs == 12
        assert part.n_trials == 2


NOTEBOOK = """
import time
from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.run.progress import RichProgress
def train(config, start, stop, checkpoint):
    time.sleep(0.4)
    return [config["lr"] + 1 / (unit + 1) for unit in range(start, stop)]
space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
searcher = RandomSearcher(space, seed=0)
scheduler = make_scheduler("random-search", searcher, max_resource=1, n_trials=5, seed=0)
results = Tuner(train, scheduler, executor="inline", progress=RichProgress("<b>")).run()
"""


@pytest.mark.slow
def test_a_notebook_has_one_output_that_is_replaced():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    pages: list[str] = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc]
        def process_message(self, message, cell, index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                pages.append(message["content"]["data"]["text/html"])
            return super().process_message(message, cell, index)

    Client(book, timeout=100).execute(env=environment())
    (output,) = book.cells[0].outputs
    assert output["data"]["text/html"] == pages[-1]
    assert len(pages) >= 3
    assert "finished" in pages[-1]
    assert ">5</td>" in pages[-1]
    assert any("<progress value=" in page for page in pages)
    assert all("&lt;b&gt;" in page for page in pages)
