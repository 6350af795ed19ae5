"""kill -9 at random moments, of the tuner and of its workers: nothing finished is lost."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from waiting import wait_until

THOROUGH = bool(os.environ.get("THOROUGH"))  # `make thorough`
KILLS = 25 if THOROUGH else 6
KILLS_ON_DASK = 6 if THOROUGH else 3  # each starts an interpreter and imports Dask

NURSERY = '''
"""Forks a process for each line on standard input, so that all is imported only once."""
import json, os, sys, warnings
from pathlib import Path

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] != "asha":  # those that forecast; the forks share it
        import sklearn.svm
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            journal = Path(order["journal"])
            if journal.exists():
                Tuner.resume(journal)
            else:
                Tuner.from_spec(RunSpec.from_json(order["spec"]), journal=journal).run()
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


def reports_of(journal: Path) -> list[str]:
    if not journal.exists():
        return []
    return [json.dumps(e.data) for e in read_journal(journal).entries if e.kind == "reported"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "kills"),
    # Those that forecast make every forecast of the past again when they resume.
    [("swift-hyperband", KILLS), ("asha", KILLS), ("swift-asha", 5)],
)
def test_tuner_killed_at_random_moments(
    make_workshop, outcome_of, environment, scheduler, kills
) -> None:
    settings = {
        "scheduler": scheduler,
        "max_resource": 27,
        "scheduler_options": {"min_curves": 4} if scheduler == "swift-hyperband" else {},
    }
    calm = make_workshop("calm")
    reference = Tuner.from_spec(calm.spec(**settings), journal=calm.journal).run()
    killed = make_workshop("killed")
    nursery = killed.root / "nursery.py"
    nursery.write_text(NURSERY)
    dice = random.Random(scheduler)
    ahead = 3  # epochs that may begin between the wait and the kill
    order = {"journal": str(killed.journal), "spec": killed.spec(**settings).to_json()}
    moments = sorted(dice.sample(range(1, reference.epochs - ahead - 1), kills))
    with subprocess.Popen(
        [sys.executable, str(nursery), scheduler],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        seen: list[str] = []
        for moment in [*moments, None]:
            killed.allow(None if moment is None else moment + ahead)
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            pid = int(process.stdout.readline())
            if moment is not None:
                wait_until(lambda m=moment: killed.epochs() >= m, "training to go on")
                time.sleep(dice.random() * 0.004)
                os.kill(pid, signal.SIGKILL)
            code = int(process.stdout.readline())
            assert code == (0 if moment is None else -signal.SIGKILL)
            now = reports_of(killed.journal)
            assert now[: len(seen)] == seen  # no finished report is lost
            seen = now
        process.stdin.close()
    assert outcome_of(Results.from_journal(killed.journal)) == outcome_of(reference)
    assert killed.repeated() <= kills  # at most the epoch in flight, each time
    best = Results.from_journal(killed.journal).best_checkpoint
    assert list((killed.root / "run.checkpoints").rglob("checkpoint")) == [best]


RAY = pytest.param(
    "ray",
    10,
    marks=(
        pytest.mark.ray,
        pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed"),
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "n_kills"), [("process", KILLS), ("dask", KILLS_ON_DASK), RAY]
)
def test_worker_killed_at_random_moments(make_workshop, outcome_of, executor, n_kills) -> None:
    calm, killed = make_workshop("calm"), make_workshop("killed")
    reference = Tuner.from_spec(calm.spec(max_resource=27), journal=calm.journal).run()
    killed.slow(0.003)
    spec = killed.spec(max_resource=27, executor=executor, n_workers=2, max_retries=n_kills)
    dice = random.Random(5)
    moments = sorted(dice.sample(range(1, reference.epochs - 4), n_kills))
    kills: list[int] = []

    def kill_workers() -> None:
        try:
            for moment in moments:
                killed.allow(moment + 1)  # one of the workers may be between two segments
                wait_until(lambda m=moment: killed.epochs() >= m, "training to go on")
                time.sleep(dice.random() * 0.003)
                alive = [pid for *_, pid in killed.trace()[-4:] if Path(f"/proc/{pid}").exists()]
                if alive:
                    os.kill(alive[-1], signal.SIGKILL)
                    kills.append(alive[-1])
        finally:
            killed.allow(None)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    results = Tuner.from_spec(spec, journal=killed.journal).run()
    killer.join()
    assert len(kills) >= 0.8 * n_kills  # some were being replaced when they were to be killed
    assert len({pid for *_, pid in killed.trace()}) > 2, "no worker was replaced"
    assert outcome_of(results) == outcome_of(reference)
    assert killed.repeated() <= len(kills)


@pytest.mark.slow
def test_tuner_with_workers_killed_through_the_command_line(make_workshop, outcome_of, environment):
    calm, killed = make_workshop("calm"), make_workshop("killed")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    killed.slow(0.02)
    args = killed.run_args(executor="process", workers="2")
    dice = random.Random(3)
    for moment in sorted(dice.sample(range(1, reference.epochs - 6), 3)):
        killed.allow(moment + 2)  # the run cannot end before the kill
        with subprocess.Popen(
            killed.command(*args),
            cwd=killed.root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            wait_until(lambda m=moment: killed.epochs() >= m, "training to go on")
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        workers = {pid for *_, pid in killed.trace()}
        wait_until(
            lambda w=workers: not any(Path(f"/proc/{pid}").exists() for pid in w),
            "the workers to die with their parent",
        )
        args = ["resume", "run.jsonl"]
    killed.allow(None)
    last = killed.cli(*args)
    assert last.returncode == 0, last.stderr
    assert outcome_of(Results.from_journal(killed.journal)) == outcome_of(reference)
    assert killed.repeated() <= 3 * 2
