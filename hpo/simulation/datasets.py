"""Tables of recorded learning curves: files, a sample, and the MLPF table of arXiv 2311.17508."""

from __future__ import annotations

import csv
import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from hpo._typing import IntArray
from hpo.simulation.simulator import CurveTable

MLPF_URL = (
    "https://raw.githubusercontent.com/JP-Amboage/performance-pred/main/"
    "data/mlpf/delphes_trainings_processed.csv"
)
MLPF_SHA256 = "83c7ae6933f20379d8edbb733dbc5a5a463009c99ecb3d6d906459c4c14d7fa6"


def read_table(path: str | Path, mode: str = "min") -> CurveTable:
    """Read a table of learning curves.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` file with a header: columns ``loss_0``, ``loss_1``, ... hold the loss after each
        unit, ``cost`` (optional) the relative time of a unit, all others are hyperparameters. Or a
        ``.npz`` file with the arrays ``X`` (n, p), ``names`` (p,), ``Y`` (n, E) and, optionally,
        ``cost`` (n,).
    mode : {"min", "max"}, default="min"
        Whether lower or higher values of the file are better. The losses of the table are minus the
        values for ``"max"``.

    Raises
    ------
    ValueError
        If the file is of another kind or invalid; the message names it. If the mode is neither.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if mode not in ("min", "max"):
        raise ValueError(f"mode of a table of curves must be 'min' or 'max', got {mode!r}")
    readers = {".csv": _read_csv, ".npz": _read_npz}
    if path.suffix not in readers:
        raise ValueError(f"a table of learning curves must be a .csv or .npz file, got {path}")
    try:
        table = readers[path.suffix](path)
    except OSError:
        raise
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be UTF-8 text if it is a .csv file") from None
    except Exception as error:  # noqa: BLE001 - of csv, numpy, zipfile, zlib: whatever a file causes
        why = str(error) or type(error).__name__
        raise ValueError(
            f"{path} is not a valid table of learning curves: {why}; see hpo.simulation.read_table"
        ) from None
    return table if mode == "min" else CurveTable(table.configs, -table.losses, table.cost)


SAMPLE = Path(__file__).parent / "sample" / "digits.csv"


def load_sample() -> CurveTable:
    """Load the table that ships with this package: 256 trainings of 50 epochs each.

    The curves are the validation cross-entropies of a two-layer network on scikit-learn's
    handwritten digits. The hyperparameters are the learning rate, the momentum, the number of
    hidden units and the batch size. ``tools/sample_table.py`` in the repository made the table.

    Examples
    --------
    >>> table = load_sample()
    >>> len(table), table.max_resource, sorted(table.configs[0])
    (256, 50, ['batch_size', 'hidden', 'lr', 'momentum'])
    """
    return read_table(SAMPLE)


def load_mlpf(path: str | Path | None = None) -> CurveTable:
    """Load 296 trainings of MLPF of 100 epochs each, seven hyperparameters.

    Parameters
    ----------
    path : str or Path, default=None
        Path of the file. Default: the user's cache folder, to which it is downloaded once.

    Raises
    ------
    ValueError
        If the file's checksum is not the known one.
    OSError
        If it can be neither read nor downloaded.

    References
    ----------
    Repository JP-Amboage/performance-pred, Apache License 2.0.
    """
    path = Path(path) if path is not None else _cached(MLPF_URL, "mlpf_curves.csv")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != MLPF_SHA256:
        raise ValueError(
            f"{path} is not the MLPF table (SHA-256 {found}); delete it and load it again"
        )
    return read_table(path)


def clean_rows(table: CurveTable, rise: float = 0.03, settled: int = 5) -> IntArray:  # (n_kept,)
    """Return the rows without a restart whose hyperparameters are not those of an earlier row.

    Parameters
    ----------
    table : CurveTable
    rise : float, default=0.03
        A restart is a relative increase of the loss, from one unit to the next, above this.
    settled : int, default=5
        Number of first units in which such an increase is no restart.
    """
    seen: set[tuple[Any, ...]] = set()
    rows = []
    for row, config in enumerate(table.configs):
        key = tuple(sorted(config.items()))
        losses = table.losses[row, settled:]
        if key not in seen and not np.any(np.diff(losses) > rise * np.abs(losses[:-1])):
            rows.append(row)
        seen.add(key)
    return np.array(rows, dtype=np.intp)


def _read_csv(path: Path) -> CurveTable:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows = [row for row in reader if row]
    places = {name: place for place, name in enumerate(header)}
    if len(places) < len(header):
        raise ValueError("it has two columns of one name")
    names = [f"loss_{unit}" for unit in range(sum(n.startswith("loss_") for n in header))]
    if not names or not rows or not places.keys() >= set(names):
        raise ValueError("it needs columns loss_0, loss_1, ... without a gap, and at least one row")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, its header {len(header)}")
    units = [places[name] for name in names]
    others = [n for n in header if not n.startswith("loss_") and n != "cost"]
    configs = tuple({name: _scalar(row[places[name]]) for name in others} for row in rows)
    losses = np.array([_numbers(rows, place, header[place]) for place in units]).T
    cost = _numbers(rows, places["cost"], "cost") if "cost" in places else None
    if cost is not None and not all(0 < each < np.inf for each in cost):
        raise ValueError("each cost must be above 0 and finite")
    return CurveTable(configs, losses, None if cost is None else np.array(cost))


def _numbers(rows: list[list[str]], place: int, name: str) -> list[float]:
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(float(row[place]))
        except ValueError:
            raise ValueError(
                f"{name} must be a number, got {row[place][:40]!r} in row {number}"
            ) from None
    return found


def _scalar(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _read_npz(path: Path) -> CurveTable:
    with np.load(path, allow_pickle=False) as data:
        names = [str(name) for name in data["names"]]
        configs = tuple(
            {name: float(v) for name, v in zip(names, row, strict=True)} for row in data["X"]
        )
        cost = np.asarray(data["cost"], dtype=float) if "cost" in data else None
        return CurveTable(configs, np.asarray(data["Y"], dtype=float), cost)


def _cached(url: str, name: str) -> Path:
    """Return the path of a file in the user's cache, downloaded there if it is not yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "hpo" / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - https, fixed
            part.write_bytes(response.read())
    except urllib.error.URLError as error:
        raise OSError(
            f"{url} cannot be downloaded ({error.reason}); give the file's path instead"
        ) from None
    part.replace(path)
    return path
