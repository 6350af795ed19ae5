"""A solver API on loopback: what the D-Wave client calls, answered by simulated annealing.

The real client talks HTTP to it. Faults are injected per stage, so that every error path runs
through the client's own code. The server keeps an account of the faults asked for and of those that
happened: a test whose fault never happened has tested nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import socket
import sys
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_solvers import solve_bqm, solve_cqm, solve_nl, structured_answer

TOKEN = "LEAP-5ecre75ecre75ecre75ecre75ecre75ecre75ecre7"
_TYPE = "application/vnd.dwave.sapi.{}+json; version=3.0.0"


STAGES = ("solvers", "submit", "poll", "answer", "download", "upload")
FATES = ("offline", "fail", "cancel", "fewer", "hang", "taken-drop")


@dataclass
class Fault:
    """What goes wrong at a stage, how often it was asked for, and how often it happened.

    ``stage`` is one of `STAGES`; ``kind`` is an HTTP status (as text), "drop" (connection closed),
    "malformed", or for "submit" one of `FATES`, which decide what becomes of the problem. With
    ``times=None`` the fault happens each time until it is mended, and at least once.
    """

    stage: str
    kind: str
    times: int | None = 1
    due: float = 0
    happened: int = 0

    def __post_init__(self) -> None:
        ways = {"drop", "malformed", *(FATES if self.stage == "submit" else ())}
        if self.stage not in STAGES or not (self.kind in ways or self.kind.isdigit()):
            raise ValueError(f"the fake server knows no fault {self.kind!r} at {self.stage!r}")
        self.due = math.inf if self.times is None else self.times

    @property
    def missing(self) -> int:
        """How many times it was asked for and did not happen."""
        return max((1 if self.times is None else self.times) - self.happened, 0)


@dataclass
class Problem:
    """One submitted problem."""

    id: str
    job: dict[str, Any]
    status: str = "PENDING"
    answer: dict[str, Any] | None = None
    error: str | None = None
    fate: Fault | None = None
    states: bytes | None = None  # of the nonlinear solver, downloaded separately
    done: threading.Event = field(default_factory=threading.Event)

    def report(self) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        report = {
            "id": self.id, "type": self.job["type"], "solver": self.job["solver"],
            "label": self.job.get("label"), "status": self.status, "submitted_on": now,
        }  # fmt: skip
        if self.status in {"COMPLETED", "FAILED", "CANCELLED"}:
            report["solved_on"] = now
        if self.error:
            report["error_message"] = self.error
        return report


class FakeSolverAPI:
    """State of the server: solvers, problems, uploads, faults, and counts for the tests."""

    def __init__(self, solvers: list[dict[str, Any]], *, num_sweeps: int = 60) -> None:
        self.solvers = {solver["identity"]["name"]: solver for solver in solvers}
        self.num_sweeps = num_sweeps
        self.token = TOKEN
        # How faults echo the token that they were asked with.
        self.echo: Callable[[str], str] = str
        self.problems: dict[str, Problem] = {}
        self.uploads: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        # Functions that make answers odd: of a sample set, of a file of states (nonlinear solver),
        # and of what is sent.
        self.alter: dict[str, Callable[[Any], Any]] = {}
        self.altered: Counter[str] = Counter()
        self.hold_until = 0  # problems stay pending until so many are in flight
        self.most_in_flight = 0
        self.troubles: list[str] = []  # of the server itself, which no test has asked for
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(2)

    def inject(self, stage: str, kind: str, times: int | None = 1) -> None:
        with self.lock:
            self.faults.append(Fault(stage, kind, times))

    def mend(self) -> None:
        """End the faults that are due; the account of them stays."""
        with self.lock:
            for fault in self.faults:
                fault.due = 0

    def fault(self, stage: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.stage == stage and fault.due > 0:
                    fault.due -= 1
                    return fault
        return None

    def fails_by(self, fault: Fault | None, kind: str) -> bool:
        """Return whether the fault is of this kind; where it is, it happens now."""
        if fault is None or fault.kind != kind:
            return False
        with self.lock:
            fault.happened += 1
        return True

    def check_faults(self) -> None:
        """Raise an error unless every fault asked for has happened as often as it was asked for.

        Alterations have to have happened once.
        """
        missing = [fault for fault in self.faults if fault.missing]
        if missing:
            raise AssertionError(f"faults asked for that never happened: {missing}")
        if unused := self.alter.keys() - self.altered.keys():
            raise AssertionError(f"alterations asked for that never happened: {unused}")

    def _altered(self, what: str, value: Any) -> Any:
        if what not in self.alter:
            return value
        self.altered[what] += 1
        return self.alter[what](value)

    def submit(self, job: dict[str, Any], fate: Fault | None) -> Problem:
        with self.lock:
            problem = Problem(f"problem-{len(self.problems):05d}", job, fate=fate)
            self.problems[problem.id] = problem
            in_flight = sum(not p.done.is_set() for p in self.problems.values())
            self.most_in_flight = max(self.most_in_flight, in_flight)
            released = in_flight >= self.hold_until
            if released:
                self.hold_until = 0
        if released:
            waiting = [p for p in self.problems.values() if p.status == "PENDING"]
            for each in waiting:
                if not self.fails_by(each.fate, "hang"):
                    each.status = "IN_PROGRESS"
                    self.pool.submit(self._solve, each)
        return problem

    def cancel(self, problem: Problem) -> None:
        if not problem.done.is_set():
            problem.status = "CANCELLED"
            problem.done.set()

    def _solve(self, problem: Problem) -> None:
        try:
            if self.fails_by(problem.fate, "offline"):
                problem.status, problem.error = "FAILED", "Solver is offline"
            elif self.fails_by(problem.fate, "fail"):
                problem.status, problem.error = "FAILED", "Internal SAPI error occurred."
            elif self.fails_by(problem.fate, "cancel"):
                problem.status = "CANCELLED"
            else:
                problem.answer = self._answer(problem)
                problem.status = "COMPLETED"
        except Exception as error:
            problem.status, problem.error = "FAILED", f"{type(error).__name__}: {error}"
        problem.done.set()

    def _answer(self, problem: Problem) -> dict[str, Any]:
        job = problem.job
        solver = self.solvers[job["solver"]["name"]]
        if job["data"]["format"] == "qp":
            fewer = self.fails_by(problem.fate, "fewer")
            answer = structured_answer(job, solver["properties"], self.num_sweeps, fewer=fewer)
            return self._altered("answer", answer)
        data = bytes(self.uploads[job["data"]["data"]]["data"])
        limit = float(job["params"]["time_limit"]) * 1e6
        timing = {"qpu_access_time": 31_000, "charge_time": limit, "run_time": limit}
        if job["type"] == "nl":
            file = io.BytesIO()
            solve_nl(data).states.into_file(file)
            problem.states = self._altered("states", file.getvalue())
            url = f"problems/{problem.id}/answer/data/"
            answer = {"format": "binary-ref", "auth_method": "sapi-token", "url": url}
            return self._altered("answer", {**answer, "timing": timing, "shape": {}})
        solve = solve_cqm if job["type"] == "cqm" else solve_bqm
        sample_set = self._altered("sample set", solve(data, self.num_sweeps))
        sample_set.info.setdefault("timing", timing)
        answer = {
            "format": "bq",
            "data": sample_set.to_serializable(use_bytes=False, pack_samples=False),
        }
        return self._altered("answer", answer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    n_requests = 0

    @property
    def api(self) -> FakeSolverAPI:
        return self.server.api  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *args: Any) -> None:
        pass

    def log_error(self, *args: Any) -> None:
        """Note what the standard library would print, such as a request that came too late."""
        self.api.troubles.append(args[0] % args[1:])

    def finish(self) -> None:
        super().finish()
        if not self.n_requests:
            self.api.troubles.append(f"a connection of {self.client_address} without a request")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return zlib.decompress(body) if self.headers.get("Content-Encoding") == "deflate" else body

    def _send(self, status: int, payload: Any, kind: str = "problems") -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", _TYPE.format(kind))
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _stage(self) -> str:
        path = urlsplit(self.path).path
        if path.startswith("/bqm"):
            return "upload"
        if path.startswith("/solvers"):
            return "solvers"
        if self.command == "POST":
            return "submit"
        if self.command == "DELETE":
            return "cancel"
        if path.rstrip("/").endswith("/answer/data"):
            return "download"
        return "poll" if path.rstrip("/") == "/problems" else "answer"

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _fails(self, fault: Fault) -> bool:
        """Answer with the fault; return False where it decides what becomes of a problem."""
        if self.api.fails_by(fault, "drop"):
            self._drop()
        elif self.api.fails_by(fault, "malformed"):
            self._send(200, b"{not json")
        elif fault.kind.isdigit() and self.api.fails_by(fault, fault.kind):
            # Some proxies echo what they were sent: our messages must not repeat it.
            token = self.api.echo(str(self.headers.get("X-Auth-Token")))
            message = f"injected {fault.kind} for {token}"
            self._send(int(fault.kind), {"error_code": int(fault.kind), "error_msg": message})
        else:
            return False
        return True

    def _handle(self) -> None:
        self.n_requests += 1
        stage, body = self._stage(), self._body()
        self.api.requests[stage] += 1
        if self.headers.get("X-Auth-Token") != self.api.token:
            self._send(401, {"error_code": 401, "error_msg": "Invalid token or access denied"})
            return
        fault = self.api.fault(stage)
        if fault is None or not self._fails(fault):
            getattr(self, f"_{stage}")(body, fault)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _solvers(self, body: bytes, fate: Fault | None) -> None:
        name = urlsplit(self.path).path.removeprefix("/solvers/remote").strip("/")
        if not name:
            solvers = list(self.api.solvers.values())
            self._send(200, solvers, "solver-definition-list")
        elif name in self.api.solvers:
            self._send(200, self.api.solvers[name], "solver-definition")
        else:
            self._send(404, {"error_code": 404, "error_msg": "no such solver"})

    def _submit(self, body: bytes, fate: Fault | None) -> None:
        problems = [self.api.submit(job, fate) for job in json.loads(body)]
        if self.api.fails_by(fate, "taken-drop"):  # the submission was taken; the reply is lost
            self._drop()
            return
        self._send(200, [problem.report() for problem in problems])

    def _cancel(self, body: bytes, fate: Fault | None) -> None:
        problems = [self.api.problems[each] for each in json.loads(body)]
        for problem in problems:
            self.api.cancel(problem)
        self._send(200, [problem.report() for problem in problems])

    def _poll(self, body: bytes, fate: Fault | None) -> None:
        query = parse_qs(urlsplit(self.path).query)
        problems = [self.api.problems[each] for each in query["id"][0].split(",")]
        end = time.monotonic() + min(float(query.get("timeout", ["0"])[0]), 0.5)
        while time.monotonic() < end and not any(p.done.is_set() for p in problems):
            time.sleep(0.005)
        self._send(200, [problem.report() for problem in problems])

    def _answer(self, body: bytes, fate: Fault | None) -> None:
        problem = self.api.problems[urlsplit(self.path).path.strip("/").split("/")[1]]
        report = problem.report()
        if problem.answer is not None:
            report["answer"] = problem.answer
        self._send(200, report, "problem")

    def _download(self, body: bytes, fate: Fault | None) -> None:
        problem = self.api.problems[urlsplit(self.path).path.strip("/").split("/")[1]]
        self._send(200, problem.states)

    def _upload(self, body: bytes, fate: Fault | None) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")[2:]
        if not parts:
            upload_id = f"upload-{len(self.api.uploads)}"
            self.api.uploads[upload_id] = {"parts": {}, "data": b"", "status": "UPLOAD_IN_PROGRESS"}
            self._send(200, {"id": upload_id})
            return
        upload = self.api.uploads[parts[0]]
        if parts[1] == "part":
            upload["parts"][int(parts[2])] = body
            self._send(200, {})
        elif parts[1] == "status":
            done = [
                {"part_number": n, "checksum": hashlib.md5(data).hexdigest()}
                for n, data in sorted(upload["parts"].items())
            ]
            self._send(200, {"status": upload["status"], "parts": done})
        else:
            upload["data"] = b"".join(data for _, data in sorted(upload["parts"].items()))
            upload["status"] = "UPLOAD_COMPLETED"
            self._send(200, {})


class _Server(ThreadingHTTPServer):
    # Five by default. Where a client opens more at once, one of them waits for seconds.
    request_queue_size = 128
    api: FakeSolverAPI

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.api.troubles.append(traceback.format_exc())


@contextmanager
def serve(api: FakeSolverAPI) -> Iterator[str]:
    """Serve the API on a free port of loopback; yields its address."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.api = api
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        for trouble in api.troubles:
            print(trouble, file=sys.stderr)  # shown where the test fails
        api.pool.shutdown(wait=True, cancel_futures=True)
