"""Where forecasts run: the same answers in turn and in a process, and what its death costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sklearn.neighbors import KNeighborsRegressor

from hpo.predictors import JointPredictor, MixedPredictor, PooledPredictor, make_predictor
from hpo.run.forecasting import InProcess, InThread, InTurn, model_runner
from hpo.run.tuner import Tuner
from hpo.schedulers import make_scheduler
from hpo.searchers import CurveSearcher
from hpo.space.search_space import SearchSpace
from hpo.trial import Curve, ForecastJob, ForecastReport, PredictFailure
from waiting import PATIENCE, wait_until

SPACE = {"lr": {"type": "float", "low": 0.0, "high": 1.0}}


class Slow(PooledPredictor):
    """A predictor of this test, not of the package."""


class Empty(PooledPredictor):
    """Falsy, as a pipeline without steps is."""

    def __len__(self) -> int:
        return 0


class Unpicklable(MixedPredictor):
    def __init__(self) -> None:
        super().__init__()
        self.hook = lambda: None


def scheduler():
    searcher = CurveSearcher(SearchSpace.from_dict(SPACE), seed=0)
    return make_scheduler("swift-asha", searcher, max_resource=27, seed=0)


def job(searcher, number: int = 1, n_trials: int = 9) -> ForecastJob:
    curves = []
    for trial in range(n_trials):
        config = searcher.propose(trial)
        losses = tuple(config["lr"] + 1 / (unit + 1) for unit in range(1 + trial % 4))
        curves.append(Curve(trial, config, losses))
    return ForecastJob(number, 27, tuple(curves), (), number, 6, {})


@pytest.fixture
def in_process():
    made = scheduler()
    model = model_runner(None, made, background=True)
    assert isinstance(model, InProcess)
    yield made, model
    model.close()


@pytest.mark.slow
def test_a_process_answers_as_in_turn(in_process) -> None:
    made, model = in_process
    theirs = scheduler()
    in_turn = model_runner(None, theirs, background=False)
    assert isinstance(in_turn, InTurn)
    for number in (1, 2, 3):
        n_trials = 6 + 3 * number
        found = model.start(job(made.searcher, number, n_trials), None).result(PATIENCE)
        expected = in_turn.start(job(theirs.searcher, number, n_trials), None).result()
        assert isinstance(found, ForecastReport)
        assert found.proposals
        assert found == expected


@pytest.mark.slow
def test_the_searcher_is_sent_as_it_is_when_the_job_starts(in_process) -> None:
    """It proposes nothing that was handed out before, and what is handed out later is too late."""
    made, model = in_process
    asked = job(made.searcher)
    future = model.start(asked, None)
    for trial in range(9, 40):  # while the forecast runs
        made.searcher.propose(trial)
    other = scheduler()
    expected = model_runner(None, other, background=False).start(job(other.searcher), None)
    assert future.result(PATIENCE) == expected.result()


@pytest.mark.slow
def test_a_dead_process_fails_its_job_and_the_next_starts_another(in_process) -> None:
    made, model = in_process
    assert isinstance(model.start(job(made.searcher), None).result(PATIENCE), ForecastReport)
    process = model._process._context.last
    os.kill(process.pid, signal.SIGSTOP)  # so that it cannot end before it is killed
    future = model.start(job(made.searcher, 2, 60), None)
    os.kill(process.pid, signal.SIGKILL)
    failure = future.result(PATIENCE)
    assert isinstance(failure, PredictFailure)
    assert failure.reason == "the process of the forecast was killed by signal 9 (SIGKILL)"
    assert isinstance(model.start(job(made.searcher, 3), None).result(PATIENCE), ForecastReport)
    executor, _ = model._process._current
    os.kill(model._process._context.last.pid, signal.SIGKILL)  # while it is idle
    wait_until(lambda: executor._broken, "its executor to notice")
    assert isinstance(model.start(job(made.searcher, 4), None).result(PATIENCE), ForecastReport)


@pytest.mark.slow
def test_a_timeout_kills_the_process(in_process, monkeypatch) -> None:
    made, model = in_process
    assert isinstance(model.start(job(made.searcher), 30.0).result(PATIENCE), ForecastReport)
    process = model._process._context.last
    os.kill(process.pid, signal.SIGSTOP)  # so that it cannot be in time
    failure = model.start(job(made.searcher, 2, 80), 1e-3).result(PATIENCE)
    assert failure == PredictFailure(2, "timed out: no prediction after 0.001 s")
    wait_until(lambda: process.exitcode is not None, "its end")  # who kills it waits for it too
    assert process.exitcode in (-signal.SIGTERM, -signal.SIGKILL)  # the latter if it does not end
    counted = []  # the limit counts from when the new process is up
    monkeypatch.setattr(
        "hpo.run.forecasting.call_after",
        lambda seconds, *_: counted.append((seconds, model._process.preparing)),
    )
    assert isinstance(model.start(job(made.searcher, 3), 1.0).result(PATIENCE), ForecastReport)
    assert counted == [(1.0, False)]


@pytest.mark.parametrize(
    ("predictor", "kind"),
    [
        (None, InProcess),
        ("joint", InProcess),
        (JointPredictor(), InProcess),
        (PooledPredictor(KNeighborsRegressor()), InProcess),
        (Slow(), InThread),
        (Empty(), InThread),
        (Unpicklable(), InThread),
        (PooledPredictor(make_predictor("qsvr").regressor), InThread),
        (PooledPredictor("qsvr"), InThread),
        (PooledPredictor("svr"), InProcess),
    ],
)
def test_who_gets_a_process(predictor, kind) -> None:
    """What is not ours, may hold a token, or cannot be pickled, stays in a thread."""
    model = model_runner(predictor, scheduler(), background=True)
    try:
        assert isinstance(model, kind)
    finally:
        model.close()


@pytest.mark.slow
def test_a_killed_forecast_degrades_a_run_that_goes_on(workshop) -> None:
    workshop.slow(0.01)
    spec = workshop.spec(scheduler="swift-asha", max_resource=27, reduction_factor=2)
    executor = {"executor": lambda: ThreadPoolExecutor(2), "n_workers": 2}
    tuner = Tuner.from_spec(spec, journal=workshop.journal, predict_timeout=0.02, **executor)
    results = tuner.run()
    kinds = [event.kind for event in results.events]
    assert kinds.count("degraded") >= 1
    assert any("no prediction after 0.02 s" in line for line in results.summary_lines())
    assert results.best is not None


@pytest.mark.slow
@pytest.mark.parametrize("slow", [0.0, 0.15])
def test_one_worker_process_repeats_the_inline_search(make_workshop, outcome_of, slow) -> None:
    """Whatever ends first, a forecast or the training beside it."""

    def found(name: str, **settings) -> list[object]:
        shop = make_workshop(name)
        shop.slow(slow if settings else 0.0)
        spec = shop.spec(
            scheduler="swift-asha",
            max_resource=9,
            scheduler_options={"max_epochs": 40},
            **settings,
        )
        return outcome_of(Tuner.from_spec(spec, journal=shop.journal).run())

    assert found("process", executor="process", n_workers=1) == found("inline")


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "random-search"])
def test_a_search_that_predicts_nothing_imports_nothing_of_it(
    workshop, environment, scheduler
) -> None:
    """Scikit-learn and SciPy's statistics take a second to import."""
    lead = (
        "import sys\nfrom hpo.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print(sorted({'sklearn', 'scipy.special', 'scipy.stats', 'numba'} & set(sys.modules)))"
    )
    (workshop.root / "lead.py").write_text(lead)
    done = subprocess.run(
        [sys.executable, "lead.py", *workshop.run_args(scheduler=scheduler), "--quiet"],
        cwd=workshop.root, env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_who_leads_a_search_imports_no_scikit_learn_for_another_process(environment) -> None:
    """It takes seconds to import, before the first trial is trained."""
    code = (
        "import sys\nfrom hpo import CurveSearcher, SearchSpace, make_scheduler\n"
        "from hpo.run.forecasting import InProcess, model_runner\n"
        f"searcher = CurveSearcher(SearchSpace.from_dict({SPACE!r}), seed=0)\n"
        "scheduler = make_scheduler('swift-asha', searcher, max_resource=27)\n"
        "if __name__ == '__main__':\n"
        "    runner = model_runner(None, scheduler, background=True)\n"
        "    runner.close()\n"
        "    print(type(runner) is InProcess, 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True False\n"), done.stderr
