"""Several processes for one search: one leads it, all others train for it.

Any number of processes call `work` with the same journal, on one machine or on many that see the
same file system. Which one leads is decided by the lock of the journal. If the leader stops or is
killed, another one resumes the journal and takes over the members with their running segments.

Two processes never lead at the same time: a process waits until the leader gives no sign of life,
takes the lock of the lead (`hpo.run.executors.mailbox`), and opens the journal, whose lock decides.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hpo.errors import (
    AT_DEADLINE,
    InterruptedRunError,
    JournalInUseError,
    MachineError,
    UsageError,
)
from hpo.files import lock_file
from hpo.run.checkpoints import default_directory
from hpo.run.deadline import Moment, seconds_until
from hpo.run.executors import mailbox
from hpo.run.executors.member import Member
from hpo.run.interrupts import signals_stop
from hpo.run.journal import read_header, read_journal
from hpo.run.limits import Limits, limits_of
from hpo.run.locking import locked_journal
from hpo.run.recorder import leader_of
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.trainers.failures import describe
from hpo.trainers.faults import machine_fault

_NO_LEADER = 30.0
"""Seconds to wait for a leader that takes members, while the journal is in use."""
_MOMENT = 0.1

_OF_SESSION = (
    *("fingerprint", "executor", "executor_options", "n_workers"),
    *("max_retries", "timeout", "predict_timeout", "max_lost"),
)
"""Settings of a run that may differ from session to session."""


@dataclass(frozen=True)
class Contribution:
    """The contribution of one process to a search.

    Attributes
    ----------
    results : Results or None
        Results of the search if this process led it at its end, else None.
    n_trained : int
        Number of segments that it trained as a member, for another leader.
    """

    results: Results | None
    n_trained: int


def work(
    journal: Path,
    spec: RunSpec | None = None,
    *,
    deadline: Moment | None = None,
    limits: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> Contribution:
    """Join the search of a journal: train for its leader, or lead it if no process does.

    Parameters
    ----------
    journal : Path
        Journal of the search.
    spec : RunSpec, optional
        Settings of the search. If the journal does not exist, the search is started; otherwise it
        must be the same search. If None, the journal must exist.
    deadline : float, timedelta, datetime, str or None, default=None
        When this process stops cleanly (see `hpo.run.deadline.seconds_until`).
    limits : Mapping, optional
        Limits of `Tuner.run` by name, which apply while this process leads. If one is reached, the
        search ends for all processes. The limits of an earlier leader apply unless others are
        given. ``max_time`` counts from the start of this process.
    say : callable, optional
        Function that is called with lines of text about what this process does.
    **settings
        Further parameters of `Tuner`, which apply while this process leads.

    Returns
    -------
    Contribution

    Raises
    ------
    UsageError
        If the journal is of another search, this process is of another version than the leader, or
        the leader takes no members.
    InterruptedRunError
        At the deadline, or if this process is stopped by a signal. Another one continues its work.
    MachineError, ExecutorBrokenError
        As `Tuner.run`, while this process leads.
    """
    journal = Path(journal)
    given = _Given(settings, dict(limits or {}), deadline)
    if spec is not None:
        tuner = Tuner.from_spec(spec, journal=journal, deadline=deadline, **settings)
        if not journal.exists():
            try:
                return Contribution(tuner.run(**given.limits), 0)
            except UsageError:
                if not journal.exists():  # else another process was quicker
                    raise
        _check_same(journal, tuner.spec or spec)
    given.settings |= _of_session(journal, spec)
    lead = _Lead(journal, _place(journal, settings.get("checkpoint_dir")))
    member = Member(lead.root, lead.take, given.end)
    try:
        while (done := _turn(journal, lead, member, given, say)) is None:
            pass
    except OSError as error:
        remedy = machine_fault(error)
        if not remedy:
            raise
        raise MachineError(f"{describe(error)}; {remedy} and start this process again") from error
    finally:
        lead.leave()
    return done


class _Given:
    """What a process was given for the time in which it leads.

    Parameters
    ----------
    settings : dict
        Parameters of `Tuner`.
    limits : dict
        Parameters of `Tuner.run`.
    deadline : Moment or None
        When the process stops.

    Attributes
    ----------
    end : float or None
        The deadline, by `time.monotonic`.
    """

    def __init__(
        self, settings: dict[str, Any], limits: dict[str, Any], deadline: Moment | None
    ) -> None:
        self.settings = settings
        self.limits = limits
        now = time.monotonic()
        self.end = None if deadline is None else now + seconds_until(deadline)
        self._limit = now + Limits(**limits).seconds

    def now(self, journal: Path) -> dict[str, Any]:
        """Return the parameters of `Tuner.resume`.

        Raises
        ------
        InterruptedRunError
            If the deadline is over.
        """
        now = time.monotonic()
        if self.end is not None and self.end <= now:
            raise InterruptedRunError(AT_DEADLINE, journal)
        left = None if self.end is None else self.end - now
        time_left = None if self._limit == math.inf else max(_MOMENT, self._limit - now)
        kept = limits_of(read_journal(journal).notes())  # of an earlier leader
        given = {name: value for name, value in self.limits.items() if value is not None}
        times = {"deadline": left, "max_time": time_left}
        return {**self.settings, **kept, **given, **times}


def _turn(
    journal: Path, lead: _Lead, member: Member, given: _Given, say: Callable[[str], None]
) -> Contribution | None:
    """Lead the search or train for its leader; return None if the lead may be free then."""
    if lead.take_from(member):
        say("This process leads the search")
        with contextlib.suppress(JournalInUseError):  # another one was quicker
            return Contribution(Tuner.resume(journal, **given.now(journal)), member.n_trained)
    lead.leave()
    leader = _found(member, lead, journal)
    if leader.get("state") == mailbox.LEADS:
        say(f"This process trains for process {leader['pid']} on {leader['host']}")
        with signals_stop(member):
            ending = member.serve()
        if ending == "ended":
            return Contribution(None, member.n_trained)
        if ending == "stopped":
            raise InterruptedRunError(member.signum, journal)
    return None


def _found(member: Member, lead: _Lead, journal: Path) -> Mapping[str, Any]:
    """Wait until there is a leader, or this process may lead; return what is known of the leader.

    Raises
    ------
    UsageError
        If somebody leads who takes no members.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < _NO_LEADER:
        time.sleep(_MOMENT + os.getpid() % 50 / 1000)  # not all at once
        leader = member.leader()
        state = leader.get("state")
        if state == mailbox.LEADS or (state != mailbox.UNKNOWN and lead.take()):
            return leader
    last = leader_of(read_journal(journal).notes())
    who = f"process {last.get('pid')} on {last.get('host')}, executor {last.get('executor')!r}"
    raise UsageError(
        f"journal {journal} must be led by a process that takes members, got none for "
        f"{_NO_LEADER:g} s although it is in use ({who}); stop that process and start it again "
        "with --executor shared"
    )


class _Lead:
    """The right to take the lead, which one process at most has.

    Parameters
    ----------
    journal : Path
    root : Path
        Directory of the checkpoints.
    """

    def __init__(self, journal: Path, root: Path) -> None:
        self._journal = journal
        self.root = root
        self._held: tuple[IO[bytes], Callable[[], None]] | None = None

    def take_from(self, member: Member) -> bool:
        """Take the lead if it is free and the leader that `member` sees is not alive."""
        return member.leader().get("state") not in (mailbox.LEADS, mailbox.UNKNOWN) and self.take()

    def take(self) -> bool:
        """Take the lead if it is free; return whether this process has it."""
        if self._held is None and (self.root / mailbox.MEMBERS).is_dir():
            path = self.root / mailbox.MEMBERS / mailbox.LEAD
            file = path.open("ab")
            try:
                self._held = file, lock_file(file, path)
            except OSError:  # another one has it
                file.close()
                return False
        try:
            with locked_journal(self._journal):
                return True
        except JournalInUseError:
            self.leave()
            return False

    def leave(self) -> None:
        """Leave it to others."""
        if self._held is not None:
            file, release = self._held
            self._held = None
            with contextlib.suppress(OSError):
                release()
            file.close()


def _place(journal: Path, given: Path | None) -> Path:
    """Return the directory of the checkpoints of a run."""
    place = given or read_header(journal).spec.get("checkpoint_dir") or default_directory(journal)
    return Path(place).absolute()


def _of_session(journal: Path, spec: RunSpec | None) -> dict[str, Any]:
    """Return the settings with which this process resumes the run.

    Raises
    ------
    UsageError
        If the run was started from Python objects.
    """
    header = read_header(journal)
    if not header.spec:
        raise UsageError(
            f"journal {journal} was started from Python objects, which other processes cannot "
            "build; start the search with hpo run, or with Tuner.from_spec, and executor 'shared'"
        )
    if spec is not None:
        return {name: getattr(spec, name) for name in _OF_SESSION if name != "fingerprint"}
    if header.spec.get("executor") != "shared":
        return {"executor": "shared", "executor_options": {}}
    return {}


def _check_same(journal: Path, spec: RunSpec) -> None:
    """Check that a journal is of the search that this process is to start.

    Raises
    ------
    UsageError
        If it is of another one.
    """
    there = RunSpec.from_json(read_header(journal).spec, journal)
    for name in (each.name for each in dataclasses.fields(RunSpec)):
        ours, theirs = (json.loads(json.dumps(each.to_json()[name])) for each in (spec, there))
        if name not in _OF_SESSION and ours != theirs:
            raise UsageError(
                f"journal {journal} is of a search with {name}={theirs!r}, got {ours!r}; give the "
                "same command as the process that started it, or name another journal"
            )
