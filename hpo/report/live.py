"""The report of a search while it runs: served on this machine, or written again and again.

Another process writes the journal. It is read as `hpo.report.status` reads it, without its lock. A
page of thousands of trials takes seconds to make, so it is made again only when the journal has
changed, and reading and making take at most a tenth of the time of one processor.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hpo.errors import JournalError, UsageError
from hpo.report.content import content
from hpo.report.page import live_page, rendered, write_page
from hpo.report.runs import run_of
from hpo.report.status import RunStatus, is_locked, status_of
from hpo.run.salvage import read_salvaged
from hpo.run.timeline import worker_name
from hpo.text import plain

OVER = ("finished", "stopped")
"""States of a run that does not go on by itself."""
WAITING = "waiting"
"""State of a run whose journal does not exist yet."""

_LEAST_SECONDS = 1.0
"""Least seconds between two readings of the journal."""
_SHARE = 0.1
"""Largest share of the time of a processor for reading the journal and making the content."""
_MORE_TRIALS = 1.25
"""Factor by which the number of trials grows before importances are measured again."""
_HOSTS = ("127.0.0.1", "localhost")
"""Names by which the page may be asked for; others are those of a page that reads from ours."""


def live_status(status: RunStatus | None, problem: str = "", reload: float = 0) -> dict[str, Any]:
    """Return what the page shows of the moment: state, workers and running trials.

    Parameters
    ----------
    status : RunStatus or None
        The state; None for a journal that cannot be read yet.
    problem : str
        Why it cannot.
    reload : float
        Seconds after which the page loads itself again; 0 for a page that asks a server.
    """
    if status is None:
        return {"state": WAITING, "problem": problem, "segments": [], "reload": reload}
    over = status.state in OVER
    return {
        "state": status.state,
        "problem": status.problem or status.doubt,
        "trials": dict(status.trials),
        "units": status.units,
        "budget": status.budget,
        "started": status.started,
        "last_report": status.last_report,
        "workers": None if over else status.n_workers,
        "predictions": 0 if over else status.predictions,
        "segments": [
            {
                "trial": each.trial_id,
                "start": each.start,
                "stop": each.stop,
                "since": each.since,
                "attempt": each.attempt,
                "where": ", ".join(
                    filter(None, (each.host, worker_name(each.worker), each.device))
                ),
            }
            for each in status.segments
        ],
        "reload": 0 if over else reload,
    }


@dataclass(frozen=True)
class Reading:
    """What was read of a journal.

    Attributes
    ----------
    status : RunStatus or None
        State of the run; None before its journal can be read.
    content : Mapping or None
        Content of the page with ``"live"``, the state of the moment; only that before then.
    body : bytes
        The content as JSON.
    tag : str
        Changes with the content.
    """

    status: RunStatus | None
    content: dict[str, Any]
    body: bytes = field(repr=False)
    tag: str

    @property
    def state(self) -> str:
        """State of the run."""
        return str(self.content["live"]["state"])


class LiveRun:
    """A run that is read again when its journal has changed; safe to use from several threads.

    Parameters
    ----------
    journal : Path
        Its journal, which need not exist yet.
    reload : float
        Seconds after which a page loads itself again; 0 for one that asks a server.
    clock : callable
        Seconds on a monotonic clock.
    """

    def __init__(
        self, journal: Path, reload: float = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.journal = Path(journal)
        self.n_readings = 0
        self._reload = reload
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._key: object = None
        self._reading: Reading | None = None
        self._importances: tuple[str, int, list[dict[str, Any]]] | None = None

    def read(self) -> Reading:
        """Return the newest reading; the journal is read if it has changed and it is time."""
        reading = self._reading
        if not self._lock.acquire(blocking=reading is None) and reading is not None:
            return reading  # another thread reads
        try:
            begun = self._clock()
            if self._reading is not None and begun < self._next:
                return self._reading
            key = self._key_now()
            if self._reading is None or key != self._key or self._is_unplaced():
                cpu = time.thread_time()
                self._reading = self._read()
                self._key = key
                spent = time.thread_time() - cpu
                self._next = begun + max(_LEAST_SECONDS, spent / _SHARE)
            else:
                self._next = begun + _LEAST_SECONDS
            return self._reading
        finally:
            self._lock.release()

    def _key_now(self) -> object:
        """Return what changes with the journal and with the process that writes it."""
        try:
            file = self.journal.stat()
        except OSError:
            return None
        return file.st_ino, file.st_size, file.st_mtime_ns, is_locked(self.journal)

    def _is_unplaced(self) -> bool:
        """Return whether it is not written down yet where a segment runs."""
        status = None if self._reading is None else self._reading.status
        if status is None or status.state in OVER:
            return False
        return any(not each.host and time.time() - each.since < 30 for each in status.segments)

    def _read(self) -> Reading:
        self.n_readings += 1
        try:
            journal = read_salvaged(self.journal)
            run = run_of(journal)
            status = status_of(journal, run.results)
        except (UsageError, OSError) as error:  # it may be gone at any moment
            exists = isinstance(error, UsageError) and _size(self.journal) > 0
            return _reading(None, {"live": live_status(None, str(error) if exists else "")})
        n_trials = len(run.results.trials)
        known = self._importances
        if known is not None and known[0] != status.run_id:
            known = None  # another run has taken its place
        again = known is None or n_trials >= _MORE_TRIALS * known[1] or status.state in OVER
        importances = None if known is None or again else known[2]
        values = content(run, importances, state=False)  # which "live" has, and newer
        if again:
            self._importances = status.run_id, n_trials, values["importance"]
        values["live"] = live_status(status, reload=self._reload)
        return _reading(status, values)


def _size(path: Path) -> int:
    """Return the size of a file, 0 for one that is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _reading(status: RunStatus | None, values: dict[str, Any]) -> Reading:
    body = json.dumps(plain(values), separators=(",", ":"), allow_nan=False).encode()
    return Reading(status, values, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class _Handler(BaseHTTPRequestHandler):
    """Answers ``GET /`` and ``GET /data.json``, and nothing else."""

    server: LiveServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version = "hpo"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page or its content."""
        host = self.headers.get("Host", "").rpartition(":")
        name = host[0] if host[1] else host[2]
        if name.lower() not in _HOSTS:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._answer(self.server.page, "text/html; charset=utf-8", self.server.page_tag)
        elif self.path == "/data.json":
            self.server.asked = time.monotonic()
            reading = self.server.run.read()
            self._answer(reading.body, "application/json", reading.tag)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _answer(self, body: bytes, kind: str, tag: str) -> None:
        if self.headers.get("If-None-Match") == tag:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.send_header("Connection", "close")  # the body of the request is not read
        self.close_connection = True
        self.end_headers()

    def _not_allowed(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _not_allowed

    def end_headers(self) -> None:
        """Add the headers of all answers."""
        for name, value in (
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Print nothing."""


class LiveServer(ThreadingHTTPServer):
    """Serves the page of a run on this machine only.

    Parameters
    ----------
    journal : Path
        Its journal, which need not exist yet.
    port : int
        Port on 127.0.0.1; 0 for a free one.

    Raises
    ------
    UsageError
        If the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, journal: Path, port: int = 0) -> None:
        self.run = LiveRun(journal)
        self.page = live_page(Path(journal).stem).encode()
        self.page_tag = f'"{hashlib.sha256(self.page).hexdigest()[:32]}"'
        self.asked = 0.0
        """When the content was last asked for, on the monotonic clock."""
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot serve on port {port} of 127.0.0.1: {reason}; take another one, or port 0 "
                "for any that is free"
            ) from None

    @property
    def port(self) -> int:
        """Port of the server."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing where a browser has closed its connection."""

    def serve(self, *, exit_when_done: bool = False) -> None:
        """Serve until Ctrl-C.

        Parameters
        ----------
        exit_when_done : bool
            Whether to end once the run has ended, and open pages have shown that.
        """
        thread = threading.Thread(target=self.serve_forever, args=(0.2,), daemon=True)
        thread.start()
        try:
            while not (exit_when_done and self._is_done()):
                time.sleep(0.5)
        finally:
            self.shutdown()
            self.server_close()

    def _is_done(self) -> bool:
        reading = self.run.read()
        if reading.state not in OVER:
            return False
        is_open = time.monotonic() - self.asked < 10 and self.asked > 0
        if is_open:
            time.sleep(3)  # pages ask every two seconds
        return True


def follow(
    journal: Path,
    path: Path,
    *,
    overwrite: bool = False,
    seconds: float = 3.0,
    say: Callable[[str], object] = print,
) -> Path:
    """Write the page of a run again and again until the run ends.

    The page loads itself again as long as the run goes on, and keeps what its reader has chosen.

    Parameters
    ----------
    journal : Path
        Journal of the run, which need not exist yet.
    path : Path
        The file, which is replaced as a whole.
    overwrite : bool
        Whether to replace a file that exists when this begins.
    seconds : float
        Least seconds between two writings.
    say : callable
        Called with lines of text about what happens.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        If the file exists already and may not be replaced, or cannot be written.
    """
    run = LiveRun(journal, reload=seconds)
    written = ""
    if Path(path).exists() and not overwrite:
        write_page("", path)  # raises
    while True:
        reading = run.read()
        if reading.status is None and not written:
            if reading.content["live"]["problem"]:
                raise JournalError(reading.content["live"]["problem"])
            say(f"Waiting for {journal}")
            written = WAITING
        elif reading.status is not None and reading.tag != written:
            path = write_page(rendered(reading.content), path, overwrite=True)
            if written in ("", WAITING):
                say(f"Page: {path}, which is written again until the run ends (Ctrl-C stops that)")
            written = reading.tag
        if reading.state in OVER:
            return path
        time.sleep(seconds)
