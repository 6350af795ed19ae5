"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 200.0
"""Seconds that a test waits. Only a failure takes so long, and a busy machine may need minutes."""


def wait_until(condition: Callable[[], object], what: str, *, every: float = 0.005) -> None:
    """Wait until a condition holds, and fail with what was waited for where it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        time.sleep(every)
