"""The guardian of a worker: a small process that ends the processes that a worker leaves behind.

A trainer may start processes: a script by `subprocess`, data loaders, ``torchrun``. They do not end
with the worker that started them, least of all after ``kill -9``, and a process that trains on
would train the same trial as the retry that follows. So each process that trains has a guardian,
which waits for its end, then asks what is left to stop (SIGTERM), ends it after `GRACE` seconds
(SIGKILL), and only then ends itself. Meanwhile it holds the locks that the worker held
(`hpo.run.executors.attempts`), since an open file description is free when its last holder is gone.

What belongs to a worker is found in three ways:

- its *session*, if it has one of its own (`process`), wherever there are sessions;
- a *mark*, an environment variable that processes inherit which are started while a segment runs.
  It finds processes in sessions of their own (those of ``torchrun``), and those of workers that
  somebody else started (Dask, MPI, Ray, this process). Found on Linux only, in ``/proc``.
- its end of the *connection* to the guardian, which forks have that run no new program, so that
  they keep the environment of before the mark. Found on Linux only, in ``/proc``.

A program that gets a session of its own and an environment without the mark is not found.

There is a guardian where there are POSIX processes, elsewhere nothing is done. The program of the
guardian is this file, run without any other import than the standard library's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

GRACE = 2.0
"""Seconds that processes have to end by themselves."""

_UNKILLABLE = 10.0  # seconds after which a process is given up, as one that waits for a dead disk
_POLL = 0.02
_SWEEP = 0.05  # a process gets its mark when it is executed, shortly after it was forked
_WATCH = 0.5  # between two looks at a parent where nothing tells of its end
_MARK = "HPO_WORKER_ID"
_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
_MESSAGE = struct.Struct("!cQ")
_HOLD, _DROP, _QUIT = b"h", b"d", b"q"


class Guardian:
    """The guardian of this process, started when it is first needed.

    Parameters
    ----------
    session : bool, default=False
        Whether this process leads a session of its own, which is ended as a whole.
    leader : int or None, default=None
        Another process whose end is the end of this one too.
    """

    def __init__(self, *, session: bool = False, leader: int | None = None) -> None:
        self._session = session
        self._leader = leader
        self._mark = os.urandom(16).hex()
        self._socket: socket.socket | None = None
        self._pid = 0
        self._started = False
        self._marking = 0
        self._held: dict[int, int] = {}
        self._last = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the guardian, unless it runs or cannot run here; returns at once."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._started or sys.platform == "win32" or not sys.executable:
            return
        import subprocess  # which the program of the guardian does not need

        self._started = True
        ours, theirs = socket.socketpair()
        arguments = (
            *(str(theirs.fileno()), str(os.getpid()), str(self._leader or 0)),
            *(str(os.getpid() if self._session else 0), self._mark),
            str(os.fstat(ours.fileno()).st_ino),
        )
        try:
            with theirs:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                    [sys.executable, "-I", "-S", __file__, *arguments],
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # what ends this process must not end it
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={k: v for k, v in os.environ.items() if k != _MARK},
                )
        except OSError:  # no more processes: train without
            ours.close()
            return
        process.returncode = 0  # it outlives this process, so `subprocess` need not wait for it
        self._socket, self._pid = ours, process.pid
        atexit.register(ours.close)

    @contextlib.contextmanager
    def marked(self) -> Iterator[None]:
        """Mark the processes that are started meanwhile; they end with this process."""
        self.start()
        with self._lock:
            self._marking += 1
            os.environ[_MARK] = self._mark
        try:
            yield
        finally:
            with self._lock:
                self._marking -= 1
                if not self._marking:
                    os.environ.pop(_MARK, None)

    @contextlib.contextmanager
    def holding(self, fd: int) -> Iterator[None]:
        """Keep a file description open until all that belongs to this process has ended."""
        self.start()
        with self._lock:
            self._last += 1
            number = self._last
            self._held[number] = fd
        self._send(_HOLD, number, fd)
        try:
            yield
        finally:
            with self._lock:
                del self._held[number]
            self._send(_DROP, number)

    def retire(self) -> None:
        """End the guardian, and nothing else, unless it is needed."""
        if self._session or self._marking:
            return
        with self._lock:
            with contextlib.suppress(OSError):
                self._write(_QUIT)
            self._forget()

    def _forget(self) -> None:
        if self._socket is not None:
            atexit.unregister(self._socket.close)
            self._socket.close()
            with contextlib.suppress(OSError):
                os.waitpid(self._pid, 0)
        self._socket = None
        self._started = False

    def _send(self, what: bytes, number: int, fd: int | None = None) -> None:
        with self._lock:
            try:
                self._write(what, number, fd)
            except OSError:  # it was killed
                self._forget()
                self._start()
                with contextlib.suppress(OSError):
                    for each, held in self._held.items():
                        self._write(_HOLD, each, held)

    def _write(self, what: bytes, number: int = 0, fd: int | None = None) -> None:
        if self._socket is not None and sys.platform != "win32":
            message = [_MESSAGE.pack(what, number)]
            if fd is None:
                self._socket.sendall(message[0])
            else:
                socket.send_fds(self._socket, message, [fd])


_current: tuple[int, Guardian] | None = None
_making = threading.Lock()


def guardian() -> Guardian:
    """Return the guardian of this process."""
    global _current  # noqa: PLW0603 - one a process
    with _making:
        if _current is None or _current[0] != os.getpid():  # a fork has none yet
            _current = os.getpid(), Guardian()
        return _current[1]


def lead_session(leader: int) -> None:
    """Give this process a session of its own, which ends with it and with `leader`."""
    global _current  # noqa: PLW0603 - one a process
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # it leads one already
            os.setsid()
        _current = os.getpid(), Guardian(session=os.getsid(0) == os.getpid(), leader=leader)


class Fork:
    """Identifies the forks of a process that run no new program.

    Parameters
    ----------
    program : str
        Its program; empty if unknown.
    connection : int
        Inode of a socket that only it and its forks have open.
    """

    def __init__(self, program: str, connection: int) -> None:
        self._program = program
        self._link = f"socket:[{connection}]"

    program: str
    connection: int

    def is_of(self, name: str) -> bool:
        """Return whether the process of this name in ``/proc`` is such a fork."""
        if self._program not in ("", _program(name)):
            return False
        fds = os.listdir(f"/proc/{name}/fd")  # noqa: PTH208 - the quickest way
        return any(_link(f"/proc/{name}/fd/{fd}") == self._link for fd in fds)


def _has_mark(name: str, text: bytes) -> bool:
    with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123 - the quickest way
        return text in file.read().split(b"\0")


def _program(name: str) -> str:
    return _link(f"/proc/{name}/exe")


def _link(path: str) -> str:
    """Return what a link names; empty if it is gone."""
    try:
        return os.readlink(path)  # noqa: PTH115 - the quickest way
    except OSError:
        return ""


def members(session: int, mark: str = "", fork: Fork | None = None) -> list[int]:
    """Return the processes of a session, with a mark, and forks, without this one.

    Parameters
    ----------
    session : int
        Process id of its leader, which may have ended; 0 for none.
    mark : str, default=""
        Value of the mark; empty for none.
    fork : Fork or None, default=None
        What tells forks from other processes.

    Returns
    -------
    list of int
        Process ids. Where there is no ``/proc``, the negative id of the session's first group.
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(-session, 0)  # of 0: of this group, which is there
        except OSError:
            return []
        return [-session] if session else []
    text = f"{_MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - the quickest way
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                state, _, _, of_session = file.read().rpartition(b")")[2].split()[:4]
            if state in (b"Z", b"X"):  # ended already
                continue
            if (
                (session and int(of_session) == session)
                or (mark and _has_mark(name, text))
                or (fork is not None and fork.is_of(name))
            ):
                found.append(int(name))
        except (OSError, ValueError):  # it ended meanwhile, or belongs to another user
            continue
    return found


def end(session: int, mark: str = "", fork: Fork | None = None, *, grace: float = GRACE) -> None:
    """End the processes that `members` finds: by SIGTERM, and after `grace` seconds by SIGKILL."""
    if sys.platform == "win32":
        raise NotImplementedError  # not reached: none is started there
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    swept = bool(session)
    while True:
        found = members(session, mark, fork)
        if not found:
            if swept:
                return
            swept = True
            time.sleep(_SWEEP)
            continue
        now = time.monotonic()
        if now > deadline + _UNKILLABLE:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                if now >= deadline:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in asked:
                    os.kill(pid, signal.SIGTERM)
                    os.kill(pid, signal.SIGCONT)  # one that is stopped could not end
        asked.update(found)
        time.sleep(_POLL)


def main(
    control: int, parent: int, leader: int, session: int, *, mark: str, connection_of_parent: int
) -> None:
    """Watch a process until it ends, then end the processes that it leaves behind."""
    if sys.platform == "win32":
        raise NotImplementedError  # not reached: none is started there
    for signum in [getattr(signal, name) for name in _IGNORED if hasattr(signal, name)]:
        signal.signal(signum, signal.SIG_IGN)
    connection = socket.socket(fileno=control)
    fork = Fork(_program(str(parent)), connection_of_parent)
    watched = _opened(parent, leader)
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    for fd in watched:
        poller.register(fd, select.POLLIN)
    held: dict[int, int] = {}
    while True:
        events = {fd for fd, _ in poller.poll(None if watched else _WATCH * 1000)}
        if events & watched or _has_ended(parent, leader):
            # Locks that were not read of are held by the connection, until this process ends.
            end(session, mark, fork)
            return
        if connection.fileno() in events:
            what = _obey(connection, held)
            if what == _QUIT:
                return
            if not what:  # the process ends, as will be seen at once
                poller.unregister(connection)


def _obey(connection: socket.socket, held: dict[int, int]) -> bytes:
    """Carry out the request of a message, and return it; empty at the end of the connection."""
    if sys.platform == "win32":
        raise NotImplementedError  # not reached: none is started there
    data, fds, _, _ = socket.recv_fds(connection, _MESSAGE.size, 1)
    if len(data) < _MESSAGE.size:
        return b""
    what, number = _MESSAGE.unpack(data)
    if what == _HOLD and fds:
        held[number] = fds[0]
    elif what == _DROP and number in held:
        os.close(held.pop(number))
    return bytes(what)


def _opened(parent: int, leader: int) -> set[int]:
    """Return descriptors that are readable once a process has ended, where there are such."""
    found = set()
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            found = {os.pidfd_open(pid) for pid in (parent, leader) if pid}
    return found


def _has_ended(parent: int, leader: int) -> bool:
    if os.getppid() != parent:
        return True
    try:
        os.kill(leader, 0)  # of pid 0: of this group
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


if __name__ == "__main__":
    main(
        *(int(text) for text in sys.argv[1:5]),
        mark=sys.argv[5],
        connection_of_parent=int(sys.argv[6]),
    )
