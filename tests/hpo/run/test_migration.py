"""Journals of format 1, written by the version before: read, resumed, or refused by name.

``journals/`` holds five runs of ``power_laws:train`` that version 1 wrote, as they are.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import JournalError
from hpo.run.journal import Journal, encode_line, read_journal
from hpo.run.migration import FORMAT, migrate
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner

JOURNALS = Path(__file__).with_name("journals")
RUNS = {  # name -> (epochs, trial that was best)
    "hyperband": (28, 8),
    "swift-hyperband": (77, 8),
    "asha-stopping": (16, 5),
}


@pytest.fixture(params=RUNS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def old(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copy(JOURNALS / f"{name}.jsonl", tmp_path))


def cut(path: Path, share: float) -> None:
    """Keep so much of a journal's lines, and half a line more."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = round(share * len(lines))
    path.write_bytes(b"".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])


def losses(results: Results) -> list[tuple[int, tuple[float, ...]]]:
    return [(trial.trial_id, trial.losses) for trial in results.trials]


def test_a_finished_run_is_read(name: str, old: Path) -> None:
    raw = old.read_bytes()
    results = Results.from_journal(old)  # which replays it, decision by decision
    assert results.finished
    assert results.best is not None
    assert (results.epochs, results.best.trial_id) == RUNS[name]
    assert read_journal(old).format == 1
    assert old.read_bytes() == raw


def test_a_run_that_was_killed_is_resumed(name: str, old: Path) -> None:
    whole = Results.from_journal(old)
    cut(old, 0.5)
    half = Results.from_journal(old)
    assert not half.finished
    resumed = Tuner.resume(old)
    assert resumed.finished
    assert [r for _, r in resumed.reports][: len(half.reports)] == [r for _, r in half.reports]
    assert losses(resumed) == losses(whole)
    assert resumed.events == whole.events
    assert read_journal(old).format == FORMAT
    assert losses(Results.from_journal(old)) == losses(resumed)


def test_a_run_of_a_scheduler_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    for path in (JOURNALS / "swift.jsonl", tmp_path / "new"):
        if not path.exists():
            spec = {"max_resource": 9, "scheduler": "swift-fast"}
            header = {"format": FORMAT, "run_id": "a", "created": 0.0, "spec": spec}
            path.write_bytes(encode_line(header)[0])
        with pytest.raises(JournalError, match=r"uses scheduler 'swift\S*', which no"):
            Results.from_journal(path)
        with pytest.raises(JournalError, match="which no longer exists"):
            Tuner.resume(path)


def test_a_forecast_is_a_type_of_its_own() -> None:
    """The lines of a run of format 1 that forecast."""
    raw = (JOURNALS / "swift.jsonl").read_bytes().splitlines()
    lines = [json.loads(line[9:]) for line in raw]
    lines[0]["spec"]["scheduler"] = "swift-asha"
    entries = migrate(lines, JOURNALS)[1:]
    asked = [e["data"] for e in entries if e["data"].get("type") == "ForecastJob"]
    assert len(asked) == 4
    (answer,) = [e["data"] for e in entries if e["data"].get("type") == "ForecastReport"]
    assert answer["job_id"] == 1
    assert answer["scale"]
    assert answer["min_informative_resource"] == 1
    assert not {"scale", "memory", "telling"} & set(answer["info"])
    assert asked[2]["warm_start_state"] == answer["warm_start_state"]


def test_the_translation_is_written_whole_or_not_at_all(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = old.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hpo.run.locking.write_atomically", full)
    with pytest.raises(JournalError, match=r"cannot translate .* No space left"):
        Journal.open(old)
    assert old.read_bytes() == raw


def test_damage_is_found_in_an_old_journal_too(old: Path) -> None:
    raw = bytearray(old.read_bytes())
    raw[len(raw) // 2] ^= 1
    old.write_bytes(raw)
    with pytest.raises(JournalError, match=r"damaged in line \d+"):
        read_journal(old)


def with_spec(path: Path, spec: dict[str, Any]) -> Path:
    """Write the header of a run in format 1."""
    header = {"format": 1, "run_id": "a", "created": 0.0, "spec": {"max_resource": 9, **spec}}
    path.write_bytes(encode_line(header)[0])
    return path


def test_names_and_options_are_translated(tmp_path: Path) -> None:
    spec = {
        "scheduler": "asha-stopping",
        "scheduler_options": {
            "share": 0.5,
            "refresh": 0.1,
            "improve": 0.9,
            "n_new": 8,
            "growth": 1.5,
        },
        "searcher_options": {"n_candidates": 1000},
        "predictor": "mixed",
        "predictor_options": {"seed": 3, "folds": 5},
    }
    translated = read_journal(with_spec(tmp_path / "j", spec)).header.spec
    assert translated == {
        "max_resource": 9,
        "scheduler": "asha",
        "scheduler_options": {
            "budget_fraction": 0.5,
            "forecast_interval": 0.1,
            "improvement_fraction": 0.9,
            "n_proposals": 8,
            "type": "stopping",
        },
        "searcher_options": {},
        "predictor": "mixed",
        "predictor_options": {"folds": 5},
    }


GONE: dict[str, dict[str, Any]] = {
    "scheduler 'early-hyperband', which no longer": {"scheduler": "early-hyperband"},
    "predictor 'skilled', which no longer": {"predictor": "skilled"},
    "predictor 'mean', which no longer": {"predictor": "mean"},
    "predictor 'random', which no longer": {"predictor": "random"},
    "option least_chance, which no longer": {"scheduler_options": {"least_chance": 0.2}},
    "option decision_fractions, which": {"scheduler_options": {"decision_fractions": [0.5]}},
    "option least_skill, which no longer": {"predictor_options": {"least_skill": 0.0}},
    "option explore=0.5, which is fixed at 1.0": {"scheduler_options": {"explore": 0.5}},
    "option growth=2, which is fixed at 1.5": {"scheduler_options": {"growth": 2}},
    "option reserve=0, which is fixed at 0.05": {"scheduler_options": {"reserve": 0}},
    "option n_candidates=9, which is fixed": {"searcher_options": {"n_candidates": 9}},
}


@pytest.mark.parametrize("message", GONE)
def test_what_no_longer_exists_is_refused_by_name(message: str, tmp_path: Path) -> None:
    path = with_spec(tmp_path / "j", GONE[message])
    with pytest.raises(JournalError, match=message) as error:
        read_journal(path)
    assert "hpo version that wrote it" in str(error.value)


def test_the_runs_of_the_fixtures_say_what_they_are() -> None:
    for name in RUNS:
        header = json.loads((JOURNALS / f"{name}.jsonl").read_bytes().partition(b"\n")[0][9:])
        assert header["format"] == 1
        assert header["spec"]["scheduler"] == name
        assert set(header["spec"]) <= set(RunSpec.__dataclass_fields__)
