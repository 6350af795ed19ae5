"""The journal: what it holds survives a cut at any byte, and nothing else passes for a journal."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import files
from hpo.errors import JournalError, JournalInUseError, JournalWriteError
from hpo.run.journal import Journal, compact, read_journal
from hpo.run.migration import FORMAT
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.trial import Curve, ForecastJob, PredictJob, TrainJob, TrainReport


def written(path: Path, *losses: float) -> Path:
    with Journal.create(path, {"seed": 1}) as journal:
        for trial, loss in enumerate(losses):
            journal.decided(TrainJob(trial, {"lr": 0.5}, 0, 1))
            journal.reported(TrainReport(trial, 0, 1, (loss,)))
    return path


def test_entries_come_back_exactly(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0.1, float("inf"))
    content = read_journal(path)
    assert [entry.kind for entry in content.entries] == ["decided", "reported"] * 2
    assert content.header.spec == {"seed": 1}
    assert [report.losses for _, report in content.reports()] == [(0.1,), (float("inf"),)]
    assert content.end == path.stat().st_size


def test_nan_is_kept(tmp_path: Path) -> None:
    (report,) = [r for _, r in read_journal(written(tmp_path / "j", float("nan"))).reports()]
    assert report.losses[0] != report.losses[0]


def test_torn_line_is_ignored_and_cut_off_on_opening(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0.1, 0.2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert len(read_journal(path).entries) == 3
    assert path.read_bytes() == whole[:-7]  # reading changes nothing
    journal, content = Journal.open(path)
    with journal:
        journal.reported(TrainReport(1, 0, 1, (0.2,)))
    assert len(content.entries) == 3
    assert len(read_journal(path).entries) == 4


def test_a_damaged_last_line_is_a_torn_one(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0.1, 0.2)
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1  # its end was written, a block in it was not
    path.write_bytes(raw)
    journal, content = Journal.open(path)
    journal.close()
    assert len(content.entries) == 3
    assert path.read_bytes() == bytes(raw[: bytes(raw).rindex(b"\n", 0, -1) + 1])


@pytest.mark.parametrize("payload", [b"7", b'{"kind":"note"}', b'{"kind":"note","data":{}}'])
def test_a_line_that_is_no_entry_is_refused(tmp_path: Path, payload: bytes) -> None:
    path = written(tmp_path / "j")
    header = path.read_bytes()
    path.write_bytes(header + b"%08x " % zlib.crc32(payload, zlib.crc32(header[9:-1])))
    with path.open("ab") as file:
        file.write(payload + b"\n")
    with pytest.raises(JournalError, match=r"line 2 of journal .* is no entry"):
        read_journal(path)


def test_an_entry_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "j"
    on_disk: list[int] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        on_disk.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", record)
    with Journal.create(path, {"seed": 1}) as journal:
        assert path.stat().st_size in on_disk
        for number in range(3):
            journal.append("note", {"number": number})
            assert on_disk[-1] == path.stat().st_size
    with path.open("ab") as file:
        file.write(b"torn")
    Journal.open(path)[0].close()
    assert on_disk[-1] == path.stat().st_size


@pytest.mark.parametrize("place", [0.3, 0.6])
def test_damage_before_the_last_line_is_refused(tmp_path: Path, place: float) -> None:
    path = written(tmp_path / "j", *[0.1] * 10)
    raw = bytearray(path.read_bytes())
    start = raw.index(b"\n") + 1
    raw[start + int(place * (len(raw) - start))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(JournalError, match=r"damaged in line \d+"):
        Journal.open(path)
    assert path.read_bytes() == bytes(raw)


def test_a_lost_line_shows(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0.1, 0.2, 0.3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(JournalError, match="damaged in line 4"):
        read_journal(path)


def test_other_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    payload = json.dumps({"format": FORMAT + 1, "run_id": "a", "spec": {}, "created": 0}).encode()
    path.write_bytes(b"%08x " % zlib.crc32(payload) + payload + b"\n")
    with pytest.raises(JournalError, match=f"format version {FORMAT + 1}"):
        read_journal(path)


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", b"\x00" * 100, b'{"a": 1}\n'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="journal"):
        Journal.open(path)
    assert path.read_bytes() == content


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(JournalError, match="cannot read journal"):
            read_journal(path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text("precious")
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, {})
    assert path.read_text() == "precious"


def test_two_processes_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal.create(path, {}), pytest.raises(JournalError, match="in use"):
        Journal.open(path)
    Journal.open(path)[0].close()


def test_a_new_journal_is_locked_from_its_first_moment(tmp_path: Path, monkeypatch) -> None:
    """A process that waits for it would otherwise take the lead of a search that has a leader."""
    path = tmp_path / "run.jsonl"
    named = files._rename_to_new

    def look(old: Path, new: Path) -> None:
        named(old, new)
        with pytest.raises(JournalInUseError):
            Journal.open(path)

    monkeypatch.setattr(files, "_rename_to_new", look)
    with Journal.create(path, {}) as journal:
        journal.append("note", {"what": "x"})
        with pytest.raises(JournalInUseError):
            Journal.open(path)
    assert [entry.data for entry in read_journal(path).entries] == [{"what": "x"}]
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, {})
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]
    Journal.open(path)[0].close()


def test_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0.1)
    journal, _ = Journal.open(path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file.fileno())
    os.close(full)
    with journal, pytest.raises(JournalWriteError, match="No space left"):
        journal.append("note", {})
    assert len(read_journal(path).entries) == 2


def test_predictions_are_kept_without_their_curves() -> None:
    curve = Curve(1, {"lr": 1.0}, (0.5, 0.4))
    job = PredictJob(0, 0, 1, 3, (curve,), (curve,), 7)
    other = PredictJob(0, 0, 1, 3, (curve,), (Curve(1, {"lr": 1.0}, (0.5, 0.3)),), 7)
    assert "train" not in compact(job)
    assert compact(job) != compact(other)
    forecast = ForecastJob(0, 3, (curve,), (), 7, 24)
    assert "running" not in compact(forecast)
    assert compact(forecast) != compact(replace(forecast, curves=other.query))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(), max_size=4), st.floats(0, 1))
def test_any_beginning_of_a_journal_reads_as_a_beginning(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], share: float
) -> None:
    path = written(tmp_path_factory.mktemp("cut") / "j", *losses)
    raw, entries = path.read_bytes(), read_journal(path).entries
    header = raw.index(b"\n") + 1
    beginning = raw[: header + round(share * (len(raw) - header))]
    path.write_bytes(beginning)
    kept = read_journal(path).entries
    assert len(kept) == beginning.count(b"\n") - 1  # every whole line after the header
    assert json.dumps([e.data for e in kept]) == json.dumps([e.data for e in entries[: len(kept)]])


def resumed_at(workshop, raw: bytes, cut: int) -> Results:
    """Resume the run from a journal that was cut after so many bytes."""
    workshop.journal.write_bytes(raw[:cut])
    return Tuner.resume(workshop.journal)


def test_cut_within_header_is_restored_from_checkpoints(workshop, outcome_of) -> None:
    reference = Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal).run()
    raw = workshop.journal.read_bytes()
    for cut in (0, 1, 40, raw.index(b"\n"), raw.index(b"\n") + 1):
        assert outcome_of(resumed_at(workshop, raw, cut)) == outcome_of(reference)


@pytest.mark.parametrize("kind", ["decided", "reported"])
def test_a_run_goes_on_from_any_entry(workshop, outcome_of, kind: str) -> None:
    """A decision without its report is carried out: it is in the journal before it takes effect."""
    reference = Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal).run()
    raw = workshop.journal.read_bytes()
    ends = [entry.line for entry in read_journal(workshop.journal).entries if entry.kind == kind]
    assert len(ends) > 5
    for line in ends:
        cut = len(b"".join(raw.splitlines(keepends=True)[:line]))
        resumed = resumed_at(workshop, raw, cut)
        assert outcome_of(resumed) == outcome_of(reference)
        decided = [
            (entry.data["trial_id"], entry.data["start"])
            for entry in read_journal(workshop.journal).entries
            if entry.kind == "decided"
        ]
        assert len(set(decided)) == len(decided), "decided on twice"


@pytest.mark.slow
def test_a_journal_cut_at_any_byte_resumes(workshop, outcome_of) -> None:
    spec = workshop.spec(
        scheduler="swift-hyperband",
        predictor="last-value",
        scheduler_options={"min_curves": 3},
        keep_checkpoints=True,
    )
    workshop.slow(0)
    reference = Tuner.from_spec(spec, journal=workshop.journal).run()
    raw = workshop.journal.read_bytes()
    tail = raw[:-1].rindex(b"\n", 0, raw[:-1].rindex(b"\n")) + 1  # the last two lines
    ends = [tail, raw.index(b"\n", tail) + 1, len(raw)]
    step = 1 if os.environ.get("THOROUGH") else 7  # `make thorough`
    near = [cut for end in ends for cut in range(end - 3, min(end + 3, len(raw)) + 1)]
    cuts = sorted({*range(0, tail, 307), *near, *range(tail, len(raw), step)})
    for cut in cuts:
        assert outcome_of(resumed_at(workshop, raw, cut)) == outcome_of(reference), cut
    assert workshop.repeated() == 0  # the checkpoints know what was trained


def test_a_full_disk_at_the_start_is_named_with_its_remedy(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(JournalError, match=r"File too large; raise the limit of file sizes"):
            Journal.create(tmp_path / "run.jsonl", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
