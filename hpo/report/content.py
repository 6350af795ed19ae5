"""Content of the page as plain values: numbers are rounded, nothing is formatted as HTML."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.report.axes import Axis, axes_of, resources_of, rung_ends
from hpo.report.importance import FOLDS, LEAST_TRIALS, importance
from hpo.report.plots import FATES, fates
from hpo.report.runs import Forecast, Run
from hpo.run.history import PHASES
from hpo.run.journal import collector_paused
from hpo.run.results import Results
from hpo.run.skill import Skill, skill_text
from hpo.run.timeline import lanes_of, without_pauses
from hpo.trainers.objective import Objective
from hpo.trial import Event, TrialSummary, rank_key

_SHOWN_POINTS = 2000
"""Maximum number of points of the history, and of predictions."""
_SHOWN_RUNGS = 12
"""Maximum number of rungs whose values are shown; the last ones."""
_SHOWN_SPANS = 5000
"""Maximum number of segments of the timeline; the last ones."""
_EXACT_IN_JSON = 2**53
"""Largest integer that a browser reads exactly."""
_WITHIN = ("decision", "degraded")
"""Kinds of events of a rung."""


@collector_paused()
def content(
    run: Run, importances: list[dict[str, Any]] | None = None, *, state: bool = True
) -> dict[str, Any]:
    """Return the content of the page.

    Parameters
    ----------
    run : Run
        From `read_run`.
    importances : list or None
        Value ``"importance"`` of an earlier content, which takes seconds for thousands of trials;
        None measures it.
    state : bool
        Whether to say that a run is not finished.

    Returns
    -------
    dict
        Plain values; NaN and infinity are None.
    """
    results = run.results
    return {
        "title": run.name,
        "objective": results.objective.title,
        "mode": results.objective.mode,
        "metrics": list(results.metrics),
        "lines": run.summary_lines(state=state),
        "figures": _key_figures(results, state=state),
        "settings": [[name, settings_text(value)] for name, value in run.settings.items()],
        "fates": list(FATES),
        "trials": _trials(results),
        "brackets": _brackets(results),
        "decisions": [_decision(event) for event in results.events if event.kind != "rung"],
        **_forecasts(list(run.forecasts()), results.objective),
        "history": history_points(results),
        "phases": [PHASES[False], PHASES[True]],
        "budget": results.budget,
        "baseline": None if results.baseline is None else results.baseline.epochs,
        "saved": list(results.savings),
        "importance": _importances(results.trials) if importances is None else importances,
        "axes": [_axis(axis) for axis in axes_of(results)],
        "resources": _resources(results),
        "rungs": rung_ends(results)[-_SHOWN_RUNGS:],
        "timeline": _timeline(results),
    }


def _key_figures(results: Results, *, state: bool) -> list[list[str]]:
    figures = [["trials", str(len(results.trials))], ["epochs", str(results.epochs)]]
    if results.incumbent is not None:
        best, length = results.incumbent, len(results.incumbent.losses)
        figures.insert(0, [f"best {results.objective.title}", f"{best.value:.5g}"])
        figures.insert(1, ["best trial", f"{best.trial_id}, {length} epoch{'s' * (length != 1)}"])
    if results.baseline is not None:
        figures.append(["epochs of plain Hyperband", str(results.baseline.epochs)])
        saved, whole = results.savings
        figures += [["saved", f"{saved} ({saved / whole:.1%})"]] if saved else []
    if results.utilisation is not None:
        figures.append(["utilisation of workers", f"{results.utilisation:.1%}"])
    if (skill := Skill.of(results.events)) is not None:
        figures.append(["median skill, cross-validated", skill_text(skill.median)])
    degraded = sum(event.kind == "degraded" for event in results.events)
    failed = sum(trial.status == "failed" for trial in results.trials)
    figures += [["failed trials", str(failed)]] if failed else []
    figures += [["degraded decisions", str(degraded)]] if degraded else []
    return figures + ([["state", "not finished"]] if state and not results.finished else [])


def _trials(results: Results) -> list[dict[str, Any]]:
    ends, places = fates(results), list(FATES)
    ranked = sorted(results.trials, key=rank_key)
    ranks = {trial.trial_id: place for place, trial in enumerate(ranked)}
    return [
        {
            "id": trial.trial_id,
            "bracket": trial.bracket,
            "rung": trial.rung,
            "fate": places.index(ends[trial.trial_id]),
            "rank": ranks[trial.trial_id],
            "values": [json_number(value) for value in trial.values],
            "metrics": [
                [json_number(value) for value in trial.metrics.get(name, ())]
                for name in results.metrics
            ],
            "config": {name: _plain(value) for name, value in trial.config.items()},
            "reason": record["reason"],
            "retries": record["retries"],
            "best": json_number(trial.best_value),
        }
        for trial, record in zip(results.trials, results.records(), strict=True)
    ]


def _brackets(results: Results) -> list[dict[str, Any]]:
    """Count, for each rung of each bracket, the fates of the trials that entered it."""
    ends = fates(results)
    baseline = results.baseline
    members: dict[int, list[TrialSummary]] = defaultdict(list)
    for trial in results.trials:
        members[trial.bracket].append(trial)
    events: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for event in results.events:
        events[event.bracket, event.rung].append(event)
    return [
        {
            "bracket": bracket,
            "spent": sum(len(trial.losses) for trial in trials),
            "epochs": _epochs_by_fate(trials, ends),
            "saved": baseline.saved(trials) if baseline is not None and baseline.rounds else None,
            "rungs": list(_rungs(results, bracket, trials, ends, events)),
        }
        for bracket, trials in sorted(members.items())
    ]


def _epochs_by_fate(trials: Sequence[TrialSummary], ends: Mapping[int, str]) -> list[int]:
    """Return the epochs of trials of each fate, in the order of `FATES`."""
    epochs = dict.fromkeys(FATES, 0)
    for trial in trials:
        epochs[ends[trial.trial_id]] += len(trial.losses)
    return list(epochs.values())


def _rungs(
    results: Results,
    bracket: int,
    trials: Sequence[TrialSummary],
    ends: Mapping[int, str],
    events: Mapping[tuple[int, int], Sequence[Event]],
) -> Iterator[dict[str, Any]]:
    """Yield the rungs of a bracket; `events` holds those of each (bracket, rung)."""
    places = list(FATES)
    for rung in range(max(trial.rung for trial in trials) + 1):
        happened = events.get((bracket, rung), ())
        entered = [trial for trial in trials if trial.rung >= rung]
        here = Counter(ends[trial.trial_id] for trial in entered if trial.rung == rung)
        decisions = [_decision(event) for event in happened if event.kind in _WITHIN]
        yield {
            "rung": rung,
            "resource": _resource(results, bracket, rung, happened),
            "entered": len(entered),
            "on": sum(trial.rung > rung for trial in entered),
            "fates": [[places.index(name), here[name]] for name in places if here[name]],
            "decisions": decisions,
        }


def _resource(results: Results, bracket: int, rung: int, events: Sequence[Event]) -> int | None:
    """Return the units at which a rung with these events ends; None if they are not known."""
    for event in events:
        if event.kind == "rung":
            return event.resource
    if results.baseline is None or not results.baseline.rounds:
        return _where_complete(results, bracket, rung)
    brackets = results.baseline.brackets
    rungs = brackets[bracket % len(brackets)].rungs
    return rungs[rung].resource if rung < len(rungs) else None


def _where_complete(results: Results, bracket: int, rung: int) -> int | None:
    """Return the units of the complete trials whose last rung this is; None without one."""
    lengths = {
        len(trial.losses)
        for trial in results.trials
        if (trial.bracket, trial.rung, str(trial.status)) == (bracket, rung, "completed")
    }
    return max(lengths, default=None)


def _decision(event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "bracket": event.bracket,
        "rung": event.rung,
        "resource": event.resource,
        "kept": list(event.kept),
        "dropped": list(event.dropped),
        "skill": None if event.skill is None else json_number(event.skill),
        "message": event.message,
    }


def _forecasts(forecasts: Sequence[Forecast], objective: Objective) -> dict[str, Any]:
    """Return predictions with known true values, and the errors of predictor and last value."""
    known = [f for f in forecasts if f.true is not None and math.isfinite(f.true)]
    rows = [
        [
            *(f.trial_id, f.resource, f.target),
            *(json_number(objective.value(loss)) for loss in (f.predicted, f.last, f.true or 0.0)),
        ]
        for f in known[-_SHOWN_POINTS:]
    ]
    return {
        "forecasts": rows,
        "forecast_errors": {
            "made": len(forecasts),
            "known": len(known),
            "predictor": _rmse([f.predicted - (f.true or 0.0) for f in known]),
            "last value": _rmse([f.last - (f.true or 0.0) for f in known]),
        },
    }


def _rmse(errors: Sequence[float]) -> float | None:
    return json_number(math.sqrt(sum(e * e for e in errors) / len(errors))) if errors else None


def history_points(results: Results) -> list[list[float | None]]:
    """Return [epochs, seconds, best value, phase] after training reports, at most some thousand.

    The phase is 1 if a trial is complete, else 0 (see `hpo.run.history`).

    Parameters
    ----------
    results : Results
        Results of a run.
    """
    points = results.history()
    step = max(1, len(points) // _SHOWN_POINTS)
    kept = [
        point
        for place, point in enumerate(points)
        if place % step == 0
        or place + 1 == len(points)
        or point.best != points[place - 1].best
        or point.complete != points[place - 1].complete
    ]
    return [[p.epochs, round(p.seconds, 3), json_number(p.best), int(p.complete)] for p in kept]


def _measured_resources(trials: Sequence[TrialSummary]) -> list[int]:
    """Return after how many units importances are measured: few, more and most."""
    lengths = sorted((len(trial.losses) for trial in trials), reverse=True)
    if len(lengths) < LEAST_TRIALS or lengths[LEAST_TRIALS - 1] < 1:
        return []
    longest = lengths[LEAST_TRIALS - 1]  # units that enough trials reached
    return sorted({1, round(math.sqrt(longest)), longest})


def _importances(trials: Sequence[TrialSummary]) -> list[dict[str, Any]]:
    """Measure importances after few, more and most units."""
    measured = (importance(trials, resource) for resource in _measured_resources(trials))
    return [
        {
            "resource": each.resource,
            "n": each.n_trials,
            "r2": json_number(each.r2),
            "folds": FOLDS,
            "rows": [
                [name, json_number(mean), json_number(std)]
                for name, mean, std in zip(each.names, each.mean, each.std, strict=True)
            ],
        }
        for each in measured
        if each is not None
    ]


def _axis(axis: Axis) -> dict[str, Any]:
    levels = None if axis.levels is None else list(axis.levels)
    return {
        "name": axis.name,
        "low": axis.low,
        "high": axis.high,
        "log": axis.log,
        "levels": levels,
        "values": [_plain(value) for value in axis.choices],
    }


def _resources(results: Results) -> list[list[int]]:
    """Return [resource, number of trials] for hyperparameters' figures, at most five."""
    ends = resources_of(results)
    step = max(1, math.ceil((len(ends) - 1) / 4))
    lengths = [len(trial.losses) for trial in results.trials]
    ends = sorted({*ends[::step], *ends[-1:], *_measured_resources(results.trials)})
    return [[end, sum(length >= end for length in lengths)] for end in ends]


def _timeline(results: Results) -> dict[str, Any]:
    """Return the rows of the timeline and its bars, without pauses between sessions."""
    spans = without_pauses(results.spans[-_SHOWN_SPANS:])
    names, rows, recorded = lanes_of(spans)
    busy = [0.0] * len(names)
    for span, row in zip(spans, rows, strict=True):
        busy[row] += span.end - span.start
    total = max((span.end for span in spans), default=0.0)
    shares = [min(1.0, seconds / total) if total > 0 and recorded else None for seconds in busy]
    return {
        "recorded": recorded,
        "lanes": [
            {"name": name, "busy": None if share is None else json_number(share)}
            for name, share in zip(names, shares, strict=True)
        ],
        "spans": [
            [
                *(row, span.kind, span.trial_id, span.first, span.last),
                *(round(span.start, 3), round(span.end, 3)),
            ]
            for span, row in zip(spans, rows, strict=True)
        ],
    }


def json_number(value: float) -> float | None:
    """Return `value` rounded to seven digits; None for NaN and infinity, which JSON lacks."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        number = json_number(value)
        return str(value) if number is None else number
    if isinstance(value, int) and abs(value) > _EXACT_IN_JSON:
        return str(value)
    return value if isinstance(value, int | str) or value is None else str(value)


def settings_text(value: Any) -> str:
    """Return a setting's `value` as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {settings_text(item)}" for name, item in value.items())
    return str(value)
