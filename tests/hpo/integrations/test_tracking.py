"""Trackers: MLflow and TensorBoard hold what the results say, once, and never end a run."""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict

import pytest

from hpo.errors import UsageError
from hpo.integrations.tracking import Several, Tracker, Update, track
from hpo.run.progress import Progress
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.trial import SchedulerSummary


class Memory(Tracker):
    """Keeps what it is told; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.losses: dict[int, list[float]] = defaultdict(list)
        self.over: list[int] = []
        self.states: list[str] = []

    def _open(self) -> None:
        self.states.append("open")

    def _write(self, update: Update) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the service is away")
        assert update.start == len(self.losses[update.trial.trial_id])
        self.losses[update.trial.trial_id].extend(update.losses)
        self.over += [update.trial.trial_id] if update.over else []

    def _write_summary(self, summary, baseline) -> None:
        self.epochs = summary.epochs

    def _close(self, *, failed: bool) -> None:
        self.states.append("failed" if failed else "closed")


def trainer(config, start, stop, checkpoint):
    return [config["lr"] / unit for unit in range(start + 1, stop + 1)]


def spec(**changes) -> RunSpec:
    space = {"lr": {"type": "float", "low": 0.1, "high": 1.0}}
    settings = {"max_resource": 9, "scheduler": "hyperband", "reduction_factor": 3}
    return RunSpec("unused.py:trainer", space, **(settings | changes))


def run(progress) -> Results:
    return Tuner(trainer, spec().build_scheduler(), executor="inline", progress=progress).run()


@pytest.mark.parametrize("failures", [0, 3])
def test_each_loss_is_written_once_whatever_fails_on_the_way(failures, caplog, monkeypatch):
    monkeypatch.setattr("hpo.run.recorder._SHOW_EVERY", 0.0)
    monkeypatch.setattr("hpo.run.recorder._SHOW_SHARE", float("inf"))
    memory = Memory(failures)
    with caplog.at_level(logging.WARNING):
        results = run(Several(Progress(), memory))
    assert {t.trial_id: tuple(memory.losses[t.trial_id]) for t in results.trials} == {
        t.trial_id: t.losses for t in results.trials
    }
    assert sorted(memory.over) == [t.trial_id for t in results.trials]
    assert memory.epochs == results.epochs
    assert memory.states == ["open", "closed"]
    assert ("the service is away; the run goes on" in caplog.text) == (failures > 0)


def test_what_is_left_unwritten_is_said(caplog):
    results = run(Memory(failures=10**9))
    assert results.finished
    assert "did not write everything: ConnectionError" in caplog.text


def test_parts_end_though_one_cannot_begin():
    class Broken(Memory):
        def _open(self) -> None:
            raise UsageError("no such place")

    memory = Memory()
    with pytest.raises(UsageError, match="no such place"), Several(memory, Broken()):
        pass
    assert memory.states == ["open", "failed"]


def halves(results) -> SchedulerSummary:
    """Return an earlier state: half of the trials, unfinished."""
    trials = results.trials[: len(results.trials) // 2]
    return SchedulerSummary(trials, trials[0], 1, ())


@pytest.mark.slow
def test_mlflow_holds_the_run_also_after_a_resume(finished, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed (extra mlflow)")
        from hpo.integrations.mlflow import MLflowTracker

        uri = f"sqlite:///{tmp_path}/mlflow.db"
        results = Results.from_journal(finished("hyperband"))
        with MLflowTracker("tests", run_name="search", tracking_uri=uri) as first:
            first.show(halves(results), None)
        track(results, MLflowTracker("tests", tracking_uri=uri, parent_run_id=first.parent_run_id))
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("tests").experiment_id
        runs = client.search_runs([experiment], max_results=1000)
        parent = next(run for run in runs if run.info.run_id == first.parent_run_id)
        assert parent.info.status == "FINISHED"
        assert parent.data.metrics["epochs"] == results.epochs
        assert parent.data.metrics["best_loss"] == pytest.approx(results.best.last_loss)
        assert parent.data.tags["hpo.best"] == str(results.best.trial_id)
        children = [run for run in runs if "hpo.trial" in run.data.tags]
        assert len(children) == len(results.trials)
        for child in children:
            trial = results.trials[int(child.data.tags["hpo.trial"])]
            history = client.get_metric_history(child.info.run_id, "loss")
            assert [m.step for m in history] == list(range(1, len(trial.losses) + 1))
            assert [m.value for m in history] == pytest.approx(trial.losses)
            assert child.data.params["lr"] == str(trial.config["lr"])
            assert child.data.tags["hpo.status"] == str(trial.status)


@pytest.mark.slow
def test_tensorboard_holds_the_run(finished, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        from hpo.integrations.tensorboard import TensorBoardTracker

        results = Results.from_journal(finished("swift-hyperband"))
        track(results, TensorBoardTracker(tmp_path / "logs"))
        for trial in results.trials:
            events = EventAccumulator(str(tmp_path / "logs" / f"trial-{trial.trial_id:05d}"))
            events.Reload()
            scalars = events.Scalars("loss") if trial.losses else []
            assert [s.step for s in scalars] == list(range(1, len(trial.losses) + 1))
            assert [s.value for s in scalars] == pytest.approx(trial.losses, rel=1e-6)
            assert "_hparams_/session_start_info" in events.summary_metadata
        events = EventAccumulator(str(tmp_path / "logs" / "search"))
        events.Reload()
        assert events.Scalars("best_loss")[-1].value == pytest.approx(results.best.last_loss)
        with pytest.raises(UsageError, match="is not empty"), TensorBoardTracker(tmp_path / "logs"):
            pass
