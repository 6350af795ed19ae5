"""Each fault several times: no hang, no lost model, no more submissions than allowed, no token.

Twice, and twenty times in `make thorough`.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from fake_sapi import TOKEN, FakeSolverAPI
from qsvr import QSVR, exceptions
from qsvr.exceptions import CostLimitError, FallbackWarning, QSVRError
from qsvr.samplers.dwave.submission import ServiceOptions
from waiting import wait_until

N = 6
TIMES = 20 if os.environ.get("THOROUGH") else 2


def _fit(data, sampler="qpu", **options):
    X, y = data
    options = {"retry_delay": 0.001, "timeout": 30, **options}
    return QSVR(C=5, sampler=sampler, num_reads=8, random_state=0, sampler_options=options).fit(
        X[:N], y[:N]
    )


@pytest.mark.parametrize("times", [2, None])
def test_a_fault_that_never_happened_fails_its_test(times):
    server = FakeSolverAPI([])
    server.check_faults()
    server.inject("submit", "503", times)
    server.fails_by(server.fault("submit"), "drop")  # due, and not delivered
    server.mend()
    with pytest.raises(AssertionError, match=r"never happened.*503"):
        server.check_faults()
    with pytest.raises(ValueError, match="knows no fault 'offline' at 'poll'"):
        server.inject("poll", "offline")


@pytest.mark.parametrize("kind", ["429", "500", "503", "drop", "malformed"])
@pytest.mark.parametrize("stage", ["submit", "poll", "answer"])
def test_passing_trouble_is_retried(api, data, stage, kind):
    _fit(data)
    for done in range(1, TIMES + 1):
        api.inject(stage, kind)
        model = _fit(data)
        assert model.sampler_info_["n_reads"] == 8
        assert len(api.problems) == 1 + done  # never submitted twice
    api.check_faults()


def test_delays_double_up_to_the_most_and_are_at_least_half():
    rng = np.random.default_rng(0)
    options = ServiceOptions(retry_delay=1.0)
    for retry, full in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]):
        delays = [options.delay(retry, rng) for _ in range(200)]
        assert 0.5 * full <= min(delays) < 0.55 * full
        assert 0.95 * full < max(delays) <= full


@pytest.mark.parametrize("kind", ["429", "503", "drop"])
def test_lasting_trouble_ends_in_an_error(api, data, kind):
    _fit(data)
    before = api.requests["submit"]
    for _ in range(TIMES):
        api.mend()
        api.inject("submit", kind, times=None)
        with pytest.raises(exceptions.ServiceUnavailableError, match="tried 3 times") as caught:
            _fit(data, max_retries=2)
        assert TOKEN not in str(caught.value)
    assert api.requests["submit"] - before == 3 * TIMES
    assert len(api.problems) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("offline", "SolverOfflineError"),
        ("fail", "ProblemFailedError"),
        ("cancel", "ProblemCancelledError"),
        ("401", "AuthenticationError"),
        ("hang", "TimeLimitError"),
    ],
)
def test_what_no_retry_can_help_is_said_at_once(api, data, kind, error):
    _fit(data)
    before = api.requests["submit"]
    for _ in range(TIMES):
        api.inject("submit", kind)
        with pytest.raises(getattr(exceptions, error)) as caught:
            _fit(data, timeout=0.3 if kind == "hang" else 60)
        assert isinstance(caught.value, QSVRError)
        assert TOKEN not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    arrived(api, "submit", before + TIMES)
    assert api.requests["submit"] - before == TIMES


def arrived(api, stage, count):
    """Wait for requests: a fit that gives up after a moment may do so before its client asks."""
    wait_until(lambda: api.requests[stage] >= count, f"{count} requests to {stage}")


def test_problems_given_up_are_cancelled(api, data):
    _fit(data)
    api.inject("submit", "hang")
    with pytest.raises(exceptions.TimeLimitError, match=r"timeout=0\.2 s"):
        _fit(data, timeout=0.2)
    arrived(api, "submit", 2)
    arrived(api, "cancel", 1)
    _, last = api.problems.values()
    assert last.done.wait(60)
    assert last.status == "CANCELLED"


def test_fewer_samples_leave_a_model(api, data):
    X, _ = data
    for _ in range(TIMES):
        api.inject("submit", "fewer")
        with pytest.raises(exceptions.IncompleteAnswerError, match="4 of 8 reads") as caught:
            _fit(data)
        assert caught.value.partial_model.predict(X).shape == (len(X),)
        assert caught.value.partial_model.sampler_info_["n_reads"] == 4


def test_wrong_token(api, data, monkeypatch):
    monkeypatch.setenv("DWAVE_API_TOKEN", TOKEN.replace("LEAP", "NONE"))
    for _ in range(TIMES):
        before = api.requests["solvers"]
        with pytest.raises(exceptions.AuthenticationError, match="dwave setup") as caught:
            _fit(data)
        assert "5ecre7" not in str(caught.value)
        assert api.requests["solvers"] == before + 1
    assert not api.problems


def test_no_token(api, data, monkeypatch):
    monkeypatch.delenv("DWAVE_API_TOKEN")
    monkeypatch.setenv("DWAVE_CONFIG_FILE", "")
    with pytest.raises(exceptions.AuthenticationError, match="DWAVE_API_TOKEN"):
        _fit(data)


def test_missing_solver(api, data):
    for _ in range(TIMES):
        with pytest.raises(exceptions.SolverMissingError, match="dwave solvers"):
            _fit(data, solver="no-such-solver")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["429", "503", "drop"])
def test_opening_is_retried(api, data, kind):
    from qsvr.samplers.factory import _close_all

    for _ in range(TIMES):
        _close_all()
        api.inject("solvers", kind)
        _fit(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["429", "503", "drop"])
@pytest.mark.parametrize("sampler", ["hybrid", "cqm", "nl"])
def test_hybrid_faults(api, data, sampler, kind):
    _fit(data, sampler)
    for _ in range(TIMES):
        api.inject("submit", kind)
        _fit(data, sampler)
    assert len(api.uploads) == len(api.problems) == 1 + TIMES  # retries use what was uploaded


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["hybrid", "cqm", "nl"])
def test_hybrid_solver_offline(api, data, sampler):
    for _ in range(TIMES):
        api.inject("submit", "offline")
        with pytest.raises(exceptions.SolverOfflineError):
            _fit(data, sampler)
    assert len(api.problems) == TIMES  # refused, and not sent again


def test_lost_reply_is_charged_and_not_exceeded(api, data):
    once = _fit(data).sampler_info_["access_time"]
    api.inject("submit", "taken-drop")
    with pytest.raises(CostLimitError, match="was not submitted"):
        _fit(data, max_access_time=1.5 * once)
    assert len(api.problems) == 2


def test_fallback_only_where_asked_for(api, data):
    _fit(data)
    for kind in ("offline", "fail", "401"):
        api.inject("submit", kind)
        with pytest.warns(FallbackWarning, match="structured"):
            model = _fit(data, fallback="structured")
        assert model.sampler_info_["sampler"] == "structured"
        assert model.sampler_info_["fallback"]["sampler"] == "structured"


def test_fallback_when_nothing_can_be_opened(api, data, monkeypatch):
    monkeypatch.setenv("DWAVE_API_TOKEN", TOKEN.replace("LEAP", "NONE"))
    with pytest.warns(FallbackWarning, match="AuthenticationError"):
        model = _fit(data, fallback="structured", annealing_time=20)
    assert "5ecre7" not in repr(model.sampler_info_)


@pytest.mark.parametrize(("stage", "kind"), [("answer", "429"), ("answer", "503"), ("poll", "503")])
def test_lasting_trouble_after_submission(api, data, stage, kind):
    _fit(data)
    endless = (stage, kind) == ("poll", "503")  # the client itself asks again and again
    expected = exceptions.TimeLimitError if endless else exceptions.ServiceUnavailableError
    for done in range(1, 2 if endless else TIMES + 1):
        api.inject(stage, kind, times=None)
        before = api.requests[stage]
        with pytest.raises(expected):
            _fit(data, max_retries=2, timeout=3.0 if endless else 60)
        assert len(api.problems) == 1 + done
        assert (
            api.requests[stage] - before < 300
        )  # a client without pauses would ask thousands of times
        api.mend()


@pytest.mark.parametrize("sampler", ["hybrid", "cqm", "nl"])
def test_upload_trouble(api, data, sampler):
    _fit(data, sampler)
    api.inject("upload", "503")
    _fit(data, sampler)
    before = len(api.problems)
    api.inject("upload", "503", times=None)
    with pytest.raises(exceptions.ServiceUnavailableError):
        _fit(data, sampler, max_retries=0)
    assert len(api.problems) == before


@pytest.mark.parametrize("kind", ["503", "drop", "malformed"])
def test_states_are_downloaded_again(api, data, kind):
    """They are paid for: the answer is asked for anew, the problem is not."""
    api.inject("download", kind)
    model = _fit(data, "nl")
    assert model.sampler_info_["n_retries"] == (kind != "drop")  # then the client itself asks again
    assert len(api.problems) == 1
    if kind == "drop":
        return
    api.inject("download", kind, times=None)
    with pytest.raises(exceptions.ServiceUnavailableError, match="tried 2 times"):
        _fit(data, "nl", max_retries=1)
    assert len(api.problems) == 2
