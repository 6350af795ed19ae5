"""Opening the client takes what was asked, whatever is asked of the sampler first."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

import fake_sapi
from fake_sapi import TOKEN
from qsvr import QSVR, QSVREnsemble, SamplerFactory, exceptions, get_sampler
from qsvr.exceptions import ConfigurationError, FallbackWarning, ServiceUnavailableError
from qsvr.samplers.dwave.qpu import QPUSampler
from qsvr.samplers.factory import open_sampler
from waiting import wait_until

SAMPLERS = ["qpu", "clique", "hybrid", "cqm", "nl"]
CERTIFICATE = Path(fake_sapi.__file__).with_name("self_signed.pem")  # and its key, for tests only
# Seconds, on a machine that does other things as well: less than the client alone would take, and
# than retries would.
SLACK = 25.0


class _Server:
    """It takes connections and does something with each; at the end it has closed them all.

    Parameters
    ----------
    handle : callable
        Called with each connection, one after the other; it may raise an OSError.
    """

    def __init__(self, handle):
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}/"
        self.connections = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # shut down
                return
            self.connections.append(connection)
            with suppress(OSError):
                self._handle(connection)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)  # ends a waiting `accept`, which `close` does not
        for connection in list(self.connections):  # one of them may be read from
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._socket, *self.connections):
            each.close()


def _hang(connection):
    """Never answer."""


def _deaf(monkeypatch, handle):
    with closing(_Server(handle)) as server:
        monkeypatch.setenv("DWAVE_API_ENDPOINT", f"http://{server.address}")
        yield server


@pytest.fixture(params=[socket.socket.close, _hang], ids=["closes", "hangs"])
def deaf(request, api, monkeypatch):
    yield from _deaf(monkeypatch, request.param)


@pytest.fixture
def hanging(api, monkeypatch):
    yield from _deaf(monkeypatch, _hang)


@pytest.fixture(autouse=True)
def imported():
    """Imports take seconds and are no part of the opening."""
    import dwave.system  # noqa: F401


def _fit(data, sampler, **options):
    X, y = data
    QSVR(C=5, sampler=sampler, num_reads=8, sampler_options=options).fit(X[:6], y[:6])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_attempt_within_the_timeout(deaf, data, sampler):
    start = time.monotonic()
    with pytest.raises(exceptions.ServiceError):
        _fit(data, sampler, timeout=1, max_retries=0)
    assert time.monotonic() - start < 1 + SLACK
    wait_until(lambda: deaf.connections, "the thread that opens")
    assert len(deaf.connections) == 1


@pytest.mark.parametrize("n", [1, 3])
def test_as_many_attempts_as_asked_for(api, data, n):
    api.inject("solvers", "503", times=None)
    with pytest.raises(ServiceUnavailableError, match=f"tried {n + 1} times"):
        _fit(data, "qpu", max_retries=n, retry_delay=0.001)
    assert api.requests["solvers"] == n + 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda sampler, options: sampler.parameters,
        lambda sampler, options: sampler.max_variables,
        lambda sampler, options: sampler.plan(36, n_problems=1, num_reads=9, options=options),
    ],
    ids=["parameters", "max_variables", "plan"],
)
def test_whatever_is_asked_first(hanging, ask):
    options = {"timeout": 0.5, "max_retries": 0}
    sampler, options = open_sampler("qpu", options)
    start = time.monotonic()
    with pytest.raises(exceptions.TimeLimitError, match=r"did not open within timeout=0\.5 s"):
        ask(sampler, options)
    assert time.monotonic() - start < 0.5 + SLACK


@pytest.mark.parametrize(
    "make",
    [
        lambda: QPUSampler(),
        lambda: SamplerFactory("qsvr.samplers.dwave.hybrid.CQMSampler"),
        lambda: get_sampler("nl"),
    ],
    ids=["sampler", "factory", "shared"],
)
def test_however_the_sampler_is_named(hanging, data, make):
    start = time.monotonic()
    with pytest.raises(exceptions.TimeLimitError):
        _fit(data, make(), timeout=0.5, max_retries=0)
    assert time.monotonic() - start < 0.5 + SLACK


def test_members_of_an_ensemble(hanging, data):
    X, y = data
    options = {"timeout": 0.5, "max_retries": 0}
    start = time.monotonic()
    with pytest.raises(exceptions.SamplerError):
        QSVREnsemble(QSVR(sampler="qpu", sampler_options=options), n_estimators=2).fit(X, y)
    assert time.monotonic() - start < 3 * 0.5 + SLACK


def test_fits_that_wait_for_another_ones_opening(hanging, data):
    """Each as long as its own options say."""
    errors = []

    def fit(timeout):
        start = time.monotonic()
        try:
            _fit(data, "qpu", timeout=timeout, max_retries=0)
        except exceptions.TimeLimitError:
            errors.append((timeout, time.monotonic() - start))

    threads = [threading.Thread(target=fit, args=(timeout,)) for timeout in (2.5, 0.5)]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert sorted(timeout for timeout, _ in errors) == [0.5, 2.5]
    assert all(seconds < timeout + SLACK for timeout, seconds in errors)


def test_a_failed_opening_leaves_no_threads_and_can_be_tried_again(api, data):
    from qsvr.samplers.factory import _close_all

    _fit(data, "qpu", retry_delay=0.001)
    _close_all()
    time.sleep(0.3)
    before = threading.active_count()
    api.inject("solvers", "503", times=None)
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError):
            _fit(data, "qpu", max_retries=0)
    wait_until(lambda: threading.active_count() <= before + 2, "threads but the server's to end")
    api.mend()
    _fit(data, "qpu", max_retries=0)


def test_the_opened_client_keeps_its_own_patience(api, data):
    """One fit in a hurry opened it; the next one's requests are not in a hurry."""
    _fit(data, "qpu", timeout=2, max_retries=0)
    client = get_sampler("qpu").client.client
    assert client.config.request_timeout == 60
    session = client.create_session()
    adapter = session.get_adapter("https://")
    assert adapter.timeout == 60
    assert adapter.max_retries.total == 10
    session.close()


@pytest.fixture
def plain_http():
    """Return an address for TLS of a server that speaks plain HTTP."""

    def handle(connection):
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with closing(_Server(handle)) as server:
        yield f"https://{server.address}"


@pytest.mark.parametrize(
    "endpoint",
    ["cloud.example", "http://", "ftp://cloud.example/", "http://127.0.0.1:99999/", "tls"],
)
@pytest.mark.parametrize("sampler", ["qpu", "nl"])
def test_a_wrong_address_is_not_tried_again(
    api, data, monkeypatch, endpoint, sampler, caplog, plain_http
):
    monkeypatch.setenv("DWAVE_API_ENDPOINT", plain_http if endpoint == "tls" else endpoint)
    start = time.monotonic()
    with pytest.raises(ConfigurationError, match="Check endpoint") as caught:
        _fit(data, sampler, max_retries=5, retry_delay=2)
    assert time.monotonic() - start < SLACK
    assert "tried" not in str(caught.value)
    with pytest.warns(FallbackWarning, match="ConfigurationError"):
        _fit(data, sampler, fallback="structured")


@pytest.mark.parametrize("token", ["line\nbreak-in-it", " leading", "euro-€-sign"])
def test_a_token_that_is_no_header_is_not_tried_again(api, data, monkeypatch, caplog, token):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DWAVE_API_TOKEN", token)
    start = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        _fit(data, "qpu", max_retries=5, retry_delay=2)
    assert time.monotonic() - start < SLACK
    for text in (token, repr(token)[1:-1]):
        assert text not in str(caught.value)
        assert text not in caplog.text


def test_settings_that_cannot_be_read(api, data, tmp_path):
    broken, good = tmp_path / "broken.conf", tmp_path / "good.conf"
    broken.write_text("[defaults\ntoken = secret-in-file\n")
    good.write_text("[defaults]\ntoken = secret-in-file\n")
    for options in ({"config_file": str(broken)}, {"config_file": str(good), "profile": "none"}):
        with pytest.raises(ConfigurationError) as caught:
            _fit(data, "qpu", max_retries=5, retry_delay=2, **options)
        assert "secret-in-file" not in str(caught.value)


def test_timeout_none_is_the_default(api, data):
    _fit(data, "qpu", timeout=None, max_access_time=None)
    assert np.isfinite(get_sampler("qpu").total.seconds)
    assert TOKEN not in repr(get_sampler("qpu"))


def test_a_certificate_of_nobody_is_not_tried_again(api, data, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def handle(connection):
        context.wrap_socket(connection, server_side=True)

    with closing(_Server(handle)) as server:
        monkeypatch.setenv("DWAVE_API_ENDPOINT", f"https://{server.address}")
        with pytest.raises(ConfigurationError, match="certificate"):
            _fit(data, "qpu", max_retries=5, retry_delay=2)
        assert len(server.connections) == 1


def test_a_solver_that_does_not_describe_itself(api, data):
    for name in ("hybrid_bqm_solver", "hybrid_cqm_solver"):
        properties = api.solvers[name]["properties"]
        for missing in [each for each in properties if "minimum_time" in each]:
            properties[missing] = "soon"
    for sampler in ("hybrid", "cqm"):
        with pytest.raises(exceptions.SolverMissingError):
            _fit(data, sampler)
        with pytest.warns(FallbackWarning, match="SolverMissingError"):
            _fit(data, sampler, fallback="structured")


def test_a_factory_of_somebody_elses_client_shows_no_token(api, data, monkeypatch):
    monkeypatch.setenv("DWAVE_API_TOKEN", "line\nbreak of a secret")
    with pytest.raises(exceptions.SamplerError, match="InvalidHeader") as caught:
        _fit(data, SamplerFactory("dwave.system.DWaveSampler"))
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_patience_beyond_any_clock(api, data):
    for sampler in ("qpu", "nl"):
        _fit(data, sampler, timeout=1e300)
