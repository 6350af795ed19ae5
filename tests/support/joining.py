"""Processes that join a search, forked from one that has imported all that they need."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hpo.run.spec import RunSpec
from workshop import environment

NURSERY = '''
"""Forks a process for each line on standard input; at its end, prints how each of them ended."""
import json, os, sys, warnings
from pathlib import Path

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    from hpo.errors import InterruptedRunError
    from hpo.run.spec import RunSpec
    from hpo.run.work import work

    pids = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                spec = RunSpec.from_json(order["spec"])
                work(Path(order["journal"]), spec, say=lambda text: print(text, file=sys.stderr))
                code = 0
            except InterruptedRunError as stop:
                code = stop.exit_code
            except BaseException as error:
                print(repr(error), file=sys.stderr)
            finally:
                os._exit(code)
        pids.append(pid)
        print(pid, flush=True)
    codes = {pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids}
    print(json.dumps(codes), flush=True)
'''


class Crowd:
    """Processes that all run ``hpo run ... --executor shared``."""

    def __init__(self, process: subprocess.Popen[str], journal: Path, spec: RunSpec) -> None:
        self._process = process
        self._order = json.dumps({"journal": str(journal), "spec": spec.to_json()}) + "\n"
        self._leader = journal.with_name(f"{journal.stem}.checkpoints") / "members/leader.json"
        self.pids: list[int] = []

    def join(self, count: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for _ in range(count):
            self._process.stdin.write(self._order)
            self._process.stdin.flush()
            self.pids.append(int(self._process.stdout.readline()))

    def leader(self) -> int:
        """Return the process that leads, or last did; 0 before there is one."""
        try:
            return int(json.loads(self._leader.read_text())["pid"])
        except (OSError, ValueError):
            return 0

    def members(self) -> list[int]:
        """Return the processes that have joined the leader."""
        hellos = self._leader.parent.glob("[!.]*/hello.json")
        found = []
        for hello in hellos:
            with contextlib.suppress(OSError, ValueError):
                found.append(int(json.loads(hello.read_text())["pid"]))
        return [pid for pid in found if pid in self.pids and pid != self.leader()]

    def signal(self, pid: int, signum: int = signal.SIGKILL) -> None:
        os.kill(pid, signum)

    def codes(self) -> dict[int, int]:
        """Wait for the end of all processes; return their exit codes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        return {int(pid): code for pid, code in json.loads(self._process.stdout.readline()).items()}


@contextlib.contextmanager
def crowd(root: Path, journal: Path, spec: RunSpec) -> Iterator[Crowd]:
    """Give a crowd whose messages go to ``crowd.txt``."""
    script = root / "nursery.py"
    script.write_text(NURSERY)
    with (
        (root / "crowd.txt").open("a") as log,
        subprocess.Popen(
            [sys.executable, str(script)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        made = Crowd(process, journal, spec)
        try:
            yield made
        finally:
            for pid in made.pids if process.poll() is None else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()


JOIN = """
import sys, time
from pathlib import Path
from hpo.run.executors.member import Member

member = Member(Path(sys.argv[1]), lambda: False)
while True:
    while member.leader().get("state") != "leads":
        time.sleep(0.02)
    if member.serve() == "ended":
        break
"""


@contextlib.contextmanager
def joined(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that trains for the pool of a folder."""
    command = [sys.executable, "-c", JOIN, str(root)]
    with subprocess.Popen(command, env=environment()) as process:
        try:
            yield process
        finally:
            process.kill()
