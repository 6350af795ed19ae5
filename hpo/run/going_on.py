"""Searches that begin with known configurations or are extended beyond their end."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import UsageError, usage_checked
from hpo.loop import Extendable, RetriesTrials, Scheduler, TakesInitial
from hpo.run.journal import Journal, JournalContent
from hpo.run.replay import EXTENDED, INITIAL, RETRY_FAILED
from hpo.run.warm_start import earlier_searches, first_configs
from hpo.searchers.initial import own_value
from hpo.space.domains import Domain
from hpo.space.search_space import SearchSpace
from hpo.trainers.objective import Objective
from hpo.trial import (
    Config,
    TrainFailure,
    TrainReport,
    TrialStatus,
    finite_or_worst,
    with_tuples,
)

_log = logging.getLogger(__name__)

_PREFIX = "config_"
"""Of a hyperparameter's column in the table of ``hpo report --csv``."""

_MAX_CHOICES = 1000
"""Values of a hyperparameter whose texts are compared with a cell."""


def begin(
    scheduler: Scheduler,
    initial: Sequence[Config],
    warm_start: Path | str | Sequence[Path | str],
    objective: Objective,
) -> list[Mapping[str, Any]]:
    """Let a new search begin with given configurations and with earlier searches.

    Parameters
    ----------
    scheduler : Scheduler
    initial : sequence of Config
        Configurations to try first.
    warm_start : Path or sequence of Path
        Journals of earlier searches.
    objective : Objective
        What the new search optimises.

    Returns
    -------
    list of Mapping
        Notes for the journal, with which a replay does the same.

    Raises
    ------
    UsageError
        If a configuration does not fit, or the scheduler cannot try configurations first.
    JournalError
        If a journal cannot be read.
    """
    if isinstance(initial, Mapping | str) or not isinstance(initial, Iterable):
        raise UsageError(
            f"initial must be a list of configurations, got {type(initial).__name__}; put one "
            "configuration into a list, and leave initial out for none"
        )
    journals = _paths(warm_start)
    notes: list[Mapping[str, Any]] = [*earlier_searches(journals, objective)]
    configs = [*initial]
    if not (notes or configs):
        return []
    if not isinstance(scheduler, TakesInitial):
        raise UsageError(
            f"initial and warm_start need a scheduler with a method enqueue, got "
            f"{type(scheduler).__name__}; wrap its searcher by hpo.searchers.with_initial"
        )
    if notes:
        space = scheduler.space
        configs += first_configs(notes, space if isinstance(space, SearchSpace) else None)
    usage_checked(scheduler.enqueue, configs)
    return [*notes, {"what": INITIAL, "configs": [dict(config) for config in configs]}]


def _paths(journals: object) -> list[Path]:
    """Return the paths of earlier searches.

    Raises
    ------
    UsageError
        If they are none.
    """
    given = [journals] if isinstance(journals, Path | str) else journals
    if isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        paths = list(given)
        if all(isinstance(each, str | os.PathLike) for each in paths):
            return [Path(each) for each in paths]
    raise UsageError(
        f"warm_start must be the path of a journal or a list of such paths, got {journals!r:.60}; "
        "leave it out for none"
    )


def extended(scheduler: Scheduler, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Extend a search beyond its end; return the note for the journal.

    Parameters
    ----------
    scheduler : Scheduler
    settings : Mapping
        Settings of the scheduler by which it is extended.

    Raises
    ------
    UsageError
        If the scheduler, or one of the settings, cannot be extended so.
    """
    if not isinstance(scheduler, Extendable):
        raise UsageError(
            f"extend needs a scheduler that can be extended (method extend), got "
            f"{type(scheduler).__name__}; start a new search with warm_start=[JOURNAL]"
        )
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        raise UsageError(
            f"extend must be a mapping of settings of the scheduler to values, such as "
            f"{{'n_trials': 100}}, got {settings!r:.60}"
        )
    values = {name: _plain(value) for name, value in settings.items()}
    usage_checked(lambda: scheduler.extend(**values))
    return {"what": EXTENDED, "settings": values}


def _plain(value: object) -> object:
    """Return a number of numpy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    return value


def retry_trials(scheduler: Scheduler, journal: Journal, content: JournalContent) -> None:
    """Let a scheduler take failed trials back, and write it down first.

    Parameters
    ----------
    scheduler : Scheduler
    journal : Journal
    content : JournalContent
        Its content so far.

    Raises
    ------
    UsageError
        If the scheduler cannot take them back.
    """
    latest = {
        report.trial_id: report
        for _, report in content.reports()
        if isinstance(report, TrainFailure | TrainReport)
    }
    trials = scheduler.summary().trials
    failed = [
        trial
        for trial, report in sorted(latest.items())
        if isinstance(report, TrainFailure) and trials[trial].status is TrialStatus.FAILED
    ]
    if not failed:
        _log.warning("retry_failed: no trial of %s has failed", journal.path)
        return
    if not isinstance(scheduler, RetriesTrials):
        raise UsageError(
            f"retry_failed needs a scheduler that takes failed trials back (method retry), got "
            f"{type(scheduler).__name__}; resume without it"
        )
    journal.append("note", {"what": RETRY_FAILED, "trials": failed})
    scheduler.retry(failed)
    _log.warning("retry_failed: %d failed trials are trained again", len(failed))


def read_configs(path: Path, space: SearchSpace, mode: str = "min") -> list[dict[str, Any]]:
    """Read configurations to try first from a file.

    Parameters
    ----------
    path : Path
        ``.json`` (a list of objects), ``.jsonl`` (an object per line) or ``.csv`` with a header.
        A CSV file has a column per hyperparameter; an empty cell leaves it out. Of the table that
        ``hpo report --csv`` writes, the columns ``config_...`` are read, the trials with the
        best last value first.
    space : SearchSpace
        Says which type a text in a CSV file has.
    mode : {"min", "max"}, default="min"
        Whether a lower or a higher value in the table of ``hpo report --csv`` is better.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no configurations.
    """
    objective = Objective(mode=mode)
    readers: Mapping[str, Callable[[str], list[Any]]] = {
        ".json": _from_json,
        ".jsonl": _from_lines,
        ".csv": lambda text: _from_csv(text, space, objective),
    }
    if path.suffix not in readers:
        raise UsageError(f"a file of configurations must be .json, .jsonl or .csv, got {path}")
    try:
        found = readers[path.suffix](path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name another file") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path} holds no configurations: {error}") from None
    if not found or not all(isinstance(config, dict) for config in found):
        raise UsageError(
            f"{path} must hold at least one configuration, each an object of hyperparameters and "
            "values"
        )
    return [dict(with_tuples(config)) for config in found]


def _from_json(text: str) -> list[Any]:
    found = json.loads(text)
    return found if isinstance(found, list) else [found]


def _from_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _from_csv(text: str, space: SearchSpace, objective: Objective) -> list[Any]:
    rows = list(csv.DictReader(text.splitlines(), restkey="more", restval=""))
    reported = _column_of_values(rows[0]) if rows else None
    if reported is not None:
        rows.sort(key=lambda row: finite_or_worst(objective.loss(float(row[reported] or "nan"))))
    return [
        {name: _value(space.domains.get(name), cell) for name, cell in cells.items() if cell != ""}
        for row in rows
        if (cells := row if reported is None else _reported(row))
    ]


def _column_of_values(row: Mapping[str, str]) -> str | None:
    """Return the column of last values in the table of ``hpo report --csv``; None of another."""
    if not {"trial_id", "status", "epochs"} <= set(row):
        return None
    return next((name for name in row if name.startswith("last_")), None)


def _reported(row: Mapping[str, str]) -> dict[str, str]:
    length = len(_PREFIX)
    return {name[length:]: cell for name, cell in row.items() if name.startswith(_PREFIX)}


def _value(domain: Domain | None, cell: str) -> Any:
    """Return the value that a cell stands for: one of the domain, if there is one."""
    try:
        value = json.loads(cell)
    except ValueError:
        value = {"True": True, "False": False, "None": None}.get(cell, cell)
    if domain is None:
        return value
    if domain.size is not None and domain.size <= _MAX_CHOICES:
        for choice in domain.values():
            if str(choice) == cell:
                return choice
    return own_value(domain, value) if value in domain else value
