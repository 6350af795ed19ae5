"""Several processes, one search: whoever is killed, nothing is lost and nothing trained twice."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import AT_DEADLINE, UsageError
from hpo.run.executors import mailbox
from hpo.run.executors.member import Member
from hpo.run.executors.shared import SharedPool
from hpo.run.locking import locked_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.run.work import work
from hpo.trainers import NamedTrainer, Outcome, ScriptTrainer, Segment
from hpo.trainers.objective import Objective
from joining import crowd, joined
from waiting import wait_until
from workshop import HELD

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")

TRAINER = (
    '''
import json, os, time
from pathlib import Path
from hpo.files import write_atomically

HERE = Path(__file__).parent


def is_alive(pid):
    """A process that has ended, and was not waited for yet, is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

'''
    + HELD
    + '''

def train(config, start, stop, checkpoint):
    """Write down each epoch, and whether another process trains the same trial."""
    busy = HERE / f"{checkpoint.parent.name}.busy"
    other = busy.read_text() if busy.exists() else ""
    if other not in ("", str(os.getpid())) and is_alive(other):
        (HERE / "overlap.txt").write_text(f"{checkpoint.parent.name} {other} {os.getpid()}")
    busy.write_text(str(os.getpid()))
    losses = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for unit in range(len(losses), stop):
        with (HERE / "trace.txt").open("a") as file:
            file.write(f"{checkpoint.parent.name} {unit} {os.getpid()}\\n")
        while is_held():
            time.sleep(0.01)
        time.sleep(0.02)
        losses.append((config["lr"] - 0.3) ** 2 + (1 + config["lr"]) / (unit + 1))
        write_atomically(checkpoint, json.dumps(losses).encode())
    busy.unlink()
    return losses[start:stop]
'''
)


@pytest.mark.slow
def test_whoever_is_killed_another_goes_on(make_workshop, outcome_of) -> None:
    """A member stops, the leader is killed, a member, and the last one; then one starts again."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(max_resource=9), journal=calm.journal).run()
    busy.write_trainer(TRAINER)
    spec = busy.spec(max_resource=9, executor="shared", n_workers=3)
    with crowd(busy.root, busy.journal, spec) as people:

        def advance(epochs: int) -> None:
            """Let the search go on, and hold it there."""
            goal = busy.epochs() + epochs
            busy.allow(goal)
            busy.reach(goal)

        busy.allow(0)
        people.join(4)
        wait_until(lambda: len(people.members()) == 3, "three to join the fourth")
        first = people.leader()
        told, killed, last = people.members()
        people.signal(told, signal.SIGTERM)
        advance(6)
        people.signal(first)
        wait_until(lambda: people.leader() != first, "another leader")
        advance(6)
        killed, last = (last, killed) if people.leader() == killed else (killed, last)
        people.signal(killed)
        advance(6)
        people.signal(last)  # which alone has trained these six
        before = {pid for *_, pid in busy.trace()}
        busy.allow(None)
        people.join(1)
        codes = people.codes()
    messages = (busy.root / "crowd.txt").read_text()
    expected = dict.fromkeys(people.pids[:4], -signal.SIGKILL) | {people.pids[4]: 0}
    assert codes == expected | {told: 128 + signal.SIGTERM}, messages
    results = Results.from_journal(busy.journal)
    assert results.finished
    assert outcome_of(results) == outcome_of(reference)
    assert busy.repeated() <= 4  # at most the epoch in flight of each process that was stopped
    assert not (busy.root / "overlap.txt").exists(), "two processes trained a trial at once"
    assert {pid for *_, pid in busy.trace()} - before, "the fifth process trained nothing"
    left = [path.name for path in (busy.root / "run.checkpoints/members").iterdir()]
    assert sorted(left) == ["lead.lock", "leader.json"]


@pytest.fixture
def trainer(workshop) -> NamedTrainer:
    workshop.write_trainer(TRAINER)
    return NamedTrainer(f"{workshop.trainer}:train")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[SharedPool]:
    made = SharedPool(4, tmp_path / "checkpoints", patience=5.0)
    yield made
    made.end()
    made.close()


def segment(root: Path, trial: int, stop: int) -> Segment:
    name = f"trial-{trial:05d}"
    place = root / "checkpoints"
    config = {"lr": 0.5, "layers": (8, 4)}
    return Segment(config, 0, stop, place / name / "checkpoint", place / "attempts" / name)


def test_segments_and_outcomes_travel_unchanged(tmp_path: Path) -> None:
    objective = Objective.of("accuracy", "max")
    sent = replace(segment(tmp_path, 3, 7), objective=objective, expects_checkpoint=True)
    assert mailbox.segment_from_json(through_json(mailbox.segment_to_json(sent))) == sent
    outcome = Outcome(
        (1.0, math.inf, 0.1 + 0.2),
        {"accuracy": (0.5, 1e-300, -math.inf)},
        "why",
        place={"pid": 1},
        objective="f1",
    )
    back = mailbox.outcome_from_json(through_json(mailbox.outcome_to_json(outcome)))
    assert back == outcome
    assert back.place == outcome.place


def through_json(data):
    return json.loads(json.dumps(data))


@pytest.mark.slow
def test_a_machine_that_is_lost_and_comes_back(workshop, trainer, pool, tmp_path) -> None:
    """All of its processes freeze: its segment goes elsewhere, which waits for the trial's lock."""
    with joined(tmp_path / "checkpoints") as process:
        pool.submit(trainer, segment(tmp_path, 9, 1), None).result(60)
        wait_until(lambda: pool._seats, "a member")
        first = pool.submit(trainer, segment(tmp_path, 0, 40), None)  # here
        second = pool.submit(trainer, segment(tmp_path, 1, 40), None)  # there
        wait_until(lambda: any(row[0] == "trial-00001" for row in workshop.trace()), "training")
        (worker,) = {pid for trial, _, pid in workshop.trace() if trial == "trial-00001"}
        machine = [process.pid, worker]
        for pid in machine:
            os.kill(pid, signal.SIGSTOP)
        outcome = second.result(60)
        assert outcome.cause == "lost"
        assert re.fullmatch(
            rf"process {process.pid} on \S+ has given no sign of life for 5 s", outcome.reason
        )
        assert not pool._seats
        assert first.result(60).reason == ""
        again = pool.submit(trainer, segment(tmp_path, 1, 40), None)
        time.sleep(0.2)
        assert not again.done()
        for pid in reversed(machine):
            os.kill(pid, signal.SIGCONT)
        assert len(again.result(60).losses) == 40
        wait_until(lambda: pool._seats, "the member to join again")
    assert workshop.repeated() <= 1
    assert not (workshop.root / "overlap.txt").exists()


@pytest.mark.slow
def test_a_new_leader_takes_over_what_a_member_trains(workshop, trainer, tmp_path) -> None:
    """The member ends its segment for the next leader, whose own worker trains something else."""
    root = tmp_path / "checkpoints"
    old = SharedPool(4, root)
    with joined(root):
        old.submit(trainer, segment(tmp_path, 9, 1), None).result(60)
        wait_until(lambda: old._seats, "a member")
        old.submit(trainer, segment(tmp_path, 0, 60), None)  # here
        old.submit(trainer, segment(tmp_path, 1, 60), None)  # there
        wait_until(lambda: any(row[0] == "trial-00001" for row in workshop.trace()), "training")
        old.close()
        new = SharedPool(4, root)
        futures = [new.submit(trainer, segment(tmp_path, n, 60), None) for n in (1, 0)]
        assert [len(future.result(60).losses) for future in futures] == [60, 60]
        new.end()
        new.close()
    trainers = {
        trial: {p for t, _, p in workshop.trace() if t == trial} for trial in ("trial-00001",)
    }
    assert len(trainers["trial-00001"]) == 1
    assert workshop.repeated() <= 1


def member_of(pool: SharedPool) -> Member:
    member = Member(pool._root, lambda: False)
    member.leader()
    wait_until(lambda: member.leader().get("state") == "leads", "a sign of life")
    return member


def test_a_member_needs_the_trainer_that_its_leader_has_read(workshop, trainer, pool) -> None:
    pool.submit(trainer, segment(workshop.root, 0, 1), None).result(60)
    member = member_of(pool)
    workshop.trainer.write_text(TRAINER + "\n# mended\n")
    rule = (
        r"trainer file \S+work.py must be the one that the leading process \(process \d+ on \S+\)"
    )
    with pytest.raises(
        UsageError, match=rule + r" has read, of SHA-256 \w{12}, got \w{12}; restore"
    ):
        member.serve()
    workshop.trainer.unlink()
    with pytest.raises(UsageError, match="got none; restore"):
        member.serve()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"python": "3.9"}, r"must run Python 3\.9 as the leading process .* does, got 3\.\d+"),
        (
            {"digest": "0123456789ab"},
            r"must have hpo of source 0123456789ab as the leading process",
        ),
    ],
)
def test_a_member_needs_the_version_of_its_leader(workshop, trainer, change, message) -> None:
    folder = workshop.root / "members"
    folder.mkdir()
    leader = {**mailbox.this_process(), **mailbox.this_version(), "id": "1", "state": "leads"}
    leader |= {"trainer": mailbox.trainer_to_json(trainer), "threads": 1, "beat": 1, **change}
    mailbox.write(folder / "leader.json", leader)
    with pytest.raises(UsageError, match=message):
        Member(workshop.root, lambda: False).serve()


def test_a_member_starts_nothing_that_will_not_end_by_its_deadline(workshop, trainer, pool) -> None:
    pool.submit(trainer, segment(workshop.root, 0, 1), None).result(60)
    member = Member(pool._root, lambda: False, time.monotonic() + 2)
    wait_until(lambda: member.leader().get("state") == "leads", "a sign of life")
    begun = time.monotonic()
    assert member.serve() == "stopped"
    assert member.signum == AT_DEADLINE
    assert time.monotonic() - begun < 100  # and not until the leader ends


def test_a_trainer_without_a_name_is_refused(workshop) -> None:
    spec = workshop.spec(executor="shared", n_workers=2)
    scheduler = spec.build_scheduler()
    with pytest.raises(UsageError, match="needs a trainer that is given by its name"):
        Tuner(
            lambda *_: [1.0], scheduler, executor="shared", journal=workshop.journal, n_workers=2
        ).run()
    with pytest.raises(UsageError, match="executor 'shared' needs a journal"):
        Tuner("work.py:train", scheduler, executor="shared", n_workers=2)
    with pytest.raises(UsageError, match=r"executor 'shared' needs n_workers \(--workers\)"):
        Tuner.from_spec(
            workshop.spec(executor="shared", n_workers=None), journal=workshop.journal
        ).run()


def test_the_command_of_another_search_is_refused(workshop) -> None:
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    other = workshop.spec(executor="shared", n_workers=2, max_resource=27)
    with pytest.raises(
        UsageError, match=r"is of a search with max_resource=9, got 27; give the same"
    ):
        work(workshop.journal, other)


def test_a_finished_search_is_shown_and_one_from_objects_refused(workshop, outcome_of) -> None:
    spec = workshop.spec()
    reference = Tuner.from_spec(spec, journal=workshop.journal).run()
    done = work(workshop.journal, n_workers=2)
    assert done.n_trained == 0
    assert outcome_of(done.results) == outcome_of(reference)
    assert workshop.repeated() == 0
    objects = workshop.root / "objects.jsonl"
    Tuner(spec.trainer, spec.build_scheduler(), executor="inline", journal=objects).run()
    with pytest.raises(UsageError, match="was started from Python objects"):
        work(objects)


def test_a_leader_that_takes_no_members_is_named(workshop, monkeypatch) -> None:
    monkeypatch.setattr("hpo.run.work._NO_LEADER", 0.5)
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    with (
        locked_journal(workshop.journal),
        pytest.raises(UsageError, match=r"in use \(process \d+ on \S+, executor 'inline'\); stop"),
    ):
        work(workshop.journal, n_workers=2)


def test_the_command_line(workshop, monkeypatch) -> None:
    monkeypatch.chdir(workshop.root)
    arguments = [*workshop.run_args(executor="shared", workers="1"), "--quiet"]
    part = CliRunner().invoke(cli, [*arguments, "--max-epochs", "20"])
    assert part.exit_code == 0, part.output
    assert "Stopped by max_epochs=20" in part.output
    assert workshop.epochs() == 20
    part = CliRunner().invoke(cli, ["work", "run.jsonl", "--quiet", "--max-epochs", "30"])
    assert part.exit_code == 0, part.output
    assert workshop.epochs() == 30
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "Epochs: 69" in done.output
    assert workshop.repeated() == 0
    gone = CliRunner().invoke(cli, ["work", "none.jsonl"])
    assert isinstance(gone.exception, UsageError)
    assert "cannot read journal none.jsonl" in str(gone.exception)


def test_a_script_travels_as_its_settings(workshop) -> None:
    script = ScriptTrainer("python work.py {lr} {metrics}", epoch="n", directory=workshop.root)
    sent = through_json(mailbox.trainer_to_json(script))
    assert mailbox.trainer_from_json(sent) == script
    assert sent["fingerprint"] == script.fingerprint() != ""
