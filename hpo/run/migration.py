"""Translation of older journals, on plain JSON values.

Format 1 had a `PredictJob` for forecasts too (with ``n_new``), kept the scale, the warm-start state
and the shortest informative resource of a forecast in the untyped ``info`` of its report, and knew
schedulers, predictors and options that have other names now or are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo.errors import JournalError

FORMAT = 2
"""Version of the journal format that is written."""

READABLE = (1, FORMAT)
"""Versions of the journal format that can be read."""

_OPTIONS = ("scheduler_options", "searcher_options", "predictor_options")
_RENAMED = {
    "share": "budget_fraction",
    "refresh": "forecast_interval",
    "improve": "improvement_fraction",
    "n_new": "n_proposals",
}
_CONSTANTS = {"explore": 1.0, "growth": 1.5, "reserve": 0.05, "n_candidates": 1000}
_WITHOUT_EFFECT = ("seed",)  # of a predictor: each job's own seed took its place
_REMOVED_OPTIONS = ("least_chance", "decision_fractions", "least_skill")
_REMOVED = {
    "scheduler": ("early-hyperband", "swift", "swift-fast"),
    "predictor": ("skilled", "mean", "random"),
}


def migrate(lines: list[Mapping[str, Any]], path: Path) -> list[Mapping[str, Any]]:
    """Translate the lines of a journal to the present format.

    Parameters
    ----------
    lines : list of Mapping
        Header and entries, checked, of a journal whose format is in `READABLE`.
    path : Path
        The journal, for messages.

    Returns
    -------
    list of Mapping
        Header and entries; the same list if the journal is of the present format.

    Raises
    ------
    JournalError
        If the journal uses something that no longer exists.
    """
    number, spec = lines[0]["format"], lines[0]["spec"]
    gone = list(_gone_names(spec))
    if number != FORMAT:
        gone += _gone_options(spec)
    if gone:
        raise JournalError(
            f"journal {path} has format {number} and uses {'; '.join(gone)}. Resume or read it "
            "with the hpo version that wrote it, or start a new run"
        )
    if number == FORMAT:
        return lines
    header = {**lines[0], "format": FORMAT, "spec": _spec(spec)}
    forecasts: set[int] = set()  # ids of the forecast jobs so far
    translated: list[Mapping[str, Any]] = [header]
    for line, entry in enumerate(lines[1:], 2):
        try:
            translated.append(_entry(entry, forecasts))
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(
                f"line {line} of journal {path} is no entry of format {number} "
                f"({type(error).__name__}: {error}); the file was edited or is damaged"
            ) from None
    return translated


def _gone_names(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the scheduler and the predictor of a specification if they no longer exist."""
    for part, names in _REMOVED.items():
        if str(spec.get(part)) in names:
            yield f"{part} {spec[part]!r}, which no longer exists"


def _gone_options(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield options of format 1 that no longer exist."""
    for part in _OPTIONS:
        for name, value in spec.get(part, {}).items():
            if name in _REMOVED_OPTIONS:
                yield f"option {name}, which no longer exists"
            elif name in _CONSTANTS and value != _CONSTANTS[name]:
                yield f"option {name}={value!r}, which is fixed at {_CONSTANTS[name]} now"


def _spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    translated = dict(spec)
    for part in _OPTIONS:
        if part in spec:
            translated[part] = {
                _RENAMED.get(name, name): value
                for name, value in spec[part].items()
                if name not in _CONSTANTS and name not in _WITHOUT_EFFECT
            }
    if spec.get("scheduler") == "asha-stopping":
        options = translated.get("scheduler_options", {})
        translated |= {"scheduler": "asha", "scheduler_options": {**options, "type": "stopping"}}
    return translated


def _entry(entry: Mapping[str, Any], forecasts: set[int]) -> Mapping[str, Any]:
    kind, data = entry["kind"], entry["data"]
    if kind == "decided" and data.get("type") == "PredictJob" and data.get("n_new") is not None:
        forecasts.add(data["job_id"])
        return {**entry, "data": _forecast_job(data)}
    if kind == "reported" and data.get("type") == "PredictReport":
        forecast = data["job_id"] in forecasts
        return {**entry, "data": _forecast_report(data) if forecast else _predict_report(data)}
    return entry


def _forecast_job(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "ForecastJob",
        "n_proposals": job["n_new"],
        "warm_start_state": job["memory"],
        **{name: job[name] for name in ("job_id", "target", "seed", "curves")},
    }


def _forecast_report(report: Mapping[str, Any]) -> dict[str, Any]:
    info = dict(report["info"])
    return {
        "type": "ForecastReport",
        "scale": info.pop("scale", {}),
        "min_informative_resource": info.pop("telling", None),
        "warm_start_state": info.pop("memory", {}),
        "info": info,
        **{name: report[name] for name in ("job_id", "predictions", "stds", "skill", "proposals")},
    }


def _predict_report(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "proposals"}
