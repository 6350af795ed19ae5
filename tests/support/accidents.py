"""A trainer that meets with the accident that its configuration names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hpo.trainers import Metrics, current_trial

_MOMENT = 0.3
"""Seconds of training before a worker dies: by then the results of earlier jobs have been fetched.
Dask's own executor never ends a future whose result is lost while its client fetches it."""


class UnpicklableError(Exception):
    """Cannot travel between processes, neither out nor in."""

    def __init__(self, message, other):
        super().__init__(message)
        self.hook = lambda: other


class SilentError(Exception):
    """Has a message that cannot be made."""

    def __str__(self):
        raise RuntimeError("no message")


def freeze(thaw):
    """Stop this process as a node that swaps or hangs does, until there is a file."""
    command = f'while [ ! -e "$1" ]; do sleep 0.05; done; kill -CONT {os.getpid()}'
    with subprocess.Popen(["/bin/sh", "-c", command, "sh", str(thaw)]):
        os.kill(os.getpid(), signal.SIGSTOP)


def wait_until(condition):
    """Wait for something that a test or another process does, for a minute at most."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def most_threads():
    """Return the threads that a matrix product may use here."""
    import numpy as np
    import threadpoolctl

    np.ones((2, 2)) @ np.ones((2, 2))
    return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())


def train(config, start, stop, checkpoint):  # noqa: C901, PLR0911, PLR0912
    """Train, or not."""
    kind = config["kind"]
    good = [1.0 / (unit + 1) for unit in range(start, stop)]
    once = checkpoint.with_name("once")
    match kind:
        case "exception":
            raise ValueError("no good\nsecond line")
        case "unpicklable":
            raise UnpicklableError("cannot travel", 1)
        case "silent":
            raise SilentError
        case "sys.exit":
            sys.exit("bye")
        case "os._exit":
            time.sleep(_MOMENT)
            os._exit(7)
        case "killed":
            time.sleep(_MOMENT)
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            time.sleep(_MOMENT)
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            checkpoint.with_name("hangs").touch()  # so that a test can wait for it
            time.sleep(1000)
        case "slow":
            wait_until(checkpoint.with_name("go on").exists)
        case "frozen":
            freeze(checkpoint.with_name("go on"))
        case "device":
            begun = checkpoint.parent.with_name("begun")
            begun.mkdir(exist_ok=True)
            (begun / checkpoint.parent.name).touch()
            wait_until(lambda: len(list(begun.iterdir())) > 1)  # so that two need two workers
            return Metrics(good, {"device": [float(os.environ["CUDA_VISIBLE_DEVICES"])] * 2})
        case "threads":
            return Metrics(good, {"threads": [float(most_threads())] * 2})
        case "nan":
            return [float("nan") for _ in good]
        case "inf":
            return [float("inf") for _ in good]
        case "too few":
            return good[:-1]
        case "too many":
            return [*good, 1.0]
        case "none":
            return None
        case "text":
            return ["much" for _ in good]
        case "disk full":
            with Path("/dev/full").open("w") as file:
                file.write("state")
        case "third time":
            with once.open("a") as file:
                file.write(".")
            if once.stat().st_size < 3:
                raise ValueError("not yet")
        case "once" if not once.exists():
            once.touch()
            time.sleep(_MOMENT)
            os._exit(1)
        case "asks":
            trial = current_trial()
            trial.logger.info("trained by %s on %s", trial.worker or "the leader", trial.host)
            known = [trial.trial_id, trial.attempt, trial.stop, trial.deadline]
            known += [trial.folder == checkpoint.parent, len(trial.devices)]
            return Metrics(good, {str(n): [each, each] for n, each in enumerate(known)})
        case "chatty":
            print("printed by the trainer")
    return good
