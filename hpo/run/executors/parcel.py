"""Opening a call on a worker that somebody else has started.

Such a worker may run another Python, another version of this package or none, and may not see our
files. Dask ends a worker that cannot unpickle a call, without a word to who sent it. So a call is
sent as a `dict` of text and bytes, and the text of this module with it: it needs the standard
library only, checks the worker once, and unpickles the call only then.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

OPEN = (
    "(lambda modules: modules.get(name) or (lambda module: exec(source, module.__dict__) or "
    "modules.setdefault(name, module))(type(modules['sys'])(name)))(__import__('sys').modules)"
    ".deliver(parcel)"
)
"""What a worker evaluates with ``name``, ``source`` and ``parcel`` as global variables."""

_lock = threading.Lock()
_problems: dict[str, dict[str, str]] = {}  # of each question, found once in a process


def digest_of(package: str) -> str:
    """Return a digest of the source of a package.

    Parameters
    ----------
    package : str
        Its directory.
    """
    found = hashlib.sha256()
    for file in sorted(Path(package).rglob("*.py")):
        found.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:12]


def deliver(parcel: dict[str, Any]) -> tuple[str, Any]:
    """Check this worker, then run a call.

    Parameters
    ----------
    parcel : dict
        ``question`` (see `_problem`), ``call`` (pickled; empty for none) and ``pause`` (seconds to
        wait after the check, so that calls sent at the same time reach different workers).

    Returns
    -------
    (str, object)
        ``("done", result)``, or ``("refused", {"worker": ..., "problem": ..., ...})``.
    """
    question = parcel["question"]
    with _lock:
        if question["id"] not in _problems:
            _problems[question["id"]] = _problem(question)
            _ignore(question["signals"])
        problem = _problems[question["id"]]
    if problem:
        return "refused", {**_who(), **problem}
    time.sleep(parcel["pause"])
    if not parcel["call"]:
        return "done", _who()
    try:
        call = pickle.loads(parcel["call"])  # noqa: S301 - sent by the leading process
    except Exception as error:  # noqa: BLE001 - whatever an import raises
        return "refused", {**_who(), **_no_trainer(error)}
    return "done", call()


def _who() -> dict[str, str]:
    """Say which worker this is."""
    who = {"host": socket.gethostname(), "pid": str(os.getpid()), "name": ""}
    with contextlib.suppress(Exception):  # no Dask, or not one of its tasks
        who["name"] = str(sys.modules["distributed"].get_worker().address)
    with contextlib.suppress(Exception):  # no MPI
        who["name"] = f"rank {sys.modules['mpi4py.MPI'].COMM_WORLD.Get_rank()}"
    return who


def _ignore(names: list[str]) -> None:
    """Ignore the signals that a batch system sends to all processes; the leading one stops."""
    with contextlib.suppress(ValueError):  # only the main thread may
        for name in names:
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _problem(question: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with this worker (rule, value and remedy); empty if nothing is."""
    return (
        _python_problem(question)
        or _package_problem(question)
        or _place_problem(question)
        or _trainer_problem(question)
    )


def _python_problem(question: dict[str, Any]) -> dict[str, str]:
    here = platform.python_version()
    if here.split(".")[:2] == question["python"].split(".")[:2]:
        return {}
    return {
        "rule": f"must run Python {question['python']} as the leading process does",
        "value": f"{here} ({sys.executable})",
        "remedy": "start it in the same environment",
    }


def _package_problem(question: dict[str, Any]) -> dict[str, str]:
    rule = f"must have hpo of source {question['digest']} as the leading process has"
    remedy = "install the same version there, or start the worker in the same environment"
    try:
        import hpo

        place = str(Path(str(hpo.__file__)).parent)
        value = "" if (digest := digest_of(place)) == question["digest"] else f"{digest} in {place}"
    except Exception as error:  # noqa: BLE001 - whatever an import raises
        value = f"none ({type(error).__name__}: {error}; {sys.executable})"
    return {"rule": rule, "value": value, "remedy": remedy} if value else {}


def _place_problem(question: dict[str, Any]) -> dict[str, str]:
    """Read the leader's file and write one back."""
    if not question["place"]:
        return {}
    place = Path(question["place"])
    value = ""
    try:
        if not place.is_dir():
            value = "no such folder"
        elif question["token"] and (place / "leader").read_text() != question["token"]:
            value = "a folder of another file system"
        else:
            handle, name = tempfile.mkstemp(prefix=".worker-", dir=place)
            os.write(handle, question["token"].encode())
            os.close(handle)
            if not question["token"]:
                Path(name).unlink()
    except OSError as error:
        value = f"{type(error).__name__}: {error.strerror}"
    if not value:
        return {}
    return {
        "rule": f"must read and write the folder of the checkpoints, {place}",
        "value": value,
        "remedy": "name a folder on a file system that all machines share (journal, checkpoint_dir)"
        ", and let the worker run as the same user",
    }


def _trainer_problem(question: dict[str, Any]) -> dict[str, str]:
    if not question["trainer"]:
        return {}
    try:
        trainer = pickle.loads(question["trainer"])  # noqa: S301 - sent by the leading process
        if type(trainer).__module__ in ("hpo.trainers.loading", "hpo.trainers.sending"):
            trainer.load()
    except Exception as error:  # noqa: BLE001 - whatever an import raises
        return _no_trainer(error)
    return {}


def _no_trainer(error: Exception) -> dict[str, str]:
    return {
        "rule": "must be able to import the trainer",
        "value": " ".join(f"{type(error).__name__}: {error}".split())[:300],
        "remedy": "put its file and what it imports where the worker finds them",
    }
