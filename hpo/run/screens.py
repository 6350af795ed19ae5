"""Where the progress of a run is shown: a terminal, a log file, or a cell of a notebook."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from hpo.run.pace import Extent
from hpo.text import html_text, visible


def clock(seconds: float | None) -> str:
    """Return a duration as minutes and seconds; dashes for one that is not known.

    >>> clock(None), clock(65), clock(3600 * 30 + 61), clock(86400 * 5)
    ('--:--', '1:05', '30:01:01', '5 days')
    """
    if seconds is None:
        return "--:--"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 72:
        return f"{hours // 24} days"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclass(frozen=True)
class View:
    """What a screen shows: text only.

    Attributes
    ----------
    words : str
        What happens now.
    elapsed : float
        Seconds since the start.
    extent : Extent or None
        How much is done; None for a run without a limit.
    fields : Mapping
        Texts by label.
    ended : bool
        Whether the run has ended.
    """

    words: str
    elapsed: float
    extent: Extent | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False

    def times(self, *, short: bool = False) -> str:
        """Return percentage, time elapsed and time left."""
        elapsed = clock(self.elapsed) + ("" if short else " elapsed")
        if self.extent is None or self.ended:
            return elapsed
        left = f"{clock(self.extent.left)} left"
        return f"{self.extent.fraction:.0%}  {elapsed}, {left}"

    def line(self) -> str:
        """Return one line for a log file."""
        states = "" if self.words == "training" else f"{self.words}  "
        fields = "  ".join(f"{label}: {value}" for label, value in self.fields.items())
        return f"[{self.times(short=True)}]  {states}{fields}"


class ProgressConsole(Console):
    """A console on which nothing is shown any more once its pipe is closed: the run goes on."""

    def on_broken_pipe(self) -> None:
        """Show nothing from now on, where Rich would end the process."""
        self.quiet = True


class _Panel:
    """A view on a terminal: a bar, and a line for each figure, none of them wrapped."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        view, width = self._view, max(20, options.max_width - 1)
        yield self._head(width, options)
        labels = max(map(len, view.fields), default=0)
        for label, value in view.fields.items():
            text = _encodable(f"{label:>{labels}}  {value}", options.encoding)
            if cell_len(text) > width:
                text = set_cell_size(text, width - 3) + "..."
            line = Text(text, no_wrap=True, overflow="crop")
            line.stylize("cyan", 0, labels)
            yield line

    def _head(self, width: int, options: ConsoleOptions) -> Text:
        view = self._view
        times = view.times(short=width < 60)
        words = Text(no_wrap=True, overflow="crop")
        words.append(_encodable(view.words, options.encoding)[: width - len(times) - 2], "bold")
        bar = min(40, width - words.cell_len - len(times) - 4)
        if view.extent is None or view.ended or bar < 5:
            return words + Text(f"  {times}")
        full, rest = ("#", ".") if options.ascii_only else ("\u2501", "\u2500")
        done = int(bar * view.extent.fraction)
        drawn = Text(full * done, style="cyan") + Text(rest * (bar - done), style="bright_black")
        return words + Text("  ") + drawn + Text(f"  {times}")


def _encodable(text: str, encoding: str) -> str:
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


class Screen(ABC):
    """Where views are shown."""

    interval: float | None = None
    """Seconds between two calls of `tick`; None where a thread draws."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    @abstractmethod
    def open(self) -> None:
        """Begin to show the view."""

    @abstractmethod
    def draw(self) -> None:
        """Show the view again if it is time."""

    @abstractmethod
    def close(self) -> None:
        """Leave the last view."""


class TerminalScreen(Screen):
    """A live display, which a thread draws five times a second."""

    def __init__(self, view: Callable[[], View], console: Console) -> None:
        super().__init__(view)
        self._live = Live(
            console=console,
            get_renderable=lambda: _Panel(self._view()),
            refresh_per_second=5,
            vertical_overflow="crop",
        )

    def open(self) -> None:
        """Start the thread."""
        self._live.start(refresh=True)

    def draw(self) -> None:
        """Do nothing: the thread draws."""

    def close(self) -> None:
        """Draw the last view, and stop the thread."""
        self._live.stop()

    def clear(self) -> None:
        """Leave nothing."""
        self._live.transient = True
        self._live.stop()


class LogScreen(Screen):
    """Lines in a log file: one every ten seconds at first, one a minute later.

    That is at most 100 lines in the first hour, and 60 in each further one.
    """

    def __init__(self, view: Callable[[], View], console: Console, every: float) -> None:
        super().__init__(view)
        self._console = console
        self._every = every
        self._last = time.monotonic()

    @property
    def interval(self) -> float:  # type: ignore[override]
        """Seconds until the next line."""
        every = min(60.0, max(self._every, self._view().elapsed / 20))
        return max(0.1, self._last + every - time.monotonic())

    def open(self) -> None:
        """Begin to count the seconds until the first line."""
        self._last = time.monotonic()

    def draw(self) -> None:
        """Print the next line if it is due."""
        if self.interval <= 0.1:
            self._print()

    def close(self) -> None:
        """Print the last line."""
        self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        print_line(self._console, self._view().line())


class NotebookScreen(Screen):
    """One output of a notebook's cell, which is replaced once a second."""

    interval = 1.0

    def __init__(self, view: Callable[[], View]) -> None:
        super().__init__(view)
        self._handle: Any = None
        self._last = -math.inf

    def open(self) -> None:
        """Show the view in a new output."""
        import IPython.display as shown

        if self._handle is None:
            page = shown.HTML(notebook_html(self._view()))  # type: ignore[no-untyped-call]
            self._handle = shown.display(page, display_id=True)  # type: ignore[no-untyped-call]
        self._last = time.monotonic()

    def draw(self) -> None:
        """Replace the output if it is time."""
        if time.monotonic() - self._last >= self.interval:
            self.close()

    def close(self) -> None:
        """Replace the output."""
        import IPython.display as shown

        self._last = time.monotonic()
        if self._handle is not None:
            page = shown.HTML(notebook_html(self._view()))  # type: ignore[no-untyped-call]
            self._handle.update(page)


def notebook_html(view: View) -> str:
    """Return a view as HTML.

    Parameters
    ----------
    view : View
    """
    bar = ""
    if view.extent is not None and not view.ended:
        value = f"{view.extent.fraction:.3f}"
        bar = f'<progress value="{value}" max="1" style="width:16em;vertical-align:middle">'
        bar += f"{view.extent.fraction:.0%}</progress> "
    rows = "".join(
        f'<tr><td style="text-align:right">{html_text(label)}</td>'
        f'<td style="text-align:left">{html_text(value)}</td></tr>'
        for label, value in view.fields.items()
    )
    head = f"<div><b>{html_text(view.words)}</b> {bar}{html_text(view.times())}</div>"
    return f'<div class="hpo-progress">{head}<table>{rows}</table></div>'


def print_line(console: Console, line: str) -> None:
    """Print a line that is not wrapped.

    Parameters
    ----------
    console : rich.console.Console
    line : str
    """
    text = Text(_encodable(line, console.encoding))
    console.print(text, highlight=False, soft_wrap=True)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return hasattr(shell, "kernel")


class Compilation:
    """Knows whether Numba compiles in this process, once it has been imported."""

    _KIND = "numba:compile"

    def __init__(self) -> None:
        self._depth = 0
        self._events: Any = None

    def __bool__(self) -> bool:
        """Return whether something is being compiled."""
        events = sys.modules.get("numba.core.event")
        if self._events is None and hasattr(events, "unregister"):  # it is not half imported
            self._events = events
            self._events.Listener.register(type(self))
            self._events.register(self._KIND, self)
        return self._depth > 0

    def notify(self, event: Any) -> None:
        """Count an event of Numba (called from the thread that compiles)."""
        self._depth = max(0, self._depth + (1 if event.is_start else -1))

    def close(self) -> None:
        """Stop listening."""
        if self._events is not None:
            with contextlib.suppress(ValueError):
                self._events.unregister(self._KIND, self)
            self._events, self._depth = None, 0
