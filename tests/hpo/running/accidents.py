"""A trainer that meets with the accident that its configuration names."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


class UnpicklableError(Exception):
    """Cannot travel between processes, neither out nor in."""

    def __init__(self, message, other):
        super().__init__(message)
        self.hook = lambda: other


class SilentError(Exception):
    """Has a message that cannot be made."""

    def __str__(self):
        raise RuntimeError("no message")


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
            os._exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(1000)
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
        case "once" if not once.exists():
            once.touch()
            os._exit(1)
        case "chatty":
            print("printed by the trainer")
    return good
