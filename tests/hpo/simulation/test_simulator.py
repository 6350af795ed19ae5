from __future__ import annotations

import numpy as np
import pytest

from hpo.loop import drive
from hpo.schedulers import Hyperband, RandomSearch
from hpo.simulation import (
    CurveTable,
    CyclicTableSearcher,
    SimulatedRunner,
    TableSearcher,
    simulate,
)
from hpo.simulation.datasets import clean_rows, load_mlpf, read_table
from hpo.trial import Done, PredictFailure, PredictJob, TrainJob


@pytest.fixture
def table():
    return CurveTable(tuple({"x": i} for i in range(4)), np.arange(12.0).reshape(4, 3))


def test_virtual_clock(table):
    runner = SimulatedRunner(
        table, lambda job: job.trial_id, n_workers=2, epoch_times=[1.0, 5.0, 1.0, 1.0]
    )
    runner.submit(TrainJob(0, {}, 0, 3))
    runner.submit(TrainJob(1, {}, 1, 2))
    assert runner.free == 0
    (first,) = runner.wait()
    assert (runner.now, first.losses, runner.free) == (3.0, (0.0, 1.0, 2.0), 1)
    (second,) = runner.wait()
    assert (runner.now, second.losses, runner.busy) == (5.0, (4.0,), 8.0)
    with pytest.raises(RuntimeError, match="nothing runs"):
        runner.wait()
    with pytest.raises(ValueError, match="n_workers"):
        SimulatedRunner(table, lambda job: 0, n_workers=0)


def test_predictions_take_no_worker_and_their_own_time(table):
    runner = SimulatedRunner(table, lambda job: job.trial_id, predict_time=2.5)
    runner.submit(PredictJob(0, 0, 0, 3, (), (), 0))
    assert runner.free == 1
    (report,) = runner.wait()
    assert isinstance(report, PredictFailure)
    assert runner.now == 2.5


def test_reports_due_at_once_come_together(table):
    runner = SimulatedRunner(table, lambda job: job.trial_id, n_workers=3)
    for trial in range(3):
        runner.submit(TrainJob(trial, {}, 0, 2))
    assert [report.trial_id for report in runner.wait()] == [0, 1, 2]


def test_simulation_of_random_search(table):
    result = simulate(
        lambda s: RandomSearch(s, max_resource=3, n_trials=4), table, n_workers=2, seed=1
    )
    assert (result.makespan, result.utilisation, result.summary.epochs) == (6.0, 1.0, 12)
    assert result.summary.best.config == {"x": 0}


def test_table_searchers(table):
    searcher = TableSearcher(table, seed=5)
    order = np.random.RandomState(5).permutation(4).tolist()
    assert list(searcher.order) == order
    assert [searcher.propose(i) for i in range(5)] == [*({"x": row} for row in order), None]
    assert searcher.row_of(TrainJob(2, {}, 0, 1)) == order[2]
    cyclic = CyclicTableSearcher(table, order=[3, 1])
    assert [cyclic.propose(i)["x"] for i in range(4)] == [3, 1, 3, 1]
    assert cyclic.row_of(TrainJob(3, {}, 0, 1)) == 1


def test_recorder_hears_first(table):
    heard = []

    class Recorder:
        def decided(self, job):
            heard.append(("decided", job.trial_id))

        def reported(self, report):
            heard.append(("reported", report.trial_id))

    scheduler = Hyperband(TableSearcher(table), max_resource=3)
    runner = SimulatedRunner(table, TableSearcher(table).row_of)
    drive(scheduler, runner, Recorder())
    assert isinstance(scheduler.ask(), Done)
    assert [kind for kind, _ in heard] == ["decided", "reported"] * (len(heard) // 2)


def test_table_shapes_are_checked():
    with pytest.raises(ValueError, match="one row per configuration"):
        CurveTable(({},), np.zeros((2, 3)))


def test_read_csv_and_npz(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("lr,kind,cost,loss_0,loss_1\n0.1,a,2,1.5,1.0\n3,b,1,nan,0.5\n")
    table = read_table(path)
    assert table.configs == ({"lr": 0.1, "kind": "a"}, {"lr": 3, "kind": "b"})
    assert table.losses[1, 1] == 0.5
    assert table.cost.tolist() == [2.0, 1.0]
    assert table.take([1]).configs == ({"lr": 3, "kind": "b"},)

    other = tmp_path / "t.npz"
    np.savez(other, X=[[0.5], [0.25]], names=["lr"], Y=np.ones((2, 3)), cost=[1.0, 2.0])
    table = read_table(other)
    assert table.configs == ({"lr": 0.5}, {"lr": 0.25})
    assert table.max_resource == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "", "must be a .csv or .npz"),
        ("t.csv", "", "not a valid table of learning curves"),
        ("t.csv", "lr\n0.1\n", "needs columns loss_0"),
        ("t.csv", "lr,loss_0\n", "at least one row"),
        ("t.csv", "lr,loss_1\n0.1,2\n", "loss_0"),
        ("t.csv", "lr,loss_0\n0.1,high\n", "high"),
    ],
)
def test_bad_tables_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(path)


def test_mlpf_table(mlpf, tmp_path):
    assert mlpf.losses.shape == (296, 100)
    assert len({tuple(config.items()) for config in mlpf.configs}) == 183
    kept = clean_rows(mlpf)
    assert len(kept) == 128
    other = tmp_path / "mlpf.csv"
    other.write_text("lr,loss_0\n")
    with pytest.raises(ValueError, match="SHA-256"):
        load_mlpf(other)
