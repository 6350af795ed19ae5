"""A run stops in time, starts nothing that cannot end, and loses nothing that it trained."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo.errors import InterruptedRunError, UsageError
from hpo.run.deadline import Deadline, known_part, part_note, seconds_until
from hpo.run.journal import read_journal
from hpo.run.progress import Progress
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.trial import TrainJob
from workshop import TRAINER

LONG = {"scheduler": "random-search", "scheduler_options": {"n_trials": 2}}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:55:00", 3300),
        ("1-12:00:01", 129601),
        ("55m", 3300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("90s", 90),
        ("3300", 3300),
        ("0.5", 0.5),
        (90, 90),
        (timedelta(minutes=2), 120),
    ],
)
def test_durations(text, seconds) -> None:
    assert seconds_until(text) == seconds


def test_moments(monkeypatch) -> None:
    soon = datetime.now() + timedelta(hours=1)  # noqa: DTZ005 - local time, as squeue prints it
    there = datetime.now(UTC) + timedelta(hours=1)
    for moment in (soon, there, soon.isoformat(), there.isoformat(), f"@{time.time() + 3600:.3f}"):
        assert seconds_until(moment) == pytest.approx(3600, abs=200)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3660))
    assert seconds_until("slurm") == pytest.approx(3600, abs=200)
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UsageError, match="needs a Slurm job with a time limit"):
        seconds_until("slurm")


def test_a_task_of_an_array_asks_for_its_own_end(monkeypatch, tmp_path) -> None:
    """``squeue`` prints a line per task if it is asked for the id of the array."""
    squeue = tmp_path / "squeue"
    squeue.write_text(
        "#!/bin/sh\n"
        'if test "$3" = 7_2; then date -d "+1 hour" +%Y-%m-%dT%H:%M:%S; '
        "else date +%F; date +%F; fi\n"
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert seconds_until("slurm") == pytest.approx(3540, abs=200)


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "55:00", "1:2:3", "00:61:00", "nan", "inf", "1e999", "m", "@", "@x"),
        *("1e10", "99999999999d", f"{'9' * 400}d", f"{'9' * 5000}s", 10**400),
        *("2026-13-01", True, float("nan"), None, [], "-5", "00:00:00", 0, -1.0, "@5"),
        "2001-01-01T00:00:00",
    ],
)
def test_what_is_no_deadline_is_refused(value) -> None:
    with pytest.raises(UsageError, match="deadline"):
        seconds_until(value)


def test_what_fits_is_what_was_measured(monkeypatch) -> None:
    monkeypatch.setattr("hpo.run.deadline.time", SimpleNamespace(monotonic=lambda: 0.0))
    deadline = Deadline(120.0)
    assert deadline.units(0) == 1, "one unit is trained to measure it"
    deadline.measured(0, units=2, seconds=20.0)
    deadline.measured(1, units=10, seconds=10.0)
    assert deadline.units(0) == pytest.approx(10, abs=0.1)
    assert deadline.units(1) == pytest.approx(100, abs=0.1)
    assert deadline.units(2) == pytest.approx(10, abs=0.1), "a new one is taken for a slow one"
    assert Deadline(0.0).units(0) == 0


def test_a_part_is_known_until_its_checkpoint_is_lost() -> None:
    job, other = TrainJob(3, {}, 1, 9), TrainJob(3, {}, 9, 18)
    notes = [part_note(job, [0.5]), part_note(job, [0.5, float("nan")])]
    assert str(known_part(job, notes)) == "(0.5, nan)"
    assert known_part(other, notes) == ()
    assert known_part(job, [*notes, {"what": "resumed", "checkpoints": False}]) == ()
    assert known_part(job, [*notes, {"what": "restart", "trial_id": 3}]) == ()
    assert len(known_part(job, [*notes, {"what": "restart", "trial_id": 4}])) == 2
    assert len(known_part(job, [*notes, {"what": "resumed", "checkpoints": True}])) == 2


def session(spec, journal: Path, deadline: float) -> Results | None:
    """Run or resume until the deadline; return None where the search has not ended by then."""
    with contextlib.suppress(InterruptedRunError):
        if journal.exists():
            return Tuner.resume(journal, deadline=deadline)
        return Tuner.from_spec(spec, journal=journal, deadline=deadline).run()
    return None


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_sessions_with_a_deadline_equal_one_without(
    make_workshop, outcome_of, executor, monkeypatch
) -> None:
    """Segments of 40 s, saved at their end only, in sessions of 30 s: each is trained in parts.

    By a clock that the epochs move on, each by a second.
    """
    calm, hasty = make_workshop("calm"), make_workshop("hasty")
    reference = Tuner.from_spec(calm.spec(**LONG, max_resource=40), journal=calm.journal).run()
    once = TRAINER.replace("        write_atomically", "    write_atomically")
    hasty.write_trainer(once.format(epoch=0.001))
    spec = hasty.spec(**LONG, max_resource=40, executor=executor)
    with monkeypatch.context() as patch:
        hasty.keep_time(patch)
        for _ in range(10):
            results = session(spec, hasty.journal, 30.0)
            if results is not None:
                break
    assert results is not None, "sessions that are shorter than a segment get nowhere"
    assert outcome_of(results) == outcome_of(reference)
    notes = read_journal(hasty.journal).notes()
    assert len([note for note in notes if note["what"] == "part"]) > 1
    assert Results.from_journal(hasty.journal).epochs == 80


def test_the_deadline_is_said_in_python(workshop) -> None:
    workshop.slow(0.05)
    tuner = Tuner.from_spec(workshop.spec(), journal=workshop.journal, deadline=0.2)
    with pytest.raises(InterruptedRunError, match="Stopped at the deadline") as stop:
        tuner.run()
    assert stop.value.exit_code == 75
    with pytest.raises(UsageError, match="deadline must be in the future"):
        Tuner.from_spec(workshop.spec(), deadline=-1.0)


@pytest.mark.slow
def test_command_line(workshop) -> None:
    workshop.slow(0.5)
    done = workshop.cli(*workshop.run_args(executor="process"), "--deadline", "2s", "--quiet")
    workshop.slow(0.0)
    assert done.returncode == 75, done.stderr
    assert "Stopped at the deadline" in done.stderr
    assert "Go on with: python -m hpo resume run.jsonl" in done.stderr
    bad = workshop.cli("resume", "run.jsonl", "--deadline", "2001-01-01T00:00:00")
    assert bad.returncode == 2
    assert "must be in the future" in bad.stderr
    assert workshop.cli("resume", "run.jsonl", "--deadline", "1h").returncode == 0
    assert Results.from_journal(workshop.journal).epochs == 69
    assert workshop.repeated() <= 1


def test_a_trial_that_starts_afresh_in_parts(workshop, outcome_of) -> None:
    """Its checkpoint is lost: it is trained again in parts, and the same losses are known."""
    reference = Tuner.from_spec(workshop.spec()).run()
    spec, seen = workshop.spec(scheduler="hyperband", keep_checkpoints=True), []

    class Losing(Progress):
        def show(self, summary, baseline) -> None:
            promoted = [t for t in summary.trials if len(t.losses) == 3]
            for trial in promoted[:1] if not seen else []:
                seen.append(trial.trial_id)
                shutil.rmtree(workshop.root / "run.checkpoints" / f"trial-{trial.trial_id:05d}")

    results = Tuner.from_spec(
        spec, journal=workshop.journal, progress=Losing(), deadline="1h"
    ).run()
    assert seen
    assert outcome_of(results) == outcome_of(reference)
