"""The processes of the executor ``process``."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Future
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from hpo.errors import TrainerError
from hpo.run.executors.forkserver import ForkServer
from hpo.run.executors.guardian import GRACE
from hpo.run.executors.pools import ProcessPool
from hpo.run.executors.process import OwnProcess, ProcessSetup, Worker
from hpo.trainers.base import Segment
from hpo.trainers.loading import NamedTrainer
from waiting import wait_until

TRAINER = """
import signal
import time

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))  # before a time limit counts

class Trainer:
    def train(self, config, start, stop, checkpoint):
        while config["until_asked"] and not asked:
            time.sleep(0.001)
        time.sleep(config["seconds"])
        return [0.5] * (stop - start)

trainer = Trainer()
"""
SLOW = """
import pathlib
import time

pathlib.Path({marker!r}).touch()
time.sleep(1000)
"""


def named(file: Path, source: str) -> NamedTrainer:
    file.write_text(source, encoding="utf-8")
    return NamedTrainer(f"{file}:trainer")


def test_a_process_that_died_is_forgotten_while_its_executor_reports_the_end() -> None:
    """From Python 3.12 on, an executor holds its lock while the callbacks of its futures run."""
    process: OwnProcess[int] = OwnProcess(ProcessSetup())
    _, first = process.submit(lambda: int, os.getpid)
    first.result(timeout=60)
    assert process._current is not None
    executor, _ = process._current
    with executor._shutdown_lock, process._starting:  # which another caller waits with
        caller = threading.Thread(target=process.discard, daemon=True)
        caller.start()
        caller.join(30)
        assert not caller.is_alive()
    process.close()


def test_a_process_that_is_killed_is_replaced() -> None:
    process: OwnProcess[int] = OwnProcess(ProcessSetup())
    ended: Future[None] = Future()

    def forget(done: Future[None]) -> None:
        process.discard()
        ended.set_result(None)

    _, killed = process.submit(lambda: int, signal.pause)
    killed.add_done_callback(forget)
    process.kill()
    with pytest.raises(BrokenExecutor):
        killed.result(timeout=60)
    ended.result(timeout=60)
    _, again = process.submit(lambda: int, os.getpid)
    assert again.result(timeout=60) > 0
    process.close()


def test_a_process_that_could_not_be_started_is_started_and_prepared_later(monkeypatch) -> None:
    process: OwnProcess[int] = OwnProcess(ProcessSetup())

    def refused(_: SpawnProcess) -> None:
        raise BlockingIOError("no more processes")

    with monkeypatch.context() as patch:
        patch.setattr(SpawnProcess, "start", refused)
        with pytest.raises(BlockingIOError):
            process.submit(lambda: int, os.getpid)
        process.kill()  # there is none
    prepared, call = process.submit(lambda: os.getpid, os.getpid)
    assert prepared.result(timeout=60) == call.result(timeout=60)
    process.close()
    with pytest.raises(RuntimeError, match="closed"):
        process.start(lambda: int)


def test_a_time_limit_ends_its_own_segment_only(tmp_path) -> None:
    """Also if the segment yields a result while it is being killed."""
    trainer = named(tmp_path / "obliging.py", TRAINER)
    worker = Worker(ProcessSetup())

    def submitted(seconds: float, timeout: float | None = None):
        config = {"seconds": seconds, "until_asked": timeout is not None}
        return worker.submit(trainer, Segment(config, 0, 1, tmp_path / "checkpoint"), timeout)

    first = submitted(0.0, 0.1)
    assert first.result(timeout=60).losses == (0.5,)
    second = submitted(GRACE)
    worker._expire(first, 0.1)  # a timer that was late
    assert second.result(timeout=60).losses == (0.5,)
    worker.close()


@pytest.mark.skipif(not ForkServer.available(), reason="there is no server")
@pytest.mark.parametrize("error", [EOFError, ConnectionResetError])
def test_a_server_that_dies_again_and_again_loses_the_segment(monkeypatch, tmp_path, error) -> None:
    """It may have been killed, and says nothing about the trial."""

    def died(_: ForkServer, fds: object) -> None:
        raise error

    monkeypatch.setattr(ForkServer, "_fork", died)
    trainer = named(tmp_path / "trainer.py", TRAINER)
    pool = ProcessPool(1)
    pool.start(trainer)
    with pytest.raises(TrainerError, match="worker process did not start"):
        pool.check_workers(trainer, tmp_path)
    outcome = pool.submit(trainer, Segment({}, 0, 1, tmp_path / "checkpoint"), None).result(60)
    assert outcome.cause == "lost"
    assert "could not be started" in outcome.reason
    assert pool.free == 1
    pool.close()


def test_processes_that_import_are_ended_at_once(tmp_path) -> None:
    marker = tmp_path / "begun"
    pool = ProcessPool(2)
    pool.start(named(tmp_path / "slow.py", SLOW.format(marker=str(marker))))
    wait_until(marker.exists, "training")
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < 60  # the import takes longer


def test_a_server_that_imports_is_ended_at_once(tmp_path, monkeypatch) -> None:
    marker = tmp_path / "begun"
    library = tmp_path / "site-packages" / "slow_library.py"
    library.parent.mkdir()
    library.write_text(SLOW.format(marker=str(marker)), encoding="utf-8")
    monkeypatch.syspath_prepend(library.parent)
    pool = ProcessPool(2)
    pool.start(named(tmp_path / "quick.py", "import slow_library\n" + TRAINER))
    wait_until(marker.exists, "training")
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < 60
