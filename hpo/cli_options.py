"""Options of ``hpo run``, and values given as ``name=value``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hpo.errors import UsageError

_PATH = click.Path(path_type=Path)

_RUN_OPTIONS = (
    click.option("--space", type=_PATH, help="Search space, TOML [default: beside the trainer]."),
    click.option("--max-resource", type=int, required=True, help="Most epochs for one trial."),
    click.option("--scheduler", default="swift", show_default=True, help="What decides."),
    click.option("--predictor", default="auto", show_default=True, help="What predicts curves."),
    click.option("--reduction-factor", type=int, default=2, show_default=True, help="1 of N stays"),
    click.option(
        "--searcher", default="auto", show_default=True, help="curves, tpe, gp, random or grid."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all random choices."),
    click.option(
        "--workers", "n_workers", type=int, help="Workers [default: all of a cluster, 1 here]."
    ),
    click.option(
        "--executor",
        default="process",
        show_default=True,
        help="process, inline (repeatable), dask, mpi or ray.",
    ),
    click.option("--timeout", type=float, help="Seconds that one training job may take."),
    click.option("--predict-timeout", type=float, help="Seconds that a prediction may take."),
    click.option(
        "--max-retries", type=int, default=1, show_default=True, help="For a job that failed."
    ),
    click.option(
        "--journal", type=_PATH, help="New file for the run's state [default: by trainer's name]."
    ),
    click.option("--checkpoint-dir", type=_PATH, help="[default: beside the journal]"),
    click.option("--searcher-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."),
    click.option(
        "--scheduler-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."
    ),
    click.option(
        "--predictor-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."
    ),
    click.option(
        "--executor-option",
        multiple=True,
        metavar="NAME=VALUE",
        help="address=..., devices=0,1, ...; may be repeated.",
    ),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``hpo run`` to a command."""
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are JSON where they can be, else text.

    Raises
    ------
    UsageError
        If a pair has no ``=``.

    Examples
    --------
    >>> parse_options(["min-curves=5", "kernel=rbf"])
    {'min_curves': 5, 'kernel': 'rbf'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            msg = f"options are given as NAME=VALUE, got {pair!r}"
            raise UsageError(msg)
        options[name.replace("-", "_")] = _value(value)
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
