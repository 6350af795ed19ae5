"""A trial whose training ends by itself is complete with its last loss, not failed."""

from __future__ import annotations

import pytest

from hpo import Metrics, Tuner
from hpo.report import read_run, write_report
from hpo.run.journal import read_journal
from hpo.run.progress import Progress
from hpo.run.results import Results
from hpo.schedulers import SCHEDULERS
from hpo.trainers import FunctionTrainer, Segment, run_segment
from hpo.trial import TrainReport, TrialStatus, from_json

CONVERGING = '''
import json
from hpo import Metrics

def train(config, start, stop, checkpoint):
    """Converges after 5 units if the learning rate is low."""
    end = 5 if config["lr"] < 0.5 else 10**6
    with open(__file__ + ".trace", "a") as file:
        file.write(f"{checkpoint.parent.name} {start} {stop}\\n")
    checkpoint.touch()
    losses = [config["lr"] + 1 / (unit + 1) for unit in range(start, min(stop, end))]
    return Metrics(losses, {"unit": [float(unit) for unit in range(start, min(stop, end))]},
                   finished=stop >= end)
'''


@pytest.mark.parametrize("name", list(SCHEDULERS))
def test_it_is_complete_and_never_trained_further(workshop, outcome_of, name) -> None:
    workshop.write_trainer(CONVERGING)
    settings = {"scheduler": name, "max_resource": 9}
    if name == "swift-asha":
        settings |= {"predictor": "last-value", "searcher": "random"}
    results = Tuner.from_spec(workshop.spec(**settings), journal=workshop.journal).run()
    assert results.finished
    ended = [trial for trial in results.trials if len(trial.losses) == 5]
    assert ended
    for trial in ended:
        if trial.config["lr"] < 0.5 and trial.status is not TrialStatus.STOPPED:
            assert (trial.status, trial.reason) == (TrialStatus.COMPLETED, "")
    assert all(len(t.losses) <= 5 for t in results.trials if t.config["lr"] < 0.5)
    assert results.best.config["lr"] < 0.5
    assert results.epochs == sum(len(trial.losses) for trial in results.trials)
    assert results.history()[-1].epochs == results.epochs
    calls = workshop.trainer.with_name("work.py.trace").read_text().splitlines()
    segments = [(name, int(start), int(stop)) for name, start, stop in map(str.split, calls)]
    for place, (trial, _, stop) in enumerate(segments):
        low = results.trials[int(trial.removeprefix("trial-"))].config["lr"] < 0.5
        if low and stop >= 5:
            assert all(later != trial for later, *_ in segments[place + 1 :])
    read = Results.from_journal(workshop.journal)
    assert outcome_of(read) == outcome_of(results)
    page = write_report(read_run(workshop.journal), workshop.root / "page.html")
    assert page.exists()


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_in_parts_and_on_workers(workshop, outcome_of, executor) -> None:
    """A limit cuts segments at other places; the trial ends after five units all the same."""
    workshop.write_trainer(CONVERGING)
    spec = workshop.spec(scheduler="random-search", executor=executor, max_resource=9)
    whole = Tuner.from_spec(spec).run()
    assert 5 in [len(trial.losses) for trial in whole.trials]
    results = Tuner.from_spec(spec, journal=workshop.journal).run(max_epochs=2)
    for limit in range(3, whole.epochs, 4 if executor == "inline" else 20):
        results = Tuner.resume(workshop.journal, max_epochs=limit)
        assert results.epochs == limit
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(whole)
    metrics = [note for note in results.notes if note["what"] == "metrics"]
    assert sum(len(note["extra"]["unit"]) for note in metrics) == whole.epochs
    assert all(len(n["extra"]["unit"]) == n["stop"] - n["start"] for n in metrics)


def test_a_segment_without_a_further_loss(workshop) -> None:
    """Training had ended with the segment before, which did not know it."""

    def trainer(config, start, stop, checkpoint):
        losses = [1 / (unit + 1) for unit in range(start, min(stop, 3))]
        return Metrics(losses, finished=len(losses) < stop - start)

    scheduler = workshop.spec(scheduler="successive-halving").build_scheduler()
    results = Tuner(trainer, scheduler, executor="inline", progress=Progress()).run()
    assert {len(trial.losses) for trial in results.trials} == {1, 3}
    assert results.best.status is TrialStatus.COMPLETED
    assert results.best.last_loss == 1 / 3


@pytest.mark.parametrize(
    ("returned", "start", "message"),
    [
        ([0.5], 0, r"4 here, got 1; if training has ended by itself, return hpo.Metrics\("),
        ([0.5] * 5, 0, "4 here, got 5$"),
        (Metrics([], finished=True), 0, "one at least of a trial; got 0"),
        (Metrics([0.5] * 5, finished=True), 2, "got 5"),
        (Metrics([0.5], {"f1": [1.0] * 4}, finished=True), 2, "one of f1 per unit: 1 here, got 4"),
    ],
)
def test_the_error_names_the_remedy(tmp_path, returned, start, message) -> None:
    trainer = FunctionTrainer(lambda config, start, stop, checkpoint: returned)
    segment = Segment({}, start, start + 4, tmp_path / "trial" / "checkpoint")
    if start:
        segment.checkpoint.parent.mkdir()
    outcome = run_segment(trainer, segment)
    assert not outcome.losses
    with pytest.raises(ValueError, match=message):
        raise ValueError(outcome.reason.rpartition(" (")[0] or outcome.reason)


def test_the_journal_says_it_only_where_it_holds(workshop) -> None:
    """A report of before reads as it did, and others are written as before."""
    plain = TrainReport(0, 0, 2, (0.5, 0.4))
    assert "finished" not in plain.to_json()
    assert from_json(plain.to_json()) == plain
    ended = TrainReport(0, 0, 2, (0.5,), finished=True)
    assert from_json(ended.to_json()) == ended
    with pytest.raises(ValueError, match="finished of a TrainReport must be true or false"):
        from_json({**ended.to_json(), "finished": 1})
    workshop.write_trainer(CONVERGING)
    Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    reports = [e.data for e in read_journal(workshop.journal).entries if e.kind == "reported"]
    assert {report.get("finished") for report in reports} == {None, True}


def test_the_export_to_optuna_has_its_last_loss(workshop, quiet_optuna) -> None:
    optuna = pytest.importorskip("optuna")
    from hpo.integrations.optuna import export_journal

    workshop.write_trainer(CONVERGING)
    results = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    storage = optuna.storages.InMemoryStorage()
    export_journal(workshop.journal, storage, study_name="run")
    trial = optuna.load_study(study_name="run", storage=storage).trials[results.best.trial_id]
    assert trial.state == optuna.trial.TrialState.COMPLETE
    assert (trial.value, len(trial.intermediate_values)) == (results.best.last_loss, 5)
