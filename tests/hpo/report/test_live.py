"""The live view: over HTTP, in a real browser beside a real search, and as a followed file."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from hpo.cli import main, watching
from hpo.errors import UsageError
from hpo.report import read_run
from hpo.report.content import content
from hpo.report.live import LiveRun, LiveServer, follow
from hpo.run.journal import Journal
from hpo.run.salvage import read_salvaged
from hpo.run.tuner import Tuner
from workshop import TRAINER

READY = "document.documentElement?.dataset.ready === 'yes'"  # there is none while it is loaded
LIVE = "document.getElementById('live').innerText"
TRIALS = "data && data.trials.length"
CHOICE = "document.querySelector('#curves-log-x, input[type=checkbox]')"


@pytest.fixture
def journal(workshop):
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    return workshop.journal


@pytest.fixture
def served(workshop):
    """A server of a journal that does not exist yet."""
    server = LiveServer(workshop.journal)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(server, path="/data.json", method="GET", **headers):
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named, body=b"x" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


# -- the server --------------------------------------------------------------------------------


def test_only_this_machine_reaches_it(served):
    assert served.server_address[0] == "127.0.0.1"
    assert ask(served, "/")[0] == 200
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]"):
        assert ask(served, Host=host)[0] == 403
    for host in ("localhost", "LOCALHOST:99", f"127.0.0.1:{served.port}"):  # as through ssh -L
        assert ask(served, Host=host)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../run.jsonl", "/%2e%2e/run.jsonl", "/run.jsonl", "//etc/passwd", "/.", "/assets/", "/?x"],
)
def test_nothing_else_is_served(served, path):
    status, _, body = ask(served, path)
    assert (status, body) == (404, b"")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_is_allowed(served, method):
    status, headers, body = ask(served, "/", method)
    assert (status, headers["Allow"], body) == (405, "GET", b"")


def test_headers_keep_the_page_to_itself(served):
    _, headers, page = ask(served, "/")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.decode())[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.endswith("connect-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_what_has_not_changed_is_not_sent_again(served, workshop):
    status, headers, body = ask(served)
    assert (status, json.loads(body)["live"]["state"]) == (200, "waiting")
    assert ask(served, If_None_Match=headers["ETag"])[::2] == (304, b"")
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    state, end = "waiting", time.monotonic() + 60
    while state != "finished" and time.monotonic() < end:  # it is read once a second
        time.sleep(0.1)
        status, headers, body = ask(served, If_None_Match=headers["ETag"])
        if status == 200:
            values = json.loads(body)
            state = values["live"]["state"]
    assert state == "finished"
    assert len(values["trials"]) == 17
    assert ask(served, If_None_Match=headers["ETag"])[0] == 304


def test_a_port_in_use_is_an_error(served, workshop):
    with pytest.raises(UsageError, match=f"cannot serve on port {served.port} of 127.0.0.1: Addr"):
        LiveServer(workshop.journal, served.port)


def test_a_journal_of_another_kind_is_named(served, workshop):
    workshop.journal.write_text("no journal\n")
    live = json.loads(ask(served)[2])["live"]
    assert live["state"] == "waiting"
    assert "run.jsonl" in live["problem"]


# -- reading -----------------------------------------------------------------------------------


def test_a_journal_is_read_when_it_has_changed_and_it_is_time(journal):
    now = [0.0]
    run = LiveRun(journal, clock=lambda: now[0])
    first = run.read()
    assert (first.state, run.n_readings) == ("finished", 1)
    with journal.open("ab") as file:
        file.write(b"\n")
    assert run.read() is first
    now[0] += 1000
    assert run.read() is not first
    assert run.n_readings == 2
    for _ in range(5):
        now[0] += 1000
        run.read()
    assert run.n_readings == 2


def test_the_share_of_the_time_is_small(journal, monkeypatch):
    """Reading that takes three seconds is done every half a minute."""
    now = [0.0]
    run = LiveRun(journal, clock=lambda: now[0])
    times = iter((0.0, 3.0))
    monkeypatch.setattr(time, "thread_time", lambda: next(times))
    first = run.read()
    with journal.open("ab") as file:
        file.write(b"\n")
    now[0] = 29.0
    assert run.read() is first
    monkeypatch.undo()
    now[0] = 31.0
    assert run.read() is not first


def test_the_state_is_said_once(journal):
    """That of the live part; the summary of an unfinished run says it in the report only."""
    whole = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(whole[: len(whole) // 2]), encoding="utf-8")
    shown = LiveRun(journal).read().content
    assert shown["live"]["state"] != "finished"
    assert all(name != "state" for name, _ in shown["figures"])
    assert "The run is not finished." not in shown["lines"]
    assert "The run is not finished." in content(read_run(journal))["lines"]


def test_no_lock_is_taken(journal):
    """A run can be resumed while its journal is watched."""
    run = LiveRun(journal)
    run.read()
    opened, _ = Journal.open(journal)
    with opened:
        assert LiveRun(journal).read().state == "running"
    assert LiveRun(journal).read().state == "finished"


def test_importances_are_not_measured_again_for_a_few_trials(workshop, monkeypatch):
    workshop.slow(0)
    spec = workshop.spec(scheduler="random-search", scheduler_options={"n_trials": 60})
    results = Tuner.from_spec(spec, journal=workshop.journal).run(max_trials=55)
    assert len(results.trials) == 55
    lines = workshop.journal.read_bytes().splitlines(keepends=True)
    now, measured = [0.0], []
    monkeypatch.setattr("hpo.report.live.OVER", ())  # as if it went on
    run = LiveRun(workshop.journal, clock=lambda: now[0])
    for share in (0.5, 0.55, 1):
        workshop.journal.write_bytes(b"".join(lines[: int(share * len(lines))]))
        now[0] += 1000
        run.read()
        measured.append(run._importances[1])
    assert measured[0] == measured[1] < measured[2] == 55


def test_another_run_in_the_place_of_a_journal_has_importances_of_its_own(workshop, monkeypatch):
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    monkeypatch.setattr("hpo.report.live.OVER", ())  # as if it went on
    now = [0.0]
    run = LiveRun(workshop.journal, clock=lambda: now[0])
    run.read()
    first = run._importances
    other = workshop.journal.with_name("other.jsonl")
    Tuner.from_spec(workshop.spec(), journal=other).run(max_trials=1)
    other.replace(workshop.journal)
    now[0] += 1000
    run.read()
    assert run._importances[0] != first[0]
    assert run._importances[1] == 1


def test_a_journal_may_be_deleted_while_it_is_read(journal, monkeypatch):
    def gone(path):
        content = read_salvaged(path)
        path.unlink()
        return content

    monkeypatch.setattr("hpo.report.live.read_salvaged", gone)
    assert LiveRun(journal).read().state == "waiting"


# -- the command -------------------------------------------------------------------------------


@contextlib.contextmanager
def started(workshop, environment, *args, **more):
    with subprocess.Popen(
        workshop.command("watch", "run.jsonl", "--no-open", *args), cwd=workshop.root,
        env={**environment, **more}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            line = process.stdout.readline()
            yield process, re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        finally:
            process.kill()


@pytest.mark.slow
def test_the_page_of_a_real_search_grows_until_its_end(workshop, environment, browser):
    """Opened before the search starts; at the end it shows the figures of the report."""
    with started(workshop, environment) as (watch, address):
        assert "does not exist yet" in watch.stdout.readline()
        browser.errors.clear()
        browser.open(address[0], ready="document.getElementById('live')", width=1280)
        browser.until(f"{LIVE}.includes('waiting for the journal')")
        told = "from hpo.trainers import Metrics\n    told = losses[start:stop]\n    "
        told += "return Metrics(told, {'accuracy': [1 - loss / 9 for loss in told]})"
        workshop.write_trainer(TRAINER.format(epoch=0).replace("return losses[start:stop]", told))
        workshop.allow(2)  # hold the search until its page has been checked
        args = workshop.run_args(executor="process", workers="2")
        with subprocess.Popen(
            workshop.command(*args, "--quiet"), cwd=workshop.root, env=environment,
            stdout=subprocess.DEVNULL,
        ) as search:  # fmt: skip
            browser.until(f"{READY} && {TRIALS} > 1")
            counts = [browser.evaluate(TRIALS)]
            browser.until(f"{LIVE}.includes('running') && {LIVE}.includes('of 2 workers busy')")
            browser.until("document.querySelectorAll('#live-running tbody tr').length === 2")
            assert socket.gethostname() in browser.evaluate(LIVE)
            browser.until("metricNames.length === 2")
            browser.evaluate("change({ metric: 1 }), scrollTo(0, 700)")
            browser.resize(390, 844)
            for _ in range(2):
                workshop.allow(workshop.epochs() + 1)
                browser.until(f"{TRIALS} > {counts[-1]}")
                counts.append(browser.evaluate(TRIALS))
                assert browser.evaluate("view.metric") == 1
                assert browser.evaluate("scrollY") > 300
                assert browser.evaluate("document.documentElement.scrollWidth") <= 390
            workshop.allow(None)
            search.wait(100)
        browser.until(f"{LIVE}.includes('finished')")
        results = read_run(workshop.journal).results
        assert browser.evaluate(TRIALS) == len(results.trials) == 17
        text = browser.evaluate("document.body.innerText")
        assert f"epochs: {results.epochs} of {results.epochs}" in browser.evaluate(LIVE)
        for line in workshop.cli("report", "run.jsonl").stdout.splitlines():
            if line.startswith(("Best: ", "Epochs: ")):
                assert line in text
        assert browser.evaluate("view.metric") == 1
        watch.send_signal(signal.SIGINT)
        assert watch.wait(100) == 0
        assert browser.errors == []
        browser.until(f"{LIVE}.includes('lost connection')")
        browser.open("about:blank")
        browser.errors.clear()  # of the connection


@pytest.mark.slow
def test_it_ends_with_the_run_and_says_how_to_reach_it(workshop, environment, journal):
    del journal
    how = started(workshop, environment, "--exit-when-done", SLURM_JOB_ID="7")
    with how as (watch, address):
        port = address[1]
        out, err = watch.stdout.read(), watch.stderr.read()
        assert (watch.wait(60), err) == (0, "")
    assert f"ssh -J LOGIN_NODE -L {port}:127.0.0.1:{port} " in out
    assert out.splitlines()[-1] == "The run has ended."


def test_where_there_is_a_desktop(monkeypatch):
    for name in (*watching._JOBS, "SSH_CONNECTION", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert watching.has_desktop()
    assert watching.tunnel_lines(80) == []
    monkeypatch.setenv("SSH_CONNECTION", "1")
    assert not watching.has_desktop()
    assert "ssh -L 80:127.0.0.1:80 " in watching.tunnel_lines(80)[1]


@pytest.mark.parametrize("args", [["watch", "."], ["watch", "x", "--port", "70000"]])
def test_wrong_arguments(args, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- a file that is followed -------------------------------------------------------------------


@pytest.mark.slow
def test_a_followed_file_is_written_until_the_end(workshop, environment, browser, tmp_path):
    """The page loads itself again, and keeps what its reader has chosen."""
    path = workshop.root / "run.html"
    workshop.allow(2)  # hold the search until its page has been checked
    args = workshop.run_args(executor="process", workers="2")
    says: list[str] = []
    thread = threading.Thread(
        target=follow, args=(workshop.journal, path), kwargs={"seconds": 1.0, "say": says.append}
    )
    thread.start()
    while not says:
        time.sleep(0.05)
    assert says == [f"Waiting for {workshop.journal}"]
    with subprocess.Popen(
        workshop.command(*args, "--quiet"), cwd=workshop.root, env=environment,
        stdout=subprocess.DEVNULL,
    ):  # fmt: skip
        while not path.exists():
            time.sleep(0.05)
        browser.errors.clear()
        browser.open(path.as_uri(), ready=READY, width=390, height=844)
        drawn = f"{READY} && {CHOICE}"  # when a loss has been reported
        count = browser.when(drawn, TRIALS)
        browser.when(drawn, f"({CHOICE}.checked || {CHOICE}.click(), scrollTo(0, 500))")
        workshop.allow(None)
        later = f"{READY} && {TRIALS} > {count}"
        assert browser.when(later, f"[{CHOICE}.checked, scrollY > 300]") == [True, True]
        thread.join(100)
    assert browser.when(f"{READY} && data.live.state === 'finished'", TRIALS) == 17
    assert browser.errors == []
    with pytest.raises(UsageError, match="--overwrite"):
        follow(workshop.journal, path)
    assert follow(workshop.journal, path, overwrite=True) == path


def test_follow_needs_a_page(journal, capsys):
    with pytest.raises(SystemExit) as end:
        main(["report", str(journal), "--follow"])
    assert end.value.code == 2
    assert "--html FILE" in capsys.readouterr().err


def test_follow_in_the_command_line(workshop, journal):
    del journal
    done = workshop.cli("report", "run.jsonl", "--html", "a.html", "--follow")
    assert done.returncode == 0, done.stderr
    assert "Page: a.html" in done.stderr
    assert "Best: trial" in done.stdout
    assert '"reload":0' in (workshop.root / "a.html").read_text()
