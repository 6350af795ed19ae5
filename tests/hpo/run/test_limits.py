"""A limit ends a run cleanly: with results, within a few per cent, and the run goes on."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest

from hpo import Hyperband, ListSearcher, RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.errors import InterruptedRunError, UsageError
from hpo.report import read_status
from hpo.run.journal import read_journal
from hpo.run.limits import Limits, limits_of
from hpo.run.progress import Progress, Snapshot
from hpo.run.results import Results
from hpo.run.work import work
from hpo.schedulers import SCHEDULERS
from hpo.trial import TrainJob, TrainReport, TrialStatus
from workshop import SPACE

OPTIONS = {"swift-asha": {"predictor": "last-value", "searcher": "random"}}


def losses_of(config, start, stop, checkpoint):
    return [config["lr"] + 1 / (unit + 1) for unit in range(start, stop)]


def search(name="hyperband", **options):
    """Return a scheduler of a search in this process."""
    searcher = RandomSearcher(SearchSpace.from_dict(SPACE), seed=0)
    settings = {"max_resource": 9, "reduction_factor": 3, **options}
    return make_scheduler(name, searcher, **settings)


@pytest.mark.parametrize("name", list(SCHEDULERS))
def test_max_epochs_in_parts_equals_the_whole_search(tmp_path, outcome_of, name) -> None:
    """Every scheduler stops at the epoch, in the middle of a segment too, and goes on."""
    trained = []

    def trainer(config, start, stop, checkpoint):
        trained.append(stop - start)
        return losses_of(config, start, stop, checkpoint)

    journal = tmp_path / "run.jsonl"
    how = {"executor": "inline", "predictor": "last-value"}
    reference = Tuner(trainer, search(name), **how).run()
    assert (reference.finished, reference.stopped_by) == (True, None)

    trained.clear()
    results = Tuner(trainer, search(name), journal=journal, **how).run(max_epochs=13)
    assert (results.finished, results.stopped_by, results.epochs) == (False, "max_epochs", 13)
    assert sum(len(trial.losses) for trial in results.trials) == sum(trained) == 13
    assert results.incumbent is not None
    read = Results.from_journal(journal, search(name))
    assert (outcome_of(read), read.stopped_by) == (outcome_of(results), "max_epochs")
    again = Tuner.resume(journal, trainer, search(name), max_epochs=13, **how)
    assert (outcome_of(again), again.epochs) == (outcome_of(results), 13)
    assert Tuner.resume(journal, trainer, search(name), max_epochs=17, **how).epochs == 17
    whole = Tuner.resume(journal, trainer, search(name), **how)
    assert (whole.finished, whole.stopped_by) == (True, None)
    assert outcome_of(whole) == outcome_of(reference)
    assert sum(trained) == reference.epochs, "nothing was trained twice"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hyperband", "asha", "swift-asha"])
def test_max_epochs_on_four_workers(workshop, name) -> None:
    workshop.slow(0.0)
    spec = workshop.spec(
        scheduler=name, max_resource=27, executor="process", n_workers=4, **OPTIONS.get(name, {})
    )
    results = Tuner.from_spec(spec, journal=workshop.journal).run(max_epochs=60)
    assert results.stopped_by == "max_epochs"
    assert results.epochs == workshop.epochs() == 60
    assert Tuner.resume(workshop.journal, max_epochs=75).epochs == 75


@pytest.mark.parametrize("name", list(SCHEDULERS))
def test_max_trials_finishes_the_trials_that_it_has(tmp_path, outcome_of, name) -> None:
    journal = tmp_path / "run.jsonl"
    how = {"executor": "inline", "predictor": "last-value"}
    results = Tuner(losses_of, search(name), journal=journal, **how).run(max_trials=4)
    assert len(results.trials) == 4
    assert all(trial.status.over for trial in results.trials)
    if name != "asha":  # which promotes one of three
        assert any(trial.status is TrialStatus.COMPLETED for trial in results.trials)
    read = Results.from_journal(journal, search(name))
    assert (outcome_of(read), read.stopped_by) == (outcome_of(results), results.stopped_by)
    more = Tuner.resume(journal, losses_of, search(name), max_trials=6, **how)
    whole = Tuner.resume(journal, losses_of, search(name), **how)
    assert whole.finished
    if name == "swift-asha":  # which may have spent all of its epochs on four trials
        assert results.epochs <= more.epochs <= whole.epochs == whole.budget
    else:
        assert (results.finished, results.stopped_by) == (False, "max_trials")
        assert len(more.trials) == 6
        assert len(whole.trials) == len(Tuner(losses_of, search(name), **how).run().trials)
    for old, new in zip(results.trials, whole.trials, strict=False):
        assert (new.config, new.losses[: len(old.losses)]) == (old.config, old.losses)


def test_the_target_stops_the_run_as_soon_as_it_is_reported(workshop, outcome_of) -> None:
    reference = Tuner.from_spec(workshop.spec()).run()
    lows = [(min(r.losses), r) for _, r in reference.reports if isinstance(r, TrainReport)]
    target = lows[10][0]
    first = next(place for place, (low, _) in enumerate(lows) if low <= target)
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run(target=target)
    assert (results.finished, results.stopped_by) == (False, "target")
    assert [report for _, report in results.reports] == [report for _, report in lows[: first + 1]]
    n_trained = len(workshop.trace())
    assert Tuner.resume(workshop.journal, target=target).stopped_by == "target"
    assert len(workshop.trace()) == n_trained, "it was reached before"
    whole = Tuner.resume(workshop.journal, target=-1.0)
    assert whole.finished
    assert outcome_of(whole) == outcome_of(reference)


def test_max_time_returns_what_was_found(workshop, outcome_of, monkeypatch) -> None:
    """By a clock that the epochs move on, each by a second."""
    reference = Tuner.from_spec(workshop.spec()).run()
    with monkeypatch.context() as patch:
        workshop.keep_time(patch)
        results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run(max_time=25)
    assert (results.finished, results.stopped_by) == (False, "max_time")
    assert 20 <= results.epochs <= 25 < reference.epochs
    assert outcome_of(Tuner.resume(workshop.journal, max_time="1h")) == outcome_of(reference)


def test_the_earlier_of_deadline_and_max_time_counts(workshop) -> None:
    workshop.slow(0.02)
    tuner = Tuner.from_spec(workshop.spec(), journal=workshop.journal, deadline=0.2)
    with pytest.raises(InterruptedRunError, match="at the deadline"):
        tuner.run(max_time=60.0)
    assert Tuner.resume(workshop.journal, deadline=60, max_time=0.2).stopped_by == "max_time"


@pytest.mark.slow
def test_max_time_ends_what_runs_in_workers(workshop) -> None:
    """An epoch of ten seconds, which nobody has measured yet, is not waited for."""
    workshop.slow(10.0)
    spec = workshop.spec(executor="process", n_workers=2)
    results = Tuner.from_spec(spec, journal=workshop.journal).run(max_time=2.0)
    assert (results.stopped_by, results.epochs) == ("max_time", 0)


def test_epochs_of_segments_that_failed_are_given_to_others() -> None:
    def trainer(config, start, stop, checkpoint):
        if checkpoint.parent.name == "trial-00001":
            raise ValueError("no such number")
        return losses_of(config, start, stop, checkpoint)

    tuner = Tuner(trainer, search("random-search"), executor="inline", max_retries=0)
    results = tuner.run(max_epochs=20)
    assert [len(trial.losses) for trial in results.trials] == [9, 0, 9, 2]
    assert results.trials[1].status is TrialStatus.FAILED


def test_the_first_limit_counts_and_without_a_journal_too() -> None:
    tuner = Tuner(losses_of, search(), executor="inline")
    results = tuner.run(max_epochs=30, max_trials=100, target=-1.0, max_time=60)
    assert (results.stopped_by, results.epochs) == ("max_epochs", 30)
    assert results.best.losses
    finished = Tuner(losses_of, search(), executor="inline").run(max_epochs=69, max_trials=17)
    assert (finished.finished, finished.stopped_by) == (True, None), "not beyond the limits"


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be an integer of at least 1 or None, got 0"),
        ({"max_epochs": 2.5}, "max_epochs must be an integer"),
        ({"max_trials": True}, "max_trials must be an integer"),
        ({"max_trials": -3}, "max_trials must be an integer"),
        ({"target": math.nan}, "target must be a finite number"),
        ({"target": 10**400}, "target must be a finite number"),
        ({"target": "low"}, "target must be a finite number"),
        ({"max_time": 0}, "max_time must be a positive time"),
        ({"max_time": "soon"}, "max_time must be a positive time"),
        ({"max_time": datetime(2030, 1, 1)}, "a moment is given as deadline"),  # noqa: DTZ001
        ({"max_time": "2030-01-01"}, "a moment is given as deadline"),
    ],
)
def test_what_is_no_limit_is_refused_before_anything_is_written(workshop, limit, message) -> None:
    tuner = Tuner.from_spec(workshop.spec(), journal=workshop.journal)
    with pytest.raises(UsageError, match=message):
        tuner.run(**limit)
    assert not workshop.journal.exists()


def test_durations() -> None:
    for given in (90, "90", "90s", "1m30s", "00:01:30", timedelta(seconds=90)):
        assert Limits(max_time=given).seconds == 90
    assert Limits().seconds == math.inf


class Own:
    """A scheduler of a user's own, which knows of no limit."""

    def __init__(self, inner) -> None:
        self.ask, self.tell, self.summary = inner.ask, inner.tell, inner.summary


def test_a_scheduler_that_cannot_limit_its_trials(workshop) -> None:
    tuner = Tuner(losses_of, Own(search()), journal=workshop.journal, executor="inline")
    with pytest.raises(UsageError, match=r"max_trials needs a scheduler .* got Own"):
        tuner.run(max_trials=3)
    assert not workshop.journal.exists()
    assert tuner.run(max_epochs=5).epochs == 5


def test_the_display_shows_the_lower_of_limit_and_budget() -> None:
    class Seen(Progress):
        def show(self, summary, baseline) -> None:
            texts.append(Snapshot.of(summary, baseline, self.bounds.limits).fields()["epochs"])

    texts: list[str] = []
    Tuner(losses_of, search(), executor="inline", progress=Seen()).run(max_epochs=30)
    assert texts[-1] == "30 of 30", "parts of segments included"
    scheduler = search("swift-asha", max_epochs=20)
    settings = {"executor": "inline", "predictor": "last-value", "progress": Seen()}
    Tuner(losses_of, scheduler, **settings).run(max_epochs=1000)
    assert texts[-1] == "20 of 20"


def test_command_line(workshop) -> None:
    limits = ("--max-epochs", "20", "--max-time", "1h", "--max-trials", "12", "--target", "-1")
    done = workshop.cli(*workshop.run_args(), *limits, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "Stopped by max_epochs=20; resume the run with another limit" in done.stdout
    assert "Epochs: 20" in done.stdout
    assert read_status(workshop.journal).state == "stopped"
    notes = [note for note in read_journal(workshop.journal).notes() if note["what"] == "limits"]
    expected = {"max_time": 3600.0, "max_epochs": 20, "max_trials": 12, "target": -1.0}
    assert notes == [{"what": "limits", **expected}]
    report = workshop.cli("report", "run.jsonl")
    assert "Stopped by max_epochs=20" in report.stdout
    bad = workshop.cli("resume", "run.jsonl", "--max-trials", "0")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    whole = workshop.cli("resume", "run.jsonl", "--quiet")
    assert whole.returncode == 0
    assert "Stopped" not in whole.stdout
    assert Results.from_journal(workshop.journal).epochs == 69


def test_a_search_from_python_objects_that_was_limited(workshop, outcome_of) -> None:
    """Its journal is read without them, and its trials too."""
    settings = {"journal": workshop.journal, "executor": "inline"}
    results = Tuner(losses_of, search(), **settings).run(max_epochs=40)
    read = Results.from_journal(workshop.journal)
    assert (read.epochs, read.stopped_by) == (40, "max_epochs")
    assert [t[:4] for t in outcome_of(read)] == [t[:4] for t in outcome_of(results)]
    whole = Tuner.resume(workshop.journal, losses_of, search(), executor="inline")
    assert outcome_of(whole) == outcome_of(Tuner(losses_of, search(), executor="inline").run())


@pytest.mark.parametrize("units", [1, 4])
def test_a_part_is_of_the_job_that_was_cut(units) -> None:
    """The results hold what was trained of the last job, once."""
    tuner = Tuner(losses_of, search("random-search"), executor="inline")
    results = tuner.run(max_epochs=9 + units)
    job = TrainJob(1, results.trials[1].config, 0, units)
    assert results.trials[1].losses == tuple(losses_of(job.config, 0, units, None))


def test_who_takes_the_lead_keeps_the_limits(workshop) -> None:
    """The leader of a search of several processes is killed; another one goes on."""
    spec = workshop.spec(executor="shared")
    Tuner.from_spec(spec, journal=workshop.journal).run(max_epochs=30, target=-1.0)
    lines = workshop.journal.read_bytes().splitlines(keepends=True)
    workshop.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    kept = limits_of(read_journal(workshop.journal).notes())
    assert kept == {"max_epochs": 30, "max_trials": None, "target": -1.0}
    results = work(workshop.journal).results
    assert results is not None
    assert (results.stopped_by, results.epochs) == ("max_epochs", 30)
    results = work(workshop.journal).results  # who joins a search that a limit ended means it
    assert results is not None
    assert results.finished


def test_limits_of_a_metric_that_is_maximised(tmp_path) -> None:
    """The target, and what was trained of a segment that was cut, are in the user's sign."""

    def trainer(config, start, stop, checkpoint):
        return {"accuracy": [1 - loss for loss in losses_of(config, start, stop, checkpoint)]}

    how = {"executor": "inline", "mode": "max", "objective": "accuracy"}
    journal = tmp_path / "run.jsonl"
    first = Tuner(trainer, search("random-search"), journal=journal, **how).run(max_epochs=13)
    second = first.trials[1]
    assert second.values == tuple(trainer(second.config, 0, 4, None)["accuracy"])
    assert Results.from_journal(journal, search("random-search")).trials[1].values == second.values
    whole = Tuner(trainer, search("random-search"), **how).run()
    best = max(max(trial.values) for trial in whole.trials)
    resumed = (journal, trainer, search("random-search"))
    results = Tuner.resume(*resumed, target=best, executor="inline")
    assert (results.stopped_by, max(max(t.values) for t in results.trials)) == ("target", best)
    assert results.trials[1].losses == whole.trials[1].losses
    far = Tuner.resume(journal, trainer, search("random-search"), target=9.0, executor="inline")
    assert (far.finished, far.stopped_by) == (True, None)
    assert [trial.values for trial in far.trials] == [trial.values for trial in whole.trials]


def test_a_value_that_is_not_finite_reaches_no_target() -> None:
    """Infinity of either sign counts as worst, as everywhere."""
    scheduler = Hyperband(ListSearcher([{"x": x} for x in range(4)]), max_resource=2)

    def train(config, start, stop, checkpoint):
        return [math.inf if config["x"] == 0 else 0.1 * config["x"]] * (stop - start)

    results = Tuner(train, scheduler, executor="inline", mode="max").run(target=0.25)
    assert results.stopped_by == "target"
    assert results.best_trial(scope="any").config == {"x": 3}


def test_a_search_that_is_over_stays_so_with_a_target_that_it_has_reached(workshop) -> None:
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    found = Tuner.resume(workshop.journal, target=1e6)
    assert (found.finished, found.stopped_by) == (True, None)
    assert Results.from_journal(workshop.journal).finished


def test_a_target_that_was_reached_before_stops_a_search_again(workshop, outcome_of) -> None:
    whole = Tuner.from_spec(workshop.spec(), journal=workshop.root / "whole.jsonl").run()
    tuner = Tuner.from_spec(workshop.spec(), journal=workshop.journal)
    assert tuner.run(target=1e6).stopped_by == "target"
    again = Tuner.resume(workshop.journal, target=1e6)
    assert (again.finished, again.stopped_by) == (False, "target")
    assert Results.from_journal(workshop.journal).trials == again.trials
    assert outcome_of(Tuner.resume(workshop.journal)) == outcome_of(whole)
