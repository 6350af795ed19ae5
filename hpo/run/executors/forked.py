"""Processes that are forked from a `hpo.run.executors.forkserver.ForkServer`.

Imported where there is one (`ForkServer.available`): Windows has no such processes, and its
standard library lacks what they are built on.
"""

from __future__ import annotations

import sys

assert sys.platform != "win32"  # noqa: S101 - see above

import io
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing import connection, popen_forkserver, reduction, spawn, util
from multiprocessing.context import ForkServerContext, ForkServerProcess, set_spawning_popen
from typing import Any

Fork = Callable[[Sequence[int]], tuple[int, int, int]]
"""File descriptors for the process -> descriptors of its exit code and its work, process id."""


class ForkedProcess(ForkServerProcess):
    """A process forked from a `ForkServer`."""

    fork: Fork

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the way to the server, which the process does not need."""
        return {name: value for name, value in self.__dict__.items() if name != "fork"}

    def _Popen(self, process_obj: ForkedProcess) -> _Popen:  # type: ignore[override]
        return _Popen(process_obj)


class _Popen(popen_forkserver.Popen):
    """The standard library's, with our server, and safe to poll from several threads."""

    _fds: list[int]  # for the process, filled while it is pickled

    def __init__(self, process_obj: Any) -> None:
        self._reading = threading.Lock()
        super().__init__(process_obj)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, None while the process runs; `flag` 0 waits for its end."""
        timeout = 0 if flag == os.WNOHANG else None
        if self.returncode is None and connection.wait([self.sentinel], timeout):
            with self._reading:
                return super().poll(flag)
        return self.returncode

    def _launch(self, process_obj: Any) -> None:
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process_obj._name), buffer)  # noqa: SLF001
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        self.sentinel, data, self.pid = process_obj.fork(self._fds)
        # While this end is open, the process does not take its parent for dead.
        held = os.dup(data)
        self.finalizer = util.Finalize(self, util.close_fds, (held, self.sentinel))  # type: ignore[attr-defined]
        with open(data, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(buffer.getbuffer())


class ForkContext(ForkServerContext):
    """The start method of a `ForkServer`, with a reference to the process started last.

    Parameters
    ----------
    fork : callable
        `ForkServer.fork`.
    process_name : str, default=""
        Name of the processes; empty for the names that Python gives.
    """

    last: ForkedProcess | None = None

    def __init__(self, fork: Fork, process_name: str = "") -> None:
        super().__init__()
        self._fork = fork
        self._process_name = process_name or None

    def Process(self, *args: Any, **kwargs: Any) -> ForkedProcess:  # type: ignore[override]
        """Return a process that is not started yet."""
        self.last = ForkedProcess(*args, **{"name": self._process_name, **kwargs})
        self.last.fork = self._fork
        return self.last
