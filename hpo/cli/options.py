"""Parts that several commands share: help in sections, paths, ``NAME=VALUE`` options, limits."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hpo.errors import UsageError


def examples(*lines: str, guide: str = "") -> str:
    """Return the epilog of a command: examples, and the pages of the guide about it."""
    text = "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
    return f"{text}\n\nSee also the guide of {guide} (docs/guide)." if guide else text


class SectionedCommand(click.Command):
    """A command whose help lists its options in sections.

    Parameters
    ----------
    sections : Mapping
        Titles of the sections, each with the names of its parameters separated by spaces.
    """

    def __init__(self, *args: Any, sections: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, then the options that belong to none."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        records = {each.name: each.get_help_record(ctx) for each in options}
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([records.pop(name) for name in names.split()])  # type: ignore[misc]
        with formatter.section("Other options"):
            formatter.write_dl([record for record in records.values() if record is not None])


class FilePath(click.Path):
    """A path that the file system accepts, whether the file exists or not."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a text that cannot be the name of a file."""
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
    """Parse ``NAME=VALUE`` pairs. A value that is no JSON is taken as text.

    Raises
    ------
    UsageError
        If a pair has no ``=``, a name is given twice, or a value is too large to be read.

    Examples
    --------
    >>> parse_options(["min-curves=5", "kernel=rbf"])
    {'min_curves': 5, 'kernel': 'rbf'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"options must be given as NAME=VALUE, got {pair!r}")
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
    """Return the repeatable option ``--name NAME=VALUE``."""
    return click.option(name, multiple=True, metavar="NAME=VALUE", help=f"{text}; repeatable.")


deadline_option = click.option(
    "--deadline",
    metavar="TIME",
    help="Stop cleanly before this time: HH:MM:SS or 55m from now, a date and time, or "
    "slurm (the end of the Slurm job).  [default: none]",
)


_LIMITS = (
    click.option(
        "--max-time",
        metavar="TIME",
        help="Stop after this time: 55m, 1h30m, HH:MM:SS or seconds.  [default: none]",
    ),
    click.option(
        "--max-epochs",
        type=int,
        help="Stop after this many epochs of all trials together.  [default: none]",
    ),
    click.option(
        "--max-trials",
        type=int,
        help="Start no more trials than this.  [default: none]",
    ),
    click.option(
        "--target",
        type=float,
        help="Stop as soon as the objective reaches this value.  [default: none]",
    ),
)
"""Options of `Tuner.run` and `Tuner.resume`."""


NAMES_OF_LIMITS = ("max_time", "max_epochs", "max_trials", "target")


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the limits of a run to a command, in their order."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command
