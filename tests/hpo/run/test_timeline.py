"""Timeline of workers: recorded by them, the same in memory and from the journal."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.run.journal import encode_line
from hpo.run.results import Results
from hpo.run.timeline import Span, lanes_of, waits_of, without_pauses

SPACE = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})


def train(config, start, stop, checkpoint):
    time.sleep(0.02 * (stop - start))
    if config["x"] > 0.9:
        raise ValueError(f"trained in process {os.getpid()}")
    return [config["x"] + 1 / unit for unit in range(start + 1, stop + 1)]


def tuner(journal: Path | None, name: str = "swift-hyperband", **options) -> Tuner:
    searcher = RandomSearcher(SPACE, seed=0)
    own = {"min_curves": 3} if name.startswith("swift") else {}
    scheduler = make_scheduler(name, searcher, max_resource=9, **own)
    settings = {"predictor": "last-value"} if own else {}
    return Tuner(train, scheduler, journal=journal, max_retries=1, **settings, **options)


@pytest.mark.slow
def test_workers_record_what_they_train(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    results = tuner(journal, executor="process", n_workers=2).run()
    spans = results.timeline()
    kinds = {span["kind"] for span in spans}
    assert {"train", "retry", "failed", "predict", "wait"} <= kinds
    trained = [span for span in spans if span["kind"] == "train"]
    assert len({span["pid"] for span in trained}) == 2
    assert {span["worker"] for span in trained} == {"worker 0", "worker 1"}  # as their logs
    for trial in results.trials:
        mine = [span for span in spans if span["trial_id"] == trial.trial_id]
        done = [span for span in mine if span["kind"] == "train"]
        units = [unit for span in done for unit in range(span["first"], span["last"])]
        assert units == list(range(len(trial.losses)))
        if trial.status == "failed":
            assert str(next(s for s in mine if s["kind"] == "failed")["pid"]) in trial.reason
    for _, lane in itertools.groupby(
        sorted((s for s in spans if s["pid"]), key=lambda s: (s["pid"], s["start"], s["end"])),
        key=lambda span: span["pid"],
    ):
        for one, other in itertools.pairwise(lane):  # a worker does one thing at a time
            assert one["end"] <= other["start"] + 0.002
    slept = [s for s in spans if s["kind"] == "train"]
    for span in slept:
        assert span["end"] - span["start"] >= 0.019 * (span["last"] - span["first"])
    read = Results.from_journal(journal, tuner(None).scheduler)
    assert [(s.kind, s.lane, s.trial_id) for s in read.spans] == [
        (s.kind, s.lane, s.trial_id) for s in results.spans
    ]
    assert read.space == SPACE == results.space


def test_a_resumed_run_has_two_sessions(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    cut = tuner(journal, "random-search", executor="inline").run(max_epochs=13)
    assert cut.epochs == 13
    parts = [s for s in cut.timeline() if s["kind"] == "train" and s["last"] - s["first"] < 9]
    assert [(s["first"], s["last"]) for s in parts] == [(0, 4)]
    again = tuner(None, "random-search").scheduler
    results = Tuner.resume(journal, scheduler=again, trainer=train, executor="inline")
    spans = [s for s in results.timeline() if s["kind"] != "wait"]
    assert [s["session"] for s in spans] == sorted(s["session"] for s in spans)
    assert spans[-1]["session"] == 1
    first = next(s for s in spans if s["session"] == 1)
    assert (first["first"], first["last"]) == (4, 9)
    assert without_pauses(results.spans)[-1].end < results.spans[-1].end


def test_a_journal_without_places_is_drawn_in_rows(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    tuner(journal, "hyperband", executor="inline").run()
    lines, checksum = [], 0
    for raw in journal.read_bytes().splitlines():
        data = json.loads(raw[9:])
        data.pop("where", None)
        data.get("data", {}).pop("where", None)
        line, checksum = encode_line(data, checksum)
        lines.append(line)
    old = tmp_path / "old.jsonl"
    old.write_bytes(b"".join(lines))
    read = Results.from_journal(old, tuner(None, "hyperband").scheduler)
    new = Results.from_journal(journal, tuner(None, "hyperband").scheduler)
    assert len(read.spans) == len(new.spans)
    assert (read.trials, read.events) == (new.trials, new.events)
    names, rows, recorded = lanes_of(read.spans)
    assert not recorded
    assert names == ["row 1"] or len(names) <= 2
    assert set(rows) == set(range(len(names)))
    assert not [s for s in read.timeline() if s["kind"] == "wait"]
    assert lanes_of(new.spans)[2]


def test_rows_waits_and_pauses() -> None:
    def span(start, end, worker="w1", session=0, trial=0, **more):
        return Span("train", start, end, worker, trial_id=trial, session=session, **more)

    spans = [span(0, 2), span(3, 4), span(1, 5, "w2"), Span("predict", 2, 3, "predictions")]
    waits = [(s.worker, s.start, s.end) for s in waits_of(spans)]
    assert waits == [("w1", 2, 3), ("w1", 4, 5)]
    assert lanes_of(spans)[:2] == (["w1", "w2", "predictions"], [0, 0, 1, 2])
    named = [span(0, 1, f"worker-{n}", host="ab"[n > 5]) for n in (10, 2, 1)]
    assert lanes_of(named)[0] == ["a, worker-1", "a, worker-2", "b, worker-10"]
    unknown = [span(0, 2, ""), span(1, 3, ""), span(2, 4, "")]
    assert lanes_of(unknown) == (["row 1", "row 2"], [0, 1, 0], False)
    later = without_pauses([span(0, 2), span(100, 101, session=1), span(102, 103, session=1)])
    assert [(s.start, s.end) for s in later] == [(0, 2), (2, 3), (4, 5)]
    assert lanes_of([]) == ([], [], True)
