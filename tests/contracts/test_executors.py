"""What every worker pool promises: an outcome for every accident, and the others go on.

Ray is tested where it is installed (``pytest -m ray``). MPI needs its ranks:

    mpiexec -n 3 python -m mpi4py.futures -m pytest tests/contracts/test_executors.py -k mpi

which ``tests/hpo/run/executors/test_mpi.py`` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import multiprocessing
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hpo.errors import ExecutorBrokenError, UsageError
from hpo.run.executors import make_pool
from hpo.run.executors.attempts import settle
from hpo.run.executors.pools import ExecutorPool, InlinePool, ProcessPool, WorkerPool
from hpo.trainers import NamedTrainer, Outcome, Segment
from hpo.trainers.base import run_segment
from joining import joined
from waiting import PATIENCE, wait_until

ACCIDENTS = Path(__file__).parents[1] / "support" / "accidents.py"
TRAINER = NamedTrainer(f"{ACCIDENTS}:train")
OPEN = contextlib.ExitStack()
SPAWN = multiprocessing.get_context("spawn")


def _loky() -> object:
    from joblib.externals.loky import get_reusable_executor

    return get_reusable_executor(max_workers=2)


def _dask_executor() -> Executor:
    """Return what users of Dask have: an executor of their own client."""
    import dask
    from distributed import Client, LocalCluster

    # Workers that take longer to start again than this, which is 15 s by default, are given up.
    OPEN.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"}))
    cluster = OPEN.enter_context(
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs="CRITICAL",
        )
    )
    return OPEN.enter_context(Client(cluster, set_as_default=False)).get_executor()


def _shared() -> WorkerPool:
    """Return a pool that a second process has joined."""
    root = Path(OPEN.enter_context(tempfile.TemporaryDirectory()))
    OPEN.enter_context(joined(root))
    return make_pool("shared", 2, log_dir=root)


POOLS: dict[str, Callable[[], WorkerPool]] = {
    "inline": InlinePool,
    "process": lambda: ProcessPool(2),
    "threads": lambda: ExecutorPool(lambda: ThreadPoolExecutor(2), 2),
    "process pool executor": lambda: ExecutorPool(lambda: ProcessPoolExecutor(2, SPAWN), 2),
    "loky": lambda: ExecutorPool(_loky, 2),
    "dask": lambda: make_pool("dask", 2),
    "dask executor": lambda: ExecutorPool(_dask_executor(), 2),
    "shared": _shared,
    "ray": lambda: make_pool("ray", 2),
    "mpi": lambda: make_pool("mpi", 2),
}
NEEDS = {
    "ray": (
        pytest.mark.ray,
        pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed"),
    ),
    "mpi": (
        pytest.mark.skipif(
            "mpi4py.futures" not in sys.orig_argv,
            reason="not started by mpiexec; tests/hpo/run/executors/test_mpi.py does",
        ),
    ),
}


def some(*left_out: str, of: Iterable[str] = POOLS) -> list[object]:
    """Return pools as parameters of a test."""
    return [pytest.param(name, marks=NEEDS.get(name, ())) for name in of if name not in left_out]


OWN_PROCESS = some("inline", "threads", "mpi")  # MPI gives up as a whole
EXECUTORS = some(of=("process", "dask", "shared", "ray", "mpi"))
DEVICES = some(of=("process", "dask", "ray", "mpi"))  # a process that joins has its own

REASONS = {
    "exception": r"ValueError: no good second line \(accidents.py:\d+\)",
    "unpicklable": r"UnpicklableError: cannot travel",
    "silent": r"SilentError: \(its message cannot be shown\)",
    "sys.exit": r"SystemExit: bye",
    "too few": r"ValueError: trainer must return one of losses per unit: 2 here, got 1",
    "too many": r"ValueError: trainer must return one of losses per unit: 2 here, got 3",
    "none": r"TypeError: trainer must return a sequence of losses, got NoneType",
    "text": r"TypeError: trainer must return numbers as losses, got str",
    "disk full": r"OSError: \[Errno 28\] No space left on device",
}
DEATHS = {
    "os._exit": r"worker (process ended with exit code 7|died)|KilledWorker|WorkerCrashedError",
    "killed": (
        r"worker (process was killed by signal 9 \(SIGKILL\)|died)|KilledWorker|WorkerCrashedError"
    ),
}


class Pools:
    """Pools by name, which one test after the other uses, accidents and all."""

    def __init__(self) -> None:
        self._made: dict[str, WorkerPool] = {}

    def __call__(self, name: str) -> WorkerPool:
        if name not in self._made:
            self._made[name] = POOLS[name]()
        return self._made[name]

    def close(self, *names: str) -> None:
        for name in names or tuple(self._made):
            if name in self._made:
                self._made.pop(name).close()


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    made = Pools()
    with OPEN:
        yield made
        made.close()


@pytest.fixture(params=some())
def pool(request: pytest.FixtureRequest, pools: Pools) -> WorkerPool:
    return pools(request.param)


def segment(tmp_path: Path, kind: str, number: int = 0) -> Segment:
    return Segment({"kind": kind}, 0, 2, tmp_path / f"trial-{number}" / "checkpoint")


def run(pool: WorkerPool, tmp_path: Path, *kinds: str, timeout: float | None = None):
    """Run segments, as many at a time as the pool takes; return their outcomes in order."""
    futures = []
    for number, kind in enumerate(kinds):
        wait_until(lambda: pool.free, "the pool to have room")
        futures.append(pool.submit(TRAINER, segment(tmp_path, kind, number), timeout))
    return [future.result(PATIENCE) for future in futures]


@pytest.mark.slow
def test_every_accident_has_its_reason(pool: WorkerPool, tmp_path: Path) -> None:
    outcomes = run(pool, tmp_path, *REASONS, "good")
    for outcome, pattern in zip(outcomes, REASONS.values(), strict=False):
        assert re.match(pattern, outcome.reason), outcome.reason
        assert outcome.losses == ()
    assert outcomes[-1] == Outcome((1.0, 0.5))
    assert (pool.free, pool.n_waiting) == (pool.n_workers, 0)
    assert "Traceback" in (tmp_path / "trial-0" / "error.txt").read_text()


@pytest.mark.slow
def test_nan_and_infinity_are_results(pool: WorkerPool, tmp_path: Path) -> None:
    nan, inf = run(pool, tmp_path, "nan", "inf")
    assert (nan.reason, inf.reason) == ("", "")
    assert nan.losses[0] != nan.losses[0]
    assert inf.losses == (float("inf"),) * 2


@pytest.mark.slow
def test_a_trainer_may_ask_about_its_trial(pool: WorkerPool, tmp_path: Path) -> None:
    end = time.time() + 900
    place = segment(tmp_path, "asks", 7)
    asked = replace(place, trial_id=7, attempt=3, deadline=end, attempts=tmp_path / "attempts")
    found = pool.submit(TRAINER, asked, None).result(PATIENCE)
    assert found.reason == ""
    assert [each[0] for each in found.extra.values()] == [7, 3, 2, end, 1, 0]
    settle(place.checkpoint.parent, tmp_path / "attempts", found.attempt)
    lines = (place.checkpoint.parent / "log.txt").read_text().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"[\d-]+ [\d:,]+ INFO trained by .+ on \S+", lines[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_PROCESS)
@pytest.mark.parametrize("death", list(DEATHS))
def test_death_of_a_worker_concerns_its_job_only(pools, name, death, tmp_path: Path) -> None:
    pool = pools(name)
    outcomes = run(pool, tmp_path, "good", death, "good", "good", "once", "good")
    reasons = [outcome.reason for outcome in outcomes]
    assert re.match(DEATHS[death], reasons[1]), reasons
    assert (tmp_path / "trial-4" / "once").exists(), "the second death never happened"
    # "": as a suspect, or by the executor, it was run once more
    assert reasons[4] == "" or re.match(DEATHS["os._exit"].replace("7", "1"), reasons[4]), reasons
    assert [reason for i, reason in enumerate(reasons) if i not in (1, 4)] == [""] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTORS)
def test_frozen_worker_delays_its_own_job_only(pools, name, tmp_path: Path) -> None:
    pool = pools(name)
    run(pool, tmp_path, "good", "good")  # both workers are up
    place = segment(tmp_path, "frozen", 9)
    frozen = pool.submit(TRAINER, place, None)
    outcomes = run(pool, tmp_path, *["good"] * 4)  # does not end if the others wait for it
    assert not frozen.done()
    place.checkpoint.with_name("go on").touch()
    assert [outcome.reason for outcome in outcomes] == [""] * 4
    assert frozen.result(PATIENCE) == Outcome((1.0, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("name", some(of=("threads", "dask", "ray", "mpi")))
def test_cancelling_does_nothing_to_a_job_that_runs(pools, name, tmp_path: Path) -> None:
    """Our own processes are killed instead, see below."""
    pool = pools(name)
    run(pool, tmp_path, "good", "good")
    place = segment(tmp_path, "slow", 9)
    late = pool.submit(TRAINER, place, 0.2).result(PATIENCE)
    assert late.reason.startswith("timed out: no result after 0.2 s")
    assert not late.retry  # it runs on, in the same checkpoint
    assert pool.free == 1
    assert run(pool, tmp_path, "good")[0].reason == ""
    place.checkpoint.parent.mkdir(exist_ok=True)  # it may not even have begun
    place.checkpoint.with_name("go on").touch()
    wait_until(lambda: pool.free == 2, "its worker to come back")
    assert [outcome.reason for outcome in run(pool, tmp_path, "good", "good")] == ["", ""]


@pytest.mark.slow
@pytest.mark.parametrize("name", DEVICES)
def test_each_worker_has_its_device(pools, name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # restored at the end
    pools.close("ray")  # there is one Ray to a process
    pool = make_pool(name, 2, options={"devices": "4,7"})
    outcomes = run(pool, tmp_path, *["device"] * 4)
    pool.close()
    assert [outcome.reason for outcome in outcomes] == [""] * 4
    assert {outcome.extra["device"][0] for outcome in outcomes} == {4.0, 7.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTORS)
def test_workers_use_one_thread_each(pools, name: str, tmp_path: Path) -> None:
    outcome = run(pools(name), tmp_path, "threads")[0]
    assert outcome.extra["threads"] == (1.0, 1.0), outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", some("inline"))
def test_a_retry_is_run_again(pools, name: str, tmp_path: Path) -> None:
    """Dask takes calls for pure functions unless it is told otherwise."""
    pool = pools(name)
    place = segment(tmp_path, "third time")
    reasons = [pool.submit(TRAINER, place, None).result(PATIENCE).reason for _ in range(3)]
    assert ["not yet" in reason for reason in reasons] == [True, True, False], reasons
    assert reasons[2] == ""


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cloud", {}, "executor must be 'process', 'inline', 'dask', 'mpi', 'ray', 'shared', an"),
        ("inline", {"devices": "0"}, "executor 'inline' has no option 'devices'; it has: none"),
        ("process", {"address": "x"}, "executor 'process' has no option 'address'"),
        ("process", {"devices": "0"}, "devices must name one device per worker: 2 workers, got 1"),
        ("process", {"devices": ""}, "devices must be a list such as 0,1, got ''"),
        ("process", {"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ("shared", {"devices": "0,1"}, "executor 'shared' has no option 'devices'"),
        ("dask", {"patience": 0}, "patience must be seconds above 0, got 0"),
        ("dask", {"address": 7}, "address must be text, got 7"),
        ("dask", {"address": "x", "scheduler_file": "y"}, "exclude each other"),
        ("dask", {"address": "tcp://127.0.0.1:9", "patience": 0.2}, "no Dask scheduler answers at"),
        ("dask", {"address": "tcp://127.0.0.1:9", "devices": "0,1"}, "where you start them"),
    ],
)
def test_settings_that_are_refused(name, options, message) -> None:
    if name == "dask":
        pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")
    with pytest.raises(UsageError, match=re.escape(message)):
        make_pool(name, 2, options=options)


@pytest.mark.skipif("mpi4py.futures" in sys.orig_argv, reason="started by mpiexec")
@pytest.mark.ray
@pytest.mark.slow
def test_devices_that_a_running_ray_lacks_are_refused(pools) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    pools("ray")
    with pytest.raises(UsageError, match="has 0 GPUs for 2 workers"):
        make_pool("ray", 2, options={"devices": "4,7"})


def test_mpi_without_its_ranks_is_refused() -> None:
    with pytest.raises(UsageError, match=r'rank 0 leads|pip install "\.\[mpi\]"'):
        make_pool("mpi", 2)


@pytest.mark.slow
def test_a_dask_worker_that_does_not_come_back_is_replaced(monkeypatch, tmp_path: Path) -> None:
    """Its nanny gave up, as when the new process dies while it starts."""
    from hpo.run.executors import dask as executor
    from hpo.run.executors.options import ExecutorOptions

    monkeypatch.setattr(executor, "_RESTART", "1s")
    local = executor._Local(1, ExecutorOptions(), None)
    nanny = local._cluster.workers[0]
    local._cluster.sync(nanny.close)
    assert local.call(partial(run_segment, TRAINER, segment(tmp_path, "good"))).reason == ""
    assert nanny not in local._cluster.workers.values()  # whatever its successor is called
    local.close()


@pytest.mark.slow
def test_a_dask_call_does_not_wait_behind_one_that_kills_its_worker(monkeypatch, tmp_path) -> None:
    """Dask would count each death as that of both calls."""
    from distributed.scheduler import KilledWorker

    from hpo.run.executors import dask as executor
    from hpo.run.executors.options import ExecutorOptions

    monkeypatch.setattr(executor, "_HEAL_EVERY", 1000.0)
    local = executor._Local(2, ExecutorOptions(), None)
    local._cluster.sync(local._cluster.workers[0].close)  # one is left
    with ThreadPoolExecutor(2) as threads:
        kills, good = (
            threads.submit(local.call, partial(run_segment, TRAINER, segment(tmp_path, kind)))
            for kind in ("killed", "good")
        )
        assert good.result(PATIENCE).reason == ""
        with pytest.raises(KilledWorker):
            kills.result(PATIENCE)
    local.close()


@pytest.mark.slow
def test_a_local_dask_answers_without_sockets_and_waits(tmp_path: Path) -> None:
    """Each would cost every job milliseconds; a result kept for ever would cost memory."""
    from hpo.run.executors import dask as executor
    from hpo.run.executors.options import ExecutorOptions

    local = executor._Local(1, ExecutorOptions(), None)
    try:
        assert local._client.scheduler.address.startswith("inproc://")
        for _ in range(3):
            local.call(partial(run_segment, TRAINER, segment(tmp_path, "good")))
            end = time.monotonic() + PATIENCE
            while len(local._client.futures) > 1:  # what is released is gone a moment later
                assert time.monotonic() < end
                local._client.sync(asyncio.sleep, 0.01)
            assert len(local._client.futures) == 1, "kept until the next call, and no longer"
    finally:
        local.close()


@pytest.mark.slow
def test_hanging_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    pool = ProcessPool(2)
    hanging = pool.submit(TRAINER, segment(tmp_path, "hang", 9), 1.0)
    good, after = run(pool, tmp_path, "good", "good")
    hang = hanging.result(PATIENCE)
    last = run(pool, tmp_path, "good", "good")
    pool.close()
    assert hang.reason == "timed out: no result after 1 s"
    assert hang.retry
    assert [each.reason for each in (good, after, *last)] == [""] * 4


@pytest.mark.slow
def test_closing_does_not_wait_for_a_hanging_worker(tmp_path: Path) -> None:
    pool = ProcessPool(1)
    future = pool.submit(TRAINER, segment(tmp_path, "hang"), None)
    begun = time.monotonic()
    while not (tmp_path / "trial-0" / "hangs").exists():
        assert time.monotonic() - begun < PATIENCE, "the worker never hung"
        time.sleep(0.01)
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < PATIENCE  # it hangs for longer
    assert "SIGTERM" in future.result(PATIENCE).reason


def test_timeout_on_a_foreign_executor_gives_the_job_up(tmp_path: Path) -> None:
    go_on = threading.Event()

    class Slow:
        def train(self, config, start, stop, checkpoint):
            assert go_on.wait(PATIENCE)
            return [1.0]

    pool = ExecutorPool(lambda: ThreadPoolExecutor(2), 2)
    place = Segment({}, 0, 1, tmp_path / "t" / "c")
    outcome = pool.submit(Slow(), place, 0.05).result(PATIENCE)
    assert outcome.reason.startswith("timed out: no result after 0.05 s")
    assert not outcome.retry
    assert pool.free == 1  # its thread is still busy
    go_on.set()
    wait_until(lambda: pool.free == 2, "its thread to come back")
    pool.close()


def test_a_pool_shuts_down_the_executor_that_it_built_and_no_other() -> None:
    built = ThreadPoolExecutor(1)
    ExecutorPool(lambda: built, 1).close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        built.submit(int)
    with ThreadPoolExecutor(1) as theirs:
        ExecutorPool(theirs, 1).close()
        assert theirs.submit(int).result(PATIENCE) == 0


def test_a_job_that_no_executor_takes_occupies_no_worker(tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    pool = ExecutorPool(executor, 1)
    executor.shutdown()
    with pytest.raises(ExecutorBrokenError, match="pass a function that builds it"):
        pool.submit(TRAINER, segment(tmp_path, "good"), None).result(PATIENCE)
    assert pool.free == 1


def test_segments_that_wait_are_counted(tmp_path: Path) -> None:
    """After an executor has broken, one suspect runs alone, and the other one waits."""
    calls: list[Future[Outcome]] = []

    class Manual(ThreadPoolExecutor):
        def submit(self, *_: object) -> Future[Outcome]:
            calls.append(Future())
            return calls[-1]

    pool = ExecutorPool(lambda: Manual(1), 2)
    futures = [pool.submit(TRAINER, segment(tmp_path, "good", n), None) for n in range(2)]
    assert pool.n_waiting == 0
    for call in calls[:]:
        call.set_exception(BrokenExecutor())
    assert (len(calls), pool.free, pool.n_waiting) == (3, 0, 1)
    calls[2].set_result(Outcome((1.0, 0.5)))
    assert (len(calls), pool.free, pool.n_waiting) == (4, 0, 0)
    calls[3].set_result(Outcome((1.0, 0.5)))
    assert [future.result(0).reason for future in futures] == ["", ""]


def test_inline_refuses_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs worker processes"):
        InlinePool().submit(TRAINER, segment(tmp_path, "good"), 1.0)


@pytest.mark.slow
def test_broken_executor_without_a_function_to_build_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, SPAWN) as executor:
        pool = ExecutorPool(executor, 1)
        first = pool.submit(TRAINER, segment(tmp_path, "killed"), None).result(PATIENCE)
        assert first.reason.startswith("worker died")
        with pytest.raises(ExecutorBrokenError, match="pass a function that builds it"):
            pool.submit(TRAINER, segment(tmp_path, "good"), None).result(PATIENCE)


@pytest.mark.slow
def test_output_of_workers_goes_to_a_log(tmp_path: Path, capfd) -> None:
    pool = ProcessPool(1, log_dir=tmp_path)
    run(pool, tmp_path, "chatty")
    pool.close()
    assert (tmp_path / "worker-0.log").read_text() == "printed by the trainer\n"
    assert capfd.readouterr().out == ""
