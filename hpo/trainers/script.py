"""Scripts as trainers: a command is run with the hyperparameters, and its losses are read.

>>> trainer = ScriptTrainer("python train.py --lr {lr} --epochs {stop}", metric="val_loss")
>>> trainer.placeholders
('lr', 'stop')

The command is split into arguments first, as a shell would do it. Then the values are inserted. A
value is therefore always a part of one argument, and no shell is run.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import TrainerError
from hpo.trainers.base import Metrics
from hpo.trainers.command import Argument, Placeholder, filled, parsed, refuse_secrets
from hpo.trainers.context import current_trial
from hpo.trial import Config

if TYPE_CHECKING:
    from hpo.space.search_space import SearchSpace

PLACES = ("start", "stop", "checkpoint", "folder", "metrics", "trial", "python")
"""Placeholders that are no hyperparameters."""

_FOLDER = "script"  # beside the checkpoint: what each process of the script has written
_GRACE = 2.0  # seconds from SIGTERM to SIGKILL
_POLL = 0.02
_TAIL_BYTES = 1 << 14
_MAX_NAMES = 8  # in a message
_SOURCES = (".py", ".sh", ".jl", ".R", ".pl", ".js", ".ipynb")

_NUMBER = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf(?:inity)?|nan)(?![\w.])"
_BEFORE = r"(?<![\w./-])"
_PAIR = re.compile(rf"{_BEFORE}([A-Za-z_][\w./-]*)\s*[=:]\s*({_NUMBER})", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

Row = dict[str, float]
"""Numbers by name that a script has written after an epoch."""


@dataclass(frozen=True)
class ScriptTrainer:
    """Trainer that runs a command and reads the losses that it writes.

    Parameters
    ----------
    command : str or sequence of str
        The command, as in a shell, or a sequence of its arguments. ``{NAME}`` stands for the value
        of a hyperparameter, or for one of `start` and `stop` (epochs done before and after),
        `checkpoint` (path for the state of the trial), `metrics` (path of the file for the losses),
        `folder` (directory of the trial), `trial` (its number) and `python` (this interpreter).
        ``{lr:.3g}`` formats a number. Text is inserted unchanged, everything else as JSON: ``0.1``,
        ``true``, ``null``, ``[64, 32]``. ``{NAME?}`` leaves out its argument, and the option before
        it, if there is no value: for a conditional hyperparameter that is absent, or a `checkpoint`
        that does not exist yet. Braces are written ``{{`` and ``}}``.
    metric : str, default="loss"
        Name of the number to optimise; lower is better unless the run says ``mode="max"``.
    pattern : str, default=""
        Regular expression that is searched in each line of the standard output, if the command has
        no ``{metrics}``. Its named groups are metrics; the group ``value`` is `metric`. An empty
        pattern reads ``NAME=NUMBER`` and ``NAME: NUMBER`` of each line that contains `metric`.
    epoch : str, default=""
        Name of the number that counts the epochs of a trial, from 1. If there are several rows of
        an epoch, the last one counts. Empty: there is one row for each epoch, and the last row is
        that of epoch `stop`.
    resumes : bool or None, default=None
        Whether the script continues from `checkpoint` and trains only the epochs from `start` to
        `stop`. Otherwise it starts at epoch 0 each time and trains `stop` epochs. None: True if the
        command contains ``{checkpoint}`` or ``{folder}``.
    directory : Path or str, default=""
        Working directory of the script. Empty takes the current directory.
    ends_early : bool, default=False
        Whether the script may end before `stop`, for example when it has converged. The trial is
        then complete (see `hpo.Metrics`). If False, missing losses are a failure.

    Raises
    ------
    TrainerError
        If the command, a placeholder or the pattern cannot be read.

    See Also
    --------
    FunctionTrainer : A trainer that calls a Python function.
    TorchTrainer : A trainer for PyTorch models.

    Notes
    -----
    If the command contains ``{metrics}``, the script writes that file in one of two forms: JSON
    lines, one object for each epoch (``{"loss": 0.5, "accuracy": 0.8}``), or CSV with a header. It
    may be written during training. Rows without `metric` are skipped; further numbers are metrics.

    Each process of the script has a new file, in the folder ``script`` beside the checkpoint,
    together with its standard output and error (``00003-1.stdout`` for the first process that
    continued from epoch 3). An exit status other than 0 is a failure, whose reason ends with the
    last lines of the standard error. The script and all processes that it started are ended with
    the trial, by SIGTERM and after two seconds by SIGKILL.

    Examples
    --------
    >>> trainer = ScriptTrainer("python train.py --lr {lr} --epochs {stop}", metric="val_loss")
    >>> trainer.placeholders
    ('lr', 'stop')
    """

    command: str | Sequence[str]
    metric: str = "loss"
    pattern: str = ""
    epoch: str = ""
    resumes: bool | None = None
    directory: Path | str = ""
    ends_early: bool = False

    def __post_init__(self) -> None:
        """Check the settings, and remember the working directory."""
        object.__setattr__(self, "directory", Path(self.directory).resolve())
        fields = self._fields
        if not self._arguments:
            raise TrainerError(
                "command of ScriptTrainer must name a program, got an empty one; give it as "
                "'python train.py --lr {lr}'"
            )
        for field in fields:
            if field.optional and field.name in PLACES and field.name != "checkpoint":
                raise TrainerError(
                    f"placeholder {{{field.name}?}} of the command is never without a value; write "
                    f"{{{field.name}}}"
                )
        if not self.metric:
            raise TrainerError("metric of ScriptTrainer must be the name of the loss, got ''")
        if self.resumes and not {"checkpoint", "folder"} & {field.name for field in fields}:
            raise TrainerError(
                "resumes=True needs {checkpoint} in the command of ScriptTrainer, where the script "
                "keeps its state; add it, or leave resumes out"
            )
        self._check_pattern()
        refuse_secrets(self._arguments)

    def _check_pattern(self) -> None:
        if not self.pattern:
            return
        if self._writes_file:
            raise TrainerError(
                "pattern of ScriptTrainer reads the standard output, but the command has {metrics},"
                " the file that losses are read from; leave one of them out"
            )
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise TrainerError(
                f"pattern of ScriptTrainer must be a regular expression, got {self.pattern!r} "
                f"({error})"
            ) from None
        if not {"value", self.metric} & {*groups}:
            raise TrainerError(
                f"pattern of ScriptTrainer must have a group for the metric {self.metric!r}, got "
                f"{self.pattern!r}; write (?P<value>...) around its number"
            )

    @property
    def _arguments(self) -> list[Argument]:
        return parsed(self.command)

    @property
    def _fields(self) -> list[Placeholder]:
        return [part for each in self._arguments for part in each if isinstance(part, Placeholder)]

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the placeholders of the command, in order."""
        return tuple(dict.fromkeys(field.name for field in self._fields))

    @property
    def _writes_file(self) -> bool:
        return "metrics" in self.placeholders

    @property
    def _resumes(self) -> bool:
        if self.resumes is not None:
            return self.resumes
        return bool({"checkpoint", "folder"} & {*self.placeholders})

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, from which ``ScriptTrainer(**values)`` is equal."""
        command = self.command if isinstance(self.command, str) else list(self.command)
        return asdict(self) | {"command": command, "directory": str(self.directory)}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the scripts that the command names, empty if it names none."""
        texts = [each[0] for each in self._arguments if len(each) == 1]
        paths = [Path(self.directory, text) for text in texts if isinstance(text, str)]
        scripts = [path for path in paths if path.suffix in _SOURCES and path.is_file()]
        found = hashlib.sha256(b"".join(path.read_bytes() for path in scripts))
        return found.hexdigest() if scripts else ""

    def check_space(self, space: SearchSpace) -> None:
        """Check that the command uses each hyperparameter of a space, and no other.

        Parameters
        ----------
        space : SearchSpace

        Raises
        ------
        TrainerError
            If it does not; the message names them.
        """
        self._check_names(tuple(space.domains))
        for field in self._fields:
            if field.name in space.conditions and not field.optional:
                raise TrainerError(
                    f"hyperparameter {field.name!r} is absent from some configurations, since it "
                    f"has a condition; write {{{field.name}?}}, which leaves its argument out then"
                )

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if name in PLACES:
                raise TrainerError(
                    f"hyperparameter {name!r} has the name of a placeholder of ScriptTrainer; "
                    "rename it in the search space"
                )
        required = [f.name for f in self._fields if f.name not in PLACES]
        if unknown := [name for name in dict.fromkeys(required) if name not in names]:
            raise TrainerError(
                f"placeholder {_braced(unknown)} of the command is no hyperparameter of the search "
                f"space ({_listed(names)}) and none of {_listed(PLACES)}; correct it, or add the "
                "hyperparameter to the space"
            )
        if unused := [name for name in names if name not in required]:
            raise TrainerError(
                f"hyperparameter {_listed(unused)} of the search space is not used by the command; "
                f"add {_braced(unused)} to the command, or remove it from the space"
            )

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Metrics:
        """Run the script for the epochs from `start` to `stop` (see `Trainer.train`).

        Raises
        ------
        TrainerError
            If the command does not fit the configuration, or there is no such program.
        CalledProcessError
            If the script ends with another exit status than 0.
        ValueError
            If its losses cannot be read, or are too few or too many.
        """
        absent = [f.name for f in self._fields if f.optional and f.name not in (*config, *PLACES)]
        self._check_names((*config, *absent))
        place = _Place.new(checkpoint.parent / _FOLDER, start)
        values = {
            **config,
            "start": start,
            "stop": stop,
            "checkpoint": str(checkpoint),
            "folder": str(checkpoint.parent),
            "metrics": str(place.metrics),
            "python": sys.executable,
        }
        if "trial" in self.placeholders:
            values["trial"] = current_trial().trial_id
        absent += [] if checkpoint.exists() else ["checkpoint"]
        self._run(filled(self._arguments, values, absent), place)
        try:
            return self._metrics(place, start, stop)
        except ValueError as error:
            error.add_note(f"(the script's output is in {_FOLDER}/{place.stdout.name})")
            raise

    def _run(self, command: Sequence[str], place: _Place) -> None:
        """Run the command in a process group of its own, which ends with it."""
        own_group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
        with place.stdout.open("xb") as stdout, place.stderr.open("xb") as stderr:
            try:
                process = subprocess.Popen(  # noqa: S603 - what the user asks for, without a shell
                    command,
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    **own_group,
                )
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                what = error.filename or command[0]
                raise TrainerError(
                    f"the script cannot be started: {what}: {error.strerror}; name a program that "
                    "this machine has ({python} is this interpreter), in a directory that exists"
                ) from None
        try:
            status = process.wait()
        finally:
            _end(process)
        if status:
            output, errors = _tail(place.stdout), _tail(place.stderr)
            raise subprocess.CalledProcessError(status, command, output, errors)

    def _metrics(self, place: _Place, start: int, stop: int) -> Metrics:
        """Return what the script has written for the epochs after `start`, up to `stop`."""
        earlier = [self._rows(each, torn=True) for each in place.before()]
        has_ended = self.ends_early and start > 0
        has_written = self._resumes and any(earlier)  # and its checkpoint covers all of it
        rows = self._rows(place, may_be_empty=has_ended or has_written)
        by_epoch = self._numbered(rows, earlier) if self.epoch else None
        if by_epoch is None:
            by_epoch = self._counted(rows, earlier, start, stop)
        units = range(start + 1, stop + 1)
        missing = next((unit for unit in units if unit not in by_epoch), None)
        if missing is not None and not self.ends_early:
            raise ValueError(
                f"the script has written no {self.metric!r} for epoch {missing} of the epochs "
                f"{start + 1} to {stop}; {self._rule(start, stop)}"
            )
        chosen = [by_epoch[unit] for unit in units if missing is None or unit < missing]
        names = dict.fromkeys(name for row in chosen for name in row)
        extra = {
            name: [row.get(name, math.nan) for row in chosen]
            for name in names
            if name not in (self.metric, self.epoch)
        }
        losses = {self.metric: [row[self.metric] for row in chosen]}
        return Metrics(losses, extra, finished=missing is not None)

    def _numbered(self, rows: list[Row], earlier: list[list[Row]]) -> dict[int, Row]:
        """Return rows by the epoch that they name."""
        found = {}
        for row in itertools.chain(*earlier, rows):
            number = row.get(self.epoch, math.nan)
            if not number.is_integer():
                raise ValueError(
                    f"field {self.epoch!r} must number the epoch of each row with {self.metric!r}, "
                    f"from 1 on; got {row}"
                )
            found[int(number)] = row
        return found

    def _counted(
        self, rows: list[Row], earlier: list[list[Row]], start: int, stop: int
    ) -> dict[int, Row]:
        """Return rows by their epoch, counted back from the last one, which is that of `stop`.

        A script that was interrupted has written what its checkpoint covers, and may go on from
        there: what is missing, earlier processes have written, from `start` on.
        """
        n, expected = len(rows), stop - start
        if self.ends_early and n < (expected if self._resumes else stop):
            first = start if self._resumes else 0
            known = list(itertools.chain(*earlier)) if self._resumes else []
            return dict(enumerate([*known, *rows], first + 1))
        whole = n == stop
        if not whole and (not self._resumes or n > expected):
            raise ValueError(
                f"the script has written {n} values of {self.metric!r}; "
                + self._rule(start, stop, more=n > (expected if self._resumes else stop))
            )
        known = []
        if n < expected:
            known = list(itertools.chain(*earlier))[: expected - n]
        found = dict(enumerate(known, start + 1))
        return found | dict(enumerate(rows, stop - n + 1))

    def _rule(self, start: int, stop: int, *, more: bool = False) -> str:
        """Say what is expected of a script that has written more, or fewer, losses."""
        rule = f"one for each of the {stop} epochs is needed, as it starts at epoch 0"
        if self._resumes:
            rule = f"one for each of the {stop - start} epochs after {start} is needed"
        if self.epoch:
            rule += f", counted from 1 in {self.epoch!r}"
        if more:
            return f"{rule}; where it writes more, let epoch= name the field with the epoch"
        return f"{rule}; set ends_early=True if it may end early"

    def _rows(self, place: _Place, *, torn: bool = False, may_be_empty: bool = False) -> list[Row]:
        """Return the rows with the metric that a process has written.

        Parameters
        ----------
        place : _Place
        torn : bool, default=False
            Whether the process may have been killed, within its last line or before it.
        may_be_empty : bool, default=False
            Whether it may have written none.
        """
        may_be_empty = may_be_empty or torn
        path = place.metrics if self._writes_file else place.stdout
        if not path.exists() and not may_be_empty:
            raise ValueError("the script has not written the file that {metrics} stands for")
        lines = _lines(path, torn=torn) if path.exists() else []
        if not self._writes_file:
            found, remedy = list(self._printed(lines)), "metric=, or give a pattern="
            names = dict.fromkeys(name for line in lines for name, _ in _PAIR.findall(line))
        else:
            rows, remedy = list(_read(lines)), "metric="
            found = [row for row in rows if self.metric in row]
            names = dict.fromkeys(name for row in rows for name in row)
        if not found and not may_be_empty:
            raise ValueError(
                f"the script has written no {self.metric!r}; numbers that it has written: "
                f"{_listed(tuple(names))}; name the loss by {remedy}"
            )
        return found

    def _printed(self, lines: Iterable[str]) -> Iterator[Row]:
        """Yield what the lines of an output say."""
        metric = re.compile(rf"{_BEFORE}{re.escape(self.metric)}\s*[=:]\s*({_NUMBER})", re.I)
        own = re.compile(self.pattern) if self.pattern else None
        for line in lines:
            text = _COLOUR.sub("", line)
            if own is None:
                if match := metric.search(text):
                    yield {**_numbers(_PAIR.findall(text)), self.metric: float(match[1])}
            elif match := own.search(text):
                groups = match.groupdict()
                if "value" in groups:
                    groups[self.metric] = groups.pop("value")
                row = _numbers(groups.items())
                if self.metric not in row:
                    raise ValueError(
                        f"pattern found no number for {self.metric!r} but "
                        f"{groups[self.metric]!r} in the line {line[:200]!r}"
                    )
                yield row


@dataclass(frozen=True)
class _Place:
    """Files of one process of a script.

    Attributes
    ----------
    folder : Path
    start : int
        Epochs that were done before it.
    number : int
        Number of the process, from 1, among those with that start.
    """

    folder: Path
    start: int
    number: int

    @classmethod
    def new(cls, folder: Path, start: int) -> _Place:
        """Return the place of the next process."""
        folder.mkdir(exist_ok=True)
        return next(
            place
            for place in (cls(folder, start, number) for number in itertools.count(1))
            if not place.stdout.exists()
        )

    def before(self) -> list[_Place]:
        """Return the places of earlier processes with the same start."""
        return [_Place(self.folder, self.start, number) for number in range(1, self.number)]

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.start:05d}-{self.number}.{kind}"

    @property
    def stdout(self) -> Path:
        """File of the standard output."""
        return self._file("stdout")

    @property
    def stderr(self) -> Path:
        """File of the standard error."""
        return self._file("stderr")

    @property
    def metrics(self) -> Path:
        """File that the script writes losses to."""
        return self._file("metrics")


def _numbers(pairs: Iterable[tuple[str, Any]]) -> Row:
    """Return those pairs whose value is a number; None (in JSON, null) stands for NaN."""
    row = {}
    for name, value in pairs:
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            row[str(name)] = math.nan if value is None else float(value)
    return row


def _lines(path: Path, *, torn: bool) -> list[str]:
    """Return the lines of a file that are not empty, without a last one that is torn."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = text.splitlines()
    if torn and lines and not text.endswith(("\n", "\r")):
        lines.pop()
    return [line for line in lines if line.strip()]


def _read(lines: list[str]) -> Iterator[Row]:
    """Yield the rows of JSON lines or CSV."""
    if lines and not lines[0].lstrip().startswith("{"):
        for row in csv.DictReader(lines):
            yield _numbers((name.strip(), value) for name, value in row.items() if name)
        return
    for line in lines:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"a line of the script's losses is no JSON object ({error}): {line[:200]!r}"
            ) from None
        if isinstance(data, Mapping):
            yield _numbers(data.items())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started: by SIGTERM, and after a moment by SIGKILL."""
    if sys.platform == "win32":
        process.kill()
        process.wait()
        return
    deadline = time.monotonic() + _GRACE
    signum = signal.SIGTERM
    with contextlib.suppress(ProcessLookupError, PermissionError):  # there is no such group
        while True:
            os.killpg(process.pid, signum)
            while time.monotonic() < deadline:
                process.poll()  # one that nobody waits for stays in its group
                os.killpg(process.pid, 0)
                time.sleep(_POLL)
            if signum == signal.SIGKILL:
                break
            signum = signal.SIGKILL
            deadline = time.monotonic() + _GRACE
    process.wait()


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read()


def _braced(names: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names[:_MAX_NAMES])


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _MAX_NAMES else ""
    return (", ".join(names[:_MAX_NAMES]) or "none") + more
