"""What commands print, and the statuses with which they end."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from hpo.errors import (
    AllTrialsFailedWarning,
    InterruptedRunError,
    MissingCheckpointError,
    StoppedRunError,
    UsageError,
)
from hpo.text import say, shell_word, write

if TYPE_CHECKING:
    from rich.table import Table

    from hpo.report import Run
    from hpo.run.results import Results

T = TypeVar("T")

_FILES = ("Journal: ", "Checkpoint ", "Page: ", "Figure: ", "Results: ")
"""Beginnings of lines about files."""
_WIDEST = 100_000
"""Columns of a table of any width."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
"""By the convention of shells: 128 plus the number of SIGPIPE."""


def print_out(
    *lines: str, table: Table | Callable[[int], Table] | None = None, wide: bool = False
) -> None:
    """Print a table and lines; end the command where the output cannot be written.

    Parameters
    ----------
    *lines : str
    table : Table, callable or None
        A table, or what returns it for a width.
    wide : bool
        Whether the table may be wider than the terminal.
    """
    with _output():
        if table is not None:
            from rich.console import Console

            console = Console()
            width = console.width if console.is_terminal or "COLUMNS" in os.environ else 120
            made = table if not callable(table) else table(width)
            console.width = _WIDEST if wide else width
            with console.capture() as capture:
                console.print(made)
            write(capture.get(), sys.stdout)
        for line in lines:
            say(_wrapped(line), lines=True)


def _wrapped(line: str) -> str:
    """Return a line in parts, where it is wider than the terminal: no number is broken.

    Lines about files, which may be copied, stay whole, and so does all that is no terminal's.
    """
    if line.startswith(_FILES) or not sys.stdout.isatty():
        return line
    width = max(20, shutil.get_terminal_size().columns)
    parts = textwrap.wrap(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts) or line


@contextlib.contextmanager
def _output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # What is left in the buffer, Python would try to write again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(EXIT_CLOSED_PIPE) from None
        warn(f"Error: cannot write to standard output: {error.strerror}")
        raise SystemExit(EXIT_FAILED) from None


def warn(line: str) -> None:
    """Print a line to standard error, where there is one."""
    with contextlib.suppress(OSError):
        say(line, err=True)


def progress_of(*, quiet: bool) -> Any:
    """Return the display of a run: on the terminal, or none."""
    from hpo.run.progress import Progress, RichProgress

    return Progress() if quiet else RichProgress()


def watched(work: Callable[[], T], journal: Path, then: str = "resume") -> T:
    """Do the work; if it is stopped or fails, say what was kept and which command goes on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AllTrialsFailedWarning)  # `show` says it
            return work()
    except InterruptedRunError as stop:
        _stopped(str(stop), journal, stop.exit_code, then)
    except KeyboardInterrupt:
        _stopped("Stopped at once.", journal, EXIT_INTERRUPTED, then)
    except StoppedRunError as error:
        _stopped(f"Error: {error}", journal, EXIT_FAILED, then)


def _stopped(message: str, journal: Path, code: int, then: str) -> NoReturn:
    warn(message)
    if journal.exists():
        command = "python -m hpo" if Path(sys.argv[0]).name == "__main__.py" else "hpo"
        if "mpi4py.futures" in sys.orig_argv:
            command = "mpiexec -n N python -m mpi4py.futures -m hpo"
        name = f"./{journal}" if str(journal).startswith("-") else journal
        warn(f"Go on with: {command} {then} {shell_word(name)}")
    raise SystemExit(code)


def show(
    results: Results,
    journal: Path,
    top: int = 10,
    files: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    *,
    wide: bool = False,
    run: Run | None = None,
) -> None:
    """Print the table of the best trials, the cost, the savings and the files.

    Parameters
    ----------
    results : Results
    journal : Path
    top, metrics
        As in `hpo.Results.table`.
    files : sequence of str
        Lines about files that were written.
    wide : bool
        Whether the table may be wider than the terminal.
    run : Run or None
        The run, if its journal has been read.
    """
    lines = [*_summary_lines(results, journal, run), f"Journal: {journal}"]
    if results.incumbent is not None:
        with contextlib.suppress(MissingCheckpointError):
            lines.append(f"Checkpoint of the best trial: {_relative(results.best_checkpoint)}")
    lines += files
    print_out(
        *lines,
        table=lambda width: results.table(top, metrics, None if wide else width),
        wide=wide,
    )
    if results.finished and results.incumbent is None:
        name = results.objective.title
        from hpo.run.checkpoints import trial_name
        from hpo.trial import TrialStatus

        text = f"Error: no trial ended with a finite {name}; see the reasons above"
        failed = [t.trial_id for t in results.trials if t.status is TrialStatus.FAILED]
        if failed and results.models.root is not None:
            place = _relative(results.models.root / trial_name(min(failed)) / "error.txt")
            text += (
                f" and the traceback in {place}; once the cause is removed, "
                f"hpo resume {shell_word(journal)} --retry-failed trains them again"
            )
        warn(text)
        raise SystemExit(EXIT_FAILED)


def _summary_lines(results: Results, journal: Path, run: Run | None) -> list[str]:
    """Return the summary; how good predictions were is found in the journal."""
    from hpo.report import read_run

    if any(event.skill is not None for event in results.events):
        with contextlib.suppress(UsageError):  # the results are there anyway
            return (run or read_run(journal)).summary_lines()
    return results.summary_lines()


def _relative(path: Path) -> Path:
    """Return a path as seen from the working directory, if it lies below."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path
