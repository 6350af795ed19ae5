"""Attempts: one at a time for each trial, each in a place of its own; and what guardians end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from childbearing import alive, left_alive, overlaps, trained, write_trainer
from hpo.run.checkpoints import CheckpointStore
from hpo.run.executors.attempts import run_attempt
from hpo.run.executors.pools import ProcessPool
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.trainers import Metrics, NamedTrainer, Segment
from waiting import wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


class Counting:
    """Counts the units that it has trained, and breaks the rule: it does not look at `start`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def train(self, config, start, stop, checkpoint):
        self.calls.append((start, stop))
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        checkpoint.write_text(str(done + stop - start))
        losses = [config["lr"] / (unit + 1) for unit in range(done, done + stop - start)]
        return Metrics(losses, {"unit": [float(unit) for unit in range(start, stop)]})


class Waiting:
    """Waits in the middle of its training."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def train(self, config, start, stop, checkpoint):
        del config
        self.begun.set()
        assert self.go_on.wait(60)
        checkpoint.write_text("late")
        return [0.0] * (stop - start)


def segment(store: CheckpointStore, start: int, stop: int) -> Segment:
    return Segment({"lr": 0.5}, start, stop, store.checkpoint(3), store.attempts(3))


def test_a_finished_segment_whose_report_never_came_is_not_trained_again(tmp_path) -> None:
    store, trainer = CheckpointStore(tmp_path), Counting()
    first = run_attempt(trainer, segment(store, 0, 2))
    store.settle(3, first.attempt)
    lost = run_attempt(trainer, segment(store, 2, 5))  # its tuner is gone
    again = run_attempt(trainer, segment(store, 2, 5))
    assert again == lost
    store.settle(3, again.attempt)
    once_more = run_attempt(trainer, segment(store, 2, 5))  # a kill before the journal had it
    assert once_more == lost
    last = run_attempt(trainer, segment(store, 5, 6))
    assert trainer.calls == [(0, 2), (2, 5), (5, 6)]
    assert first.losses + lost.losses + last.losses == tuple(0.5 / (n + 1) for n in range(6))
    assert lost.extra == {"unit": (2.0, 3.0, 4.0)}


def test_an_attempt_that_lost_its_place_cannot_write(tmp_path) -> None:
    """Where there are no locks, or its machine was taken for lost."""
    store, late, trainer = CheckpointStore(tmp_path), Waiting(), Counting()
    first = run_attempt(trainer, segment(store, 0, 2))
    store.settle(3, first.attempt)
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(run_attempt(late, segment(store, 2, 5)))
    )
    thread.start()
    assert late.begun.wait(60)
    (store.attempts(3) / "lock").unlink()  # as if there were none
    again = run_attempt(trainer, segment(store, 2, 5))
    late.go_on.set()
    thread.join()
    assert outcomes[0].reason.startswith("FileNotFoundError")
    assert again.losses == tuple(0.5 / (unit + 1) for unit in range(2, 5))
    store.settle(3, again.attempt)
    assert store.checkpoint(3).read_text() == "5"


def test_the_next_attempt_waits_for_the_earlier_one(tmp_path) -> None:
    store, late, trainer = CheckpointStore(tmp_path), Waiting(), Counting()
    thread = threading.Thread(target=run_attempt, args=(late, segment(store, 0, 2)))
    thread.start()
    assert late.begun.wait(60)
    second = threading.Thread(target=run_attempt, args=(trainer, segment(store, 0, 2)))
    second.start()
    second.join(0.3)
    assert second.is_alive()
    assert not trainer.calls
    late.go_on.set()
    second.join(60)
    thread.join()
    assert not trainer.calls  # the losses of the earlier one are taken


def test_checkpoints_of_an_older_version_are_used(tmp_path) -> None:
    store = CheckpointStore(tmp_path)
    store.checkpoint(3).parent.mkdir(parents=True)
    store.checkpoint(3).write_text("4")
    outcome = run_attempt(Counting(), segment(store, 4, 6))
    assert outcome.losses == (0.5 / 5, 0.5 / 6)


def test_a_failed_attempt_leaves_its_state_to_the_trial(tmp_path) -> None:
    def fails(config, start, stop, checkpoint):
        checkpoint.write_text("1")
        raise ValueError("no")

    workshop_store = CheckpointStore(tmp_path)
    from hpo.trainers import FunctionTrainer

    outcome = run_attempt(FunctionTrainer(fails), segment(workshop_store, 0, 2))
    assert outcome.reason.startswith("ValueError: no")
    workshop_store.settle(3, outcome.attempt)
    assert workshop_store.checkpoint(3).read_text() == "1"
    assert "ValueError" in (workshop_store.checkpoint(3).parent / "error.txt").read_text()


def test_a_finished_run_leaves_directories_of_trials_only(workshop) -> None:
    spec = workshop.spec(keep_checkpoints=True)
    results = Tuner.from_spec(spec, journal=workshop.journal).run()
    names = {path.name for path in (workshop.root / "run.checkpoints").iterdir()}
    assert names == {"run.json"} | {f"trial-{each.trial_id:05d}" for each in results.trials}
    for trial in results.trials:
        kept = workshop.root / "run.checkpoints" / f"trial-{trial.trial_id:05d}" / "checkpoint"
        assert json.loads(kept.read_text()) == list(trial.losses)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "function"])
def test_workers_in_another_folder_use_the_same_checkpoints(
    make_workshop, outcome_of, monkeypatch, executor
) -> None:
    """With relative paths of the trainer, the journal and the checkpoints."""
    calm, away = make_workshop("calm"), make_workshop("away")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    elsewhere = away.root / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(away.root)
    settings = {"journal": Path("run.jsonl"), "n_workers": 2}
    if executor == "function":  # `Tuner` gets such a one, without a specification of its paths
        settings["executor"] = partial(
            ProcessPoolExecutor, 2, get_context("spawn"), os.chdir, (str(elsewhere),)
        )
    spec = away.spec(trainer="work.py:train", executor="process", keep_checkpoints=True)
    results = Tuner.from_spec(spec, **settings).run()
    assert outcome_of(results) == outcome_of(reference)
    assert not list(elsewhere.iterdir())
    assert (away.root / "run.checkpoints" / "trial-00000" / "checkpoint").exists()


@linux
@pytest.mark.slow
def test_a_timeout_ends_what_the_trainer_has_started(workshop) -> None:
    """A child that ignores SIGTERM; the retry waits until it is gone."""
    write_trainer(workshop, 0.05, stubborn=True)
    store = CheckpointStore(workshop.root / "run.checkpoints")
    pool = ProcessPool(2)
    place = Segment({"lr": 0.5}, 0, 200, store.checkpoint(0), store.attempts(0))
    try:
        trainer = NamedTrainer(f"{workshop.trainer}:train")
        first = pool.submit(trainer, place, 4.0).result(60)
        assert first.reason.startswith("timed out")
        before = {row[2] for row in trained(workshop)}
        workshop.allow(workshop.epochs() + 20)  # the retry cannot end before its pool
        second = pool.submit(trainer, place, None)
        wait_until(lambda: {row[2] for row in trained(workshop)} - before, "the retry")
    finally:
        pool.close()
    assert second.result(60).reason.startswith("worker process")
    assert not left_alive({row[2] for row in trained(workshop)})  # killed by `close`
    assert not overlaps(workshop)


SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL]


@linux
@pytest.mark.slow
@pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)
def test_what_trainers_have_started_ends_with_the_tuner(workshop, environment, signum) -> None:
    """Children in sessions of their own, as those of torchrun; they ignore SIGTERM."""
    write_trainer(workshop, 0.02, stubborn=True)
    text = workshop.trainer.read_text()
    workshop.write_trainer(text.replace("check=True", "check=True, start_new_session=True"))
    command = workshop.command(*workshop.run_args(executor="process", workers="2"), "--quiet")
    workshop.allow(12)  # the search cannot end before the signal
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, and inherited
    try:
        process = subprocess.Popen(command, cwd=workshop.root, env=environment)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        workshop.reach(12)
        process.send_signal(signum)
        workshop.allow(None)
        process.wait(100)
    pids = {pid for row in trained(workshop) for pid in row[2:4]} - {1}
    assert not left_alive(pids)
    assert process.returncode != 0
    write_trainer(workshop, 0.001)
    done = workshop.cli("resume", "run.jsonl")
    assert done.returncode == 0, done.stderr
    assert not overlaps(workshop)


@linux
@pytest.mark.slow
def test_what_an_inline_trainer_has_started_ends_with_the_tuner(workshop, environment) -> None:
    write_trainer(workshop, 0.05, stubborn=True)
    command = workshop.command(*workshop.run_args(executor="inline"), "--quiet")
    workshop.allow(6)
    with subprocess.Popen(command, cwd=workshop.root, env=environment) as process:
        workshop.reach(6)
        process.kill()
    assert not left_alive({row[2] for row in trained(workshop)})
    assert Results.from_journal(workshop.journal).epochs > 0


@linux
@pytest.mark.slow
def test_processes_that_no_trainer_has_started_are_left_alone(workshop) -> None:
    """Those of the caller, which `inline` trains beside."""
    script = "import time; time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", script]) as before:
        Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
        with subprocess.Popen([sys.executable, "-c", script]) as after:
            time.sleep(0.2)
            assert alive(before.pid)
            assert alive(after.pid)
            after.kill()
        before.kill()
    assert "HPO_WORKER_ID" not in os.environ


LOOSE = """
import json, os, sys, time
from multiprocessing import get_context
from pathlib import Path

from hpo.run.executors.attempts import run_attempt
from hpo.run.executors.guardian import guardian, lead_session
from hpo.trainers import Segment

HERE = Path(__file__).parent


def work():
    (HERE / "pid").write_text(str(os.getpid()))
    time.sleep(300)


class Daemonising:
    def train(self, config, start, stop, checkpoint):
        if config["twice"]:  # as a daemon: a session of its own, and no new program
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    work()
                os._exit(0)
            os.wait()
        else:
            os.kill(guardian()._pid, 9)
            time.sleep(0.2)
            return [0.0]
        time.sleep(300)


if __name__ == "__main__":
    root = HERE / "checkpoints"
    how = sys.argv[1]
    if how == "session":
        lead_session(os.getppid())
    state, attempts = root / "trial-00000", root / "attempts" / "trial-00000"
    for twice in (False, True) if how == "guardian" else (True,):
        segment = Segment({"twice": twice}, 0, 1, state / "checkpoint", attempts)
        print(run_attempt(Daemonising(), segment))
"""


@linux
@pytest.mark.slow
@pytest.mark.parametrize("how", ["session", "plain", "guardian"])
def test_a_fork_in_a_session_of_its_own_ends_with_the_worker(tmp_path, environment, how) -> None:
    """It has neither the session nor the mark; and a guardian that was killed is replaced."""
    script, pid = tmp_path / "loose.py", tmp_path / "pid"
    script.write_text(LOOSE)
    worker = subprocess.Popen([sys.executable, str(script), how], env=environment)
    try:
        wait_until(lambda: pid.exists() and pid.read_text(), "the fork")
        time.sleep(0.1)
    finally:
        worker.kill()
        worker.wait()
    left = left_alive({int(pid.read_text())})
    for each in left:
        os.kill(each, signal.SIGKILL)
    assert not left
