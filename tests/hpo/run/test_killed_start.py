"""kill -9 at every call that touches a file, of a start and of a resumption.

Whatever is left, `resume` works, or `run` starts afresh where there is no journal yet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo.run.journal import Journal, encode_line, read_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner

STRIDE = 1 if os.environ.get("THOROUGH") else 8  # `make thorough`

KILLER = '''
"""Forks processes that are killed at their n-th call, for n = 1, 2, ... until one survives."""
import builtins, io, json, os, shutil, signal, sys, warnings
from pathlib import Path

warnings.simplefilter("ignore")
order = json.loads(sys.argv[1])
root, pristine = Path(order["root"]), Path(order["pristine"])
sys.path.insert(0, order["source"])
import hpo.cli, hpo.report, hpo.run.spec, hpo.run.tuner, hpo.trainers.loading
from hpo.run.spec import RunSpec

for scheduler in order["schedulers"]:
    RunSpec(**{**order["spec"], "scheduler": scheduler}).build_scheduler()  # imports what it needs
calls, limit = 0, None


def step(name):
    """Count a call, and die at the one that was asked for."""
    global calls
    if limit is None:
        return
    calls += 1
    if calls == limit:
        os.kill(os.getpid(), signal.SIGKILL)


def counted(function):
    def call(*args, **kwargs):
        step(function.__name__)
        result = function(*args, **kwargs)
        return result

    return call


class Raw(io.FileIO):
    """A file whose writing stops after the first half."""

    def write(self, data):
        step("write")
        half = super().write(bytes(data)[: len(data) // 2])
        step("write the rest")
        return half + super().write(bytes(data)[half:])

    def truncate(self, *args):
        step("truncate")
        return super().truncate(*args)


def opened(file, mode="r", buffering=-1, *args, **kwargs):
    if "b" not in mode or not any(letter in mode for letter in "wxa"):
        return real_open(file, mode, buffering, *args, **kwargs)
    step("open")
    raw = Raw(file, mode.replace("b", ""))
    return raw if buffering == 0 else io.BufferedWriter(raw)


real_open = io.open
for name in ("open", "mkdir", "link", "unlink", "replace", "rename", "fsync", "truncate", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
os.remove = os.unlink
io.open = builtins.open = opened


def begin(args):
    try:
        hpo.cli.main(args)
    except SystemExit as stop:
        return stop.code
    return 0


def fork(args, at, log):
    """Return the exit status of the command, killed at a call if it comes that far."""
    pid = os.fork()
    if pid == 0:
        global limit
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(root)
        limit = at
        os._exit(begin(args))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


log = Path(order["pristine"] + ".log")
n = order["first"] - order["stride"]
while True:
    n += order["stride"]
    shutil.rmtree(root)
    shutil.copytree(pristine, root)
    os.environ["STOP_AT_FIRST_EPOCH"] = "1"
    first = fork(order["command"], n, log)
    if first not in (-signal.SIGKILL, 77):
        sys.exit(f"call {n}: {first}, {log.read_text()}")
    os.environ.pop("STOP_AT_FIRST_EPOCH")
    journal = root / "run.jsonl"
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    resume = ["resume", "run.jsonl", "--quiet"]
    start_afresh = order["same"] or not journal.exists()
    code = fork(order["command"] if start_afresh else resume, None, log)
    output = log.read_text()
    print(json.dumps({"n": n, "code": code, "left": left, "output": output}), flush=True)
    shutil.copy(journal, f"{order['pristine']}.{n}.jsonl")
    (Path(order["pristine"] + f".{n}.files")).write_text(
        json.dumps(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    )
    if first == 77:
        break
'''
TRAINER = '''
import os


def train(config, start, stop, checkpoint):
    """End the process at the first call where that is asked for: the start has survived."""
    if "STOP_AT_FIRST_EPOCH" in os.environ:
        os._exit(77)
    return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
'''


def killed_at_every_call(
    workshop,
    environment,
    command: list[str],
    *,
    same: bool = False,
    stride: int = 1,
    first: int = 1,
) -> list[Any]:
    """Return what came of each kill and then of `resume`, or the command.

    The process is killed at the calls ``first``, ``first + stride``, ...

    The last one has survived.
    """
    pristine = workshop.root.with_name("pristine")
    shutil.copytree(workshop.root, pristine)
    order = {
        "root": str(workshop.root),
        "pristine": str(pristine),
        "source": str(Path(__file__).parents[3]),
        "command": command,
        "same": same,
        "stride": stride,
        "first": first,
        "schedulers": ["asha"],
        "spec": workshop.spec().to_json(),
    }
    killer = workshop.root.with_name("killer.py")
    killer.write_text(KILLER)
    process = subprocess.run(
        [sys.executable, str(killer), json.dumps(order)],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=250,
    )
    assert process.returncode == 0, process.stdout[-500:] + process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def check(workshop, kills: list[Any], reference: list[Any], outcome_of, least: int) -> None:
    """Check that all attempts ended with the results of an undisturbed run, and without litter."""
    assert len(kills) > least
    for kill in kills:
        assert kill["code"] == 0, kill
        name = str(workshop.root.with_name("pristine"))
        assert outcome_of(Results.from_journal(Path(f"{name}.{kill['n']}.jsonl"))) == reference
        left = json.loads(Path(f"{name}.{kill['n']}.files").read_text())
        assert not [file for file in left if file.endswith(".tmp")], kill


@pytest.fixture
def own(make_workshop):
    workshop = make_workshop("killed")
    workshop.write_trainer(TRAINER)
    return workshop


@pytest.fixture
def reference(own, make_workshop, outcome_of) -> list[Any]:
    calm = make_workshop("calm")
    calm.write_trainer(TRAINER)
    run = Tuner.from_spec(calm.spec(scheduler="asha"), journal=calm.journal).run()
    return outcome_of(run)


@pytest.mark.slow
def test_a_start_that_is_killed_anywhere(own, environment, reference, outcome_of) -> None:
    args = [*own.run_args(scheduler="asha"), "--quiet"]
    kills = killed_at_every_call(own, environment, args)
    check(own, kills, reference, outcome_of, least=15)
    left = {name for kill in kills for name in kill["left"]}
    assert any(name.startswith(".run.jsonl.") for name in left), "killed while it is written"
    assert any(name.startswith("run.checkpoints/.run.json.") for name in left)


def torn(workshop) -> None:
    with workshop.journal.open("ab") as file:
        file.write(b"0123")


def of_old_format(workshop) -> None:
    """Write the first line as format 1 has it, which resuming translates."""
    content = read_journal(workshop.journal)
    line, checksum = encode_line(content.header.to_json() | {"format": 1})
    lines = [line]
    for entry in content.entries:
        data = {"kind": entry.kind, "time": entry.time, "data": entry.data}
        line, checksum = encode_line(data, checksum)
        lines.append(line)
    workshop.journal.write_bytes(b"".join(lines))


def without_first_line(workshop) -> None:
    raw = workshop.journal.read_bytes()
    workshop.journal.write_bytes(raw[: raw.index(b"\n") // 2])


def without_checkpoints(workshop) -> None:
    shutil.rmtree(workshop.root / "run.checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "state"),
    list(enumerate([torn, of_old_format, without_first_line, without_checkpoints], 1)),
)
def test_a_resumption_that_is_killed_anywhere(
    own, environment, reference, outcome_of, first, state
) -> None:
    """Each state is killed at other calls, so that together they are killed at every one."""
    Tuner.from_spec(own.spec(scheduler="asha"), journal=own.journal).run()
    lines = own.journal.read_bytes().splitlines(keepends=True)
    own.journal.write_bytes(b"".join(lines[:6]))
    state(own)
    command = ["resume", "run.jsonl", "--quiet"]
    first = min(first, STRIDE)
    kills = killed_at_every_call(own, environment, command, stride=STRIDE, first=first)
    check(own, kills, reference, outcome_of, least=4 // STRIDE)


@pytest.mark.slow
def test_a_salvage_that_is_killed_anywhere(own, environment, reference, outcome_of) -> None:
    Tuner.from_spec(own.spec(scheduler="asha"), journal=own.journal).run()
    raw = bytearray(own.journal.read_bytes())
    raw[raw.index(b"\n", len(raw) // 3) + 20] ^= 1
    own.journal.write_bytes(raw)
    command = ["resume", "run.jsonl", "--quiet", "--salvage"]
    kills = killed_at_every_call(own, environment, command, same=True, stride=STRIDE)
    check(own, kills, reference, outcome_of, least=15 // STRIDE)
    for kill in kills:
        kept = json.loads(Path(f"{own.root.with_name('pristine')}.{kill['n']}.files").read_text())
        assert [name for name in kept if ".jsonl.damaged-" in name] == ["run.jsonl.damaged-1"]
    assert (own.root / "run.jsonl.damaged-1").read_bytes() == bytes(raw)


def test_a_directory_with_foreign_files_stays_refused(workshop) -> None:
    """Only what our own writing leaves is no reason to refuse a directory."""
    directory = workshop.root / "run.checkpoints"
    directory.mkdir()
    with Journal.create(workshop.journal, workshop.spec().to_json()):
        pass
    (directory / ".run.json.tmp").write_text("not ours")
    with pytest.raises(ValueError, match=r"holds no run\.json, so it is not this run's"):
        Tuner.resume(workshop.journal)
    (directory / ".run.json.tmp").unlink()
    (directory / f".run.json.{'0' * 32}.tmp").write_text("{")
    assert Tuner.resume(workshop.journal).finished
    assert [path.name for path in directory.glob(".*")] == []
