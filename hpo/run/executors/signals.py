"""Signals that end a run cleanly: they reach the leading process, and workers ignore them.

Batch systems send them some minutes before a job ends, often to all of its processes at once.
"""

from __future__ import annotations

import contextlib
import signal

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")

STOP_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Signals that stop a run cleanly, those that this platform has."""

GROUP_SIGNALS = tuple(each for each in STOP_SIGNALS if each.name not in ("SIGTERM", "SIGHUP"))
"""Those that a worker ignores. SIGTERM and SIGHUP end it: its leader stops as well."""


def ignore_group_signals() -> None:
    """Ignore, in a worker, the signals that stop the leading process."""
    with contextlib.suppress(ValueError):  # only the main thread may
        for signum in GROUP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
