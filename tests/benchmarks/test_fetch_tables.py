"""Tables of learning curves are built from their raw files, and checked."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from hpo.simulation import read_table

ROOT = Path(__file__).parents[2]
NETS = (
    ("[C(64,1,1), P(2,2), D(1,2), C(128,5,1), FC(128), D(2,2), SM(10)]", 1000, 5, 0.001),
    ("[C(256,3,1), GAP(10), SM(10)]", 100, 2, 0.0004),
)


@pytest.fixture(scope="module")
def tables():
    spec = spec_from_file_location("_fetch_tables", ROOT / "tools" / "fetch_tables.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_architectures_and_their_errors(tables, tmp_path):
    raw = tmp_path / "raw.csv"
    epochs = range(1, 21)
    lines = ["net,num_params,depth,lr," + ",".join(f"acc_{epoch}" for epoch in epochs)]
    lines += [
        f'"{net}",{size},{depth},{lr},' + ",".join(f"{epoch / 40}" for epoch in epochs)
        for net, size, depth, lr in NETS
    ]
    raw.write_text("\n".join(lines))
    tables.write_table(raw, tables.metaqnn, tmp_path / "table.npz")
    table = read_table(tmp_path / "table.npz")
    np.testing.assert_allclose(table.losses[0], [1 - epoch / 40 for epoch in epochs], atol=1e-6)
    assert list(table.configs[0].values()) == [1, 1, 1, 1, 0, 1, 1, 0, 0, 0]
    assert list(table.configs[1].values()) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 0]


def test_recurrent_networks_and_their_log_perplexity(tables, tmp_path):
    raw = tmp_path / "raw.csv"
    names = [f"ep_{epoch}" for epoch in range(59)]  # the rows hold one more
    lines = [",".join(["location", "n_layer", "n_inputs", "base_lr", "ss", *names])]
    lines += [
        ",".join(["x", str(layers), "90", "0.1", "15000", *(str(200 - i) for i in range(60))])
        for layers in (2, 5, 3)
    ]
    raw.write_text("\n".join(lines))
    tables.write_table(raw, tables.lstm, tmp_path / "table.npz")
    table = read_table(tmp_path / "table.npz")
    assert table.max_resource == 60
    np.testing.assert_allclose(table.losses[1], np.log(200.0 - np.arange(60)), rtol=1e-6)
    assert [config["n_layer"] for config in table.configs] == pytest.approx([0, 1, 1 / 3])
    assert {config["base_lr"] for config in table.configs} == {0.0}


def test_a_file_without_a_known_checksum_is_locked_at_its_first_download(tables, tmp_path, capsys):
    source, lock = tmp_path / "source.csv", tmp_path / "sources.lock"
    source.write_text("first")
    url = source.as_uri()
    assert tables.download(url, "", lock) == b"first"
    assert "no checksum is known" in capsys.readouterr().out
    assert json.loads(lock.read_text()) == {url: hashlib.sha256(b"first").hexdigest()}
    assert tables.download(url, "", lock) == b"first"
    source.write_text("second")
    with pytest.raises(SystemExit, match="has SHA-256"):
        tables.download(url, "", lock)
    with pytest.raises(SystemExit, match="expected 0000"):
        tables.download(url, "0000", lock)
    source.unlink()
    with pytest.raises(SystemExit, match="needs a network"):
        tables.download(url, "", lock)


def test_the_tables_of_the_figures_are_recognised(tables, tmp_path, capsys):
    beside = ROOT.parent / "shared" / "data"
    if not (beside / "curves").is_dir():
        pytest.skip("the tables are not beside the checkout")
    assert tables.check(beside) == 0
    assert capsys.readouterr().out.count("as in the documentation's figures") == 15
    (tmp_path / "curves").mkdir()
    table = dict(np.load(beside / "curves" / "lstm_ptb.npz"))
    np.savez(tmp_path / "curves" / "lstm_ptb.npz", **table | {"Y": table["Y"] + 0.01})
    assert tables.check(tmp_path) == 1
    assert "lstm_ptb.npz: different" in capsys.readouterr().out
