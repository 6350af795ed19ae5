"""Several processes, one search: a pool whose workers are processes that join it by themselves.

One process leads the search: it holds the lock of the journal, decides, and trains as well. Any
number of others train for it (`hpo.run.executors.member`). They meet in a folder beside the
checkpoints (`hpo.run.executors.mailbox`), so they need a file system that all of them see, and
neither a port nor a network. Any of them may be killed at any moment:

- A member that is killed loses the segment that it trained, which another one goes on with.
- A leader that is killed loses the lock. Another process takes the lead by resuming the journal
  (`hpo.run.work`), and takes over the members with the segments that they are training.

That no two processes train a trial at the same time is ensured by the lock of the trial
(`hpo.run.executors.attempts`), independent of which process leads.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.run.executors import mailbox
from hpo.run.executors.pools import ProcessPool, WorkerPool
from hpo.trainers.base import Outcome, Segment, Trainer, failed_call

_log = logging.getLogger(__name__)

_IDENTITY = "run.json"
_WHAT = ("checkpoint", "start", "stop", "config", "fresh")


@dataclass(eq=False)
class _Task:
    trainer: Trainer
    segment: Segment
    timeout: float | None
    future: Future[Outcome] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    waited: float = 0.0  # seconds until it was handed out
    identifier: str = field(default_factory=lambda: secrets.token_hex(8))

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.identifier,
            "trainer": mailbox.trainer_to_json(self.trainer),
            "segment": mailbox.segment_to_json(self.segment),
            "timeout": self.timeout,
        }


@dataclass
class _Seat:
    """A member, as the leader sees it."""

    folder: Path
    who: Mapping[str, Any]
    watch: mailbox.Watch
    busy: str = ""  # identifier of the task that it has; empty for none
    training: str = ""  # of a task that an earlier leader gave it: what it trains
    task: _Task | None = None  # None: of an earlier leader, and not asked for by this one

    def answer(self) -> dict[str, Any]:
        """Return the answer to its task; empty if there is none yet."""
        answer = mailbox.read(self.folder / mailbox.ANSWER) if self.busy else {}
        return answer if answer.get("id") == self.busy else {}


class SharedPool(WorkerPool):
    """A worker process of this one, and the members that have joined.

    Segments wait here until there is a member for them, so that one that joins gets work at once.

    Parameters
    ----------
    n_workers : int
        Maximum number of segments that run at the same time.
    root : Path
        Directory of the checkpoints.
    threads : int, default=1
        Number of threads of numerical libraries in each worker.
    patience : float, default=60.0
        Seconds without a sign of life after which a member is taken for lost although it holds its
        lock, as that of a machine that has lost its network.
    """

    def __init__(
        self, n_workers: int, root: Path, *, threads: int = 1, patience: float = 60.0
    ) -> None:
        self.n_workers = n_workers
        self._root = root
        self._folder = root / mailbox.MEMBERS
        self._patience = patience
        who = mailbox.this_process()
        self._local = ProcessPool(
            1, threads=threads, log_dir=root, label=f"{who['host']}-{who['pid']}-"
        )
        self._me = {**who, "id": secrets.token_hex(8), "threads": threads}
        self._state, self._beats = mailbox.LEADS, 0
        self._trainer: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._queue: deque[_Task] = deque()
        self._n_tasks = 0
        self._seats: dict[str, _Seat] = {}
        self._next_look = 0.0
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, trainer: Trainer) -> None:
        """Start the worker process, and take over the members of a run that is resumed.

        Raises
        ------
        UsageError
            If the trainer has no name.
        """
        self._trainer = mailbox.trainer_to_json(trainer)
        self._local.start(trainer)
        if (self._root / _IDENTITY).exists():  # nothing is written before a new run is
            self._begin()

    def check_workers(self, trainer: Trainer, root: Path) -> None:
        """Wait until the worker process of this one has imported the trainer."""
        self._local.check_workers(trainer, root)

    @property
    def free(self) -> int:
        """Number of segments that can be started now, at once or when a member has joined."""
        return max(0, self.n_workers - self._n_tasks)

    @property
    def n_waiting(self) -> int:
        """Number of segments that wait for an idle member."""
        return len(self._queue)

    def submit(self, trainer: Trainer, segment: Segment, timeout: float | None) -> Future[Outcome]:
        """Start a segment, here or on a member; it waits until one is idle."""
        task = _Task(trainer, segment, timeout)
        with self._lock:
            self._trainer = self._trainer or mailbox.trainer_to_json(trainer)
            self._n_tasks += 1
            self._queue.append(task)
        self._begin()
        self._turn()
        self._wake.set()
        return task.future

    def _begin(self) -> None:
        """Announce this leader, and find the members."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._me |= mailbox.this_version()
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._turn()
                self._thread.start()

    def _watch(self) -> None:
        """Look after the members until the pool is closed."""
        changed = time.monotonic()
        while not self._closed:
            if self._wake.wait(mailbox.pause_after(time.monotonic() - changed)):
                self._wake.clear()
                changed = time.monotonic()
            if self._turn():
                changed = time.monotonic()

    def _turn(self) -> int:
        """Collect outcomes and hand out segments; return the number of outcomes."""
        done: list[tuple[_Task, Outcome]] = []
        with self._lock:
            if self._closed:
                return 0
            try:
                if time.monotonic() >= self._next_look:
                    done += self._look()
                    self._next_look = time.monotonic() + mailbox.BEAT_EVERY
                for seat in self._seats.values():
                    if answer := seat.answer():
                        done += self._answered(seat, answer)
                self._assign()
            except Exception as error:  # noqa: BLE001 - the run would wait for this thread for ever
                done += [(task, failed_call(error)) for task in self._queue]
                self._queue.clear()
            self._n_tasks -= len(done)
        for task, outcome in done:
            task.future.set_result(replace(outcome, waited=task.waited))
        return len(done)

    def _announce(self) -> None:
        self._beats += 1
        state = {"state": self._state, "beat": self._beats, "trainer": self._trainer}
        self._folder.mkdir(parents=True, exist_ok=True)
        mailbox.write(self._folder / mailbox.LEADER, {**self._me, **state})

    def _look(self) -> list[tuple[_Task, Outcome]]:
        """Give a sign of life, and see who has joined and who is gone."""
        self._announce()
        for folder in self._folder.iterdir():
            if folder.name in self._seats or folder.name.startswith("."):
                continue
            if who := mailbox.read(folder / mailbox.HELLO):
                self._seats[folder.name] = seat = _Seat(
                    folder, who, mailbox.Watch(folder / mailbox.BEAT)
                )
                task = mailbox.read(folder / mailbox.TASK)  # of an earlier leader
                if task and mailbox.read(folder / mailbox.ANSWER).get("id") != task["id"]:
                    seat.busy, seat.training = task["id"], _what(task["segment"])
        done: list[tuple[_Task, Outcome]] = []
        for name, seat in list(self._seats.items()):
            seat.watch.look()
            if not mailbox.is_held(seat.folder / mailbox.LOCK):
                how = "has ended"
            elif seat.watch.age > self._patience:
                how = f"has given no sign of life for {self._patience:g} s"
            else:
                continue
            del self._seats[name]
            done += self._gone(seat, how)
            shutil.rmtree(seat.folder, ignore_errors=True)
        return done

    def _gone(self, seat: _Seat, how: str) -> list[tuple[_Task, Outcome]]:
        """Return the outcome of the segment of a member that is gone."""
        if answer := seat.answer():
            return self._answered(seat, answer)
        if seat.task is None:
            return []
        reason = f"process {seat.who.get('pid')} on {seat.who.get('host')} {how}"
        _log.warning("%s while it trained; its segment is lost", reason)
        return [(seat.task, Outcome(reason=reason, cause="lost"))]

    def _answered(self, seat: _Seat, answer: Mapping[str, Any]) -> list[tuple[_Task, Outcome]]:
        """Make a member idle; return the outcome of its task."""
        task, seat.task, seat.busy, seat.training = seat.task, None, "", ""
        if task is None:  # nobody asks for it; the next attempt finds it with the trial
            return []
        if answer.get("left"):  # cleanly
            self._queue.appendleft(task)
            return []
        try:
            return [(task, mailbox.outcome_from_json(answer["outcome"]))]
        except (KeyError, TypeError, ValueError) as error:
            return [(task, failed_call(error))]

    def _assign(self) -> None:
        """Hand out the segments that wait."""
        for task in list(self._queue):
            task.waited = time.monotonic() - task.since
            if self._adopted(task) or self._started(task):
                self._queue.remove(task)

    def _adopted(self, task: _Task) -> bool:
        """Return whether a member trains this segment already, for an earlier leader."""
        orphans = [seat for seat in self._seats.values() if seat.training]
        if orphans:
            what = _what(mailbox.segment_to_json(task.segment))
            for seat in orphans:
                if seat.training == what:
                    seat.task, seat.training = task, ""
                    return True
        return False

    def _started(self, task: _Task) -> bool:
        if self._local.free:
            future = self._local.submit(task.trainer, task.segment, task.timeout)
            future.add_done_callback(lambda done: self._trained(task, done.result()))
            return True
        for seat in self._seats.values():
            if not seat.busy:
                with contextlib.suppress(FileNotFoundError):  # its folder was removed by hand
                    mailbox.write(seat.folder / mailbox.TASK, task.to_json())
                    seat.busy, seat.task = task.identifier, task
                    return True
        return False

    def _trained(self, task: _Task, outcome: Outcome) -> None:
        """Take the outcome of the worker process (in a thread of its pool)."""
        with self._lock:
            self._n_tasks -= 1
        task.future.set_result(replace(outcome, waited=task.waited))
        self._wake.set()

    def end(self) -> None:
        """Tell the members that the search is over, so that none of them takes the lead."""
        self._state = mailbox.ENDED

    def close(self) -> None:
        """End the worker process and give up the lead; members continue their training."""
        with self._lock:
            self._closed = True
            if self._thread is not None:
                if self._state != mailbox.ENDED:
                    self._state = mailbox.LEFT
                with contextlib.suppress(OSError):
                    self._announce()
                    if self._state == mailbox.ENDED:
                        self._clear()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._local.close()

    def _clear(self) -> None:
        """Remove the folders of members that were killed; the others remove theirs."""
        for folder in self._folder.iterdir():
            if folder.is_dir() and not mailbox.is_held(folder / mailbox.LOCK):
                shutil.rmtree(folder, ignore_errors=True)


def _what(segment: Mapping[str, Any]) -> str:
    """Return what is the same in two requests to train the same segment."""
    return json.dumps({name: segment[name] for name in _WHAT}, sort_keys=True)
