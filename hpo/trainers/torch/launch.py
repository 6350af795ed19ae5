"""One trial on several processes or GPUs: ``torchrun`` inside a trial.

>>> trainer = TorchrunTrainer("hpo.examples.cnn:trainer", processes=2)

In a file ``two_gpus.py``, this is a trainer for ``hpo run two_gpus.py:trainer``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.files import write_atomically
from hpo.trainers.base import Result
from hpo.trainers.context import trial_or_none
from hpo.trainers.loading import NamedTrainer
from hpo.trainers.objective import of_plain
from hpo.trial import Config

_TAIL = 2000
"""Number of characters of a failed command's output in its error message."""


@dataclass(frozen=True)
class TorchrunTrainer:
    """Trainer that trains each segment in several processes, which share every batch.

    Parameters
    ----------
    trainer : str
        Name of a `TorchTrainer` whose data loaders share their data by a ``DistributedSampler``,
        as those of `hpo.examples` do. Each process takes batches of the configured size, so a step
        processes `processes` times as many samples.
    processes : int
        Number of processes; one per GPU on a machine with GPUs.
    backend : {"gloo", "nccl"}, default="gloo"
        Communication backend: ``"nccl"`` between GPUs, ``"gloo"`` on CPUs.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    TorchTrainer : The trainer that each process runs.

    Examples
    --------
    >>> trainer = TorchrunTrainer("hpo.examples.cnn:trainer", processes=2)
    >>> trainer.backend
    'gloo'
    """

    trainer: str
    processes: int
    backend: str = "gloo"

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.processes, bool) or self.processes < 1:
            raise ValueError(f"processes must be an integer of at least 1, got {self.processes!r}")
        if self.backend not in ("gloo", "nccl"):
            raise ValueError(
                f"backend must be 'gloo' (CPUs) or 'nccl' (GPUs), got {self.backend!r}"
            )

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Train from `start` to `stop` epochs (see `Trainer.train`).

        Raises
        ------
        RuntimeError
            If a process fails; the message gives the reason.
        """
        answer = checkpoint.with_name("torchrun-answer.json")
        for old in (answer, *_errors(answer)):
            old.unlink(missing_ok=True)
        trial = trial_or_none()
        request = {
            "trainer": NamedTrainer(self.trainer).resolved().name,
            "backend": self.backend,
            "config": dict(config),
            "start": start,
            "stop": stop,
            "checkpoint": str(checkpoint.resolve()),
            "answer": str(answer.resolve()),
            "trial": None if trial is None else trial.to_json(),
        }
        place = checkpoint.with_name("torchrun-request.json")
        write_atomically(place, json.dumps(request).encode())
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=0"),
            f"--nproc-per-node={self.processes}",
            *("-m", "hpo.trainers.torch.worker", str(place)),
        ]
        _run(command, answer)
        result: Result = of_plain(json.loads(answer.read_text(encoding="utf-8")))
        return result

    def load(self, checkpoint: Path, **options: Any) -> Any:
        """Return the model of a checkpoint in this process, as the trainer of that name does.

        Parameters
        ----------
        checkpoint : Path
        **options
            As of `TorchTrainer.load`.

        Raises
        ------
        CheckpointError
            If the checkpoint cannot be read, or does not fit the model.
        """
        trainer: Any = NamedTrainer(self.trainer).load()
        return trainer.load(checkpoint, **options)


def _errors(answer: Path) -> list[Path]:
    """Return the files with the errors of failed processes, by rank."""
    return sorted(answer.parent.glob(f"{answer.stem}.error-*"))


def _run(command: Sequence[str], answer: Path) -> None:
    """Run a command that is ended with this process, however that ends."""
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.PIPE,  # it closes when this process ends, and the processes end then
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        env=environment,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        output = process.stdout.read()
    print(output, end="", file=sys.stderr)
    if process.returncode != 0:
        why = [path.read_text(encoding="utf-8") for path in _errors(answer)] or [output[-_TAIL:]]
        raise RuntimeError(f"torchrun ended with exit code {process.returncode}: {why[0]}")
