"""A damaged journal: what is left is shown, a search goes on from it, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli import main
from hpo.errors import JournalError
from hpo.report import read_run
from hpo.run.journal import Journal, read_journal
from hpo.run.results import Results
from hpo.run.salvage import read_salvaged, salvage_journal
from hpo.run.tuner import Tuner


def flip(journal: Path, line: int) -> bytes:
    """Damage a line (from 1), and return the file before that."""
    raw = journal.read_bytes()
    lines = raw.splitlines(keepends=True)
    place = sum(map(len, lines[: line - 1])) + 9 + len(lines[line - 1]) // 2
    journal.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    return raw


@pytest.fixture
def finished(workshop) -> Results:
    return Tuner.from_spec(workshop.spec(keep_checkpoints=True), journal=workshop.journal).run()


def test_the_part_before_the_damage_is_shown(workshop, finished, capsys, monkeypatch) -> None:
    monkeypatch.chdir(workshop.root)
    monkeypatch.setenv("COLUMNS", "160")
    n_lines = len(workshop.journal.read_bytes().splitlines())
    flip(workshop.journal, 20)
    before = workshop.journal.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["report", "run.jsonl"])
    err = capsys.readouterr().err
    assert f"damaged in line 20 (checksum), with {n_lines - 20} more lines after it" in err
    assert "hpo report --salvage run.jsonl" in err
    assert "hpo resume --salvage run.jsonl" in err
    with pytest.raises(SystemExit, match="0"):
        main(["report", "run.jsonl", "--salvage", "--html", "page.html"])
    out = capsys.readouterr().out
    damage = read_journal(workshop.journal, salvage=True).damage
    assert damage is not None
    assert (damage.line, damage.n_lines) == (20, n_lines - 19)
    missing = len(finished.trials) - len(read_run(workshop.journal, salvage=True).results.trials)
    assert 0 < missing < len(damage.trials)
    told = (
        f"Salvaged: the journal is damaged in line 20 (checksum); left out: {n_lines - 19} lines, "
        f"with {damage.n_reports} reports that can be read, about {len(damage.trials)} trials, "
        f"{missing} of which are not shown at all"
    )
    assert told in out
    assert told in (workshop.root / "page.html").read_text()
    assert workshop.journal.read_bytes() == before


def test_a_whole_journal_has_nothing_to_salvage(workshop, finished) -> None:
    before = workshop.journal.read_bytes()
    assert read_run(workshop.journal, salvage=True).results.damage is None
    assert salvage_journal(workshop.journal) is None
    assert Tuner.resume(workshop.journal, salvage=True).finished
    assert workshop.journal.read_bytes().startswith(before)
    assert not list(workshop.root.glob("*.damaged-*"))


@pytest.mark.parametrize("line", [1, 2, 3, 20, 21, 40])
def test_a_run_goes_on_from_what_is_left(workshop, finished, outcome_of, line: int) -> None:
    whole = flip(workshop.journal, line)
    damaged = workshop.journal.read_bytes()
    with pytest.raises(JournalError, match=r"damaged|not a journal"):
        Tuner.resume(workshop.journal)
    results = Tuner.resume(workshop.journal, salvage=True)
    assert outcome_of(results) == outcome_of(finished)
    assert outcome_of(Results.from_journal(workshop.journal)) == outcome_of(finished)
    assert (workshop.root / "run.jsonl.damaged-1").read_bytes() == damaged
    kept = whole.splitlines(keepends=True)[: line - 1]
    assert workshop.journal.read_bytes().startswith(b"".join(kept))
    (note,) = [note for note in results.notes if note.get("what") == "salvaged"]
    assert (note["line"], note["file"]) == (line, "run.jsonl.damaged-1")


def test_checkpoints_ahead_of_the_journal_are_moved_aside(workshop, finished, outcome_of) -> None:
    """Only the trials that no line left out is about go on from their checkpoints."""
    n_lines = len(workshop.journal.read_bytes().splitlines())
    flip(workshop.journal, n_lines - 6)
    content = read_salvaged(workshop.journal)
    assert content.damage is not None
    ahead = {f"trial-{trial:05d}" for trial in content.damage.trials}
    assert 0 < len(ahead) < len(finished.trials)
    trained = workshop.epochs()
    assert outcome_of(Tuner.resume(workshop.journal, salvage=True)) == outcome_of(finished)
    aside = {path.name for path in (workshop.root / "run.checkpoints").glob("*.damaged-1")}
    assert aside == {f"{name}.damaged-1" for name in ahead}
    again = {trial for trial, *_ in workshop.trace()[trained:]}
    assert again == ahead


def test_a_second_damage_keeps_the_first_file(workshop, finished) -> None:
    for number in (1, 2):
        flip(workshop.journal, 15)
        damaged = workshop.journal.read_bytes()
        Tuner.resume(workshop.journal, salvage=True)
        assert (workshop.root / f"run.jsonl.damaged-{number}").read_bytes() == damaged


def test_a_journal_in_use_is_not_salvaged(workshop, finished) -> None:
    journal, _ = Journal.open(workshop.journal)
    flip(workshop.journal, 20)
    before = workshop.journal.read_bytes()
    with journal, pytest.raises(JournalError, match="in use by another process"):
        salvage_journal(workshop.journal)
    assert workshop.journal.read_bytes() == before


def test_what_is_no_journal_is_not_salvaged(workshop) -> None:
    for content in (b"", b"hello\nworld\n", b"00000000 {}\n"):
        workshop.journal.write_bytes(content)
        for read in (read_salvaged, salvage_journal):
            with pytest.raises(JournalError, match="journal"):
                read(workshop.journal)
        assert workshop.journal.read_bytes() == content
