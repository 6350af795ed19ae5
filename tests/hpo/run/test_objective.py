"""What is optimised: direction, metrics, the user's sign everywhere, and one definition of best."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from hpo import FunctionTrainer, Hyperband, ListSearcher, Metrics, RunSpec, Tuner
from hpo.cli import main
from hpo.errors import (
    JournalError,
    MissingObjectiveError,
    NoBestTrialError,
    StoppedRunError,
    UsageError,
)
from hpo.report import Comparison, read_run, read_status
from hpo.report.content import content
from hpo.report.plots import plot_curves, plot_regret
from hpo.report.runs import Run
from hpo.run.progress import Progress, RichProgress, Snapshot
from hpo.run.results import Results
from hpo.run.trial_results import RunSummary
from hpo.schedulers import ASHA, RandomSearch, make_scheduler
from hpo.searchers import RandomSearcher, make_searcher
from hpo.space import SearchSpace
from hpo.trainers.base import Segment, run_segment
from hpo.trainers.objective import Measured, Objective
from hpo.trial import TrialStatus, TrialSummary, best_of, rank_key

RATES = [0.9, 0.2, 0.5, 0.05, 0.7, 0.4, 0.3, 0.8, 0.6]
SPACE = SearchSpace.from_dict({"rate": {"type": "float", "low": 0.0, "high": 1.0}})
BY_ACCURACY = {"objective": "accuracy", "mode": "max"}


def values_of(config, unit):
    """Return loss and accuracy after a unit; the accuracy is best for another rate."""
    gain = 1 - 0.5 / unit
    return {"loss": (config["rate"] - 0.05) ** 2 + 1 / unit, "accuracy": gain * config["rate"]}


def mappings(config, start, stop, checkpoint):
    return [values_of(config, unit) for unit in range(start + 1, stop + 1)]


def columns(config, start, stop, checkpoint):
    units = mappings(config, start, stop, checkpoint)
    return {name: np.array([unit[name] for unit in units]) for name in ("accuracy", "loss")}


def with_extra(config, start, stop, checkpoint):
    of = columns(config, start, stop, checkpoint)
    return Metrics(of["loss"], {"accuracy": of["accuracy"]})


def accuracies(config, start, stop, checkpoint):
    return [unit["accuracy"] for unit in mappings(config, start, stop, checkpoint)]


def scheduler(rates=RATES):
    return Hyperband(ListSearcher([{"rate": rate} for rate in rates]), max_resource=4)


def search(trainer=mappings, rates=RATES, **settings):
    return Tuner(trainer, scheduler(rates), executor="inline", **settings).run()


# -- what a trainer may return ----------------------------------------------------------------


@pytest.mark.parametrize("trainer", [mappings, columns, with_extra])
def test_every_form_of_a_result_is_the_same_search(trainer):
    results = search(trainer, **BY_ACCURACY)
    assert results.best.config == {"rate": 0.9}
    assert results.best.value == pytest.approx(0.9 * 0.875)
    assert results.best.metrics["loss"] == pytest.approx([0.7225 + 1 / n for n in (1, 2, 3, 4)])
    assert results.metrics == ("loss",)
    by_loss = search(trainer)
    assert by_loss.objective == Objective("loss", "min")
    assert by_loss.best.config == {"rate": 0.05}
    assert by_loss.best.metrics["accuracy"] == pytest.approx(
        [0.05 * (1 - 0.5 / n) for n in (1, 2, 3, 4)]
    )


def test_numbers_take_the_name_that_they_are_given():
    results = search(accuracies, **BY_ACCURACY)
    assert (results.objective.title, results.best.config) == ("accuracy", {"rate": 0.9})
    wrapped = search(lambda *segment: Metrics(accuracies(*segment)), **BY_ACCURACY)
    assert wrapped.trials == results.trials
    unnamed = search(accuracies, mode="max")
    assert unnamed.objective.title == "objective"
    assert unnamed.records()[0]["last_objective"] == unnamed.trials[0].value > 0


def test_the_only_metric_needs_no_name_and_names_the_columns(tmp_path):
    def train(config, start, stop, checkpoint):
        return [{"auc": config["rate"]}] * (stop - start)

    results = search(train, mode="max", journal=tmp_path / "run.jsonl")
    assert results.objective.title == "auc"
    assert results.best.config == {"rate": 0.9}
    assert results.records()[0]["best_auc"] == 0.9
    again = Results.from_journal(tmp_path / "run.jsonl")
    assert (again.objective, again.best) == (results.objective, results.best)


def test_a_metric_that_some_units_lack_is_nan_there():
    def train(config, start, stop, checkpoint):
        units = range(start + 1, stop + 1)
        return [{"loss": config["rate"], **({"f1": 1.0} if n == 2 else {})} for n in units]

    results = search(train)
    assert results.best.metrics["f1"] == pytest.approx(
        [math.nan, 1, math.nan, math.nan], nan_ok=True
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"objective": "acuracy", "mode": "max"}, "metrics that the trainer returns (loss, accura"),
        ({"mode": "max"}, "objective must be named if a trainer returns several metrics"),
    ],
)
def test_an_objective_that_is_not_there_stops_the_run_at_its_first_segment(settings, words):
    trained = []

    def train(config, start, stop, checkpoint):
        trained.append(start)
        return mappings(config, start, stop, checkpoint)

    with pytest.raises(StoppedRunError) as stop:
        search(train, **settings)
    assert words in str(stop.value)
    assert len(trained) == 1
    assert not stop.value.results.trials[0].reason


def test_a_run_whose_objective_is_not_there_leaves_nothing_behind(tmp_path):
    journal = tmp_path / "run.jsonl"
    with pytest.raises(MissingObjectiveError):
        search(mappings, objective="acuracy", mode="max", journal=journal)
    assert list(tmp_path.iterdir()) == []
    results = search(mappings, objective="accuracy", mode="max", journal=journal)
    assert results.objective.name == "accuracy"


def test_a_single_trial_without_the_objective_fails_alone():
    def train(config, start, stop, checkpoint):
        if config["rate"] == 0.5:
            return [{"loss": 1.0}] * (stop - start)
        return mappings(config, start, stop, checkpoint)

    results = search(train, max_retries=0, **BY_ACCURACY)
    (failed,) = (trial for trial in results.trials if trial.status == "failed")
    assert failed.config == {"rate": 0.5}
    assert "got 'accuracy'" in failed.reason


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([{"loss": 1.0}], "one of loss per unit: 2 here, got 1"),
        ({"loss": [1.0, 2.0], "f1": [1.0]}, "one of f1 per unit: 2 here, got 1"),
        ({"loss": 1.0}, "a sequence of loss, got float"),
        ([{"loss": 1.0}, {"f1": 2.0}], "objective 'loss' for every unit"),
        ([{"loss": 1.0}, 2.0], "numbers as losses, got dict"),
        ([{"loss": "low"}] * 2, "numbers as loss, got str"),
        (3, "a sequence of losses, got int"),
    ],
)
def test_a_result_of_another_form_is_refused_by_name(result, words, tmp_path):
    trainer = FunctionTrainer(lambda *_: result)
    outcome = run_segment(trainer, Segment({}, 0, 2, tmp_path / "t" / "checkpoint"))
    assert words in outcome.reason
    assert outcome.cause == "trial"


def test_a_result_is_measured():
    assert Objective().measured([1, 2.5], 2) == Measured("", (1.0, 2.5), {})
    assert Objective("f1", "max").measured({"f1": [1], "loss": [2]}, 1) == Measured(
        "f1", (1.0,), {"loss": (2.0,)}
    )
    assert Objective("f1", "max").losses((0.5,)) == (-0.5,)
    for wrong in ({"mode": "maximise"}, {"objective": 3}):
        with pytest.raises(UsageError, match=r"must be"):
            Tuner(mappings, scheduler(), **wrong)


# -- the user's sign everywhere ---------------------------------------------------------------


class Watch(Progress):
    """Keeps what it is shown."""

    def show(self, summary, baseline):
        self.summary = summary


@pytest.fixture(scope="module")
def maximised(tmp_path_factory):
    """Return a run that maximises an accuracy, its journal, and what its progress showed."""
    journal, watch = tmp_path_factory.mktemp("run") / "run.jsonl", Watch()
    return search(journal=journal, progress=watch, **BY_ACCURACY), journal, watch.summary


@pytest.mark.parametrize("name", ["hyperband", "asha", "swift-asha", "swift-hyperband"])
def test_a_maximum_is_the_minimum_of_the_negative(name):
    def build():
        kind = "curves" if name == "swift-asha" else "random"
        return make_scheduler(name, make_searcher(kind, SPACE, 0), max_resource=4, seed=0)

    def negative(*segment):
        return [-value for value in accuracies(*segment)]

    up = Tuner(accuracies, build(), executor="inline", mode="max").run()
    down = Tuner(negative, build(), executor="inline").run()
    assert [trial.losses for trial in up.trials] == [trial.values for trial in down.trials]
    assert [trial.config for trial in up.trials] == [trial.config for trial in down.trials]
    assert (
        up.best.value
        == -down.best.value
        == max(trial.value for trial in up.trials if trial.status == "completed")
    )
    assert [point.best for point in up.history()] == [-point.best for point in down.history()]


def test_the_journal_holds_what_the_trainer_gave(maximised):
    results, journal, _ = maximised
    lines = [json.loads(line[9:]) for line in journal.read_text().splitlines()]
    assert lines[0]["objective"] == {"name": "accuracy", "mode": "max"}
    reports = [line["data"]["losses"] for line in lines[1:] if line["kind"] == "reported"]
    assert all(value > 0 for values in reports for value in values)
    again = Results.from_journal(journal, scheduler())
    assert (again.trials, again.objective) == (results.trials, results.objective)
    assert again.reports[0][1] == results.reports[0][1]
    header = json.dumps({**lines[0], "objective": {"name": "accuracy", "mode": "up"}})
    broken = journal.with_name("broken.jsonl")
    broken.write_bytes(_with_checksum(header))
    with pytest.raises(JournalError, match="mode of the objective must be 'min' or 'max'"):
        Results.from_journal(broken, scheduler())


def _with_checksum(line: str) -> bytes:
    import zlib

    return b"%08x %s\n" % (zlib.crc32(line.encode()), line.encode())


def test_results_have_the_users_sign_and_names(maximised, tmp_path):
    results, *_ = maximised
    best = results.best
    assert best.values == pytest.approx([0.45, 0.675, 0.75, 0.7875])
    assert best.losses == tuple(-value for value in best.values)
    assert (best.value, best.best_value, best.best_epoch) == (best.values[-1], best.values[-1], 4)
    record = results.records()[best.trial_id]
    assert record["last_accuracy"] == record["best_accuracy"] == best.value
    assert record["metric_loss"] == pytest.approx(0.9725)
    assert "last_loss" not in record
    curves = [each for each in results.curves() if each["trial_id"] == best.trial_id]
    assert [each["value"] for each in curves] == list(best.values)
    assert [each["unit"] for each in curves] == [1, 2, 3, 4]
    assert [each["metric_loss"] for each in curves] == list(best.metrics["loss"])
    assert results.history()[-1].best == best.value
    assert f"accuracy {best.value:.6g}" in results.summary_lines()[0]
    results.write_csv(tmp_path / "run.csv")
    with (tmp_path / "run.csv").open() as file:
        assert float(list(csv.DictReader(file))[best.trial_id]["last_accuracy"]) == best.value


def printed(table):
    console = Console(file=io.StringIO(), width=150)
    console.print(table)
    return console.file.getvalue()


def test_a_table_has_the_metrics_that_are_asked_for(maximised):
    results, *_ = maximised
    text = printed(results.table())
    assert "last accuracy" in text
    assert "0.7875" in text
    assert "-0.7875" not in text
    assert "0.9725" in text
    assert "0.9725" not in printed(results.table(metrics=[]))
    with pytest.raises(UsageError, match="metrics of the table must be among loss, got f1"):
        results.table(metrics=["f1"])


def test_progress_has_the_users_sign(maximised):
    results, _, summary = maximised
    assert isinstance(summary, RunSummary)
    assert summary.best == results.best
    assert summary.best.metrics["loss"] == results.best.metrics["loss"]
    labels = Snapshot.of(summary, None).fields()
    assert labels["best accuracy"] == f"{results.best.value:.5g} (trial {results.best.trial_id})"
    file = io.StringIO()
    with RichProgress("", Console(file=file, width=200)) as progress:
        progress.show(summary, None)
    assert "best accuracy: 0.7875" in file.getvalue()


def test_status_and_report_have_the_users_sign(maximised, capsys):
    results, journal, _ = maximised
    for known in (None, scheduler()):
        status = read_status(journal, known)
        assert status.best["accuracy"] == results.best.value
        assert any("accuracy 0.7875 after 4 epochs" in line for line in status.lines())
    with pytest.raises(SystemExit) as end:
        main(["report", str(journal), "--metric", "loss"])
    assert end.value.code == 0
    assert "accuracy 0.7875 after 4 epochs" in capsys.readouterr().out
    page = content(read_run(journal, scheduler()))
    assert (page["objective"], page["mode"], page["metrics"]) == ("accuracy", "max", ["loss"])
    assert page["figures"][0] == ["best accuracy", "0.7875"]
    (first,) = (trial for trial in page["trials"] if trial["rank"] == 0)
    assert first["id"] == results.best.trial_id
    assert first["values"][-1] == page["history"][-1][2] == 0.7875
    assert first["metrics"] == [pytest.approx(results.best.metrics["loss"])]


def test_searches_are_compared_in_the_users_sign(maximised):
    _, journal, _ = maximised
    run = read_run(journal, scheduler())
    comparison = Comparison([run, run])
    assert comparison.common_value == 0.7875
    assert comparison.records()[0]["best_value"] == 0.7875
    assert comparison.records()[0]["epochs_to_common"] is not None
    other = type(run)("other", search())
    with pytest.raises(UsageError, match="max of accuracy, min of loss"):
        Comparison([run, other])


def test_figures_have_the_users_sign(maximised):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    results, *_ = maximised
    curves = plot_curves(results)
    assert curves.get_ylabel() == "accuracy"
    assert curves.get_ylim()[1] > 0.78
    regret = plot_regret({"one": results})
    assert regret.get_ylabel() == "regret (0.7875 \N{MINUS SIGN} accuracy)"
    lowest = min(float(line.get_ydata()[-1]) for line in regret.lines)
    assert regret.lines[0].get_ydata()[-1] == lowest  # the floor, which stands for zero


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_is_resumed_in_its_direction(tmp_path, stop_after, maximised):
    whole, *_ = maximised
    journal, calls = tmp_path / "run.jsonl", []

    def train(config, start, stop, checkpoint):
        calls.append(start)
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        return mappings(config, start, stop, checkpoint)

    with pytest.raises(KeyboardInterrupt):
        search(train, journal=journal, **BY_ACCURACY)
    with pytest.raises(UsageError, match=r"mode of a resumed run must be that .* 'max', got 'min'"):
        Tuner.resume(journal, mappings, scheduler(), executor="inline", mode="min")
    results = Tuner.resume(journal, mappings, scheduler(), executor="inline")
    assert results.trials == whole.trials
    assert results.best == whole.best


def test_a_specification_keeps_the_objective(tmp_path, capsys):
    trainer = tmp_path / "scores.py"
    trainer.write_text(
        "def train(config, start, stop, checkpoint):\n"
        "    return [{'loss': 1.0, 'score': config['rate']} for _ in range(start, stop)]\n"
    )
    spec = RunSpec(
        f"{trainer}:train",
        SPACE.to_dict(),
        4,
        scheduler="hyperband",
        executor="inline",
        objective="score",
        mode="max",
    )
    results = Tuner.from_spec(spec, journal=tmp_path / "run.jsonl").run()
    assert results.best.value == max(t.value for t in results.trials if t.status == "completed") > 0
    assert Results.from_journal(tmp_path / "run.jsonl").trials == results.trials
    assert Tuner.resume(tmp_path / "run.jsonl").objective == Objective("score", "max")
    space = tmp_path / "space.toml"
    space.write_text('rate = {type = "float", low = 0.0, high = 1.0}\n')
    command = ["run", f"{trainer}:train", "--space", str(space), "--max-resource", "4"]
    command += ["--scheduler", "hyperband", "--executor", "inline", "--quiet"]
    options = ["--objective", "score", "--mode", "max", "--journal", str(tmp_path / "cli.jsonl")]
    with pytest.raises(SystemExit) as end:
        main(command + options)
    assert end.value.code == 0
    assert f"score {results.best.value:.6g} after 4 epochs" in capsys.readouterr().out


# -- one definition of best -------------------------------------------------------------------


def trial(number, status, *losses):
    return TrialSummary(number, {}, 0, 0, TrialStatus(status), losses)


def test_the_best_trial_is_complete_and_its_last_loss_is_lowest():
    trials = [
        trial(0, "completed", 0.1, 0.5, 0.4),
        trial(1, "completed", 0.9, 0.8, 0.3),
        trial(2, "stopped", 0.05),
        trial(3, "failed", 0.01, 0.01),
        trial(4, "completed", 0.2, 0.2, math.nan),
        trial(5, "completed", 0.2, 0.2, -math.inf),
    ]
    assert best_of(trials).trial_id == 1
    assert best_of(trials, epoch="best").trial_id == 0
    assert best_of(trials, scope="any").trial_id == 2
    assert [t.trial_id for t in sorted(trials, key=rank_key)] == [1, 0, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="scope of the best trial must be 'complete' or 'any'"):
        best_of(trials, scope="all")
    with pytest.raises(ValueError, match="epoch of the best trial must be 'last' or 'best'"):
        best_of(trials, epoch="first")


def test_without_a_complete_trial_those_trained_furthest_are_compared():
    trials = [
        trial(0, "waiting", 0.1),
        trial(1, "running", 0.9, 0.8),
        trial(2, "stopped", 0.9, 0.7),
        trial(3, "waiting", 0.5, 0.5, math.inf),
        trial(4, "failed", 0.5, 0.5, 0.1),
    ]
    assert best_of(trials).trial_id == 2
    assert best_of(trials[3:]) is None
    assert best_of([]) is None


def bumpy(config, start, stop, checkpoint):
    """Give the second trial the lowest loss of all, in its middle; and some that are not finite."""
    curves = {
        0.9: (0.9, 0.8, 0.7, 0.6),
        0.2: (0.5, 0.01, 0.4, 0.65),
        0.5: (0.3, math.nan, math.nan, math.nan),
        0.05: (-math.inf, 0.1, 0.1, 0.1),
    }
    return list(curves.get(config["rate"], (0.95, 0.9, 0.9, 0.9)))[start:stop]


def test_everything_names_the_same_best_trial(tmp_path):
    """Of the searches here, the lowest loss at any length is not the best one's."""
    watch = Watch()
    searcher = ListSearcher([{"rate": rate} for rate in (0.9, 0.2, 0.5, 0.05)])
    tuner = Tuner(bumpy, RandomSearch(searcher, max_resource=4), executor="inline", progress=watch)
    results = tuner.run()
    best = results.best
    assert best.trial_id == watch.summary.best.trial_id == 3 or best.config == {"rate": 0.9}
    complete = [t for t in results.trials if t.status == "completed" and math.isfinite(t.value)]
    assert best == min(complete, key=lambda t: t.value)
    assert results.history()[-1].best == best.value
    assert printed(results.table(1)).count("completed") >= 1
    first = sorted(results.trials, key=rank_key)[0]
    assert first == best == results.best_trial() == results.incumbent
    assert results.best_trial(epoch="best").best_value == min(t.best_value for t in complete)
    figures = dict(content(Run("", results))["figures"])
    assert figures["best loss"] == f"{best.value:.5g}"


def test_the_regret_of_a_search_ends_where_its_best_trial_does():
    """The demo's table and its regret figure disagreed: one counted complete trials only."""
    results = search(bumpy, rates=[0.9, 0.2, 0.4, 0.3])
    points = results.history()
    assert points[-1].best == results.best.value == 0.65
    assert min(point.best for point in points) < 0.65  # before a trial is complete, by design
    complete = [k for k, point in enumerate(points) if point.best == 0.65]
    assert complete[-1] == len(points) - 1


def test_no_best_trial_is_an_error_that_names_the_objective():
    results = None
    with pytest.warns(match="no trial ended with a finite accuracy"):
        results = search(lambda c, start, stop, p: [math.nan] * (stop - start), **BY_ACCURACY)
    with pytest.raises(NoBestTrialError, match="finite accuracy"):
        results.best_trial(scope="any")
    assert results.history()[-1].best == -math.inf


def test_the_reason_of_a_trial_that_diverged_has_the_users_sign_and_name(tmp_path):
    path = tmp_path / "run.jsonl"
    with pytest.warns(match="no trial ended"):
        results = search(
            lambda c, start, stop, p: [math.inf] * (stop - start), journal=path, **BY_ACCURACY
        )
    assert results.trials[0].reason == "accuracy is inf after 1 units"
    assert results.records()[0]["reason"] == results.trials[0].reason
    assert Results.from_journal(path).trials == results.trials


def test_the_history_of_an_asynchronous_search_ends_at_its_best():
    searcher = RandomSearcher(SPACE, seed=1)
    tuner = Tuner(
        mappings,
        ASHA(searcher, max_resource=9, reduction_factor=3),
        executor="inline",
        **BY_ACCURACY,
    )
    results = tuner.run()
    points = results.history()
    assert points[-1].best == results.best.value
    done = [
        point.best
        for point in points
        if point.best in {t.value for t in results.trials if t.status == "completed"}
    ]
    assert done == sorted(done)
