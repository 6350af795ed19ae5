"""State of a run at this moment: of one that runs, was stopped, is over, or is damaged."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.cli import main
from hpo.report import read_status
from hpo.report.live import LiveRun, live_status
from hpo.report.status import is_locked
from hpo.run.journal import Journal, encode_line, read_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.schedulers import make_scheduler
from hpo.searchers import RandomSearcher
from hpo.space.search_space import SearchSpace
from hpo.trial import ForecastJob, TrainFailure, TrainJob, TrainReport
from waiting import wait_until

HERE = socket.gethostname()


@pytest.mark.slow
def test_a_running_search_is_shown_while_it_runs(workshop, environment) -> None:
    workshop.allow(0)  # both workers are held in their first epochs
    args = [*workshop.run_args(executor="process", workers="2", executor_option="devices=0,1")]
    with subprocess.Popen(
        workshop.command(*args, "--quiet"),
        cwd=workshop.root,
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: workshop.epochs() == 2, "two epochs to begin")
        wait_until(
            lambda: read_status(workshop.journal).trials.get("running") == 2, "two running trials"
        )
        wait_until(lambda: len(read_status(workshop.journal).hosts) == 1, "their host")
        status = workshop.cli("status", "run.jsonl")
        data = json.loads(workshop.cli("status", "run.jsonl", "--json").stdout)
        assert process.poll() is None
        process.kill()
    assert status.returncode == 0, status.stderr
    assert "running (hyperband of " in status.stdout
    assert f"Leader: process {process.pid} on {HERE}" in status.stdout
    assert "Workers: 2 of 2 busy" in status.stdout
    assert f", on {HERE}, process " in status.stdout
    assert data["state"] == "running"
    assert data["leader"] == {
        "host": HERE,
        "pid": process.pid,
        "executor": "process",
        "n_workers": 2,
    }
    assert data["trials"]["running"] == 2
    assert (data["budget"], data["units"] + data["left"]) == (69, 69)
    assert {segment["device"] for segment in data["segments"]} <= {"0", "1"}
    workers = {pid for *_, pid in workshop.trace()}
    for segment in data["segments"]:
        assert segment["host"] == HERE
        assert segment["pid"] in workers
        assert 0 <= time.time() - segment["since"] < 600
    after = read_status(workshop.journal)
    assert after.state == "stopped"  # killed: nobody has the lock
    assert after.trials["interrupted"] == 2
    assert (after.hosts, after.to_json()["trials"].get("running")) == ({}, None)
    text = "\n".join(after.lines())
    assert re.search(
        r"^Interrupted: trial \d+, epochs \d+ to \d+, started \d+ s ago, on ", text, re.M
    )
    assert "busy" not in text


def test_a_status_takes_no_lock_and_changes_nothing(workshop) -> None:
    with Journal.create(workshop.journal, workshop.spec().to_json()) as journal:
        journal.decided(TrainJob(0, {"lr": 0.5}, 0, 1))
        with workshop.journal.open("ab") as file:
            file.write(b"01234567 {")  # as if a line was being written
        before = workshop.journal.read_bytes()
        status = read_status(workshop.journal)
        assert is_locked(workshop.journal)
        assert status.state == "running"
        assert status.torn
        assert "incomplete" not in "\n".join(status.lines())
        assert workshop.journal.read_bytes() == before
    assert is_locked(workshop.journal) is None
    assert "last line of the journal is incomplete" in "".join(
        read_status(workshop.journal).lines()
    )
    with Journal.open(workshop.journal)[0]:
        pass


def test_a_run_that_was_killed_before_it_did_anything(workshop) -> None:
    """Its journal has a header only: no process leads it, here or elsewhere."""
    Journal.create(workshop.journal, workshop.spec().to_json()).close()
    header = read_journal(workshop.journal).header
    line, _ = encode_line(replace(header, created=header.created + 1000).to_json())
    workshop.journal.write_bytes(line)  # this moment
    assert read_status(workshop.journal).state == "unknown"  # another host may be about to begin
    line, _ = encode_line(replace(header, created=header.created - 60).to_json())
    workshop.journal.write_bytes(line)
    status = read_status(workshop.journal)
    assert (status.state, status.doubt) == ("stopped", "")
    assert LiveRun(workshop.journal).read().state == "stopped"


def test_a_run_that_another_host_leads(workshop) -> None:
    with Journal.create(workshop.journal, workshop.spec().to_json()) as journal:
        leader = {"what": "leader", "host": "elsewhere", "pid": 7, "executor": "ray"}
        journal.append("note", {**leader, "n_workers": 2})
    status = read_status(workshop.journal)
    assert status.state == "unknown"
    assert "the locks of elsewhere, which leads the run, cannot be seen" in status.lines()[1]
    assert live_status(status)["problem"] == status.doubt


def test_a_finished_run(workshop, capsys, monkeypatch) -> None:
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    monkeypatch.chdir(workshop.root)
    monkeypatch.setenv("COLUMNS", "160")
    status = read_status(workshop.journal)
    assert status.state == "finished"
    assert status.segments == ()
    assert (status.units, status.budget, status.left) == (69, 69, 0)
    assert sum(status.trials.values()) == len(results.trials)
    assert status.best["trial_id"] == results.best.trial_id
    with pytest.raises(SystemExit, match="0"):
        main(["status", "run.jsonl"])
    out = capsys.readouterr().out
    best = next(line for line in results.summary_lines() if line.startswith("Best: "))
    assert best in out
    assert "Epochs: 69 of 69, 0 left" in out


def test_the_journal_records_where_each_segment_ran(workshop) -> None:
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    content = read_journal(workshop.journal)
    reported = [entry for entry in content.entries if entry.kind == "reported"]
    assert reported
    for entry in reported:
        assert (entry.where["host"], entry.where["pid"]) == (HERE, os.getpid())
        assert content.header.created <= entry.where["started"] <= entry.time + 0.01
    assert "where" not in reported[0].data  # replay compares and reads the data only


def test_a_journal_without_places_reads_as_before(workshop, outcome_of) -> None:
    """What versions before wrote: neither a leader nor places."""
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    content = read_journal(workshop.journal)
    line, checksum = encode_line(content.header.to_json())
    lines = [line]
    for entry in content.entries:
        if entry.data.get("what") != "leader":
            data = {"kind": entry.kind, "time": entry.time, "data": entry.data}
            line, checksum = encode_line(data, checksum)
            lines.append(line)
    workshop.journal.write_bytes(b"".join(lines))
    assert outcome_of(Results.from_journal(workshop.journal)) == outcome_of(results)
    status = read_status(workshop.journal)
    assert (status.state, dict(status.leader), status.n_workers) == ("finished", {}, None)
    workshop.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    status = read_status(workshop.journal)
    assert status.state == "unknown"
    assert "Whether it runs is not known: the journal does not say" in status.lines()[1]
    assert outcome_of(Tuner.resume(workshop.journal)) == outcome_of(results)


def test_a_run_of_python_objects_is_counted_from_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal.create(path, {}) as journal:
        for trial, lr in enumerate((0.1, 0.2, 0.3)):
            journal.decided(TrainJob(trial, {"lr": lr}, 0, 2))
        journal.reported(TrainReport(0, 0, 2, (0.5, 0.25)))
        journal.reported(TrainFailure(1, 0, 2, "x"))
        journal.append("note", {"what": "retry", "trial_id": 2, "start": 0, "reason": "x"})
        journal.decided(ForecastJob(0, 4, (), (), 1, 3))
    status = read_status(path)
    assert status.trials == {"waiting": 1, "failed": 1, "running": 1}
    assert status.best == {"trial_id": 0, "loss": 0.25, "units": 2, "config": {"lr": 0.1}}
    assert (status.units, status.budget, status.predictions) == (2, None, 1)
    (segment,) = status.segments
    assert (segment.trial_id, segment.attempt) == (2, 2)
    assert status.problem == ""
    assert json.loads(json.dumps(status.to_json()))["units"] == 2


def test_a_scheduler_may_be_given(tmp_path: Path) -> None:
    def scheduler():
        space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
        return make_scheduler("asha", RandomSearcher(space, seed=0), max_resource=4, seed=0)

    path = tmp_path / "run.jsonl"
    tuner = Tuner(losses, scheduler(), journal=path, executor="inline")
    results = tuner.run()
    status = read_status(path, scheduler())
    assert (status.state, status.problem) == ("finished", "")
    assert status.best["trial_id"] == results.best.trial_id


def losses(config, start, stop, checkpoint):
    return [config["lr"] + 1 / (unit + 1) for unit in range(start, stop)]


def test_a_damaged_journal_is_shown_up_to_the_damage(workshop) -> None:
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    raw = bytearray(workshop.journal.read_bytes())
    raw[len(raw) // 2] ^= 1
    workshop.journal.write_bytes(raw)
    status = read_status(workshop.journal)
    assert "the journal is damaged in line" in status.problem
    assert status.state == "stopped"
    assert any("damaged in line" in line for line in status.lines())


@pytest.mark.parametrize("content", ["", "[]", '{"started":"x"}', '{"started":NaN}', "[" * 5000])
def test_a_bad_file_of_a_worker_does_no_harm(workshop, content: str) -> None:
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    lines = workshop.journal.read_bytes().splitlines(keepends=True)
    workshop.journal.write_bytes(b"".join(lines[:3]))
    for file in workshop.root.rglob("segment.json"):
        file.write_text(content)
    (segment,) = read_status(workshop.journal).segments
    assert segment.host == ""
