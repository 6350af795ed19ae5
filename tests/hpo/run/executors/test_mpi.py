"""Real MPI processes: the contract suite, the same search, and resuming after MPI gave up."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from waiting import wait_until

KILLS = 10
ADDOPTS = ("-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")
CONTRACTS = Path(__file__).parents[3] / "contracts" / "test_executors.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("mpiexec") is None or importlib.util.find_spec("mpi4py") is None,
        reason='needs MPI (Debian: openmpi-bin) and mpi4py (pip install ".[mpi]")',
    ),
]

SEARCHES = """
import json, sys
from pathlib import Path
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner

if __name__ == "__main__":
    found = {}
    for n_workers in (1, 2, 8):
        plan = json.loads(Path(sys.argv[1]).read_text())
        spec = RunSpec.from_json(plan | {"n_workers": n_workers})
        results = Tuner.from_spec(spec).run()
        found[n_workers] = [[t.trial_id, str(t.status), list(t.losses)] for t in results.trials]
    Path(sys.argv[2]).write_text(json.dumps(found))
"""


def mpiexec(ranks: int, *args: str) -> list[str]:
    """Return the command of the guide; Open MPI counts processors unless it is told not to."""
    return ["mpiexec", "-n", str(ranks), sys.executable, "-m", "mpi4py.futures", *args]


@pytest.fixture
def mpi_environment(environment) -> dict[str, str]:
    return {
        **environment,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid it
    }


def run(command: list[str], environment, cwd: Path, timeout: float = 200):
    return subprocess.run(
        command, env=environment, cwd=cwd, text=True, capture_output=True, timeout=timeout
    )


def test_contract(mpi_environment, tmp_path: Path) -> None:
    """The suite of all executors, led by rank 0."""
    done = run(
        mpiexec(3, "-m", "pytest", str(CONTRACTS), "-k", "[mpi", "-q", "-rA", *ADDOPTS),
        mpi_environment,
        CONTRACTS.parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") >= 7, done.stdout
    assert "SKIPPED" not in done.stdout, done.stdout


def test_same_search_at_1_2_and_8_workers(workshop, mpi_environment) -> None:
    options = {"min_curves": 3, "train_ahead": False}
    settings = {"scheduler": "swift-hyperband", "reduction_factor": 2, "scheduler_options": options}
    reference = Tuner.from_spec(workshop.spec(**settings)).run()
    script, plan, found = (workshop.root / name for name in ("s.py", "plan.json", "found.json"))
    script.write_text(SEARCHES)
    plan.write_text(json.dumps(workshop.spec(**settings, executor="mpi").to_json()))
    command = mpiexec(9, str(script), str(plan), str(found))
    done = run(command, mpi_environment, workshop.root)
    assert done.returncode == 0, done.stderr
    trials = [[t.trial_id, str(t.status), list(t.losses)] for t in reference.trials]
    assert json.loads(found.read_text()) == {"1": trials, "2": trials, "8": trials}


@pytest.mark.timeout(1200)
def test_rank_killed_at_10_moments(make_workshop, outcome_of, mpi_environment) -> None:
    """MPI gives up as a whole; the journal and one command go on, and nothing is trained twice."""
    calm, killed = make_workshop("calm"), make_workshop("killed")
    reference = Tuner.from_spec(calm.spec(max_resource=27), journal=calm.journal).run()
    killed.slow(0.02)
    first = mpiexec(3, "-m", "hpo", *killed.run_args(executor="mpi", max_resource="27"))
    again = mpiexec(3, "-m", "hpo", "resume", "run.jsonl", "--quiet")
    dice = random.Random(11)
    moments = sorted(dice.sample(range(1, reference.epochs - 60), KILLS))
    finished: list[str] = []
    for number, moment in enumerate(moments):
        begun = len(killed.trace())
        with (
            (killed.root / f"session-{number}.txt").open("w") as output,
            subprocess.Popen(
                again if number else first,
                env=mpi_environment,
                cwd=killed.root,
                stdout=output,
                stderr=output,
            ) as process,
        ):
            goal = max(moment, begun + 1)
            wait_until(lambda n=goal: killed.epochs() >= n, f"epoch {goal}, kill {number}")
            time.sleep(dice.random() * 0.02)
            os.kill(killed.trace()[-1][-1], signal.SIGKILL)
            assert process.wait(60) != 0
        entries = read_journal(killed.journal).entries
        now = [json.dumps(entry.data) for entry in entries if entry.kind == "reported"]
        assert now[: len(finished)] == finished
        finished = now
    last = run(again, mpi_environment, killed.root)
    assert last.returncode == 0, last.stderr
    results = Results.from_journal(killed.journal)
    assert outcome_of(results) == outcome_of(reference)
    assert killed.repeated() <= 2 * KILLS  # the epochs in flight on two ranks, each time


@pytest.mark.parametrize(
    ("ranks", "args", "message"),
    [
        (1, [], "rank 0 leads"),
        (2, ["--workers", "5"], "n_workers must be at most 1"),
    ],
)
def test_too_few_ranks_are_refused(workshop, mpi_environment, ranks, args, message) -> None:
    command = mpiexec(ranks, "-m", "hpo", *workshop.run_args(executor="mpi"), *args)
    done = run(command, mpi_environment, workshop.root)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert not workshop.journal.exists()


def test_a_batch_signal_stops_all_ranks_in_good_order(
    workshop, outcome_of, mpi_environment
) -> None:
    """``mpiexec`` passes SIGUSR1 and SIGUSR2 on to every rank: the leader stops, no rank dies."""
    reference = Tuner.from_spec(workshop.spec()).run()
    (workshop.root / "trace.txt").unlink()
    workshop.slow(0.05)
    first = mpiexec(3, "-m", "hpo", *workshop.run_args(executor="mpi"))
    again = mpiexec(3, "-m", "hpo", "resume", "run.jsonl", "--quiet")
    for command, signum in ((first, signal.SIGUSR1), (again, signal.SIGUSR2)):
        begun = workshop.epochs()
        with subprocess.Popen(
            command,
            env=mpi_environment,
            cwd=workshop.root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            wait_until(lambda n=begun: workshop.epochs() >= n + 10, "training to go on")
            process.send_signal(signum)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signum, err
        assert "Go on with: mpiexec -n N python -m mpi4py.futures -m hpo resume run.jsonl" in err
        assert "Traceback" not in err
    late = run([*again, "--deadline", "2s"], mpi_environment, workshop.root)
    assert late.returncode in (0, 75), late.stderr
    last = run(again, mpi_environment, workshop.root)
    assert last.returncode == 0, last.stderr
    assert outcome_of(Results.from_journal(workshop.journal)) == outcome_of(reference)
    assert workshop.repeated() <= 6


def test_a_rank_of_another_version_is_named(workshop, mpi_environment) -> None:
    place = workshop.root / "other" / "hpo"
    shutil.copytree(Path(sys.modules["hpo"].__file__ or "").parent, place)
    (place / "errors.py").write_text((place / "errors.py").read_text() + "\nOLD = True\n")
    python = [sys.executable, "-m", "mpi4py.futures", "-m", "hpo"]
    args = workshop.run_args(executor="mpi")
    other = ["-x", f"PYTHONPATH={place.parent}"]
    command = ["mpiexec", "-n", "2", *python, *args, ":", "-n", "1", *other, *python, *args]
    done = run(command, mpi_environment, workshop.root)
    assert done.returncode == 2, done.stderr
    assert re.search(r"Error: mpi worker rank 2 \(host .*\) must have hpo of source", done.stderr)
    assert f"in {place}" in done.stderr
    assert not workshop.journal.exists()


def test_fewer_devices_than_ranks(make_workshop, mpi_environment, outcome_of) -> None:
    """The run ends at once, and no trial is judged by it."""
    shop = make_workshop("devices")
    command = mpiexec(4, "-m", "hpo", *shop.run_args(executor="mpi"), "--quiet")
    done = run([*command, "--executor-option", "devices=0,1"], mpi_environment, shop.root)
    assert done.returncode != 0
    assert "must name one device per worker: 3 workers, got 2" in done.stderr
    entries = read_journal(shop.journal).entries
    assert not [entry for entry in entries if entry.data.get("type") == "TrainFailure"]
    results = Tuner.resume(shop.journal, executor="inline", n_workers=1, executor_options={})
    reference = Tuner.from_spec(make_workshop("calm").spec()).run()
    assert outcome_of(results) == outcome_of(reference)
