"""When a call on Dask has an answer: a wait that ends is not the end of the call."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")

from hpo.run.executors.dask import _Client
from hpo.run.executors.remote import WorkerSetup


class Call:
    """A call on Dask that ends just as a wait for it does, and whose reply travels for long."""

    def __init__(self, reply):
        self.reply = reply
        self.is_done = False

    def done(self):
        return self.is_done

    def result(self, timeout=None):
        if timeout is not None:
            self.is_done = True
            raise TimeoutError(f"timed out after {timeout} s.")
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def client(call):
    """Return a connection to a cluster of one worker that makes this call."""
    dask = SimpleNamespace(
        submit=lambda *_, **__: call,
        nthreads=lambda: {"tcp://worker": 1},
        status="running",
        scheduler_comm=SimpleNamespace(closed=lambda: False),
    )
    return _Client(dask, WorkerSetup(1), "here", 1.0)


def test_a_call_that_ends_as_a_wait_does_has_its_reply() -> None:
    assert client(Call(("done", 7))).call(int) == 7


def test_a_timeout_of_the_call_itself_is_its_answer() -> None:
    with pytest.raises(TimeoutError, match="of the call"):
        client(Call(TimeoutError("of the call"))).call(int)
