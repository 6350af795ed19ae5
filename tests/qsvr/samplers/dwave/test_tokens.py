"""The token's text is nowhere: not in pickles, reprs, logs, output, exceptions, or caches."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest

from fake_sapi import TOKEN
from qsvr import QSVR, SamplerFactory
from qsvr.exceptions import QSVRError


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
