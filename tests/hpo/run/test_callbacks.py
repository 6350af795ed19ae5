"""Callbacks see every epoch, every end of a trial and the results, and may stop what goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo import Callback, RandomSearcher, SearchSpace, Stop, Tuner, make_scheduler
from hpo.errors import CallbackError, InterruptedRunError, UsageError
from hpo.report import read_run
from hpo.run.journal import read_journal
from hpo.run.replay import replay
from hpo.run.results import Results
from hpo.trial import TrialStatus
from workshop import outcome_of

SPACE = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
SCHEDULERS = ("random-search", "hyperband", "swift-hyperband", "asha", "swift-asha")


def train(config, start, stop, checkpoint):
    if config["lr"] > 0.9:
        raise ValueError("diverged")
    return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]


def scheduler(name: str = "hyperband", max_resource: int = 9):
    searcher = RandomSearcher(SPACE, seed=1)
    options = {"n_trials": 20} if name == "random-search" else {}
    return make_scheduler(name, searcher, max_resource=max_resource, reduction_factor=3, **options)


def tuner(*callbacks: Callback, name: str = "hyperband", **settings) -> Tuner:
    settings = {"executor": "inline", "max_retries": 0} | settings
    return Tuner(train, scheduler(name), callbacks=callbacks, **settings)


class Watching(Callback):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, int, float]] = []
        self.ended: dict[int, TrialStatus] = {}
        self.results: list = []

    def on_epoch(self, trial, unit, value):
        assert trial.values[-1] == value
        assert len(trial.values) == unit
        assert trial.trial_id not in self.ended
        self.epochs.append((trial.trial_id, unit, value))

    def on_trial_end(self, trial):
        assert trial.status.over
        assert trial.trial_id not in self.ended
        self.ended[trial.trial_id] = trial.status

    def on_search_end(self, results):
        self.results.append(results)


def told(results) -> set[tuple[int, int, float]]:
    """Return what a callback should have been told of the epochs of a run."""
    return {
        (trial.trial_id, unit, loss)
        for trial in results.trials
        for unit, loss in enumerate(trial.values, 1)
    }


@pytest.mark.parametrize("name", SCHEDULERS)
def test_callbacks_see_all_of_a_search(name: str) -> None:
    watching = Watching()
    results = tuner(watching, Callback(), name=name).run()
    assert len(watching.epochs) == len(told(results)) == results.epochs
    assert set(watching.epochs) == told(results)
    assert watching.ended == {trial.trial_id: trial.status for trial in results.trials}
    assert TrialStatus.FAILED in watching.ended.values()
    assert outcome_of(watching.results[0]) == outcome_of(results)
    assert len(watching.results) == 1
    assert results.finished


def test_callbacks_change_nothing_by_looking() -> None:
    assert outcome_of(tuner(Watching()).run()) == outcome_of(tuner().run())


class StopsTrials(Watching):
    """Stops bad trials after their first segment."""

    def on_epoch(self, trial, unit, value):
        super().on_epoch(trial, unit, value)
        return Stop.TRIAL if self.is_bad(unit, value) else None

    @staticmethod
    def is_bad(unit: int, value: float) -> bool:
        return value - 1 / unit > 0.04


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_trial_that_is_stopped_is_trained_no_further(name: str, tmp_path: Path) -> None:
    stopping, journal = StopsTrials(), tmp_path / "run.jsonl"
    results = tuner(stopping, name=name, journal=journal).run()
    stopped = {trial for trial, unit, value in stopping.epochs if stopping.is_bad(unit, value)}
    assert stopped
    reports = [
        entry.data
        for entry in read_journal(journal).entries
        if entry.kind == "reported" and entry.data["type"] == "TrainReport"
    ]
    for trial in stopped:
        own = [each for each in reports if each["trial_id"] == trial]
        assert [each["finished"] for each in own] == [False] * (len(own) - 1) + [True]
        assert results.trials[trial].status is TrialStatus.COMPLETED
    assert stopped != {trial.trial_id for trial in results.trials}
    again = scheduler(name)
    assert replay(read_journal(journal), again) == []  # without the callback
    kept = [(each.status, each.losses) for each in results.trials]
    assert [(each.status, each.losses) for each in again.summary().trials] == kept


class StopsSearch(Watching):
    """Stops the search in one of its methods."""

    def __init__(self, method: str, after: int) -> None:
        super().__init__()
        self.method, self.after = method, after

    def on_epoch(self, trial, unit, value):
        super().on_epoch(trial, unit, value)
        if self.method == "on_epoch" and len(self.epochs) == self.after:
            return Stop.SEARCH
        return None

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        return Stop.SEARCH if self.method == "on_trial_end" and self.after == 1 else None


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(("method", "after"), [("on_epoch", 5), ("on_trial_end", 1)])
def test_a_search_that_is_stopped_goes_on_when_it_is_resumed(
    name: str, method: str, after: int, tmp_path: Path
) -> None:
    journal = tmp_path / "run.jsonl"
    stopping, later = StopsSearch(method, after), Watching()
    results = tuner(stopping, name=name, journal=journal).run()
    whole = tuner(name=name).run()
    assert not results.finished
    assert 0 < results.epochs < whole.epochs
    assert stopping.results[0].epochs == results.epochs
    assert set(stopping.epochs) == told(results)
    assert results.stopped_by == "callback StopsSearch"
    resumed = Tuner.resume(
        journal, train, scheduler(name), executor="inline", max_retries=0, callbacks=[later]
    )
    assert resumed.finished
    assert outcome_of(resumed) == outcome_of(whole)
    assert not set(stopping.epochs) & set(later.epochs)
    assert {*stopping.epochs, *later.epochs} == told(whole)
    assert not {*stopping.ended} & {*later.ended}
    assert {**stopping.ended, **later.ended} == {t.trial_id: t.status for t in whole.trials}


def test_stopping_at_the_last_trial_is_the_end() -> None:
    class Last(Watching):
        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            return Stop.SEARCH if len(self.ended) == 17 else None

    results = tuner(Last()).run()
    assert len(results.trials) == 17
    assert results.finished


class Failing(Watching):
    """Fails in one of its methods, or answers what it must not."""

    def __init__(self, method: str, answer: object = None) -> None:
        super().__init__()
        self.method, self.answer, self.calls = method, answer, 0
        if method == "on_search_end":
            self.on_search_end = self.fail  # type: ignore[method-assign]
        else:
            setattr(self, method, self.fail)

    def fail(self, *_):
        self.calls += 1
        if self.answer is None:
            raise KeyError("gone")
        return self.answer


@pytest.mark.parametrize("method", ["on_epoch", "on_trial_end", "on_search_end"])
def test_a_callback_that_fails_stops_the_run_in_good_order(method: str, tmp_path: Path) -> None:
    journal, failing = tmp_path / "run.jsonl", Failing(method)
    message = rf"callback Failing\.{method} failed: KeyError: 'gone' \(test_callbacks.py:\d+\); "
    with pytest.raises(CallbackError, match=message) as caught:
        tuner(failing, journal=journal).run()
    assert failing.calls == 1
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.results.epochs > 0  # what had come is kept
    assert Results.from_journal(journal).trials == caught.value.results.trials
    settings = {"executor": "inline", "max_retries": 0}
    resumed = Tuner.resume(journal, train, scheduler(), **settings)
    assert outcome_of(resumed) == outcome_of(tuner().run())


@pytest.mark.parametrize("answer", [True, "stop", Stop])
def test_a_callback_that_answers_something_else(answer: object) -> None:
    message = re.escape("must return None, Stop.TRIAL or Stop.SEARCH, got " + repr(answer))
    with pytest.raises(CallbackError, match=rf"callback Failing\.on_epoch {message}"):
        tuner(Failing("on_epoch", answer)).run()


def test_other_callbacks_are_told_of_the_end_of_a_run_that_one_stops() -> None:
    watching = Watching()
    results = tuner(StopsSearch("on_epoch", 3), watching).run()
    assert set(watching.epochs) == told(results)
    assert len(watching.results) == 1


def test_an_interrupted_run_tells_its_callbacks(tmp_path: Path) -> None:
    watching = Watching()
    with pytest.raises(InterruptedRunError) as caught:
        tuner(watching, deadline=0.01, executor="process").run()
    assert [each.epochs for each in watching.results] == [caught.value.results.epochs]
    assert not watching.results[0].finished


@pytest.mark.slow
def test_a_search_on_workers_is_stopped_at_once(workshop) -> None:
    """What still runs is ended, and trained again later; each epoch counts once."""
    workshop.slow(0.02)
    journal = workshop.journal
    stopping, later = StopsSearch("on_epoch", 8), Watching()
    settings = {"executor": "process", "n_workers": 2}
    results = Tuner.from_spec(
        workshop.spec(**settings), journal=journal, callbacks=[stopping]
    ).run()
    assert not results.finished
    assert results.epochs < 20
    resumed = Tuner.resume(journal, callbacks=[later])
    assert resumed.finished
    assert {*stopping.epochs, *later.epochs} == told(resumed)
    assert workshop.repeated() <= 2  # what each worker had begun


def test_callbacks_speak_the_sign_and_the_metrics_of_the_trainer() -> None:
    def measure(config, start, stop, checkpoint):
        return [{"accuracy": config["lr"] / unit, "n": unit} for unit in range(start + 1, stop + 1)]

    class Looking(Watching):
        def on_epoch(self, trial, unit, value):
            super().on_epoch(trial, unit, value)
            assert value == trial.config["lr"] / unit
            assert trial.metrics["n"] == tuple(map(float, range(1, unit + 1)))

        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            assert trial.values[0] == trial.config["lr"]

    watching = Looking()
    settings = {"objective": "accuracy", "mode": "max", "executor": "inline"}
    results = Tuner(measure, scheduler(), callbacks=[watching], **settings).run()
    assert {*watching.epochs} == told(results)


@pytest.mark.parametrize(
    ("callbacks", "got"),
    [
        ([Watching], "Watching, a class: make an object of it"),
        ([print], "builtin_function_or_method"),
        (7, "int"),
        (Watching(), "one Watching; put it into a list"),
    ],
)
def test_what_is_no_callback(callbacks: object, got: str) -> None:
    message = re.escape(
        f"callbacks must be a list of objects of subclasses of hpo.Callback, got {got}"
    )
    with pytest.raises(UsageError, match=message):
        Tuner(train, scheduler(), callbacks=callbacks)


def test_the_report_of_a_run_that_was_stopped_names_the_callback(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    tuner(StopsSearch("on_epoch", 2), journal=journal).run()
    text = "\n".join(read_run(journal).results.summary_lines())
    assert "Stopped by callback StopsSearch; resume the run to continue." in text
