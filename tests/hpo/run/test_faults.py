"""Faults of machines, executors and checkpoints: none of them is a verdict on a trial."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from hpo.errors import (
    AllTrialsFailedWarning,
    ExecutorBrokenError,
    JournalError,
    MachineError,
    NoBestTrialError,
    UsageError,
)
from hpo.run.executors.options import Devices
from hpo.run.executors.remote import WorkerSetup
from hpo.run.journal import Journal, read_journal
from hpo.run.progress import Progress
from hpo.run.replay import RESTART
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.schedulers import ASHA, make_scheduler
from hpo.searchers import ListSearcher
from hpo.trial import TrialStatus

FAILING = '''
import json, errno, os, pickle, subprocess, sys
from pathlib import Path
from hpo.files import write_atomically

HERE = Path(__file__).parent


class Library(Exception):
    """Of a library that hides what went wrong."""


def train(config, start, stop, checkpoint):
    losses = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for unit in range(len(losses), stop):
        with (HERE / "trace.txt").open("a") as file:
            file.write(f"{{checkpoint.parent.name}} {{unit}} 0\\n")
        if (HERE / "broken").exists() and unit == {unit} and config["lr"] {condition}:
            {accident}
        losses.append((config["lr"] - 0.3) ** 2 + (1 + config["lr"]) / (unit + 1))
        write_atomically(checkpoint, json.dumps(losses).encode())
    return losses[start:stop]
'''


def break_it(workshop, accident: str, *, unit: int = 2, condition: str = "> 0") -> Path:
    """Let the trainer of a workshop meet with an accident while a file exists."""
    workshop.write_trainer(FAILING.format(accident=accident, unit=unit, condition=condition))
    broken = workshop.root / "broken"
    broken.touch()
    return broken


def verdicts(journal: Path) -> list[str]:
    entries = read_journal(journal).entries
    return [e.data["reason"] for e in entries if e.data.get("type") == "TrainFailure"]


# -- the machine -----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["inline", pytest.param("process", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("accident", "remedy"),
    [
        ("os.write(os.open('/dev/full', os.O_WRONLY), b'state')", "make room"),
        ("raise OSError(errno.EROFS, 'Read-only file system', 'x')", "make the place writable"),
        ("raise OSError(errno.EMFILE, 'Too many open files')", "limit of open files"),
        ("raise OSError(errno.EIO, 'Input/output error')", "check the disk"),
        ("raise OSError(errno.EDQUOT, 'Disk quota exceeded')", "quota"),
        (
            "raise RuntimeError('[enforce fail at inline_container.cc:603] . unexpected pos 64')",
            "make room",
        ),
        ("raise RuntimeError('PytorchStreamWriter failed writing file data/0')", "make room"),
        ("raise OSError('100000 requested and 0 written')", "make room"),
        ("raise Library('hdf5: errno = 28, No space left on device')", "make room"),
    ],
)
def test_a_machine_that_fails_stops_the_run(
    workshop, outcome_of, executor, accident, remedy
) -> None:
    broken = break_it(workshop, accident)
    with pytest.raises(MachineError, match=f"{remedy}.* and resume") as stopped:
        Tuner.from_spec(workshop.spec(executor=executor), journal=workshop.journal).run()
    assert stopped.value.results.epochs > 0
    assert not stopped.value.results.finished
    assert not verdicts(workshop.journal)
    broken.unlink()
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(Tuner.from_spec(workshop.spec()).run())


@pytest.mark.parametrize("accident", ["raise MemoryError", "raise ValueError('no good')"])
def test_a_trial_that_fails_is_judged(workshop, accident) -> None:
    break_it(workshop, accident, condition="> 0.5")
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    assert verdicts(workshop.journal)
    assert results.best.config["lr"] <= 0.5


def test_the_command_line_stops_with_1(workshop) -> None:
    broken = break_it(workshop, "open('/dev/full', 'w', 1).write('state\\n')")
    stopped = workshop.cli(*workshop.run_args())
    assert stopped.returncode == 1
    assert "No space left on device" in stopped.stderr
    assert "make room and resume" in stopped.stderr
    assert "Go on with: " in stopped.stderr
    broken.unlink()
    assert workshop.cli("resume", "run.jsonl").returncode == 0
    assert not verdicts(workshop.journal)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (MemoryError(), "free some memory"),
        (OSError(12, "Cannot allocate memory"), "free some memory"),
        (OSError(24, "Too many open files"), "limit of open files"),
        (OSError(28, "No space left on device"), "make room"),
    ],
)
def test_errors_of_the_machine_in_the_tuner(workshop, outcome_of, error, remedy) -> None:
    class Fails(Progress):
        def show(self, summary, baseline):
            if summary.epochs > 5:
                raise error

    with pytest.raises(MachineError, match=f"{remedy}.* and resume"):
        Tuner.from_spec(workshop.spec(), journal=workshop.journal, progress=Fails()).run()
    assert not verdicts(workshop.journal)
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(Tuner.from_spec(workshop.spec()).run())


def test_another_error_in_the_tuner_is_shown_as_it_is(workshop) -> None:
    class Fails(Progress):
        def show(self, summary, baseline):
            raise FileNotFoundError(2, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        Tuner.from_spec(workshop.spec(), progress=Fails()).run()


def test_a_line_that_cannot_be_written_leaves_no_part(tmp_path, monkeypatch) -> None:
    """What follows a failed write, such as the next note, stands on a line of its own."""
    with Journal.create(tmp_path / "j", {}) as journal:
        journal.append("note", {"n": 1})
        file = journal._file
        with (tmp_path / "j").open("ab", buffering=0) as half:

            class Full:
                def write(self, line):
                    return half.write(line[:7]) if len(line) > 20 else self.fail()

                def fail(self):
                    raise OSError(28, "No space left on device")

                def __getattr__(self, name):
                    if name == "fileno":
                        self.fail()
                    return getattr(half, name)

            journal._file = Full()
            with pytest.raises(MachineError, match="make room and resume"):
                journal.append("note", {"n": 2})
        journal._file = file
        journal.append("note", {"n": 3})
    assert [entry.data["n"] for entry in read_journal(tmp_path / "j").entries] == [1, 3]


# -- checkpoints -----------------------------------------------------------------------------


def stop_half_way(workshop, share: float = 0.6) -> None:
    lines = workshop.journal.read_bytes().splitlines(keepends=True)
    workshop.journal.write_bytes(b"".join(lines[: int(share * len(lines))]))


BY_UNITS = """
import json
def train(config, start, stop, checkpoint):
    weight = json.loads(checkpoint.read_text()) if checkpoint.exists() else 1.0
    losses = []
    for unit in range(start, stop):
        weight = weight * 0.9 + 0.1 * config["lr"]
        losses.append(weight)
    checkpoint.write_text(json.dumps(weight))
    return losses
"""


def damage(workshop, how: str) -> int:
    """Damage all checkpoints; return how many there were."""
    root = workshop.root / "run.checkpoints"
    places = sorted(root.glob("trial-*/checkpoint"))
    if how == "folder":
        shutil.rmtree(root)
    for place in places:
        match how:
            case "file":
                place.unlink()
            case "trial":
                shutil.rmtree(place.parent)
            case "truncated":
                os.truncate(place, 1 if place.stat().st_size < 30 else 10)
            case "flipped":
                raw = bytearray(place.read_bytes())
                raw[0] = 0xFF
                place.write_bytes(raw)
    return len(places)


HOW = ("folder", "trial", "file", "flipped")


@pytest.mark.parametrize(
    ("how", "executor", "scheduler"),
    [
        *((how, "inline", scheduler) for how in HOW for scheduler in ("hyperband", "swift-asha")),
        *(
            pytest.param(how, "process", scheduler, marks=pytest.mark.slow)
            for scheduler in ("hyperband", "swift-asha")
            for how in (HOW if os.environ.get("THOROUGH") else HOW[2:3])
        ),
    ],
)
def test_lost_and_damaged_checkpoints_start_afresh(
    workshop, outcome_of, how, executor, scheduler
) -> None:
    workshop.write_trainer(BY_UNITS)  # wrong without the state before `start`
    spec = workshop.spec(executor=executor, scheduler=scheduler, keep_checkpoints=True)
    reference = Tuner.from_spec(spec, journal=workshop.journal).run()
    stop_half_way(workshop, 0.35 if scheduler == "hyperband" else 0.6)
    assert damage(workshop, how)
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(reference)
    restarts = [note for note in results.notes if note["what"] == RESTART]
    assert restarts
    assert results.repeated_epochs == sum(note["start"] for note in restarts) > 0
    assert f"again after lost checkpoints: {results.repeated_epochs}" in "\n".join(
        results.summary_lines()
    )
    if how == "flipped":
        aside = list((workshop.root / "run.checkpoints").glob("trial-*.damaged-1/checkpoint"))
        assert len(aside) == len(restarts)


def test_an_interrupted_restart_starts_afresh_again(workshop, outcome_of) -> None:
    """Half of a restarted trial is not what its job expects to go on from."""
    workshop.write_trainer(BY_UNITS)
    spec = workshop.spec(executor="process", keep_checkpoints=True)
    reference = Tuner.from_spec(spec, journal=workshop.journal).run()
    stop_half_way(workshop, 0.35)
    damage(workshop, "file")
    stop = "    if start == 0 and stop > 1: raise OSError(28, 'No space left on device')\n"
    workshop.write_trainer(BY_UNITS.replace("    return", f"{stop}    return"))
    with pytest.raises(MachineError):
        Tuner.resume(workshop.journal)
    left = [n for n in read_journal(workshop.journal).notes() if n["what"] == RESTART]
    name = f"trial-{left[-1]['trial_id']:05d}/checkpoint"
    assert list((workshop.root / "run.checkpoints/attempts").rglob(name))  # it was interrupted
    workshop.write_trainer(BY_UNITS)
    assert outcome_of(Tuner.resume(workshop.journal)) == outcome_of(reference)


def test_a_trainer_without_checkpoints_goes_on(workshop, outcome_of) -> None:
    workshop.write_trainer(
        "def train(config, start, stop, checkpoint):\n"
        "    return [config['lr'] / (unit + 1) for unit in range(start, stop)]\n"
    )
    reference = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    stop_half_way(workshop)
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(reference)
    assert results.repeated_epochs == 0


def test_a_damaged_checkpoint_that_is_written_again_fails_the_trial(workshop) -> None:
    """One fresh start a job: a trainer that cannot read what it writes is no matter of disks."""
    workshop.write_trainer(
        "import json\n"
        "def train(config, start, stop, checkpoint):\n"
        "    checkpoint.write_text('{')\n"
        "    if start: json.loads(checkpoint.read_text())\n"
        "    return [config['lr']] * (stop - start)\n"
    )
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    assert any("JSONDecodeError" in reason for reason in verdicts(workshop.journal)) or results


# -- failed trials are trained again -----------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "swift-asha", "random-search"])
def test_retry_failed(workshop, scheduler) -> None:
    broken = break_it(workshop, "raise ValueError('server is down')", unit=0, condition="> 0.4")
    spec = workshop.spec(scheduler=scheduler)
    Tuner.from_spec(spec, journal=workshop.journal).run()
    before = Results.from_journal(workshop.journal)
    failed = [t for t in before.trials if t.status is TrialStatus.FAILED]
    assert failed
    broken.unlink()
    results = Tuner.resume(workshop.journal, retry_failed=True)
    assert results.finished
    assert not [t for t in results.trials if t.status is TrialStatus.FAILED]
    assert all(len(results.trials[t.trial_id].losses) > len(t.losses) for t in failed)
    again = Results.from_journal(workshop.journal)
    assert again.trials == results.trials
    assert again.finished
    assert Tuner.resume(workshop.journal).trials == results.trials


def test_retry_failed_equals_a_run_without_failures(workshop, outcome_of) -> None:
    broken = break_it(workshop, "raise ValueError('server is down')", unit=0)
    with pytest.warns(AllTrialsFailedWarning, match="server is down"):
        results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    with pytest.raises(NoBestTrialError, match=r"no trial ended .*server is down.*retry_failed"):
        _ = results.best
    assert results.incumbent is None
    broken.unlink()
    results = Tuner.resume(workshop.journal, retry_failed=True)
    assert outcome_of(results) == outcome_of(Tuner.from_spec(workshop.spec()).run())


def test_retry_failed_on_the_command_line(workshop) -> None:
    broken = break_it(workshop, "raise ValueError('server is down')", unit=0)
    stopped = workshop.cli(*workshop.run_args())
    assert stopped.returncode == 1
    assert "no trial ended with a finite loss" in stopped.stderr
    assert "Warning" not in stopped.stderr
    broken.unlink()
    assert workshop.cli("resume", "run.jsonl").returncode == 1  # nothing has changed
    again = workshop.cli("resume", "run.jsonl", "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert "Failed:" not in again.stdout
    assert workshop.cli("report", "run.jsonl").returncode == 0


def test_retry_failed_without_failures(workshop, caplog) -> None:
    reference = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    assert Tuner.resume(workshop.journal, retry_failed=True).trials == reference.trials
    assert "no trial of" in caplog.text


def test_a_scheduler_that_takes_no_trial_back(workshop) -> None:
    class Stubborn:
        def __init__(self):
            self.inner = ASHA(ListSearcher([{"lr": 0.9}]), max_resource=3, reduction_factor=3)

        def ask(self):
            return self.inner.ask()

        def tell(self, report):
            self.inner.tell(report)

        def summary(self):
            return self.inner.summary()

    def fails(config, start, stop, checkpoint):
        raise ValueError("no")

    with pytest.warns(AllTrialsFailedWarning):
        Tuner(fails, Stubborn(), journal=workshop.journal, executor="inline").run()
    settings = {"executor": "inline", "retry_failed": True}
    with pytest.raises(UsageError, match=r"method retry\), got Stubborn"):
        Tuner.resume(workshop.journal, fails, Stubborn(), **settings)
    scheduler = make_scheduler(
        "asha", ListSearcher([{"lr": 0.9}]), max_resource=3, reduction_factor=3
    )
    with pytest.warns(AllTrialsFailedWarning):
        Tuner.resume(workshop.journal, fails, scheduler, **settings)
    with pytest.raises(JournalError, match="which Stubborn cannot"):
        Results.from_journal(workshop.journal, Stubborn())


# -- executors ---------------------------------------------------------------------------------


class Flaky(Executor):
    """An executor whose calls are lost now and then, or all from one moment on."""

    def __init__(self, lost, error: Exception) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._lost = lost
        self._error = error
        self._calls = 0
        self._lock = threading.Lock()

    def submit(self, fn, /, *args, **kwargs) -> Future:
        with self._lock:
            self._calls += 1
            lost = self._lost(self._calls)
        return self._threads.submit(self._lose if lost else fn, *args, **kwargs)

    def _lose(self, *args, **kwargs):
        raise self._error

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)


class KilledWorker(Exception):
    """Named as Dask's."""


ERRORS = [ConnectionError("connection to the node was lost"), KilledWorker("three times")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_dead_executor_ends_the_run_without_a_verdict(
    workshop, outcome_of, error, n_workers
) -> None:
    reference = Tuner.from_spec(workshop.spec()).run()
    executor = Flaky(lambda call: call > 12, error)
    with pytest.raises(ExecutorBrokenError, match=r"10 segments in a row .*resume") as stopped:
        Tuner.from_spec(
            workshop.spec(), journal=workshop.journal, executor=executor, n_workers=n_workers
        ).run()
    assert str(error) in str(stopped.value)
    assert stopped.value.results.epochs > 0
    assert not verdicts(workshop.journal)
    assert outcome_of(Tuner.resume(workshop.journal)) == outcome_of(reference)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_now_and_then_a_lost_call_changes_nothing(workshop, outcome_of, error, n_workers) -> None:
    reference = Tuner.from_spec(workshop.spec()).run()
    executor = Flaky(lambda call: call % 3 == 0, error)
    results = Tuner.from_spec(
        workshop.spec(),
        journal=workshop.journal,
        executor=executor,
        n_workers=n_workers,
        max_retries=4 if isinstance(error, KilledWorker) else 0,
    ).run()
    assert outcome_of(results) == outcome_of(reference)


def test_max_lost_is_an_option(workshop) -> None:
    executor = Flaky(lambda call: True, ConnectionError("gone"))
    with pytest.raises(ExecutorBrokenError, match=r"^3 segments in a row"):
        Tuner.from_spec(workshop.spec(max_lost=3), executor=executor).run()
    with pytest.raises(UsageError, match="max_lost must be an integer of at least 1, got 0"):
        Tuner.from_spec(workshop.spec(max_lost=0))


def test_a_trial_that_ends_its_worker_is_judged(workshop) -> None:
    """Others end well in between, so the workers are not to blame."""
    break_it(workshop, "os._exit(3)", condition="> 0.8")
    results = Tuner.from_spec(workshop.spec(executor="process", max_resource=3)).run()
    failed = [t for t in results.trials if t.status is TrialStatus.FAILED]
    assert failed
    assert all(t.config["lr"] > 0.8 and "exit code 3" in t.reason for t in failed)
    assert results.best.config["lr"] <= 0.8


def test_workers_that_all_die_end_the_run(workshop) -> None:
    broken = break_it(workshop, "os._exit(3)")
    spec = workshop.spec(executor="process", max_lost=6)
    with pytest.raises(ExecutorBrokenError, match=r"6 segments in a row.*exit code 3"):
        Tuner.from_spec(spec, journal=workshop.journal).run()
    assert not verdicts(workshop.journal)
    broken.unlink()
    assert Tuner.resume(workshop.journal).finished


class Ranks(ThreadPoolExecutor):
    """Calls that are set up as the ranks of MPI are, with a device too few."""

    def submit(self, fn, /, *args, **kwargs):
        setup = WorkerSetup(devices=Devices(("0",)))
        return super().submit(setup.run, fn, *args, **kwargs)


def test_fewer_devices_than_ranks_end_the_run_at_once(workshop, monkeypatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    with pytest.raises(MachineError, match=r"one device per worker: 2 workers, got 1.*and resume"):
        Tuner.from_spec(workshop.spec(), journal=workshop.journal, executor=Ranks(1)).run()
    kinds = [entry.kind for entry in read_journal(workshop.journal).entries]
    assert "reported" not in kinds
    json.dumps(kinds)
