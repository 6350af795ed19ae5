"""A run from Python objects is read without them, as it is read with them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from hpo import RandomSearcher, Results, SearchSpace, Tuner, make_scheduler
from hpo.cli import main
from hpo.errors import InterruptedRunError, JournalError
from hpo.report import read_run, read_status, write_report
from hpo.run.journal import encode_line
from hpo.trial import TrialStatus

SPACE = SearchSpace.from_dict(
    {
        "lr": {"type": "float", "low": 0.0, "high": 1.0},
        "shape": {"type": "categorical", "choices": [[1, 2], [3, 4]]},
    }
)


def scheduler(name: str):
    options = {"min_curves": 3} if name == "swift-hyperband" else {}
    searcher = RandomSearcher(SPACE, seed=1)
    return make_scheduler(name, searcher, max_resource=9, reduction_factor=3, seed=0, **options)


def losses(config, start, stop, checkpoint):
    if config["lr"] > 0.9:
        raise ValueError("lr too large")
    return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]


def interrupted(config, start, stop, checkpoint):
    if start:
        signal.raise_signal(signal.SIGINT)
    return losses(config, start, stop, checkpoint)


def same_state(one: Results, other: Results) -> bool:
    return (
        (one.trials, one.events, one.epochs, one.finished, one.incumbent)
        == (other.trials, other.events, other.epochs, other.finished, other.incumbent)
        and one.records() == other.records()
        and [(p.epochs, p.best) for p in one.history()]
        == [(p.epochs, p.best) for p in other.history()]
        and one.budget == other.budget
    )


@pytest.mark.parametrize("name", ["hyperband", "asha", "swift-hyperband", "swift-asha"])
def test_a_finished_run_is_read_without_its_objects(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.jsonl"
    predictor = "last-value" if name == "swift-hyperband" else None
    made = Tuner(
        losses, scheduler(name), journal=path, executor="inline", predictor=predictor
    ).run()
    read = Results.from_journal(path)
    assert same_state(read, made)
    assert same_state(read, Results.from_journal(path, scheduler(name)))
    assert read.finished
    assert {"failed", "completed"} <= {str(trial.status) for trial in read.trials}
    assert read_status(path).state == "finished"


def test_an_interrupted_run_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with pytest.raises(InterruptedRunError) as caught:
        Tuner(interrupted, scheduler("asha"), journal=path, executor="inline").run()
    read = Results.from_journal(path)
    assert same_state(read, caught.value.results)
    assert not read.finished
    made = Tuner.resume(path, losses, scheduler("asha"), executor="inline")
    assert same_state(Results.from_journal(path), made)


def test_a_killed_run_is_read_up_to_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    Tuner(losses, scheduler("hyperband"), journal=path, executor="inline").run()
    lines = path.read_bytes().splitlines(keepends=True)
    for n_lines in range(2, len(lines)):
        path.write_bytes(b"".join(lines[:n_lines]))
        read = Results.from_journal(path)
        told = Results.from_journal(path, scheduler("hyperband"))
        assert [(t.trial_id, t.config, t.losses) for t in read.trials] == [
            (t.trial_id, t.config, t.losses) for t in told.trials
        ]
        assert read.epochs == told.epochs
        failed = [t.trial_id for t in told.trials if t.status is TrialStatus.FAILED]
        assert failed == [t.trial_id for t in read.trials if t.status is TrialStatus.FAILED]
        known = {TrialStatus.RUNNING, TrialStatus.WAITING, TrialStatus.FAILED}
        if n_lines < len(lines) - 2:  # before the notes at the end
            assert {trial.status for trial in read.trials} <= known
            assert not read.finished


def test_it_is_reported(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.jsonl"
    results = Tuner(losses, scheduler("hyperband"), journal=path, executor="inline").run()
    page = tmp_path / "run.html"
    with pytest.raises(SystemExit) as end:
        main(["report", str(path), "--html", str(page)])
    assert end.value.code == 0
    assert f"Best: trial {results.best.trial_id}," in capsys.readouterr().out
    assert "lr too large" in page.read_text(encoding="utf-8")
    assert write_report(read_run(path), tmp_path / "again.html").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("finished", 1),
        ("budget", -1),
        ("trials", [[0, 0, 0, "asleep", ""]]),
        ("trials", [[0, 0, 0, "failed"]]),
        ("trials", {}),
        ("events", [{"kind": "rung"}]),
        ("events", [{"kind": "rung", "bracket": 0, "rung": 0, "resource": 1, "kept": 3}]),
        ("events", [{"kind": "rung", "bracket": 0, "rung": 0, "resource": 1, "other": 3}]),
    ],
)
def test_a_state_that_is_none_names_its_line(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "run.jsonl"
    Tuner(losses, scheduler("hyperband"), journal=path, executor="inline").run()
    payloads = [json.loads(line[9:]) for line in path.read_bytes().splitlines()]
    place = next(
        i for i, each in enumerate(payloads) if each.get("data", {}).get("what") == "state"
    )
    payloads[place]["data"][name] = value
    checksum, raw = 0, b""
    for each in payloads:
        line, checksum = encode_line(each, checksum)
        raw += line
    path.write_bytes(raw)
    with pytest.raises(JournalError, match=rf"line {place + 1} .*{name} of a note on 'state'"):
        Results.from_journal(path)
