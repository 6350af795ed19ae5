"""The budget follows the workers of the run, is stated before it, and outlives a resumption."""

from __future__ import annotations

import io

from rich.console import Console

from hpo import ListSearcher, SwiftASHA
from hpo.run.journal import read_journal
from hpo.run.progress import RichProgress
from hpo.run.replay import WORKERS
from hpo.run.results import Results
from hpo.run.tuner import Tuner

SWIFT = {"scheduler": "swift-asha", "max_resource": 27, "predictor": "last-value"}


def train(config, start, stop, checkpoint):
    return [config["x"] / 100 + 1 / (unit + 1) for unit in range(start, stop)]


def scheduler(**settings):
    configs = [{"x": float(x)} for x in range(100)]
    return SwiftASHA(ListSearcher(configs), max_resource=9, **settings)


def test_it_is_stated_before_the_run_and_in_the_progress(workshop):
    console = Console(file=io.StringIO(), width=200)
    spec = workshop.spec(**SWIFT, executor="inline")
    results = Tuner.from_spec(spec, progress=RichProgress(console=console)).run()
    first, *_, last = console.file.getvalue().splitlines()
    assert first == "Budget: 160 epochs (0.45 of Hyperband's 357)"
    assert f"epochs: {results.epochs} of 160" in last
    assert 150 <= results.epochs <= 160


def test_more_workers_have_more_and_the_journal_says_so(workshop):
    spec = workshop.spec(**SWIFT, executor="process", n_workers=6)
    console = Console(file=io.StringIO(), width=200)
    Tuner.from_spec(spec, journal=workshop.journal, progress=RichProgress(console=console)).run()
    place, first = console.file.getvalue().splitlines()[:2]
    assert place == f"Journal: {workshop.journal}"
    why = "since 6 workers need 1.5 full trainings of 27 each"
    assert first == f"Budget: 243 epochs (0.68 of Hyperband's 357, {why})"
    notes = [n for n in read_journal(workshop.journal).notes() if n["what"] == WORKERS]
    assert notes == [{"what": WORKERS, "n_workers": 6}]
    assert 228 <= Results.from_journal(workshop.journal).epochs <= 243


def test_a_resumption_on_fewer_workers_goes_on_with_the_same_budget(workshop):
    """Decisions before and after it are those of one search."""
    spec = workshop.spec(**SWIFT, executor="process", n_workers=6)
    Tuner.from_spec(spec, journal=workshop.journal).run()
    lines = workshop.journal.read_bytes().splitlines(keepends=True)
    workshop.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    results = Tuner.resume(workshop.journal, n_workers=1)
    assert results.finished
    assert 228 <= results.epochs <= 243


def test_a_scheduler_from_python_is_told_too(tmp_path):
    plain = Tuner(train, scheduler(), executor="inline", predictor="last-value").run()
    fixed = scheduler(n_workers=20)
    many = Tuner(train, fixed, executor="inline", predictor="last-value").run()
    assert plain.epochs < 60
    assert 258 <= many.epochs <= 270
    journal = tmp_path / "run.jsonl"
    Tuner(train, scheduler(), executor="inline", predictor="last-value", journal=journal).run()
    assert Results.from_journal(journal, scheduler()).epochs == plain.epochs
