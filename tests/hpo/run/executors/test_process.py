"""The processes of the executor ``process``."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Future

import pytest

from hpo.run.executors.process import OwnProcess, ProcessSetup


def test_a_process_that_died_is_forgotten_while_its_executor_reports_the_end() -> None:
    """From Python 3.12 on, an executor holds its lock while the callbacks of its futures run."""
    process: OwnProcess[int] = OwnProcess(ProcessSetup())
    _, first = process.submit(lambda: int, os.getpid)
    first.result(timeout=60)
    executor = process._executor
    assert executor is not None
    with executor._shutdown_lock:
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
