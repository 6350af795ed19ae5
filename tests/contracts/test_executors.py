"""What every worker pool promises: an outcome for every accident, and the others go on."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from hpo.errors import ExecutorBrokenError, UsageError
from hpo.executors import ExecutorPool, InlinePool, ProcessPool, WorkerPool
from hpo.trainers import NamedTrainer, Outcome, Segment

ACCIDENTS = Path(__file__).parents[1] / "hpo" / "running" / "accidents.py"
TRAINER = NamedTrainer(f"{ACCIDENTS}:train")
SPAWN = multiprocessing.get_context("spawn")


def _loky() -> object:
    from joblib.externals.loky import get_reusable_executor

    return get_reusable_executor(max_workers=2)


POOLS: dict[str, Callable[[], WorkerPool]] = {
    "inline": InlinePool,
    "process": lambda: ProcessPool(2),
    "threads": lambda: ExecutorPool(lambda: ThreadPoolExecutor(2), 2),
    "process pool executor": lambda: ExecutorPool(lambda: ProcessPoolExecutor(2, SPAWN), 2),
    "loky": lambda: ExecutorPool(_loky, 2),
}
OWN_PROCESS = [name for name in POOLS if name not in ("inline", "threads")]

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
    "os._exit": r"worker (process ended with exit code 7|died)",
    "killed": r"worker (process was killed by signal 9 \(SIGKILL\)|died)",
}


@pytest.fixture(params=list(POOLS))
def pool(request: pytest.FixtureRequest) -> Iterator[WorkerPool]:
    made = POOLS[request.param]()
    yield made
    made.close()


def segment(tmp_path: Path, kind: str, number: int = 0) -> Segment:
    return Segment({"kind": kind}, 0, 2, tmp_path / f"trial-{number}" / "checkpoint")


def run(pool: WorkerPool, tmp_path: Path, *kinds: str, timeout: float | None = None):
    """Run segments, as many at a time as the pool takes; return their outcomes in order."""
    futures = []
    for number, kind in enumerate(kinds):
        end = time.monotonic() + 60
        while pool.free < 1:
            assert time.monotonic() < end, "the pool stays full"
            time.sleep(0.01)
        futures.append(pool.submit(TRAINER, segment(tmp_path, kind, number), timeout))
    return [future.result(60) for future in futures]


@pytest.mark.slow
def test_every_accident_has_its_reason(pool: WorkerPool, tmp_path: Path) -> None:
    outcomes = run(pool, tmp_path, *REASONS, "good")
    for outcome, pattern in zip(outcomes, REASONS.values(), strict=False):
        assert re.match(pattern, outcome.reason), outcome.reason
        assert outcome.losses == ()
    assert outcomes[-1] == Outcome((1.0, 0.5))
    assert "Traceback" in (tmp_path / "trial-0" / "error.txt").read_text()


@pytest.mark.slow
def test_nan_and_infinity_are_results(pool: WorkerPool, tmp_path: Path) -> None:
    nan, inf = run(pool, tmp_path, "nan", "inf")
    assert (nan.reason, inf.reason) == ("", "")
    assert nan.losses[0] != nan.losses[0]
    assert inf.losses == (float("inf"),) * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_PROCESS)
@pytest.mark.parametrize("death", list(DEATHS))
def test_death_of_a_worker_concerns_its_job_only(name: str, death: str, tmp_path: Path) -> None:
    pool = POOLS[name]()
    outcomes = run(pool, tmp_path, "good", death, "good", "good", "once", "good")
    pool.close()
    reasons = [outcome.reason for outcome in outcomes]
    assert re.match(DEATHS[death], reasons[1]), reasons
    assert reasons[4][:6] in ("", "worker"), reasons  # "": as a suspect it was run once more
    assert [reason for i, reason in enumerate(reasons) if i not in (1, 4)] == [""] * 4


@pytest.mark.slow
def test_hanging_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    pool = ProcessPool(2)
    begun = time.monotonic()
    hang, good, after = run(pool, tmp_path, "hang", "good", "good", timeout=1.0)
    pool.close()
    assert hang.reason == "timed out: no result after 1 s"
    assert hang.retry
    assert (good.reason, after.reason) == ("", "")
    assert time.monotonic() - begun < 30


@pytest.mark.slow
def test_closing_does_not_wait_for_a_hanging_worker(tmp_path: Path) -> None:
    pool = ProcessPool(1)
    pool.submit(TRAINER, segment(tmp_path, "hang"), None)
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < 10


def test_timeout_on_a_foreign_executor_gives_the_job_up(tmp_path: Path) -> None:
    class Slow:
        def train(self, config, start, stop, checkpoint):
            time.sleep(0.5)
            return [1.0]

    pool = ExecutorPool(lambda: ThreadPoolExecutor(2), 2)
    place = Segment({}, 0, 1, tmp_path / "t" / "c")
    outcome = pool.submit(Slow(), place, 0.05).result(10)
    assert outcome.reason.startswith("timed out: no result after 0.05 s")
    assert not outcome.retry
    assert pool.free == 1  # its thread is still busy
    time.sleep(0.6)
    assert pool.free == 2
    pool.close()


def test_inline_refuses_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs worker processes"):
        InlinePool().submit(TRAINER, segment(tmp_path, "good"), 1.0)


@pytest.mark.slow
def test_broken_executor_without_a_function_to_build_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, SPAWN) as executor:
        pool = ExecutorPool(executor, 1)
        first = pool.submit(TRAINER, segment(tmp_path, "killed"), None).result(60)
        assert first.reason.startswith("worker died")
        with pytest.raises(ExecutorBrokenError, match="pass a function that builds it"):
            pool.submit(TRAINER, segment(tmp_path, "good"), None).result(60)


@pytest.mark.slow
def test_output_of_workers_goes_to_a_log(tmp_path: Path, capfd) -> None:
    pool = ProcessPool(1, log_dir=tmp_path)
    run(pool, tmp_path, "chatty")
    pool.close()
    assert (tmp_path / "worker-0.log").read_text() == "printed by the trainer\n"
    assert capfd.readouterr().out == ""
