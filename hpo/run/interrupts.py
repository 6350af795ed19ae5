"""Signals during a run: they stop it cleanly, and are ignored while its workers are ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from hpo.run.executors.signals import GROUP_SIGNALS, STOP_SIGNALS


class Stoppable(Protocol):
    """What `signals_stop` stops."""

    background: bool

    def stop(self, signum: int) -> None:
        """Stop soon; safe to call from a signal handler."""
        ...


@contextlib.contextmanager
def signals_stop(runner: Stoppable) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a batch system's signals stop the run cleanly.

    They are `hpo.run.executors.signals.STOP_SIGNALS`, but for a SIGHUP that is ignored (``nohup``).
    A second Ctrl-C stops the run at once. Signal handlers belong to the main thread; in another
    thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
        runner.stop(signum)
        if not runner.background:
            os.write(2, b"\nStopping after the running segment; Ctrl-C again stops at once.\n")

    before: dict[int, Any] = {
        signum: signal.signal(signum, stop)
        for signum in STOP_SIGNALS
        if signum.name != "SIGHUP" or signal.getsignal(signum) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C and its like while workers are ended, which takes some seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in GROUP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
