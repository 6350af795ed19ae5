"""A process that trains for the leader of a search (see `hpo.run.executors.shared`).

It takes one segment after the other from its folder of `hpo.run.executors.mailbox`, trains it in a
process of its own, and writes the outcome back. It goes on with a segment while its leader is
replaced by another. The process that starts it decides what to do when nobody leads
(`hpo.run.work`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from hpo.errors import AT_DEADLINE, UsageError
from hpo.files import lock_file
from hpo.run.executors import mailbox
from hpo.run.executors.pools import ProcessPool
from hpo.trainers.base import Outcome
from hpo.trainers.loading import NamedTrainer
from hpo.trainers.script import ScriptTrainer

Ending = Literal["vacant", "ended", "stopped", "removed"]
"""Why a member stops training: nobody leads, the search is over, it received a signal to stop, or
its leader has declared it lost."""

_this_version = functools.cache(mailbox.this_version)


class Member:
    """Trains segments for the leader of a search.

    Parameters
    ----------
    root : Path
        Directory of the checkpoints of the search.
    may_lead : callable
        Returns whether this process may take the lead, once it sees no leader.
    deadline : float or None, default=None
        When to stop, by `time.monotonic`. No segment is started once the time left is shorter than
        the longest segment so far.

    Attributes
    ----------
    n_trained : int
        Number of segments that were trained.
    signum : int
        Signal that stopped it; `hpo.errors.AT_DEADLINE` at the deadline.
    """

    background = True

    def __init__(
        self, root: Path, may_lead: Callable[[], bool], deadline: float | None = None
    ) -> None:
        self._root = root
        self._may_lead = may_lead
        self._folder = root / mailbox.MEMBERS
        self._deadline = deadline
        self._leader = mailbox.Watch(self._folder / mailbox.LEADER)
        self._longest = 0.0  # seconds of a segment
        self._stopped = False
        self.n_trained = 0
        self.signum = AT_DEADLINE

    def stop(self, signum: int) -> None:
        """Stop soon; safe to call from a signal handler."""
        self.signum, self._stopped = signum, True

    def leader(self) -> Mapping[str, Any]:
        """Return which process leads the search now, if it is known; empty for none.

        Its entry ``state`` is one of those of `hpo.run.executors.mailbox`. A leader that has given
        no sign of life for a while counts as one that has left.
        """
        found = self._leader.look()
        if found.get("state") != mailbox.LEADS:
            return found
        is_silent = self._leader.age > mailbox.STALE
        if self._leader.moved and not is_silent:
            return found
        left = is_silent or _has_ended(found)
        return {**found, "state": mailbox.LEFT if left else mailbox.UNKNOWN}

    def serve(self) -> Ending:
        """Train for the leader until there is none, the search is over, or `stop` is called.

        Raises
        ------
        UsageError
            If the leader runs another version of this package or of the trainer, or the trainer
            cannot be imported.
        """
        leader = self._leader.look()
        if not leader:
            return "vacant"
        _check(leader)
        trainer = mailbox.trainer_from_json(leader["trainer"])
        who = mailbox.this_process()
        label = f"{who['host']}-{who['pid']}-"
        pool = ProcessPool(1, threads=leader["threads"], log_dir=self._root, label=label)
        seat: _Seat | None = None
        ending: Ending = "stopped"
        try:
            pool.start(trainer)
            pool.check_workers(trainer, self._root)
            seat = _Seat(self._folder)
            ending = self._train(pool, seat, str(leader["id"]))
        finally:
            pool.close()
            if seat is not None:
                seat.leave(for_good=ending == "ended")
        return ending

    def _train(self, pool: ProcessPool, seat: _Seat, leader: str) -> Ending:
        future: Future[Outcome] | None = None
        changed = begun = time.monotonic()
        next_beat = 0.0
        while True:
            now = time.monotonic()
            if self._stopped or self._is_late(now, busy=future is not None):
                return "stopped"
            if now >= next_beat:
                next_beat = now + mailbox.BEAT_EVERY
                if not seat.beat():
                    return "removed"
                ending, leader = self._seen(leader, busy=future is not None)
                if ending is not None:
                    return ending
            if future is None and (task := seat.take()):
                trainer = mailbox.trainer_from_json(task["trainer"])
                segment = mailbox.segment_from_json(task["segment"])
                future = pool.submit(trainer, segment, task["timeout"])
                changed = begun = now
            elif future is not None and future.done():
                if not seat.answer(future.result()):
                    return "removed"
                future = None
                changed = now
                self._longest = max(self._longest, now - begun)
                self.n_trained += 1
            time.sleep(mailbox.pause_after(now - changed))

    def _seen(self, leader: str, *, busy: bool) -> tuple[Ending | None, str]:
        """Look at the leader: return whether to cease to train, and who it is."""
        state = self.leader()
        if state.get("state") == mailbox.ENDED:
            return "ended", leader
        if busy:
            return None, leader
        if state.get("state") != mailbox.LEADS:
            return "vacant" if self._may_lead() else None, leader
        if state["id"] != leader:
            _check(state)
        return None, str(state["id"])

    def _is_late(self, now: float, *, busy: bool) -> bool:
        """Return whether to stop: at the deadline, or where no further segment may end by then."""
        if self._deadline is None:
            return False
        return now + (0.0 if busy else self._longest) >= self._deadline


class _Seat:
    """The folder of a member, which it holds the lock of.

    Parameters
    ----------
    folder : Path
        Folder of all members.
    """

    def __init__(self, folder: Path) -> None:
        who = mailbox.this_process()
        name = f"{who['host']}-{who['pid']}-{os.urandom(4).hex()}"
        self._folder = folder / name
        self._folder.mkdir()
        lock = self._folder / mailbox.LOCK
        self._file = lock.open("ab")
        self._release = lock_file(self._file, lock)
        for file in (mailbox.TASK, mailbox.ANSWER, mailbox.BEAT):
            mailbox.write(self._folder / file, {})
        mailbox.write(self._folder / mailbox.HELLO, who)  # now it is a member
        self._beats = 0
        self._last = ""
        self._current = ""

    def beat(self) -> bool:
        """Give a sign of life; return whether the leader counts this process among its members."""
        self._beats += 1
        return self._written(mailbox.BEAT, {"beat": self._beats})

    def take(self) -> dict[str, Any]:
        """Return a task that has not been done; empty if there is none."""
        task = mailbox.read(self._folder / mailbox.TASK)
        if not task or task["id"] == self._last:
            return {}
        self._last = self._current = task["id"]
        return task

    def answer(self, outcome: Outcome) -> bool:
        """Write the outcome of the task; return as `beat`."""
        done, self._current = self._current, ""
        data = {"id": done, "outcome": mailbox.outcome_to_json(outcome)}
        return self._written(mailbox.ANSWER, data)

    def _written(self, name: str, data: Mapping[str, Any]) -> bool:
        try:
            mailbox.write(self._folder / name, data)
        except FileNotFoundError:
            return False
        return True

    def leave(self, *, for_good: bool) -> None:
        """Leave the search; tasks that are not done are left to other members."""
        if self._current:
            with contextlib.suppress(OSError):
                self._written(mailbox.ANSWER, {"id": self._current, "left": True})
        if for_good:
            shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._release()
        self._file.close()


def _has_ended(leader: Mapping[str, Any]) -> bool:
    """Return whether the leader was a process of this machine that has ended."""
    if leader["host"] != mailbox.this_process()["host"] or os.name == "nt":
        return False
    try:
        os.kill(int(leader["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _check(leader: Mapping[str, Any]) -> None:
    """Check that this process may train for a leader.

    Raises
    ------
    UsageError
        If it is of another version, or has another trainer.
    """
    whose = f"the leading process (process {leader['pid']} on {leader['host']})"
    mine = _this_version()
    if mine["python"] != leader["python"]:
        raise UsageError(
            f"this process must run Python {leader['python']} as {whose} does, got "
            f"{mine['python']}; start it in the same environment"
        )
    if mine["digest"] != leader["digest"]:
        raise UsageError(
            f"this process must have hpo of source {leader['digest']} as {whose} has, got "
            f"{mine['digest']}; start it in the same environment, or install the same version"
        )
    trainer = mailbox.trainer_from_json(leader["trainer"])
    if isinstance(trainer, NamedTrainer | ScriptTrainer):
        theirs, ours = leader["trainer"]["fingerprint"], trainer.fingerprint()
        if theirs != ours:
            file = "of the script"
            if isinstance(trainer, NamedTrainer):
                file = trainer.name.rpartition(":")[0]
            raise UsageError(
                f"trainer file {file} must be the one that {whose} has read, of SHA-256 "
                f"{theirs[:12]}, got {ours[:12] or 'none'}; restore it, or stop all processes of "
                "the search and start them again"
            )
