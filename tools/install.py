"""Install a package with pip and report progress, at least one line every five seconds.

``make demo`` and the other targets run it in the new virtual environment::

    .venv/bin/python tools/install.py -c constraints.txt -e ".[torch,plot]"

All arguments go to ``pip install``. What pip says is kept and printed only if it fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

EVERY = 5.0
"""Seconds after which a line is printed although nothing has changed."""
WHEEL = re.compile(r"^ *(?:Downloading|Using cached|Processing) (\S+).*?(\([\d.]+ [kMG]?B\))?$")
FAILURE = 1


class Progress:
    """State of one installation, filled from the lines of pip.

    Attributes
    ----------
    step : str
        What pip is doing.
    found : int
        Number of packages that the resolver has looked at.
    chosen : int
        Number of packages to be installed; 0 until pip has said so.
    """

    def __init__(self) -> None:
        self.step = "starting pip"
        self.found = self.chosen = 0
        self._folder = Path(sysconfig.get_paths()["purelib"])
        self._before = self._installed()

    def read(self, line: str) -> None:
        """Take in one line of pip."""
        if line.startswith("Collecting "):
            self.found += 1
            self.step = f"package {self.found}: {line.split()[1]}"
        elif match := WHEEL.match(line):
            name = match[1].rsplit("/", maxsplit=1)[-1].split("-")[0]
            self.step = f"package {self.found}: {name} {match[2] or ''}".rstrip()
        elif line.startswith("Installing collected packages: "):
            self.chosen = line.count(",") + 1

    def _installed(self) -> int:
        return sum(1 for _ in self._folder.glob("*.dist-info"))

    def __str__(self) -> str:
        if not self.chosen:
            return self.step
        done = min(self._installed() - self._before, self.chosen)
        return f"unpacking: {done} of {self.chosen} packages"


def report(progress: Progress, ended: threading.Event, begun: float) -> None:
    """Print the progress until the end: one line in place on a terminal, else a line at a time."""
    in_place, last = sys.stdout.isatty(), ""
    while not ended.wait(0.5 if in_place else EVERY):
        line = f"  {time.monotonic() - begun:4.0f} s  {progress}"
        if in_place:
            print(f"\r{line[:79]:<{len(last[:79])}}", end="", flush=True)
        else:
            print(line, flush=True)
        last = line
    if in_place and last:
        print(f"\r{'':<{len(last[:79])}}\r", end="", flush=True)


def main(arguments: list[str]) -> int:
    """Install, and return the status of pip."""
    print(f"Installing {arguments[-1]} into {sys.prefix}", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--progress-bar=off", *arguments]
    begun, progress, lines = time.monotonic(), Progress(), []
    ended = threading.Event()
    reporter = threading.Thread(target=report, args=(progress, ended, begun))
    reporter.start()
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip:
            for line in pip.stdout or ():
                lines.append(line)
                progress.read(line.rstrip())
    finally:
        ended.set()
        reporter.join()
    if pip.returncode:
        print("".join(lines), end="", file=sys.stderr)
        print(f"pip failed: {' '.join(command)}", file=sys.stderr)
        return FAILURE
    seconds = time.monotonic() - begun
    print(f"Installed {progress.chosen} packages in {seconds:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
