"""What commands have in common: paths, ``NAME=VALUE`` options, and the limits of a run."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hpo.errors import UsageError


class FilePath(click.Path):
    """A path that the system can have, whether a file is there or not."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what no file can be named."""
        try:
            os.lstat(value)
        except ValueError:  # among them what cannot be encoded
            self.fail(
                f"{value!r} must be a path: without zero bytes, and text that can be encoded",
                param,
                ctx,
            )
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self.fail(
                    f"{str(value)[:40]!r}... is too long for a file name (on most systems, 255 "
                    "bytes); give a shorter one",
                    param,
                    ctx,
                )
        return super().convert(value, param, ctx)


PATH = FilePath()
WORKERS = click.IntRange(max=100_000)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are JSON where they can be, else text.

    Raises
    ------
    UsageError
        If a pair has no ``=``, a name is given twice, or a value is beyond all measure.

    Examples
    --------
    >>> parse_options(["min-curves=5", "kernel=rbf"])
    {'min_curves': 5, 'kernel': 'rbf'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"options are given as NAME=VALUE, got {pair!r}")
        name = name.replace("-", "_")
        if name in options:
            raise UsageError(f"option {name!r} is given twice; give it once")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
        except (ValueError, RecursionError):  # an integer of thousands of digits; "[[[[..."
            raise UsageError(
                f"option {name!r} must be a number, a short list or text, got {len(value)} "
                f"characters: {value[:40]!r}...; give a simpler value"
            ) from None
    return options


def pairs_option(name: str, text: str) -> Callable[..., Any]:
    """Return an option that is given as ``--name NAME=VALUE``, any number of times."""
    return click.option(name, multiple=True, metavar="NAME=VALUE", help=f"{text}; repeatable.")


deadline_option = click.option(
    "--deadline",
    metavar="TIME",
    help="Stop in good order by then: HH:MM:SS from now, 55m, a date and time, or slurm.",
)


_LIMITS = (
    click.option("--max-time", metavar="TIME", help="Stop after this time: 55m, HH:MM:SS, s."),
    click.option("--max-epochs", type=int, help="Stop after this many epochs in all."),
    click.option("--max-trials", type=int, help="Start no more trials than this in all."),
    click.option("--target", type=float, help="Stop once the objective is this good."),
)
"""Options of `Tuner.run` and `Tuner.resume`."""


NAMES_OF_LIMITS = ("max_time", "max_epochs", "max_trials", "target")


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the limits of a run to a command, in their order."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command
