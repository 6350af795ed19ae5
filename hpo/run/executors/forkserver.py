"""A process that imports the trainer's libraries once, from which the workers are forked.

A new interpreter that imports a numerical library takes seconds; a fork takes milliseconds. The
server imports installed libraries only, never the trainer, and starts no threads: a fork takes
none of them along, and a lock that one of them holds stays locked for ever. If an import has
started threads or opened a device, the server begins again without imports.

The server ends with the process that started it, and its workers end with the server.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, reduction, resource_tracker, spawn, util
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
_COMMAND = (
    "import sys; sys.path[:] = {path!r}; "
    "from hpo.run.executors.forkserver import serve; serve({listener}, {alive})"
)
_server_pid: int | None = None  # in the server and its forks


def parent_of_workers() -> int | None:
    """Return the process id of the server if this process was forked from one."""
    return _server_pid


class ForkServer:
    """Starts processes by forking a server (see `available` for the platforms).

    Parameters
    ----------
    modules : sequence of str, default=()
        Installed modules that the server imports; those that cannot be imported are left out.

    Attributes
    ----------
    unused : bool
        Whether no process was forked yet; the server may still import.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._alive = -1  # write end of a pipe that no other process has
        self._closed = False
        self._lock = threading.Lock()
        self.unused = True

    @staticmethod
    def available() -> bool:
        """Return whether processes can be forked from a server here."""
        return (
            sys.platform == "linux"
            # The protocol of the standard library's server differs from Python 3.14 on.
            and sys.version_info < (3, 14)
            and "forkserver" in multiprocessing.get_all_start_methods()
        )

    def context(self, process_name: str = "") -> Any:
        """Return the start method that forks from this server, a new `ForkContext`.

        Parameters
        ----------
        process_name : str, default=""
            Name of its processes; empty for the names that Python gives.
        """
        if sys.platform != "win32":
            from hpo.run.executors.forked import ForkContext

            return ForkContext(self.fork, process_name)
        raise NotImplementedError  # not reached: not `available` there

    def start(self) -> None:
        """Start the server if it does not run; returns at once."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if sys.platform == "win32":
            raise NotImplementedError  # not reached: not `available` there
        if self._closed:
            raise RuntimeError("the fork server was closed")
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._end()
        resource_tracker.ensure_running()
        alive, self._alive = os.pipe()
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                place = util.get_temp_dir()  # of this process, and of this user only
                self._address = tempfile.mktemp(prefix="server-", dir=place)  # noqa: S306
                listener.bind(self._address)
                listener.listen()
                code = _COMMAND.format(path=sys.path, listener=listener.fileno(), alive=alive)
                flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined] # noqa: SLF001
                self._process = subprocess.Popen(  # noqa: S603
                    [os.fsdecode(spawn.get_executable()), *flags, "-c", code, *self._modules],
                    env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
                    pass_fds=(listener.fileno(), alive),
                    stdin=subprocess.DEVNULL,
                )
        finally:
            os.close(alive)

    def fork(self, fds: Sequence[int]) -> tuple[int, int, int]:
        """Fork a process; wait until the server has imported its modules.

        Parameters
        ----------
        fds : sequence of int
            File descriptors for the process.

        Returns
        -------
        sentinel, data, pid : int
            Descriptors to read its exit code from and to write its work to, and its process id.

        Raises
        ------
        EOFError, ConnectionError
            If the server died twice.
        """
        try:
            return self._fork(fds)
        except (OSError, EOFError):
            with self._lock:
                self._modules = ()  # an import may have ended the server
                self._end()
            return self._fork(fds)

    def _fork(self, fds: Sequence[int]) -> tuple[int, int, int]:
        if sys.platform == "win32":
            raise NotImplementedError  # not reached: not `available` there
        self.start()
        sentinel, child_w = os.pipe()
        child_r, data = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)  # in place of our end of the pipe `alive`
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self._address)
                tracker = resource_tracker.getfd()
                assert tracker is not None  # noqa: S101 - `start` has made it run
                reduction.sendfds(client, [child_r, child_w, nothing, tracker, *fds])
        except BaseException:
            os.close(sentinel)
            os.close(data)
            raise
        finally:
            for fd in (child_r, child_w, nothing):
                os.close(fd)
        try:
            pid = forkserver.read_signed(sentinel)
            self.unused = False
            return sentinel, data, pid
        except BaseException:
            os.close(sentinel)
            os.close(data)
            raise

    def _end(self) -> None:
        if self._process is not None:
            os.close(self._alive)
            if self._closed:
                self._process.kill()  # its workers have ended
            self._process.wait()
            self._process = None
            with contextlib.suppress(OSError):
                Path(self._address).unlink()

    def close(self) -> None:
        """End the server, and with it all of its processes."""
        self._closed = True
        with self._lock:
            self._end()


def serve(listener: int, alive: int) -> None:
    """Import the modules named by the arguments of this process, and fork on request.

    Parameters
    ----------
    listener, alive : int
        File descriptors of a socket for requests, and of a pipe that closes with the parent.
    """
    global _server_pid  # noqa: PLW0603 - inherited by the forks
    _server_pid = os.getpid()
    modules = sys.argv[1:]
    with _silent():
        for module in modules:
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(module)
    if modules and not _may_fork():
        command = sys.orig_argv[: -len(modules)]
        os.execv(sys.executable, [sys.executable, *command[1:]])  # noqa: S606
    forkserver.main(listener, alive, [])


def _may_fork() -> bool:
    """Return whether this process has a single thread and no device open."""
    opened = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            opened.append(str(fd.readlink()))
    threads = len(list(Path("/proc/self/task").iterdir()))
    return threads == 1 and not any(name.startswith(_DEVICES) for name in opened)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop output: a message of an import would disturb the display of the run."""
    kept = [os.dup(fd) for fd in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for fd, before in zip((1, 2), kept, strict=True):
            os.dup2(before, fd)
            os.close(before)
