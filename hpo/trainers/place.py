"""The place where a segment is trained: host, process, worker and device, for status reports.

A worker writes its place beside the checkpoint when it starts a segment, so that it can be shown
while the segment runs (``hpo status``), and returns it with the outcome, for the journal.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "segment.json"
"""Name of the file beside the checkpoint."""

_DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
)
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")


def here() -> dict[str, Any]:
    """Return where this process runs, and the time, as plain values.

    Returns
    -------
    dict
        ``host``, ``pid`` and ``started`` (seconds since the epoch); ``worker`` (Dask's name, the
        rank under MPI, or the name of the process) and ``device`` where there is one.
    """
    place: dict[str, Any] = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": round(time.time(), 3),
    }
    if worker := _worker():
        place["worker"] = worker
    device = next((os.environ[name] for name in _DEVICES if os.environ.get(name)), "")
    if device:
        place["device"] = device
    return place


def ended(place: Mapping[str, Any]) -> dict[str, Any]:
    """Return a place with the time at which its segment ended, ``ended``."""
    return {**place, "ended": round(time.time(), 3)}


def _worker() -> str:
    if "distributed.worker" in sys.modules:
        with contextlib.suppress(Exception):  # not in a worker of Dask
            return str(sys.modules["distributed.worker"].get_worker().name)
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), None)
    if rank is not None:
        return f"rank {rank}"
    name = multiprocessing.current_process().name
    return "" if name == "MainProcess" else name


def write_place(folder: Path, place: Mapping[str, Any], start: int, stop: int) -> None:
    """Write where a segment is trained into the directory of its trial, if that is possible.

    Parameters
    ----------
    folder : Path
        Directory of the trial, which exists.
    place : Mapping
        From `here`.
    start, stop : int
        Units of the segment.
    """
    data = json.dumps({**place, "start": start, "stop": stop})
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):  # for display only
        temporary.write_text(data, encoding="utf-8")
        temporary.replace(folder / FILE)
