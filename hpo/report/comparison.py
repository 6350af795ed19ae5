"""Searches side by side: what each has spent and found, as a table and as a page.

>>> from hpo.report import Comparison, read_run  # doctest: +SKIP
>>> for line in Comparison([read_run(path) for path in paths]).lines():  # doctest: +SKIP
...     print(line)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from hpo.errors import UsageError
from hpo.report.content import history_points, json_number, settings_text
from hpo.report.page import filled, write_page
from hpo.report.runs import Run
from hpo.run.history import PHASES, HistoryPoint, best_so_far
from hpo.run.results import Results, write_records
from hpo.run.table import short
from hpo.text import cell, html_text, plain, visible
from hpo.trainers.objective import Objective
from hpo.trial import TrialStatus

_SCRIPTS = ("base.js", "chart.js", "best.js", "comparison.js")


@dataclass(frozen=True)
class Comparison:
    """Two or more searches, to be looked at side by side.

    Parameters
    ----------
    runs : sequence of Run
        From `hpo.report.read_run`, in the order of their columns.

    Raises
    ------
    UsageError
        If there are fewer than two, or they do not optimise the same metric.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hpo.report import Comparison, read_run
    >>> names = ("hyperband.jsonl", "swift-asha.jsonl")
    >>> Comparison([read_run(Path(name)) for name in names]).names  # doctest: +SKIP
    """

    runs: Sequence[Run]

    def __post_init__(self) -> None:
        """Check that there is something to compare."""
        if len(self.runs) < 2:
            raise UsageError(f"a comparison needs at least 2 runs, got {len(self.runs)}")
        found = {(o.title, o.mode): None for o in (run.results.objective for run in self.runs)}
        if len(found) > 1:
            shown = ", ".join(f"{mode} of {name}" for name, mode in found)
            raise UsageError(
                f"runs of a comparison must optimise one metric in one direction, got {shown}; "
                "compare runs of one kind"
            )

    @property
    def names(self) -> list[str]:
        """A name for each run that no other has: its own, with a number where it is shared."""
        names = [run.name for run in self.runs]
        seen: Counter[str] = Counter()
        told = []
        for name in names:
            seen[name] += 1
            told.append(name if names.count(name) == 1 else f"{name} ({seen[name]})")
        return told

    @property
    def objective(self) -> Objective:
        """What all of them optimise."""
        return self.runs[0].results.objective

    @property
    def common_value(self) -> float:
        """The best value that all searches reached; infinite (the worst) if one has none."""
        return self.objective.value(max(_last_loss(run.results) for run in self.runs))

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict per search.

        ``epochs_to_common`` and ``seconds_to_common`` say after how many epochs and seconds each
        search had reached `common_value`; they compare searches of different length fairly. Seconds
        count from the first report on. What is not known is None.
        """
        common = self.objective.loss(self.common_value)
        return [
            {"name": name, **_record(run, common)}
            for name, run in zip(self.names, self.runs, strict=True)
        ]

    def settings(self) -> list[tuple[str, list[str | None]]]:
        """Return the settings that differ, with their value in each search (None: not known)."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        rows = [(name, [_setting(run, name) for run in self.runs]) for name in names]
        return [(name, values) for name, values in rows if len(set(values)) > 1]

    def configurations(self) -> list[tuple[str, list[Any]]]:
        """Return each hyperparameter with its value in the best configuration of each search."""
        best = [run.results.incumbent for run in self.runs]
        configs: list[Mapping[str, Any]] = [{} if b is None else b.config for b in best]
        names = dict.fromkeys(name for config in configs for name in config)
        return [(name, [config.get(name) for config in configs]) for name in names]

    def table(self) -> Table:
        """Return a table with a column for each search."""
        table = Table(title=f"{len(self.runs)} searches")
        table.add_column("")
        for name in self.names:
            table.add_column(cell(name), justify="right", overflow="fold")
        for name, values in self._figures():
            table.add_row(cell(name), *map(cell, values))
        table.add_section()
        for name, values in self.configurations():
            shown = ("" if value is None else short(value) for value in values)
            table.add_row(cell(name), *map(cell, shown))
        return table

    def lines(self) -> list[str]:
        """Return a summary: which search was quicker to what all of them reached."""
        records = [record for record in self.records() if record["epochs_to_common"] is not None]
        if len(records) < len(self.runs):
            return ["Not every search has a finite value yet."]
        common = f"{self.common_value:.6g}"
        lines = [f"Best value that all of them reached: {common}"]
        for what, unit in (("epochs", "epochs"), ("seconds", "s")):
            ordered = sorted(records, key=lambda record: record[f"{what}_to_common"])
            first, last = ordered[0], ordered[-1]
            spent = [short(record[f"{what}_to_common"]) for record in (first, last)]
            lines.append(
                f"First after {spent[0]} {unit}: {first['name']}; last after {spent[1]} {unit}: "
                f"{last['name']}"
            )
        return [visible(line) for line in lines]

    def write_csv(self, path: Path) -> None:
        """Write the records to a new CSV file.

        Parameters
        ----------
        path : Path
            Must not exist.

        Raises
        ------
        UsageError
            If the file exists or cannot be written.
        """
        write_records(self.records(), path)

    def render(self) -> str:
        """Return the page of the comparison: HTML without external resources."""
        names = self.names
        values = plain(
            {
                "title": " and ".join(names) if len(names) == 2 else f"{len(names)} searches",
                "lines": self.lines(),
                "objective": self.objective.title,
                "mode": self.objective.mode,
                "metrics": [],
                "phases": [PHASES[False], PHASES[True]],
                "trials": [],
                "best": json_number(
                    self.objective.value(min(_last_loss(run.results) for run in self.runs))
                ),
                "runs": [
                    {
                        "name": name,
                        "history": history_points(run.results),
                        "best": json_number(self.objective.value(_last_loss(run.results))),
                    }
                    for name, run in zip(names, self.runs, strict=True)
                ],
                "figures": [[name, *values] for name, values in self._figures()],
                "configs": [
                    [name, *("" if v is None else short(v) for v in values)]
                    for name, values in self.configurations()
                ],
                "settings": [
                    [name, *(value or "" for value in values)] for name, values in self.settings()
                ],
            }
        )
        heads = "".join(f"<th>{html_text(name)}</th>" for name in ("", *names))
        rows = "\n".join(
            "<tr>" + "".join(f"<td>{html_text(each)}</td>" for each in row) + "</tr>"
            for row in values["figures"]
        )
        return filled(
            "comparison.html", _SCRIPTS, values, table=f"<table><tr>{heads}</tr>\n{rows}</table>"
        )

    def write_page(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write the page of the comparison.

        Parameters
        ----------
        path : Path
            The file.
        overwrite : bool, default=False
            Whether to replace an existing file.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        UsageError
            If the file exists and may not be replaced, or cannot be written.
        """
        return write_page(self.render(), path, overwrite=overwrite)

    def _figures(self) -> list[tuple[str, list[str]]]:
        """Return the rows of the table, those left out that are not known of any search."""
        records = self.records()
        common = f"{self.common_value:.4g}"
        headings = {
            "scheduler": "scheduler",
            "state": "state",
            "best_value": f"best {self.objective.title}",
            "best_trial": "best trial",
            "trials": "trials",
            "completed": "trained to the end",
            "failed": "failed",
            "epochs": "epochs",
            "seconds": "seconds",
            "utilisation": "utilisation of workers",
            "epochs_to_common": f"epochs to {common}",
            "seconds_to_common": f"seconds to {common}",
        }
        rows = [
            (heading, ["" if r[name] is None else short(r[name]) for r in records])
            for name, heading in headings.items()
        ]
        return [(heading, values) for heading, values in rows if any(values)]


def _record(run: Run, common: float) -> dict[str, Any]:
    results = run.results
    points = results.history()
    reached = _reached(results, points, common)
    states = [trial.status for trial in results.trials]
    best = results.incumbent
    return {
        "scheduler": run.settings.get("scheduler"),
        "state": "finished" if results.finished else "not finished",
        "best_value": None if best is None else best.value,
        "best_trial": None if best is None else best.trial_id,
        "trials": len(states),
        "completed": states.count(TrialStatus.COMPLETED),
        "failed": states.count(TrialStatus.FAILED),
        "epochs": results.epochs,
        "seconds": round(_seconds(results, points), 3) if points else None,
        "utilisation": results.utilisation,
        "epochs_to_common": None if reached is None else reached.epochs,
        "seconds_to_common": None if reached is None else round(reached.seconds, 3),
    }


def _seconds(results: Results, points: Sequence[HistoryPoint]) -> float:
    """Return how long a search worked, as measured, else from its first report to its last."""
    return results.overlap.seconds or points[-1].seconds


def _reached(
    results: Results, points: Sequence[HistoryPoint], common: float
) -> HistoryPoint | None:
    """Return from which point on the best loss so far was at most `common`."""
    reached = None
    for point in reversed(points):
        in_phase = point.complete == points[-1].complete
        if not (in_phase and results.objective.loss(point.best) <= common < math.inf):
            break
        reached = point
    return reached


def _last_loss(results: Results) -> float:
    """Return the best loss so far, which is minimised; infinity without one."""
    return best_so_far(results.trials).loss


def _setting(run: Run, name: str) -> str | None:
    return settings_text(run.settings[name]) if name in run.settings else None
