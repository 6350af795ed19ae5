"""Failures of trainers as text: the exception, the line of the user's code, and the output.

A reason is one line of bounded length, whatever the exception holds. It names the innermost line of
the *user's* code, since a line of a library seldom says what to repair.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

REASON_LENGTH = 300
"""Maximum length of the message of an exception in a reason, in characters."""

_FURTHER_LENGTH = 160
"""The same for a cause, and for each member of a group."""

_MEMBERS = 3
"""Maximum number of members of a group, and of causes in a chain, that are described."""

_COMMAND_LENGTH = 100
"""The same for a failed command, after whose text its message says how it ended."""

_TOTAL_LENGTH = 1000

_LAST_LINES = 5
_TAIL_LENGTH = 400
_TAIL_BYTES = 1 << 14
_TRACEBACK_LENGTH = 200_000

_FAILED_COMMANDS = (subprocess.CalledProcessError, subprocess.TimeoutExpired)

_PACKAGE = Path(__file__).parents[1]
_STANDARD_LIBRARY = str(Path(os.__file__).parent)
_INSTALLED = ("site-packages", "dist-packages")


def describe(error: BaseException) -> str:
    """Describe an exception in one line: type, message, the user's line of code, causes.

    A failed command (`subprocess.CalledProcessError` or `subprocess.TimeoutExpired`) is described
    with the last lines of its standard error, or output, if that was captured.
    """
    text = _described(error, REASON_LENGTH)
    for word, cause in _causes(error):
        text += f"; {word} {_described(cause, _FURTHER_LENGTH)}"
    return _clipped(text, _TOTAL_LENGTH)


def _described(error: BaseException, length: int) -> str:
    text = _clipped(_name_and_message(error, length), length) + _place(error)
    if isinstance(error, BaseExceptionGroup):
        members = [_described(each, _FURTHER_LENGTH) for each in _leaves(error, _MEMBERS)]
        text += f": {'; '.join(members)}"
    what, output = _captured(error)
    return text + printed(output, what)


def _name_and_message(error: BaseException, length: int) -> str:
    """Return the type and the start of the message of an exception, in one line."""
    try:
        if isinstance(error, SyntaxError):
            message = str(error.msg)  # without the place, which comes last
        else:
            message = "".join(str(error)[: 100 * length])
            if isinstance(error, _FAILED_COMMANDS):  # how it ended comes last
                command = str(error.cmd)
                message = message.replace(command, _clipped(command, _COMMAND_LENGTH), 1)
        message = "\n".join([message, *map(str, getattr(error, "__notes__", ()))])
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a message that cannot be made is no reason to crash
        message = "(its message cannot be shown)"
    message = " ".join(as_text(message).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def as_text(message: str) -> str:
    """Return a message that can be written, with half characters (surrogates) as escapes."""
    return message.encode("utf-8", "backslashreplace").decode("utf-8")


def _causes(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield what an exception was raised from, or while it was handled."""
    seen = {id(error)}
    for _ in range(_MEMBERS):
        cause, word = error.__cause__, "caused by"
        if cause is None and not error.__suppress_context__:
            cause, word = error.__context__, "while handling"
        if cause is None or id(cause) in seen or type(cause).__name__.endswith("RemoteTraceback"):
            return
        seen.add(id(cause))
        yield word, cause
        error = cause


def _leaves(group: BaseExceptionGroup[BaseException], most: int) -> list[BaseException]:
    """Return the first exceptions of a group that are no groups."""
    found: list[BaseException] = []
    todo: list[BaseException] = [group]
    while todo and len(found) < most:
        error = todo.pop(0)
        if isinstance(error, BaseExceptionGroup):
            todo = [*error.exceptions, *todo]
        else:
            found.append(error)
    return found


def _place(error: BaseException) -> str:
    """Return ``" (train.py:12)"`` for the innermost line of the user.

    Code of a trainer that is installed as a library is the user's. If there is none, it is the
    innermost line outside this package.
    """
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f" ({Path(error.filename).name}:{error.lineno})"
    skipped = ("<frozen ", importlib.__file__)  # how Python imports
    lines = [place for place in _lines(error.__traceback__) if not place[0].startswith(skipped)]
    others = [place for place in lines if not _is_ours(place[0])]
    if not others:
        return ""
    first = _package(others[0][0])  # what this package has called
    users = [
        place
        for place in others
        if not _is_library(place[0]) or (first and _package(place[0]) == first)
    ]
    file, line = (users or others)[-1]
    if Path(file).parent.name.startswith("ipykernel_"):
        return f" (notebook cell, line {line})"
    return f" ({as_text(Path(file).name)}:{line})"


def _lines(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(trace):
        yield frame.f_code.co_filename, line


def _is_ours(file: str) -> bool:
    """Return whether a file is of this package, whose examples are trainers as a user's are."""
    path = Path(file)
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_PACKAGE / "examples")


def _is_library(file: str) -> bool:
    return bool(_package(file)) or file.startswith(_STANDARD_LIBRARY)


def _package(file: str) -> str:
    """Return what is installed there, such as ``torch``; empty for a file that is not installed."""
    parts = Path(file).parts
    places = [n for n, part in enumerate(parts) if part in _INSTALLED]
    return parts[places[-1] + 1] if places else ""


def _captured(error: BaseException) -> tuple[str, str | bytes | None]:
    """Return what a failed command has printed, if that was captured, and what that is.

    It is the standard error, or without one the standard output, into which it may be merged.
    """
    if isinstance(error, _FAILED_COMMANDS):
        for what, output in (("stderr", error.stderr), ("output", error.output)):
            if isinstance(output, str | bytes) and output:
                return what, output
    return "", None


def printed(output: str | bytes | None, what: str = "last output") -> str:
    """Return the last lines of an output, to be appended to a reason.

    Parameters
    ----------
    output : str, bytes or None
    what : str, default="last output"
        What it is called.

    Returns
    -------
    str
        ``"; <what>: <line> | <line>"`` of bounded length, empty if there is no output.
    """
    tail = (output or "")[-_TAIL_BYTES:]
    text = tail.decode("utf-8", "replace") if isinstance(tail, bytes) else as_text(tail)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line][-_LAST_LINES:]
    joined = " | ".join(lines)
    if len(joined) > _TAIL_LENGTH:
        joined = "..." + joined[3 - _TAIL_LENGTH :]
    return f"; {what}: {joined}" if joined else ""


class Log:
    """A file that takes the output of processes, read from where it ends now.

    Parameters
    ----------
    path : Path or None
        The file, which need not exist yet; without one there is nothing to read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._start = self._size()

    def _size(self) -> int:
        try:
            return 0 if self._path is None else self._path.stat().st_size
        except OSError:
            return 0

    def tail(self) -> bytes:
        """Return the end of the output since this object was created."""
        try:
            if self._path is None:
                return b""
            with self._path.open("rb") as file:
                file.seek(max(self._start, self._size() - _TAIL_BYTES))
                return file.read(_TAIL_BYTES)
        except OSError:
            return b""


own_log: Path | None = None
"""File that takes the output of this process, and of the commands that it starts."""


def describe_with_output(error: BaseException, log: Log) -> str:
    """Describe an exception, with the last output if a command failed whose stderr went there.

    Parameters
    ----------
    error : BaseException
    log : Log
        Output of this process since it called the user's code.
    """
    text = describe(error)
    errors = [error, *(cause for _, cause in _causes(error))]
    if any(isinstance(each, _FAILED_COMMANDS) and each.stderr is None for each in errors):
        sys.stdout.flush()
        sys.stderr.flush()
        text += printed(log.tail())
    return text


def full_text(error: BaseException) -> str:
    """Return the traceback of an exception (code only, no values of variables), of bounded length.

    What failed commands have printed comes after it, if it was captured.
    """
    text = as_text("".join(traceback.format_exception(error)))
    if len(text) > _TRACEBACK_LENGTH:
        half = _TRACEBACK_LENGTH // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"
    for each in (error, *(cause for _, cause in _causes(error))):
        if output := _captured(each)[1]:
            tail = output[-_TAIL_BYTES:]
            shown = tail.decode("utf-8", "replace") if isinstance(tail, bytes) else as_text(tail)
            text += f"\n{type(each).__name__}, last output of the command:\n{shown}{os.linesep}"
    return text
