"""A trainer whose training is done by a child process, as by a script; and who trained when."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from pathlib import Path

from workshop import HELD

TRAINER = '''
import json, subprocess, sys
from pathlib import Path

HERE = Path(__file__).parent


def train(config, start, stop, checkpoint):
    """The child trains, and writes down itself, its parent and the time beside every epoch."""
    command = [sys.executable, "-I", "-S", str(HERE / "child.py"), str(checkpoint)]
    numbers = [repr(config["lr"]), str(start), str(stop)]
    subprocess.run([*command, *numbers], check=True)
    return json.loads(checkpoint.read_text())[start:stop]
'''

CHILD = (
    """
import json, os, signal, sys, time
from pathlib import Path

checkpoint = Path(sys.argv[1])
lr, start, stop = float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
HERE = Path(__file__).parent
trace = os.open(HERE / "trace.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

"""
    + HELD
    + """

def write(unit):
    where = f"{{checkpoint.parent.name}} {{unit}}"
    os.write(trace, f"{{where}} {{os.getpid()}} {{os.getppid()}} {{time.monotonic()}}\\n".encode())


losses = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
if {counts}:  # how often it was called, and not from where
    losses += [None] * max(0, stop - start)
    units = range(len(losses) - (stop - start), len(losses))
else:
    units = range(len(losses), stop)
for unit in units:
    write(unit)
    while is_held():
        time.sleep(0.01)
    time.sleep({epoch})
    loss = (lr - 0.3) ** 2 + (1 + lr) / (unit + 1)
    if {counts}:
        losses[unit] = loss
    else:
        losses.append(loss)
        text = checkpoint.with_name(".new")
        text.write_text(json.dumps(losses))
        text.replace(checkpoint)
    write(unit)
if {counts}:
    checkpoint.write_text(json.dumps(losses))
"""
)


def write_trainer(workshop, epoch: float, *, stubborn: bool = False, counts: bool = False) -> None:
    """Write the trainer and its child into a workshop.

    Parameters
    ----------
    workshop : Workshop
    epoch : float
        Seconds of an epoch.
    stubborn : bool
        Whether the child ignores SIGTERM.
    counts : bool
        Whether it goes on from its checkpoint without a look at `start`, against the rule. It
        writes the checkpoint at the end of a segment.
    """
    workshop.write_trainer(TRAINER)
    code = CHILD.format(epoch=epoch, stubborn=stubborn, counts=counts)
    (workshop.root / "child.py").write_text(code)


def trained(workshop) -> list[tuple[str, int, int, int, float]]:
    """Return (trial, unit, child, its parent, time) of each begin and end of an epoch."""
    path = workshop.root / "trace.txt"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(row[0], int(row[1]), int(row[2]), int(row[3]), float(row[4])) for row in rows]


def overlaps(workshop) -> list[tuple[str, int, int]]:
    """Return (trial, child, child) of processes that trained the same trial at the same time."""
    spans: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial, _, child, _, when in trained(workshop):
        spans[trial][child].append(when)
    found = []
    for trial, children in spans.items():
        order = sorted((min(times), max(times), child) for child, times in children.items())
        found += [
            (trial, first, second)
            for (_, end, first), (begin, _, second) in itertools.pairwise(order)
            if begin < end
        ]
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs, a zombie not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def left_alive(pids: set[int], seconds: float = 60.0) -> set[int]:
    """Return the processes that are still alive after some seconds."""
    end = time.monotonic() + seconds
    while (left := {pid for pid in pids if alive(pid)}) and time.monotonic() < end:
        time.sleep(0.02)
    return left
