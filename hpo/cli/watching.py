"""The command ``hpo watch``: what it prints, and whether it opens a browser."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import webbrowser
from pathlib import Path

from hpo.cli.output import print_out, warn

_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
"""Variables by which batch systems say that this is a job."""


def serve(journal: Path, port: int, *, opens: bool | None, exit_when_done: bool) -> None:
    """Serve the page of a run until Ctrl-C.

    Parameters
    ----------
    journal : Path
        Its journal, which need not exist yet.
    port : int
        Port on 127.0.0.1; 0 for a free one.
    opens : bool or None
        Whether to open a browser; None does so on a desktop.
    exit_when_done : bool
        Whether to end when the run has ended.
    """
    from hpo.report.live import LiveServer

    if journal.is_dir():
        from hpo.errors import UsageError

        raise UsageError(f"journal must be a file, got the directory {journal}; name a file in it")
    server = LiveServer(journal, port)
    lines = [f"Live view of {journal}: {server.url} (Ctrl-C ends it)", *tunnel_lines(server.port)]
    if not journal.exists():
        lines.append(f"{journal} does not exist yet; the page waits for it.")
    print_out(*lines)
    sys.stdout.flush()
    if has_desktop() if opens is None else opens:
        webbrowser.open(server.url)
    try:
        server.serve(exit_when_done=exit_when_done)
    except KeyboardInterrupt:
        warn("Stopped serving; the run is not affected.")
        return
    print_out("The run has ended.")


def is_remote() -> bool:
    """Return whether this process runs where no browser is: in a batch job, or behind SSH."""
    return "SSH_CONNECTION" in os.environ or any(name in os.environ for name in _JOBS)


def has_desktop() -> bool:
    """Return whether a browser can be shown here."""
    if is_remote() or not sys.stdout.isatty():
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def tunnel_lines(port: int) -> list[str]:
    """Return how to reach the page from another computer; nothing on a desktop.

    Parameters
    ----------
    port : int
        Port of the server.
    """
    if not is_remote():
        return []
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # it has no name here
        user = "USER"
    host = socket.gethostname()
    jump = "-J LOGIN_NODE " if any(name in os.environ for name in _JOBS) else ""
    return [
        "To see it on your own computer, run there, then open the same address:",
        f"  ssh {jump}-L {port}:127.0.0.1:{port} {user}@{host}",
    ]
