"""The handshake with the workers of Dask, MPI and Ray: checked before anything is written.

Each worker has to run the same Python and the same version of this package, to see the folder of
the checkpoints, and to import the trainer. `hpo.run.executors.parcel` is what it runs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import pickle
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import TrainerError, UsageError
from hpo.run.executors import parcel
from hpo.run.executors.signals import GROUP_SIGNALS
from hpo.trainers.base import Trainer

_log = logging.getLogger(__name__)

Reply = tuple[str, Any]
Pickle = Callable[[Any], bytes]
"""Pickles a call; Dask and Ray bring one that takes functions of a notebook along."""

Ask = Callable[["Question"], tuple[Sequence[Reply], Sequence[str]]]
"""Sends a question to workers; returns their replies, and who has not answered in time."""

_SEE_EVERY = 0.05


@functools.cache
def _source() -> tuple[str, str]:
    """Return the text that a worker runs, and the name of the module that it becomes there."""
    source = inspect.getsource(parcel)
    return source, f"_hpo_parcel_{parcel.digest_of(str(Path(__file__).parents[2]))}"


@dataclass(frozen=True)
class Question:
    """What a worker is asked before it trains.

    Attributes
    ----------
    place : str, default=""
        Folder that it has to read and write; empty for none.
    token : str, default=""
        Content of the leader's file there; empty if there is none.
    trainer : bytes, default=b''
        Pickled trainer that it has to import; empty for none.
    identifier : str
        A worker answers each question once.
    """

    place: str = ""
    token: str = ""
    trainer: bytes = b""
    identifier: str = field(default_factory=lambda: secrets.token_hex(8))

    def parcel(self, call: bytes = b"", pause: float = 0.0) -> tuple[str, dict[str, Any]]:
        """Return the arguments of `eval` by which a worker answers, and then runs a call."""
        source, name = _source()
        question = {
            "id": self.identifier,
            "python": platform.python_version(),
            "digest": name.rpartition("_")[2],
            "place": self.place,
            "token": self.token,
            "trainer": self.trainer,
            "signals": [each.name for each in GROUP_SIGNALS],
        }
        content = {"question": question, "call": call, "pause": pause}
        return parcel.OPEN, {"name": name, "source": source, "parcel": content}


def refusal(reply: Mapping[str, str], executor: str) -> str:
    """Return the problem of a worker that has refused a call, as one line of text."""
    name = f"{reply['name']} " if reply["name"] else ""
    return (
        f"{executor} worker {name}(host {reply['host']}, process {reply['pid']}) {reply['rule']}, "
        f"got {reply['value']}; {reply['remedy']}"
    )


def raise_refused(refused: Sequence[Mapping[str, str]], executor: str) -> None:
    """Raise the error of the first worker that refused, if there is one.

    Raises
    ------
    TrainerError
        If it cannot import the trainer.
    UsageError
        If it cannot be used for another reason.
    """
    if not refused:
        return
    first = min(refused, key=lambda reply: (reply["name"], reply["host"], reply["pid"]))
    others = f" (and {len(refused) - 1} other workers)" if len(refused) > 1 else ""
    kind = TrainerError if "trainer" in first["rule"] else UsageError
    raise kind(refusal(first, executor) + others)


@contextlib.contextmanager
def handshake(
    trainer: bytes, root: Path, patience: float
) -> Iterator[tuple[Question, Callable[[int], None]]]:
    """Give the question of a handshake, and a function that looks for the workers' files.

    Parameters
    ----------
    trainer : bytes
        Pickled trainer.
    root : Path
        Folder of the checkpoints; where there is none yet, the folder that it will lie in.
    patience : float
        Seconds to wait for the files that workers on other machines have written.

    Raises
    ------
    UsageError
        If the folder cannot be written here, or does not show the workers' files in time.
    """
    place = root.absolute()
    while not place.is_dir():
        place = place.parent
    try:
        folder = tempfile.TemporaryDirectory(prefix=".hpo-handshake-", dir=place)
    except OSError as error:
        raise UsageError(
            f"checkpoint_dir {root} cannot be written: {error.strerror}; name another"
        ) from None
    with folder as name:
        Path(name).chmod(0o777 & ~_umask())
        question = Question(name, secrets.token_hex(8), trainer)
        (Path(name) / "leader").write_text(question.token)

        def look(n_workers: int) -> None:
            end = time.monotonic() + patience
            while (seen := len(list(Path(name).glob(".worker-*")))) < n_workers:
                if time.monotonic() > end:
                    raise UsageError(
                        f"the files of {n_workers} workers must show in {place}, got {seen} after "
                        f"{patience:g} s; name a folder on a file system that all machines share"
                    )
                time.sleep(_SEE_EVERY)

        yield question, look


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Greeter:
    """What a connection to a cluster asks of its workers, at first and with each call.

    Parameters
    ----------
    executor : str
        Name of the executor, for messages.
    patience : float
        Seconds to wait for answers.
    pickled : callable
        Pickles calls.
    """

    def __init__(self, executor: str, patience: float, pickled: Pickle = pickle.dumps) -> None:
        self.executor = executor
        self.patience = patience
        self.pickled = pickled
        self._question = Question()

    def parcel(self, work: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
        """Return the arguments of `eval` by which a worker runs a call."""
        return self._question.parcel(self.pickled(work))

    def greet(self, trainer: Trainer, root: Path, ask: Ask) -> None:
        """Check the workers, and raise an error or warn for each problem.

        Parameters
        ----------
        trainer : Trainer
            Trainer of the run.
        root : Path
            Folder of the checkpoints.
        ask : callable
            Sends a question to the workers; returns their replies and who has not answered.

        Raises
        ------
        TrainerError
            If a worker cannot import the trainer.
        UsageError
            If a worker cannot be used, or none answers.
        """
        pickled = self.pickled(trainer)
        with handshake(pickled, root, self.patience) as (question, look):
            replies, unanswered = ask(question)
            raise_refused([value for kind, value in replies if kind == "refused"], self.executor)
            self._complain(unanswered, len(replies))
            look(len(replies))
        self._question = Question(str(root.absolute()), "", pickled)

    def _complain(self, unanswered: Sequence[str], answered: int) -> None:
        """Raise an error for workers that have not answered, or warn if others have."""
        if not unanswered:
            return
        names = ", ".join(unanswered[:3]) + (", ..." if len(unanswered) > 3 else "")
        text = (
            f"{self.executor} workers must answer within patience={self.patience:g} s, got no "
            f"answer of {names}"
        )
        if not answered:
            raise UsageError(
                f"{text}; they are busy with other work, or hang: look at their logs, or give "
                "--executor-option patience=SECONDS"
            )
        _log.warning("%s; they will be checked with their first call", text)
