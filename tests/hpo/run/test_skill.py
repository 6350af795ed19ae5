"""The display, the summary and the page agree on a skill, and say what it means."""

from __future__ import annotations

from hpo.report.content import content
from hpo.report.runs import Run
from hpo.run.progress import Snapshot
from hpo.run.results import Results
from hpo.trial import Event, SchedulerSummary

SKILLS = (0.52, -0.16, -1.16, 0.87, -1.38, -90.6)
"""Of the digits example. At the last decision the last value is nearly right."""


def test_every_place_shows_the_median_and_what_it_means() -> None:
    events = tuple(Event("decision", 0, n, 1, skill=skill) for n, skill in enumerate(SKILLS))
    summary = SchedulerSummary((), None, 0, events)
    results = Results.of(summary, [], [], None, finished=True)
    shown = Snapshot.of(summary, None).fields()["skill"]
    assert shown == "-0.66 (cross-validated, median of 6 decisions; 0: as good as the last value)"
    (line,) = (line for line in results.summary_lines() if "skill" in line)
    assert "median skill -0.66 of 6 decisions, from below -10 to +0.87" in line
    assert "0: as good as keeping the last value, below 0: worse" in line
    figures = dict(content(Run("run", results))["figures"])
    assert figures["median skill, cross-validated"] == "-0.66"


def test_the_realised_skill_stands_below_the_cross_validated_one() -> None:
    events = (Event("decision", 0, 0, 1, skill=0.5),)
    results = Results.of(SchedulerSummary((), None, 0, events), [], [], None, finished=True)
    lines = results.summary_lines(realised_skill=(0.25, 9))
    place = next(n for n, line in enumerate(lines) if "cross-validated" in line)
    assert lines[place + 1].startswith("Predictor, against true losses: skill +0.25 of 9 predict")
    assert "+0.25 of 1 prediction;" in results.summary_lines(realised_skill=(0.25, 1))[place + 1]
    without = Results.of(SchedulerSummary((), None, 0, ()), [], [], None, finished=True)
    assert "skill +0.25 of 9" in without.summary_lines(realised_skill=(0.25, 9))[-1]
