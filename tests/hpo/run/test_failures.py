"""Failing trainers: the run goes on, and the final table says what happened to whom."""

from __future__ import annotations

import io
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hpo.errors import UsageError
from hpo.predictors.base import Prediction
from hpo.run.progress import Progress
from hpo.run.tuner import Tuner
from hpo.schedulers import make_scheduler
from hpo.searchers import ListSearcher
from hpo.trial import TrialStatus

ACCIDENTS = Path(__file__).parents[2] / "support" / "accidents.py"
HARMLESS = ["exception", "unpicklable", "silent", "sys.exit", "nan", "inf", "too few"]
DEADLY = ["os._exit", "killed", "segfault"]


def scheduler_over(kinds: list[str]):
    configs = [{"kind": kind} for kind in [*kinds, "good", "good", "good", "good"]]
    return make_scheduler(
        "successive-halving",
        ListSearcher(configs),
        max_resource=4,
        reduction_factor=2,
        n_trials=len(configs),
        seed=0,
    )


def table_text(results) -> str:
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(results.table(top=20))
    return console.export_text()


def check(results, kinds: list[str]) -> None:
    failed = results.trials[: len(kinds)]
    assert [trial.status for trial in failed] == [TrialStatus.FAILED] * len(kinds)
    assert all(trial.reason for trial in failed)
    assert results.best is not None
    assert results.best.config["kind"] == "good"
    text = table_text(results)
    for trial in failed:
        assert re.search(rf"\b{trial.trial_id} │ failed", text), text


@pytest.mark.parametrize("max_retries", [0, 1])
def test_run_goes_on_inline(max_retries: int) -> None:
    results = Tuner(
        f"{ACCIDENTS}:train", scheduler_over(HARMLESS), executor="inline", max_retries=max_retries
    ).run()
    check(results, HARMLESS)
    raised = [trial for trial in results.trials if "attempts" in trial.reason]
    assert len(raised) == (0 if max_retries == 0 else len(HARMLESS) - 2)  # NaN, inf: no retry


@pytest.mark.slow
def test_run_goes_on_in_processes(tmp_path: Path) -> None:
    kinds = HARMLESS + DEADLY
    results = Tuner(
        f"{ACCIDENTS}:train",
        scheduler_over(kinds),
        n_workers=2,
        max_retries=0,
        journal=tmp_path / "j",
    ).run()
    check(results, kinds)
    reasons = {trial.config["kind"]: trial.reason for trial in results.trials}
    assert "exit code 7" in reasons["os._exit"]
    assert "SIGKILL" in reasons["killed"]
    assert "SIGSEGV" in reasons["segfault"]
    assert (tmp_path / "j.checkpoints" / "worker-0.log").exists()  # what the trainers print


@pytest.mark.slow
def test_run_goes_on_after_a_time_limit() -> None:
    settings = {"n_workers": 2, "timeout": 5.0, "max_retries": 0}
    results = Tuner(f"{ACCIDENTS}:train", scheduler_over(["hang"]), **settings).run()
    check(results, ["hang"])
    assert "timed out" in results.trials[0].reason


@pytest.mark.slow
def test_retry_succeeds_after_a_death() -> None:
    results = Tuner(f"{ACCIDENTS}:train", scheduler_over(["once"]), n_workers=2).run()
    assert results.trials[0].status is not TrialStatus.FAILED
    assert [note["attempt"] for note in results.notes if note["what"] == "retry"] == [1]
    assert results.records()[0]["retries"] == 1


def test_failing_predictor_degrades_visibly(workshop) -> None:
    class Offline:
        def fit(self, curves, known, target, context):
            raise ConnectionError("annealer offline")

        def predict(self, curves):
            raise AssertionError

    spec = workshop.spec(scheduler="swift-hyperband", scheduler_options={"min_curves": 3})
    results = Tuner.from_spec(spec, journal=workshop.journal, predictor=Offline()).run()
    assert any("annealer offline" in line for line in results.summary_lines())
    assert results.best is not None


def test_no_secrets_in_journal_or_logs(workshop, monkeypatch) -> None:
    monkeypatch.setenv("DWAVE_API_TOKEN", "tok-12345")
    workshop.write_trainer(
        "import os\n"
        "def train(config, start, stop, checkpoint):\n"
        "    token = os.environ['DWAVE_API_TOKEN']\n"
        "    if config['lr'] < 0.5:\n"
        "        raise ValueError('no')\n"
        "    return [config['lr']] * (stop - start)\n"
    )
    Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal).run()
    files = [path for path in workshop.root.rglob("*") if path.is_file()]
    assert any(path.name == "error.txt" for path in files)
    assert not any(b"tok-12345" in path.read_bytes() for path in files)


def test_lost_checkpoints_are_said(workshop, outcome_of, caplog) -> None:
    reference = Tuner.from_spec(workshop.spec(), journal=workshop.journal).run()
    raw = workshop.journal.read_bytes()
    workshop.journal.write_bytes(raw[: len(raw) // 2])
    shutil.rmtree(workshop.root / "run.checkpoints")
    results = Tuner.resume(workshop.journal)
    assert outcome_of(results) == outcome_of(reference)
    assert "trained from the beginning" in caplog.text


def test_hanging_predictor_degrades_after_its_time(workshop) -> None:
    noted = threading.Event()

    class Hanging:
        def fit(self, curves, known, target, context):
            noted.wait(60)
            return self

        def predict(self, curves):
            return Prediction(np.zeros(len(curves)), np.zeros(len(curves)), skill=0.0, info={})

    class Watch(Progress):
        def show(self, summary, baseline) -> None:
            if any(event.kind == "degraded" for event in summary.events):
                noted.set()

    spec = workshop.spec(scheduler="swift-hyperband", scheduler_options={"min_curves": 3})
    results = Tuner.from_spec(
        spec,
        journal=workshop.journal,
        predictor=Hanging(),
        executor=lambda: ThreadPoolExecutor(2),
        n_workers=2,
        predict_timeout=0.1,
        progress=Watch(),
    ).run()
    assert any("no prediction after 0.1 s" in line for line in results.summary_lines())
    assert results.best is not None


def test_a_prediction_within_its_time_is_taken(workshop) -> None:
    class Slow:
        def fit(self, curves, known, target, context):
            time.sleep(0.02)
            return self

        def predict(self, curves):
            last = np.array([curve.losses[-1] for curve in curves])
            return Prediction(last, np.zeros_like(last), skill=0.0, info={})

    spec = workshop.spec(scheduler="swift-hyperband", scheduler_options={"min_curves": 3})
    results = Tuner.from_spec(
        spec,
        journal=workshop.journal,
        predictor=Slow(),
        executor=lambda: ThreadPoolExecutor(2),
        n_workers=2,
        predict_timeout=60.0,
    ).run()
    kinds = {event.kind for event in results.events}
    assert "decision" in kinds
    assert "degraded" not in kinds


@pytest.mark.parametrize("options", [{"token": "x"}, {"sampler": {"api_token": "x"}}])
def test_secrets_are_no_options(workshop, options) -> None:
    with pytest.raises(UsageError, match="looks like a secret"):
        workshop.spec(predictor_options=options)
