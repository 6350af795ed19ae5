"""The token's text is nowhere: not in pickles, reprs, logs, output, exceptions, or caches."""

from __future__ import annotations

import html
import json
import logging
import pickle
import re
import sys
import traceback
from urllib.parse import quote, quote_plus

import pytest

from fake_sapi import TOKEN
from qsvr import QSVR, SamplerFactory
from qsvr.exceptions import QSVRError
from qsvr.samplers import redaction
from qsvr.samplers.redaction import TokenFilter, redact


def _fit(data, sampler="qpu", **options):
    X, y = data
    options = {"retry_delay": 0.001, "max_retries": 1, **options}
    return QSVR(C=5, sampler=sampler, num_reads=8, verbose=1, sampler_options=options).fit(
        X[:6], y[:6]
    )


def test_token_appears_nowhere(api, data, caplog, capfd, cache_dir):
    caplog.set_level(1)
    for name in ("dwave", "dwave.cloud", "dwave.cloud.client", "urllib3"):
        logging.getLogger(name).setLevel(1)
    texts = []
    for sampler in ("qpu", "hybrid", "cqm", "nl"):
        model = _fit(data, sampler)
        texts += [repr(model), repr(vars(model)), pickle.dumps(model).decode("latin-1")]
        texts.append(str(model.sampler_report()))
        if sampler != "nl":  # whose answer is no sample set
            texts += [repr(model.sampleset_.info), pickle.dumps(model.sampleset_).decode("latin-1")]
    texts.append(repr(SamplerFactory("qsvr.samplers.dwave.qpu.QPUSampler").open()))
    for kind in ("401", "503", "drop", "malformed", "fail", "fewer"):
        api.mend()
        api.inject("submit", kind, times=None)
        with pytest.raises(QSVRError) as caught:
            _fit(data)
        error = caught.value
        texts += ["".join(traceback.format_exception(error)), repr(vars(error))]
        texts.append(pickle.dumps(error).decode("latin-1"))
    texts += [record.getMessage() for record in caplog.records] + [caplog.text]
    texts += list(capfd.readouterr())
    texts += [path.read_text() for path in cache_dir.rglob("*.json")]
    secret = TOKEN.split("-")[1]
    assert any("dwave.cloud" in record.name for record in caplog.records)
    assert not [text for text in texts if secret in text]


@pytest.mark.parametrize("name", ["token", "api_token"])
def test_token_is_refused_as_an_option(data, name):
    with pytest.raises(ValueError, match="must not hold a token") as caught:
        _fit(data, **{name: TOKEN})
    assert TOKEN not in str(caught.value)
    with pytest.raises(ValueError, match="must not hold a token"):
        SamplerFactory("dwave.system.DWaveSampler", {name: TOKEN})


# Passwords of somebody's own server rather than Leap's form of token; a header can hold them all.
ODD_TOKENS = {
    "short": "Zq7",
    "spaces": "correct horse battery staple",
    "of an address": "pa/ss+wo=rd%20?&x",
    "quotes": 'it\'s "quoted"',
    "backslashes": "back\\slash\\n",
    "not ASCII": "schlüssel-é",
    "of an expression": "a.*b(c[d$",
    "with a dash": "LEAP-short",
}
ECHOES = {
    "as it is": str,
    "repr": repr,
    "repr of a repr": lambda token: repr(repr(token)),
    "bytes": lambda token: repr(token.encode()),
    "JSON": json.dumps,
    "URL": lambda token: f"https://x/?key={quote(token)}&again={quote(token, safe='')}",
    "form": quote_plus,
    "lower-case URL": lambda token: re.sub("%..", lambda m: m[0].lower(), quote(token, safe="")),
    "HTML": html.escape,
    "in words": lambda token: f"the token<{token}>, or '{token}',{token}.",
}


@pytest.fixture(params=ODD_TOKENS.values(), ids=ODD_TOKENS)
def odd_token(request, api, monkeypatch):
    api.token = request.param
    monkeypatch.setenv("DWAVE_API_TOKEN", request.param)
    return request.param


def _shows(token, text):
    """Whether a text shows a token in any of the forms above; a short one as a word."""
    forms = {token, *(echo(token) for name, echo in ECHOES.items() if name != "in words")}
    forms |= {form.strip("'\"b") for form in forms} - {""}
    if len(token) < 4:
        return any(re.search(rf"\b{re.escape(form)}\b", text) for form in forms)
    return any(form in text for form in forms)


def test_odd_token_is_shown_in_no_message(api, data, caplog, odd_token):
    caplog.set_level(1)
    for name in ("dwave", "dwave.cloud", "dwave.cloud.client", "urllib3"):
        logging.getLogger(name).setLevel(1)
    api.echo = lambda token: " | ".join(echo(token) for echo in ECHOES.values())
    api.inject("solvers", "503", times=1)
    api.inject("submit", "400", times=1)
    texts = []
    for _ in range(2):
        with pytest.raises(QSVRError) as caught:
            _fit(data, max_retries=0)
        error = caught.value
        texts += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
        texts.append(pickle.dumps(error).decode("latin-1"))
        assert error.__context__ is None
    assert texts[0].count("<token>") >= len(ECHOES)
    _fit(data)
    texts += [caplog.text, *(repr(vars(record)) for record in _of_client(caplog))]
    assert any("injected 503" in text for text in texts)
    assert not [text for text in texts if _shows(odd_token, text)]


def _of_client(caplog):
    return [r for r in caplog.records if r.name.partition(".")[0] in ("dwave", "urllib3")]


def test_token_of_a_configuration_file(api, data, caplog, monkeypatch, tmp_path):
    caplog.set_level(1)
    api.token = "only in the file"
    monkeypatch.delenv("DWAVE_API_TOKEN")
    path = tmp_path / "dwave.conf"
    path.write_text("[main]\ntoken = only in the file\n[other]\ntoken=of another profile\n")
    api.inject("solvers", "503", times=1)
    with pytest.raises(QSVRError) as caught:
        _fit(data, config_file=str(path), max_retries=0)
    assert "only in the file" not in str(caught.value)
    _fit(data, config_file=str(path))
    assert "only in the file" not in caplog.text
    assert "of another profile" not in redact("the token of another profile")


def test_token_of_a_live_client(api, data):
    from dwave.system import DWaveSampler, EmbeddingComposite

    X, y = data
    api.token = "given to the client only"
    for wrap in (lambda live: live, EmbeddingComposite):
        with DWaveSampler(token=api.token) as live:
            api.inject("submit", "400", times=1)
            with pytest.raises(QSVRError) as caught:
                QSVR(C=5, sampler=wrap(live), num_reads=4, n_bits=1).fit(X[:4], y[:4])
            text = "".join(traceback.format_exception(caught.value))
            assert "injected 400" in text
            assert api.token not in text
            assert caught.value.__context__ is None or api.token not in str(
                caught.value.__context__
            )


def test_traceback_of_a_log_record(api, monkeypatch):
    monkeypatch.setenv("DWAVE_API_TOKEN", "value in a traceback")
    try:
        raise ValueError("sent with 'value in a traceback'")
    except ValueError:
        record = logging.LogRecord("dwave.cloud", 10, "", 0, "failed", None, sys.exc_info())
    record.stack_info = "Stack: 'value in a traceback'"
    TokenFilter().filter(record)
    text = logging.Formatter().format(record)
    assert "ValueError" in text
    assert "value in a traceback" not in text + repr(vars(record))


def test_known_tokens_show_nowhere(api, monkeypatch):
    monkeypatch.setenv("DWAVE_API_TOKEN", "value of the environment")
    redaction.redact("")
    assert "value" not in repr(redaction._KNOWN)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(redaction._KNOWN)
