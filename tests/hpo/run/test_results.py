"""Results, progress figures and plots of a run that is known by heart."""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from rich.console import Console

from calls import calls_during
from hpo.errors import InterruptedRunError, UsageError
from hpo.report.plots import FATES, fates, plot_curves, plot_regret, save_figures
from hpo.report.runs import read_run
from hpo.run.baseline import HyperbandBaseline
from hpo.run.journal import Journal
from hpo.run.overlap import Overlap
from hpo.run.progress import Progress, RichProgress, Snapshot
from hpo.run.recorder import RunRecorder
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.schedulers import ASHA
from hpo.searchers import ListSearcher
from hpo.trial import (
    Event,
    SchedulerSummary,
    TrainFailure,
    TrainJob,
    TrainReport,
    TrialStatus,
    TrialSummary,
)

STATUS = TrialStatus


def trial(number: int, status: TrialStatus, *losses: float, reason: str = "", rung: int = 0):
    return TrialSummary(number, {"lr": number / 10}, 0, rung, status, losses, reason)


@pytest.fixture
def results() -> Results:
    trials = (
        trial(0, STATUS.COMPLETED, 0.9, 0.5, 0.4, 0.3, rung=2),
        trial(1, STATUS.STOPPED, 0.9, 0.8, 0.7, rung=2),
        trial(2, STATUS.FAILED, 0.9, math.nan, reason="loss is nan after 2 units"),
        trial(3, STATUS.RUNNING, 0.6),
        trial(4, STATUS.STOPPED, 0.95),
        trial(5, STATUS.FAILED, reason="ValueError: no"),
    )
    events = (
        Event("rung", 0, 0, 1, (0, 1), (4,)),
        Event("decision", 0, 2, 3, (0,), (1,), skill=0.25),
        Event("degraded", 0, 1, 2, message="annealer offline"),
    )
    reports = (
        (10.0, TrainReport(0, 0, 2, (0.9, 0.5))),
        (11.0, TrainFailure(5, 0, 1, "ValueError: no")),
        (12.5, TrainReport(0, 2, 4, (0.4, 0.3))),
    )
    summary = SchedulerSummary(trials, trials[0], 11, events)
    notes = [
        {"what": "resumed"},
        {"what": "retry", "trial_id": 5},
        {"what": "extra", "trial_id": 0, "extra": {"accuracy": [0.5]}},
    ]
    return Results.of(summary, reports, notes, HyperbandBaseline(4, 2), finished=False)


def test_records(results: Results) -> None:
    records = results.records()
    assert records[0]["config_lr"] == 0.0
    assert [record["retries"] for record in records] == [0, 0, 0, 0, 0, 1]
    assert [record["trouble"] for record in records] == [False, False, True, False, False, True]
    assert records[2]["best_loss"] == 0.9
    assert math.isnan(records[5]["last_loss"])


def test_the_text_is_one_short_line(results: Results) -> None:
    assert repr(results).startswith(f"<Results: {len(results.trials)} trials, ")
    assert f"best: trial {results.best.trial_id}, loss " in repr(results)
    assert len(repr(results)) < 100


def test_a_tuner_needs_a_scheduler() -> None:
    with pytest.raises(UsageError, match="scheduler must be a Scheduler, got str; make_scheduler"):
        Tuner(print, "swift-asha")  # type: ignore[arg-type]


def test_frame(results: Results) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = results.to_frame()
    assert list(frame["trial_id"]) == list(range(6))
    assert frame.loc[2, "reason"] == "loss is nan after 2 units"


def test_csv_is_not_written_over(results: Results, tmp_path) -> None:
    path = tmp_path / "out.csv"
    results.write_csv(path)
    with path.open() as file:
        assert [row["status"] for row in csv.DictReader(file)][:2] == ["completed", "stopped"]
    with pytest.raises(UsageError, match="cannot write"):
        results.write_csv(path)


def test_history_and_savings(results: Results) -> None:
    points = [(point.epochs, point.seconds, point.best) for point in results.history()]
    assert points == [(2, 0.0, 0.5), (4, 2.5, 0.3), (5, 2.5, 0.3)]  # trial 3 was cut
    assert results.saved == 1  # trial 1 was stopped one epoch before the round's end
    assert HyperbandBaseline(4, 2).epochs == sum((4 * 1 + 2 * 1 + 1 * 2, 3 * 2 + 1 * 2, 3 * 4))


def test_summary_lines(results: Results) -> None:
    text = "\n".join(results.summary_lines())
    for part in ("not finished", "trial 0, loss 0.3", "skill +0.25", "annealer offline", "2 of 6"):
        assert part in text
    assert text.count("Degraded") == 1
    assert results.predictor_skill() == [{"bracket": 0, "rung": 2, "resource": 3, "skill": 0.25}]


def test_snapshot(results: Results) -> None:
    summary = SchedulerSummary(results.trials, results.best, results.epochs, results.events)
    snapshot = Snapshot.of(summary, results.baseline)
    labels = snapshot.fields()
    assert labels["trials"] == "6 (1 running, 2 failed)"
    assert labels["best loss"] == "0.3 (trial 0)"
    assert labels["skill"].startswith("+0.25 (cross-validated, 1 decision; 0: as good as ")
    assert labels["saved"] == "1 epochs, 8% of plain Hyperband so far"  # 11 were trained
    assert labels["degraded"].startswith("1 round ")
    assert Snapshot.of(summary, None).saved is None


def test_progress_on_a_terminal_and_in_a_log(results: Results) -> None:
    summary = SchedulerSummary(results.trials, results.best, results.epochs, results.events)
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=100)
        with RichProgress("digits", console) as progress:
            progress.show(summary, results.baseline)
        assert "6 (1 interrupted, 2 failed)" in file.getvalue()


def test_fates(results: Results) -> None:
    assert list(fates(results).values()) == [
        "best",
        "stopped by a prediction",
        "failed",
        "not finished",
        "given up for better ones",
        "failed",
    ]


def test_figures(results: Results, tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    ax = plot_curves(results, title="t")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "best (trial 0)" in labels
    assert "decision: stopped (1)" in labels
    colours = {line.get_color() for line in ax.get_lines()}
    assert {FATES["best"], FATES["stopped by a prediction"], FATES["failed"]} <= colours
    ax = plot_regret({"a": results, "b": results}, reference=0.0)
    assert ax.get_yscale() == "log"
    paths = save_figures({"run": results}, tmp_path / "figures")
    further = [
        "run-intermediate-values.png",
        "run-budget.png",
        "run-parallel.png",
        "run-slices.png",
    ]
    assert [path.name for path in paths] == ["run-curves.png", *further, "regret.png"]
    assert all(path.stat().st_size > 8_000 for path in paths)


def test_a_search_without_rungs_has_an_axis_of_epochs() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    trials = (trial(0, STATUS.COMPLETED, *[0.5] * 27),)
    run = Results.of(SchedulerSummary(trials, trials[0], 27, ()), [], [], None, finished=True)
    assert plot_curves(run).get_xticks().tolist() == [1, 3, 6, 13, 27]


def test_figures_of_an_empty_run(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    empty = Results.of(SchedulerSummary((), None, 0, ()), [], [], None, finished=False)
    assert len(save_figures({"empty": empty}, tmp_path)) == 2
    assert empty.records() == []
    assert empty.table().row_count == 0


def test_extra_metrics_are_kept_in_the_journal(workshop) -> None:
    workshop.write_trainer(
        "from hpo.trainers import Metrics\n"
        "def train(config, start, stop, checkpoint):\n"
        "    n = stop - start\n"
        "    return Metrics([config['lr']] * n, {'accuracy': [0.5] * n})\n"
    )
    Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal).run()
    notes = Results.from_journal(workshop.journal).notes
    metrics = [note for note in notes if note["what"] == "metrics"]
    assert metrics[0]["extra"] == {"accuracy": [0.5]}


def test_same_journal_from_the_same_seed(make_workshop) -> None:
    def entries(name: str) -> list[str]:
        from hpo.run.journal import read_journal

        shop = make_workshop(name)
        Tuner.from_spec(shop.spec(scheduler="asha"), journal=shop.journal).run()
        return [(e.kind, e.data) for e in read_journal(shop.journal).entries if e.kind != "note"]

    assert entries("a") == entries("b")


def train(config, start, stop, checkpoint):
    return [config["lr"] / (unit + 1) for unit in range(start, stop)]


def test_a_run_gives_the_handlers_of_signals_back(workshop) -> None:
    def handler(signum, frame):
        """Do nothing."""

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(signum, handler) for signum in signals]
    during = []

    def interrupted(config, start, stop, checkpoint):
        signal.raise_signal(signal.SIGINT)
        during.append(signal.getsignal(signal.SIGINT))  # what a second Ctrl-C meets
        return [1.0] * (stop - start)

    scheduler = workshop.spec(max_resource=3).build_scheduler()
    try:
        with pytest.raises(InterruptedRunError):
            Tuner(interrupted, scheduler, executor="inline").run()
        assert during == [handler]
        assert [signal.getsignal(signum) for signum in signals] == [handler] * 2
    finally:
        for signum, old in zip(signals, before, strict=True):
            signal.signal(signum, old)


def test_python_objects_resume(workshop, outcome_of) -> None:
    spec = workshop.spec()
    reference = Tuner(
        train, spec.build_scheduler(), journal=workshop.journal, executor="inline"
    ).run()
    raw = workshop.journal.read_bytes()
    workshop.journal.write_bytes(raw[: len(raw) // 2])
    resumed = Tuner.resume(workshop.journal, train, spec.build_scheduler(), executor="inline")
    assert outcome_of(resumed) == outcome_of(reference)


@pytest.mark.parametrize("given", ["trainer", "scheduler"])
def test_what_the_journal_names_is_not_silently_left_out(workshop, given) -> None:
    spec = workshop.spec()
    Tuner.from_spec(spec, journal=workshop.journal, executor="inline").run()
    other = {"trainer": train, "scheduler": spec.build_scheduler()}[given]
    with pytest.raises(UsageError, match=r"names its trainer and scheduler.*leave trainer"):
        Tuner.resume(workshop.journal, **{given: other})


def test_options_of_an_executor_that_is_an_object_are_refused(workshop) -> None:
    scheduler = workshop.spec().build_scheduler()
    refused = pytest.raises(UsageError, match=r"executor_options are for .*'threads': 1")
    with ThreadPoolExecutor(1) as executor, refused:
        Tuner(train, scheduler, executor=executor, executor_options={"threads": 1}).run()


def test_a_script_without_a_guard_is_told_so_by_its_workers(workshop, monkeypatch) -> None:
    """A worker that imports the main script is known to `multiprocessing` by this attribute."""
    process = multiprocessing.current_process()
    monkeypatch.setattr(process, "_inheriting", True, raising=False)
    tuner = Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal)
    with pytest.raises(UsageError, match="if __name__ == '__main__'"):
        tuner.run()
    assert not workshop.journal.exists()


def test_checkpoints_of_another_run_are_left_alone(workshop, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("of another run")
    scheduler = workshop.spec().build_scheduler()
    with pytest.raises(UsageError, match=r"checkpoint_dir .*other"):
        Tuner(train, scheduler, executor="inline", checkpoint_dir=other).run()
    assert [each.name for each in other.iterdir()] == ["precious"]


def test_what_cannot_go_to_processes_is_refused_before_a_run(workshop) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="cannot be sent to worker processes"):
        Tuner(lambda *_: [lock], workshop.spec().build_scheduler(), journal=workshop.journal).run()
    assert not workshop.journal.exists()


def test_a_journal_is_read_and_parsed_once(tmp_path):
    """Reports and resumptions of long journals take as long as their lines, read once."""

    def cost(n_trials):
        path = tmp_path / f"{n_trials}.jsonl"
        configs = [{"x": i} for i in range(n_trials)]
        settings = {"max_resource": 9, "reduction_factor": 3, "n_trials": n_trials}
        scheduler = ASHA(ListSearcher(configs), **settings)
        with Journal.create(path, {}) as journal:
            for _ in range(2 * n_trials):
                job = scheduler.ask()
                if not isinstance(job, TrainJob):
                    break
                journal.decided(job)
                losses = (float(job.trial_id * 7 % 11),) * (job.stop - job.start)
                report = TrainReport(job.trial_id, job.start, job.stop, losses)
                journal.reported(report)
                scheduler.tell(report)
        read_run(path, ASHA(ListSearcher(configs), **settings))  # imports
        _, calls, _ = calls_during(lambda: read_run(path, ASHA(ListSearcher(configs), **settings)))
        return calls, len(path.read_bytes().splitlines())

    few, n_few = cost(50)
    many, n_many = cost(200)
    assert many["raw_decode"] == n_many
    assert sum(many.values()) / n_many <= 1.1 * sum(few.values()) / n_few


def test_the_display_takes_a_small_share_of_the_time(monkeypatch) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr("hpo.run.recorder.time", clock)

    class Large:
        """A scheduler whose summary takes long."""

        def summary(self):
            now[0] += 0.05
            return SchedulerSummary((), None, 0, ())

    class Counts(Progress):
        shown = 0

        def show(self, summary, baseline):
            self.shown += 1

    progress = Counts()
    recorder = RunRecorder(Large(), None, progress, None)
    for unit in range(25):
        recorder.reported(TrainReport(0, unit, unit + 1, (0.5,)))
        now[0] += 0.02
    assert progress.shown == 1
    recorder.finish(Overlap())
    assert progress.shown == 2
