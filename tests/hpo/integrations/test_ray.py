"""Ray Tune runs our schedulers: same decisions, nothing trained twice, restored after a kill."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed (extra ray)", allow_module_level=True)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

UNITS, TRIALS = 9, 17
# Runs in a process of its own: Ray leaves threads and warnings behind.
SCRIPT = """
import json, os, sys, tempfile, time
from pathlib import Path

import ray
from ray import tune

from hpo.integrations.ray import SwiftHyperBand

HERE = Path(__file__).parent
UNITS, TRIALS, EPOCH = {units}, {trials}, {epoch}
CURVES = json.loads((HERE / "curves.json").read_text())


def trained(row, unit):
    time.sleep(EPOCH)
    with (HERE / "trace.txt").open("a") as file:
        file.write(f"{{row}} {{unit}}\\n")
    if row == {failing} and unit == 2:
        raise RuntimeError("it was to fail")
    return CURVES[row][unit - 1]


class Class(tune.Trainable):
    def setup(self, config):
        self.row, self.unit = config["row"], 0

    def step(self):
        self.unit += 1
        return {{"loss": trained(self.row, self.unit), "gain": -CURVES[self.row][self.unit - 1]}}

    def save_checkpoint(self, directory):
        Path(directory, "unit.json").write_text(json.dumps(self.unit))

    def load_checkpoint(self, directory):
        self.unit = json.loads(Path(directory, "unit.json").read_text())

    def reset_config(self, config):
        self.row, self.unit = config["row"], 0
        return True


def function(config):
    done, checkpoint = 0, tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as directory:
            done = json.loads(Path(directory, "unit.json").read_text())
    for unit in range(done + 1, UNITS + 1):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "unit.json").write_text(json.dumps(unit))
            loss = trained(config["row"], unit)
            tune.report({{"loss": loss}}, checkpoint=tune.Checkpoint.from_directory(directory))


def main():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False,
             object_store_memory=100_000_000, _temp_dir=os.environ["RAY_HERE"])
    trainable = {trainable}
    if "restore" in sys.argv:
        tuner = tune.Tuner.restore(str(HERE / "results" / "search"), trainable)
    else:
        scheduler = SwiftHyperBand(max_t=UNITS, reduction_factor=3, min_curves=4,
                                   journal=HERE / "swift.jsonl")
        tuner = tune.Tuner(
            trainable,
            param_space={{"row": tune.grid_search(list(range(TRIALS)))}},
            tune_config=tune.TuneConfig(metric="{metric}", mode="{mode}", scheduler=scheduler,
                                        reuse_actors=True),
            run_config=tune.RunConfig(name="search", storage_path=str(HERE / "results"), verbose=0),
        )
    grid = tuner.fit()
    best = grid.get_best_result()
    print("BEST", best.config["row"], "ERRORS", grid.num_errors)
    print("VALUE", best.metrics["{metric}"], "UNIT", best.metrics["training_iteration"])
    print("ROWS", json.dumps({{r.config["row"]: r.metrics.get("{metric}") for r in grid}}))


main()
"""


def curve(row):
    rng = np.random.default_rng(row)
    rate, level = rng.uniform(0.2, 1.2), rng.uniform(0, 0.3)
    return [float(level + 3 * unit**-rate) for unit in range(1, UNITS + 1)]


class Search:
    """One search by Ray Tune in a directory."""

    def __init__(self, request, root: Path, **values) -> None:
        defaults = {"trainable": "Class", "epoch": 0.0, "failing": -1}
        values = defaults | {"metric": "loss", "mode": "min"} | values
        script = textwrap.dedent(SCRIPT).format(units=UNITS, trials=TRIALS, **values)
        self.root = root
        self.snapshots = "1"  # seconds between Ray's own
        self.journal = root / "swift.jsonl"
        self.place = tempfile.mkdtemp(prefix="ray")  # short: sockets lie in it
        request.addfinalizer(lambda: shutil.rmtree(self.place, ignore_errors=True))
        (root / "search.py").write_text(script)
        (root / "curves.json").write_text(json.dumps([curve(row) for row in range(TRIALS)]))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        source = str(Path(sys.modules["hpo"].__file__ or "").parents[1])
        environment = {
            **os.environ,
            "PYTHONPATH": source,
            "RAY_HERE": self.place,
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "TUNE_GLOBAL_CHECKPOINT_S": self.snapshots,
            "RAY_DISABLE_IMPORT_WARNING": "1",
        }
        return subprocess.Popen(
            [sys.executable, "search.py", *arguments],
            cwd=self.root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        try:
            out, _ = process.communicate(timeout=500)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, out[-4000:]
        return out

    def trace(self) -> Counter[str]:
        path = self.root / "trace.txt"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def results(self):
        from hpo.integrations.ray import read_run

        return read_run(self.journal).results


@pytest.fixture
def make_search(request, tmp_path):
    return functools.partial(Search, request, tmp_path)


def our_own():
    """Return what our own loop does on the same curves, in the same order."""
    from hpo.loop import drive
    from hpo.predictors import make_predictor
    from hpo.schedulers import make_scheduler
    from hpo.searchers import ListSearcher
    from hpo.simulation import CurveTable, SimulatedRunner

    table = CurveTable(
        tuple({"row": row} for row in range(TRIALS)),
        np.array([curve(row) for row in range(TRIALS)]),
    )
    options = {"max_resource": UNITS, "reduction_factor": 3, "min_curves": 4}
    scheduler = make_scheduler(
        "swift-hyperband", ListSearcher(list(table.configs)), train_ahead=False, **options
    )
    predictor = make_predictor("nusvr")
    drive(scheduler, SimulatedRunner(table, lambda job: job.trial_id, predictor=predictor))
    return scheduler.summary()


def outcome(trials):
    return [(t.trial_id, str(t.status), t.losses, dict(t.config)) for t in trials]


@pytest.mark.parametrize("trainable", ["Class", "function"])
def test_decisions_are_those_of_our_own_tuner(make_search, trainable):
    search = make_search(trainable=trainable)
    out = search.run()
    ours, results = our_own(), search.results()
    assert outcome(results.trials) == outcome(ours.trials)
    assert [e for e in results.events if e.kind == "decision"]
    assert results.finished
    assert f"BEST {ours.best.config['row']} ERRORS 0" in out
    assert max(search.trace().values()) == 1
    slack = 2 * TRIALS if trainable == "function" else 0  # a thread may be one epoch ahead
    assert ours.epochs <= sum(search.trace().values()) <= ours.epochs + slack


def test_a_metric_to_maximise_and_a_trial_that_fails(make_search):
    search = make_search(metric="gain", mode="max", failing=0)
    out = search.run()
    results = search.results()
    assert str(results.trials[0].status) == "failed"
    assert "it was to fail" in results.trials[0].reason
    assert results.best.trial_id != 0
    assert f"BEST {results.best.trial_id} ERRORS 1" in out
    assert results.finished


def test_a_killed_search_is_restored_from_the_journal(make_search):
    search = make_search(epoch=0.1)
    process = search.start()
    end = time.monotonic() + 300
    while sum(search.trace().values()) < 30:  # about half of the epochs
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1.5)  # one of Ray's own snapshots
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = search.results()
    assert not before.finished
    out = search.run("restore")
    ours, results = our_own(), search.results()
    assert outcome(results.trials) == outcome(ours.trials)
    assert results.finished
    assert f"BEST {ours.best.config['row']}" in out


def test_ray_names_the_best_trial_after_a_kill_that_its_snapshot_does_not_know(make_search):
    """Ray's snapshot is of the start; the kill comes when nearly everything is trained."""
    search = make_search(epoch=0.05, metric="gain", mode="max")
    search.snapshots = "1000"
    ours = our_own()
    process = search.start()
    end = time.monotonic() + 300
    while sum(search.trace().values()) < ours.epochs - 2:
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    out = search.run("restore")
    assert outcome(search.results().trials) == outcome(ours.trials)
    assert f"BEST {ours.best.config['row']}" in out
    assert f"VALUE {-ours.best.losses[-1]} UNIT {len(ours.best.losses)}" in out
    rows = json.loads(next(line[5:] for line in out.splitlines() if line.startswith("ROWS ")))
    assert rows == {str(t.config["row"]): -t.losses[-1] for t in ours.trials}
    assert "Ray's snapshot of this search is older than its journal" in out


def test_a_search_without_a_journal_cannot_be_restored():
    from ray.tune.experiment import Trial

    from hpo.errors import JournalError
    from hpo.integrations.ray.scheduler import SwiftHyperBand, _check_not_restored

    class Restored:
        last_result = {"loss": 1.0}  # noqa: RUF012

    _check_not_restored(Trial("new", stub=True))
    with pytest.raises(JournalError, match="does not keep the state of a scheduler"):
        _check_not_restored(Restored())
    for message, change in {
        "mode must be 'min' or 'max'": {"mode": "low"},
        "scheduler must be one of": {"scheduler": "asha"},
        "takes the options": {"curves": 3},
        "max_resource": {"max_t": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            SwiftHyperBand(**change)


def test_a_least_resource_is_an_option() -> None:
    from hpo.integrations.ray import SwiftHyperBand

    assert SwiftHyperBand(max_t=9, min_resource=3)
    with pytest.raises(ValueError, match=r"min_resource must lie in 1\.\.9"):
        SwiftHyperBand(max_t=9, min_resource=10)
