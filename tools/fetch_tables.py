"""Fetch the tables of learning curves that the benchmarks search, and build them.

::

    python tools/fetch_tables.py           # into benchmarks/data, about 1 MB; needs a network
    python tools/fetch_tables.py --check   # say which tables are there, and whether they are
                                           # those of the figures in the documentation

Sources: ``mlpf_curves.csv`` from the repository JP-Amboage/performance-pred (Apache-2.0);
``metaqnn_cifar10`` and ``lstm_ptb`` from MITAutoML/accelerating_nas (MIT), the data of Baker et
al., arXiv 1705.10823. The SHA-256 of a downloaded file is compared with the known one. If none is
known, it is written to ``sources.lock`` at the first download and compared from then on.

The tables ``lcb_*`` and ``taskset_*`` cannot be built by this program: the former are 600 random
configurations of the YAHPO Gym surrogate of LCBench (slds-lmu/yahpo_data, Apache-2.0), the latter
are TaskSet as shipped in releaunifreiburg/DyHPO (Apache-2.0). Every benchmark runs without them, on
the tables that are there. A table of your own is a ``.csv`` or ``.npz`` file that
`hpo.simulation.read_table` reads; put it into ``benchmarks/data/curves``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.simulation.datasets import MLPF_SHA256, MLPF_URL, read_table

DATA = Path(__file__).parents[1] / "benchmarks" / "data"
ACCELERATING_NAS = (
    "https://raw.githubusercontent.com/MITAutoML/accelerating_nas/"
    "7a0abeb37787f51f47231c45af2796be697fe2cc/data/"
)
Rows = list[dict[str, str]]
Arrays = tuple[list[str], NDArray[np.float64], NDArray[np.float64]]  # names, (n, p), (n, E)


@dataclass(frozen=True)
class Source:
    """Where a table comes from.

    Attributes
    ----------
    url : str
        Address of the raw file.
    build : callable or None
        Makes names, hyperparameters and losses of its rows; None keeps the file as it is.
    raw : str
        SHA-256 of the raw file; empty where it is not known.
    """

    url: str
    build: Callable[[Rows], Arrays] | None = None
    raw: str = ""


def metaqnn(rows: Rows) -> Arrays:
    """Return architectures of convolutional networks and their error on CIFAR-10.

    As in the table of the documentation's figures, ``nC`` counts the fully connected layers too,
    and ``nP`` the global pooling.
    """
    features, losses = [], []
    for row in rows:
        layers = re.findall(r"([A-Z]+)\(([\d,]+)\)", row["net"])
        convolutions = [[int(n) for n in sizes.split(",")] for kind, sizes in layers if kind == "C"]
        kinds = [kind for kind, _ in layers]
        features.append(
            [
                np.log(float(row["num_params"])),
                float(row["depth"]),
                np.log(float(row["lr"])),
                kinds.count("C") + kinds.count("FC"),
                kinds.count("P") + kinds.count("GAP"),
                *(kinds.count(kind) for kind in ("D", "FC", "GAP")),
                np.mean([each[0] for each in convolutions]) if convolutions else 0.0,
                np.mean([each[1] for each in convolutions]) if convolutions else 0.0,
            ]
        )
        losses.append([1.0 - float(row[f"acc_{epoch}"]) for epoch in range(1, 21)])
    names = ["log_params", "depth", "lr", "nC", "nP", "nD", "nFC", "gap", "filt", "rf"]
    return names, np.array(features), np.array(losses)


def lstm(rows: Rows) -> Arrays:
    """Return recurrent networks and their log perplexity on Penn Treebank.

    The header names 59 epochs, the rows hold 60: the last one has no name.
    """
    names = ["n_layer", "n_inputs", "base_lr", "ss"]
    features = [[float(row[name]) for name in names] for row in rows]
    perplexities = [[row[f"ep_{epoch}"] for epoch in range(59)] + row[None] for row in rows]
    return names, np.array(features), np.log(np.array(perplexities, dtype=float))


SOURCES = {
    "mlpf_curves.csv": Source(MLPF_URL, raw=MLPF_SHA256),
    "curves/metaqnn_cifar10.npz": Source(f"{ACCELERATING_NAS}metaqnn_cifar10.csv", metaqnn),
    "curves/lstm_ptb.npz": Source(f"{ACCELERATING_NAS}lstm_ptb.csv", lstm),
}
CONTENTS = {
    "mlpf_curves.csv": "ed59f9559e5da3cc",
    "curves/lcb_126026.npz": "6c13491e42c4ecde",
    "curves/lcb_146212.npz": "023bc0e51f50e183",
    "curves/lcb_167161.npz": "6abe69d6919375a8",
    "curves/lcb_167200.npz": "a767044c100e4524",
    "curves/lcb_168330.npz": "167565aeefa6393c",
    "curves/lcb_168910.npz": "a9f61bbc76361650",
    "curves/lcb_189862.npz": "50cb3fa1372902bb",
    "curves/lcb_7593.npz": "05216309dbb59bc7",
    "curves/lstm_ptb.npz": "9dcba39027ec9cb6",
    "curves/metaqnn_cifar10.npz": "782a9e4db1d20d49",
    "curves/taskset_patch128_LSTM128_bs64.npz": "4c0e8b3512fd02c4",
    "curves/taskset_patch32_GRU128_bs128.npz": "29aaf168c1464099",
    "curves/taskset_patch32_IRNN64_relu_last_bs128.npz": "d20b1ba215de2942",
    "curves/taskset_patch32_VRNN64_tanh_avg_bs128.npz": "ad30377ea0ec0558",
}
"""Digest of each table of the documentation's figures (see `digest`)."""


def digest(path: Path) -> str:
    """Return a digest of the losses and hyperparameters of a table, rounded to four digits."""
    table = read_table(path)
    numbers = [
        [v for v in config.values() if isinstance(v, float | int)] for config in table.configs
    ]
    found = hashlib.sha256()
    for array in (np.array(numbers, dtype=float), table.losses):
        finite = np.clip(np.nan_to_num(array, nan=1e9), -1e9, 1e9)
        found.update(np.round(finite * 1e4).astype(np.int64).tobytes())
    return found.hexdigest()[:16]


def scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each column to [0, 1]; a constant column is 0."""
    low, span = features.min(axis=0), np.ptp(features, axis=0)
    return (features - low) / np.where(span > 0, span, 1.0)


def write_table(raw: Path, build: Callable[[Rows], Arrays], path: Path) -> None:
    """Build a table from its raw file."""
    with raw.open(newline="", encoding="utf-8") as file:
        names, features, losses = build(list(csv.DictReader(file)))
    np.savez_compressed(
        path,
        X=scaled(features).astype(np.float32),
        names=np.array(names),
        Y=losses.astype(np.float32),
        cost=np.ones(len(losses), dtype=np.float32),
    )


def download(url: str, known: str, lock: Path) -> bytes:
    """Download a file and check it; where its checksum is not known, note it in the lock file."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - https, fixed
            content: bytes = answer.read()
    except urllib.error.URLError as error:
        sys.exit(f"{url} cannot be downloaded ({error.reason}); this program needs a network")
    found = hashlib.sha256(content).hexdigest()
    locked = json.loads(lock.read_text("utf-8")) if lock.exists() else {}
    expected = known or locked.get(url, "")
    if expected and found != expected:
        sys.exit(f"{url} has SHA-256 {found}, expected {expected}")
    if not expected:
        lock.write_text(json.dumps(locked | {url: found}, indent=1) + "\n", encoding="utf-8")
        print(f"  no checksum is known for {url}: {found} is now in {lock}")
    return content


def fetch(folder: Path) -> None:
    """Fetch and build all tables that are not there."""
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    for name, source in SOURCES.items():
        path = folder / name
        if path.exists():
            print(f"{path}: there")
            continue
        raw = path.with_suffix(".raw")
        raw.write_bytes(download(source.url, source.raw, folder / "sources.lock"))
        if source.build is None:
            raw.replace(path)
        else:
            write_table(raw, source.build, path)
            raw.unlink()
        print(f"{path}: fetched")


def check(folder: Path) -> int:
    """Say which tables are there; return 1 if one is not that of the documentation."""
    different = 0
    for name, known in CONTENTS.items():
        path = folder / name
        if not path.exists():
            state = "missing"
        elif digest(path) == known:
            state = "as in the documentation's figures"
        else:
            state, different = "different from that of the documentation's figures", 1
        print(f"{path}: {state}")
    return different


def main() -> int:
    """Fetch or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DATA, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    arguments = parser.parse_args()
    if not arguments.check:
        fetch(arguments.folder)
    return check(arguments.folder)


if __name__ == "__main__":
    sys.exit(main())
