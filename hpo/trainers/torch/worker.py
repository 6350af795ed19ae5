"""One process of the group that `TorchrunTrainer` starts."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from hpo.files import write_atomically
from hpo.trainers.base import describe
from hpo.trainers.context import TrialContext, trial_context
from hpo.trainers.loading import load_trainer
from hpo.trainers.objective import to_plain
from hpo.trainers.torch.random_state import import_torch


def _end_with_parent() -> None:
    """End this process when the pipe from the process of the trial closes."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(request: Path) -> None:
    """Train a segment as one process of a group; the first process writes the answer."""
    _end_with_parent()
    torch = import_torch()
    distributed = torch.distributed
    job: dict[str, Any] = json.loads(request.read_text(encoding="utf-8"))
    answer = Path(job["answer"])
    if job["backend"] == "nccl":  # it sends objects from the current device, by default the first
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    trial = job["trial"] and trial_context(TrialContext.from_json(job["trial"]))
    distributed.init_process_group(job["backend"])
    try:
        with trial or contextlib.nullcontext():
            result = load_trainer(job["trainer"]).train(
                job["config"], job["start"], job["stop"], Path(job["checkpoint"])
            )
        if distributed.get_rank() == 0:
            write_atomically(answer, json.dumps(to_plain(result)).encode())
        distributed.barrier()
    except BaseException as error:
        place = answer.with_name(f"{answer.stem}.error-{distributed.get_rank()}")
        write_atomically(place, describe(error).encode())
        raise
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
