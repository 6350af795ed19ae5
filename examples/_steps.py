"""What the demos share: each step is announced with its usual time; none is silent for long.

``make demo`` runs each demo by this module, which also announces the imports of the demo::

    python examples/_steps.py examples/demo.py
"""

from __future__ import annotations

import runpy
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

SILENCE = 7.0
"""Seconds without output after which a line says that the step still runs."""


class _Watched:
    """A stream that remembers when it was last written to."""

    def __init__(self, stream: TextIO, steps: Steps) -> None:
        self.stream = stream
        self.steps = steps
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        self.last = time.monotonic()
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Steps:
    """Announces the steps of a program.

    Parameters
    ----------
    stream : file
        Where the program writes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = _Watched(stream, self)
        self._step, self._begun = "starting", time.monotonic()
        self._ended = threading.Event()

    def announce(self, step: str, usual: str = "") -> None:
        """Print the name of the next step, and how long it usually takes.

        Parameters
        ----------
        step : str
            What it does.
        usual : str
            Such as ``"about 10 s"``.
        """
        self._step, self._begun = step.partition(":")[0], time.monotonic()
        self._line(f"{step} ({usual})" if usual else step)

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            if time.monotonic() - self._stream.last > SILENCE:
                self._line(f"  still running: {self._step}, {time.monotonic() - self._begun:.0f} s")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block runs, print a line after every `SILENCE` seconds without output."""
        before, sys.stdout = sys.stdout, self._stream  # type: ignore[assignment]
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            sys.stdout = before


@contextmanager
def steps() -> Iterator[Steps]:
    """Announce the steps of a program on standard output, and never be silent for long.

    Examples
    --------
    >>> with steps() as demo:
    ...     demo.announce("Counting to three", "under 1 s")
    Counting to three (under 1 s)
    """
    running = getattr(sys.stdout, "steps", None)
    if running is not None:
        yield running
        return
    made = Steps(sys.stdout)
    with made.watching():
        yield made


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    with steps() as program:
        program.announce("Importing the packages", "about 5 s")
        runpy.run_path(sys.argv[0], run_name="__main__")
