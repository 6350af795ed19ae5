"""Helpers for runs in temporary directories: a trainer file that writes down what it trains."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.files import write_atomically
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from waiting import wait_until

HELD = '''
def is_held():
    """Whether more epochs have begun than the test allows; see `Workshop.allow`."""
    try:
        allowed = int((HERE / "allowed").read_text())
    except FileNotFoundError:
        return False
    return (HERE / "trace.txt").read_bytes().count(b"\\n") > allowed
'''
"""Source that a trainer has beside its HERE, the folder of the workshop."""

TRAINER = (
    """
import json, os, time
from pathlib import Path
from hpo.files import write_atomically

HERE = Path(__file__).parent
EPOCH = {epoch}

"""
    + HELD
    + '''

def train(config, start, stop, checkpoint):
    """Milliseconds an epoch, or as long as the test holds it; the losses are the checkpoint."""
    losses = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for unit in range(len(losses), stop):
        with (HERE / "trace.txt").open("a") as file:
            file.write(f"{{checkpoint.parent.name}} {{unit}} {{os.getpid()}}\\n")
        while is_held():
            time.sleep(0.01)
        time.sleep(EPOCH)
        losses.append((config["lr"] - 0.3) ** 2 + (1 + config["lr"]) / (unit + 1))
        write_atomically(checkpoint, json.dumps(losses).encode())
    return losses[start:stop]
'''
)
SPACE = {"lr": {"type": "float", "low": 0.0, "high": 1.0}}


class Workshop:
    """A directory with a trainer file, and what a run in it needs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / "run.jsonl"
        self.trainer = root / "work.py"
        self.space = root / "space.toml"
        self.space.write_text('[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        self.write_trainer(TRAINER.format(epoch=0.001))

    def write_trainer(self, text: str) -> None:
        self.trainer.write_text(text)

    def slow(self, epoch: float) -> None:
        self.write_trainer(TRAINER.format(epoch=epoch))

    def allow(self, epochs: int | None) -> None:
        """Let so many epochs begin; each worker holds the next one until more are allowed.

        A test that looks at a search, or ends it, in the middle holds it there. Otherwise the
        search may have ended before the test looks, however slow its epochs are.

        Parameters
        ----------
        epochs : int or None
            None allows all of them.
        """
        if epochs is None:
            (self.root / "allowed").unlink(missing_ok=True)
        else:
            write_atomically(self.root / "allowed", str(epochs).encode())

    def keep_time(self, patch: pytest.MonkeyPatch) -> None:
        """Let the limits of a search go by a clock that each epoch moves on by a second."""
        clock = SimpleNamespace(**vars(time) | {"monotonic": lambda: float(self.epochs())})
        for module in ("deadline", "runner"):
            patch.setattr(f"hpo.run.{module}.time", clock)

    def reach(self, epochs: int) -> None:
        """Wait until more than so many epochs have begun: where `allow` holds the search."""
        wait_until(lambda: self.epochs() > epochs, f"epoch {epochs + 1}")

    def spec(self, **changes: Any) -> RunSpec:
        settings: dict[str, Any] = {
            "trainer": f"{self.trainer}:train",
            "space": SPACE,
            "max_resource": 9,
            "reduction_factor": 3,
            "scheduler": "hyperband",
            "executor": "inline",
        }
        return RunSpec(**(settings | changes))

    def trace(self) -> list[tuple[str, int, int]]:
        """Return (trial, unit, pid) of every epoch trained, in order."""
        path = self.root / "trace.txt"
        rows = path.read_text().splitlines() if path.exists() else []
        return [(row.split()[0], int(row.split()[1]), int(row.split()[2])) for row in rows]

    def epochs(self) -> int:
        """Return how many epochs were trained: quicker than `trace`, for those who wait."""
        path = self.root / "trace.txt"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def repeated(self) -> int:
        """Return how many epochs were trained more than once."""
        return sum(n - 1 for n in Counter((t, u) for t, u, _ in self.trace()).values())

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "hpo", *args]

    def cli(self, *args: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run the command line in the directory."""
        return subprocess.run(
            self.command(*args),
            cwd=self.root,
            env=environment(),
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def run_args(self, **changes: str) -> list[str]:
        """Return arguments of ``hpo run`` for a quick run."""
        options = {
            "space": "space.toml",
            "scheduler": "hyperband",
            "max-resource": "9",
            "reduction-factor": "3",
            "executor": "inline",
            "journal": "run.jsonl",
        }
        options |= {name.replace("_", "-"): value for name, value in changes.items()}
        pairs = [(f"--{name}", value) for name, value in options.items()]
        return ["run", "work.py:train", *(part for pair in pairs for part in pair)]


def environment() -> dict[str, str]:
    """Return the environment in which a subprocess finds the package."""
    source = str(Path(sys.modules["hpo"].__file__ or "").parents[1])
    return {**os.environ, "PYTHONPATH": source, "COLUMNS": "160"}


def outcome_of(results: Results) -> list[tuple[Any, ...]]:
    """Return what has to be equal between two runs of the same search."""
    return [
        (trial.trial_id, dict(trial.config), str(trial.status), trial.losses, trial.reason)
        for trial in results.trials
    ]
