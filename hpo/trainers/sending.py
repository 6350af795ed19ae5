"""Trainers on their way to other processes: the name of their code, or the code itself.

Pickle sends a function or a class as the name of its module and its own name, and the other process
imports the module. Some code is in no module that can be imported: that of a notebook, of
``python -c``, of standard input or of an interactive session; a lambda; a function within a
function. Such a trainer is sent *by value*, with the values of the global names that it uses, by
cloudpickle, which is not among the dependencies of the core.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib
import io
import pickle
import sys
import threading
import types
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import TrainerError
from hpo.trainers.base import Result, Trainer, describe
from hpo.trainers.loading import NamedTrainer
from hpo.trial import Config

_REMEDY = "define it at the top of a file and pass 'FILE.py:name', or use executor='inline'"
_NO_FILE = "<dynamic-code>"
"""What cloudpickle gives as the file of all code, so that equal code has equal pickles."""

_loading = threading.RLock()
_loaded: dict[str, Trainer] = {}  # the last trainer that came by value, by its digest


@dataclass(frozen=True)
class SentTrainer:
    """A trainer, pickled.

    One that is sent by value is loaded once in each process, so that what it keeps in its global
    names or attributes lives from one segment to the next; another one is loaded for each segment.

    Parameters
    ----------
    digest : str
        SHA-256 of its pickle if it is sent by value, else empty.
    data : bytes
        The pickle; empty in a reminder to a process that has loaded it.
    original : Trainer or None, default=None
        The trainer itself, in the process that sends it.
    """

    digest: str
    data: bytes = field(repr=False, compare=False)
    original: Trainer | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[SentTrainer], tuple[str, bytes]]:
        """Leave the original behind."""
        return SentTrainer, (self.digest, self.data)

    def reminder(self) -> SentTrainer:
        """Return what is sent to a process that has the trainer already."""
        return SentTrainer(self.digest, b"") if self.digest else self

    def load(self) -> Trainer:
        """Return the trainer.

        Raises
        ------
        TrainerError
            If this process cannot load it.
        """
        with _loading:  # segments may run in several threads of a worker
            if self.digest in _loaded:
                return _loaded[self.digest]
            try:
                trainer: Trainer = pickle.loads(self.data)  # noqa: S301 - from the leading process
            except Exception as error:  # noqa: BLE001 - whatever its modules raise
                raise TrainerError(
                    f"trainer cannot be loaded in a worker process ({describe(error)}); {_REMEDY}"
                ) from None
            if self.digest:
                _loaded.clear()
                _loaded[self.digest] = trainer
            return trainer

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Load the trainer and call it."""
        return self.load().train(config, start, stop, checkpoint)


def sendable(trainer: Trainer, *, checked: bool) -> Trainer:
    """Return the object that is sent to other processes for a trainer.

    Parameters
    ----------
    trainer : Trainer
    checked : bool
        Whether the processes are our own: they load the trainer before a run begins. Others get a
        trainer that pickle can send as it is, as they have ways of their own to send code.

    Raises
    ------
    TrainerError
        If it cannot be sent.
    """
    if isinstance(trainer, NamedTrainer | SentTrainer):
        return trainer
    try:
        data = pickle.dumps(trainer)
    except Exception as error:  # noqa: BLE001 - pickle raises whatever the object does
        return _by_value(trainer, describe(error))
    if b"__main__" in data and not main_is_script():
        return _by_value(trainer, "its code is in no file that they could import")
    return SentTrainer("", data, trainer) if checked else trainer


def _by_value(trainer: Trainer, why: str) -> SentTrainer:
    cloudpickle: Any = None
    with contextlib.suppress(ImportError):
        cloudpickle = importlib.import_module("cloudpickle")
    if cloudpickle is None:
        raise TrainerError(
            f"trainer cannot be sent to worker processes ({why}); pip install cloudpickle, which "
            f"sends such code; {_REMEDY}"
        )
    try:
        data = _dumped(cloudpickle, trainer)
    except Exception as error:
        raise TrainerError(
            f"trainer cannot be sent to worker processes ({describe(error)}); {_REMEDY}"
        ) from error
    return SentTrainer(hashlib.sha256(data).hexdigest(), data, trainer)


def _dumped(cloudpickle: Any, trainer: Trainer) -> bytes:
    """Pickle a trainer by value; its code keeps the names of its files, which errors name."""
    reduced = cloudpickle.Pickler.dispatch_table

    def code(value: types.CodeType) -> tuple[Any, tuple[Any, ...]]:
        build, arguments = reduced[types.CodeType](value)
        return build, tuple(
            value.co_filename if isinstance(each, str) and each == _NO_FILE else each
            for each in arguments
        )

    buffer = io.BytesIO()
    table = {"dispatch_table": ChainMap({types.CodeType: code}, reduced)}
    type("Pickler", (cloudpickle.Pickler,), table)(buffer).dump(trainer)
    return buffer.getvalue()


def main_is_script() -> bool:
    """Return whether another process can import what is in ``__main__`` here.

    It cannot if this is a notebook or another interactive session, ``python -c``, or a program from
    standard input.
    """
    main = sys.modules["__main__"]
    if hasattr(builtins, "__IPYTHON__") or hasattr(sys, "ps1"):
        return False
    if getattr(main, "__spec__", None) is not None:  # python -m
        return True
    file = getattr(main, "__file__", None)
    return file is not None and Path(file).is_file()


@contextlib.contextmanager
def main_left_alone() -> Iterator[None]:
    """Keep processes that are started here from importing a ``__main__`` that is no script.

    The standard library tells them to run its file, such as ``<stdin>``.
    """
    main: Any = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or main_is_script():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file
