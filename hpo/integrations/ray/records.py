"""The journal of a search that Ray Tune runs, from which it is restored and shown.

Beside decisions and reports it holds, as notes, the settings of the scheduler, which Ray trial is
which of ours, and every loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import JournalError
from hpo.integrations.conductor import Arrivals
from hpo.loop import Scheduler
from hpo.report import Run
from hpo.report import read_run as read_any_run
from hpo.run.journal import Journal, JournalContent, read_journal
from hpo.schedulers import make_scheduler
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import Config, TrainReport

SETTINGS, TRIAL, RESULT = "ray settings", "ray trial", "ray result"


class RayJournal:
    """A journal with notes about Ray's trials.

    Parameters
    ----------
    path : Path
        The file; one that exists is opened to go on.
    settings : Mapping
        Of the scheduler, in plain values.
    objective : Objective
        Ray's metric and mode, for the reports of a new journal.

    Attributes
    ----------
    journal : Journal
        The open journal.
    content : JournalContent or None
        What it held; None for a new one.

    Raises
    ------
    JournalError
        If the file cannot be used, or was begun with other settings.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], objective: Objective = LOSS_MINIMISED
    ) -> None:
        self.content: JournalContent | None = None
        if Path(path).exists():
            self.journal, self.content = Journal.open(path)
            _check_settings(self.content, settings)
        else:
            self.journal = Journal.create(path, {}, objective)
            self.journal.append("note", {"what": SETTINGS, "settings": dict(settings)})

    def arrived(self, number: int, ray_id: str, config: Config) -> None:
        """Note which trial of Ray is which of ours."""
        note = {"what": TRIAL, "trial_id": number, "ray": ray_id, "config": dict(config)}
        self.journal.append("note", note)

    def result(self, number: int, unit: int, loss: float) -> None:
        """Note a loss, which is minimised: minus Ray's value for its mode ``"max"``."""
        self.journal.append(
            "note", {"what": RESULT, "trial_id": number, "unit": unit, "loss": loss}
        )


def _settings(content: JournalContent) -> Mapping[str, Any]:
    for note in content.notes():
        if note.get("what") == SETTINGS:
            return dict(note["settings"])
    raise JournalError(
        f"journal {content.path} was not written by hpo.integrations.ray; name another file"
    )


def _check_settings(content: JournalContent, settings: Mapping[str, Any]) -> None:
    before = _settings(content)
    if before != dict(settings):
        changed = sorted(n for n in {*before, *settings} if before.get(n) != settings.get(n))
        raise JournalError(
            f"journal {content.path} was begun with other settings ({', '.join(changed)}); go on "
            "with the same, or name another file"
        )


def known_trials(content: JournalContent) -> list[tuple[str, Config]]:
    """Return (Ray's id, configuration) of the trials that arrived, by their number."""
    return [(n["ray"], n["config"]) for n in content.notes() if n.get("what") == TRIAL]


def known_losses(content: JournalContent) -> dict[int, list[float]]:
    """Return every trial's losses: those reported, then those noted after them."""
    losses: dict[int, list[float]] = {n: [] for n in range(len(known_trials(content)))}
    for _, report in content.reports():
        if isinstance(report, TrainReport):
            losses[report.trial_id][report.start : report.stop] = report.losses
    for note in content.notes():
        if note.get("what") == RESULT:
            known = losses[note["trial_id"]]
            known.extend([note["loss"]] * (note["unit"] - len(known)))
    return losses


def build_scheduler(settings: Mapping[str, Any], arrivals: Arrivals) -> Scheduler:
    """Build the scheduler that some settings describe.

    Raises
    ------
    ValueError
        If a setting is unknown or out of range.
    """
    options = {name: value for name, value in settings.items() if name != "scheduler"}
    return make_scheduler(settings["scheduler"], arrivals, **options)


def read_run(journal: Path) -> Run:
    """Read a search that Ray Tune runs or ran, for `hpo.report.write_report`.

    Parameters
    ----------
    journal : Path
        What `SwiftHyperBand(journal=...)` wrote.

    Returns
    -------
    Run
        Its ``results`` are `hpo.run.results.Results`.

    Raises
    ------
    JournalError
        If the journal cannot be used.
    """
    content = read_journal(journal)
    arrivals = Arrivals()
    arrivals.configs.extend(config for _, config in known_trials(content))
    arrivals.closed = True
    settings = _settings(content)
    run = read_any_run(journal, build_scheduler(settings, arrivals))
    return Run(run.name, run.results, run.jobs, settings)
