"""What became of each trial, and in which colour and line every figure shows it."""

from __future__ import annotations

from collections.abc import Container

from hpo.run.results import Results
from hpo.trial import TrialStatus, TrialSummary

# Okabe and Ito's colours, which colour-blind readers can tell apart.
FATES = {
    "given up for better ones": "#999999",
    "stopped by a prediction": "#E69F00",
    "not finished": "#56B4E9",
    "trained to the end": "#0072B2",
    "failed": "#D55E00",
    "best": "#000000",
}
LINES = {
    "given up for better ones": "-",
    "stopped by a prediction": (0, (5, 2)),
    "not finished": (0, (6, 2, 1, 2)),
    "trained to the end": "-",
    "failed": (0, (1, 1.5)),
    "best": "-",
}
"""Line styles of the fates in Matplotlib, so that they can be distinguished without colour."""
RUNS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Colours of several runs side by side."""
KEPT = "#009E73"
"""Colour of what a decision kept."""
PREDICTED = "#CC79A7"
"""Colour of predictions in a timeline."""


def fates(results: Results) -> dict[int, str]:
    """Return the fate of each trial of `results`, a key of `FATES`.

    A prediction may decide on a trial while an idle worker trains its last segment. Such a trial
    was stopped too late to save an epoch, and counts as trained to the end.
    """
    dropped = {trial for e in results.events if e.kind == "decision" for trial in e.dropped}
    best = None if results.incumbent is None else results.incumbent.trial_id
    completed = [t for t in results.trials if t.status is TrialStatus.COMPLETED]
    whole = max((len(trial.losses) for trial in completed), default=0)
    return {
        trial.trial_id: "best" if trial.trial_id == best else _fate(trial, dropped, whole)
        for trial in results.trials
    }


def _fate(trial: TrialSummary, dropped: Container[int], whole: int) -> str:
    if trial.status is TrialStatus.FAILED:
        return "failed"
    if trial.status is TrialStatus.COMPLETED:
        return "trained to the end"
    if trial.status is TrialStatus.STOPPED:
        by_prediction = trial.trial_id in dropped
        if by_prediction and len(trial.losses) == whole:
            return "trained to the end"
        return "stopped by a prediction" if by_prediction else "given up for better ones"
    return "not finished"
