"""The table of trials at every width: no wrapped or cut number, and no empty column."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from hpo.report import read_run
from hpo.run.baseline import HyperbandBaseline
from hpo.run.results import Results
from hpo.run.table import config_text, short_reason, shortened, trial_table
from hpo.run.tuner import Tuner
from hpo.trial import Event, SchedulerSummary, TrialStatus, TrialSummary
from workshop import environment

CONFIG = {
    "learning_rate": 0.00123456,
    "units": (64, 64, 128),
    "activation": "a_long_name_of_an_activation",
    "dropout": 0.25,
}
ERROR = "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB\nsecond line"


def record(number, reason="", config=CONFIG, **metrics):
    return {
        "trial_id": number,
        "status": "failed" if "Error" in reason else "stopped",
        "epochs": 27,
        "last_accuracy": 0.123456789 * number,
        "retries": 0,
        "reason": reason,
        "trouble": "Error" in reason,
        **{f"metric_{name}": value for name, value in metrics.items()},
        **{f"config_{name}": value for name, value in config.items()},
    }


RECORDS = [record(1, f1=0.5), record(20, "not among the best 3 after 9 units"), record(3, ERROR)]


def printed(records, width, metrics=("f1",)):
    table = trial_table(records, "accuracy", metrics, "Trials", width)
    file = io.StringIO()
    Console(file=file, width=width or 1000).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_each_trial_has_one_line_with_whole_numbers(width):
    lines = printed(RECORDS, width)
    rows = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    assert [[cell.strip() for cell in row[:4]] for row in rows] == [
        ["1", "stopped", "27", "0.1235"],
        ["20", "stopped", "27", "2.469"],
        ["3", "failed", "27", "0.3704"],
    ]
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert any("--wide shows" in line for line in lines) == (width < 200)
    assert ("+3" in "".join(lines)) == (width in (80, 100))


def test_everything_is_shown_where_there_is_no_width():
    text = "\n".join(printed(RECORDS, None))
    for part in ("not among the best 3 after 9 units", r"20.00 MiB\nsecond line", *CONFIG):
        assert part in text
    assert "--wide" not in text


def test_empty_columns_are_left_out():
    lines = printed([record(1, config={"lr": 0.5}), record(2, config={"lr": 0.25})], 80)
    heading = [word.strip() for word in lines[2].split("┃")[1:-1]]
    assert heading == ["trial", "status", "epochs", "last accuracy", "lr"]
    with_retries = {**record(1), "retries": 2}
    assert "retries" in "".join(printed([with_retries], 200))


def test_short_texts():
    assert short_reason("prediction after 3 units misses the cut") == "by prediction"
    assert short_reason("not among the best 12 after 81 units") == "below the top 12"
    assert short_reason(ERROR) == ERROR.splitlines()[0]
    assert short_reason("unlikely to be the best when the epochs were spent") == "outranked"
    assert shortened("日本語の名前", 9) == "日本語..."
    assert config_text(CONFIG, 40) == "learning_rate=0.001235, +3"
    assert config_text(CONFIG, 12) == "learn..., +3"
    assert config_text({"a": 1, "b": 2.0}) == "a=1, b=2"


def test_reasons_of_a_real_run_are_known(workshop):
    """A reason that a scheduler gives has a shorter form, so that new ones are not forgotten."""
    for scheduler in ("hyperband", "asha", "swift-asha"):
        spec = workshop.spec(scheduler=scheduler, predictor="last-value")
        results = Tuner.from_spec(spec).run()
        reasons = {trial.reason for trial in results.trials if trial.reason}
        assert reasons
        assert all(len(short_reason(reason)) <= 16 for reason in reasons)  # is never cut


def test_savings_in_the_summary(workshop):
    done = Tuner.from_spec(workshop.spec(scheduler="swift-asha", predictor="last-value")).run()
    assert re.search(r"Epochs: 31, 55% less than the 69 of plain Hyperband", lines_of(done))
    cut = Tuner.from_spec(workshop.spec(scheduler="swift-asha", predictor="last-value")).run(
        max_epochs=10
    )
    assert "Epochs: 10; plain Hyperband takes 69" in lines_of(cut)
    assert "saved" not in lines_of(cut)
    assert "less than" not in lines_of(cut)


def lines_of(results):
    return "\n".join(results.summary_lines())


def test_a_search_whose_trials_all_failed():
    trials = tuple(TrialSummary(n, {}, 0, 0, TrialStatus.FAILED, (), ERROR) for n in range(9))
    baseline = HyperbandBaseline(9, 3)
    results = Results.of(SchedulerSummary(trials, None, 0, ()), [], [], baseline, finished=True)
    assert f"Failed: 9 of 9 trials, the first with: {ERROR.splitlines()[0]}" in lines_of(results)
    assert "Epochs: 0\n" in lines_of(results)  # and no saving
    table = results.table(top=2)
    assert (table.title, table.row_count) == ("2 of 9 trials", 2)


@pytest.mark.parametrize(
    ("top", "title", "rows"),
    [(2, "Best 2 of 9 trials, and 2 of 7 others that failed", 4), (5, "Best 5 of 9 trials", 9)],
)
def test_few_of_many_failed_trials_are_shown(top, title, rows):
    failed = [TrialSummary(n, {}, 0, 0, TrialStatus.FAILED, (), ERROR) for n in range(8)]
    trials = (TrialSummary(8, {}, 0, 0, TrialStatus.COMPLETED, (0.5,), ""), *failed)
    results = Results.of(SchedulerSummary(trials, trials[0], 0, ()), [], [], None, finished=True)
    table = results.table(top=top)
    assert (table.title, table.row_count) == (title, rows)


def test_both_skills_have_names_of_their_own(workshop):
    workshop.write_trainer(
        "def train(config, start, stop, checkpoint):\n"
        "    return [config['lr'] + (2 - config['lr']) / (u + 1) for u in range(start, stop)]\n"
    )
    spec = workshop.spec(
        scheduler="swift-hyperband", max_resource=27, predictor="nusvr",
        scheduler_options={"min_curves": 5},
    )  # fmt: skip
    Tuner.from_spec(spec, journal=workshop.journal).run()
    run = read_run(workshop.journal)
    skills = [event.skill for event in run.results.events if event.skill is not None]
    assert skills
    realised, number = run.realised_skill()
    known = [f for f in run.forecasts() if f.true is not None]
    errors = [(f.predicted - f.true) ** 2 for f in known], [(f.last - f.true) ** 2 for f in known]
    assert (realised, number) == (pytest.approx(1 - sum(errors[0]) / sum(errors[1])), len(known))
    text = workshop.cli("report", "run.jsonl").stdout
    assert "Predictor, cross-validated: median skill" in text
    assert f"Predictor, against true losses: skill {realised:+.2f} of {number} prediction" in text
    assert text.count("Best: ") == 1
    # On a terminal of 80 columns, long lines are broken between words.
    script = f"stty cols 80; {sys.executable} -m hpo report run.jsonl"
    env = {name: value for name, value in environment().items() if name != "COLUMNS"}
    done = subprocess.run(
        ["script", "-qec", script, "/dev/null"], cwd=workshop.root, env=env,
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    shown = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert max(len(line.rstrip("\r")) for line in shown.splitlines()) <= 80
    assert "Utilisation" in shown


def test_a_forecast_without_a_true_loss_has_no_skill(workshop):
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    assert read_run(workshop.journal).realised_skill() is None
    run = read_run(workshop.journal)
    assert run.summary_lines() == run.results.summary_lines()
    event = Event("decision", 0, 0, 1, skill=0.5)
    text = lines_of(
        Results.of(SchedulerSummary((), None, 0, (event,)), [], [], None, finished=True)
    )
    assert "Predictor, cross-validated: median skill +0.50 of 1 decision (" in text
