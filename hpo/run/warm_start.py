"""What a new search takes over from the journals of earlier ones.

The best earlier configurations are tried first, by every scheduler. The forecasts of a
scheduler that uses them learn from the earlier trials as well (`hpo.predictors.warm_start`). All
that is taken over is written into the new journal, which does not need the old ones any more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import JournalError, UsageError
from hpo.predictors import JointPredictor
from hpo.predictors.warm_start import instructive
from hpo.run.journal import Entry, JournalContent, read_journal
from hpo.searchers.initial import own_value
from hpo.space.domains import Categorical, Constant, Domain
from hpo.space.search_space import SearchSpace
from hpo.space.values import among
from hpo.trainers.objective import Objective
from hpo.trial import Config, Curve, TrainJob, TrainReport, with_tuples

WARM_START = "warm-start"
"""Kind of the journal's note of the trials that were taken over from an earlier search."""

_N_FIRST = 6
"""Number of earlier configurations that are tried first."""


def earlier_searches(journals: Sequence[Path], objective: Objective) -> list[dict[str, Any]]:
    """Read the journals of earlier searches; return a note on each, for the new journal.

    Parameters
    ----------
    journals : sequence of Path
    objective : Objective
        What the new search optimises.

    Raises
    ------
    JournalError
        If one cannot be read.
    UsageError
        If one holds no trial with a loss, or its search maximises and the new one minimises, or
        the other way round, or both name an objective and not the same one.
    """
    notes = []
    for path in journals:
        content = read_journal(path)
        mode = content.header.objective.mode
        if mode != objective.mode:
            raise UsageError(
                f"warm_start journal {path} must be of a search with mode={objective.mode!r}, as "
                f"the new one, got {mode!r}; leave it out"
            )
        name = content.header.objective.name
        if name and objective.name and name != objective.name:
            raise UsageError(
                f"warm_start journal {path} must be of a search with "
                f"objective={objective.name!r}, as the new one, got {name!r}; leave it out, and "
                "name its best configurations as initial"
            )
        ranked = ranked_trials(trials_of(content))
        if not ranked:
            raise UsageError(
                f"warm_start journal {path} must hold a trial with a finite loss, got none; leave "
                "it out"
            )
        trials = [
            {"trial_id": each.trial_id, "config": dict(each.config), "losses": list(each.losses)}
            for each in instructive(ranked, len(journals))
        ]
        run_id = content.header.run_id
        notes.append({"what": WARM_START, "journal": path.name, "run_id": run_id, "trials": trials})
    return notes


def trials_of(content: JournalContent) -> list[Curve]:
    """Return the trials of a journal as far as their losses are finite; at least one loss each.

    Parameters
    ----------
    content : JournalContent

    Raises
    ------
    JournalError
        If a line holds no job or report of this version.
    """
    configs: dict[int, Config] = {}
    losses: dict[int, list[float]] = {}
    for entry in content.entries:
        if entry.kind == "decided" and entry.data.get("type") == TrainJob.__name__:
            job = _job(entry, content.path)
            configs[job.trial_id] = with_tuples(job.config)
    for _, report in content.reports():
        if isinstance(report, TrainReport):
            known = losses.setdefault(report.trial_id, [])
            if 0 <= report.start <= len(known):
                known[report.start :] = report.losses
    return [
        Curve(trial, configs[trial], finite)
        for trial, known in sorted(losses.items())
        if trial in configs and (finite := tuple(itertools.takewhile(math.isfinite, known)))
    ]


def _job(entry: Entry, path: Path) -> TrainJob:
    try:
        return TrainJob.from_json(entry.data)
    except ValueError as error:
        raise JournalError(
            f"line {entry.line} of journal {path} holds no job of this version: {error}"
        ) from None


def ranked_trials(curves: Sequence[Curve]) -> list[Curve]:
    """Return trials in the order of their forecasts, the best first; uncertain ones count less."""
    if not curves:
        return []
    target = max(len(curve.losses) for curve in curves)
    forecast = JointPredictor().forecast(curves, target)
    order = np.argsort(forecast.mean + forecast.std, kind="stable")
    return [curves[place] for place in order]


def first_configs(notes: Sequence[Mapping[str, Any]], space: SearchSpace | None) -> list[Config]:
    """Return the best earlier configurations, those of all searches in turn, in part.

    Hyperparameters that the space does not have, or values that it does not have, are left out. A
    searcher without a space gets the configurations as they are.

    Parameters
    ----------
    notes : sequence of Mapping
        As `earlier_searches` returns them.
    space : SearchSpace or None
        Space of the new search.
    """
    ranked = [[trial["config"] for trial in note["trials"][:_N_FIRST]] for note in notes]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*ranked))
    best: list[Config] = []
    for config in turns:
        if config is None:  # of a search with fewer trials
            continue
        known = with_tuples(config)
        if space is not None:
            known = {n: v for n, v in known.items() if n in space.domains and v in space.domains[n]}
            known = {n: v for n, v in known.items() if n in set(space.present(known))}
        if known and known not in best:
            best.append(known)
    return best[:_N_FIRST]


def searches_of(notes: Sequence[Mapping[str, Any]], space: SearchSpace | None) -> list[list[Curve]]:
    """Return the earlier trials, their configurations with the hyperparameters of the new search.

    One that an earlier search did not have gets the middle of its domain, one that is constant now
    gets its constant. Numbers outside a range stay as they are. A trial with a choice that a
    hyperparameter no longer has is left out.

    Parameters
    ----------
    notes : sequence of Mapping
        Notes of the new journal; others are ignored.
    space : SearchSpace or None
        Space of the new search; None leaves the configurations as they are.
    """
    searches = []
    for note in notes:
        if note.get("what") != WARM_START:
            continue
        curves = []
        for trial in note["trials"]:
            config = with_tuples(trial["config"])
            known = config if space is None else _within(space, config)
            if known is not None:
                curves.append(Curve(trial["trial_id"], known, tuple(trial["losses"])))
        if curves:
            searches.append(curves)
    return searches


def _within(space: SearchSpace, config: Config) -> Config | None:
    values = {}
    for name, domain in space.domains.items():
        if name not in config:
            values[name] = domain.grid(1)[0]
        elif isinstance(domain, Constant):
            values[name] = domain.value
        elif not _is_encodable(domain, config[name]):
            return None
        else:
            value = config[name]
            values[name] = own_value(domain, value) if value in domain else value
    return space.without_absent(values)


def _is_encodable(domain: Domain, value: Any) -> bool:
    """Return whether a value has features, be it outside of the domain."""
    if isinstance(domain, Categorical):
        return among(value, domain.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value > 0 if getattr(domain, "log", False) else math.isfinite(value)
